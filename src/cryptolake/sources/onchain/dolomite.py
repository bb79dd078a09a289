"""Family `dolomite`: Dolomite, one margin contract for all markets of a chain. Declared only, not read yet.

Its rows are linted and checked against the chain, and its markets say `unsupported_family`. How its numbers would have to
be read and how they account is not established, so neither is declared.
"""

from cryptolake.registry.family import Anchor

PRIMARY_ENTRY = "dolomite_margin"
ANCHORS = (Anchor("dolomite_margin", "getNumMarkets()", "count"),)
