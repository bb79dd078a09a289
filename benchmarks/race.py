"""The race: cryptolake beside cryo, web3-ethereum-defi, ponder and Subsquid (SQD), one after another at one counting provider.

Everybody fetches the same liquidations with their blocks' times; cryptolake also proves them and takes the daily snapshots,
its peers do not. `CRYPTOLAKE_BEFORE` names the sources of another version to race too, `CRYPTOLAKE_RACERS` those who run.
The peers are installed into `CRYPTOLAKE_RACE` (else a folder of the user's cache) when they are not there; one that cannot be
is said so. What does not belong here: what the provider answers (race_provider).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import orjson

from benchmarks.race_provider import CSU, HOST
from benchmarks.report import write_table
from benchmarks.simulated_ethereum import HEAD, block_time
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain.aave import LIQUIDATION_CALL
from cryptolake.sources.onchain.families import declared

FIRST, DAYS, LATENCY_S, SPAN = date(2024, 12, 1), 28, 0.08, 2000
PATIENCE_S = 240.0
HERE, PORT = Path(__file__).parent / "peers", 42071
INSTALLED = Path(os.environ.get("CRYPTOLAKE_RACE", Path.home() / ".cache" / "cryptolake-benchmarks" / "race"))
SAMPLE = 2000  # blocks of a peer that asks every header


def block_of(day: date) -> int:
    """The first block of a day."""
    wanted, low, high = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), 0, HEAD
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if block_time(middle) >= wanted else (middle + 1, high)
    return low


@dataclass(frozen=True)
class Job:
    """What is asked for: days, where, what is told of the provider's limit (0: nothing), and where it is kept."""

    first: date
    days: int
    url: str
    folder: Path
    rate: float = 0.0

    @property
    def blocks(self) -> tuple[int, int]:
        """First and last block."""
        return block_of(self.first), block_of(self.first + timedelta(days=self.days)) - 1


Command = tuple[Sequence[str], Mapping[str, str], Path]


@dataclass(frozen=True)
class Runner:
    """One that runs: its command for a job, how it is installed, and whether it ends by itself or serves on."""

    name: str
    command: Callable[[Job], Command]
    install: Callable[[Path], None] = lambda _folder: None
    place: str = ""
    takes_rate: bool = False
    serves: bool = False
    sample: bool = False  # it asks every header: a part of the blocks is measured


def pool_address() -> str:
    """The market's contract."""
    return load_registry(declared()).csus[CSU].entry["pool"]


def ours(job: Job, source: str | None = None) -> Command:
    """cryptolake as a user runs it; `source` is the folder of another version's packages."""
    last = job.first + timedelta(days=job.days - 1)
    words = [sys.executable, "-m", "cryptolake", "--data", str(job.folder), "collect", "--csu", CSU]
    env = {"CRYPTOLAKE_RPC_ETHEREUM": job.url}
    if job.rate >= 0:
        env["CRYPTOLAKE_RPC_RATE"] = str(job.rate or 10_000)
    if source is not None:
        env["PYTHONPATH"] = source
    return [*words, "--start-date", str(job.first), "--end-date", str(last)], env, job.folder


def script(folder: str, program: str, name: str) -> Callable[[Job], Command]:
    """A peer whose script takes everything as words."""

    def command(job: Job) -> Command:
        first, last = job.blocks
        last = first + SAMPLE - 1 if folder == "sqd" else last
        home = INSTALLED / folder
        words = [str(home / program) if "/" in program else program, str(home / name)]
        words += [job.url, str(first), str(last), str(job.folder), pool_address(), LIQUIDATION_CALL]
        return [*words, str(max(0.0, job.rate))], {}, job.folder

    return command


