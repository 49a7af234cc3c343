"""mnemon eval spoken --among: what was told is looked for among other messages, from a folder or made up."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from click.testing import CliRunner

from mnemon.commands.main import cli
from mnemon.errors import InputError
from mnemon.evaluation import among

TOLD = [
    {"tell": "The spare key hangs behind the beehive.", "ask": "Where is the spare key?", "answer_any": ["beehive"]},
    {"tell": "Orla's kiln was delivered on Friday.", "ask": "When did the kiln come?", "answer_any": ["Friday"]},
]


@pytest.fixture
def told(tmp_path: Path) -> Path:
    path = tmp_path / "told-facts.jsonl"
    path.write_text("\n".join(map(json.dumps, TOLD)), "utf-8")
    return path


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    folder = tmp_path / "dialogues"
    folder.mkdir()
    said = [f"On day {i} we painted the fence a shade of grey." for i in range(30)]
    rows = [
        {
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": "The assistant spoke here."},
            ]
        }
        for text in [*said, "Hi!", "What is the time now, please?", said[0]]
    ]
    with lzma.open(folder / "talks.jsonl.xz", "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    (folder / "prose.jsonl").write_text('{"text": "Call me Ishmael, some years ago."}', "utf-8")
    return folder


def test_told_is_found_among_a_folder_of_dialogues(told: Path, dialogues: Path) -> None:
    arguments = ["eval", "spoken", "--path", str(told.parent), "--among", "30", "--among-from", str(dialogues)]
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert (figures["told"], figures["others"], figures["first"], figures["first_ten"]) == (2, 30, 1.0, 1.0)


def test_whole_talks_keep_who_said_what(told: Path, dialogues: Path) -> None:
    people = {"source": "topical-chat", "messages": [{"role": "user", "content": "I keep bees."}] * 2}
    (dialogues / "people.jsonl").write_text(json.dumps(people), "utf-8")
    talks = among.talks(dialogues, 68)
    assert sum(len(talk.turns) for talk in talks) == 68
    roles = {turn.text: (turn.role, bool(turn.speaker)) for talk in talks for turn in talk.turns}
    assert roles["I keep bees."] == ("other", True)
    assert roles["The assistant spoke here."] == ("assistant", False)
    assert roles["Hi!"] == ("owner", False)
    with pytest.raises(InputError, match="only 68 other messages"):
        among.talks(dialogues, 69)
    found = among.run(told, 40, dialogues, as_talks=True)
    assert (found["others"], found["first_ten"]) == (40, 1.0)
    with pytest.raises(InputError, match="need a folder"):
        among.run(told, 5, as_talks=True)


def test_only_what_users_state_counts_once(told: Path, dialogues: Path) -> None:
    with pytest.raises(InputError, match="only 30 other messages"):
        among.run(told, 31, dialogues)


def test_made_up_messages_are_enough_for_ten_thousand() -> None:
    made = list(dict.fromkeys(text for text, _ in zip(among.own_statements(), range(10_000), strict=False)))
    assert len(made) == 10_000
    assert not any("The user" in text for text in made[:900])


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", "{"), ("a.jsonl", '{"messages": [1]}'), ("a.jsonl.xz", "x")])
def test_a_damaged_file_is_named(name: str, text: str, told: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=name):
        among.run(told, 5, folder)


def test_what_is_missing_is_said(told: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no \*\.jsonl"):
        among.run(told, 5, empty)
    odd = tmp_path / "odd.jsonl"
    odd.write_text('{"tell": "x"}', "utf-8")
    with pytest.raises(InputError, match="without tell and ask"):
        among.run(odd, 5)
    done = CliRunner().invoke(cli, ["eval", "spoken", "--path", str(told.parent), "--among-from", str(empty)])
    assert (done.exit_code, "needs --among" in done.stderr) == (2, True)
