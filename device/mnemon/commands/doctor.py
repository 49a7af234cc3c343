"""``mnemon doctor``: what is here, what is wrong, and what to do about it. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from mnemon.commands import output
from mnemon.commands.app import PASSPHRASE_FILE, App, pass_app
from mnemon.errors import MnemonError

State = Literal["ok", "note", "problem"]

PACKAGES = ("llama-cpp-python", "onnxruntime", "tokenizers", "sqlcipher3", "textual")
LITTLE_DISK = 200_000_000
"""Bytes; below this a few months of conversations or one update of an index may no longer fit."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do when it is wrong."""

    name: str
    state: State
    found: str
    advice: str = ""


@click.command()
@output.json_option
@pass_app
def doctor(app: App, as_json: bool) -> None:
    """Check what is installed, where data lives, and what to mend. Exit code 1 when something is wrong."""
    checks = [check for look in LOOKS for check in _guarded(look, app)]
    wrong = [check for check in checks if check.state == "problem"]
    if as_json:
        output.print_json({"ok": not wrong, "checks": [asdict(check) for check in checks]})
    else:
        sign = {"ok": "✓", "note": "·", "problem": "✗"}
        output.print_rows(
            (sign[check.state], check.name, f"{check.found} {check.advice}".strip()) for check in checks
        )
        click.echo()
        click.echo("Everything is fine." if not wrong else f"{len(wrong)} to mend: see ✗ above.")
    if wrong:
        click.get_current_context().exit(output.INTERNAL)


def _guarded(look: Callable[[App], Iterator[Check]], app: App) -> Iterator[Check]:
    name = look.__name__.strip("_").replace("_", " ")
    try:
        yield from look(app)
    except MnemonError as error:
        yield Check(name, "problem", str(error), error.hint)
    except (OSError, ImportError) as error:
        yield Check(name, "problem", f"{type(error).__name__}: {error}", "Run `mnemon --debug doctor` for details.")


def _program(_app: App) -> Iterator[Check]:
    from mnemon.runtime.crowding import usable_cores

    version = importlib.metadata.version("mnemon")
    yield Check("mnemon", "ok", f"{version} on Python {platform.python_version()}, {platform.platform(terse=True)}")
    command = Path(sys.executable).with_name("mnemon")
    if shutil.which("mnemon") is None and command.exists():
        yield Check("command", "note", f"{command}, not on your PATH", f"ln -s {command} ~/.local/bin/")
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            yield Check("packages", "problem", f"{package} is not installed.", "Run `make chat` again.")
    yield Check("packages", "ok", ", ".join(found))
    yield Check("machine", "ok", f"{usable_cores()} cores, {_memory_bytes() / 1e9:.1f} GB of memory")


