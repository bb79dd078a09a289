"""The command that opens the certificate of one cell: verify show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.contracts.raw import Raw
    from cryptolake.work.cells import Cell

_EXAMPLE = "liquidations/aave_v3_ethereum/2024-12-31"


@only_reads
def show_command(
    context: typer.Context,
    cell: Annotated[str, typer.Argument(help=f"DATASET/MARKET/DAY, e.g. {_EXAMPLE}.")],
    as_json: JsonFlag = False,
) -> None:
    """Open one cell: its state and why, who answered, at which block, and how far it is proven that nothing is missing.

    Exits 1 when the cell has no answer, or one that somebody contradicts. Needs no network.

    Example: cryptolake verify show liquidations/aave_v3_ethereum/2024-12-31
    """
    from cryptolake.contracts.partition import Partition
    from cryptolake.work.vouched import opened_cell

    app: App = context.obj.open()
    partition = Partition.parse(cell)
    entry = app.ledger.of([partition]).get(partition)
    if entry is None:  # another name of a market, or none at all
        partition = Partition(partition.dataset, app.registry.csu(partition.key).name, partition.period)
        entry = app.ledger.of([partition]).get(partition)
    found = opened_cell(app, partition, entry)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    raise typer.Exit(0 if found.state in {"ok", "not_deployed"} else 1)


def provenance_of(answer: Raw) -> dict[str, str]:
    """An answer's provenance, without what older ones say there of their proof: nothing bears that out."""
    from cryptolake.sources.onchain.grading import UNPROVEN

    return {name: said for name, said in answer.provenance.items() if name not in UNPROVEN}


def _document(cell: Cell) -> dict[str, Any]:
    entry, answer = cell.entry, cell.answer
    return {
        "cell": str(cell.partition),
        "state": cell.state,
        "says": cell.says,
        "grade": cell.grade,
        "weak": cell.weak or None,
        "rows": None if entry is None else entry.rows,
        "recorded_at": None if entry is None else entry.at,
        "attempt": None if entry is None else entry.attempt,
        "digest": None if entry is None else entry.digest,
        "block": None if answer is None else answer.block,
        "block_hash": None if answer is None else answer.block_hash,
        "fetched_at": None if answer is None else answer.fetched_at,
        "provenance": {} if answer is None else provenance_of(answer),
        "certificate": dict(cell.certificate) or None,
    }


def _print(cell: Cell) -> None:
    document = _document(cell)
    names = ("state", "grade", "rows", "block", "block_hash", "fetched_at", "recorded_at", "attempt", "digest")
    lines = [(name.replace("_", " "), document[name]) for name in names if document[name] is not None]
    said = [("cell", str(cell.partition)), *lines, *sorted(document["provenance"].items())]
    print_table("Opened", ("what", "value"), said)
    for one in cell.says:
        print_line(one)
    if cell.grade is not None:
        from cryptolake.contracts.grades import GRADE_DOCS, UNPROVEN_DOC

        print_line(f"[bold]{cell.grade}[/]: {GRADE_DOCS.get(cell.grade, UNPROVEN_DOC)}")
        if cell.weak:
            print_line(f"It is proven no further: {cell.weak}")
    if alike := document["provenance"].get("interchangeable"):
        print_line(f"Nothing that the registry states tells this market's {alike} from a sibling (markets check)")
    if "windows" in cell.certificate:
        print_table(
            "Who answered which blocks",
            ("endpoint", "blocks", "asked", "questions"),
            list(_windows(cell.certificate)),
        )
    if cell.certificate and not any("cannot be read" in one for one in cell.says):
        for line in _proof(cell.certificate):
            print_line(line)


def _windows(given: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    """The windows of first and second voices, as they stand in the certificate."""
    voices = given.get("voices") or {}
    for kind, asked in (("windows", "first"), ("second", "again")):
        for start, end, endpoint, questions in given.get(kind) or []:
            voice = voices.get(endpoint)
            yield f"{endpoint} ({voice})" if voice else endpoint, f"{start:,} to {end:,}", asked, questions


def _named(given: Mapping[str, Any], names: Sequence[str]) -> str:
    voices = given.get("voices") or {}
    return ", ".join(f"{one} ({voices[one]})" if voices.get(one) else one for one in names) or "nobody"


def _proof(given: Mapping[str, Any]) -> Iterator[str]:
    """What else the certificate says, in words."""
    for one in given.get("grounds") or []:
        what = {"emitters": "The contracts asked for logs", "values": "What the events are valued with"}[one["what"]]
        again = f"{one['again']:,} of {counted(one['calls'], 'call')} again by {_named(given, one['second'])}"
        asked = again if one["second"] else "nobody was asked again"
        yield f"{what}, at block {one['block']:,}: read by {_named(given, one['first'])}, {asked}"
    headers = given.get("headers") or {}
    for one in headers.get("bounds") or []:
        by = "; ".join(f"{first or 'nobody'}, borne out by {second or 'nobody else'}" for first, second in one["borne"])
        where = f"block {one['block']:,}" if one["block"] >= 0 else "the chain's beginning"
        yield f"A period ends with {where}, as stated by {by or 'nobody who was kept'}"
    if headers.get("contradicted"):
        yield str(headers["contradicted"])
    if given.get("logs_grade", given.get("grade")) != given.get("grade"):
        yield f"Its logs alone are proven as {given['logs_grade']}"
    if given.get("second") and "calls" in given:
        first, again = " and ".join(given["first"]), f"{given['asked_again']:,} of {counted(given['calls'], 'call')}"
        yield f"Read by {first}; asked again of {given['second']}: {again}"
    if "roots" in given:
        yield f"Receipts were rebuilt up to a block whose hash {' and '.join(given['roots']['agreed'])} give"
    if "noticed" in given:
        yield f"One dropped log would have been noticed with {given['noticed']:.1%}"
    for one in given.get("differences") or []:
        seen = ", ".join(f"{name} had {counted(logs, 'log')}" for name, logs in one["said"].items())
        how = f"settled by {one['settled']}, {counted(one['true'], 'log')}" if one["settled"] else "not settled"
        alike = f"; {' and '.join(one['alike'])} err alike and are probably one" if one.get("alike") else ""
        yield f"Block {one['block']:,}: {seen}; {how}{alike}"
    if given.get("liars"):
        yield f"Proven wrong: {', '.join(given['liars'])}"
    blooms = given.get("blooms") or {}
    if blooms:
        usable = "agree" if blooms.get("usable") else "are of no use on this chain"
        yield f"{counted(blooms.get('blocks', 0), 'header')} looked at, bloom filters {usable}"
        if blooms.get("agreed"):
            blocks = counted(
                blooms["agreed"],
                "block without logs that was looked at has",
                "blocks without logs that were looked at have",
            )
            yield f"{blocks} none of the wanted ones, by headers that two operators agree on"
        if blooms.get("problem"):
            yield str(blooms["problem"])
