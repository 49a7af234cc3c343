"""``mnemon memory``: look at, change and forget what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import levels, output
from mnemon.commands.app import App, pass_app
from mnemon.commands.copies import backup, export, import_memories, new, rekey, restore
from mnemon.commands.forgetting import forget, retention
from mnemon.commands.words import given
from mnemon.errors import InputError, NotFoundError
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from mnemon.memory.records import Conversation, Fact, Message, Recalled

limit_option = click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many."
)


@click.group()
def memory() -> None:
    """Look at, change, forget, back up, export and import what is remembered.

    Memories have names: m12 is a message, f3 a fact taken from one, c2 a conversation, e4 what a talk was about.
    """


for _elsewhere in (backup, restore, export, import_memories, rekey, new, forget, retention, levels.settle):
    memory.add_command(_elsewhere)


@memory.command()
@click.argument("text", required=False)
@output.json_option
@pass_app
def add(app: App, text: str | None, as_json: bool) -> None:
    """Remember TEXT without a conversation; prints the facts taken from it."""
    words = given(text)
    with app.assistant() as assistant:
        facts = assistant.remember(words)
    _print_facts(facts, as_json=as_json, empty="Remembered. No single fact was taken from it.")


@memory.command("list")
@click.option("--all", "everything", is_flag=True, help="Also facts that no longer hold.")
@click.option("--conversations", is_flag=True, help="Conversations instead of facts.")
@click.option("--episodes", is_flag=True, help="What the talks were about, instead of facts.")
@click.option("--conflicts", is_flag=True, help="Only facts that may not both hold; `settle` says which one does.")
@limit_option
@output.json_option
@pass_app
def list_memories(
    app: App, everything: bool, conversations: bool, episodes: bool, conflicts: bool, limit: int, as_json: bool
) -> None:
    """The facts that hold, the conversations, the episodes or the conflicts; newest first."""
    if conversations + episodes + conflicts > 1:
        raise InputError("--conversations, --episodes and --conflicts are lists of their own: name one of them.")
    with app.assistant() as assistant:
        opened = assistant.memory
        if episodes:
            levels.print_episodes(opened.episodes.between(limit=limit), as_json=as_json)
        elif conflicts:
            levels.print_doubts(opened.doubts.open()[:limit], as_json=as_json)
        elif conversations:
            _print_conversations(opened.messages.conversations(limit=limit), as_json=as_json)
        else:
            facts = opened.facts.list(valid_only=not everything, limit=limit)
            _print_facts(facts, as_json=as_json, empty="Nothing is known yet. Tell Mnemon something.")


@memory.command()
@click.argument("name", metavar="ID")
@output.json_option
@pass_app
def show(app: App, name: str, as_json: bool) -> None:
    """One memory and what it rests on: a message, a fact, an episode or a whole conversation."""
    kind, number = _parsed(name)
    with app.assistant() as assistant:
        opened = assistant.memory
        if kind == "c":
            found = _conversation_dict(opened.messages.conversation(number), opened.messages.branch(number))
        elif kind == "m":
            message = opened.messages.get(number)
            facts = opened.facts.of_messages([number]).get(number, [])
            found = {**_message_dict(message), "facts": [_fact_dict(fact) for fact in facts]}
        elif kind == "e":
            episode = opened.episodes.get(number)
            resting = opened.messages.many(episode.message_ids).values()
            found = {**levels.episode_dict(episode), "messages": [_message_dict(message) for message in resting]}
        else:
            fact = opened.facts.get(number)
            source = opened.messages.get(fact.source_id) if fact.source_id is not None else None
            found = {
                **_fact_dict(fact),
                "reason": opened.facts.why(fact),
                "strength": round(float(opened.facts.rehearsal.strength([number])[0]), 3),
                "level": opened.facts.rehearsal.level(number),
                "conflicts": [levels.doubt_dict(doubt) for doubt in opened.doubts.of_fact(number)],
                "source": _message_dict(source) if source else None,
            }
    if as_json:
        output.print_json(found)
    elif kind in ("c", "e"):
        output.say(f"{found['id']}  {found['title']}")
        if kind == "e":
            output.say(found["text"])
        output.print_rows((m["said_at"][:16], m["id"], m["speaker"], m["text"]) for m in found["messages"])
    elif kind == "m":
        output.say(f"{found['id']}  {found['said_at'][:16]}  {found['speaker']}, in {found['conversation']}")
        output.say(found["text"])
        output.print_rows((fact["id"], fact["text"]) for fact in found["facts"])
    else:
        until = f" until {found['valid_to'][:10]}" if found["valid_to"] else ""
        output.say(f"{found['id']}  {found['text']}")
        click.echo(f"since {found['valid_from'][:10]}{until}, {found['level']} (strength {found['strength']:.2f})")
        if found["reason"]:
            output.say(f"ended {found['reason']}")
        for conflict in found["conflicts"]:
            output.say(f"{conflict['id']}: {conflict['older']['text']} - or: {conflict['newer']['text']}")
        source_said = found["source"]
        if source_said:
            output.say(f'from {source_said["id"]}, {source_said["said_at"][:10]}: "{source_said["text"]}"')
        else:
            click.echo("written by hand")


@memory.command()
@click.argument("words")
@limit_option
@output.json_option
@pass_app
def search(app: App, words: str, limit: int, as_json: bool) -> None:
    """Everything ever said or noted that bears on WORDS, best first."""
    query = given(words)
    with app.assistant() as assistant:
        opened = assistant.memory
        found = opened.search(query, limit=limit)
    if as_json:
        output.print_json([one.as_dict() for one in found])
    else:
        _print_found(found)


@memory.command()
@click.argument("name", metavar="ID")
@click.argument("text", required=False)
@output.json_option
@pass_app
def edit(app: App, name: str, text: str | None, as_json: bool) -> None:
    """Put right the fact ID: the old one ends, TEXT holds from now on."""
    kind, number = _parsed(name)
    if kind != "f":
        raise InputError(
            f"{name} is not a fact: words that were said stay as they were said.",
            hint=f"Edit one of its facts (`mnemon memory show {name}`), or forget it.",
        )
    words = given(text)
    with app.assistant() as assistant:
        opened = assistant.memory
        fact = opened.facts.edit(number, words)
        opened.index_facts(fact)
    _print_facts([fact], as_json=as_json, empty="")


@memory.command()
@output.json_option
@pass_app
def stats(app: App, as_json: bool) -> None:
    """How much is remembered, and what it takes on disk."""
    with app.assistant() as assistant:
        opened = assistant.memory
        numbers = opened.stats()
    if as_json:
        output.print_json(numbers)
    else:
        output.print_rows((name.replace("_", " "), str(value)) for name, value in numbers.items())


def _parsed(name: str) -> tuple[str, int]:
    kind, number = name[:1].lower(), name[1:]
    if kind not in ("m", "f", "c", "e") or not number.isascii() or not number.isdigit():
        raise InputError(
            f"{name!r} is no memory.", hint="Names look like m12, f3 or c2; `mnemon memory search` shows them."
        )
    if len(number) > 18:  # beyond SQLite's integers
        raise NotFoundError(f"There is no {name}.", hint="`mnemon memory search` shows what there is.")
    return kind, int(number)


def _print_facts(facts: list[Fact], *, as_json: bool, empty: str) -> None:
    if as_json:
        output.print_json([_fact_dict(fact) for fact in facts])
    elif facts:
        output.print_rows(
            (fact.memory_id, output.day(fact.valid_from), _until(fact) + one_line(fact.text)) for fact in facts
        )
    else:
        output.note(empty)


def _until(fact: Fact) -> str:
    return f"(until {output.day(fact.valid_to)}) " if fact.valid_to else ""


def _print_conversations(found: list[Conversation], *, as_json: bool) -> None:
    if as_json:
        output.print_json([_conversation_dict(one) for one in found])
    elif found:
        output.print_rows(
            (f"c{one.id}", output.day(one.updated_at), f"{one.messages} messages", one_line(one.title))
            for one in found
        )
    else:
        output.note("There are no conversations yet.")


def _print_found(found: list[Recalled]) -> None:
    if not found:
        output.note("Nothing found.")
    output.print_rows(
        (
            one.id,
            output.day(one.source.said_at) if one.source else "",
            one.source.speaker or one.source.role if one.source else "by hand",
            one_line(one.text),
        )
        for one in found
    )


def _fact_dict(fact: Fact) -> dict[str, Any]:
    return {
        "id": fact.memory_id,
        "text": fact.text,
        "subject": fact.subject,
        "attribute": fact.attribute,
        "value": fact.value,
        "valid_from": output.iso(fact.valid_from),
        "valid_to": output.iso(fact.valid_to),
        "reason": fact.reason,
        "origin": fact.origin,
        "source": f"m{fact.source_id}" if fact.source_id is not None else None,
    }


def _message_dict(message: Message) -> dict[str, Any]:
    return {
        "id": message.memory_id,
        "conversation": f"c{message.conversation_id}",
        "role": message.role,
        "speaker": message.speaker or message.role,
        "said_at": output.iso(message.said_at),
        "text": message.text,
        "status": message.status,
        "ref": message.ref,
    }


def _conversation_dict(one: Conversation, messages: list[Message] | None = None) -> dict[str, Any]:
    said = {} if messages is None else {"messages": [_message_dict(message) for message in messages]}
    return {
        "id": f"c{one.id}",
        "title": one.title,
        "created_at": output.iso(one.created_at),
        "updated_at": output.iso(one.updated_at),
        "origin": one.origin,
        "count": one.messages,
        **said,
    }