def ponder(job: Job) -> Command:
    """ponder in production mode; its schema's name is the same in every run, so that it goes on."""
    first, last = job.blocks
    start = block_of(FIRST) if first != block_of(FIRST) else first
    env = {
        "RACE_URL": job.url, "RACE_FOLDER": str(job.folder), "RACE_ADDRESS": pool_address(), "RACE_FIRST": str(start),
        "RACE_LAST": str(last), "PONDER_TELEMETRY_DISABLED": "1",
    }  # fmt: skip
    schema = f"race{last}"  # another end is another configuration, which ponder wants another schema for
    words = ["start", "--schema", schema, "--port", str(PORT)]
    return [str(INSTALLED / "ponder" / "node_modules" / ".bin" / "ponder"), *words], env, INSTALLED / "ponder"


def python_peer(*packages: str) -> Callable[[Path], None]:
    """Installs a peer of PyPI into an environment of its own."""

    def install(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)

    return install


def node_peer(folder: Path) -> None:
    """Installs a peer of npm from its own package.json."""
    shutil.copytree(HERE / folder.name, folder, dirs_exist_ok=True)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)


BEFORE = os.environ.get("CRYPTOLAKE_BEFORE")
RUNNERS = (
    Runner("cryptolake", ours, takes_rate=True),
    *([Runner("cryptolake before", lambda job: ours(job, BEFORE), takes_rate=True)] if BEFORE else []),
    Runner(
        "cryo 0.3.2", script("cryo", "bin/python", "cryo_race.py"), python_peer("cryo==0.3.2", "polars"), "cryo",
        takes_rate=True,
    ),
    Runner(
        "web3-ethereum-defi 1.2", script("web3", "bin/python", "web3_defi_race.py"),
        python_peer("web3-ethereum-defi==1.2"), "web3",
    ),
    Runner("ponder 0.16.10", ponder, node_peer, "ponder", serves=True),
    Runner("SQD evm-processor 1.27.3", script("sqd", "node", "race.js"), node_peer, "sqd", takes_rate=True, sample=True),
)  # fmt: skip


