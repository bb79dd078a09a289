"""A plain mail by SMTP."""

from __future__ import annotations

from collections.abc import Mapping

from cryptolake.contracts.alert import Alert, Setting
from cryptolake.net.http import Http
from cryptolake.net.mail import send_mail

_TO = Setting("CRYPTOLAKE_ALERT_EMAIL", "address that gets a mail when a job fails")
_SERVER = Setting(
    "CRYPTOLAKE_SMTP_URL",
    "server for those mails: smtp://user:password@host:587 (STARTTLS) or smtps://...:465",
    secret=True,
)
SETTINGS = (_TO, _SERVER)


def send(alert: Alert, values: Mapping[str, str], http: Http) -> None:
    """Send the mail. Raises what `send_mail` raises."""
    del http
    send_mail(values[_SERVER.name], values[_TO.name], f"cryptolake {alert.title}", alert.text)
