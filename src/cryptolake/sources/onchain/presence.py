"""Whether a market is really absent at a block. Absence lasts for ever in the ledger, so it is never taken from one voice.

A market is absent when none of the contracts of its beginning has code there, as two voices say or, with one voice, its own
word, which its words tell apart (`grade_of_absence`); and when they have code by now, for an address that never has any is no
market to come. Whatever any number of voices says, it is not absent from the block on at which its row says that it was
deployed: either is wrong then, and the day fails. What does not belong here: what a row's deployment block is worth (births),
and what a market that is there answers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from cryptolake.contracts.partition import Period
from cryptolake.errors import CryptolakeError, Retry, Skip
from cryptolake.net.answers import data
from cryptolake.net.besides import another_endpoint, another_voice
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.blocks import Blocks
from cryptolake.net.faults import Malformed
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import BY_ONE, BY_TWO
from cryptolake.registry.anchors import addresses
from cryptolake.registry.chains import Chain
from cryptolake.registry.family import FamilyFacts
from cryptolake.registry.markets import Csu

_BY_ROW, _BY_CODE = "was deployed at block", "has no contract at block"
_RESTS_ON = re.compile(rf"({_BY_ROW}|{_BY_CODE}) (\d+)")


ALONE = BY_ONE
"""In the words of an absence of which another operator was asked, and did not say the same: it is asked again."""

_OTHERWISE = "finds a contract"


def absent_by_row(csu: Csu, silent: Sequence[str] = (), *, by_two: bool = False) -> str:
    """The words of an absence that rests on the row's deployment block; `silent` are those who did not answer about it."""
    return f"{csu.name} {_BY_ROW} {csu.deployed_block}{_said_by(by_two, silent)}"


def doubted_absence(words: str) -> bool:
    """Whether somebody says otherwise, who is only asked besides."""
    return ALONE in words and _OTHERWISE in words


def _said_by(by_two: bool, silent: Sequence[str]) -> str:
    if by_two:
        return f", {BY_TWO}"
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
        otherwise = silent if confirmed and silent else []
        confirmed = None if otherwise else confirmed
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
    said_by = (
        f", {ALONE}: {' and '.join(otherwise)} {_OTHERWISE}" if otherwise else _said_by(confirmed is False, silent)
    )
    return Skip(f"{csu.name} {_BY_CODE} {block.number}{said_by}", reason="not_deployed")


def absent_with_its_chain(blocks: Blocks, csu: Csu, period: Period, said: CryptolakeError) -> CryptolakeError:
    """What becomes of a market's period for which its chain gave an error.

    A chain's age (`not_deployed`) makes no market absent that is older by its row, whoever tells it.
    """
    block = None if csu.deployed_later else csu.deployed_block
    if not isinstance(said, Skip) or said.reason != "not_deployed" or block is None:
        return said
    try:
        at = blocks.header(block).time
    except CryptolakeError as error:
        return error
    if at >= period.end:
        return said
    return Malformed(
        f"{csu.name}: {said}, while block {block} at which its row says it was deployed is of {at:%Y-%m-%d}; set another "
        "endpoint, or correct the row"
    )


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
    """Whether another voice than those heard finds code, None where nobody says; and who did not answer then.

    Where nobody but those who are only asked besides finds any, with their names: that is a doubt and fails nothing.
    """
    silent: list[str] = []
    besides: list[str] = []
    while (voice := another_voice(pool, {*heard, *silent, *besides})) is not None:
        found = _code_elsewhere(voice, chain, contracts, block)
        names = [one.endpoint.name for one in voice.stations]
        if found and voice.hurried and not pool.hurried:
            besides += names
        elif found is not None:
            return found, []
        else:
            silent += names
    return (True, besides) if besides else (None, silent)


def _code_elsewhere(pool: Pool, chain: Chain, contracts: Sequence[str], block: int) -> bool | None:
    """Whether others find code at one of the contracts; None when they cannot say."""
    try:
        return any(codes(pool, chain, [(one, block) for one in contracts]))
    except CryptolakeError:
        return None
