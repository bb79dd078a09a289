"""Whether a market is really absent at a block. Absence lasts for ever in the ledger, so it is never taken from one voice.

A market is absent when none of the contracts of its beginning has code there, as two voices say or, with one voice, its own
word; and when they have code by now, for an address that never has any is no market to come. Whatever any number of voices
says, it is not absent from the block on at which its row says that it was deployed: either is wrong then, and the day fails.
What does not belong here: what a row's deployment block is worth (births), and what a market that is there answers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from cryptolake.errors import CryptolakeError, Retry, Skip
from cryptolake.net.answers import data
from cryptolake.net.besides import another_endpoint, another_voice
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.faults import Malformed
from cryptolake.net.rpc import Pool
from cryptolake.registry.anchors import addresses
from cryptolake.registry.chains import Chain
from cryptolake.registry.family import FamilyFacts
from cryptolake.registry.markets import Csu

_BY_ROW, _BY_CODE = "was deployed at block", "has no contract at block"
_RESTS_ON = re.compile(rf"({_BY_ROW}|{_BY_CODE}) (\d+)")


ALONE = "as one operator says"
"""In the words of an absence of which another operator was asked, and did not answer: it is asked again."""


def absent_by_row(csu: Csu, silent: Sequence[str] = ()) -> str:
    """The words of an absence that rests on the row's deployment block; `silent` are those who did not answer about it."""
    return f"{csu.name} {_BY_ROW} {csu.deployed_block}{_alone(silent)}"


def _alone(silent: Sequence[str]) -> str:
    return f", {ALONE}: {' and '.join(silent)} did not answer" if silent else ""


def contradicts(words: str, csu: Csu) -> str:
    """Why what the ledger says of an absence is no longer so by the market's row; empty where it may be."""
    found = _RESTS_ON.search(words)
    if found is None:
        return ""
    block = int(found[2])
    if found[1] == _BY_ROW and block != csu.deployed_block:
        return f"it rests on deployment at block {block:,}, which its row no longer states"
    if found[1] == _BY_CODE and _stated(csu, block):
        return (
            f"no contract was found at block {block:,}, and its row says that it was deployed at {csu.deployed_block:,}"
        )
    return ""


def settled_absence(
    pool: Pool,
    chain: Chain,
    csu: Csu,
    family: FamilyFacts,
    block: BlockIdentity,
    said: Skip,
    alive_at: int | None = None,
) -> CryptolakeError:
    """The error of a market whose program found no contract at a block: its absence, once settled; else why it is not.

    `alive_at`: a block at which it did answer.
    """
    began = beginnings(csu, family)
    if not began:
        return Skip(f"{said}; its row names no contract that could be looked for", reason="identity")
    try:
        if any(codes(pool, chain, [(one, block.number) for one in began])):
            return Skip(
                f"{said}, but its entry contract is there: it is another contract than the row means, or one that it needs "
                "is missing (cryptolake markets check)",
                reason="identity",
            )
        if alive_at is not None and alive_at <= block.number:
            return Malformed(f"{csu.name}: an endpoint finds no contract after it had answered; set another endpoint")
        heard = pool.last_endpoints
        confirmed, silent = _of_another_voice(pool, chain, began, block.number, heard)
        if confirmed is None and (other := another_endpoint(pool, heard)) is not None:
            confirmed = _code_elsewhere(other, chain, began, block.number) or None  # the same voice can only contradict
        if confirmed:
            return Malformed(f"{csu.name}: one endpoint finds no contract where another has one; set another endpoint")
        if _stated(csu, block.number):
            who = "one endpoint finds" if confirmed is None else "two operators' endpoints find"
            return Malformed(
                f"{csu.name}: {who} no contract at block {block.number}, the row says it was deployed at "
                f"{csu.deployed_block}; set another endpoint that has state so old, or correct the row"
            )
        if not _code_now(pool, chain, began):
            return Skip(
                f"{csu.name}: no contract at {', '.join(began)}, neither then nor now; correct the row, or set another "
                "endpoint",
                reason="identity",
            )
    except CryptolakeError as error:
        return error
    return Skip(f"{csu.name} {_BY_CODE} {block.number}{_alone(silent)}", reason="not_deployed")


def beginnings(csu: Csu, family: FamilyFacts) -> list[str]:
    """The addresses of the contracts that are there from the beginning of a market's life on."""
    return [one for role in family.began_as(csu.entry) for one in addresses(csu, role)]


def codes(pool: Pool, chain: Chain, asked: Sequence[tuple[str, int]]) -> list[bytes]:
    """The code of each contract at each block. Raises by reaction; an answer that is none was asked elsewhere already.

    Raises Malformed where an endpoint has no code of a contract that is known to be there, as those have not that lack the
    block's state and do not say so.
    """
    witness, since = chain.multicall3_address, chain.multicall3_block or 0
    known = [(witness, block) for block in dict.fromkeys(block for _, block in asked) if witness and block >= since]
    answers = pool.batch([("eth_getCode", [one, hex(block)]) for one, block in (*asked, *known)])
    found = [data(one) for one in answers]
    if any(one is None for one in found):
        raise Retry("an endpoint does not say whether a contract is there; it will be asked again")
    for (_, block), code in zip(known, found[len(asked) :], strict=True):
        if not code:
            raise Malformed(
                f"{chain.name}: {', '.join(sorted(pool.last_endpoints))} has no state of block {block}, not even "
                "Multicall3; set an archive endpoint"
            )
    return [one for one in found[: len(asked)] if one is not None]


def _stated(csu: Csu, block: int) -> bool:
    """Whether the row says that the market is there at a block."""
    return csu.deployed_block is not None and not csu.deployed_later and csu.deployed_block <= block


def _code_now(pool: Pool, chain: Chain, contracts: Sequence[str]) -> bool:
    head = pool.finalized()
    return any(codes(pool, chain, [(one, head) for one in contracts]))


def _of_another_voice(
    pool: Pool, chain: Chain, contracts: Sequence[str], block: int, heard: Collection[str]
) -> tuple[bool | None, list[str]]:
    """Whether another voice than those heard finds code, None where nobody says; and who did not answer then."""
    silent: list[str] = []
    while (voice := another_voice(pool, {*heard, *silent})) is not None:
        if (found := _code_elsewhere(voice, chain, contracts, block)) is not None:
            return found, []
        silent += [one.endpoint.name for one in voice.stations]
    return None, silent


def _code_elsewhere(pool: Pool, chain: Chain, contracts: Sequence[str], block: int) -> bool | None:
    """Whether others find code at one of the contracts; None when they cannot say."""
    try:
        return any(codes(pool, chain, [(one, block) for one in contracts]))
    except CryptolakeError:
        return None
