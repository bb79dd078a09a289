"""What each family's logs say of bad debt: events by their ABI, and recorded answers of the protocols' own code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from tests.sources.answering import at, uint

from cryptolake.errors import Skip
from cryptolake.net.abi import address_word
from cryptolake.net.logs import Log, parse_logs
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import aave_v3, compound_v2, compound_v3, euler_v2, morpho_blue
from cryptolake.sources.onchain.events import liquidation, settled_debts, to_settle
from cryptolake.sources.onchain.families import families, writing_off

DATA = Path(__file__).parent / "data"
WHO, TOKEN, PLACE, OTHER = (at(0xB0 + number) for number in range(4))
CSU = Csu("local", "aave_v3", "local", "3", "ethereum", 1, {"pool": PLACE})


def a_log(topics: Sequence[str], *words: int, index: int = 0, tx: str = "0xt", address: str = PLACE) -> Log:
    return Log(address, tuple(topics), b"".join(map(uint, words)), 7, "0xb", tx, index)


def indexed(address: str) -> str:
    return "0x" + address_word(address).hex()


def test_topics_are_those_of_the_published_abis() -> None:
    """Computed by others: aave-v3-origin 3.3, Venus isolated-pools 4, as public references list them."""
    assert aave_v3.DEFICIT_CREATED == "0x2bccfb3fad376d59d7accf970515eb77b2f27b082c90ed0fb15583dd5a942699"
    assert aave_v3.DEFICIT_COVERED == "0x84b203e49f1a4b553088061534231969a68ad1c81be192205e96d23a206cb26a"
    assert compound_v2.BAD_DEBT_INCREASED == "0x90125ffdb441e57c4f6bf69789206424859f206bea5727f2d81ad2470826ef6a"
    assert euler_v2.DEBT_SOCIALIZED == "0xe786d0bc2e83bf230ed9895a9c4d7756ab0c6e22eb8a4ff69c161ece76bd36df"


def test_aave_books_a_deficit_per_reserve_and_covers_it_later() -> None:
    logs = [
        a_log((aave_v3.DEFICIT_CREATED, indexed(WHO), indexed(TOKEN)), 70),
        a_log((aave_v3.DEFICIT_CREATED, indexed(WHO), indexed(OTHER)), 1, index=1),
        a_log((aave_v3.DEFICIT_COVERED, indexed(TOKEN)), int(OTHER, 16), 30, index=2),
    ]
    found = aave_v3.bad_debt(CSU, logs)
    assert [(one.kind, one.asset, one.amount_raw, one.borrower) for one in found] == [
        ("created", TOKEN, 70, WHO),
        ("created", OTHER, 1, WHO),
        ("covered", TOKEN, 30, None),
    ]
    assert aave_v3.liquidations(CSU, logs) == []
    for odd in (
        a_log((aave_v3.DEFICIT_CREATED, indexed(WHO)), 70),
        a_log((aave_v3.DEFICIT_COVERED, indexed(TOKEN)), 30),
    ):
        with pytest.raises(Skip, match="unknown layout"):
            aave_v3.bad_debt(CSU, [odd])


def test_venus_books_what_the_healer_did_not_pay() -> None:
    logs = [
        a_log((compound_v2.BAD_DEBT_INCREASED, indexed(WHO)), 70, 30, 100),
        a_log((compound_v2.BAD_DEBT_RECOVERED,), 100, 40, index=1),
    ]
    assert [(one.kind, one.asset, one.amount_raw) for one in compound_v2.bad_debt(CSU, logs)] == [
        ("created", PLACE, 70),
        ("covered", PLACE, 60),
    ]
    with pytest.raises(Skip, match="adds bad debt"):
        compound_v2.bad_debt(CSU, [a_log((compound_v2.BAD_DEBT_RECOVERED,), 40, 100)])


def test_a_comet_loses_what_the_collateral_was_not_worth() -> None:
    def account(tx: str, owed: int, *values: int) -> list[Log]:
        who = (indexed(OTHER), indexed(WHO))
        seized = [
            a_log((compound_v3.ABSORB_COLLATERAL, *who, indexed(TOKEN)), 5, value, index=number, tx=tx)
            for number, value in enumerate(values)
        ]
        return [*seized, a_log((compound_v3.ABSORB_DEBT, *who), 1000, owed, index=len(values), tx=tx)]

    logs = [*account("0x1", 400, 100, 200), *account("0x2", 400, 400), *account("0x3", 400, 401)]
    (found,) = compound_v3.bad_debt(CSU, logs)
    assert (found.tx, found.log_index, found.part_of) == ("0x1", 2, 0)
    assert (found.kind, found.asset, found.amount_raw, found.borrower) == ("written_off", PLACE, 250, WHO)


def test_recorded_comets_lose_at_most_the_debt_and_nothing_where_there_was_a_surplus() -> None:
    answers = json.loads(gzip.decompress((DATA / "comet_answers.json.gz").read_bytes()))["answers"]
    cases = [one for one in answers if "logs" in one]
    assert cases
    for case in cases:
        logs = parse_logs(orjson.dumps(case["logs"]))
        found = {str(one.borrower).lower(): one for one in compound_v3.bad_debt(CSU, logs)}
        for truth in case["expected"]:
            one = found.get(truth["borrower"])
            if int(truth["surplus"]):
                assert one is None
            elif one is not None:
                assert 0 < one.amount_raw <= int(truth["debt"])


def test_morpho_takes_what_lenders_lost_out_of_liquidate() -> None:
    lost, none = (
        a_log((morpho_blue.LIQUIDATE, "0x" + "33" * 32, indexed(OTHER), indexed(WHO)), 10, 9, 8, bad, bad, index=number)
        for number, bad in enumerate((70, 0))
    )
    (found,) = morpho_blue.bad_debt(CSU, [lost, none])
    assert (found.kind, found.amount_raw, found.borrower, found.part_of) == ("written_off", 70, WHO, 0)


def test_euler_writes_off_before_the_liquidate_it_belongs_to() -> None:
    logs = [
        a_log((euler_v2.DEBT_SOCIALIZED, indexed(WHO)), 70),
        a_log((euler_v2.LIQUIDATE, indexed(OTHER), indexed(WHO)), int(TOKEN, 16), 10, 9, index=1),
        a_log((euler_v2.LIQUIDATE, indexed(OTHER), indexed(WHO)), int(TOKEN, 16), 10, 9, index=2),
    ]
    (found,) = euler_v2.bad_debt(CSU, logs)
    assert (found.kind, found.asset, found.amount_raw, found.log_index, found.part_of) == (
        "written_off", PLACE, 70, 0, 1,
    )  # fmt: skip


def test_debt_of_a_liquidation_is_counted_in_its_token_and_other_debt_is_settled_for_itself() -> None:
    alone = aave_v3.bad_debt(CSU, [a_log((aave_v3.DEFICIT_COVERED, indexed(TOKEN)), 0, 30, index=5)])
    part = morpho_blue.bad_debt(
        CSU, [a_log((morpho_blue.LIQUIDATE, "0x" + "33" * 32, indexed(OTHER), indexed(WHO)), 10, 9, 8, 70, 7)]
    )
    event = liquidation(
        a_log(()), liquidator=OTHER, borrower=WHO, seized=(TOKEN, 1), repaid=(OTHER, 2), extra={}
    )  # as `settle` gives it: the market's token
    asked = to_settle([event], [*part, *alone])
    assert [one.debt_amount_raw for one in asked] == [2, 30]
    assert [(asset, amount) for _, asset, amount in settled_debts([*part, *alone], 1, asked)] == [
        (OTHER, 70),
        (TOKEN, 30),
    ]


def test_every_family_that_tells_of_bad_debt_is_asked_for_it() -> None:
    """What an answer is judged by must be what its question names, else every day would be `not_asked` for ever."""
    found = {name: writing_off(name) for name in families()}
    assert {name for name, one in found.items() if one is not None} == {
        "aave_v3", "compound_v2", "compound_v3", "euler_v2", "morpho_blue",
    }  # fmt: skip
    csu = Csu("local", "aave_v3", "local", "3", "ethereum", 1, {"pool": PLACE, "morpho": PLACE, "comet": PLACE})
    for name in ("aave_v3", "morpho_blue", "compound_v3"):
        program = families()[name].emitters(csu)
        with pytest.raises(StopIteration) as end:
            next(program)
        family = found[name]
        assert family is not None
        assert all(one.topics0 >= family.BAD_DEBT for one in end.value.value)
