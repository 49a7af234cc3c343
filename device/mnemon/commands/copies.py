"""``mnemon memory backup``, ``restore``, ``export``, ``import``, ``rekey`` and ``new``: the memory as a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app, read_passphrase
from mnemon.errors import ImportProblemsError, InputError
from mnemon.terminal.text import plain

if TYPE_CHECKING:
    from mnemon.memory import backup as backups

_BACKUP_PASSPHRASE_FILE = "MNEMON_BACKUP_PASSPHRASE_FILE"  # noqa: S105  # the name of a variable


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--passphrase", is_flag=True, help="Lock it with a passphrase instead of this memory's own key.")
@output.json_option
@pass_app
def backup(app: App, path: Path | None, passphrase: bool, as_json: bool) -> None:
    """Copy the whole memory, encrypted, to PATH (a file, or a folder to put it in), and check the copy.

    Others may use the memory meanwhile. Without PATH the copy goes into the folder backups beside the memory.
    """
    from mnemon.memory import backup as backups
    from mnemon.memory.memory import Memory

    name = backups.default_name(datetime.now(UTC))
    if path is None:
        folder = app.home.root / "backups"
        app.home.create()
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
    elif path.is_dir():
        path = path / name
    phrase = None
    if passphrase:
        phrase = read_passphrase("Passphrase for the backup", confirm=True, variable=_BACKUP_PASSPHRASE_FILE)
    with Memory.open(app.home, app.settings().memory, passphrase=app.passphrase) as opened:
        done = backups.backup(opened.store, path, passphrase=phrase)
    counts = {"conversations": done.conversations, "messages": done.messages, "facts": done.facts}
    if as_json:
        output.print_json(
            {"path": str(path.absolute()), "bytes": done.bytes, "passphrase": done.passphrase, **counts}
        )
        return
    counted = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    click.echo(f"Written to {path} ({done.bytes:,} bytes) and checked: {counted}.")
    if not passphrase:
        output.note("It opens with this memory's key only: keep a copy of the key apart, or use --passphrase.")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the backup and say what would change; change nothing.")
@output.yes_option
@output.json_option
@pass_app
def restore(app: App, path: Path, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Put the backup PATH in the place of the memory. What was forgotten since stays forgotten."""
    from mnemon.memory import backup as backups

    shown: list[backups.Restored] = []

    def agree(would: backups.Restored) -> bool:
        shown.append(would)
        if dry_run:
            return False
        output.confirm(f"{_told(would)}\nReplace the memory by it?", yes=yes)
        return True

    backups.restore(
        app.home,
        app.settings().memory.key,
        path,
        passphrase=app.passphrase,
        backup_passphrase=lambda: read_passphrase("Passphrase of the backup", variable=_BACKUP_PASSPHRASE_FILE),
        agree=agree,
    )
    done = shown[0]
    if as_json:
        counts = ("conversations", "messages", "facts", "returned", "lost", "forgotten")
        output.print_json(
            {
                "restored": not dry_run,
                "last_message": output.iso(done.last_message),
                **{name: getattr(done, name) for name in counts},
                "notes": list(done.notes),
            }
        )
    else:
        click.echo(_told(done))
        click.echo("Nothing was changed." if dry_run else "Restored.")


def _told(would: backups.Restored) -> str:
    until = f" up to {output.day(would.last_message)}" if would.last_message else ""
    lines = [
        f"The backup is whole: {would.conversations:,} conversations, {would.messages:,} messages and"
        f" {would.facts:,} facts{until}.",
        f"Messages that come back: {would.returned:,}. Messages of now that it does not have, and that go:"
        f" {would.lost:,}.",
    ]
    if would.forgotten:
        lines.append(f"Left out because it was forgotten since: {would.forgotten:,}.")
    return "\n".join([*lines, *would.notes])


