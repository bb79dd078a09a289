"""A user's registry file: adding, overriding, and every mistake reported at once with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.loader import load_registry
from cryptolake.registry.markets import unit_number
from cryptolake.registry.rows import SECTIONS, read_rows
from cryptolake.sources.onchain.families import declared

POOL = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
MINE = "0x94099942864EA81cCF197E9D71ac53310b1468D8"

GOOD = f"""\
chains:
  mychain:
    chain_id: 424242
csus:
- name: my_market
  family: aave_v3
  chain: mychain
  entry:
    pool: '{MINE}'
  sandbox: true
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text, "utf-8")
    return file


def load(folder: Path, text: str) -> object:
    file = folder / "mine.yaml"
    file.write_text(text, "utf-8")
    return load_registry(declared(), file)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_rows_are_added_and_the_package_is_untouched(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    registry = load_registry(declared(), file)
    assert registry.csu("my_market").sandbox
    assert registry.csu("my_market").chain_id == 424242
    package = load_registry(declared()).csus
    assert set(registry.csus) - set(package) == {"my_market"}
    assert registry.csus == {**package, "my_market": registry.csus["my_market"]}


def test_a_market_keeps_its_number_and_no_two_share_one(tmp_path: Path) -> None:
    package = load_registry(declared()).csus
    assert len({one.number for one in package.values()}) == len(package)
    mine = load_registry(declared(), written(tmp_path, GOOD.replace("my_market", "aave_v3_ethereum"))).csus
    assert mine["aave_v3_ethereum"].number == package["aave_v3_ethereum"].number
    assert load_registry(declared(), written(tmp_path, GOOD)).csus["my_market"].number == unit_number("my_market")
    taken = package["aave_v3_ethereum"].number
    assert f"my_market and aave_v3_ethereum have the same number {taken}" in refused(
        tmp_path, GOOD + f"  number: {taken}\n"
    )
    for wrong in ("0", "-1", "1.5", "many", "null", "true", "1000000"):
        assert "must be a whole number from 1 to" in refused(tmp_path, GOOD + f"  number: {wrong}\n")


def test_a_row_of_the_same_name_overrides(tmp_path: Path) -> None:
    text = GOOD.replace("my_market", "aave_v3_ethereum").replace("mychain\n  entry", "ethereum\n  entry")
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("mychain:\n    chain_id: 424242", "base:\n    chain_id: 8453\n    block_time_s: 7"))
    registry = load_registry(declared(), file)
    assert registry.csu("aave_v3_ethereum").entry == {"pool": MINE}
    assert registry.chain("base").block_time_s == 7
    assert set(registry.csus) == set(load_registry(declared()).csus)


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    load(tmp_path, GOOD)
    load(tmp_path, GOOD.replace("my_market", "other_market"))
    assert "other_market" in load_registry(declared(), tmp_path / "mine.yaml").csus


@pytest.mark.parametrize("empty", ["", "# nothing yet\n", "csus: []\n", "csus:\nchains:\n"])
def test_an_empty_file_adds_nothing(tmp_path: Path, empty: str) -> None:
    (tmp_path / "mine.yaml").write_text(empty)
    assert load_registry(declared(), tmp_path / "mine.yaml") == load_registry(declared())


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (f"'{MINE}'", f"'{MINE.lower()}'", 5, ["EIP-55", MINE]),
        (f"'{MINE}'", MINE, 5, ["pool", "quotes"]),
        (f"'{MINE}'", "'0x1234'", 5, ["0x1234", "40"]),
        ("pool:", "pol:", 5, ["needs pool"]),
        ("family: aave_v3", "family: aave_v33", 5, ["aave_v33", "compound_v3"]),
        ("chain: mychain", "chain: mychian", 5, ["mychian"]),
        ("chain: mychain", "chain: mychain\n  chain_id: 1", 5, ["chain_id 1", "424242"]),
        ("sandbox: true", "status: single-source", 5, ["source"]),
        ("sandbox: true", "sandbox: true\n  status: sure", 5, ["sure", "verified"]),
        ("sandbox: true", "sandbox: perhaps", 5, ["true or false"]),
        ("sandbox: true", "sandbox: true\n  deployment: {date: '2024-02-30'}", 5, ["2024-02-30"]),
        ("sandbox: true", "sandbox: true\n  deployment: {block: soon}", 5, ["soon"]),
        ("sandbox: true", "sandbox: true\n  deployment: {block: -1}", 5, ["-1"]),
        ("sandbox: true", "sandbox: true\n  deploymnet: {block: 1}", 5, ["deploymnet", "deployment"]),
        ("sandbox: true", "sandbox: true\n  aliases: aave_v3_base", 5, ["aliases", "list"]),
        ("sandbox: true", "sandbox: true\n  aliases: [aave_v3_base]", 5, ["aave_v3_base", "already"]),
        ("sandbox: true", "sandbox: true\n  deployment: {blok: 1}", 5, ["blok", "block"]),
        ("sandbox: true", f"sandbox: true\n  base_token: {{address: '{MINE.lower()}'}}", 5, ["base_token", "EIP-55"]),
        (f"'{MINE}'", f"'{MINE}'\n    vaults: ['{MINE}', '{MINE}']", 5, [MINE, "vaults", "twice"]),
        ("my_market", "My-Market", 5, ["lower-case"]),
        ("chain_id: 424242", "chain_id: '424242'", 3, ["chain_id"]),
        ("chain_id: 424242", "chain_id: 1", 3, ["ethereum"]),
        ("chain_id: 424242", "chain_id: 424242\n    multicall3: {address: '0xabc'}", 3, ["0xabc"]),
        ("chain_id: 424242", "chain_id: 424242\n    block_time_s: -2", 3, ["block_time_s"]),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: list[str]) -> None:
    assert old in GOOD
    message = refused(tmp_path, GOOD.replace(old, new))
    # A line added to the chain moves the market; the row's own line is what counts.
    assert f"mine.yaml:{line}" in message
    for word in words:
        assert word in message


