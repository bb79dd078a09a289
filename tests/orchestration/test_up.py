"""`cryptolake up` and Dagster's page in a real browser: lineage is drawn, assets are materialised by clicking."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.browser.chromium import Page, page
from tests.command import cryptolake
from tests.orchestration.conftest import sandbox_variables
from tests.orchestration.stack import stack
from tests.waiting import until

from cryptolake.cli.children import free_port
from cryptolake.cli.ready import listening
from cryptolake.demo.replay import Replay

pytest.importorskip("dagster_webserver", reason="the dagster extra is not installed")
pytestmark = [
    pytest.mark.xdist_group("dagster"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


BODY = "document.body.innerText"
UPSTREAM = "assets/published/lending?view=lineage&lineageScope=upstream&lineageDepth=5"


def materialise_from_the_page(tab: Page, site: str) -> None:
    """Click what a person clicks: a vendor's asset, then every asset of the lending markets over all days."""
    tab.open(f"{site}/assets/bronze/defillama/stablecoin_supply")
    tab.click("Materialize")
    tab.wait_for(f"/Launched run/.test({BODY})")
    tab.wait_for(f"/Latest materialization\\s+(Nov|[A-Z][a-z]+ \\d|\\d+ |a |an )/.test({BODY})")
    tab.open(f"{site}/{UPSTREAM}")
    tab.click("Materialize all…")
    tab.click("All")
    tab.click("Launch backfill")
    tab.wait_for(f"!{BODY}.includes('Launch backfill')")
    tab.open(f"{site}/{UPSTREAM}")
    # However many tables have days: each of them is full, and none was never made.
    filled = f"({BODY}.match(/100% filled/g) || []).length"
    tab.wait_for(
        f"{filled} > 0 && {filled} === ({BODY}.match(/% filled/g) || []).length"
        f" && !/Never materialized|Materializing/.test({BODY})"
    )


@pytest.mark.services
def test_lineage_is_drawn_and_assets_materialise_from_the_page(replay: Replay, folder: Path) -> None:
    # Large enough for the whole graph with its words: a graph that has to be drawn smaller shows bare boxes.
    with stack(sandbox_variables(replay, folder)) as running, page(9600, 5600) as tab:
        tab.open(f"{running.page}/asset-groups")
        for group in ("bronze", "silver", "gold", "published"):
            tab.wait_for(f"document.body.innerText.includes('{group}')")
        materialise_from_the_page(tab, running.page)
        assert tab.errors == []
        said = running.stop()
        assert "stopped" in said
        assert running.process.returncode == 0
    assert not listening("127.0.0.1", int(running.page.rpartition(":")[2]))
    panel = json.loads((folder / "gold/metadata.json").read_text())
    assert panel["rows"] == 14


def test_kill_9_leaves_no_program_behind_and_a_taken_port_is_named(replay: Replay, folder: Path) -> None:
    with stack(sandbox_variables(replay, folder), "--only", "code", "--only", "web") as running:
        port = running.page.rpartition(":")[2]
        flags = ["up", "--port", port]
        second = cryptolake(folder, *flags, **sandbox_variables(replay, folder))
        assert second.returncode == 2
        assert f"port {port} is taken" in second.stderr
        children = subprocess.run(
            ["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        assert len(children) == 2
        running.stop(signal.SIGKILL)
        if sys.platform == "linux":
            for child in map(int, children):
                _await_end(child)


def _await_end(pid: int) -> None:
    """Until the process is gone (or a zombie that nobody reaps)."""
    status = Path(f"/proc/{pid}/status")

    def ended() -> bool:
        try:
            return re.search(r"State:\s+Z", status.read_text()) is not None
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(ended, f"the end of process {pid}")


def test_settings_that_cannot_be_used_are_named_before_anything_starts(replay: Replay, folder: Path) -> None:
    variables = {**sandbox_variables(replay, folder), "CRYPTOLAKE_MARKETS": "no_such_market"}
    result = cryptolake(folder, "up", "--port", str(free_port()), **variables)
    assert result.returncode == 2
    assert "no_such_market" in result.stderr
    assert "Traceback" not in result.stderr


def test_bad_flags_end_in_one_line(tmp_path: Path) -> None:
    for flags, words in (
        (["--only", "wed"], "no part 'wed'"),
        (["--code-server", "here"], "HOST:PORT"),
    ):
        result = cryptolake(tmp_path, "up", *flags)
        assert result.returncode == 2
        assert words in result.stderr
