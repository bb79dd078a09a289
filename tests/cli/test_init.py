"""`cryptolake init`: what is decided is what later commands do, keys are tried and never shown, files are kept."""

from __future__ import annotations

import json
import stat
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.terminal import conversation
from tests.command import cryptolake
from tests.hostile.server import Hostile
from tests.net.node import Node
from tests.vendors.server import Reply, in_turn, vendor

from cryptolake.errors import BadInput
from cryptolake.registry.loader import configured, load_registry
from cryptolake.settings import load_settings
from cryptolake.sources.found import find_sources
from cryptolake.sources.onchain.families import declared
from cryptolake.work import keys
from cryptolake.work.setting_files import content, merged_env, merged_toml, replace_file

SECRET = "a-secret-key-in-the-path"  # of every hostile server's URL


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_yes_takes_the_recommendations_and_later_commands_follow_them(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "init", "--yes")
    assert done.returncode == 0, done.stderr
    written = tomllib.loads((tmp_path / "cryptolake.toml").read_text())
    assert written == {
        "days": 365,
        "granularity": "day",
        "workers": 5,
        "data": "data",
        "test_csu": "aave_v3_ethereum",
        "sets": ["thesis-43"],
    }
    assert set(files(tmp_path)) == {"cryptolake.toml"}, "no key, no .env"
    expected = load_registry(declared()).sets["thesis-43"]
    assert f"{len(expected)} markets, 365 days" in done.stdout
    assert "USD" in done.stdout
    planned = cryptolake(tmp_path, "plan", "--json")
    assert tuple(json.loads(planned.stdout)["markets"]) == expected
    assert "of your settings (thesis-43)" in planned.stderr
    before = files(tmp_path)
    assert cryptolake(tmp_path, "init", "--yes").returncode == 0
    assert files(tmp_path) == before, "a second time changes nothing and copies nothing"


def test_a_selection_is_what_is_recommended(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "init", "--yes", "--set", "thesis-46", "--days", "7")
    assert done.returncode == 0, done.stderr
    written = tomllib.loads((tmp_path / "cryptolake.toml").read_text())
    assert (written["sets"], written["days"]) == (["thesis-46"], 7)
    done = cryptolake(tmp_path, "init", "--yes", "--set", "thesis-43", "--chain", "linea")
    assert done.returncode == 0, done.stderr
    written = tomllib.loads((tmp_path / "cryptolake.toml").read_text())
    assert "sets" not in written
    registry = load_registry(declared())
    assert written["markets"] == [name for name in registry.sets["thesis-43"] if registry.csus[name].chain == "linea"]


