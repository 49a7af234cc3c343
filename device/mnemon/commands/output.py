"""What commands print: JSON for programs, short plain lines for people, and errors as one line."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mnemon.errors import DiskFullError, InputError, MnemonError, ReadOnlyError
from mnemon.terminal.text import one_line, plain

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
BROKEN_PIPE = 141  # 128 + SIGPIPE
INTERNAL = 1


def print_json(value: Any) -> None:
    """One JSON document on standard output, readable in any language."""
    text = json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    click.echo(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))  # JSON leaves these as they are


def say(text: str, *, end: str = "\n") -> None:
    """Words for a person, whoever wrote them: nothing in them steers the terminal."""
    click.echo(plain(text) + end, nl=False)


def print_rows(rows: Iterable[Sequence[str]]) -> None:
    """Lines in columns: all but the last padded to the widest."""
    table = [[plain(cell) for cell in row] for row in rows]
    if not table:
        return
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]) - 1)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())


def write_file(path: Path, text: str) -> None:
    """A file the person asked for.

    Raises:
        InputError: It cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.", hint="Name another file.") from error


def note(text: str) -> None:
    """A remark for the person, on standard error, so that it never mixes with what was asked for."""
    click.echo(plain(text), err=True)


def day(moment: datetime) -> str:
    """The day in the owner's own time zone: ``2026-03-02``."""
    return moment.astimezone().strftime("%Y-%m-%d")


def iso(moment: datetime | None) -> str | None:
    """As printed by ``--json``: the owner's time with its offset, to the second."""
    return moment.astimezone().isoformat(timespec="seconds") if moment else None


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the owner agrees.

    Raises:
        InputError: The owner said no, or there is no terminal to ask and ``--yes`` was not given.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("This needs a yes and there is no terminal to ask.", hint="Add --yes.")
    if not click.confirm(plain(question), err=True):
        raise InputError("Nothing was changed.")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A counter on standard error for long work, called with (done, total); silent where nobody can see it."""
    shown = sys.stderr.isatty()
    last = 0.0
    started = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if shown and (done >= total or now - last > 0.1):  # ten times a second is as often as eyes can use
            last = now
            click.echo(f"\r{what} {done:,} of {total:,}, {now - started:.0f} s\033[K", err=True, nl=False)

    try:
        yield update
    finally:
        if shown and last:
            click.echo("\r\033[K", err=True, nl=False)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` is among the options; text after ``--`` is no option."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def report(error: BaseException, *, as_json: bool, debug: bool) -> int:
    """Tell what went wrong and return the exit code. The only place where errors become text and numbers."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        leave_pipe()
        return BROKEN_PIPE
    if isinstance(error, click.ClickException):
        return _report_usage(error, as_json=as_json)
    if debug:
        traceback.print_exception(error)
    known = _as_known(error)
    if known is None:
        message = f"Something went wrong inside Mnemon: {type(error).__name__}: {one_line(str(error), 300)}"
        known = MnemonError(message, hint="Run `mnemon --debug` with the same words to see where.")
    if as_json:
        print_json({"error": {"code": known.code, "message": str(known), "hint": known.hint}})
    else:
        click.echo(plain(f"mnemon: {known.one_line()}"), err=True)
    return known.exit_code


def _report_usage(error: click.ClickException, *, as_json: bool) -> int:
    """A command line that cannot be understood: one line as well, in place of click's three."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"See: {context.command_path} --help" if context else ""
    message = one_line(error.format_message(), 300)
    if as_json:
        print_json({"error": {"code": "usage", "message": message, "hint": hint}})
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        click.echo(f"mnemon: {message} {hint}".rstrip(), err=True)
    return error.exit_code


def leave_pipe() -> None:
    """The reader of our output has gone: make the flush at exit go nowhere instead of complaining."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _as_known(error: BaseException) -> MnemonError | None:
    if isinstance(error, MnemonError):
        return error
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFullError(f"No space is left: {error}.", hint="Free some space and try again.")
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return ReadOnlyError(f"Not allowed: {error}.", hint="Check the permissions, or set MNEMON_HOME.")
    return None
