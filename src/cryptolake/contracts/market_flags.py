"""What can look wrong of a part of a permissionless market: the codes, and what each says. Not how it is found (gold)."""

from __future__ import annotations

from collections.abc import Mapping

# What looks wrong of a part of a market, as one reads it after "a part that".
FLAGS: Mapping[str, str] = {
    "self_dealt": "rests on collateral that nobody but the market prices",
    "stuck_debt": "is debt that compounds while nothing is left to withdraw",
    "insolvent": "is debt worth more than all that can be pledged for it",
    "frozen_oracle": "is priced by an oracle that stood still while others moved",
    "overpriced": "is lent by an oracle that says more of the collateral than others do",
    "own_price_only": "is held in tokens that nobody but the market prices",
}
OF_TOKENS = "own_price_only"  # the one that is about tokens, the others are about isolated markets
