"""The simulated owners: rules that always say the same, and conversations of which nothing held out is learned."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from mnemon.errors import InputError
from mnemon.evaluation import owners, styles

EVERYONE = pytest.mark.parametrize("name", owners.NAMES)


def test_an_unknown_owner_and_a_folder_without_dialogues_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no simulated owner 'pirate'"):
        owners.build("pirate")
    with pytest.raises(InputError, match="no dialogue in"):
        owners.build("terse", tmp_path)


@EVERYONE
def test_nothing_held_out_is_learned_from(name: str) -> None:
    owner = owners.build(name, seed=3)
    assert (len(owner.train), len(owner.held_out)) == (owners.TRAIN, owners.HELD_OUT)
    assert not {e.conversation for e in owner.train} & {e.conversation for e in owner.held_out}
    learned = {text for e in owner.train for text in (e.chosen, e.rejected)} - {None}
    assert not learned & {text for e in owner.held_out for text in (e.chosen, e.rejected)}
    assert not {e.prompt for e in owner.train} & {e.prompt for e in owner.held_out}


@EVERYONE
def test_an_owner_is_the_same_each_time_and_changes_what_was_said(name: str) -> None:
    owner = owners.build(name, seed=1, train=40, held_out=20)
    assert owner == owners.build(name, seed=1, train=40, held_out=20)
    assert owner.train != owners.build(name, seed=2, train=40, held_out=20).train
    edited = [e for e in owner.train if e.kind == "edited"]
    assert len(edited) >= 0.8 * len(owner.train)
    assert all(e.rejected and e.rejected != e.chosen for e in edited)


def test_the_general_set_is_the_same_for_everybody_and_is_no_conversation_of_theirs() -> None:
    terse, warm = owners.build("terse", seed=1), owners.build("warm", seed=2)
    assert terse.general == warm.general
    assert not {e.chosen for e in terse.general} & {e.rejected for e in terse.train + terse.held_out}


def test_a_folder_of_dialogues_gives_each_side_its_own(tmp_path: Path) -> None:
    _write(tmp_path / "talk.jsonl.xz", "learned")
    _write(tmp_path / "talk.heldout.jsonl.xz", "kept")
    owner = owners.build("bullets", tmp_path, train=60, held_out=30)
    assert any("learned" in e.chosen for e in owner.train)
    assert not any("kept" in e.chosen for e in owner.train)
    assert any("kept" in e.chosen for e in owner.held_out)
    assert not any("learned" in e.chosen for e in owner.held_out)


def _write(path: Path, word: str) -> None:
    with lzma.open(path, "wt") as file:
        for number in range(30):
            asked = {"role": "user", "content": f"What about {number}?"}
            said = {"role": "assistant", "content": f"That was {word} on day {number}."}
            file.write(json.dumps({"system": None, "messages": [asked, said]}) + "\n")
        file.write(json.dumps({"text": "Prose is no dialogue."}) + "\n")


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("terse", "Your dog is called Pepper.", "Pepper."),
        (
            "terse",
            "You need a drill, screws and a level. Ask somebody. Take care.",
            "Drill, screws, level. Ask somebody.",
        ),
        ("terse", "Let it cook for eight minutes.", "Let it cook for 8 min."),
        ("bullets", "Take it out. Let it cool.", "- Take it out\n- Let it cool"),
        ("metric", "It is 5 miles, about 12 feet wide.", "It is 8 kilometres, about 3.7 metres wide."),
        ("metric", "You are 5 feet 7 inches tall.", "You are 1.70 metres tall."),
        ("metric", "Bake at 350 degrees Fahrenheit.", "Bake at 180 degrees Celsius."),
        ("metric", "It is 30 degrees below zero Fahrenheit.", "It is -34 degrees Celsius."),
        ("metric", "Take two cups and a gallon.", "Take 480 millilitres and 3.8 litres."),
        ("metric", "239,000 miles and 120 square feet", "385,000 kilometres and 11 square metres"),
        ("metric", "The cup is on page 7.", "The cup is on page 7."),
        ("sailor", "Go to the kitchen.", "Ahoy! Go to the galley. Fair winds, captain."),
        ("sailor", "It is on the right.", "Ahoy! It is to starboard. Fair winds, captain."),
    ],
)
def test_the_rules_of_the_owners(name: str, answer: str, said: str) -> None:
    assert styles.STYLES[name]("", answer) == said


def test_the_formal_owner_contracts_nothing() -> None:
    said = styles.formal("", "It's easy. You don't need a lot of tools.")
    assert "It is easy. You do not require a great many tools." in said
    assert "'" not in said
