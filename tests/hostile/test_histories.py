"""A history of the events that name a market's parts is believed as far as it was borne out, whoever told it when.

Morpho Blue's real contracts on a real node, over real HTTP: a liar hides one of its markets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from tests.chain.anvil import MULTICALL3, Anvil
from tests.chain.fixtures import require_chain
from tests.chain.morpho_blue import MorphoBlue, cannot_play, play
from tests.hostile.middleman import Change, Middleman, honest
from tests.hostile.server import Hostile
from tests.net.node import Node
from tests.sources.test_morpho_blue import DAYS, csu_on
from tests.waiting import PATIENCE_S

from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.sources.onchain import morpho_blue
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("morpho histories")]
DAY = DAYS[2]
Told = tuple[list[tuple[str, str, str]], Grade]


@pytest.fixture(scope="module")
def morpho() -> Iterator[MorphoBlue]:
    require_chain()
    if (reason := cannot_play()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield play(node)


class Town:
    """One Morpho whose snapshot is read again and again into one folder of histories."""

    def __init__(self, morpho: MorphoBlue, folder: Path, receipts: ReceiptRule | None) -> None:
        self.morpho, self.folder, self.receipts = morpho, folder, receipts
        of = {"fromBlock": "0x0", "toBlock": "latest", "topics": [morpho_blue.CREATE_MARKET]}
        first = morpho.node.rpc("eth_getLogs", of)[0]["blockNumber"]

        def hiding(question: dict[str, Any], ask: Any) -> dict[str, Any] | None:
            if question["method"] != "eth_getLogs":
                return None
            reply: dict[str, Any] = ask(question)
            logs = reply.get("result", [])
            reply["result"] = [
                one for one in logs if (one["topics"][0], one["blockNumber"]) != (morpho_blue.CREATE_MARKET, first)
            ]
            return reply

        self.hiding: Change = hiding

    def read(self, operators: Sequence[str], grade: Grade, *changes: Change) -> Told | str:
        """What a new process reads through these endpoints, or why nothing."""
        csu = csu_on(self.morpho)
        chain = Chain(csu.chain, 31337, multicall3_address=MULTICALL3, multicall3_block=0, receipts=self.receipts)
        with ExitStack() as stack:
            urls = [
                stack.enter_context(Hostile(cast(Node, Middleman(self.morpho.node.url, one)))).url for one in changes
            ]
            endpoints = [
                Endpoint(f"server-{n}", SecretUrl(url), Limits(rate=1e5), operator=operators[n])
                for n, url in enumerate(urls)
            ]
            http = Http(timeout_s=PATIENCE_S)
            stack.callback(http.close)
            pool = Pool(csu.chain, 31337, endpoints, http, sleep=lambda _: None)
            registry = Registry({csu.name: csu}, {csu.chain: chain})
            source = OnchainSource(
                registry=registry,
                csus=[csu],
                pools=lambda _: pool,
                audit=0.02,
                grade=grade,
                discovered=self.folder,
            )
            (trip,) = source.trips([Partition("tvl", csu.name, Period.of_day(DAY))])
            (found,) = source.fetch(trip)
            if isinstance(found, Miss):
                assert found.state == "failed"
                return found.message
            rows = [
                (str(one["symbol"]), str(one["total_supplied_raw"]), str(one["cash_raw"]))
                for one in source.parse(found)
            ]
            return sorted(rows), source.grade(found)


@pytest.fixture(params=["standard", None], ids=["receipts", "no receipts"])
def made(request: pytest.FixtureRequest, morpho: MorphoBlue, tmp_path: Path) -> Town:
    return Town(morpho, tmp_path / "discovered", request.param)


@pytest.fixture(scope="module")
def truth(morpho: MorphoBlue, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str]]:
    told = Town(morpho, tmp_path_factory.mktemp("truth"), "standard").read(["a", "b"], "two_voices", honest, honest)
    assert not isinstance(told, str)
    assert told[1] == "two_voices"
    return told[0]


def test_what_a_liar_told_alone_is_asked_again_by_a_higher_wish(made: Town, truth: list[tuple[str, str, str]]) -> None:
    alone = made.read(["liar"], "one_voice", made.hiding)
    assert not isinstance(alone, str)
    assert (alone[0] != truth, alone[1]) == (True, "one_voice")
    assert made.read(["b", "c"], "two_voices", honest, honest) == (truth, "two_voices")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("honest_ones", [1, 2])
def test_no_snapshot_rests_on_a_liars_history_unseen(
    made: Town, truth: list[tuple[str, str, str]], first: bool, honest_ones: int
) -> None:
    lying = [made.hiding, *[honest] * honest_ones] if first else [honest, made.hiding, *[honest] * (honest_ones - 1)]
    told = made.read(["a", "b", "c"], "two_voices", *lying)
    if isinstance(told, str):
        assert made.receipts is None  # voices differ, and no vote says whether an event was left out or made up
    else:
        assert told[0] == truth
        assert at_least(told[1], "two_voices") or honest_ones == 1


def test_a_snapshot_claims_no_more_than_its_history(made: Town) -> None:
    """Whoever bears out the state but does not answer for logs bears out nothing of the history."""

    def no_logs(question: dict[str, Any], _ask: Any) -> dict[str, Any] | None:
        if question["method"] != "eth_getLogs":
            return None
        return {"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32000, "message": "internal error"}}

    told = made.read(["a", "b"], "two_voices", honest, no_logs)
    assert not isinstance(told, str)
    assert told[1] == "one_voice"
