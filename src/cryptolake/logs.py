"""Log lines on standard error, with every known secret replaced before anything leaves.

What does not belong here: what is logged, and text for people (cli).
"""

from __future__ import annotations

import base64
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    import structlog

    from cryptolake.settings import Settings

_SHORTEST = 4
_KEY_LENGTH = 16  # the shortest key that a provider puts into a path or host name; shorter parts are words
_TOKEN = re.compile(r"(?=.*\d)(?=.*[a-z]).{8,}", re.IGNORECASE)  # no word of a language is made so
# What is shorter than a key and looks like words is one from so many digits or letters on, unless such a word is in it.
_DIGITS, _ONE_WORD, _SEVERAL_WORDS = 8, 13, 10
_WORDS = re.compile(
    "api|archive|bc|beta|chains?|datasets?|devnet|endpoint|ethereum|evm|ext|full|fullnode|gateway|graphql|https?|json|jsonrpc|"
    "main|mainnet|networks?|nodes?|one|private|projects?|proxy|public|query|rpc|service|testnet|stream|trace|v[0-9]|websocket|wss?"
)
_NAMES_A_SECRET = re.compile(r"key|token|secret|auth|pass|pwd|sig|cred", re.IGNORECASE)
# What logging was set up with in this process: two folders may be open at once, and neither's secrets may be told.
_in_force: list[Settings] = []
_processors: list[structlog.types.Processor] = []


def configure_logging(settings: Settings) -> None:
    """Structured log lines on standard error, with every known secret replaced before anything is formatted."""
    import structlog

    known: list[str] = []
    if settings not in _in_force:
        _in_force.append(settings)

    def redact(line: str) -> str:
        # Looked for in the finished line: whatever was handed in, a secret may lie deep inside it.
        if not known:
            known.extend(["", *(secret for one in _in_force for secret in known_secrets(one))])
        return redact_text(line, known)

    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer(colors=_coloured())
    )
    _processors[:] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda logger, method, event: redact(str(renderer(logger, method, event))),
    ]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        # Looked up for every line: whoever embeds us (a notebook, a test) may exchange or close standard error.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _coloured() -> bool:
    """Only a terminal shows colours, and not where its user wants none (https://no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_ours() -> bool:
    """Whether lines go through `configure_logging`, and not through what a program that embeds us has arranged."""
    import structlog

    return bool(_processors) and structlog.get_config()["processors"] is _processors


def known_secrets(settings: Settings) -> list[str]:
    """Every secret in force, those of vendors and alert ways by the names that their files declare; never print this."""
    from cryptolake.alerts.found import find_ways
    from cryptolake.sources.found import find_sources

    found = settings.secrets([*find_sources().keys, *find_ways().secrets])
    return [*found, *(part for secret in found for part in url_secrets(secret))]


def url_secrets(url: str) -> list[str]:
    """What in an endpoint's address may be its key: providers repeat parts of it in their answers. Nothing for other texts."""
    if "://" not in url:
        return []
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").split(".")
    except ValueError:  # brackets that are no address
        return [url]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    # Of the host the last two labels are the provider's name; of what follows, a fragment is written like a query.
    words = [*host[: max(1, len(host) - 2)], user]
    keys = [*re.split("[/;=]", parts.path), *parts.path.split("/"), *parts.fragment.split("/")]
    # What stands where only a secret does is one however short it is: a user name only where there is no password.
    given = [password, f"{user}:{password}"] if password else [user]
    if parts.scheme.startswith("postgres"):  # a login and a database have names that stand in every second line
        words, keys, given = [], [], given if password else []
    for part in re.split("[&;]", f"{parts.query}&{parts.fragment}"):
        name, equals, value = (unquote(one.replace("+", " ")) for one in part.partition("="))
        if not equals:
            keys.append(name)  # a key may be all there is
        else:
            (given if _NAMES_A_SECRET.search(name) else words).append(value)
    return list(
        dict.fromkeys(
            [
                *(one for one in [*words, *keys] if len(one) >= _KEY_LENGTH or _TOKEN.fullmatch(one)),
                *(one for one in keys if _may_be_a_key(one)),
                *(one for one in given if len(one) >= _SHORTEST),
            ]
        )
    )


def _may_be_a_key(part: str) -> bool:
    """Whether a part of a path, shorter than keys are, is none of the words that stand in addresses."""
    pieces = [one for one in re.split(r"[^a-z0-9]+", part.lower()) if one]
    if any(_WORDS.fullmatch(one) for one in pieces):
        return False
    if part.isdigit():
        return len(part) >= _DIGITS
    return len(part) >= (_ONE_WORD if len(pieces) == 1 else _SEVERAL_WORDS)


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced by asterisks, also where it stands encoded in a URL or in JSON.

    Secrets of fewer than four characters are left: they would blacken every other word.
    """
    if (found := _pattern(tuple(secrets))) is None:
        return text
    return found.sub("***", text)


@lru_cache(maxsize=64)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Every form of every secret, the longest first, in any spelling of its letters."""
    told = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret) if len(form) >= _SHORTEST}
    if not told:
        return None
    return re.compile("|".join(re.escape(one) for one in sorted(told, key=len, reverse=True)), re.IGNORECASE)


def _forms(secret: str) -> Iterator[str]:
    """The secret as it may stand in an address, in JSON, in a header (base64), and with its percent signs read."""
    import orjson

    for one in {secret, unquote(secret)}:
        yield from (one, quote(one, safe=""), quote(one), quote_plus(one), orjson.dumps(one).decode()[1:-1])
        # The last letters of base64 depend on what follows: those before them are told.
        coded = base64.b64encode(one.encode("utf-8", "surrogateescape")).decode().rstrip("=")
        yield coded[: len(coded) - (len(one.encode("utf-8", "surrogateescape")) % 3 != 0)]
