"""The word for tokens that do not answer, shared by whoever reads them and whoever values them.

What does not belong here: how a token is found to be one (the families), and what is made of it (silver, gold).
"""

from __future__ import annotations

DEAD = "dead_token"
"""A token without code, or whose balance or decimals cannot be read. As a reserve's quote it says that the amounts are what
the market's own contracts still tell (0 where they cannot, in the smallest unit where its decimals are not known), and that
the token has no price: neither the market's nor anybody's."""
