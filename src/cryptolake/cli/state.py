"""What all commands share: the global flags, and the app opened from them when a command first needs it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cryptolake.app import App, configure_logging, known_secrets, prepare_folder
from cryptolake.cli.show import print_note
from cryptolake.demo.journey import NOTE, is_marked
from cryptolake.settings import Settings, load_settings


class State:
    """The global flags of one invocation. `settings` are those of the app opened last, for redacting the last line.

    `says_sandbox`: whether opening a sandbox's folder says on standard error that it is one; once is enough.
    """

    settings: ClassVar[Settings | None] = None

    def __init__(self, *, data: Path | None = None, registry: Path | None = None, log_level: str | None = None) -> None:
        self.data, self.says_sandbox = data, True
        self._flags: dict[str, object] = {"data": data, "registry": registry, "log_level": log_level}
        self._app: App | None = None

    def open(self, **overrides: object) -> App:
        """The app under the settings, the global flags and these overrides. Raises BadInput or Stop."""
        settings = load_settings(**{**self._flags, **overrides})
        State.settings = settings
        configure_logging(settings)
        prepare_folder(settings)
        if self.says_sandbox and is_marked(settings.data):
            self.says_sandbox = False
            print_note(NOTE)
        self.close()
        self._app = App(settings)
        return self._app

    @classmethod
    def secrets(cls) -> list[str]:
        """Every secret in force; none before an app was opened."""
        return known_secrets(cls.settings) if cls.settings is not None else []

    def close(self) -> None:
        """Close the app if one was opened."""
        if self._app is not None:
            self._app.close()
            self._app = None