@click.command()
@output.json_option
@pass_app
def new(app: App, as_json: bool) -> None:
    """Begin with an empty memory where the old one is gone and no backup is left."""
    from mnemon.memory.memory import Memory

    if app.home.store.exists():
        raise InputError(
            f"{app.home.store} is there.", hint="`mnemon memory forget --everything` empties it; nothing was changed."
        )
    app.home.create()
    app.home.store_new.touch(0o600)
    Memory.open(app.home, app.settings().memory, passphrase=app.passphrase).close()
    if as_json:
        output.print_json({"path": str(app.home.store)})
    else:
        click.echo(f"An empty memory is in {app.home.store}.")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--encrypt", is_flag=True, help="Seal the file with a passphrase.")
@output.json_option
@pass_app
def export(app: App, path: Path, encrypt: bool, as_json: bool) -> None:
    """Write all memories to the file PATH, as JSON Lines."""
    from mnemon.memory import transfer

    phrase = read_passphrase("Passphrase for the file", confirm=True) if encrypt else None
    with app.assistant() as assistant:
        done = transfer.export(assistant.memory, path, passphrase=phrase)
    counts = {"conversations": done.conversations, "messages": done.messages, "facts": done.facts}
    if as_json:
        output.print_json({"path": str(path.absolute()), "bytes": done.bytes, "encrypted": done.sealed, **counts})
    else:
        counted = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        click.echo(f"Written to {path} ({done.bytes:,} bytes): {counted}.")
    if done.warning:
        output.note(f"{done.warning} --encrypt seals it.")


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["mnemon", "chatgpt", "claude", "locomo"]),
    help="What the file is (default: found out by looking).",
)
@click.option("--keep-good", is_flag=True, help="Take what can be used when some entries cannot.")
@click.option("--sample", metavar="NAME", help="Of a LoCoMo file only this sample, such as conv-26.")
@output.json_option
@pass_app
def import_memories(
    app: App, path: Path, kind: str | None, sample: str | None, keep_good: bool, as_json: bool
) -> None:
    """Read memories from PATH: an export of Mnemon, ChatGPT or Claude, or a LoCoMo file."""
    from dataclasses import asdict

    from mnemon.memory import transfer

    try:
        with app.assistant() as assistant, output.progress("Reading") as seen:
            done = transfer.import_file(
                assistant.memory,
                path,
                format=kind,
                sample=sample,
                keep_good=keep_good,
                progress=seen,
                passphrase=lambda: read_passphrase("Passphrase of the file"),
            )
    except ImportProblemsError as error:
        for line in error.problems:
            output.note(plain(line))
        raise
    counted = asdict(done)
    told = counted.pop("told")
    for line in told:
        output.note(plain(line))
    if done.problems > len(told):
        output.note(f"… and {done.problems - len(told):,} more.")
    if as_json:
        output.print_json(counted)
    else:
        output.print_rows((name.replace("_", " "), str(value)) for name, value in counted.items())


@click.command()
@click.option(
    "--key",
    "where",
    type=click.Choice(["auto", "keyring", "file", "passphrase"]),
    default="auto",
    show_default=True,
    help="Where the new key shall live.",
)
@click.option("--rewrap", is_flag=True, help="Keep the key: only its passphrase or its place changes.")
@output.json_option
@pass_app
def rekey(app: App, where: str, rewrap: bool, as_json: bool) -> None:
    """Encrypt the memory with a new key; also changes a passphrase, or moves the key."""
    from mnemon.memory import keys, rotation
    from mnemon.memory.memory import Memory

    def new_passphrase() -> str:
        return read_passphrase("New passphrase", confirm=True, variable="MNEMON_NEW_PASSPHRASE_FILE")

    change = rotation.rewrap if rewrap else rotation.rekey
    with Memory.open(app.home, app.settings().memory, passphrase=app.passphrase) as opened:
        change(app.home, opened.store, where, passphrase=new_passphrase)
    kind = keys.kind(app.home)
    if as_json:
        output.print_json({"key": kind})
    elif rewrap:
        click.echo(f"The key is in its new place ({kind}). Whoever had it before still has it.")
    else:
        click.echo(f"The memory has a new key ({kind}). Backups made before still open with the old one.")
