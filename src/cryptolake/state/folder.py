"""Where things lie in a data folder: the one list of names below it that are neither the lake's nor the server's own.

What does not belong here: reading and writing any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptolake.errors import Stop
from cryptolake.files.rights import may_write


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The folder `root` and what lies in it."""

    root: Path

    def prepare(self) -> None:
        """Make the folder. Raises Stop with the remedy when it cannot be written."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = "it is a file" if self.root.is_file() else error.strerror or str(error)
            raise Stop(
                f"cannot write to the data folder {self.root}: {reason}; name another one (--data, CRYPTOLAKE_DATA)"
            ) from None

    @property
    def is_writable(self) -> bool:
        """Whether files may be made in the folder, as the system says now."""
        return may_write(self.root)

    @property
    def ledger(self) -> Path:
        """The record of progress, a SQLite file."""
        return self.root / "ledger.sqlite"

    @property
    def registry(self) -> Path:
        """The user's own markets and chains, a YAML file."""
        return self.root / "registry.yaml"

    def registry_used(self, named: Path | None) -> Path | None:
        """The file whose rows go before the package's: the one named, else the folder's own where there is one."""
        return named or (self.registry if self.registry.exists() else None)

    @property
    def block_cache(self) -> Path:
        """Proven day boundaries."""
        return self.root / "block_cache.json"

    @property
    def limits(self) -> Path:
        """One small file per account: what was asked of it."""
        return self.root / "limits"

    @property
    def learned(self) -> Path:
        """One small file per endpoint: what it has taught us. May be deleted."""
        return self.limits / "learned"

    @property
    def spending(self) -> Path:
        """What was spent on chains' endpoints by run, month and provider."""
        return self.limits / "spending"

    @property
    def runs(self) -> Path:
        """Where runs at work say how they do."""
        return self.root / "runs"

    @property
    def workers(self) -> Path:
        """What the machines of the latest cluster answered."""
        return self.root / "workers.json"

    @property
    def liars(self) -> Path:
        """One small file per endpoint that was proven to answer logs wrongly."""
        return self.root / "liars"

    @property
    def journals(self) -> Path:
        """Unfinished log scans."""
        return self.root / "scans"

    @property
    def discovered(self) -> Path:
        """What log scans found on the way (markets, vaults), by chain."""
        return self.root / "discovered"

    @property
    def scheduler_lock(self) -> Path:
        """Held by the scheduler at work."""
        return self.root / "scheduler.lock"

    @property
    def slots(self) -> Path:
        """The schedule's journal, a SQLite file."""
        return self.root / "scheduler.sqlite"

    @property
    def fresh_start(self) -> Path:
        """The note of a fresh start under way."""
        return self.root / "fresh.json"

    @property
    def checkpoints(self) -> Path:
        """The documented checkpoint files."""
        return self.root / "checkpoints"

    @property
    def releases(self) -> Path:
        """Releases of the data set."""
        return self.root / "releases"

    @property
    def exports(self) -> Path:
        """Exported panels."""
        return self.root / "exports"

    @property
    def reports(self) -> Path:
        """Pages for people."""
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        """What the parts of `up` say."""
        return self.root / "logs"

    @property
    def dagster(self) -> Path:
        """Dagster's own folder, absolute."""
        return self.root.resolve() / "dagster"
