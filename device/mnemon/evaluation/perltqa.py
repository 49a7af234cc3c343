"""PerLTQA (Du et al. 2024, arXiv 2402.16288): what belongs to thirty people's lives, and questions about it.

Two files side by side. ``perltmem*.json`` maps a person's name to ``profile`` (field to value),
``social_relationship`` (``1_0`` to a person, the relation and a description), ``events`` (``1_0_0`` to ``content``,
``summary``, ``Creation Time``) and ``dialogues`` (``1_0_0#3`` to ``contents``: a time to lines like ``Ada: Hi.``).
``perltqa*.json`` is a list of objects that map a name to those four sections, with questions: ``Question``
and ``Reference Memory``, the profile field or the id of the memory the answer rests on.

A memory is one profile field, one relation, one event or one dialogue; a dialogue is found when one of its lines is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mnemon.errors import TransferError
from mnemon.evaluation import datasets
from mnemon.evaluation.datasets import Question, Sample
from mnemon.memory.importers import Talk, Turn

_SECTIONS = ("profile", "social_relationship", "events", "dialogues")
_ID = re.compile(r"\d+(?:_\d+)+(?:#\d+)?")
_FORMS = ("%Y-%m-%d %H:%M", "%Y-%m-%d", "%B %d, %Y", "%B %Y", "%Y")
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)  # an event "during an election" has to stand somewhere


def samples(path: Path) -> Iterator[Sample]:
    """The people of a folder that holds both files, or of a ``perltqa*.json`` that has the other beside it."""
    memories, asked = _files(path)
    people = next(datasets.values(memories))
    for element in datasets.values(asked):
        for name, sections in element.items():
            talks, units = _memories(name, people[name])
            if not talks:
                raise ValueError(f"nothing is told of {name}")
            there = set(units.values())
            questions = [
                Question(str(entry["Question"]), section, {"memory": frozenset(evidence)})
                for section in _SECTIONS
                for entry, under in _entries(_section(sections, section))
                if (evidence := _evidence(section, entry, under) & there)
            ]
            yield Sample(name, talks, questions, {"memory": units})


def _files(path: Path) -> tuple[Path, Path]:
    folder = path if path.is_dir() else path.parent
    memories = sorted(folder.glob("perltmem*.json"))
    asked = sorted(folder.glob("perltqa*.json")) if path.is_dir() else [path]
    if len(memories) != 1 or len(asked) != 1:
        raise TransferError(
            f"{folder} needs one perltmem*.json and one perltqa*.json.", hint="Put one version's two files there."
        )
    return memories[0], asked[0]


def _section(person: dict[str, Any], name: str) -> Any:
    return person.get(name) or person.get(name.replace("_", " ")) or {}


def _memories(name: str, person: dict[str, Any]) -> tuple[list[Talk], dict[str, str]]:
    """The talks of a person, and for each turn the memory it is of."""
    talks: list[Talk] = []
    units: dict[str, str] = {}

    def put(talk: Talk, unit: str, key: str, text: str, speaker: str, said_at: datetime) -> None:
        if text.strip():
            talk.turns.append(Turn(key, None, "other", text.strip(), said_at, speaker, ref=key))
            units[key] = unit

    profile = Talk("perltqa", f"{name}/profile", name, _UNDATED)
    for field, value in _section(person, "profile").items():
        put(profile, f"profile/{field}", f"profile/{field}", f"{name}. {field}: {value}", name, _UNDATED)
    relations = Talk("perltqa", f"{name}/relations", name, _UNDATED)
    for id, entry in _section(person, "social_relationship").items():
        text = f"{entry['Supporting Characters']} ({entry['Relationship']}): {entry['Description']}"
        put(relations, f"social_relationship/{id}", f"social_relationship/{id}", text, name, _UNDATED)
    talks += [profile, relations]
    for id, event in _section(person, "events").items():
        began = _moment(event.get("Creation Time"))
        talk = Talk("perltqa", f"{name}/{id}", str(event.get("summary", "")), began)
        put(talk, f"events/{id}", f"events/{id}", f"{event.get('summary', '')}. {event['content']}", name, began)
        talks.append(talk)
    for id, dialogue in _section(person, "dialogues").items():
        for time, lines in dialogue["contents"].items():
            began = _moment(time)
            talk = Talk("perltqa", f"{name}/{id}/{time}", "", began)
            for number, line in enumerate(lines):
                speaker, colon, text = str(line).partition(": ")
                speaker, text = (speaker, text) if colon else ("", str(line))
                put(talk, f"dialogues/{id}", f"dialogues/{id}/{time}/{number}", text, speaker,
                    began + timedelta(seconds=number))  # fmt: skip
            _in_a_row(talk)
            talks.append(talk)
    return [talk for talk in talks if talk.turns], units


def _in_a_row(talk: Talk) -> None:
    before = [None, *(turn.key for turn in talk.turns)]
    talk.turns = [replace(turn, parent=parent) for turn, parent in zip(talk.turns, before, strict=False)]


def _entries(section: Any, under: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """The questions of a section, each with the id it stands under: a list of them, or of ids that map to lists."""
    for entry in section if isinstance(section, list) else [section]:
        if "Question" in entry:
            yield entry, under
            continue
        for id, entries in entry.items():
            yield from _entries(entries, str(id))


def _evidence(section: str, entry: dict[str, Any], under: str) -> set[str]:
    named = str(entry.get("Reference Memory", ""))
    ids = [named] if section == "profile" else _ID.findall(named) or [under]
    return {f"{section}/{id}" for id in ids}


def _moment(value: Any) -> datetime:
    for form in _FORMS:
        try:
            return datetime.strptime(str(value).strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return _UNDATED
