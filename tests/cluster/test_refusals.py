"""Machines that cannot be used say so in one line with the remedy, before anything is started."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from tests.cluster.machines import Lab, lab_machines

from cryptolake.cluster.address import Machine, Machines
from cryptolake.cluster.ssh import ssh_cluster
from cryptolake.errors import Stop

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the lab machines of this test are POSIX"),
    pytest.mark.xdist_group("cluster"),
]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with lab_machines(tmp_path, 1, open_ssh=False) as started:
        monkeypatch.setenv("HOME", str(started.home))
        yield started


def refusal(port: int, **options: object) -> str:
    """What starting that machine says."""
    given = {"threads": 1, "python": sys.executable, "port_to_share": None, **options}
    with pytest.raises(Stop) as caught, ssh_cluster(Machines((Machine("127.0.0.1", "ann", port),)), **given):  # type: ignore[arg-type]
        pass
    return str(caught.value)


def test_an_unknown_host_key_is_refused(machine: Lab) -> None:
    known = machine.home / ".ssh" / "known_hosts"
    known.write_text("")
    assert "host key of 127.0.0.1 is not known" in refusal(machine.ports[0])


def test_a_changed_host_key_is_refused(machine: Lab) -> None:
    known = machine.home / ".ssh" / "known_hosts"
    other = (machine.home.parent / "authorized_keys").read_text()
    known.write_text(f"[127.0.0.1]:{machine.ports[0]} {other}")
    assert "has changed" in refusal(machine.ports[0])


def test_a_key_that_is_not_installed_there(machine: Lab) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key()
    (machine.home.parent / "authorized_keys").write_bytes(other)
    assert "install your SSH key there" in refusal(machine.ports[0])


def test_a_machine_that_is_off(machine: Lab) -> None:
    assert "does not answer over SSH" in refusal(9)


def test_a_machine_without_our_python(machine: Lab) -> None:
    assert "CRYPTOLAKE_CLUSTER_PYTHON" in refusal(machine.ports[0], python="/nowhere/python")
    assert not list(machine.home.glob(".cryptolake-*.pem"))
