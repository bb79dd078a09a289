"""Invented vendors: answers in the layouts of real vendors with numbers that nobody ever observed.

They stand in where no recording may be shipped. Every path begins with `/invented/<host>`, every answer carries the header
`X-Cryptolake-Sandbox: invented`, and names say so where the layout has a place for it. What does not belong here: recorded
answers (`recordings/`), HTTP (`replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from cryptolake.demo.invented import alternative_me, artemis, coingecko, defillama, exchanges
from cryptolake.demo.recording import Json

PREFIX = "/invented/"
Teller = Callable[[str, Mapping[str, str], datetime], Json]
# Host, as settings name it (CRYPTOLAKE_URL_<HOST>), and who answers for it.
TELLERS: Mapping[str, Teller] = {
    "defillama": defillama.answer,
    "defillama_bridges": defillama.bridges_answer,
    "artemis": artemis.answer,
    "coingecko": coingecko.answer,
    "alternative_me": alternative_me.answer,
    **exchanges.TELLERS,
}


def answer(path: str, query: Mapping[str, str], now: datetime, *, corrected: bool = False) -> Json:
    """The body for a path under `/invented/`; None for a question that no vendor here answers.

    `corrected`: the vendor has restated what it told wrongly at first, as DefiLlama does.
    """
    host, _, rest = path.removeprefix(PREFIX).partition("/")
    if host not in TELLERS:
        return None
    if corrected and host == "defillama":
        return defillama.corrected(f"/{rest}", query, now)
    return TELLERS[host](f"/{rest}", query, now)
