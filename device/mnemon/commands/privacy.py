"""``mnemon privacy``: what may leave the device, what would, and what did."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.consent import show
from mnemon.commands.words import given
from mnemon.errors import InputError
from mnemon.settings import save_value

if TYPE_CHECKING:
    from mnemon.privacy.guard import Outgoing
    from mnemon.privacy.ledger import Entry


@click.group()
def privacy() -> None:
    """What may leave this device, and what has left."""


@privacy.command()
@click.argument("mode", type=click.Choice(["never", "ask", "allow"]), required=False)
@click.option("--topic", help="With allow: the topic, as words separated by commas.")
@click.option("--for", "lasting", metavar="TIME", help="With allow: how long, such as 30m, 2h or 7d (at most 90d).")
@click.option("--withdraw", type=int, metavar="N", help="Take permission N back.")
@output.json_option
@pass_app
def mode(
    app: App, mode: str | None, topic: str | None, lasting: str | None, withdraw: int | None, as_json: bool
) -> None:
    """Show or set whether words may leave: never, ask each time, or allow a topic for a while."""
    from mnemon.privacy.consent import Consent

    if (mode == "allow") != (topic is not None) or (mode == "allow") != (lasting is not None):
        raise InputError("allow needs --topic and --for, and nothing else takes them.", hint="See --help.")
    if mode in ("never", "ask"):
        save_value(app.home, "privacy", "mode", mode)
    settings = app.settings().privacy
    with app.assistant() as assistant:
        consent = Consent(assistant.memory.store, settings.mode, assistant.memory.now)
        if topic is not None and lasting is not None:
            consent.allow(topic, _time(lasting))
        if withdraw is not None:
            consent.withdraw(withdraw)
        permissions = consent.permissions()
    if mode in ("never", "ask") and settings.mode != mode:
        output.note("Saved, but MNEMON_PRIVACY_MODE is set in your environment and goes first.")
    if as_json:
        output.print_json(
            {
                "mode": settings.mode,
                "health": settings.health,
                "ledger_text": settings.ledger_text,
                "permissions": [
                    {
                        "id": p.id,
                        "topic": p.topic,
                        "given_at": output.iso(p.given_at),
                        "expires_at": output.iso(p.expires_at),
                    }
                    for p in permissions
                ],
            }
        )
        return
    output.say(_MODES[settings.mode])
    if settings.mode == "never" and permissions:
        output.say("Allowed topics wait until it is ask again:")
    output.print_rows((str(p.id), p.topic, f"allowed until {output.iso(p.expires_at)}") for p in permissions)


_MODES = {
    "never": "never: nothing leaves this device.",
    "ask": "ask: what would leave is shown, and you are asked each time.",
}


@privacy.command()
@click.argument("text", required=False)
@output.json_option
@pass_app
def preview(app: App, text: str | None, as_json: bool) -> None:
    """Show what would leave of TEXT, and what each placeholder stands for. Nothing is sent."""
    from mnemon.privacy.guard import Guard

    words = given(text)
    settings = app.settings().privacy
    with app.assistant() as assistant:
        outgoing = Guard(assistant.memory, settings).prepare(words)
    if as_json:
        output.print_json(_preview(words, outgoing))
    else:
        show(words, outgoing)
        output.say(f"{outgoing.decision.answer}: {outgoing.decision.why}")


@privacy.command()
@click.option("--verify", is_flag=True, help="Check it against changes, removals, reordering and cutting off.")
@click.option("--noted", default="", metavar="HEAD", help="With --verify: a head noted earlier must still be in it.")
@click.option(
    "--export", "export_to", type=click.Path(path_type=Path), metavar="FILE", help="Write it as JSON Lines."
)
@output.json_option
@click.pass_context
def ledger(ctx: click.Context, verify: bool, noted: str, export_to: Path | None, as_json: bool) -> None:
    """What left this device, when and to whom, newest first."""
    from mnemon.privacy.ledger import Ledger

    app: App = ctx.obj
    if noted and not verify:
        raise InputError("--noted needs --verify.", hint="Say both.")
    if verify and export_to:
        raise InputError("--verify and --export are two things.", hint="Say one of them.")
    with app.assistant() as assistant:
        kept = Ledger(assistant.memory.store)
        if verify:
            verdict = kept.verify(noted)
            if as_json:
                output.print_json(
                    {
                        "ok": not verdict.problems,
                        "entries": verdict.entries,
                        "head": verdict.head,
                        "problems": list(verdict.problems),
                    }
                )
            else:
                for problem in verdict.problems:
                    output.say(problem)
                state = "Something is wrong." if verdict.problems else "All as it was written."
                output.say(f"{verdict.entries} entries. {state}")
                if verdict.head:
                    output.say(f"Head: {verdict.head}")
            if verdict.problems:
                ctx.exit(1)
            return
        if export_to:
            count = kept.export(export_to)
            if as_json:
                output.print_json({"path": str(export_to), "entries": count})
            else:
                output.note(f"{count} entries written to {export_to}.")
            return
        entries = kept.entries()
    if as_json:
        output.print_json([entry.as_dict() for entry in entries])
    elif entries:
        output.print_rows(_row(entry) for entry in entries)
    else:
        output.note("Nothing has left this device.")


def _row(entry: Entry) -> tuple[str, ...]:
    text = entry.text if entry.text is not None else f"(words not kept; SHA-256 {entry.digest[:16]}…)"
    return str(entry.id), str(output.iso(entry.at)), entry.kind, entry.recipient, f"{entry.bytes:,} bytes", text


def _preview(words: str, outgoing: Outgoing) -> dict[str, Any]:
    return {
        "text": words,
        "outgoing": outgoing.text,
        "bytes": len(outgoing.data),
        "decision": outgoing.decision.answer,
        "why": outgoing.decision.why,
        "notes": list(outgoing.notes),
        "replaced": [
            {
                "placeholder": one.placeholder,
                "value": one.finding.value,
                "kind": one.finding.kind,
                "known": one.finding.known,
            }
            for one in outgoing.findings
        ],
    }


def _time(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if not found:
        raise InputError(f"{text!r} is no time.", hint="Write 30m, 2h or 7d.")
    return int(found[1]) * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[found[2]]
