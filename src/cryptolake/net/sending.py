"""One request to one endpoint in the protocol that it speaks: JSON-RPC, or an archive's own."""

from __future__ import annotations

from cryptolake.net import portal
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.http import Answer, Http

_NOT_WAITED_FOR_S = 10.0  # for a whole answer
_HEADERS = {"content-type": "application/json"}


def send(http: Http, endpoint: Endpoint, body: bytes, *, briefly: bool = False) -> Answer:
    """The endpoint's answer to JSON-RPC questions. Raises as `Http.post`, and Stop when an archive is another one.

    `briefly`: it has as little time for a whole answer as those that are only asked besides.
    """
    url = endpoint.url.reveal()
    if endpoint.dataset_of is not None:
        return portal.post(http, url, endpoint.dataset_of, body)
    if endpoint.besides or briefly:
        return http.post(url, body, headers=_HEADERS, timeout_s=_NOT_WAITED_FOR_S)
    return http.post(url, body, headers=_HEADERS)
