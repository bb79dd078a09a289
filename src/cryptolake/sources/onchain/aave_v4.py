"""Family `aave_v4`: Aave V4, hubs with spokes. Declared only, not read yet.

Its rows are linted and checked against the chain, and its markets say `unsupported_family`. How its numbers would have to
be read and how they account is not established, so neither is declared.
"""

from cryptolake.registry.family import Anchor

PRIMARY_ENTRY = None  # the name alone identifies a market
ANCHORS = (Anchor("hubs", "getAssetCount()", "count"),)
