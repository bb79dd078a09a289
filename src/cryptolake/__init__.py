"""cryptolake: ask chains and vendors the same questions every day, keep every answer, refine them into tables.

```python
import cryptolake as cl

with cl.open("data") as lake:
    panel = lake.panel(set="thesis-43", start="2024-01-01", end="2024-12-31")
```

Every public name is here; each is loaded when it is first used, so that importing the package costs nothing. What does not
belong here: anything else. `docs/python.md` has the guide and what stays stable; rooms are described in `docs/trip.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptolake.front import (
        BadInput,
        Built,
        Collected,
        CryptolakeError,
        Lake,
        LakeTable,
        Narrow,
        Output,
        Pulled,
        Retry,
        Run,
        Skip,
        Stop,
        open,  # noqa: A004  # as `gzip.open`
    )

    __version__: str

__all__ = [
    "BadInput",
    "Built",
    "Collected",
    "CryptolakeError",
    "Lake",
    "LakeTable",
    "Narrow",
    "Output",
    "Pulled",
    "Retry",
    "Run",
    "Skip",
    "Stop",
    "__version__",
    "open",
]


def __getattr__(name: str) -> object:
    """A public name, when it is first used."""
    if name == "__version__":
        from cryptolake.version import __version__

        found: object = __version__
    elif name in __all__:
        from importlib import import_module

        found = getattr(import_module("cryptolake.front"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted({*globals(), *__all__})