def installed(runner: Runner) -> str | None:
    """Install a peer where it is not; why it cannot be, else None."""
    if not runner.place:
        return None
    folder = INSTALLED / runner.place
    try:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            runner.install(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"not installed here: {error}"
    if (HERE / runner.place).is_dir():
        shutil.copytree(HERE / runner.place, folder, dirs_exist_ok=True)
    for one in HERE.glob("*_race.py"):
        shutil.copy(one, folder)
    return None


@dataclass
class Counted:
    """What the provider saw of one or more runs, and what they cost here."""

    requests: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    refused_calls: int = 0
    asked: list[list[int]] = field(default_factory=list)
    busy_s: float = 0.0  # from the first answered call to the last
    wall_s: float = 0.0
    cpu_s: float = 0.0
    ended: bool = True

    @property
    def billed(self) -> int:
        """Calls that were answered, members of batches one by one."""
        return sum(self.calls.values())

    def twice(self) -> int:
        """Blocks of logs that were asked more than once."""
        at, distinct = 0, 0
        for start, end in sorted(self.asked):
            distinct += max(0, end - max(start, at))
            at = max(at, end)
        return sum(end - start for start, end in self.asked) - distinct


class Provider:
    """The counting provider in its own process."""

    def __init__(self, rate: float = 0.0) -> None:
        words = [sys.executable, "-m", "benchmarks.race_provider", str(LATENCY_S), str(SPAN), str(rate)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://{HOST}:{self._process.stdout.readline().strip()}"

    def counted(self) -> dict[str, object]:
        """What was counted since the last question."""
        with urlopen(f"{self.url}/stats") as answer:
            found: dict[str, object] = orjson.loads(answer.read())
        return found

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def environment() -> dict[str, str]:
    """This process's, with what Python compiles kept: an installed package, like the peers here, is compiled only once."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(INSTALLED / "compiled")}


def started(runner: Runner, job: Job) -> subprocess.Popen[bytes]:
    """The runner at work, in a process group of its own."""
    words, env, place = runner.command(job)
    with (job.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            words, env={**environment(), **env}, cwd=place, stdout=log, stderr=log, start_new_session=True
        )


def ready() -> bool:
    """Whether the runner that serves on says that it has everything."""
    try:
        with urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def run(runner: Runner, provider: Provider, job: Job, *, patience_s: float = PATIENCE_S) -> Counted:
    """Run a job to its end (or until patience ends) and count."""
    provider.counted()
    began = time.monotonic()
    process = started(runner, job)
    usage, wall, ended = None, 0.0, False
    while usage is None:
        if runner.serves and not wall and ready():
            wall, ended = time.monotonic() - began, True
            os.killpg(process.pid, signal.SIGINT)
        elif time.monotonic() - began > patience_s + (15 if wall else 0):
            os.killpg(process.pid, signal.SIGKILL)
        done, status, spent = os.wait4(process.pid, os.WNOHANG)
        if done:
            usage = spent
            ended = ended or (not runner.serves and status == 0)
        time.sleep(0.01)
    process.returncode = 0
    seen = provider.counted()
    return Counted(
        requests=int(str(seen["requests"])),
        calls=dict(seen["calls"]),  # type: ignore[call-overload]
        refused_calls=int(str(seen["refused_calls"])),
        asked=list(seen["asked"]),  # type: ignore[call-overload]
        busy_s=float(str(seen["busy_s"])),
        wall_s=wall or time.monotonic() - began,
        cpu_s=usage.ru_utime + usage.ru_stime,
        ended=ended,
    )


def killed(runner: Runner, provider: Provider, job: Job) -> Counted:
    """Kill -9 once half of the blocks were answered, run again to the end; what both asked."""
    first, last = job.blocks
    half = (SAMPLE if runner.sample else last + 1 - first) // 2
    provider.counted()
    process = started(runner, job)
    try:
        with urlopen(f"{provider.url}/half?{half}", timeout=PATIENCE_S):
            pass
    except OSError:
        return Counted(ended=False)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = list(provider.counted()["asked"])  # type: ignore[call-overload]
    after = run(runner, provider, job)
    after.asked = [*before, *after.asked]
    return after


def imports() -> float:
    """CPU seconds of importing what a collection imports, the least of five."""
    named = [
        "cli.onchain",
        "work.lending",
        "sources.onchain.source",
        "sources.onchain.aave_v3",
        "net.rpc",
        "state.ledger",
    ]
    words = [
        sys.executable,
        "-c",
        "; ".join([f"import cryptolake.{one}" for one in named] + ["import polars, deltalake"]),
    ]
    least = float("inf")
    for _ in range(5):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment())
        _, _, spent = os.wait4(process.pid, 0)
        process.returncode = 0
        least = min(least, spent.ru_utime + spent.ru_stime)
    return least


def parts(counted: Counted) -> str:
    """Calls by what they are for."""
    names = {
        "eth_getLogs": "logs",
        "eth_getBlockByNumber": "headers",
        "eth_getBlockByHash": "blocks",
        "eth_call": "eth_call",
    }
    told = {names.get(method, "other"): 0 for method in counted.calls}
    for method, count in counted.calls.items():
        told[names.get(method, "other")] += count
    return ", ".join(f"{name} {count:,}" for name, count in sorted(told.items(), key=lambda item: -item[1]))


def month(runner: Runner, provider: Provider) -> tuple[Sequence[object], ...]:
    """28 days, then one more day in the same folder."""
    with tempfile.TemporaryDirectory(prefix="cryptolake-race-", ignore_cleanup_errors=True) as name:
        job = Job(FIRST, DAYS, provider.url, Path(name))
        whole = run(runner, provider, job)
        after = Job(FIRST + timedelta(days=DAYS), 1, provider.url, Path(name))
        more = run(runner, provider, after)
    if runner.sample:
        share = (job.blocks[1] + 1 - job.blocks[0]) / SAMPLE
        told = f"{whole.requests * share:,.0f} / {whole.billed * share:,.0f}"
        cost = f"{whole.wall_s * share:,.0f} ({whole.cpu_s * share:,.0f})"
        return ((runner.name, f"{told} (reckoned from {SAMPLE:,} blocks)", parts(whole), _ended(whole, cost), ""),)
    cells = [_ended(one, f"{one.wall_s:.1f} ({one.cpu_s:.1f})") for one in (whole, more)]
    return ((runner.name, f"{whole.requests:,} / {whole.billed:,}", parts(whole), *cells),)


def _ended(counted: Counted, text: str) -> str:
    return text if counted.ended else f"not finished in {counted.wall_s:.0f} s"


def twice(runner: Runner, provider: Provider) -> Sequence[object]:
    """Blocks asked twice after kill -9, without a limit and at 40 calls a second."""
    cells = []
    for rate in (0.0, 40.0):
        if rate and not runner.takes_rate:
            cells.append("takes no rate")
            continue
        with tempfile.TemporaryDirectory(prefix="cryptolake-race-", ignore_cleanup_errors=True) as name:
            found = killed(runner, provider, Job(FIRST, DAYS, provider.url, Path(name), rate))
        cells.append(f"{found.twice():,}" if found.ended else "not finished")
    return (runner.name, *cells)


def enforced(runner: Runner, limit: float = 50.0, patience_s: float = 100.0) -> Sequence[object]:
    """Share of an enforced limit and of refused calls, with the limit told and untold."""
    cells = []
    for told in (limit, -1.0):
        if told > 0 and not runner.takes_rate:
            cells.append("takes no rate")
            continue
        with (
            Provider(limit) as provider,
            tempfile.TemporaryDirectory(prefix="cryptolake-race-", ignore_cleanup_errors=True) as name,
        ):
            job = Job(FIRST, DAYS, provider.url, Path(name), told)
            found = run(runner, provider, job, patience_s=patience_s)
        share, refused = (
            found.billed / limit / found.wall_s,
            found.refused_calls / max(1, found.billed + found.refused_calls),
        )
        ended = "" if found.ended else f", not finished in {found.wall_s:.0f} s"
        cells.append(f"{share:.0%}, {refused:.1%} refused, {found.wall_s:.0f} s{ended}")
    return (runner.name, *cells)


def main() -> None:
    """All of it, one runner after another."""
    whole: list[Sequence[object]] = []
    lost: list[Sequence[object]] = []
    limits: list[Sequence[object]] = []
    wanted = os.environ.get("CRYPTOLAKE_RACERS", "").split(",")
    with Provider() as provider:
        for runner in RUNNERS:
            if wanted != [""] and not any(runner.name.startswith(one) for one in wanted):
                continue
            why = installed(runner)
            if why is not None:
                whole.append((runner.name, why, "", "", ""))
                continue
            whole += month(runner, provider)
            lost.append(twice(runner, provider))
            if not runner.sample:
                limits.append(enforced(runner))
            print(json.dumps([whole[-1], lost[-1], limits[-1]]), file=sys.stderr, flush=True)
    load = f"Load average after: {os.getloadavg()[0]:.0f}."
    method = (
        f"One counting provider on loopback, {LATENCY_S * 1000:.0f} ms latency, {SPAN:,} blocks a log question; {DAYS} days "
        "of one Ethereum market (314 liquidations), then one more day in the same folder. One run each, one after another. "
    )
    importing = f"Importing cryptolake's libraries alone takes {imports():.1f} CPU s. {load}"
    write_table(
        "race",
        method + "cryptolake also takes 28 snapshots, prices and proofs (day bounds, bloom filters). " + importing,
        ("reader", "HTTP requests / billed calls", "calls for", "wall s (CPU s)", "one more day, wall s (CPU s)"),
        whole,
    )
    write_table(
        "race_killed",
        f"Killed by -9 when half of the blocks of those {DAYS} days were answered, then run to the end: blocks of logs asked "
        f"twice. {load}",
        ("reader", "no limit", "told 40 calls/s"),
        lost,
    )
    write_table(
        "race_limit",
        "The provider refuses more than 50 calls in any second by 429 without Retry-After, a batch by its members. Share of "
        f"the limit that was used from the first answered call to the last, in 100 s at most; calls refused; wall. {load}",
        ("reader", "limit told", "limit untold"),
        limits,
    )


if __name__ == "__main__":
    main()
