"""Tells a person that a job failed: always in the log, and on every way whose settings are set.

The scheduler and Dagster both come here. What does not belong here: the ways (alerts), and what is worth telling.
"""

from __future__ import annotations

import structlog

import cryptolake.alerts
from cryptolake.alerts.found import AlertWay, FoundWays, find_ways
from cryptolake.app import App
from cryptolake.contracts.alert import Alert
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.files.foreign import fence
from cryptolake.logs import known_secrets, redact_text
from cryptolake.settings import Settings
from cryptolake.settings.names import is_ours

log = structlog.get_logger(__name__)


def alert(app: App, title: str, text: str) -> None:
    """Tell a person, on every open way whatever becomes of the others. Never raises; secrets are asterisks everywhere."""
    settings, secrets = app.settings, known_secrets(app.settings)
    title, text = (redact_text(one, secrets) for one in (f"[{settings.environment}] {title}", text))
    log.error("alert", title=title, text=text)
    found = _ways()
    for file, fault in found.refused.items():
        log.error("alert way left out", file=file, fault=redact_text(fault, secrets))
    told = Alert(title, text, settings.environment)
    for way in found.ways:
        try:
            _tell(app, way, told)
        except CryptolakeError as error:
            words = redact_text(str(error), secrets)
            log.error("the alert could not be sent", way=way.name, title=title, error=words)


def require_ways() -> None:
    """Raises Stop naming every file of a way that is at fault: found out when a job fails, it would be found out too late."""
    if refused := _ways().refused:
        raise Stop("; ".join(f"{file}: {fault}" for file, fault in refused.items()))


def _ways() -> FoundWays:
    """The ways, without those that declare a variable of ours as their own: it says something else."""
    found = find_ways()
    for way in list(found.ways):
        if ours := [one.name for one in way.settings if is_ours(one.name, Settings.model_fields)]:
            found.ways.remove(way)
            found.refused[f"{cryptolake.alerts.__name__}.{way.name}"] = (
                f"{ours[0]} is a setting of cryptolake's own; rename the way's"
            )
    return found


def _tell(app: App, way: AlertWay, told: Alert) -> None:
    values = {one.name: value for one in way.settings if (value := app.settings.key(one.name)) is not None}
    missing = [one.name for one in way.settings if one.name not in values]
    if not missing:
        with fence(f"alerts.{way.name}", "send"):
            way.send(told, values, app.http)
    elif values:
        log.warning("alert way is half set", way=way.name, missing=", ".join(missing))
