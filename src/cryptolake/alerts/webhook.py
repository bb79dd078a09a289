"""A JSON document to a URL: chat rooms and pagers read its `text`."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from cryptolake.contracts.alert import Alert, Setting
from cryptolake.errors import Retry
from cryptolake.net.http import Http

_HOOK = Setting(
    "CRYPTOLAKE_ALERT_WEBHOOK",
    "URL that gets a JSON document with `text` when a job fails (Slack and others read it)",
    secret=True,
)
SETTINGS = (_HOOK,)


def send(alert: Alert, values: Mapping[str, str], http: Http) -> None:
    """Post the document. Raises Retry when the address does not take it."""
    body = {"title": alert.title, "text": f"{alert.title}: {alert.text}", "environment": alert.environment}
    answer = http.post(values[_HOOK.name], orjson.dumps(body), headers={"content-type": "application/json"})
    if answer.status >= 300:
        raise Retry(f"the webhook answered {answer.status}; check {_HOOK.name}")
