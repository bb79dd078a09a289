"""How a chain's receipts are encoded for the root in its headers: the words of registry and proof."""

from __future__ import annotations

from typing import Final, Literal, get_args

ReceiptRule = Literal["standard", "op_stack"]
"""`standard`: Ethereum's types 0 to 4. `op_stack`: those, and deposits (type 0x7e). Chains of other rules have neither."""

RECEIPT_RULES: Final[tuple[ReceiptRule, ...]] = get_args(ReceiptRule)
NOT_SUPPORTED: Final = "not_supported"
