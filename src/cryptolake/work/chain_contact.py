"""What the code assumes of a chain's endpoint, as checks of a few calls each, in the order of what they are worth.

What does not belong here: counting calls (net) and what the verdicts lead to (`work.first_contact`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptolake.app import App
from cryptolake.contracts.contact import Assumption, Said, told
from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition, Period
from cryptolake.errors import Narrow
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.burst import refused_at_once
from cryptolake.net.counted import CountedHttp
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.envelope import Json
from cryptolake.net.faults import RpcFault
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.source import LIQUIDATIONS, TVL, OnchainSource
from cryptolake.waiting import pause
from cryptolake.work.market_check import check_markets

_BATCH = 3  # members of the batch that is tried
_AT_ONCE = 3  # calls that are sent at once
_SILENT = "0x00000000000000000000000000000000000000ff"  # nobody emits from here: a question without an answer to carry


def chain_checks(
    app: App, chain: Chain, csu: Csu, endpoint: Endpoint, http: CountedHttp, scratch: Path
) -> Sequence[Assumption]:
    """The checks of one endpoint for one market of its chain. `scratch` is a folder for what a scan keeps while it runs."""
    one = _Endpoint(app, chain, csu, endpoint, http, scratch)
    limits = endpoint.limits
    size, at_once = min(_BATCH, limits.max_batch), _at_once(endpoint)
    return [
        Assumption("chain id", f"it answers for chain {chain.chain_id}", one.chain_id),
        Assumption("headers", "a finalized block with hash and time", one.headers),
        Assumption(f"anchors {csu.name}", "code and getters are as the registry says", one.anchors),
        Assumption(
            f"day {TVL.name} {csu.name}", "the state of a settled day, read into rows", lambda: one.day(TVL.name)
        ),
        Assumption("log span", f"{counted(limits.log_span, 'block')} an eth_getLogs", one.span),
        Assumption("batch", f"{counted(size, 'call')} in one request", lambda: one.batch(size)),
        Assumption("burst", f"{counted(at_once, 'call')} at once", lambda: one.burst(at_once)),
        Assumption(
            f"day {LIQUIDATIONS.name} {csu.name}",
            "the events of a settled day, read into rows",
            lambda: one.day(LIQUIDATIONS.name),
        ),
    ]


def _at_once(endpoint: Endpoint) -> int:
    """As many calls as the assumed limit allows within a second, and a handful at most."""
    return max(1, min(_AT_ONCE, int(endpoint.limits.rate / endpoint.limits.cost("eth_chainId"))))


class _Endpoint:
    """One endpoint with a market to try it with."""

    def __init__(self, app: App, chain: Chain, csu: Csu, endpoint: Endpoint, http: CountedHttp, scratch: Path) -> None:
        self._app, self._chain, self._csu, self._endpoint, self._http = app, chain, csu, endpoint, http
        self._scratch = scratch
        self._pool = self._opened(endpoint)

    def _opened(self, endpoint: Endpoint) -> Pool:
        chain = self._chain
        return Pool(
            chain.name,
            chain.chain_id,
            [endpoint],
            self._http,
            limiters=self._app.limits.of,
            purse=self._app.purse,
            attempts=2,
            sleep=pause,
        )

    @cached_property
    def _newest(self) -> Header:
        """The newest final block."""
        return Blocks(self._pool).header(self._pool.finalized())

    def chain_id(self) -> Said:
        answer = self._pool.call("eth_chainId", [])
        same = isinstance(answer, str) and int(answer, 16) == self._chain.chain_id
        return Said("as assumed" if same else "different", f"it says {answer}")

    def headers(self) -> Said:
        header = self._newest
        if self._pool.finality_assumed:
            return Said("different", f"it has no `finalized` block; {header.number:,} is taken to be final")
        return Said(
            "as assumed", f"block {header.number:,} of {datetime.fromtimestamp(header.timestamp, UTC):%F %T} UTC"
        )

    def span(self) -> Said:
        head = self._newest.number
        span = min(self._endpoint.limits.log_span, head)
        question: dict[str, Json] = {"fromBlock": hex(head - span + 1), "toBlock": hex(head), "address": _SILENT}
        try:
            self._pool.ask(self._pool.stations[0], "eth_getLogs", [question])
        except Narrow as error:
            hint = "" if error.hint is None else f"; it allows {error.hint:,}"
            return Said("different", f"{counted(span, 'block is', 'blocks are')} refused{hint}")
        if span < self._endpoint.limits.log_span:
            return Said(
                "not asked",
                f"the chain has no more than {counted(span, 'block that was', 'blocks that were')} answered",
            )
        return Said("as assumed", f"{counted(span, 'block was', 'blocks were')} answered")

    def batch(self, size: int) -> Said:
        before = len(self._http.exchanged)
        answers = self._pool.batch([("eth_chainId", [])] * size)
        sent = len(self._http.exchanged) - before
        bad = sum(isinstance(one, RpcFault) for one in answers)
        if sent > 1 or bad:
            return Said(
                "different",
                f"{counted(size, 'call')} took {counted(sent, 'request')}, {bad} were answered with an error",
            )
        return Said("as assumed", f"{size} were answered together")

    def burst(self, size: int) -> Said:
        refused = refused_at_once(self._pool, self._http, size)
        if refused:
            return Said("different", f"{len(refused)} of {counted(size, 'call')} at once failed: {refused[0]}")
        return Said("as assumed", f"{size} at once were answered")

    def anchors(self) -> Said:
        (checked,) = check_markets([self._csu], self._app.registry, lambda _chain: self._pool)
        if wrong := checked.of("wrong"):
            first = wrong[0]
            return Said("different", f"{first.field}: stated {first.stated}, found {first.found}")
        if unknown := checked.of("unknown"):
            return Said("not reachable", f"{unknown[0].field}: {unknown[0].found}")
        return Said("as assumed", f"{len(checked.of('confirmed'))} statements confirmed")

    def day(self, dataset: str) -> Said:
        day = (datetime.fromtimestamp(self._newest.timestamp, UTC) - timedelta(days=1)).date()
        self._scratch.mkdir(parents=True, exist_ok=True)
        source = OnchainSource(
            registry=self._app.registry,
            csus=[self._csu],
            pools=lambda _chain: self._pool,
            block_cache=FileBlockCache(self._scratch / "blocks.json"),
        )
        return told(source, Partition(dataset, self._csu.name, Period.of_day(day)))
