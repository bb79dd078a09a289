"""Family `fluid`: Instadapp Fluid and its licensed copies (Venus Flux). I/O-free programs.

Reads the storage of the Liquidity contract, where all tokens of all layers (fTokens, vaults, DEX pools) lie, and the vault
factory: both exist from day one, the resolvers everyone else reads are redeployed again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_at, call_data, topic, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import MULTICALL3, Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import fluid_storage as storage
from cryptolake.sources.onchain.answers import (
    CLOCK,
    address_of,
    block_time,
    count_of,
    token_facts,
    uint_of,
    uint_or_none,
)
from cryptolake.sources.onchain.events import check_layout, liquidation
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "The Liquidity layer as a whole, per token: supplied and borrowed = its totals (with and without interest) at the "
    "exchange prices accrued to the block, as LiquidityCalcs does; vault collateral and DEX liquidity are part of "
    "supplied, therefore collateral = 0, and fTokens are not added: they would count twice. cash = the contract's "
    "balance, for weETH and weETHs on Ethereum with what it stakes at Zircuit. The protocol has no price in a currency "
    "(each vault's oracle gives debt per collateral), so price is null. Liquidations are the vaults' LogLiquidate events: "
    "no borrower, for positions are liquidated by tick. With smart collateral or smart debt the event counts shares of a "
    "DEX pool: they become what the shares hold at the snapshot block, as one amount of the pool's first token, the second "
    "taken at the pool's own last price; shares and both amounts are in `extra`. LogAbsorb is not a liquidation."
)
PRIMARY_ENTRY = "liquidity"
_RESOLVERS = ("liquidity_resolver", "dex_reserves_resolver", "vault_t1_resolver", "lending_factory")
ANCHORS = (
    *(
        Anchor(role, "LIQUIDITY()", "address", "liquidity", lasting=role == "lending_factory")  # resolvers are replaced
        for role in _RESOLVERS
    ),
    Anchor("lending_factory", "allTokens()", "list"),
    Anchor("vault_factory", "totalVaults()", "count", lasting=True),
    Anchor("vault_factory", "getVaultAddress(uint256)", "address", "first_vault", (1,), lasting=True),
    Anchor("first_vault", "constantsView()", "address", "liquidity", lasting=True),
    Anchor("lending_resolver", "LENDING_FACTORY()", "address", "lending_factory"),
    Anchor("vault_resolver", "FACTORY()", "address", "vault_factory"),
    Anchor("dex_reserves_resolver", "FACTORY()", "address", "dex_factory"),
)
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=False)

LOG_LIQUIDATE = topic("LogLiquidate(address,uint256,uint256,address)")

NATIVE = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"
_NATIVE_SYMBOLS = {56: "BNB", 137: "POL", 9745: "XPL"}  # by chain id; ETH elsewhere
_NATIVE_DECIMALS = _SHARE_DECIMALS = 18

# Ethereum: these tokens are staked at Zircuit by the Liquidity contract itself, balance(token, staker).
_ZIRCUIT = "0xF047ab4c75cebf0eB9ed34Ae2c186f3611aEAfa6"
_STAKED = {"0xCd5fE23C85820F7B72D0926FC9b05b43E359b7ee", "0x917ceE801a67f933F2e6b33fC0cD1ED2d5909D88"}

# constantsView() of a T1 vault has 13 words; of the later common vault 18, with the vault's type and both DEX pools.
_T1_WORDS, _COMMON_WORDS = 13, 18
_SMART_COLLATERAL, _SMART_DEBT = {20000, 40000}, {30000, 40000}


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every listed token: three rounds for the count, the list, and the packed words with balances."""
    liquidity = csu.entry["liquidity"]
    length, clock = yield [
        _read(liquidity, storage.LIQUIDITY_TOKENS),
        CLOCK,
    ]
    count = count_of(length, f"{csu.name}: the list of tokens")
    first = storage.first_of_list(storage.LIQUIDITY_TOKENS)
    listed = yield [_read(liquidity, first + number) for number in range(count)]
    tokens = [address_of(one, f"{csu.name}: token of the list") for one in listed]

    calls = [call for token in tokens for call in _token_calls(csu, liquidity, token)]
    answers = iter((yield calls))
    now = block_time(csu, clock)
    return [_reserve(csu, token, now, [next(answers) for _ in _token_calls(csu, liquidity, token)]) for token in tokens]


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """Every vault of the factory emits its own liquidations."""
    factory = csu.entry["vault_factory"]
    (answer,) = yield [Call(factory, call_data("totalVaults()"))]
    count = count_of(answer, f"{csu.name}: VaultFactory.totalVaults")
    answers = yield [Call(factory, call_data("getVaultAddress(uint256)", number + 1)) for number in range(count)]
    vaults = [address_of(one, f"{csu.name}: VaultFactory.getVaultAddress") for one in answers]
    return [LogFilter(vault, frozenset({LOG_LIQUIDATE})) for vault in vaults]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """LogLiquidate(liquidator, collateral, debt, to), nothing indexed; both assets are the vault until `settle`."""
    return [_liquidation(csu, log) for log in logs if log.topics[0] == LOG_LIQUIDATE]


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """The tokens of the events' vaults, shares of DEX pools as the pool's first token; the protocol has no prices."""
    vaults = sorted({event.extra["vault"] for event in events})
    answers = yield [Call(vault, call_data("constantsView()")) for vault in vaults]
    sides = {vault: _sides(csu, vault, answer) for vault, answer in zip(vaults, answers, strict=True)}
    pools = sorted({side for pair in sides.values() for side in pair if side.pool}, key=repr)
    tokens = sorted({token for pair in sides.values() for side in pair for token in side.tokens} - {NATIVE})
    pool_calls = [_pool_calls(csu, side) for side in pools]
    answered = iter(
        (
            yield [
                *(Call(token, call_data(what)) for token in tokens for what in ("symbol()", "decimals()")),
                *(call for calls in pool_calls for call in calls),
            ]
        )
    )
    facts = {NATIVE: AssetFacts(_native_symbol(csu), _NATIVE_DECIMALS, None, None, "usd")}
    for token in tokens:
        symbol, decimals = next(answered), next(answered)
        facts[token] = token_facts(token, symbol, decimals, None, None, "usd")
    contents = {
        side: _content(csu, side, [next(answered) for _ in calls])
        for side, calls in zip(pools, pool_calls, strict=True)
    }
    settled = []
    for event in events:
        collateral, debt = sides[event.extra["vault"]]
        extra = dict(event.extra)
        seized = _in_tokens(collateral, "collateral", event.collateral_amount_raw, contents, facts, extra)
        repaid = _in_tokens(debt, "debt", event.debt_amount_raw, contents, facts, extra)
        settled.append(
            replace(
                event,
                collateral_asset=seized[0],
                collateral_amount_raw=seized[1],
                debt_asset=repaid[0],
                debt_amount_raw=repaid[1],
                extra=extra,
            )
        )
    return Settled(settled, facts)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a vault: its token, or a DEX pool's two tokens, the pool, and whether its shares are of debt."""

    tokens: tuple[str, ...]
    pool: str = ""
    borrows: bool = False


