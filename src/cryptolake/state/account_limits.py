"""One limiter per account of a chain's provider, shared by everybody who asks under it.

What does not belong here: which endpoints and limits there are (registry) and how a limiter waits (net).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from cryptolake.net.endpoint import Endpoint
from cryptolake.net.limiter import SHARE, Limiter, for_limit
from cryptolake.state.budget_limiter import BudgetLimiter
from cryptolake.state.budgets import Budgets
from cryptolake.waiting import turn


class AccountLimits:
    """The limiters by account, each for all its chains. Thread-safe.

    They are shared by all processes that use the folder `files` (None: by nobody); with `budgets` by all machines that use
    that database.
    """

    def __init__(self, files: Path | None, budgets: Callable[[], Budgets] | None = None) -> None:
        self._files, self._budgets, self._lock = files, budgets, threading.Lock()
        self._limiters: dict[str, Limiter] = {}

    def of(self, endpoint: Endpoint) -> Limiter:
        """The limiter of the account that this endpoint is asked under."""
        account, rate, cost = endpoint.account, endpoint.limits.rate, endpoint.limits.dearest
        with self._lock:
            if account not in self._limiters:
                told = endpoint.limits.told
                if self._budgets is not None:
                    self._limiters[account] = BudgetLimiter(
                        self._budgets(), account, rate * SHARE, cost, exact=True, told=told
                    )
                else:
                    path = self._files and self._files / account
                    self._limiters[account] = for_limit(rate, cost=cost, told=told, path=path, sleep=turn)
            return self._limiters[account]
