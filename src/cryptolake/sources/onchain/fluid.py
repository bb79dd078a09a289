"""Family `fluid`: Instadapp Fluid and its licensed copies (Venus Flux). I/O-free programs.

Reads the storage of the Liquidity contract, where all tokens of all layers (fTokens, vaults, DEX pools) lie, and the vault
factory: both exist from day one, the resolvers everyone else reads are redeployed again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_at, address_word, call_data, keccak, text, topic, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import MULTICALL3, Call, Program, Result
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "The Liquidity layer as a whole, per token: supplied and borrowed = its totals (with and without interest) at the "
    "exchange prices accrued to the block, as LiquidityCalcs does; vault collateral and DEX liquidity are part of "
    "supplied, therefore collateral = 0, and fTokens are not added: they would count twice. cash = the contract's "
    "balance, for weETH and weETHs on Ethereum with what it stakes at Zircuit. The protocol has no price in a currency "
    "(each vault's oracle gives debt per collateral), so price is null. Liquidations are the vaults' LogLiquidate events: "
    "no borrower, for positions are liquidated by tick. With smart collateral or smart debt the asset is the DEX pool and "
    "the amount its shares (18 decimals), the pool's tokens are in `extra`. LogAbsorb is not a liquidation."
)

LOG_LIQUIDATE = topic("LogLiquidate(address,uint256,uint256,address)")

NATIVE = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"
_NATIVE_SYMBOLS = {56: "BNB", 137: "POL", 9745: "XPL"}  # by chain id; ETH elsewhere
_NATIVE_DECIMALS = _SHARE_DECIMALS = 18

# Storage slots of the Liquidity contract (LiquiditySlotsLink).
_EXCHANGE_PRICES, _TOTAL_AMOUNTS, _LISTED_TOKENS = 5, 7, 10
_MOST_TOKENS = 10_000  # a longer list is no list but another layout

# Ethereum: these tokens are staked at Zircuit by the Liquidity contract itself, balance(token, staker).
_ZIRCUIT = "0xF047ab4c75cebf0eB9ed34Ae2c186f3611aEAfa6"
_STAKED = {"0xCd5fE23C85820F7B72D0926FC9b05b43E359b7ee", "0x917ceE801a67f933F2e6b33fC0cD1ED2d5909D88"}

_PRICE_UNIT, _PERCENT, _RATIO_UNIT, _YEAR_S = 10**12, 10**4, 10**27, 365 * 24 * 3600

# constantsView() of a T1 vault has 13 words; of the later common vault 18, with the vault's type and both DEX pools.
_T1_WORDS, _COMMON_WORDS = 13, 18
_SMART_COLLATERAL, _SMART_DEBT = {20000, 40000}, {30000, 40000}


def exchange_prices(packed: int, now: int) -> tuple[int, int]:
    """Supply and borrow exchange price (1e12 = 1) at `now` from the packed word, rounded as LiquidityCalcs rounds.

    Raises ValueError when a stored price is 0, as the contract reverts then.
    """
    supply, borrow = _bits(packed, 91, 64), _bits(packed, 155, 64)
    if not supply or not borrow:
        raise ValueError("an exchange price of 0")
    rate, passed = _bits(packed, 0, 16), now - _bits(packed, 58, 33)
    supply_ratio, borrow_ratio = _bits(packed, 219, 15), _bits(packed, 234, 15)
    if not passed or not rate or borrow_ratio == 1:  # nobody pays interest
        return supply, borrow
    borrow += borrow * rate * passed // (_YEAR_S * _PERCENT)
    if supply_ratio == 1:  # nobody earns interest
        return supply, borrow
    utilisation = _bits(packed, 30, 14)
    # A ratio's first bit says which of the two sides, with and without interest, is the divisor: the bigger one.
    if supply_ratio & 1:
        earning = utilisation * (_RATIO_UNIT + _RATIO_UNIT * _PERCENT // (supply_ratio >> 1)) // _PERCENT
    else:
        earning = _RATIO_UNIT * utilisation * (_PERCENT + (supply_ratio >> 1)) // _PERCENT**2
    half = borrow_ratio >> 1
    paying = half * _RATIO_UNIT // (_PERCENT + half)
    if not borrow_ratio & 1:
        paying = _RATIO_UNIT - paying
    yielding = _PERCENT * earning * paying // _RATIO_UNIT**2
    supply_rate = rate * yielding * (_PERCENT - _bits(packed, 16, 14))
    return supply + supply * supply_rate * passed // (_YEAR_S * _PERCENT**3), borrow


def totals(packed: int, supply_price: int, borrow_price: int) -> tuple[int, int]:
    """Supplied and borrowed in token units from the packed totals: each side with interest at its price, plus without."""
    supply_raw, supply_free, borrow_raw, borrow_free = (_big(_bits(packed, at, 64)) for at in (0, 64, 128, 192))
    return (
        supply_raw * supply_price // _PRICE_UNIT + supply_free,
        borrow_raw * borrow_price // _PRICE_UNIT + borrow_free,
    )


def _bits(packed: int, start: int, length: int) -> int:
    return packed >> start & (1 << length) - 1


def _big(number: int) -> int:
    """A BigNumber: 56 bits of coefficient, 8 of exponent."""
    return number >> 8 << (number & 0xFF)


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every listed token: three rounds for the count, the list, and the packed words with balances."""
    liquidity = csu.entry["liquidity"]
    counted, clock = yield [
        _read(liquidity, _LISTED_TOKENS),
        Call(MULTICALL3, call_data("getCurrentBlockTimestamp()")),
    ]
    count = word(counted.need(f"{csu.name}: the list of tokens"), 0)
    if not clock.success or clock.empty:
        raise Skip(f"{csu.name}: Multicall3 does not tell the block's time on {csu.chain}", reason="no_timestamp")
    if count > _MOST_TOKENS:
        raise Skip(f"{csu.name}: {count} listed tokens: the storage has another layout", reason="layout")
    first = int.from_bytes(keccak(_LISTED_TOKENS.to_bytes(WORD, "big")), "big")
    listed = yield [_read(liquidity, first + number) for number in range(count)]
    tokens = [address_at(one.need(f"{csu.name}: token of the list"), 0) for one in listed]

    calls = [call for token in tokens for call in _token_calls(csu, liquidity, token)]
    answers = iter((yield calls))
    now = word(clock.data, 0)
    return [_reserve(csu, token, now, [next(answers) for _ in _token_calls(csu, liquidity, token)]) for token in tokens]


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """Every vault of the factory emits its own liquidations."""
    factory = csu.entry["vault_factory"]
    (answer,) = yield [Call(factory, call_data("totalVaults()"))]
    count = word(answer.need(f"{csu.name}: VaultFactory.totalVaults"), 0)
    answers = yield [Call(factory, call_data("getVaultAddress(uint256)", number + 1)) for number in range(count)]
    vaults = [address_at(one.need(f"{csu.name}: VaultFactory.getVaultAddress"), 0) for one in answers]
    return [LogFilter(vault, frozenset({LOG_LIQUIDATE})) for vault in vaults]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """LogLiquidate(liquidator, collateral, debt, to), nothing indexed; both assets are the vault until `settle`."""
    return [_liquidation(csu, log) for log in logs if log.topics[0] == LOG_LIQUIDATE]


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """The tokens, or DEX pools, of the events' vaults and their facts; the protocol has no prices."""
    vaults = sorted({event.extra["vault"] for event in events})
    answers = yield [Call(vault, call_data("constantsView()")) for vault in vaults]
    sides = {vault: _sides(csu, vault, answer) for vault, answer in zip(vaults, answers, strict=True)}
    tokens = sorted({token for pair in sides.values() for side in pair for token in side.tokens})
    plain = [token for token in tokens if token != NATIVE]
    described = yield [Call(token, call_data(what)) for token in plain for what in ("symbol()", "decimals()")]
    facts = {NATIVE: AssetFacts(_native_symbol(csu), _NATIVE_DECIMALS, None, None, "usd")}
    for token, symbol, decimals in zip(plain, described[::2], described[1::2], strict=True):
        places = word(decimals.need(f"{csu.name}: decimals of {token}"), 0)
        facts[token] = AssetFacts(_symbol(symbol, token), places, None, None, "usd")
    for pair in sides.values():
        for side in pair:
            if side.asset not in facts:  # a DEX pool
                name = "/".join(facts[token].symbol for token in side.tokens)
                facts[side.asset] = AssetFacts(f"{name} DEX", _SHARE_DECIMALS, None, None, "usd")
    settled = []
    for event in events:
        collateral, debt = sides[event.extra["vault"]]
        extra = {**event.extra, **collateral.described("collateral"), **debt.described("debt")}
        settled.append(replace(event, collateral_asset=collateral.asset, debt_asset=debt.asset, extra=extra))
    return Settled(settled, facts)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a vault: its token, or the DEX pool whose shares it holds and the pool's two tokens."""

    asset: str
    tokens: tuple[str, ...]

    def described(self, side: str) -> dict[str, str]:
        return {} if self.tokens == (self.asset,) else {f"{side}_tokens": " ".join(self.tokens)}


