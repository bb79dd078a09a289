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


PLACES = [
    "https://rpc.example/?{}", "https://rpc.example/v2?net=main&{}", "https://rpc.example/{}", "https://rpc.example/v2/{}/rpc",
    "https://rpc.example/v2#{}", "https://rpc.example/v2#apikey={}", "https://rpc.example/x?token={}",
    "https://rpc.example/x;k={}", "https://rpc.example/a#/{}/b",
]  # fmt: skip
SHORT = [
    "12345678901234",
    "abcdefghijklmno",
    "abc_defghi",
    "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "zyxwvutsrqponml",
    "k3y-0f-mine",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", SHORT)
def test_a_short_key_is_one_wherever_it_stands(place: str, key: str) -> None:
    assert not bare(redact_text(f"error at {key}", url_secrets(place.format(key))), key)


@pytest.mark.parametrize(
    "host", ["{}.rpc.example", "n1.{}.h.example", "eth.mainnet.{}.quick.example", "a.b.{}.c.d.example"]
)
def test_any_label_of_a_host_may_be_its_key(host: str) -> None:
    key = "9f8e7d6c5b4a3928"
    assert not bare(redact_text(f"error at {key}", url_secrets(f"https://{host.format(key)}/")), key)


@pytest.mark.parametrize("url", ["https://[::1", "https://[", "http://a]b/", "://", "x://[v1.a]:b/?#"])
def test_no_address_crashes(url: str) -> None:
    assert isinstance(url_secrets(url), list)


@given(user=SECRETS, password=SECRETS)
def test_no_header_comes_back(user: str, password: str) -> None:
    url = f"https://{quote(user, safe='')}:{quote(password, safe='')}@rpc.example/"
    header = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert header.rstrip("=")[:-2] not in redact_text(f"Authorization: Basic {header}", url_secrets(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://eth-mainnet.example/v2/rpc?net=mainnet&chain=base", "https://api.avax.network/ext/bc/C/rpc",
        "https://portal.sqd.dev/datasets/base-mainnet", "https://rpc.gnosis.gateway.fm", "https://mainnet.base.org",
        "https://arb.example/arbitrum-one", "https://rpc.example/ethereum/archive", "http://127.0.0.1:8545",
        "http://localhost:8545/optimism#main", "https://x.example/?debug",
    ],
)  # fmt: skip
def test_words_of_an_address_are_no_secrets(url: str) -> None:
    assert url_secrets(url) == []


@pytest.mark.parametrize("login", ["cryptolake", "refine:a long password", "build:pw12"])
@pytest.mark.parametrize("database", ["cryptolake", "abcdefghij0123456789abcdef"])
def test_names_of_a_database_and_its_login_blacken_no_remedy(login: str, database: str) -> None:
    """They are ordinary words: only a password is a secret there."""
    found = url_secrets(f"postgresql://{login}@db.example.com:5432/{database}?sslmode=require&password=hunter2x")
    password = login.partition(":")[2]
    assert set(found) == {"hunter2x", *((password, login) if password else ())}
    assert redact_text("run `cryptolake build` first", found) == "run `cryptolake build` first"
