"""`mnemon learn`: what was done with answers, what was learned of it, and that nobody is told what does not hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import LARGE, run
from learned import learn

from mnemon import Assistant
from mnemon.errors import LearningError, ModelError
from mnemon.evaluation import owners
from mnemon.runtime import gguf_file
from mnemon.runtime.scripted import Call, ScriptedModel


@contextmanager
def opened(name: str = LARGE.name) -> Iterator[Assistant]:
    with Assistant(chat_model=ScriptedModel("Hello you.", info=replace(LARGE, name=name))) as assistant:
        yield assistant


def learned(name: str = LARGE.name) -> int:
    """A version made on a model of that name, from three examples."""
    with opened(name) as assistant:
        examples = [assistant.lessons.examples.add(example) for example in owners.build("formal", train=3).train]
        return learn(assistant, examples)


def answer(call: Call) -> str:
    return "With what was learned." if call.adapters else "As the model came."


def test_where_nothing_was_learned() -> None:
    done = run("-", "learn", "status")
    assert done.exit_code == 0, done.stderr
    assert "There are no examples yet." in done.stdout
    assert "The model as it came answers." in done.stdout
    assert "Nothing was learned yet" in run("-", "learn", "history").stderr
    for words in (["compare", "Hello?"], ["run", "--budget", "5s"]):
        done = run("-", "learn", *words)
        assert done.exit_code == 70
        assert done.stderr.count("\n") == 1


def test_the_last_answer_is_the_last_one_that_has_words() -> None:
    assert run("With water.", "ask", "How do I cook rice?").exit_code == 0
    assert run(ModelError("The model broke."), "ask", "How do I cook pasta?").exit_code == 10
    done = run("-", "learn", "praise")
    assert "With water." in done.stdout, done.stderr


def test_what_was_done_with_an_answer_is_an_example_until_it_is_forgotten() -> None:
    assert run("With water.", "ask", "How do I cook rice?").exit_code == 0
    assert "a good answer" in run("-", "learn", "praise").stdout
    assert "not a good answer" in run("-", "learn", "blame").stdout
    assert "Taken back" in run("-", "learn", "blame").stdout
    assert run("-", "learn", "edit", "Wash it, then ten minutes.").exit_code == 0
    (example,) = json.loads(run("-", "learn", "examples", "--json").stdout)
    assert (example["kind"], example["chosen"]) == ("edited", "Wash it, then ten minutes.")
    assert run("-", "learn", "forget", example["id"], "--yes").exit_code == 0
    assert json.loads(run("-", "learn", "examples", "--json").stdout) == []


def test_a_version_is_told_compared_and_gone_back_from() -> None:
    number = learned()
    told = run("-", "learn", "status").stdout
    assert f"Version {number} answers. Answers as you want them are foretold 25% better" in told
    history = run("-", "learn", "history").stdout
    assert f"Version {number}" in history
    assert "Learned from 3 written anew" in history
    found = json.loads(run(answer, "learn", "compare", "How do I cook rice?", "--json").stdout)
    assert found == {"with": "With what was learned.", "without": "As the model came.", "version": number}
    gone = run("-", "learn", "rollback", "0", "--yes")
    assert gone.stdout == "The model as it came answers from now on.\n"
    assert json.loads(run("-", "learn", "history", "--json").stdout) == []
    assert run("-", "learn", "rollback", str(number), "--yes").exit_code == 4


def test_a_version_can_be_taken_to_other_programs(tmp_path: Path) -> None:
    number, path = learned(), tmp_path / "mine.gguf"
    done = run("-", "learn", "export", str(number), str(path))
    assert done.exit_code == 0, done.stderr
    assert path.read_bytes()[:4] == b"GGUF"
    with opened() as assistant:
        assert gguf_file.check(path).values["mnemon.base.sha256"] == assistant.model.base_sha256()
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
    assert "exists already" in run("-", "learn", "export", str(number), str(path)).stderr
    assert run("-", "learn", "export", "7", str(tmp_path / "other.gguf")).exit_code == 4
    with opened("another one") as assistant, pytest.raises(LearningError, match="another model"):
        assistant.lessons.export(number)
    assert [file.name for file in tmp_path.glob("*.gguf")] == ["mine.gguf"]


@pytest.mark.parametrize("why", ["damaged", "fits another model"])
def test_a_version_that_does_not_answer_is_not_said_to(why: str) -> None:
    number = learned("another one" if "model" in why else LARGE.name)
    if why == "damaged":
        with opened() as assistant:
            assistant.memory.store.execute("UPDATE learning_steps SET record = x'0102'")
    told = run("-", "learn", "status").stdout
    assert f"The model answers as it came, and not with version {number}: " in told
    assert why in told
    status = json.loads(run("-", "learn", "status", "--json").stdout)
    assert status["version"] == number
    assert why in status["problem"]
    compared = run("-", "learn", "compare", "Hello?")
    assert compared.exit_code == 70
    assert why in compared.stderr
    if why == "damaged":  # what fits no model at all is seen without one
        assert "does not answer now" in run("-", "learn", "history").stdout
        assert "damaged" in run("-", "learn", "rollback", str(number), "--yes").stdout
    assert run("-", "learn", "rollback", "0", "--yes").exit_code == 0
    assert "The model as it came answers." in run("-", "learn", "status").stdout
