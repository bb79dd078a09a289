"""Endpoints over a real node that answer single contract reads with something else, inside aggregates too.

What the node says to a question is kept, so that it is asked once however many times a market is collected; no HTTP between,
because thousands of collections are. The same questions over real HTTP are in test_state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from tests.chain.anvil import MULTICALL3, Anvil, NodeError

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.demo.aggregate3 import SELECTOR, Inner, decode_calls, decode_results, encode_results
from cryptolake.errors import CryptolakeError
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.source import OnchainSource

Lie = Callable[[str], tuple[bool, str]]
"""Given what a contract answered (0x text); whether the call succeeds instead, and with what."""


def words(data: str) -> list[str]:
    return [data[at : at + 64] for at in range(2, len(data), 64)]


def shortened(data: str) -> tuple[bool, str]:
    """A list with its last entry left out."""
    found = words(data)
    if len(found) >= 3 and int(found[0], 16) == 32 and 2 <= int(found[1], 16) <= len(found) - 2:
        return True, "0x" + found[0] + f"{int(found[1], 16) - 1:064x}" + "".join(found[2:])
    return True, data


def doubled(data: str) -> tuple[bool, str]:
    """A number (the last word of the answer) twice as large."""
    found = words(data)
    if not found or len(data) % 64 != 2 or not 0 < int(found[-1], 16) < 2**128:
        return True, data
    return True, "0x" + "".join(found[:-1]) + f"{2 * int(found[-1], 16):064x}"


def halved(data: str) -> tuple[bool, str]:
    """A count or a number half as large, so that what is listed by number ends early."""
    found = words(data)
    if len(found) != 1 or not 1 < int(found[0], 16) < 2**128:
        return True, data
    return True, f"0x{int(found[0], 16) // 2:064x}"


def reverted(_data: str) -> tuple[bool, str]:
    """The contract knows no such call."""
    return False, "0x"


def emptied(_data: str) -> tuple[bool, str]:
    """It answers, and with nothing."""
    return True, "0x"


def cut(data: str) -> tuple[bool, str]:
    """An answer without its last word."""
    return True, data[:-64] if len(data) > 66 else "0x"


def zeroed(data: str) -> tuple[bool, str]:
    """An answer of as many zeros."""
    return True, "0x" + "0" * (len(data) - 2)


LIES: dict[str, Lie] = {one.__name__: one for one in (shortened, doubled, halved, reverted, emptied, cut, zeroed)}


@dataclass
class Kept:
    """What a node said to every question so far, and the getters that aggregates held."""

    node: Anvil
    said: dict[bytes, Any] = field(default_factory=dict)

    def ask(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        key = orjson.dumps([method, params])
        if key not in self.said:
            try:
                self.said[key] = {"result": self.node.rpc(method, *params)}
            except NodeError as error:
                self.said[key] = {"error": error.args[0]}
        return dict(self.said[key])


class LyingHttp(Http):
    """Every endpoint of a pool; the one named `liar` answers calls whose data begins with `getter` with a `lie`."""

    def __init__(self, kept: Kept, liar: str = "", getter: str = "", lie: Lie = reverted) -> None:
        super().__init__()
        self._kept, self._liar, self._getter, self._lie = kept, liar, getter, lie
        self.getters: dict[str, set[str]] = {}  # what was asked, with the answers
        self.told = 0  # lies

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        document = orjson.loads(body)
        asked = document if isinstance(document, list) else [document]
        answers = [{"jsonrpc": "2.0", "id": one["id"], **self._said(url, one)} for one in asked]
        return Answer(200, {}, orjson.dumps(answers if isinstance(document, list) else answers[0]), 0.0)

    def _said(self, url: str, one: Mapping[str, Any]) -> dict[str, Any]:
        reply = self._kept.ask(one["method"], one["params"])
        if one["method"] != "eth_call" or "result" not in reply:
            return reply
        to, data = str(one["params"][0]["to"]), str(one["params"][0].get("data") or one["params"][0]["input"])
        if not data.startswith(SELECTOR):
            success, answer = self._heard(url, Inner(to, data, False), reply["result"])
            return {"result": answer} if success else {"error": {"code": 3, "message": "execution reverted"}}
        calls, results = decode_calls(data), decode_results(reply["result"])
        changed = [
            self._heard(url, call, answer) if success else (success, answer)
            for call, (success, answer) in zip(calls, results, strict=True)
        ]
        return {"result": encode_results(changed)}

    def _heard(self, url: str, call: Inner, answer: str) -> tuple[bool, str]:
        if call.to.lower() == MULTICALL3.lower():  # the block's own word for itself
            return True, answer
        self.getters.setdefault(call.data[:10], set()).add(answer)
        if url != self._liar or not call.data.startswith(self._getter):
            return True, answer
        said = self._lie(answer)
        self.told += said != (True, answer)
        return said


Answers = dict[Partition, tuple[list[dict[str, Any]], Grade] | str]
"""By partition the rows and their grade, or why there are none."""


def pool_over(http: LyingHttp, endpoints: int, chain: str, *, alike: bool = False, public: bool = False) -> Pool:
    """So many endpoints of an operator each; `alike`: asked in turn, otherwise the first of them; `public`: that one alone is
    the user's own, and the others only give second opinions.
    """
    found = [
        Endpoint(
            f"server-{n}",
            SecretUrl(f"{n}"),
            Limits(rate=500.0 if n or alike else 1e6),
            operator=f"operator-{n}",
            besides=public and n > 0,
        )
        for n in range(endpoints)
    ]
    return Pool(chain, 31337, found, http, sleep=lambda _: None)


def answers(
    csu: Csu, wanted: Sequence[Partition], pool: Pool, grade: Grade
) -> Iterator[tuple[OnchainSource, Raw | Miss]]:
    """What a collection lands or misses, with the source that can read it. Raises as the source does."""
    chain = Chain(csu.chain, 31337, multicall3_address=MULTICALL3, multicall3_block=0, receipts="standard")
    registry = Registry({csu.name: csu}, {csu.chain: chain})
    source = OnchainSource(registry=registry, csus=[csu], pools=lambda _: pool, audit=0.02, grade=grade)
    for trip in source.trips(wanted):
        for one in source.fetch(trip):
            yield source, one


def collected(
    csu: Csu, wanted: Sequence[Partition], http: LyingHttp, endpoints: int, grade: Grade, *, alike: bool = False
) -> Answers:
    """What a market gives through so many endpoints of an operator each, the first of which is asked first.

    `alike`: they are asked in turn, so that all of them have a part in a reading.
    """
    pool = pool_over(http, endpoints, csu.chain, alike=alike)
    found: Answers = dict.fromkeys(wanted, "not answered")
    try:
        for source, one in answers(csu, wanted, pool, grade):
            if isinstance(one, Miss):
                assert one.state == "failed", one
                found[one.partition] = one.message
            else:
                found[one.partition] = [dict(row) for row in source.parse(one)], source.grade(one)
    except CryptolakeError as error:
        found |= {one: str(error) for one in wanted if found[one] == "not answered"}
    return found
