"""The setting under which a vendor's server on this machine is not spared: a test waits for answers, never for its turn.

What does not belong here: proofs of the limits themselves (tests/net/test_gates.py, tests/net/test_limiter.py).
"""

from __future__ import annotations

import json

from cryptolake.sources.found import find_sources

_NAMES = [file.vendor.name for file in find_sources().files if file.vendor is not None]
UNLIMITED = {"CRYPTOLAKE_VENDOR_RATES": json.dumps(dict.fromkeys(_NAMES, 600_000))}
