"""Chainlink feeds on a real node: scale read from the feed, time of the round, silence, and zero prices that are none."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from tests.chain.anvil import Anvil

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.net.abi import checksum, selector
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chainlink import Feed, feeds, named_tokens
from cryptolake.registry.chains import Chain
from cryptolake.silver.prices import choose
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.sources.chainlink import ChainlinkPrices
from cryptolake.sources.onchain.for_all import ForAll


def feed_code(decimals: int, answer: int, updated_at: int) -> str:
    """Runtime code of a feed that answers decimals() and latestRoundData() and reverts everything else."""
    code = bytes.fromhex("60003560e01c")  # the selector
    bodies = [
        (selector("decimals()"), [decimals]),
        (selector("latestRoundData()"), [7, answer % 2**256, updated_at, updated_at, 7]),
    ]
    size = len(code) + 11 * len(bodies) + 4
    blocks = b""
    for which, words in bodies:
        code += b"\x80\x63" + which + b"\x14\x61" + (size + len(blocks)).to_bytes(2, "big") + b"\x57"
        stores = b"".join(
            b"\x7f" + word.to_bytes(32, "big") + b"\x60" + bytes([32 * number]) + b"\x52"
            for number, word in enumerate(words)
        )
        blocks += b"\x5b" + stores + b"\x60" + bytes([32 * len(words)]) + b"\x60\x00\xf3"
    return "0x" + (code + bytes.fromhex("60006000")[:3] + b"\xfd" + blocks).hex()


def address(number: int) -> str:
    return checksum(f"{number:040x}")


@pytest.mark.chain
def test_every_feed_is_read_by_its_own_scale_and_time(anvil: Anvil) -> None:
    day = Period.of_day(datetime.fromtimestamp(anvil.timestamp(), UTC).date())
    noon = int(day.start.timestamp()) + 12 * 3600
    known = [
        Feed("local", address(1), "WETH", address(101), "ETH", "USD", True),
        Feed("local", address(2), "wstETH", address(102), "wstETH", "ETH", True),  # 18 decimals
        Feed("local", address(3), "WBTC", address(103), "BTC", "USD", True),
        Feed("local", address(3), "WBTC", address(104), "WBTC", "BTC", True),
        Feed("local", address(4), "DEAD", address(105), "DEAD", "USD", True),  # answers 0
        Feed("local", address(5), "LATE", address(106), "LATE", "USD", True),  # no contract there yet
        Feed("local", address(6), "MINUS", address(107), "MINUS", "USD", True),
    ]
    answers = {101: (8, 3400 * 10**8), 102: (18, 119 * 10**16), 103: (8, 95_000 * 10**8), 104: (8, 99 * 10**6)}
    answers |= {105: (8, 0), 107: (8, -5)}
    for number, (decimals, answer) in answers.items():
        anvil.rpc("anvil_setCode", address(number), feed_code(decimals, answer, noon))
    anvil.block(day.end.replace(hour=0, minute=0, second=0, microsecond=0), [])
    anvil.empty_blocks(3, 12)
    chain = Chain("local", 31337, multicall3_address="0xcA11bde05977b3631167028862bE2a173976CA11", multicall3_block=0)
    pool = Pool("local", 31337, [Endpoint("anvil", SecretUrl(anvil.url), Limits(rate=10_000))], Http())
    read = ForAll({"local": chain}, "one_voice", 0.0)
    source = ChainlinkPrices(chains={"local": chain}, pools=lambda _: pool, read=read, known=known)
    partition = Partition("chainlink_prices", "local", day)
    (raw,) = [answer for trip in source.trips([partition]) for answer in source.fetch(trip)]
    assert isinstance(raw, Raw), raw
    quotes = pl.DataFrame(list(source.parse(raw)), schema=QUOTES.polars_schema(), strict=False)
    assert QUOTES.violations(quotes) == []
    found = {(row["asset"], row["quote"]): row for row in quotes.iter_rows(named=True)}
    assert set(found) == {
        (address(1), "usd"), ("eth", "usd"), (address(2), "eth"), (address(3), "usd"), ("btc", "usd"), (address(3), "btc"),
    }  # fmt: skip
    assert found[address(2), "eth"]["quote_price"] == 1.19
    age = found[address(1), "usd"]["age_s"]
    assert age == raw.observed_at.timestamp() - noon
    wanted = quotes.filter(pl.col("chain") == "local").select("date", "chain", "asset").unique()
    chosen = {row["asset"]: row for row in choose(quotes, wanted).iter_rows(named=True)}
    assert chosen[address(2)]["price"] == pytest.approx(1.19 * 3400)
    assert chosen[address(3)]["price"] == pytest.approx(0.99 * 95_000), "the token's own feed knows of a lost peg"
    assert chosen[address(3)]["flag"] == "ok"
    assert not any(isinstance(one, Miss) for one in [raw])


def test_the_packaged_feeds_name_numeraires_once_per_token() -> None:
    assert len(feeds()) > 190
    assert all(checksum(feed.address) == feed.address for feed in feeds())
    assert named_tokens()["name"].unique().to_list() == ["eth"]
    assert named_tokens().select("chain", "asset").is_duplicated().sum() == 0
