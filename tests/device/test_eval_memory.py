"""mnemon eval memory: published formats read as they are, evidence counted right, tables and charts written."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.commands.main import cli
from mnemon.errors import TransferError
from mnemon.evaluation import datasets, report, retrieval, sizes
from mnemon.evaluation.datasets import Question, Sample
from mnemon.evaluation.plot import line_chart

LOCOMO = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Orla",
        "speaker_b": "Piet",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Orla", "dia_id": "D1:1", "text": "My kiln broke on Friday."},
            {"speaker": "Piet", "dia_id": "D1:2", "text": "I keep three beehives on the roof."},
        ],
    },
    "qa": [
        {"question": "What broke?", "answer": "The kiln", "evidence": ["D1:1; D1:9"], "category": 4},
        {"question": "What lives on the roof?", "answer": "Bees", "evidence": ["D1:2"], "category": 1},
        {"question": "Who is Quill?", "answer": "", "evidence": [], "category": 5},
        {"question": "What is on page 9?", "answer": "", "evidence": ["D9:9"], "category": 5},
    ],
}

LONGMEMEVAL = {
    "question_id": "q1",
    "question_type": "single-session-user",
    "question": "What did I name my sourdough starter?",
    "answer": "Clint",
    "question_date": "2023/06/01 (Thu) 09:00",
    "haystack_session_ids": ["noise_1", "answer_1", "noise_1"],
    "haystack_dates": ["2023/05/20 (Sat) 02:21", "2023/05/21 (Sun) 10:00", "2023/05/22 (Mon) 10:00"],
    "haystack_sessions": [
        [{"role": "user", "content": "My bus was late again."}, {"role": "assistant", "content": "How annoying."}],
        [
            {"role": "user", "content": "I named my sourdough starter Clint.", "has_answer": True},
            {"role": "assistant", "content": "A fine name.", "has_answer": False},
            {"role": "user", "content": ""},
        ],
        [{"role": "user", "content": "My bus was late again."}],
    ],
    "answer_session_ids": ["answer_1"],
}

PERLTMEM = {
    "Ada Moor": {
        "profile": {"Protagonist": "Ada Moor", "Occupation": "beekeeper", "Age": 41},
        "profile_description": "Ada Moor keeps bees.",
        "social_relationship": {
            "1_0": {"Supporting Characters": "Tove Lund", "Description": "Met at school.", "Relationship": "friend"}
        },
        "events": {
            "1_0_0": {
                "content": "Ada and Tove rowed across the lake.",
                "summary": "The lake",
                "Characters": ["1_0"],
                "Creation Time": "May 12, 2022",
                "Theme": "Summer",
            },
            "1_0_1": {"content": "They lost a tent.", "summary": "Camping", "Creation Time": "during an election"},
        },
        "dialogues": {
            "1_0_0#0": {
                "events": "1_0_0",
                "contents": {
                    "2022-05-15 10:00": ["Ada Moor: The water was cold.", "Tove Lund: I had two jumpers on."]
                },
            }
        },
    }
}


def _asked(question: str, memory: str) -> dict[str, Any]:
    return {"Question": question, "Answer": "…", "Reference Memory": memory, "Memory Anchors": []}


PERLTQA = [
    {
        "Ada Moor": {
            "profile": [_asked("What does Ada Moor do?", "Occupation"), _asked("What is her shoe size?", "Shoes")],
            "social_relationship": [{"1_0": [_asked("Who is Ada's friend?", "['1_0']")]}],
            "events": [{"1_0_0": [_asked("What did they row across?", "['1_0_0']")]}],
            "dialogues": [{"1_0_0#0": [_asked("What did Tove wear?", "['1_0_0#0']")]}],
        }
    }
]


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, indent=2), "utf-8")
    return path


def perltqa(folder: Path) -> Path:
    write(folder / "perltmem_en_v2.json", PERLTMEM)
    return write(folder / "perltqa_en_v2.json", PERLTQA)


def turns(sample: Sample) -> dict[str | None, tuple[str, str, str]]:
    return {turn.ref: (turn.role, turn.speaker, turn.text) for talk in sample.talks for turn in talk.turns}


@pytest.mark.parametrize("name", datasets.NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[1, 2]",
        '[{"qa": 1}]',
        '{"a": "b"}',
        '[{"conversation": {"session_1": []}}]',
        "[null]",
        '["x"]',
    ],
)
def test_another_file_is_refused_in_one_line(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "perltmem.json").write_text(text, "utf-8")
    path = tmp_path / "perltqa.json"
    path.write_text(text, "utf-8")
    with pytest.raises(TransferError) as refused:
        list(datasets.samples(name, path))
    assert "\n" not in refused.value.one_line()
    assert refused.value.hint


def test_locomo_drops_evidence_that_is_not_there(tmp_path: Path) -> None:
    sample = next(datasets.samples("locomo", write(tmp_path / "l.json", [LOCOMO])))
    assert [(q.category, dict(q.evidence)) for q in sample.questions] == [
        ("4", {"turn": {"D1:1"}}),
        ("1", {"turn": {"D1:2"}}),
    ]
    assert turns(sample)["D1:2"] == ("other", "Piet", "I keep three beehives on the roof.")


def test_longmemeval_marks_turns_and_sessions(tmp_path: Path) -> None:
    unanswerable = LONGMEMEVAL | {"question_id": "q2_abs"}
    sample, other = datasets.samples("longmemeval", write(tmp_path / "l.json", [LONGMEMEVAL, unanswerable]))
    assert other.questions == []
    (question,) = sample.questions
    assert question.evidence == {"turn": {"1/answer_1/1"}, "session": {"answer_1"}}
    assert question.category == "single-session-user"
    assert question.asked_at is not None
    assert question.asked_at.replace(tzinfo=None) == datetime(2023, 6, 1, 9)
    assert sample.units["session"]["2/noise_1/1"] == sample.units["session"]["0/noise_1/1"] == "noise_1"
    assert turns(sample)["1/answer_1/1"] == ("owner", "", "I named my sourdough starter Clint.")
    assert len(turns(sample)) == 5  # what is empty is nothing
    assert sample.talks[1].created_at.replace(tzinfo=None) == datetime(2023, 5, 21, 10)


def test_longmemeval_without_a_date_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "l.json", [LONGMEMEVAL | {"question_date": "soon"}])
    with pytest.raises(TransferError, match="'soon' is no date"):
        list(datasets.samples("longmemeval", path))


def test_perltqa_has_four_kinds_of_memories(tmp_path: Path) -> None:
    (sample,) = datasets.samples("perltqa", perltqa(tmp_path))
    assert list(datasets.samples("perltqa", tmp_path)) == [sample]  # the folder will do
    assert [(q.category, *q.evidence["memory"]) for q in sample.questions] == [
        ("profile", "profile/Occupation"),
        ("social_relationship", "social_relationship/1_0"),
        ("events", "events/1_0_0"),
        ("dialogues", "dialogues/1_0_0#0"),
    ]
    said = turns(sample)
    assert said["profile/Occupation"] == ("other", "Ada Moor", "Ada Moor. Occupation: beekeeper")
    assert said["social_relationship/1_0"][2] == "Tove Lund (friend): Met at school."
    last = "dialogues/1_0_0#0/2022-05-15 10:00/1"
    assert said[last] == ("other", "Tove Lund", "I had two jumpers on.")
    assert sample.units["memory"][last] == "dialogues/1_0_0#0"
    began = {talk.ref: talk.created_at for talk in sample.talks}
    assert began["Ada Moor/1_0_0"] == datetime(2022, 5, 12, tzinfo=UTC)
    assert began["Ada Moor/1_0_1"].year == 2000  # "during an election"


def test_perltqa_needs_both_files(tmp_path: Path) -> None:
    path = write(tmp_path / "perltqa_en_v2.json", PERLTQA)
    with pytest.raises(TransferError, match=r"needs one perltmem\*\.json"):
        list(datasets.samples("perltqa", path))


def test_a_session_counts_once_where_its_first_turn_is() -> None:
    units = {"session": {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}}
    sample = Sample("s", [], [], units)
    tally = retrieval.Tally()
    question = Question("?", "1", {"turn": frozenset({"c1", "a2"}), "session": frozenset({"c"})})
    found = ["a1", "a2", "b1", "b1", "a1", "c1"]
    tally.add(question, sample, found, 2.0)
    figures = tally.report()
    assert (
        figures["levels"]["turn"]["recall"]
        == figures["recall"]
        == {"1": 0.0, "5": 0.5, "10": 1.0, "25": 1.0, "50": 1.0}
    )
    assert figures["levels"]["session"]["recall"] == {"1": 0.0, "5": 1.0, "10": 1.0, "25": 1.0, "50": 1.0}
    assert figures["levels"]["turn"]["by_category"]["1"]["questions"] == 1
    assert figures["by_category"]["1"] == {"questions": 1, "recall": 1.0}
    assert figures["ms"] == {"p50": 2.0, "p95": 2.0}


@pytest.mark.parametrize("name", datasets.NAMES)
def test_the_command_finds_what_was_said(name: str, tmp_path: Path) -> None:
    files = {"locomo": [LOCOMO], "longmemeval": [LONGMEMEVAL]}
    path = write(tmp_path / "data.json", files[name]) if name in files else perltqa(tmp_path)
    table, plot = tmp_path / "t.md", tmp_path / "p.svg"
    run = ["eval", "memory", "--dataset", name, "--path", str(path), "--table", str(table), "--plot", str(plot)]
    done = CliRunner().invoke(cli, [*run, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    level = {"locomo": "turn", "longmemeval": "session", "perltqa": "memory"}[name]
    assert figures["samples"] == 1
    asked = {"locomo": 2, "longmemeval": 1, "perltqa": 4}[name]
    assert figures["questions"] == figures["levels"][level]["questions"] == asked
    assert figures["levels"][level]["recall"]["50"] == 1.0
    assert f"| {level} | questions | @1 |" in table.read_text("utf-8")
    assert ElementTree.fromstring(plot.read_text("utf-8")).tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "nothing to measure"),
        (["--path", ".", "--size", "5"], 2, "two measurements"),
        (["--path", "empty.json"], 40, "holds no question"),
        (["--path", "one.json", "--table", "nowhere/t.md"], 2, "cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_said(
    arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "empty.json", [LOCOMO | {"qa": []}])
    write(tmp_path / "one.json", [LOCOMO])
    done = CliRunner().invoke(cli, ["eval", "memory", *arguments])
    assert (done.exit_code, says in done.stderr) == (code, True), done.stderr


def test_only_the_first_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "l.json", [LOCOMO, {"broken": True}])
    done = CliRunner().invoke(cli, ["eval", "memory", "--path", str(path), "--samples", "1"])
    assert done.exit_code == 0, done.output
    assert "| all | 2 |" in done.stdout


def test_times_at_a_size(tmp_path: Path) -> None:
    plot = tmp_path / "p.svg"
    done = CliRunner().invoke(cli, ["eval", "memory", "--size", "40", "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "| memories | open |" in done.stdout
    assert "| 40 | " in done.stdout
    assert "milliseconds" in plot.read_text("utf-8")


def test_made_up_memories_are_the_same_every_time() -> None:
    first, again = next(sizes.made_up(10)), next(sizes.made_up(10))
    assert first.texts == again.texts
    assert (first.vectors == again.vectors).all()
    assert abs((first.vectors**2).sum(axis=1) - 1).max() < 1e-5
    assert sizes.questions(3) == sizes.questions(5)[:3]


@settings(max_examples=50)
@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=9, unique=True),
    st.lists(st.floats(0, 1e6), min_size=1, max_size=8),
)
def test_any_chart_is_a_whole_document_within_its_frame(names: list[str], values: list[float]) -> None:
    names = [name for name in names if name.isprintable()] or ["one"]
    at = [float(i) for i in range(len(values))]
    drawn = ElementTree.fromstring(line_chart("<a> & b", "x", "y", at, dict.fromkeys(names, values)))
    circles = [e for e in drawn.iter() if e.tag.endswith("circle")]
    assert len(circles) == len(names) * len(values)
    assert all(0 <= float(c.get("cy", "-1")) <= 400 and 0 <= float(c.get("cx", "-1")) <= 640 for c in circles)


@pytest.mark.parametrize(("at", "lines"), [([], {"a": []}), ([1.0], {}), ([1.0, 2.0], {"a": [1.0]})])
def test_a_chart_of_nothing_is_refused(at: list[float], lines: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="a chart needs points"):
        line_chart("t", "x", "y", at, lines)


def test_tables_are_in_the_order_of_the_sizes() -> None:
    row = {"open_ms": 1, "load_ms": 2, "p50_ms": 3, "p95_ms": 4, "write_p95_ms": 5, "resident_mb": 6}
    text = report.size_table([{"memories": size, **row} for size in (10, 20_000)])
    assert [line.split(" | ")[0] for line in text.splitlines()[2:]] == ["| 10", "| 20,000"]