@dataclass(frozen=True, slots=True)
class _Content:
    """What all shares of one side of a pool stand for: how many there are, both tokens' amounts, the pool's price."""

    shares: int
    amounts: tuple[int, int]
    price: int


def _pool_calls(csu: Csu, side: _Side) -> list[Call]:
    """The block's time, the pool's price and shares; then per token its exchange prices and what the pool has of it."""
    liquidity = csu.entry["liquidity"]
    users = storage.LIQUIDITY_USER_BORROW if side.borrows else storage.LIQUIDITY_USER_SUPPLY
    calls = [
        CLOCK,
        _read(side.pool, storage.POOL_VARIABLES),
        _read(side.pool, storage.POOL_BORROW_SHARES if side.borrows else storage.POOL_SUPPLY_SHARES),
    ]
    for token in side.tokens:
        calls.append(_read(liquidity, storage.mapped(storage.LIQUIDITY_PRICES, token)))
        calls.append(_read(liquidity, storage.mapped(users, side.pool, token)))
    return calls


def _content(csu: Csu, side: _Side, answers: Sequence[CallResult]) -> _Content:
    words = [uint_of(one, f"{csu.name}: DEX pool {side.pool}") for one in answers[1:]]
    now = block_time(csu, answers[0])
    amounts = []
    for packed, user in zip(words[2::2], words[3::2], strict=True):
        amounts.append(storage.held(user, _exchange_prices(csu, side.pool, packed, now)[side.borrows]) if user else 0)
    return _Content(storage.shares(words[1]), (amounts[0], amounts[1]), storage.pool_price(words[0]))


