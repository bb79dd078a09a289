"""What made a market fail is borne out like a value: asked again at another operator before its row is blamed for it.

An endpoint that answers with nothing, with less or with zeros makes markets fail that are sound. What does not belong here: how
two readings are compared and settled (second_voice), and absences, which two voices settle by code (presence).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from cryptolake.contracts.grades import at_least
from cryptolake.errors import CryptolakeError, Skip
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.faults import Malformed
from cryptolake.net.multicall import Failed, Finished
from cryptolake.net.reverts import Reverts
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.sources.onchain.second_voice import Disagreed, borne_out

T = TypeVar("T")


def failures_borne_out(
    pool: Pool,
    chain: Chain,
    block: BlockIdentity,
    outcomes: Mapping[str, Finished[T] | Failed],
    heard: Collection[str],
    reverts: Reverts,
    *,
    settled: bool,
    believed: Callable[[CryptolakeError], bool] = lambda _error: False,
) -> tuple[dict[str, Finished[T] | Failed], str]:
    """The outcomes, whatever grade is wished for: what failed by answers that another voice has otherwise fails by that.

    A failure that two voices bear out stands though another one contradicts it; who does is told beside the outcomes.

    `heard` and `reverts` as in `second_voice.borne_out`; `settled`: absences are settled already (proven). A failure that
    nobody else can be asked about stands as it is; so does one of which something is `believed`, where those alone who are only
    asked besides say otherwise: that is a doubt, which is told where it is believed. Raises Disagreed naming the endpoint that
    a third voice contradicts.
    """
    failed = {
        name: one for name, one in outcomes.items() if isinstance(one, Failed) and _by_answers(one.error, settled)
    }
    read = {name: Finished(None, one.transcript) for name, one in failed.items()}
    try:
        borne = borne_out(pool, chain, block, read, heard, "two_voices", reverts)
        if borne.contradicted and at_least(borne.grade, "two_voices"):
            return dict(outcomes), borne.contradicted
        differs = Disagreed(borne.contradicted) if borne.contradicted else None
        if not borne.second:  # nobody but those who are only asked besides
            failed = {name: one for name, one in failed.items() if not believed(one.error)}
    except Disagreed as error:
        if error.liar:
            raise
        differs = error
    if differs is None:
        return dict(outcomes), ""
    return {**outcomes, **{name: Failed(differs, one.transcript) for name, one in failed.items()}}, ""


def _by_answers(error: CryptolakeError, settled: bool) -> bool:
    """Whether a market failed by what its contracts were said to answer."""
    absent = settled and isinstance(error, Skip) and error.reason == "not_deployed"
    return isinstance(error, (Malformed, Skip)) and not absent
