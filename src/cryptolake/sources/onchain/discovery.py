"""The logs that name a market's parts (e.g. CreateMarket): each block asked once for ever, and once more at a second operator.

Who told which blocks is kept (history), so that a wish for more proof asks only what lacks it, and what a proven liar told is
asked again. What does not belong here: how windows are asked (net/scan), what the events mean (families).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from cryptolake.net.blocks import BlockRange
from cryptolake.net.liars import Accuser
from cryptolake.net.logs import LogFilter
from cryptolake.net.proof import Prover
from cryptolake.net.rpc import Pool
from cryptolake.sources.onchain.history import Discovered, History
from cryptolake.sources.onchain.telling import Telling


def _nobody(_name: str, _voice: str) -> None:
    return None


class Discoveries:
    """Log histories of all chains, kept in `folder`; in memory only when it is None. Thread-safe.

    A killed scan goes on where it was. `share` of the blocks are asked again at a second operator, `sample` of them where all
    would be too dear (None: whatever it costs).
    """

    def __init__(self, folder: Path | None = None, share: float = 0.0, sample: float | None = None) -> None:
        self._folder, self._share, self._sample, self._lock = folder, share, sample, threading.Lock()
        self._histories: dict[tuple[str, LogFilter], History] = {}

    def upto(
        self,
        pool: Pool,
        wanted: LogFilter,
        blocks: BlockRange,
        watch: Callable[[int], None] = lambda _done: None,
        *,
        prover: Prover | None = None,
        accused: Accuser = _nobody,
    ) -> Discovered:
        """Every wanted log of `blocks`, in order. Asks only for blocks not known; `watch` is told how many are.

        What those told whom `accused` names, or who are proven to lie now, is asked of others. Raises Skip: `log_history` when
        the endpoints answer so few blocks a question that it would take for ever, `suspect` when two endpoints disagree and
        nobody can tell.
        """
        with self._lock:
            if (pool.chain, wanted) not in self._histories:
                self._histories[pool.chain, wanted] = History.of(self._folder, pool.chain, wanted)
            history = self._histories[pool.chain, wanted]
        with history.lock:
            telling = Telling(pool, wanted, blocks, history, self._share, watch, prover, accused, self._sample)
            return telling.told()
