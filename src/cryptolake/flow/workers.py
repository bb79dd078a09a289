"""How many conversations at a time: as many as the endpoints' limits can feed at the latency that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptolake.net.endpoint import Endpoint

LEAST, MOST = 5, 64
_UNMEASURED_S = 0.1


def suggested(endpoints: Iterable[Endpoint], latency_s: Mapping[str, float]) -> int:
    """Calls in flight that use up every account's limit (Little's law: rate x latency), within 5 and 64.

    `latency_s` is the mean of earlier runs by endpoint name; an endpoint never asked is taken to need 0.1 s.
    """
    fed: dict[str, float] = {}
    for one in endpoints:
        calls = one.limits.rate / one.limits.cost("eth_call") * latency_s.get(one.name, _UNMEASURED_S)
        fed[one.account or one.name] = max(calls, fed.get(one.account or one.name, 0.0))
    return max(LEAST, min(MOST, round(sum(fed.values()))))
