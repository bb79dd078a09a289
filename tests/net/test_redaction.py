"""Whatever an endpoint repeats of the address it was asked at, in whatever spelling: nothing secret is told."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.logs import redact_text, url_secrets

LETTERS = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#@:&=;")
SECRETS = st.text(LETTERS, min_size=4, max_size=40)
SPELLINGS = {
    "as it is": str,
    "small": str.lower,
    "large": str.upper,
    "read": unquote,
    "escaped": lambda one: quote(one, safe=""),
    "as a form": quote_plus,
}


def bare(text: str, secret: str) -> bool:
    return secret.casefold() in text.casefold() or unquote(secret).casefold() in text.casefold()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "address",
    [
        "https://rpc.example/v2/{}aaaaaaaaaaaa",
        "https://rpc.example/?apikey={}",
        "https://rpc.example/x?net=main&access_token={}",
        "https://{}@rpc.example/",
        "https://me-myself:{}@rpc.example/",
    ],
)
@given(secret=SECRETS)
def test_no_part_of_an_address_comes_back(spelling: str, address: str, secret: str) -> None:
    url = address.format(quote(secret, safe=""))
    secrets = url_secrets(url)
    told = redact_text(f"error: <{SPELLINGS[spelling](secret)}>", secrets)
    if "v2" in address:  # the key is a part of a path: told whole or not at all
        told = redact_text(f"error: <{SPELLINGS[spelling](quote(secret, safe='') + 'aaaaaaaaaaaa')}>", secrets)
    assert not bare(told.removeprefix("error: <").removesuffix(">"), secret) or bare("***", secret)


@given(user=SECRETS, password=SECRETS)
def test_no_header_comes_back(user: str, password: str) -> None:
    url = f"https://{quote(user, safe='')}:{quote(password, safe='')}@rpc.example/"
    header = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert header.rstrip("=")[:-2] not in redact_text(f"Authorization: Basic {header}", url_secrets(url))


def test_words_of_an_address_are_no_secrets() -> None:
    assert url_secrets("https://eth-mainnet.example/v2/rpc?net=mainnet&chain=base") == []
