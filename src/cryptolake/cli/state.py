"""What all commands share: the global flags, and the app opened from them when a command first needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.settings import Settings


class State:
    """The global flags of one invocation. `settings` are those of the app opened last, for redacting the last line.

    `flags` are the global flags as they were typed, for the commands that the last line names.
    `says_sandbox`: whether opening a sandbox's folder says on standard error that it is one; once is enough.
    """

    settings: ClassVar[Settings | None] = None
    flags: ClassVar[list[str]] = []

    def __init__(self, *, data: Path | None = None, registry: Path | None = None, log_level: str | None = None) -> None:
        self._flags: dict[str, object] = {"data": data, "registry": registry, "log_level": log_level}
        self._app: App | None = None
        self.data, self.says_sandbox = data, True

    def read(self, **overrides: object) -> Settings:
        """The settings under the global flags and these overrides. Makes no folder. Raises BadInput."""
        from cryptolake.logs import configure_logging
        from cryptolake.settings import load_settings

        settings = load_settings(**{**self._flags, **overrides})
        State.settings = settings
        configure_logging(settings)
        return settings

    def open(self, **overrides: object) -> App:
        """The app under the settings, the global flags and these overrides. Raises BadInput or Stop."""
        from cryptolake.app import App
        from cryptolake.demo.journey import NOTE, is_marked

        settings = self.read(**overrides)
        self.close()
        self._app = App(settings)
        if self._app.folder.fresh_start.exists():
            from cryptolake.cli.show import print_note

            print_note(
                "[yellow]A fresh start is unfinished[/]: tables may be empty until `cryptolake scheduler` ends it"
            )
        if self.says_sandbox and is_marked(self._app.folder.root):
            from cryptolake.cli.show import print_note

            self.says_sandbox = False
            print_note(NOTE)
        from cryptolake.cli.reading import reads_now

        self._app.prepare(reading=reads_now())
        return self._app

    @classmethod
    def secrets(cls) -> list[str]:
        """Every secret in force; none before an app was opened."""
        from cryptolake.logs import known_secrets

        return known_secrets(cls.settings) if cls.settings is not None else []

    def close(self) -> None:
        """Close the app if one was opened."""
        if self._app is not None:
            self._app.close()
            self._app = None