def _in_tokens(
    side: _Side,
    name: str,
    amount: int,
    contents: Mapping[_Side, _Content],
    facts: dict[str, AssetFacts],
    extra: dict[str, str],
) -> tuple[str, int]:
    """The asset and amount of one side of an event; what was computed from shares is told in `extra`."""
    if not side.pool:
        return side.tokens[0], amount
    content = contents[side]
    first, second = (facts[token] for token in side.tokens)
    extra |= {f"{name}_pool": side.pool, f"{name}_shares": str(amount), f"{name}_tokens": " ".join(side.tokens)}
    if not content.shares or not content.price:  # an emptied pool: its shares stand for themselves
        facts[side.pool] = AssetFacts(f"{first.symbol}/{second.symbol} DEX", _SHARE_DECIMALS, None, None, "usd")
        return side.pool, amount
    parts = [held * amount // content.shares for held in content.amounts]
    extra[f"{name}_tokens_raw"] = f"{parts[0]} {parts[1]}"
    return side.tokens[0], storage.in_token0(parts[0], parts[1], content.price, first.decimals, second.decimals)


def _sides(csu: Csu, vault: str, answer: CallResult) -> tuple[_Side, _Side]:
    data = answer.need(f"{csu.name}: constantsView of vault {vault}")
    if len(data) == _T1_WORDS * WORD:
        return _Side((address_at(data, 4),)), _Side((address_at(data, 5),))
    if len(data) != _COMMON_WORDS * WORD:
        raise Skip(
            f"{csu.name}: constantsView of vault {vault} has {counted(len(data), 'byte')}, 416 or 576 known",
            reason="layout",
        )
    kind = word(data, 13)
    found = []
    for smart, pool, first in ((kind in _SMART_COLLATERAL, 6, 8), (kind in _SMART_DEBT, 7, 10)):
        tokens = tuple(address_at(data, first + place) for place in range(2 if smart else 1))
        found.append(_Side(tokens, address_at(data, pool), borrows=pool == 7) if smart else _Side(tokens))
    return found[0], found[1]


def _liquidation(csu: Csu, log: Log) -> Liquidation:
    check_layout(csu, log, "LogLiquidate", topics=1, words=4)
    return liquidation(
        log,
        liquidator=address_at(log.data, 0),
        borrower=None,
        seized=(log.address, word(log.data, 1)),
        repaid=(log.address, word(log.data, 2)),
        extra={"vault": log.address, "to": address_at(log.data, 3)},
    )


def _read(liquidity: str, slot: int) -> Call:
    return Call(liquidity, call_data("readFromStorage(bytes32)", slot))


def _exchange_prices(csu: Csu, where: str, packed: int, now: int) -> tuple[int, int]:
    try:
        return storage.exchange_prices(packed, now)
    except ValueError as error:
        raise Skip(f"{csu.name}: {where} has {error}", reason="layout") from None


def _token_calls(csu: Csu, liquidity: str, token: str) -> list[Call]:
    """Packed prices, packed totals, what is held; then for a token its symbol and decimals, and what is staked."""
    slots = (storage.LIQUIDITY_PRICES, storage.LIQUIDITY_TOTALS)
    calls = [_read(liquidity, storage.mapped(slot, token)) for slot in slots]
    if token == NATIVE:
        return [*calls, Call(MULTICALL3, call_data("getEthBalance(address)", liquidity))]
    calls.append(Call(token, call_data("balanceOf(address)", liquidity)))
    calls += [Call(token, call_data(what)) for what in ("symbol()", "decimals()")]
    if csu.chain_id == 1 and token in _STAKED:
        calls.append(Call(_ZIRCUIT, call_data("balance(address,address)", token, liquidity)))
    return calls


def _reserve(csu: Csu, token: str, now: int, answers: Sequence[CallResult]) -> Reserve:
    prices, amounts = (
        uint_of(one, f"{csu.name}: {what} of {token}")
        for one, what in zip(answers, ("exchange prices", "totals"), strict=False)
    )
    facts, balance = AssetFacts(_native_symbol(csu), _NATIVE_DECIMALS, None, None, "usd"), uint_or_none(answers[2])
    if token != NATIVE:
        facts = token_facts(token, answers[3], answers[4], None, None, "usd")
        if balance is None:
            facts = AssetFacts.dead(facts.symbol, facts.decimals)
        elif answers[5:]:
            balance += uint_or_none(answers[5]) or 0  # before Zircuit existed nothing was staked there
    elif balance is None:
        raise Skip(f"{csu.name}: Multicall3 does not tell the coins that are held", reason="revert")
    supplied = borrowed = 0
    if amounts:
        supplied, borrowed = storage.totals(amounts, *_exchange_prices(csu, token, prices, now))
    return facts.reserve(token, supplied=supplied, borrowed=borrowed, cash=balance or 0)


def _native_symbol(csu: Csu) -> str:
    return _NATIVE_SYMBOLS.get(csu.chain_id, "ETH")
