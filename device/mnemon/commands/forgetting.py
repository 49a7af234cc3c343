"""``mnemon memory forget`` and ``mnemon memory retention``: what goes is shown first, and only then goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.errors import InputError, NotFoundError
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.memory.forgetting import Forgotten, Preview
    from mnemon.memory.memory import Memory

_SHOWN = 40
"""Lines of a preview before a question on a terminal; --dry-run shows all of them."""


@click.command()
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--search", metavar="WORDS", help="What has all of these words.")
@click.option("--person", metavar="NAME", help="What mentions NAME, or was said by them.")
@click.option("--from", "--since", "since", metavar="DAY", help="What was said from DAY on.")
@click.option("--to", metavar="DAY", help="What was said until DAY, that day included.")
@click.option("--before", metavar="DAY", help="What was said before DAY.")
@click.option("--everything", is_flag=True, help="All of it: the memory is empty afterwards.")
@click.option(
    "--with-source/--keep-source",
    "source",
    default=None,
    help="The messages a fact was taken from go or stay; by default those that say nothing else go.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go and change nothing.")
@output.yes_option
@output.json_option
@pass_app
def forget(
    app: App,
    names: tuple[str, ...],
    search: str | None,
    person: str | None,
    since: str | None,
    to: str | None,
    before: str | None,
    everything: bool,
    source: bool | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Forget messages, facts or conversations for good, with everything taken from them.

    Name them (m12, f3, c2), or choose by words, person and time; where several are given, all of them must fit. A
    DAY is 2026-03-01, March 2026, yesterday, last month, 3 weeks ago.
    """
    by = [option for option in (search, person, since, to, before) if option is not None]
    if bool(names) + bool(by) + everything != 1:
        raise InputError(
            "Say what to forget: ids such as m12, f3 or c2, or --search, --person, --from, --to, or --everything."
        )
    if to is not None and before is not None:
        raise InputError("--to and --before both name the end.", hint="Give one of them.")
    ids = [_checked(name) for name in names]
    if everything and not dry_run:
        output.confirm("Forget everything that was ever said? This cannot be undone.", yes=yes)
    with app.assistant() as assistant:
        opened = assistant.memory
        if everything:
            if dry_run:
                _print_everything(opened, as_json=as_json)
                return
            gone = opened.forget_everything()
        else:
            ids = ids or _chosen(assistant, search, person, since, to, before)
            preview = opened.preview(*ids, source=source)
            if dry_run:
                _print_preview(preview, as_json=as_json)
                return
            if not ids:
                raise NotFoundError("Nothing of that is there.", hint="mnemon memory search shows what there is.")
            output.confirm(f"{_as_question(preview)}\nForget this for good?", yes=yes)
            gone = opened.forget(*ids, source=source)
    if as_json:
        output.print_json({"forgotten": [*gone.ids, *(f"c{id}" for id in gone.conversations)]})
    else:
        click.echo(f"Forgotten: {counted(gone)}.")


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what the rules would forget now and change nothing.")
@click.option("--apply", "apply_now", is_flag=True, help="Apply the rules now, without waiting for the next start.")
@output.json_option
@pass_app
def retention(app: App, dry_run: bool, apply_now: bool, as_json: bool) -> None:
    """The rules in [memory.retention], what they would forget now, and what they forgot."""
    from mnemon.memory.retention import Retention

    with app.assistant() as assistant:
        kept = Retention(assistant.memory, assistant.settings.memory.retention)
        due = [] if apply_now else kept.due()
        done = kept.apply() if apply_now and not dry_run else []
        history = kept.history()
    if as_json:
        output.print_json(
            {
                "rules": [{"rule": rule.text, "days": rule.days} for rule in kept.rules],
                "due": [{"rule": rule.text, **_preview_dict(preview)} for rule, preview in due],
                "applied": [{"rule": run.rule, "messages": run.messages, "facts": run.facts} for run in done],
                "history": [
                    {"at": output.iso(run.at), "rule": run.rule, "messages": run.messages, "facts": run.facts}
                    for run in history
                ],
            }
        )
        return
    if not kept.rules:
        output.note("There are no rules; docs/forgetting.md shows how to write them.")
    for rule, preview in due:
        output.say(f"{rule.text}, after {rule.days} days: {counted(preview.gone)} due now")
        output.print_rows((line.id, one_line(line.text)) for line in preview.lines if dry_run)
    output.print_rows(
        (output.day(run.at), run.rule, f"{run.messages} messages", f"{run.facts} facts forgotten")
        for run in (done or history)
    )


