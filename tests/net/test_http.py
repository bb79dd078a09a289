"""The HTTP client over a loopback server: what is the largest body, whatever says or hides its size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping

import pytest
from tests.loopback import serving

from cryptolake.net import http
from cryptolake.net.http import Http, TooLarge

LIMIT = 3 * 1024 * 1024
WAYS = {
    "plain": (lambda body: body, {}),
    "gzip": (gzip.compress, {"Content-Encoding": "gzip"}),
    "deflate": (zlib.compress, {"Content-Encoding": "deflate"}),
}


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", LIMIT)


@pytest.mark.parametrize("status", [200, 429, 500])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + 1])
def test_a_body_has_one_ceiling_however_it_is_sent(way: str, size: int, status: int) -> None:
    packed, headers = WAYS[way]

    def answer(_path: str, _headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        return status, headers, packed(b" " * size)

    client = Http()
    try:
        with serving(answer) as url:
            if size > LIMIT:
                with pytest.raises(TooLarge, match="more than 3 MB"):
                    client.get(url)
            else:
                got = client.get(url)
                assert (got.status, got.body) == (status, b" " * size)
    finally:
        client.close()
