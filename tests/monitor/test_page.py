"""The monitor page in a real headless browser: what a person sees, follows and clicks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from tests.browser.chromium import Page, page
from tests.flow.scripted import day
from tests.monitor.serving import serving

from cryptolake.contracts.entry import Entry
from cryptolake.state.ledger import Ledger
from cryptolake.watch.health import EndpointHealth, RunHealth

pytestmark = pytest.mark.services

NOW = datetime.now(UTC)


class Shown:
    """A served data folder and a browser that looks at it."""

    def __init__(self, data: Path, browser: Page) -> None:
        self.data, self.browser = data, browser
        self.ledger = Ledger(data / "ledger.sqlite")

    def report(self, done: int) -> None:
        """Write what a run at work says of itself."""
        well = EndpointHealth("ethereum", "alchemy-1", 900, 3, 0.081, 300.0, 10)
        bad = EndpointHealth("base", "base-own-1", 4, 4, 0.4, 25.0, 2000, problem="refuses the key")
        now = datetime.now(UTC)
        run = RunHealth("lab:7", "collect", now - timedelta(seconds=60), now, 80, done, 1, 5, endpoints=[well, bad])
        (self.data / "runs").mkdir(exist_ok=True)
        (self.data / "runs" / "lab-7.json").write_bytes(orjson.dumps(asdict(run)))

    def cells(self, market: str, kind: str) -> int:
        found = self.browser.evaluate(f"document.querySelectorAll('tr[data-market={market}] td.{kind}').length")
        return int(str(found))


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for dataset in ("tvl", "liquidations"):
        ledger.append_many(Entry(day(n, "aave_v3_ethereum", dataset), "done", NOW) for n in range(20))
        ledger.append_many(Entry(day(n, "aave_v3_base", dataset), "gone", NOW) for n in range(5))
    hostile = "</td><script>window.hacked = 1</script>"
    ledger.append(Entry(day(20, "aave_v3_base"), "failed", NOW, reason="odd", error=hostile))
    ledger.close()
    with serving(tmp_path) as (address, _), page(1280, 900) as browser:
        found = Shown(tmp_path, browser)
        found.report(done=40)
        browser.open(address)
        browser.wait_for("document.querySelector('#live.on')")
        yield found
        assert browser.errors == []


def test_coverage_failures_runs_and_endpoints_are_there(shown: Shown) -> None:
    browser = shown.browser
    assert shown.cells("aave_v3_ethereum", "d") == 20
    assert shown.cells("aave_v3_base", "u") == 5
    text = browser.text()
    for words in ("60 s", "40", "alchemy-1", "refuses the key", "odd", "answers in the last hour"):
        assert words in text, words
    assert browser.evaluate("window.hacked") is None, "messages from outside are text, never markup"
    title = browser.evaluate("document.querySelector('tr[data-market=aave_v3_ethereum] td.d').title")
    assert title == "aave_v3_ethereum 2024-12-01: TVL done, liquidations done"


def test_it_follows_a_run_by_itself(shown: Shown) -> None:
    browser = shown.browser
    for dataset in ("tvl", "liquidations"):
        shown.ledger.append_many(Entry(day(n, "aave_v3_base", dataset), "done", NOW) for n in range(5, 9))
    browser.wait_for("document.querySelectorAll('tr[data-market=aave_v3_base] td.d').length === 4")
    shown.report(done=79)
    browser.wait_for("document.querySelector('#runs tbody').innerText.includes('79')")
    shown.ledger.append(Entry(day(20, "aave_v3_base"), "done", NOW))
    browser.wait_for("!document.querySelector('#no-failures').hidden")


def test_one_can_look_back_choose_and_filter(shown: Shown) -> None:
    browser = shown.browser
    before = browser.evaluate("document.querySelector('#span').textContent")
    assert str(before).endswith("2024-12-21")
    browser.click("Earlier")
    browser.wait_for("document.querySelector('#span').textContent.endsWith('2024-11-20')")
    assert shown.cells("aave_v3_ethereum", "d") == 0
    browser.click("Later")
    browser.wait_for("document.querySelectorAll('tr[data-market=aave_v3_ethereum] td.d').length === 20")
    browser.evaluate(
        "const box = document.querySelector('#filter'); box.value = 'BASE'; box.dispatchEvent(new Event('input'))"
    )
    assert browser.evaluate("document.querySelectorAll('#heat tbody tr').length") == 1
    browser.evaluate(
        "const one = document.querySelector('#dataset'); one.value = 'tvl'; one.dispatchEvent(new Event('change'))"
    )
    assert shown.cells("aave_v3_base", "f") == 1
