"""The Chainlink feeds: complete, typed, and every mistake in the file named with its line."""

from __future__ import annotations

import csv
import io
from importlib.resources import files

import pytest

from cryptolake.errors import BadInput
from cryptolake.registry.chainlink import feeds, named_tokens, read_feeds

TEXT = (files("cryptolake.registry") / "data" / "chainlink_feeds.csv").read_text("utf-8")
HEAD, FIRST = TEXT.splitlines()[:2]
AAVE = "0x7Fc66500c84A76Ad7e9c93437bFc5Ac33E2DDaE9"


def test_every_feed_is_there_and_typed() -> None:
    every = feeds()
    rows = list(csv.DictReader(io.StringIO(TEXT)))
    pairs = [row for row in rows if " / " in row["pair"]]
    assert len(every) == len(pairs), "a row that names no pair (Ronin's) is no feed"
    assert {feed.chain for feed in every} == {row["chain"] for row in pairs}
    assert {feed.decimals for feed in every} == {8, 18}
    assert all(feed.sources for feed in every)
    assert not any(feed.quote == "USD" and feed.decimals == 18 for feed in every if feed.decimals_certain)


def test_a_token_can_be_priced_in_several_quotes() -> None:
    in_eth, in_usd = sorted(
        [one for one in feeds() if (one.chain, one.token) == ("ethereum", AAVE)],
        key=lambda feed: feed.decimals,
        reverse=True,
    )
    assert (in_usd.quote, in_usd.decimals, in_usd.decimals_certain) == ("USD", 8, True)
    assert (in_eth.quote, in_eth.decimals, in_eth.decimals_certain) == ("ETH", 18, False)
    assert in_usd.address == "0x547a514d5e3769680Ce22B2361c10Ea13619e8a9"
    assert len(in_usd.sources) == 2


def test_wrapped_ether_stands_for_eth_and_nothing_for_btc() -> None:
    named = named_tokens()
    assert set(named["name"]) == {"eth"}
    assert ("ethereum", "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "eth") in named.rows()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ethereum,", "etherium,", "unknown chain 'etherium'"),
        (AAVE, AAVE.lower(), "EIP-55"),
        (AAVE, "0x12", "no address"),
        ("AAVE / ETH", "AAVE/ETH", "ETH / USD"),
        (",18,", ",many,", "whole number"),
        (",single-source,", ",sure,", "status 'sure'"),
        (",,single-source", ",soon,single-source", "heartbeat_s"),
        ("npm @aave-dao/aave-address-book 4.68.1 src/ChainlinkEthereum.sol", "", "source"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, words: str) -> None:
    assert old in FIRST
    with pytest.raises(BadInput, match=r"chainlink_feeds\.csv:2") as caught:
        read_feeds(f"{HEAD}\n{FIRST.replace(old, new)}\n", {"ethereum"})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pair_twice_a_short_row_and_other_columns() -> None:
    with pytest.raises(BadInput, match="line 2 already"):
        read_feeds("\n".join([HEAD, FIRST, FIRST]), {"ethereum"})
    with pytest.raises(BadInput, match="11 cells"):
        read_feeds(f"{HEAD}\nethereum,{AAVE}\n", {"ethereum"})
    with pytest.raises(BadInput, match="columns"):
        read_feeds("chain,token\n", {"ethereum"})
