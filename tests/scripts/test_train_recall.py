"""Learning to turn a question towards its answer: what is read, what is held out, and that a tiny run learns."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from train_recall import __main__ as train_recall  # noqa: E402
from train_recall import fitting, pairs  # noqa: E402
from train_recall.pairs import Pair  # noqa: E402

from mnemon.memory.towards_answers import turned  # noqa: E402
from mnemon.words import content  # noqa: E402

SAID = (
    "What do you keep in the shed?",
    "Mostly the bicycles and one old lawnmower. And you?",
    "I have no shed at all.",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file of every source with one dialogue, and in one of them a dialogue under another licence."""
    dialogue = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(SAID)]
    for source in {*pairs.TALKS, *pairs.SERVICES}:
        rows = [{"license": "CC-BY-4.0", "messages": dialogue}]
        if source == "taskmaster3":
            rows.append({"license": "CC-BY-SA-4.0", "messages": [{"role": "user", "content": "Share this alike."}]})
        with lzma.open(tmp_path / f"{source}.jsonl.xz", "wt", encoding="utf-8") as file:
            file.write("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_questions_of_dialogues_with_what_was_answered(folder: Path) -> None:
    found = list(pairs.talk(folder, 1))
    assert {pair.answer for pair in found} == {"Mostly the bicycles and one old lawnmower."}
    assert {pair.question for pair in found} <= {"What do you keep in the shed?", "What do I keep in the shed?"}
    assert len({pair.group for pair in found}) == len(pairs.TALKS)


def test_share_alike_text_is_not_read(folder: Path) -> None:
    assert "Share this alike." not in pairs.said_to_assistants(folder, 1) + pairs.said_between_people(folder, 1)


def test_told_freely_still_says_what_answers() -> None:
    told = list(pairs.told(1))
    freely = list(pairs.told_freely(1, ["The bus was late."]))
    assert {pair.group for pair in freely} == {pair.group for pair in told}
    assert sum("bus was late" in pair.answer.lower() for pair in freely) > len(freely) / 10


def test_what_is_told_in_passing_is_asked_for_in_other_words() -> None:
    found = list(pairs.told_in_passing())
    assert len({pair.group for pair in found}) > 450
    assert all(pair.question and "\t" not in pair.question and pair.answer != pair.question for pair in found)
    shared = [content(pair.question) & content(pair.answer) for pair in found]
    assert sum(len(words) for words in shared) < len(found)


def test_a_kind_of_fact_or_a_dialogue_is_held_out_as_a_whole() -> None:
    one = Pair("Where do I live?", "I live in Leeds.", "home", "plainly")
    other = Pair("Which town is home?", "Leeds it is.", "home", "freely")
    assert train_recall.fold(one) == train_recall.fold(other)


def test_a_small_run_brings_answers_nearer_that_it_has_not_seen() -> None:
    # As with the embedder: what asks has something in common, so that a question is nearer to all that asks.
    chance = np.random.default_rng(3)
    said = chance.normal(size=(1000, 384)).astype(np.float32)
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    asked = said + 2 / np.sqrt(np.float32(384))
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    rows = np.concatenate((asked, said))
    texts = [f"{kind}{number}" for kind in ("asked", "said") for number in range(1000)]
    vectors = fitting.Vectors(rows, {text: row for row, text in enumerate(texts)})
    forms = ("plainly", "freely", "in passing", "talk") * 150
    learned = [Pair(f"asked{i}", f"said{i}", str(i), form) for i, form in enumerate(forms)]
    others = [[f"asked{i}" for i in range(600, 800)], [f"said{i}" for i in range(600, 800)]]
    table = fitting.fit(learned, others, vectors, steps=40, seed=1)
    new, beside = slice(800, 900), np.concatenate((asked[900:], said[900:]))
    before = fitting.ranked(asked[new], said[new], beside)
    after = fitting.ranked(np.stack([turned(one, 1.0, table) for one in asked[new]]), said[new], beside)
    assert before[1] < 0.1
    assert after[0] > 0.9


class Chance:
    """Texts as random directions, the same one for the same text in a run."""

    def embed(self, texts: list[str]) -> np.ndarray:
        found = np.random.default_rng(1).normal(size=(len(texts), 384)).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_it_writes_the_map_in_the_form_the_product_reads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.npy"
    train_recall.main(["--text", str(folder), "--out", str(out), "--steps", "2"], embedder=Chance())
    table = np.load(out)
    assert (table.shape, table.dtype, table.flags.c_contiguous) == ((385, 384), np.float16, True)


def test_holding_out_measures_and_writes_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map.npy"
    held_out = ["--hold-out", str(train_recall.fold(next(pairs.talk(folder, 1))))]
    train_recall.main(["--text", str(folder), "--out", str(out), "--steps", "1", *held_out], embedder=Chance())
    printed = capsys.readouterr().out
    assert [line[:18].split() for line in printed.splitlines()[1:]] == [
        [*form.split(), name] for form in fitting.LAST_BATCH for name in ("before", "after")
    ]
    assert not out.exists()