def counted(gone: Forgotten) -> str:
    """How much, in words: ``2 messages and 1 fact``."""
    kinds = (
        ("message", gone.messages),
        ("fact", gone.facts),
        ("conversation", gone.conversations),
        ("episode", gone.episodes),
        ("profile line", gone.profile_lines),
    )
    parts = [f"{len(ids)} {what}{'' if len(ids) == 1 else 's'}" for what, ids in kinds if ids or what in _ALWAYS]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


_ALWAYS = ("message", "fact")


def _chosen(
    assistant: Assistant,
    search: str | None,
    person: str | None,
    since: str | None,
    to: str | None,
    before: str | None,
) -> list[str]:
    from mnemon.memory import selecting

    store = assistant.memory.store
    sets: list[set[str]] = []
    if search is not None:
        sets.append(selecting.by_words(store, search))
    if person is not None:
        sets.append(selecting.by_person(store, person))
    if since is not None or to is not None or before is not None:
        span = selecting.span(since, to, before, assistant.now())
        sets.append(selecting.by_time(store, span, with_facts=bool(sets)))
    return sorted(set.intersection(*sets), key=lambda id: (id[0] != "m", int(id[1:])))


def _checked(name: str) -> str:
    kind, number = name[:1].lower(), name[1:]
    if kind not in ("m", "f", "c") or not number.isascii() or not number.isdigit():
        raise InputError(
            f"{name!r} is no memory.", hint="Names look like m12, f3 or c2; `mnemon memory search` shows them."
        )
    if len(number) > 18 or int(number) == 0:  # beyond SQLite's integers
        raise NotFoundError(f"There is no {name}.", hint="`mnemon memory search` shows what there is.")
    return f"{kind}{int(number)}"


def _print_preview(preview: Preview, *, as_json: bool) -> None:
    if as_json:
        output.print_json(_preview_dict(preview))
        return
    for text in _lines(preview):
        output.say(text)
    click.echo(f"Would go: {counted(preview.gone)}. Nothing was changed.")


def _preview_dict(preview: Preview) -> dict[str, Any]:
    gone = preview.gone
    return {
        "would_forget": [{"id": line.id, "text": line.text} for line in preview.lines],
        "answers_emptied": [line.id for line in preview.answers],
        "still_say_it": [{"id": line.id, "text": line.text} for line in preview.stays],
        "counts": {
            "messages": len(gone.messages),
            "facts": len(gone.facts),
            "conversations": len(gone.conversations),
            "episodes": len(gone.episodes),
            "profile_lines": len(gone.profile_lines),
            "answers": len(gone.answers),
        },
    }


def _lines(preview: Preview) -> list[str]:
    shown = [f"{line.id}  {one_line(line.text)}" for line in preview.lines]
    if preview.answers:
        shown.append(f"{len(preview.answers)} of Mnemon's answers lose their words, because they repeat it.")
    if preview.stays:
        shown.append("These stay, and still say something of it:")
        shown += [f"  {line.id}  {one_line(line.text)}" for line in preview.stays]
    return shown


def _as_question(preview: Preview) -> str:
    shown = _lines(preview)
    if len(shown) > _SHOWN:
        shown = [*shown[:_SHOWN], f"… and {len(shown) - _SHOWN} more (--dry-run shows them all)"]
    return "\n".join([*shown, f"{counted(preview.gone)}."])


def _print_everything(opened: Memory, *, as_json: bool) -> None:
    numbers = opened.stats()
    counts = {name: numbers[name] for name in ("conversations", "messages", "facts", "facts_ended", "profile_lines")}
    if as_json:
        output.print_json({"would_forget": "everything", "counts": counts})
    else:
        output.print_rows((name.replace("_", " "), str(value)) for name, value in counts.items())
        click.echo("All of this would go. Nothing was changed.")
