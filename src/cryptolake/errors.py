"""Errors named by what the caller should do next; nothing here retries, logs or prints.

    CryptolakeError
    ├── Retry    the same question may be answered later (429, timeout, 5xx); `after_s` if the other side said when
    ├── Narrow   the question was too big (block range, answer size, gas); ask it in smaller pieces
    ├── Skip     this one item cannot be answered, the others can (not deployed, entitlement, unparsable market)
    └── Stop     nothing more can be done until a person acts (bad key, bad configuration, disk full)
        └── BadInput   what the user typed or wrote is wrong; the message says what would have been right

Messages are one line, name the thing (partition, endpoint *name*, file and line) and end with the remedy.
They never contain a URL or a key: redact before formatting.
"""

from __future__ import annotations


class CryptolakeError(Exception):
    """Base of every error this project raises on purpose; `str(error)` is fit to show to a user."""


class Retry(CryptolakeError):
    """The same question may be answered later.

    `after_s` is the wait in seconds that the other side asked for, or None when it did not say.
    """

    def __init__(self, message: str, *, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Narrow(CryptolakeError):
    """The question was too big. `hint` is the largest size (blocks, items) the other side said it accepts."""

    def __init__(self, message: str, *, hint: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Skip(CryptolakeError):
    """This item cannot be answered; go on with the others. `reason` is a stable code such as `not_deployed`."""

    def __init__(self, message: str, *, reason: str = "skipped") -> None:
        super().__init__(message)
        self.reason = reason


class Stop(CryptolakeError):
    """Nothing more can be done here until a person acts; the message says what to do."""


class BadInput(Stop):
    """The user's input (flag, file, variable) is wrong; the message says what would have been right."""
