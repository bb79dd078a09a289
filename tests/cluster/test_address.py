"""What `--cluster` understands, and what it says about the rest."""

from __future__ import annotations

import pytest

from cryptolake.cluster.address import Machine, Machines, SchedulerAddress, parse_address
from cryptolake.errors import BadInput


def test_machines_share_the_first_ones_user_unless_they_name_their_own() -> None:
    assert parse_address("ssh://ann@lab1,lab2:2202,bob@lab3") == Machines(
        (Machine("lab1", "ann"), Machine("lab2", "ann", 2202), Machine("lab3", "bob"))
    )
    assert parse_address("ssh://lab1/?interface=eth1") == Machines((Machine("lab1"),), "eth1")
    assert parse_address("ssh://[::1]:22") == Machines((Machine("::1", None, 22),))


def test_schedulers_are_encrypted_or_not() -> None:
    assert parse_address("tcp://lab1:8786") == SchedulerAddress("tcp://lab1:8786", encrypted=False)
    assert parse_address("tls://lab1:8786/") == SchedulerAddress("tls://lab1:8786", encrypted=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lab1,lab2", "write ssh://user@lab1,lab2"),
        ("http://lab1:8786", "write ssh://user@lab1,lab2"),
        ("tcp://lab1", "host and a port"),
        ("tcp://lab1:many", "host and a port"),
        ("tcp://user@lab1:8786", "host and a port"),
        ("ssh://", "no machine"),
        ("ssh://lab1,,lab2", "no machine"),
        ("ssh://lab1:notaport", "no machine"),
        ("ssh://lab1?port=3", "does not know port"),
        ("ssh://ann:hidden@lab1", "SSH key"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        parse_address(text)
    assert "hidden" not in str(caught.value)
