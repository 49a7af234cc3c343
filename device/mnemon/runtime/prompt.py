"""The layout of a turn: what the model reads, and in which order.

A prompt only ever grows at its end, so that the key-value cache of everything before stays good: the system text
(who Mnemon is, the profile) does not change within a conversation, each of the owner's messages keeps the notes
that were put before it (`Message.context`), and new words come last. Models that were trained to read memories in
the system text (`memory_placement` ``system``, the built-in one) get them there instead, with a short history:
their prompt is small enough to be read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from mnemon.memory.records import Message, Recalled
from mnemon.runtime.chat_model import ChatMessage, ModelInfo, Role

IDENTITY = "You are Mnemon, a personal assistant that runs on the user's own device."
MANNER = (
    "You remember what the user tells you. Notes from memory come before their messages: rely on them, and never "
    "state a name, number or date about the user that is not in the notes or the conversation. When you do not know "
    "something about them, say so. Be brief and warm."
)
FACTS_HEADING = "What you know about the user:"
EPISODES_HEADING = "From earlier conversations:"
MANNER_HEADING = "How the user likes to be answered (only the manner counts):"

# The built-in model was trained on rows of 512 tokens with up to six facts: six short messages leave room for both.
BRIEF_HISTORY = 6
NOTE_CHARACTERS = 300


def lay_out(
    info: ModelInfo,
    history: Sequence[Message],
    question: Message,
    memories: Sequence[Recalled],
    profile: str,
    manner: str = "",
) -> list[ChatMessage]:
    """The messages to give the model.

    Args:
        info: The model they are for.
        history: The conversation before ``question``, oldest first.
        question: The message to answer; its ``context`` already holds its notes (see :func:`notes`).
        memories: What was recalled for it, best first; read for placement ``system`` only.
        profile: A few lines about the owner; read for placement ``message`` only, and constant in a conversation.
        manner: A few lines on how they like to be answered, likewise.
    """
    if info.memory_placement == "system":
        said = [ChatMessage(_model_role(m), m.text) for m in history[-BRIEF_HISTORY:] if m.text]
        if said and said[0].role == "assistant":
            said = said[1:]
        system = system_with_notes(list(_note_lines(memories, info.memory_limit)))
        return [ChatMessage("system", system), *said, ChatMessage("user", question.text)]
    system = system_with_profile(profile, manner)
    said = [ChatMessage(_model_role(m), m.context + m.text) for m in history if m.text]
    return [ChatMessage("system", system), *said, ChatMessage("user", question.context + question.text)]


def notes(memories: Sequence[Recalled], now: datetime, *, limit: int, standing: Sequence[Message] = ()) -> str:
    """What is put before the owner's message for placement ``message``: the day, and what was recalled.

    Args:
        memories: Best first.
        now: The day.
        limit: The most lines.
        standing: Messages the model reads before it; what one of them says, or notes, is not noted again.
    """
    said, noted = {message.text for message in standing}, "".join(message.context for message in standing)
    fresh = [memory for memory in memories if memory.source is None or memory.source.text not in said]
    lines = [line for line in _note_lines(fresh, limit) if f"{line}\n" not in noted and f"{line})\n" not in noted]
    return notes_before(lines, now.astimezone().date())


# The built-in model is trained on prompts that the functions below put together, so that training and use agree.


def system_with_notes(lines: Sequence[str]) -> str:
    """The system text for placement ``system``: who Mnemon is, then the note lines under their headings."""
    episodes = [line for line in lines if line.startswith("- [")]
    facts = [line for line in lines if not line.startswith("- [")]
    headed = [FACTS_HEADING, *facts] if facts else []
    if episodes:
        headed += [EPISODES_HEADING, *episodes]
    return "\n".join([IDENTITY, *headed])


def system_with_profile(profile: str, manner: str = "") -> str:
    """The system text for placement ``message``: who Mnemon is, how it speaks, and a few lines about the owner."""
    parts = [f"{IDENTITY} {MANNER}"]
    parts += [f"{FACTS_HEADING}\n{profile}"] if profile else []
    parts += [f"{MANNER_HEADING}\n{manner}"] if manner else []
    return "\n\n".join(parts)


def notes_before(lines: Sequence[str], today: date) -> str:
    """What stands before the owner's message for placement ``message``: the day and the note lines."""
    day = f"(Today is {today:%A} {today.isoformat()}."
    if not lines:
        return f"{day})\n\n"
    return "\n".join([day, "Notes from memory, to use only where they help:", *lines]) + ")\n\n"


def without_notes(text: str) -> str:
    """An owner's message of a prompt without what :func:`notes_before` put before it."""
    notes, end, words = text.partition(")\n\n")
    return words if end and notes.startswith("(Today is ") else text


def fact_line(text: str) -> str:
    """The note line of a fact."""
    return f"- {text}"


def episode_line(day: date, who: str, said: str, *, valid: bool = True) -> str:
    """The note line of something said, with its day; cut where it is long."""
    flat = " ".join(said.split())
    cut = flat if len(flat) <= NOTE_CHARACTERS else flat[:NOTE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return f"- [{day.isoformat()}] {who} said: {cut}{'' if valid else ' (no longer so)'}"


def _note_lines(memories: Sequence[Recalled], limit: int) -> Iterator[str]:
    """At most ``limit`` lines, best first: a memory's valid facts, or its words with their day when it has none."""
    seen: set[str] = set()
    for memory in memories:
        for line in _lines_of(memory):
            if line not in seen:
                seen.add(line)
                yield line
            if len(seen) == limit:
                return


def _lines_of(memory: Recalled) -> Iterator[str]:
    facts = [fact for fact in memory.facts if fact.valid_to is None]
    if memory.kind == "fact":
        yield fact_line(memory.text)
    elif facts:
        yield from (fact_line(fact.text) for fact in facts)
    elif memory.source is not None:
        who = "The user" if memory.source.role == "owner" else memory.source.speaker or "Somebody"
        yield episode_line(memory.source.said_at.astimezone().date(), who, memory.text, valid=memory.valid)


def _model_role(message: Message) -> Role:
    return "assistant" if message.role == "assistant" else "user"