def _sides(csu: Csu, vault: str, answer: Result) -> tuple[_Side, _Side]:
    data = answer.need(f"{csu.name}: constantsView of vault {vault}")
    if len(data) == _T1_WORDS * WORD:
        collateral, debt = address_at(data, 4), address_at(data, 5)
        return _Side(collateral, (collateral,)), _Side(debt, (debt,))
    if len(data) != _COMMON_WORDS * WORD:
        raise Skip(
            f"{csu.name}: constantsView of vault {vault} has {len(data)} bytes, 416 or 576 known", reason="layout"
        )
    kind = word(data, 13)

    def side(smart: bool, pool: int, first: int) -> _Side:
        token = address_at(data, first)
        return _Side(address_at(data, pool), (token, address_at(data, first + 1))) if smart else _Side(token, (token,))

    return side(kind in _SMART_COLLATERAL, 6, 8), side(kind in _SMART_DEBT, 7, 10)


def _liquidation(csu: Csu, log: Log) -> Liquidation:
    if len(log.topics) != 1 or len(log.data) != 4 * WORD:
        raise Skip(f"{csu.name}: LogLiquidate in {log.tx} has an unknown layout", reason="layout")
    return Liquidation(
        tx=log.tx,
        block=log.block,
        block_hash=log.block_hash,
        log_index=log.index,
        liquidator=address_at(log.data, 0),
        borrower=None,
        collateral_asset=log.address,
        collateral_amount_raw=word(log.data, 1),
        debt_asset=log.address,
        debt_amount_raw=word(log.data, 2),
        extra={"vault": log.address, "to": address_at(log.data, 3)},
    )


