"""`demo --break`: each fault in a copy of the demo's lake, looked at by what the commands do, and whether it was caught.

Caught is what somebody noticed and what left no wrong figure behind that says `ok`. What does not belong here: the faults
(`demo.faults`), the lies (`demo.lying`) and printing (cli).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.figures import other
from cryptolake.demo import journey, lying
from cryptolake.demo.faults import DAY, Fault, Noticed
from cryptolake.demo.replay import Lie, Replay, VendorLie, sandbox_registry
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.flow.collect import collect
from cryptolake.gold import daily_panel, flagged_markets
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.state.ledger import Ledger
from cryptolake.work import evidence, lending
from cryptolake.work.cells import opened
from cryptolake.work.coin_runs import run_of
from cryptolake.work.panel import PanelNow, expected_rows
from cryptolake.work.panel_quality import examine
from cryptolake.work.selection import chosen_wish, collected_csus, held_partitions
from cryptolake.work.vouched import panel_of, verify_kept

Opener = Callable[..., App]
"""Opens an app under these settings; the caller closes it."""

_COPIED = ("bronze", "silver", "gold", "ledger.sqlite", "registry.yaml")
_AT_ONCE = 8
_STATE = {"tvl": "status", "liquidations": "liquidations_status"}
_FIGURES = {"tvl": ("total_tvl_usd", "total_supplied_usd", "total_borrowed_usd"), "liquidations": ("liquidations_usd",)}


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault that was planted and what came of it. `wrong` are days that show another figure than the truth and say `ok`."""

    fault: Fault
    noticed: Noticed | None
    wrong: tuple[date, ...]
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether somebody noticed and no wrong figure says `ok`; where nobody can, whether its weakness is told at least."""
        return self.noticed is not None and not (self.wrong and self.fault.provable)


def break_all(open_app: Opener, faults: Sequence[Fault]) -> Iterator[Broken]:
    """Plant each of these faults in a copy of its own, several at once, and yield them in order; the copies are deleted.

    Raises Stop when the demo's lake is not sound before anything is broken: nothing that is noticed then would mean anything.
    """
    with TemporaryDirectory(prefix="cryptolake-break-") as folder:
        honest = _Copy(Path(folder) / "honest", open_app)
        shutil.copyfile(sandbox_registry(), honest.root / "registry.yaml")
        honest.collect(lying.honest, lying.honest, last=journey.LAST, first=journey.FIRST)
        lending.build(honest.app)
        true = honest.panel()
        for look in (honest.collected, honest.verified, honest.checked, honest.built, honest.liar_named, honest.graded):
            if (noticed := look()) is not None:
                raise Stop(f"the demo's lake is not sound before it is broken; {noticed.by}: {noticed.said}")
        if (
            true.is_empty()
            or true.filter(pl.col("date") == DAY, *(pl.col(one) == "ok" for one in _STATE.values())).is_empty()
        ):
            raise Stop(f"the demo's lake has no figures of {DAY} to break; please report this")
        honest.close()

        def broken(number: int, fault: Fault) -> Broken:
            started, copy = monotonic(), _Copy(Path(folder) / str(number), open_app, honest.root)
            try:
                fault.plant(copy)
                return Broken(fault, fault.look(copy), copy.wrong(true), monotonic() - started)
            finally:
                copy.close()

        # Who is lied to asks again after a while: those pauses, most of the time this takes, are spent together.
        with ThreadPoolExecutor(_AT_ONCE, "break") as together:
            # The last begin first: those that are about others' answers, which wait, are listed last.
            left = [together.submit(broken, number, fault) for number, fault in reversed(list(enumerate(faults)))]
            try:
                yield from (one.result() for one in reversed(left))
            finally:
                together.shutdown(cancel_futures=True)


class _Copy:
    """A lake of its own (`demo.faults.Breakable`), with what lies in `of`; opened anew whenever its settings change."""

    def __init__(self, root: Path, open_app: Opener, of: Path | None = None) -> None:
        self.root, self._open = root, open_app
        self._settings: dict[str, object] = {"registry": root / "registry.yaml"}
        self._app: App | None = None
        self._failures: list[Noticed] = []
        root.mkdir()
        for name in _COPIED if of is not None else ():
            assert of is not None
            (shutil.copytree if (of / name).is_dir() else shutil.copyfile)(of / name, root / name)

    @property
    def app(self) -> App:
        """The app of this lake under the present settings."""
        if self._app is None:
            self._app = self._open(data=self.root, **self._settings)
            self._app.prepare()
        return self._app

    def close(self) -> None:
        """Close what was opened; the next look opens it again."""
        if self._app is not None:
            self._app.close()
            self._app = None

    @property
    def bronze(self) -> Bronze:
        """Its answers."""
        return self.app.bronze

    @property
    def tables(self) -> Tables:
        """Its silver and gold."""
        return self.app.tables

    @property
    def ledger(self) -> Ledger:
        """Its record of progress."""
        return self.app.ledger

    def set(self, **settings: object) -> None:
        """From now on look under other settings."""
        self.close()
        self._settings |= settings

    def collect(self, *lies: Lie, first: date = DAY, last: date = DAY + timedelta(days=1)) -> None:
        """Collect and refine these days, from an operator of its own for each of these."""
        before, names = self._settings, [f"sandbox-own-{number}" for number, _ in enumerate(lies, 1)]
        with ExitStack() as stack:
            urls = [stack.enter_context(Replay(lie=lie)).rpc_url for lie in lies]
            operators = {name: {"operator": f"operator {number}"} for number, name in enumerate(names, 1)}
            self.set(rpc={"sandbox": urls}, endpoints=operators, start_date=first, end_date=last)
            csus = [self.app.registry.csu(journey.CSU)]
            try:
                done = lending.collect(self.app, csus, chosen_wish(self.app, csus, None))
                lending.refine(self.app)
            except CryptolakeError as error:
                self._failures.append(self._noticed("collect", str(error)))
            else:
                told = sorted((str(one.partition), one.error) for one in done.failures)
                self._failures += [self._noticed("collect", f"{partition}: {error}") for partition, error in told]
            self.close()
        self._settings = before

    def collect_anew(self, *lies: Lie) -> None:
        """The same instead of what is there."""
        self.close()
        for name in ("bronze", "silver", "gold"):
            shutil.rmtree(self.root / name)
        (self.root / "ledger.sqlite").unlink()
        self.collect(*lies)

    def ask_vendor(self, lie: VendorLie) -> None:
        """Ask for the list of coins."""
        before = self._settings
        with Replay(vendor_lie=lie) as replay:
            self.set(urls=replay.urls)
            run = run_of(1_000, datetime.now(UTC))
            done = collect(self.app.vendor("coingecko"), [run], bronze=self.bronze, ledger=self.ledger, workers=1)
            # Without the name of the run, which is another every second.
            words = [f"{one.error}".partition(f"{run.key}: ")[2] or f"{one.error}" for one in done.failures]
            self._failures += [self._noticed("pull coingecko", one) for one in words]
            self.close()
        self._settings = before

    def collected(self) -> Noticed | None:
        """What `collect` said of what it could not get."""
        return next(iter(self._failures), None)

    def verified(self) -> Noticed | None:
        """What `verify` finds wanting."""
        app = self.app
        held = held_partitions(app, collected_csus(app), None)
        for one in verify_kept(app, held):
            if one.verdict != "complete":
                return self._noticed(f"verify: {one.verdict}", f"{one.partition}: {'; '.join(one.says)}")
        return None

    def checked(self) -> Noticed | None:
        """Which check of `quality` finds an error."""
        try:
            found = examine(self.app, self.tables.read(DAILY_PANEL), store=False).results
        except CryptolakeError as error:
            return self._noticed("quality", str(error))
        for one in found:
            if one.rows and one.severity == "error":
                return self._noticed(f"quality: {one.check}", one.examples[0])
        return None

    def built(self) -> Noticed | None:
        """Why `build` refuses, or what it says of days without a number."""
        try:
            lines = evidence.lines(lending.build(self.app).lacking)
        except CryptolakeError as error:
            return self._noticed("build", str(error))
        return self._noticed("build", lines[0]) if lines else None

    def liar_named(self) -> Noticed | None:
        """Who is proven a liar, of days that are whole all the same."""
        if self.verified() is not None:
            return None
        for one in self.app.liars.named():
            return self._noticed("rpc clear", f"{one.endpoint} left out logs of block {one.block}; others' were taken")
        return None

    def graded(self) -> Noticed | None:
        """How far the days are proven, where that is by one voice."""
        for partition, entry in sorted(self.ledger.states().items()):
            cell = opened(partition, entry, self.bronze)
            if partition.dataset == "liquidations" and cell.grade == "one_voice":
                return self._noticed("verify show", f"{cell.grade}: {cell.weak}")
        return None

    def judged(self, held: pl.DataFrame, isolated: pl.DataFrame) -> Noticed | None:
        """What the panel would say of `DAY` if the market held this (rows of silver tvl), in these isolated markets."""
        now = self._now()
        flagged = flagged_markets.build(held, isolated, now.exclusions)
        events = self.tables.read(LIQUIDATIONS)
        panel = daily_panel.build(held, events, expected_rows(now.evidence, self.app.registry.csus), flagged)
        row = panel.filter(pl.col("date") == DAY).row(0, named=True)
        if row["status"] == "ok":
            return None
        return self._noticed("build: daily_panel", f"total_tvl_usd is {row['status']}: {row['reason']}")

    def _noticed(self, by: str, said: str) -> Noticed:
        """By which command, and what it said, with paths as they are inside the copy."""
        return Noticed(f"cryptolake {by}", said.replace(f"{self.root}/", ""))

    def panel(self) -> pl.DataFrame:
        """What the panel would be if it were built now."""
        return self._now().panel

    def _now(self) -> PanelNow:
        return panel_of(self.app)

    def wrong(self, true: pl.DataFrame) -> tuple[date, ...]:
        """The days of which the panel would show another figure than the true one and say `ok`."""
        both = self.panel().join(true, on=["csu", "date"], suffix="_true")
        differs = [
            (pl.col(_STATE[dataset]) == "ok") & other(pl.col(name), pl.col(f"{name}_true"))
            for dataset, names in _FIGURES.items()
            for name in names
        ]
        return tuple(both.filter(pl.any_horizontal(differs))["date"])
