"""`ToldLimits`: what the user says of one endpoint: whose it is, and ceilings that what is learned never goes beyond.

What does not belong here: what providers publish (registry) and what an endpoint teaches (endpoint, memory).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

if TYPE_CHECKING:
    from cryptolake.net.endpoint import Endpoint


def _number(value: object) -> object:
    """`true` is no number: taken for 1 it would ask for every block alone."""
    if isinstance(value, bool):
        raise ValueError("is a number, not true or false")
    return value


class ToldLimits(BaseModel):
    """Limits of one endpoint and who runs it, each None when the user does not say. A name that is none of them is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float | None = Field(None, gt=0, allow_inf_nan=False, description="calls (or the provider's units) a second")
    span: int | None = Field(None, ge=1, description="blocks of one eth_getLogs")
    batch: int | None = Field(None, ge=1, description="calls in one request")
    addresses: int | None = Field(None, ge=1, description="addresses of one eth_getLogs")
    archive: int | None = Field(
        None, ge=0, description="blocks behind the head whose state is kept; unset: as found out"
    )
    operator: str | None = Field(
        None,
        min_length=1,
        description="who runs it, where its host does not tell: endpoints of one operator are one voice, and one of an unknown "
        "operator is none of its own",
    )

    _require_numbers = field_validator("rate", "span", "batch", "addresses", "archive", mode="before")(_number)

    def applied(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint under these limits. Who runs a known host stays so: what is said of a place in a list adds a name."""
        limits = endpoint.limits
        if self.rate is not None:
            limits = replace(limits, rate=self.rate, told=True)
        if self.span is not None:
            limits = replace(limits, log_span=self.span, most_blocks=self.span)
        if self.batch is not None:
            limits = replace(limits, max_batch=self.batch)
        return replace(
            endpoint,
            operator=endpoint.operator or self.operator or "",
            called=(self.operator or "") if endpoint.operator else endpoint.called,
            limits=replace(limits, most_addresses=self.addresses or limits.most_addresses, archive=self.archive),
        )
