"""Who holds claims and lives: a worker's sign of life, the renewal of its claims, and what the dead still held.

What does not belong here: claiming and asking (collect), and where claims are kept (state.ledger).
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from cryptolake.files.atomic import refused
from cryptolake.files.lock import held, holder
from cryptolake.state.ledger import Ledger

WORKER = f"{socket.gethostname()}:{os.getpid()}"
_numbers = itertools.count(1)


@contextmanager
def sign_of_life(ledger: Ledger) -> Iterator[str]:
    """A worker's name nobody else bears, and the lock that says it lives: it ends with this process, however that ends."""
    with ExitStack() as lock:
        while True:
            worker = f"{WORKER}#{next(_numbers)}"
            sign = ledger.sign(worker)
            try:
                if lock.enter_context(held(sign)):  # else a process in a container has our number and host name
                    break
            except OSError as error:
                raise refused(error, sign) from None
        try:
            yield worker
        finally:
            with suppress(OSError):  # Windows keeps a file that is open
                sign.unlink()


@contextmanager
def claims_renewed(ledger: Ledger, worker: str, lease_s: float) -> Iterator[None]:
    """Renew the worker's claims while the block lasts, so that no run of hours loses them; release what is left."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(lease_s / 4):
            ledger.renew(worker, lease_s)

    beat = threading.Thread(target=renew, name="lease", daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        ledger.release(worker)


def release_dead(ledger: Ledger) -> int:
    """Give back what workers that have died still hold, so that it need not wait for their lease; how many partitions.

    A worker has died when its sign of life is there and nobody holds it. A process number would not do: a container numbers
    its processes itself, and numbers are used again. Without a sign (another machine's worker) only the lease can tell.
    """
    released = 0
    for worker, count, _ in ledger.claims():
        sign = ledger.sign(worker)
        if sign.exists() and holder(sign) is None:
            ledger.release(worker)
            released += count
            with suppress(OSError):
                sign.unlink()
    return released