def test_without_a_terminal_it_refuses_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    done = cryptolake(tmp_path, "init")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "--yes" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_answers_and_keys_are_tried_merged_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "cryptolake.toml").write_text(
        "# mine\nworkers = 3  # few\nlog_json = false\n\n[vendor_rates]\ndefillama = 9\n"
    )
    (tmp_path / ".env").write_text("# mine\nOTHER=kept\n")
    takes = Reply(body=b'{"data": {"symbols": {"btc": {"price": []}}}}')
    with (
        Hostile(Node(chain_id=1)) as right,
        Hostile(Node(chain_id=5)) as wrong,
        vendor(in_turn(Reply(401), takes)) as artemis,
    ):
        vendor_key = "artemis-key-123456"
        code, shown = conversation(
            tmp_path,
            ["init"],
            [
                ("1. How", "many"),
                ("whole number", "2"),
                ("2. One", ""),
                ("3. Always", "2024-12-01"),
                ("4. Parallel", ""),
                ("5. Folder", "lake"),
                ("6. Market", "aave_v3_etherium"),
                ("aave_v3_ethereum", "aave_v3_ethereum"),
                ("Which markets", "aave_v3_ethereum, compound_v3_eth_usdc"),
                ("ALCHEMY_KEY_1", ""),
                ("Chain with an endpoint", "ethereum"),
                ("CRYPTOLAKE_RPC_ETHEREUM", wrong.url),
                ("again, or Enter to go without.\r\nCRYPTOLAKE_RPC_ETHEREUM", right.url),
                ("Chain with an endpoint", ""),
                ("ARTEMIS_API_KEY", "no-key-of-theirs"),
                ("again, or Enter to go without.\r\nartemis: ARTEMIS_API_KEY", vendor_key),
                ("COINGECKO_PRO_API_KEY", ""),
                ("COINGECKO_DEMO_API_KEY", ""),
                ("DEFILLAMA_API_KEY", ""),
                ("Write this", ""),
            ],
            CRYPTOLAKE_END_DATE="2024-12-02",
            CRYPTOLAKE_URL_ARTEMIS=artemis.url,
        )
        assert code == 0, shown
        assert [one["x-api-key"] for one in artemis.headers] == ["no-key-of-theirs", vendor_key]
        env = (tmp_path / ".env").read_text()
        assert env == f"# mine\nOTHER=kept\nCRYPTOLAKE_RPC_ETHEREUM={right.url}\nARTEMIS_API_KEY={vendor_key}\n"
        assert (wrong.node.methods["eth_chainId"], right.node.methods["eth_chainId"] > 0) == (1, True)
    assert "the vendor refuses the key (401)" in " ".join(shown.split())
    assert "artemis takes it" in shown
    assert "2 markets, 2 days" in shown
    for secret in (SECRET, vendor_key, "no-key-of-theirs"):
        assert secret not in shown
        assert secret.encode() not in (tmp_path / "cryptolake.toml").read_bytes()
    text = (tmp_path / "cryptolake.toml").read_text()
    assert text.startswith("# mine\n")
    assert tomllib.loads(text) == {
        "workers": 3,
        "log_json": False,
        "days": 2,
        "granularity": "day",
        "start_date": date(2024, 12, 1),
        "data": "lake",
        "test_csu": "aave_v3_ethereum",
        "markets": ["aave_v3_ethereum", "compound_v3_eth_usdc"],
        "vendor_rates": {"defillama": 9},
    }
    assert (tmp_path / ".env.bak").read_text() == "# mine\nOTHER=kept\n"
    for name in (".env", ".env.bak"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert (tmp_path / "cryptolake.toml.bak").exists()
    planned = json.loads(cryptolake(tmp_path, "plan", "--json", CRYPTOLAKE_END_DATE="2024-12-02").stdout)
    assert planned["markets"] == ["aave_v3_ethereum", "compound_v3_eth_usdc"]
    assert (planned["start_date"], planned["end_date"]) == ("2024-12-01", "2024-12-02")
    assert (tmp_path / "lake").is_dir()


def test_a_refused_key_of_the_environment_is_named_and_ends_in_failure(tmp_path: Path) -> None:
    with Hostile(Node(chain_id=5)) as wrong:
        done = cryptolake(tmp_path, "init", "--yes", CRYPTOLAKE_RPC_ETHEREUM=wrong.url)
    assert done.returncode == 1
    assert "CRYPTOLAKE_RPC_ETHEREUM 1: refused" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert not (tmp_path / ".env").exists()


def test_an_alchemy_key_is_asked_for_its_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alchemy's host cannot be asked here: its address is replaced by a local server's, everything else is real."""
    ethereum = load_registry(declared()).chain("ethereum")
    with Hostile(Node(chain_id=ethereum.chain_id)) as right, Hostile(Node(chain_id=5)) as wrong:
        monkeypatch.setattr(
            keys, "alchemy_url", lambda _subdomain, key: right.url if key == "key-is-good" else wrong.url
        )
        assert keys.try_alchemy(ethereum, "key-is-good").verdict == "accepted"
        assert keys.try_alchemy(ethereum, "key-is-bad").verdict == "refused"
    assert keys.try_endpoint(ethereum, right.url).verdict == "not reachable", "the server is gone"
    assert keys.try_endpoint(ethereum, "no-url-at-all").verdict == "refused"


@pytest.mark.parametrize(
    "value", ["short", "has a blank", "two,of,them", "a#comment-like", 'quo"ted-key', "dollar${HOME}", ""]
)
def test_what_a_line_of_env_cannot_hold_is_refused(value: str) -> None:
    for one in keys.vendor_keys(find_sources()):
        tried = one.attempt(value, urls=dict.fromkeys(one.vendor.hosts, "http://127.0.0.1:1"), rates={})
        assert tried.verdict == "refused", "by its form, before anybody is asked"
        assert "copy it again" in tried.says


def test_days_on_the_command_line_count_back_whatever_the_file_fixes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cryptolake.toml").write_text("start_date = 2024-01-01\nend_date = 2024-12-31\n")
    assert load_settings().span() == (date(2024, 1, 1), date(2024, 12, 31))
    assert load_settings(days=2).span() == (date(2024, 12, 30), date(2024, 12, 31))


def test_configured_markets_join_sets_and_all_leaves_out_the_sandbox() -> None:
    registry = load_registry(declared())
    names = [one.name for one in configured(registry, ["aave_v3_metis"], ["thesis-43"])]
    assert names == sorted({"aave_v3_metis", *registry.sets["thesis-43"]})
    assert [one.name for one in configured(registry, ["all"], [])] == sorted(registry.csus)
    assert configured(registry, [], []) == []
    with pytest.raises(BadInput, match="unknown set"):
        configured(registry, [], ["thesis-44"])


PLAIN = st.one_of(
    st.none(),
    st.integers(0, 10**6),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
    st.lists(st.sampled_from(["thesis-43", "aave_v3_base", 'a"b']), max_size=3),
    st.dates(date(2015, 1, 1)),
)
DOCUMENTS = st.dictionaries(st.sampled_from(["days", "data", "sets", "start_date"]), PLAIN)


@given(DOCUMENTS, DOCUMENTS)
def test_a_merged_file_says_what_was_chosen_and_keeps_the_rest(
    before: dict[str, str | int | date | list[str] | None], chosen: dict[str, str | int | date | list[str] | None]
) -> None:
    own = '# a comment of mine\nother = "kept"\n\n[table]\ndays = "not the setting"\n'
    first = merged_toml(own, before)
    made = merged_toml(first, chosen)
    wanted = {name: value for name, value in {**before, **chosen}.items() if value is not None}
    assert tomllib.loads(made) == {"other": "kept", "table": {"days": "not the setting"}, **wanted}
    assert made.startswith("# a comment of mine\n")
    assert merged_toml(made, chosen) == made


def test_a_setting_over_several_lines_is_refused_before_anything_is_written() -> None:
    with pytest.raises(BadInput, match="one line"):
        merged_toml('sets = [\n  "a",\n]\n', {"sets": ["b"]})
    with pytest.raises(BadInput, match="correct that line"):
        merged_toml("days = = 3\n", {"days": 3})


def test_a_variable_is_changed_in_place_of_every_earlier_line() -> None:
    text = "A=1\nexport KEY=old\n# note\nKEY=older\nKEY_2=other\n"
    assert merged_env(text, {"KEY": "new"}) == "A=1\n# note\nKEY_2=other\nKEY=new\n"


def test_every_copy_of_what_was_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("one")
    kept = [replace_file(path, text, mode=0o600) for text in ("two", "two", "three")]
    assert [one and content(one) for one in kept] == ["one", None, "two"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
