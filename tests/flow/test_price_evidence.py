"""What the chain says of prices counts like all that it says: graded, suspect where contradicted, and asked again in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from benchmarks.simulated_ethereum import Simulated
from tests.flow.test_beside import FIRST, POOL, SMALL, STRANGE, LyingOracle, Providers, collect, lake, span, told
from tests.flow.test_plan_comes_true import clock_of

from cryptolake.app import App
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.states import PRICE_CONTRADICTED, PRICE_LOST
from cryptolake.flow.resume import wish_of
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.work import lending
from cryptolake.work.beside import ask_prices
from cryptolake.work.price_sources import lake_pricing, price_sources
from cryptolake.work.verify import worth_asking
from cryptolake.work.vouched import opened_cell, panel_of, to_make_good, verify_kept

TVL = Partition("tvl", POOL, Period.of_day(FIRST))
ORACLE = Partition("governed_oracle_prices", "base", Period.of_day(FIRST))


@contextmanager
def beside_public(folder: Path, public: type[Simulated]) -> Iterator[tuple[App, Providers]]:
    """A lake of one own endpoint of each chain, and one public endpoint of another operator."""
    with lake(folder, grade="two_voices") as (app, http):
        own = app.endpoints
        for chain in ("base", "ethereum"):
            clock = clock_of(chain)
            name, url = f"{chain}-public", f"http://{chain}.public.example"
            http.chains[name] = public(
                chain, time=clock, head=clock.head, only=[POOL, SMALL, STRANGE, "aave_v3_ethereum"]
            )
            http.endpoints[url] = name, Endpoint(name, SecretUrl(url), Limits(log_span=2000))

        def endpoints(chain: object) -> list[Endpoint]:
            name = f"{chain.name}-public"  # type: ignore[attr-defined]
            url = SecretUrl(f"http://{chain.name}.public.example")  # type: ignore[attr-defined]
            return [*own(chain), Endpoint(name, url, Limits(), name, operator="somebody", besides=True)]  # type: ignore[arg-type]

        app.endpoints = endpoints  # type: ignore[method-assign]
        yield app, http


def figures(app: App) -> list[tuple[str, str | None, str | None]]:
    """State, reason and evidence of every day's TVL."""
    lending.refine(app)
    lending.build(app)
    return app.tables.read(PANEL).select("status", "reason", "tvl_evidence").rows()


def said_alike(app: App) -> tuple[str, str | None, str | None]:
    """State, reason and evidence of the one day's TVL in the panel, once `verify` and `verify show` say the same of it."""
    state, reason, grade = panel_of(app).panel.select("status", "reason", "tvl_evidence").row(0)
    cell = opened_cell(app, TVL, app.ledger.state(TVL))
    (found,) = verify_kept(app, [TVL], least="two_voices")
    assert (cell.state, cell.grade) == (state, grade if state != "failed" else cell.grade)
    expected = {"ok": "complete" if grade == "two_voices" else "weak", "suspect": "suspect", "failed": "gap"}
    assert (found.verdict, found.grade) == (expected[state], cell.grade)
    return state, reason, grade


def asked(http: Providers) -> int:
    return sum(sum(one.values()) for one in http.asked.values())


@pytest.mark.parametrize(
    ("public", "expected"),
    [(Simulated, ("ok", None, "two_voices")), (LyingOracle, ("suspect", PRICE_CONTRADICTED, "one_voice"))],
)
def test_a_price_that_a_public_endpoint_contradicts_is_suspect_and_so_is_what_it_values(
    tmp_path: Path, public: type[Simulated], expected: tuple[str, str | None, str]
) -> None:
    """The day keeps the own endpoint's figure, and is not asked again before something new may be learned."""
    with beside_public(tmp_path, public) as (app, http):
        assert collect(app, POOL, last=1).failed == 0
        entry = app.ledger.state(ORACLE)
        assert entry is not None
        lies = public is LyingOracle
        assert (entry.reason, entry.grade) == (("suspect", "one_voice") if lies else (None, "two_voices"))
        assert not lies or "read different state" in (entry.error or "")
        assert figures(app) == [expected]
        assert said_alike(app) == expected
        before = asked(http)
        assert collect(app, POOL, last=1).failed == 0
        assert asked(http) == before
        # A day later it may have mended its ways; so may another one know better that is set today.
        app.ledger.append(replace(entry, at=entry.at - timedelta(days=2)))
        assert collect(app, POOL, last=1).failed == 0
        assert (asked(http) > before) == lies
    if lies:
        with lake(tmp_path, grade="two_voices", nodes=[Simulated] * 2) as (app, _):
            assert collect(app, POOL, last=1).failed == 0
            assert ("governed_oracle_prices", "base", FIRST) in told(app)
            assert figures(app) == [("ok", None, "two_voices")]


@pytest.mark.parametrize("grade", ["one_voice", None])
def test_a_total_is_no_better_proven_than_its_prices(tmp_path: Path, grade: str | None) -> None:
    """Also where the ledger does not say how far they are, as it was before they had certificates."""
    with lake(tmp_path, grade="two_voices", nodes=[Simulated] * 2) as (app, _):
        assert collect(app, POOL, last=1).failed == 0
        assert figures(app) == [("ok", None, "two_voices")]
        entry = app.ledger.state(ORACLE)
        assert entry is not None
        app.ledger.append(replace(entry, grade=grade))
        assert figures(app) == [("ok", None, "one_voice")]
        assert said_alike(app) == ("ok", None, "one_voice")


def test_a_wish_for_more_proof_asks_prices_again_too_and_once(tmp_path: Path) -> None:
    nodes: Sequence[type[Simulated]] = [Simulated] * 2
    with lake(tmp_path, grade="one_voice", nodes=nodes) as (app, _):
        assert collect(app, POOL, last=1).failed == 0
        assert figures(app) == [("ok", None, "one_voice")]
    with lake(tmp_path, grade="two_voices", nodes=nodes) as (app, http):
        csus = [app.registry.csus[POOL]]
        wish = wish_of(app.onchain(csus), ("tvl",), [POOL], span(1))
        lending.collect(app, csus, wish, proven="two_voices")
        assert figures(app) == [("ok", None, "two_voices")]
        before = asked(http)
        lending.collect(app, csus, wish, proven="two_voices")
        assert asked(http) == before


@pytest.mark.parametrize("harm", ["deleted", "cut"])
def test_a_figure_whose_price_has_lost_its_answer_is_not_ok(tmp_path: Path, harm: str) -> None:
    """Whoever is asked says so, nothing else of the lake is held up, and asking again for the price alone makes it good."""
    with lake(tmp_path, grade="two_voices", nodes=[Simulated] * 2) as (app, http):
        assert collect(app, POOL, last=1).failed == 0
        assert figures(app) == [("ok", None, "two_voices")]
        file = app.bronze.raw_path(ORACLE, price_sources(app)["governed_oracle"].name)
        if harm == "deleted":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-20])
        assert said_alike(app)[:2] == ("failed", PRICE_LOST)
        assert not to_make_good(app, app.ledger.states(), lake_pricing(app)), "what is kept cannot make it good"
        before = asked(http)
        wanting = worth_asking(verify_kept(app, [TVL]), lambda _one: "two_voices")
        assert [one.by_prices_alone for one in wanting] == [True]
        ask_prices(app, {("base", FIRST)}, workers=1, stopping=Event(), proven="one_voice")
        assert asked(http) > before
        assert figures(app) == [("ok", None, "two_voices")]
        assert said_alike(app) == ("ok", None, "two_voices")
