"""`collect --cluster ssh://...` over real SSH servers on loopback: same data, no secret in any command, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.gated import Gate, gated
from tests.cluster.machines import SSHD, lab_machines
from tests.command import CLEAN
from tests.hostile.test_killed_anywhere import outcome
from tests.server_folder import server_folder
from tests.waiting import PATIENCE_S, until

from cryptolake.cluster.worker_list import read_workers
from cryptolake.demo.replay import Replay, sandbox_registry

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the lab machines of this test are POSIX"),
    pytest.mark.xdist_group("cluster"),
]
SPAN = ["--csu", "aave_v3_sandbox", "--start-date", "2024-12-01", "--end-date", "2024-12-14"]
SECRET = "key-that-nobody-may-see"
SERVERS = [
    pytest.param(True, id="openssh", marks=pytest.mark.skipif(SSHD is None, reason="no sshd here")),
    pytest.param(False, id="asyncssh"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder an unprivileged database server may enter."""
    with server_folder("lab", "data") as made:
        yield made


def command(folder: Path, url: str, *arguments: str, home: Path | None = None) -> subprocess.Popen[str]:
    """The command line in a process of its own, in a clean environment."""
    variables = {
        "CRYPTOLAKE_RPC_SANDBOX": f"{url}?{SECRET}",
        "CRYPTOLAKE_REGISTRY": str(sandbox_registry()),
        "CRYPTOLAKE_DATA": str(folder / "data"),
    }
    return subprocess.Popen(
        [sys.executable, "-c", "from cryptolake.cli import main; main()", *arguments],
        cwd=folder,
        env={**CLEAN, **variables, **({"HOME": str(home)} if home else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def commands_of_all_processes() -> list[str]:
    """Every command line on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return found


class Watch:
    """Looks at all command lines, again and again, until told to stop."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.seen.update(commands_of_all_processes())


@pytest.mark.parametrize("open_ssh", SERVERS)
def test_two_machines_collect_what_one_collects_and_no_command_shows_a_secret(folder: Path, open_ssh: bool) -> None:
    with Replay() as replay, lab_machines(folder, 2, open_ssh=open_ssh) as lab, Watch() as watch:
        alone = command(folder / ".." / folder.name, replay.rpc_url, "--data", str(folder / "alone"), "collect", *SPAN)
        assert alone.wait(timeout=PATIENCE_S) == 0
        run = command(
            folder, replay.rpc_url, "collect", *SPAN, "--cluster", lab.address, "--workers", "2", home=lab.home
        )
        out, err = run.communicate(timeout=PATIENCE_S)
        assert run.returncode == 0, err
    wanted, found = outcome(folder / "alone"), outcome(folder / "data")
    assert found["answers"] == wanted["answers"]
    assert found["states"] == wanted["states"]
    workers = read_workers(folder / "data")
    assert sum(one.partitions for one in workers) == 28
    assert all(one.name in out for one in workers)
    password = next(folder.rglob("password"), None) or Path((folder / "data" / "postgres.location").read_text().strip())
    secret = (password if password.is_file() else password / "password").read_text().strip()
    assert any("dask_spec" in one for one in watch.seen)  # the watch did see the machines' commands
    if sys.platform == "linux":
        for hidden in (SECRET, secret, "PRIVATE KEY"):
            assert not [one for one in watch.seen if hidden in one]
    assert SECRET not in out + err
    assert secret not in out + err
    assert not list(Path(lab.home if not open_ssh else Path.home()).glob(".cryptolake-*.pem"))


def _left(home: Path) -> list[str]:
    """Processes that a session of this home started and that still run."""
    marker = f"HOME={home}\0".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker in path.read_bytes() and b"dask_spec" in path.with_name("cmdline").read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_coordinator_leaves_no_machine_busy_and_the_next_run_goes_on(folder: Path) -> None:
    gate = Gate()
    gate.close_after(20)
    with gated(gate) as replay, lab_machines(folder, 2, open_ssh=False) as lab:
        flags = ["collect", *SPAN, "--cluster", lab.address, "--workers", "2"]
        run = command(folder, replay.rpc_url, *flags, home=lab.home)
        gate.await_waiting(2)
        assert _left(lab.home)
        run.kill()
        run.communicate()
        gate.open()
        until(lambda: not _left(lab.home), "the end of a scheduler or worker whose coordinator is gone")
        again = command(folder, replay.rpc_url, *flags, home=lab.home)
        _, err = again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0, err
    assert len(outcome(folder / "data")["states"]) == 28  # type: ignore[arg-type]
