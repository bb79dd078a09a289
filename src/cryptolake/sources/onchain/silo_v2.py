"""Family `silo_v2`: Silo V2, isolated pairs of one factory. Declared only, not read yet.

Its rows are linted and checked against the chain, and its markets say `unsupported_family`. How its numbers would have to
be read and how they account is not established, so neither is declared.
"""

from cryptolake.registry.family import Anchor

PRIMARY_ENTRY = "silo_factory"
ANCHORS = (Anchor("silo_factory", "getNextSiloId()", "count"),)
