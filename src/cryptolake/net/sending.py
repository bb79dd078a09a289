"""One request to one endpoint in the protocol that it speaks: JSON-RPC, or an archive's own."""

from __future__ import annotations

from cryptolake.net import portal
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.http import Answer, Http

_NOT_WAITED_FOR_S = 10.0  # who is only asked besides has so long for a whole answer
_HEADERS = {"content-type": "application/json"}


def send(http: Http, endpoint: Endpoint, body: bytes) -> Answer:
    """The endpoint's answer to JSON-RPC questions. Raises as `Http.post`, and Stop when an archive is another one."""
    url = endpoint.url.reveal()
    if endpoint.dataset_of is not None:
        return portal.post(http, url, endpoint.dataset_of, body)
    if endpoint.besides:
        return http.post(url, body, headers=_HEADERS, timeout_s=_NOT_WAITED_FOR_S)
    return http.post(url, body, headers=_HEADERS)