def test_every_fault_is_in_one_report(tmp_path: Path) -> None:
    text = GOOD.replace(MINE, MINE.lower()).replace("chain_id: 424242", "chain_id: no").replace("aave_v3", "aave_v9")
    message = refused(tmp_path, text + "- just text\n")
    for word in ("chain_id", "EIP-55", "aave_v9", "no mapping", "mine.yaml:3", "mine.yaml:5"):
        assert word in message
    assert "unknown chain" not in message, "the chain is known, only faulty"


def test_the_same_contract_under_two_names(tmp_path: Path) -> None:
    text = GOOD.replace(MINE, POOL).replace("chain: mychain", "chain: ethereum")
    assert "aave_v3_ethereum claim the same contract" in refused(tmp_path, text)


def test_one_name_twice(tmp_path: Path) -> None:
    again = GOOD[GOOD.index("- name") :].replace(MINE, checksum("0x" + "12" * 20))
    assert "my_market is listed twice" in refused(tmp_path, GOOD + again)
    assert "mine.yaml:4: not readable as YAML (the key 'mychain' is written twice)" in refused(
        tmp_path, GOOD.replace("csus:", "  mychain:\n    chain_id: 5\ncsus:")
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [("csus:\n  - name: x\n    family: [a\n", 4), ("csus:\n\t- name: x\n", 2), ("- a\n- b\n", 1), ("just words\n", 1)],
)
def test_malformed_yaml_names_the_line(tmp_path: Path, text: str, line: int) -> None:
    assert f"mine.yaml:{line}:" in refused(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["csus:\n- deployment: {date: 2024-13-45}\n", "csus:\n- name: \x07\n", "csus: {a: 1}\n"]
)
def test_odd_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    assert "mine.yaml" in refused(tmp_path, text)


def test_an_unknown_section_names_the_near_miss(tmp_path: Path) -> None:
    assert "did you mean 'csus'" in refused(tmp_path, "csu:\n- name: x\n")


def test_absent_directory_and_binary_files(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("none.yaml", ".", "binary"):
        with pytest.raises(BadInput, match="CRYPTOLAKE_REGISTRY"):
            load_registry(declared(), tmp_path / name)


@given(st.text(max_size=200))
def test_any_text_is_rows_faults_or_bad_input(text: str) -> None:
    try:
        rows = read_rows("any.yaml", text, [])
    except BadInput as error:
        rows = {section: [] for section in SECTIONS} if str(error).startswith("any.yaml") else {}
    assert set(rows) == set(SECTIONS)


def test_a_chain_of_ones_own_says_how_its_receipts_are_hashed(tmp_path: Path) -> None:
    rule = "chain_id: 424242\n    receipts: {rule: op_stack, why: my own node runs op-geth}"
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD.replace("chain_id: 424242", rule))
    assert load_registry(declared(), file).chain("mychain").receipts == "op_stack"
    file.write_text(GOOD)
    assert load_registry(declared(), file).chain("mychain").receipts is None


@pytest.mark.parametrize(
    "wrong", ["op_stack", "{rule: opstack, why: who knows}", "{rule: standard}", "[standard]", "{why: so}"]
)
def test_a_rule_of_receipts_that_is_none_is_told(tmp_path: Path, wrong: str) -> None:
    said = refused(tmp_path, GOOD.replace("chain_id: 424242", f"chain_id: 424242\n    receipts: {wrong}"))
    assert "mychain" in said
    assert "not_supported" in said
