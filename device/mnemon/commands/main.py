"""``mnemon``: the command line. Commands are loaded when they are used, so that ``mnemon --help`` is instant."""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import click

from mnemon.commands.app import App
from mnemon.commands.output import report, wants_json
from mnemon.terminal.text import one_line


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary, and imports one only to run it."""

    known: ClassVar[dict[str, tuple[str, str]]] = {
        "ask": ("ask:ask", "Ask or tell one thing and print the answer."),
        "cloud": ("cloud:cloud", "A bigger model for hard questions: enrol, ask, look, leave."),
        "completion": ("completion:completion", "Print the completion script for your shell."),
        "doctor": ("doctor:doctor", "Check what is installed, where data lives, and what to mend."),
        "eval": ("eval:evaluate", "Measure recall and answers on real data."),
        "learn": ("learn:learn", "Learn from what you did with answers; see what was learned; go back."),
        "memory": ("memory:memory", "Look at, change, forget, back up, export and import what is remembered."),
        "models": ("models:models", "List, pull and choose local models."),
        "privacy": ("privacy:privacy", "What may leave this device, and what has left."),
        "profile": ("profile:profile", "The few lines Mnemon knows you by."),
        "settings": ("settings:settings", "Show and change settings."),
        "sync": (
            "sync:sync",
            "Questions that wait for the cloud: send them now, in the background, or look at them.",
        ),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted(self.known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command ``cmd_name``; None when there is none."""
        if cmd_name not in self.known:
            return None
        module, name = self.known[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"mnemon.commands.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to run; for a word that is none, the one that was meant."""
        word = args[0]
        if word not in self.known and not word.startswith("-"):
            close = difflib.get_close_matches(word, self.known, 1)
            meant = f"Did you mean '{close[0]}'?" if close else ""
            if " " in word.strip():
                meant = 'To ask or tell something: mnemon ask "…"'
            ctx.fail(f"There is no command '{one_line(word, 40)}'. {meant}".rstrip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from the summaries here: nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.known[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away is told apart here, before click ends the process for it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise click.exceptions.Exit(report(error, as_json=False, debug=False)) from error

    def main(  # type: ignore[override]  # click's overloads tell apart modes; here there is one
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run, and end the process with the exit code. Every error becomes one line here (``output.report``)."""
        words = list(sys.argv[1:] if args is None else args)
        extra.pop("standalone_mode", None)
        try:
            code = super().main(words, prog_name or "mnemon", standalone_mode=False, **extra)
            sys.stdout.flush()  # a reader that has gone shows here, not in a complaint at exit
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # this is the place where they end
            debug = "--debug" in words
            code = report(error, as_json=wants_json(words), debug=debug)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--home", "root", metavar="FOLDER", help="Where data lives (default: MNEMON_HOME, else your data folder)."
)
@click.option("--model", metavar="NAME", help="The model to talk with, this time.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="mnemon", message="mnemon %(version)s")
@click.pass_context
def cli(ctx: click.Context, root: str | None, model: str | None, debug: bool) -> None:
    """Mnemon: an assistant that lives on your device and remembers what you tell it.

    Without a command: the app in a terminal; otherwise every line on standard input gets an answer.
    """
    app = ctx.ensure_object(App)
    app.root, app.model, app.debug = root or app.root, model or app.model, debug
    _keep_the_log_quiet(debug)
    if ctx.invoked_subcommand is not None:
        return
    with app.assistant() as assistant:
        if sys.stdin.isatty() and sys.stdout.isatty():
            from mnemon import terminal

            terminal.run(assistant)
        else:
            from mnemon.commands.talk import answer_lines

            ctx.exit(answer_lines(assistant))


def _keep_the_log_quiet(debug: bool) -> None:
    """Without a handler Python would write warnings in between answers; ``--debug`` is how to see them."""
    handler = logging.StreamHandler() if debug else logging.NullHandler()
    log = logging.getLogger("mnemon")
    log.handlers = [*(old for old in log.handlers if old.name != "command-line"), handler]
    handler.name = "command-line"
    log.setLevel(logging.DEBUG if debug else logging.NOTSET)


def main() -> NoReturn:
    """The console script."""
    cli.main()
