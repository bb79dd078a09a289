"""A part of a secret is told in no usual dress, wherever it stands."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptolake.fragments import SHORTEST, Fragments
from cryptolake.logs import redact_text, url_secrets

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SECRETS = st.text(LETTERS, min_size=8, max_size=40)
AROUND = st.text(st.sampled_from('GHI{} .:"<>=&?'), max_size=5)
Dress = Callable[[str], str]
DRESSES: dict[str, Dress] = {
    "plain": str,
    "small": str.lower,
    "large": str.upper,
    "reversed": lambda one: one[::-1],
    "hex": lambda one: one.encode().hex(),
    "large hex": lambda one: one.encode().hex().upper(),
    "hex in pairs": lambda one: one.encode().hex(" "),
    "percent": lambda one: "".join(f"%{ord(letter):02x}" for letter in one),
    "percent twice": lambda one: "".join(f"%25{ord(letter):02X}" for letter in one),
    "decimal entities": lambda one: "".join(f"&#{ord(letter)};" for letter in one),
    "hexadecimal entities": lambda one: "".join(f"&#x{ord(letter):x};" for letter in one),
    "JSON escapes": lambda one: "".join(f"\\u{ord(letter):04x}" for letter in one),
    "JSON escapes in JSON": lambda one: "".join(f"\\\\u{ord(letter):04x}" for letter in one),
    "program text": lambda one: "".join(f"\\x{ord(letter):02x}" for letter in one),
    "dashes": lambda one: "-".join(one),
    "blanks": " ".join,
    "base64": lambda one: base64.b64encode(one.encode()).decode(),
    "base64, later": lambda one: base64.b64encode(b"x" + one.encode()).decode(),
    "base64, later still": lambda one: base64.urlsafe_b64encode(b"\xff\xfe" + one.encode()).decode(),
    "base64 of an address": lambda one: base64.b64encode(f"https://rpc.example/v2/{one}".encode()).decode(),
    "base64 in an address": lambda one: quote(base64.b64encode(f"{one}:".encode()).decode(), safe=""),
    "hex of base64": lambda one: base64.b64encode(one.encode()).hex(),
}


def tells(text: str, part: str) -> bool:
    """Whether six letters in a row of a part still stand in the text."""
    return any(part[at : at + SHORTEST] in text for at in range(len(part) - SHORTEST + 1))


@pytest.mark.parametrize("dress", DRESSES)
@settings(max_examples=25)
@given(secret=SECRETS, before=AROUND, after=AROUND, data=st.data())
def test_no_part_of_a_secret_is_told(dress: str, secret: str, before: str, after: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(secret) - SHORTEST))
    part = secret[first : data.draw(st.integers(first + SHORTEST, len(secret)))]
    dressed = DRESSES[dress](part)
    told = Fragments([secret]).redact(f"{before}{dressed}{after}")
    assert "***" in told
    assert not tells(told, dressed.removesuffix("%3D").removesuffix("%3D").rstrip("="))


@given(st.text(max_size=60))
def test_whatever_the_text_is_it_can_be_read(text: str) -> None:
    assert Fragments(["k" * 0, "short"]).redact(text) == text
    Fragments(["0123456789abcdef"]).redact(text + html.escape(text) + quote(text))


def test_what_is_no_secret_stays() -> None:
    body = orjson.dumps(
        {"jsonrpc": "2.0", "result": [{"data": "0x" + "00" * 31 + "2a", "topics": ["0x" + "ab" * 32]}]}
    ).decode()
    assert Fragments(["AbCd3fGhIjKlMnOpQrSt99", "sh0rtTok12"]).redact(body) == body


def test_short_tokens_and_users_of_an_address_are_secrets_too() -> None:
    secrets = url_secrets("http://us3rName1:p4s5@rpc.example/v2/sh0rtTok12")
    assert redact_text("us3rName1 p4s5 sh0rtTok12", secrets) == "*** *** ***"
