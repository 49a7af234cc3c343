"""What every command gets: where the data is, which model, and how to open the assistant."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from mnemon.errors import InputError
from mnemon.paths import Home, home

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.settings import Settings

PASSPHRASE_FILE = "MNEMON_PASSPHRASE_FILE"  # noqa: S105  # the name of a variable


class OpenAssistant(Protocol):
    """How commands get an assistant; tests hand in one with a scripted model."""

    def __call__(
        self, root: Path, *, model: str | None, settings: Settings, passphrase: Callable[[], str]
    ) -> Assistant:
        """An open assistant for the home ``root``."""


def open_assistant(root: Path, *, model: str | None, settings: Settings, passphrase: Callable[[], str]) -> Assistant:
    """The real one."""
    from mnemon.assistant import Assistant

    return Assistant(root, model=model, settings=settings, passphrase=passphrase)


@dataclass(slots=True)
class App:
    """The context object of the command line (``ctx.obj``).

    Attributes:
        root: What ``--home`` said; None means ``MNEMON_HOME`` or the platform's folder.
        model: What ``--model`` said; None means what the settings say.
        debug: Whether errors show where they come from.
        opener: How an assistant is opened.
    """

    root: str | None = None
    model: str | None = None
    debug: bool = False
    opener: OpenAssistant = field(default=open_assistant)

    @property
    def home(self) -> Home:
        """Where the owner's data lives."""
        return home(self.root)

    def settings(self) -> Settings:
        """The settings that hold, ``--model`` included."""
        from mnemon.settings import load

        overrides: dict[str, dict[str, Any]] = {"model": {"name": self.model}} if self.model else {}
        return load(self.home, overrides=overrides)

    def assistant(self) -> Assistant:
        """An open assistant; a context manager. Its model is loaded when something is asked of it."""
        return self.opener(self.home.root, model=self.model, settings=self.settings(), passphrase=self.passphrase)

    def passphrase(self) -> str:
        """The owner's passphrase, asked for twice while there is no memory yet."""
        return read_passphrase("Passphrase of your memory", confirm=not self.home.store.exists())


pass_app = click.make_pass_decorator(App)


def read_passphrase(prompt: str, *, confirm: bool = False, variable: str = PASSPHRASE_FILE) -> str:
    """A passphrase from the file named by the environment's ``variable``, else typed without being shown.

    Never from an argument: other people on the machine can read those.

    Raises:
        InputError: The file cannot be read, nothing was typed, the two differ, or there is no terminal to ask.
    """
    path = os.environ.get(variable)
    if path:
        try:
            text = Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"The passphrase file {path} cannot be read.", hint=f"Mend it, or unset {variable}."
            ) from error
        phrase = text.rstrip("\r\n")
    elif sys.stdin.isatty() and sys.stderr.isatty():
        import getpass

        phrase = getpass.getpass(f"{prompt}: ", stream=sys.stderr)
        if confirm and phrase != getpass.getpass("The same again: ", stream=sys.stderr):
            raise InputError("The two passphrases differ.", hint="Try again.")
    else:
        raise InputError(
            "A passphrase is needed and there is no terminal to ask for it.",
            hint=f"Set {variable} to a file that holds it.",
        )
    if not phrase:
        raise InputError("The passphrase is empty.", hint="Type one, or choose another kind of key.")
    return phrase
