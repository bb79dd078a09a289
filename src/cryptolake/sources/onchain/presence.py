"""Whether a market is really absent at a block. Absence lasts for ever in the ledger, so it is never taken from one voice.

A market is absent when none of the contracts of its beginning has code there, as two voices say or, with one voice, while the
row does not contradict it; and when they have code by now, for an address that never has any is no market to come. What does
not belong here: what a market that is there answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import CryptolakeError, Retry, Skip
from cryptolake.net.answers import data
from cryptolake.net.besides import another_endpoint, another_voice
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.faults import Malformed
from cryptolake.net.rpc import Pool
from cryptolake.registry.anchors import addresses
from cryptolake.registry.family import FamilyFacts
from cryptolake.registry.markets import Csu


def settled_absence(
    pool: Pool, csu: Csu, family: FamilyFacts, block: BlockIdentity, said: Skip, alive_at: int | None = None
) -> CryptolakeError:
    """The error of a market whose program found no contract at a block: `said`, once its absence is settled; else why not.

    `alive_at`: a block at which it did answer.
    """
    began = [one for role in family.began_as(csu.entry) for one in addresses(csu, role)]
    if not began:
        return Skip(f"{said}; its row names no contract that could be looked for", reason="identity")
    try:
        if any(_codes(pool, began, block.number)):
            return Skip(
                f"{said}, but its entry contract is there: it is another contract than the row means, or one that it needs "
                "is missing (cryptolake markets check)",
                reason="identity",
            )
        if alive_at is not None and alive_at <= block.number:
            return Malformed(f"{csu.name}: an endpoint finds no contract after it had answered; set another endpoint")
        heard = pool.last_endpoints
        voice = another_voice(pool, heard)
        confirmed = None if voice is None else _code_elsewhere(voice, began, block.number)
        if confirmed is None and (other := another_endpoint(pool, heard)) is not None:
            confirmed = _code_elsewhere(other, began, block.number) or None  # the same voice can only contradict
        if confirmed:
            return Malformed(f"{csu.name}: one endpoint finds no contract where another has one; set another endpoint")
        stated = csu.deployed_block is not None and not csu.deployed_later and csu.deployed_block <= block.number
        if confirmed is None and stated:
            return Malformed(
                f"{csu.name}: one endpoint finds no contract at block {block.number}, the row says it was deployed at "
                f"{csu.deployed_block}; set a second operator's endpoint, or correct the row"
            )
        if not any(_codes(pool, began, pool.finalized())):
            return Skip(
                f"{csu.name}: no contract at {', '.join(began)}, neither then nor now; correct the row, or set another "
                "endpoint",
                reason="identity",
            )
    except CryptolakeError as error:
        return error
    return said


def _code_elsewhere(pool: Pool, contracts: Sequence[str], block: int) -> bool | None:
    """Whether others find code at one of the contracts; None when they cannot say."""
    try:
        return any(_codes(pool, contracts, block))
    except CryptolakeError:
        return None


def _codes(pool: Pool, contracts: Sequence[str], block: int) -> list[bytes]:
    """The code of each contract at a block. Raises by reaction; an answer that is none was asked elsewhere already."""
    answers = pool.batch([("eth_getCode", [one, hex(block)]) for one in contracts])
    found = [data(one) for one in answers]
    if any(one is None for one in found):
        raise Retry("an endpoint does not say whether a contract is there; it will be asked again")
    return [one for one in found if one is not None]
