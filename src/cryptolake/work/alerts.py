"""Tells a person that a job failed: always in the log, and on every way whose settings are set.

The scheduler and Dagster both come here. What does not belong here: the ways (alerts), and what is worth telling.
"""

from __future__ import annotations

import structlog

from cryptolake.alerts.found import AlertWay, find_ways
from cryptolake.app import App
from cryptolake.contracts.alert import Alert
from cryptolake.errors import Stop
from cryptolake.logs import known_secrets, redact_text

log = structlog.get_logger(__name__)


def alert(app: App, title: str, text: str) -> None:
    """Tell a person, on every open way whatever becomes of the others. Never raises; secrets are asterisks everywhere."""
    settings, secrets = app.settings, known_secrets(app.settings)
    title, text = (redact_text(one, secrets) for one in (f"[{settings.environment}] {title}", text))
    log.error("alert", title=title, text=text)
    found = find_ways()
    for file, fault in found.refused.items():
        log.error("alert way left out", file=file, fault=redact_text(fault, secrets))
    told = Alert(title, text, settings.environment)
    for way in found.ways:
        try:
            _tell(app, way, told)
        except Exception as error:  # noqa: BLE001  # whatever a way does, the others are still to be gone
            words = redact_text(f"{type(error).__name__}: {error}", secrets)
            log.error("the alert could not be sent", way=way.name, title=title, error=words)


def require_ways() -> None:
    """Raises Stop naming every file of a way that is at fault: found out when a job fails, it would be found out too late."""
    if refused := find_ways().refused:
        raise Stop("; ".join(f"{file}: {fault}" for file, fault in refused.items()))


def _tell(app: App, way: AlertWay, told: Alert) -> None:
    values = {one.name: value for one in way.settings if (value := app.settings.key(one.name)) is not None}
    missing = [one.name for one in way.settings if one.name not in values]
    if not missing:
        way.send(told, values, app.http)
    elif values:
        log.warning("alert way is half set", way=way.name, missing=", ".join(missing))
