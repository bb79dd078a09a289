"""What every family's program returns, in raw integers: reserves, liquidations, bad debt. Scaling and USD are silver's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptolake.contracts.dead_tokens import DEAD


@dataclass(frozen=True, slots=True)
class Reserve:
    """One asset of a market at a block. All amounts are unscaled integers in the asset's own units.

    `supplied_raw` and `borrowed_raw` include interest up to the block. `price_raw / price_unit` is the protocol oracle's
    price of one whole token in `price_quote` ("usd", or the numeraire's address); None when the oracle has no price. The quote
    of a token that does not answer is `dead_token`.
    """

    asset: str
    symbol: str
    decimals: int
    supplied_raw: int
    borrowed_raw: int
    cash_raw: int
    collateral_raw: int
    price_raw: int | None
    price_unit: int | None
    price_quote: str


@dataclass(frozen=True, slots=True)
class Liquidation:
    """One liquidation event. `borrower` is None where the event does not name one; amounts are unscaled integers.

    As decoded, an asset may be a receipt token (a Compound cToken) and its amount shares; `settle` turns both into the
    underlying token's.
    """

    tx: str
    block: int
    block_hash: str
    log_index: int
    liquidator: str
    borrower: str | None
    collateral_asset: str
    collateral_amount_raw: int
    debt_asset: str
    debt_amount_raw: int
    extra: Mapping[str, str] = field(default_factory=dict)


BadDebtKind = Literal["created", "covered", "written_off"]


@dataclass(frozen=True, slots=True)
class BadDebt:
    """One event in which debt that nobody will repay is booked (`created`), made good later (`covered`), or lost at once.

    `asset` and `amount_raw` are the debt's, as decoded: the asset may be the contract that lent it. Where the event belongs
    to a liquidation, `part_of` is that one's log index, and the liquidation's debt asset is what it is counted in.
    """

    tx: str
    block: int
    block_hash: str
    log_index: int
    kind: BadDebtKind
    asset: str
    amount_raw: int
    borrower: str | None
    part_of: int | None = None

    def as_event(self) -> Liquidation:
        """The same as an event that seizes nothing, for `settle`: it tells the token behind the asset, and its facts."""
        return Liquidation(
            tx=self.tx,
            block=self.block,
            block_hash=self.block_hash,
            log_index=self.log_index,
            liquidator="",
            borrower=self.borrower,
            collateral_asset=self.asset,
            collateral_amount_raw=0,
            debt_asset=self.asset,
            debt_amount_raw=self.amount_raw,
            extra={"event": self.kind},
        )


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """Symbol, decimals and oracle price of an asset; price as in Reserve."""

    symbol: str
    decimals: int
    price_raw: int | None
    price_unit: int | None
    price_quote: str

    @classmethod
    def dead(cls, symbol: str, decimals: int = 0) -> AssetFacts:
        """The facts of a token that does not answer: no price, and decimals only where its market knows them."""
        return cls(symbol, decimals, None, None, DEAD)

    def reserve(self, asset: str, *, supplied: int, borrowed: int, cash: int, collateral: int = 0) -> Reserve:
        """The reserve of `asset`, whose facts these are, with these raw amounts."""
        return Reserve(
            asset=asset,
            symbol=self.symbol,
            decimals=self.decimals,
            supplied_raw=supplied,
            borrowed_raw=borrowed,
            cash_raw=cash,
            collateral_raw=collateral,
            price_raw=self.price_raw,
            price_unit=self.price_unit,
            price_quote=self.price_quote,
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """Events in the tokens' own units, as many and in the order given, and the facts of every asset they name."""

    events: Sequence[Liquidation]
    facts: Mapping[str, AssetFacts]