def _read(liquidity: str, slot: int) -> Call:
    return Call(liquidity, call_data("readFromStorage(bytes32)", slot))


def _mapped(token: str, slot: int) -> int:
    """Where a mapping from address in `slot` keeps the value of `token`."""
    return int.from_bytes(keccak(address_word(token) + slot.to_bytes(WORD, "big")), "big")


def _token_calls(csu: Csu, liquidity: str, token: str) -> list[Call]:
    """Packed prices, packed totals, what is held; then for a token its symbol and decimals, and what is staked."""
    calls = [_read(liquidity, _mapped(token, slot)) for slot in (_EXCHANGE_PRICES, _TOTAL_AMOUNTS)]
    if token == NATIVE:
        return [*calls, Call(MULTICALL3, call_data("getEthBalance(address)", liquidity))]
    calls.append(Call(token, call_data("balanceOf(address)", liquidity)))
    calls += [Call(token, call_data(what)) for what in ("symbol()", "decimals()")]
    if csu.chain_id == 1 and token in _STAKED:
        calls.append(Call(_ZIRCUIT, call_data("balance(address,address)", token, liquidity)))
    return calls


def _reserve(csu: Csu, token: str, now: int, answers: Sequence[Result]) -> Reserve:
    prices, amounts, balance = (
        word(one.need(f"{csu.name}: {what} of {token}"), 0)
        for one, what in zip(answers, ("exchange prices", "totals", "balance"), strict=False)
    )
    symbol, decimals = _native_symbol(csu), _NATIVE_DECIMALS
    if token != NATIVE:
        symbol = _symbol(answers[3], token)
        decimals = word(answers[4].need(f"{csu.name}: decimals of {token}"), 0)
        if answers[5:] and answers[5].success and answers[5].data:  # before Zircuit existed nothing was staked there
            balance += word(answers[5].data, 0)
    supplied = borrowed = 0
    if amounts:
        try:
            supplied, borrowed = totals(amounts, *exchange_prices(prices, now))
        except ValueError as error:
            raise Skip(f"{csu.name}: {token} has {error}", reason="layout") from None
    return Reserve(token, symbol, decimals, supplied, borrowed, balance, 0, None, None, "usd")


def _symbol(answer: Result, token: str) -> str:
    """The token's symbol, or its short address where it has none."""
    return text(answer.data) if answer.success and answer.data else f"{token[:6]}..{token[-4:]}"


def _native_symbol(csu: Csu) -> str:
    return _NATIVE_SYMBOLS.get(csu.chain_id, "ETH")