def _data(app: App) -> Iterator[Check]:
    root = app.home.root
    if not root.exists():
        parent = next(folder for folder in root.parents if folder.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Check("data", "ok", f"{root} (made when you first say something)")
        else:
            yield Check("data", "problem", f"{root} cannot be made.", "Set MNEMON_HOME to a folder you can write.")
        root = parent
    elif not os.access(root, os.W_OK | os.X_OK):
        yield Check("data", "problem", f"{root} cannot be written.", "Make it writable, or set MNEMON_HOME.")
    else:
        used = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        yield Check("data", "ok", f"{root} ({used / 1e6:.1f} MB)")
    free = shutil.disk_usage(root).free
    little = free < LITTLE_DISK
    yield Check(
        "disk", "problem" if little else "ok", f"{free / 1e9:.1f} GB free.", "Free some space." if little else ""
    )


def _permissions(app: App) -> Iterator[Check]:
    home = app.home
    open_to_others = [
        path
        for path in (home.root, home.store, home.key, *sorted(home.sessions.glob("*")))
        if path.exists() and path.stat().st_mode & 0o077
    ]
    if not open_to_others:
        yield Check("permissions", "ok", "only you can read it" if home.root.exists() else "nothing there yet")
    for path in open_to_others:
        yield Check("permissions", "problem", f"Others can read {path}.", f"Run: chmod go-rwx {path}")


def _settings(app: App) -> Iterator[Check]:
    app.settings()
    there = app.home.settings.exists()
    yield Check("settings", "ok", str(app.home.settings) if there else "all as they come")


def _key(app: App) -> Iterator[Check]:
    from mnemon.memory import keys

    kind = keys.kind(app.home)
    if kind is None and app.home.store.exists():
        yield Check(
            "key",
            "problem",
            f"{app.home.store} is there but its key is not.",
            f"Put {app.home.key} back from a copy.",
        )
    elif kind is None:
        trusted = "the system's keyring" if keys.keyring_available() else f"{app.home.key}, as there is no keyring"
        yield Check("key", "ok", f"none yet; it will go to {trusted}")
    else:
        where = {
            "keyring": "in the system's keyring",
            "file": f"in {app.home.key}",
            "passphrase": "behind a passphrase",
        }
        advice = "Whoever copies that file and the memory can read both." if kind == "file" else ""
        yield Check("key", "note" if advice else "ok", where[kind] + ("." if advice else ""), advice)


def _memory(app: App) -> Iterator[Check]:
    from mnemon.memory import keys
    from mnemon.memory.memory import Memory

    if not app.home.store.exists():
        if keys.there(app.home) and not app.home.store_new.exists():
            advice = "Restore a backup: mnemon memory restore PATH."
            yield Check("memory", "problem", f"{app.home.store} is gone; its key is still there.", advice)
        else:
            yield Check("memory", "ok", "none yet")
        return
    if keys.kind(app.home) == "passphrase" and PASSPHRASE_FILE not in os.environ and not sys.stdin.isatty():
        yield Check("memory", "note", f"{app.home.store} is locked; not looked into.", "Run it in a terminal.")
        return
    opened = Memory.open(app.home, app.settings().memory, passphrase=app.passphrase)
    with closing(opened):
        problems = opened.store.problems()
        size = app.home.store.stat().st_size / 1e6
    for problem in problems:
        yield Check("memory", "problem", problem, "Restore a copy, or export what can be read: mnemon memory export")
    if not problems:
        yield Check("memory", "ok", f"{app.home.store} opens and is whole ({size:.1f} MB)")


def _recall(_app: App) -> Iterator[Check]:
    from mnemon.memory.embedding import Embedder

    Embedder().embed_one("ready")
    yield Check("recall", "ok", "the embedder loads and works")


def _model(app: App) -> Iterator[Check]:
    from mnemon.runtime import catalog, gguf_file

    spec = catalog.resolve(app.settings().model.name, app.home)
    if spec.path is None:
        raise RuntimeError("a model that was resolved has a file")
    header = gguf_file.check(spec.path)
    size = spec.path.stat().st_size
    yield Check("model", "ok", f"{spec.title}: {header.architecture}, {size / 1e6:,.0f} MB, {spec.path}")
    if spec.ram_bytes > _memory_bytes():
        yield Check(
            "model",
            "problem",
            f"It needs {spec.ram_bytes / 1e9:.1f} GB of memory, more than this machine has.",
            "Choose a smaller one: mnemon models list",
        )


def _terminal(_app: App) -> Iterator[Check]:
    if not sys.stdout.isatty():
        yield Check("terminal", "note", "none: `mnemon` answers lines from standard input.")
        return
    columns, lines = shutil.get_terminal_size()
    kind = os.environ.get("TERM", "")
    colours = "true colour" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256 or fewer colours"
    yield Check("terminal", "ok", f"{kind or 'TERM is not set'}, {columns}×{lines}, {colours}")
    if kind in ("", "dumb"):
        yield Check("terminal", "problem", "TERM says it cannot draw.", "Set TERM, for instance to xterm-256color.")
    if columns < 40 or lines < 10:
        yield Check("terminal", "problem", "It is smaller than 40×10.", "Make the window larger.")
    if "utf" not in (sys.stdout.encoding or "").lower():
        yield Check(
            "terminal", "problem", f"It is set to {sys.stdout.encoding}.", "Set LANG to a UTF-8 one: C.UTF-8."
        )


LOOKS: tuple[Callable[[App], Iterator[Check]], ...] = (
    _program,
    _data,
    _permissions,
    _settings,
    _key,
    _memory,
    _recall,
    _model,
    _terminal,
)


def _memory_bytes() -> int:
    """What this process may use: the machine's memory, or its control group's share of it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total
