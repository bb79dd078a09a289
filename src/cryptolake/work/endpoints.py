"""What is asked of endpoints besides answers: what they can do, and where the days of their chains begin.

What does not belong here: which endpoints there are (registry) and how they are asked (net).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from cryptolake.app import App
from cryptolake.contracts.partition import Period
from cryptolake.errors import CryptolakeError
from cryptolake.flow.plan import Span
from cryptolake.net.counted import CountedHttp
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.probe import MOST_CALLS, Probed, probe
from cryptolake.registry.chains import Chain

_AT_ONCE = 16


def chains_of(app: App, names: Sequence[str] | None = None) -> list[Chain]:
    """The named chains; else those with an endpoint of the user's; else the test market's."""
    if names:
        return [app.registry.chain(name) for name in names]
    configured = [chain for chain in app.registry.chains.values() if app.settings.rpc.get(chain.name)]
    return configured or [app.registry.chain(app.registry.csu(app.settings.test_csu).chain)]


def probe_all(app: App, chains: Sequence[Chain]) -> list[Probed]:
    """Ask every configured node of these chains what it can do, many at once."""
    asked = [(one, endpoint) for one in chains for endpoint in app.nodes(one)]
    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(asked)))) as threads:
        return list(threads.map(lambda pair: _probe(app, *pair), asked))


def _probe(app: App, chain: Chain, endpoint: Endpoint) -> Probed:
    with closing(CountedHttp(MOST_CALLS)) as http:
        return probe(chain.name, chain.chain_id, endpoint, http, app.limits.of, app.purse)


def kept(found: Sequence[Probed]) -> dict[str, dict[str, int]]:
    """The limits that were met, as settings of each endpoint that is well; what was only tried and taken is none."""
    tables = {}
    for one in found:
        values = {"span": one.log_span, "batch": one.batch, "addresses": one.addresses, "archive": one.archive_blocks}
        met = {name: value for name, value in values.items() if value is not None and name in one.limits}
        if met and not one.problem:
            tables[one.endpoint] = met
    return tables


@dataclass(frozen=True, slots=True)
class Boundaries:
    """The boundaries found of one chain; blocks are of the first and last period that exists and is final."""

    chain: str
    periods: int
    first_block: int | None
    last_block: int | None
    requests: int
    problem: str | None = None


def find_boundaries(app: App, chains: Sequence[Chain]) -> list[Boundaries]:
    """Find and keep the first and last block of every period of the settings' days, a month in a few requests."""
    first, last = app.settings.span()
    periods = Span(first, last, app.settings.granularity, app.boundary).periods()
    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(chains)))) as threads:
        return list(threads.map(lambda one: _boundaries(app, one, periods), chains))


def _boundaries(app: App, chain: Chain, periods: Sequence[Period]) -> Boundaries:
    try:
        pool = app.pool(chain)
        blocks = app.onchain([]).blocks(chain)
        headers = blocks.prefetch([periods[0].start, *(period.end for period in periods)])
    except CryptolakeError as error:
        return Boundaries(chain.name, 0, None, None, 0, str(error))
    known = [headers[at] for at in sorted(headers)]
    whole = sum(
        int(period.start.timestamp()) in headers and int(period.end.timestamp()) in headers for period in periods
    )
    first, last = (known[0].number + 1, known[-1].number) if known else (None, None)
    return Boundaries(chain.name, whole, first, last, pool.requests)
