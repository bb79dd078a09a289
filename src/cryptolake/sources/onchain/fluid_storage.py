"""Fluid's storage: where its packed words lie and what they mean. Arithmetic only; the family's programs are in `fluid`.

Layouts and rounding are those of the protocol's LiquiditySlotsLink, LiquidityCalcs and DexT1 variables.
"""

from __future__ import annotations

from cryptolake.net.abi import WORD, address_word, keccak

# Slots of the Liquidity contract; mappings are by token, the two last by user and token.
LIQUIDITY_PRICES, LIQUIDITY_TOTALS, LIQUIDITY_TOKENS = 5, 7, 10
LIQUIDITY_USER_SUPPLY, LIQUIDITY_USER_BORROW = 8, 9
# Slots of a DEX pool.
POOL_VARIABLES, POOL_SUPPLY_SHARES, POOL_BORROW_SHARES = 0, 2, 4

_PRICE_UNIT, _PERCENT, _RATIO_UNIT, _YEAR_S = 10**12, 10**4, 10**27, 365 * 24 * 3600


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


def held(packed: int, price: int) -> int:
    """What a user (a DEX pool) supplies or borrows of a token, at the side's exchange price; bit 0: with interest."""
    amount = _big(_bits(packed, 1, 64))
    return amount * price // _PRICE_UNIT if packed & 1 else amount


def shares(packed: int) -> int:
    """All supply or borrow shares of a pool."""
    return _bits(packed, 0, 128)


def pool_price(packed: int) -> int:
    """The last price of a pool's token1 per token0 in whole tokens, 1e27 = 1; 0 before the first."""
    return _big(_bits(packed, 41, 40))


def in_token0(amount0: int, amount1: int, price: int, decimals0: int, decimals1: int) -> int:
    """Two amounts of a pool's tokens as one of token0, token1 taken at the pool's price."""
    return amount0 + amount1 * _RATIO_UNIT * int(10**decimals0) // (price * int(10**decimals1))


def first_of_list(slot: int) -> int:
    """Where a dynamic array in `slot` keeps its first element."""
    return int.from_bytes(keccak(slot.to_bytes(WORD, "big")), "big")


def mapped(slot: int, *keys: str) -> int:
    """Where a mapping (of mappings) from addresses in `slot` keeps the value of `keys`."""
    for key in keys:
        slot = int.from_bytes(keccak(address_word(key) + slot.to_bytes(WORD, "big")), "big")
    return slot
