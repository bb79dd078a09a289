"""One plain mail by SMTP. Knows no settings and no reason for writing."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from cryptolake.errors import BadInput, Retry

_TIMEOUT_S = 30.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def send_mail(smtp_url: str, to: str, subject: str, text: str) -> None:
    """Send one mail through `smtp://` (STARTTLS where offered) or `smtps://`; the user name is also the sender.

    Raises BadInput when the address of the server is none, Retry when the server does not take the mail.
    """
    parts = urlsplit(smtp_url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise BadInput(
            "the mail server is no URL; write smtp://user:password@host:587 or smtps://user:password@host:465"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    message = EmailMessage()
    message["Subject"], message["To"], message["From"] = subject, to, user if "@" in user else to
    message.set_content(text)
    context = ssl.create_default_context()
    try:
        server = (
            smtplib.SMTP_SSL(parts.hostname, parts.port or 465, timeout=_TIMEOUT_S, context=context)
            if parts.scheme == "smtps"
            else smtplib.SMTP(parts.hostname, parts.port or 587, timeout=_TIMEOUT_S)
        )
        with server:
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
            elif parts.scheme == "smtp" and password and parts.hostname not in _LOOPBACK:
                raise BadInput("the mail server offers no encryption, so the password was not sent; use smtps://")
            if user and password:
                server.login(user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Retry(
            f"the mail server did not take the mail ({type(error).__name__}); check the server's address"
        ) from None
