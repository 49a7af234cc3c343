"""A chat model measured by itself: cases that cannot be read, verdicts on answers, figures, held-out losses."""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import real_models
from click.testing import CliRunner, Result

from mnemon.commands.app import App
from mnemon.commands.main import cli
from mnemon.errors import InputError, ModelError, PromptTooLongError
from mnemon.evaluation import built_in, held_out
from mnemon.evaluation.built_in_cases import TASKS, TODAY, Case, read_cases, request
from mnemon.evaluation.judging import Answer, Judge, Verdict, holds
from mnemon.memory import extraction
from mnemon.profile import composition
from mnemon.runtime import catalog
from mnemon.runtime.chat_model import ChatMessage, ModelInfo, StopReason, TokenScores
from mnemon.runtime.scripted import Call, ScriptedModel
from mnemon.runtime.worker import LocalModel

DOG = {
    "task": "recall",
    "notes": ["The user's dog is called Pumpernickel.", "The user lives in Ghent."],
    "question": "What is my dog called?",
    "must_all": ["Pumpernickel"],
    "values": ["Pumpernickel", "Ghent"],
}
SISTER = {"task": "unknown", "notes": ["The user lives in Ghent."], "question": "What is my sister called?"}
SYSTEM_PLACEMENT = ModelInfo(
    name="scripted", path="", architecture="", parameters=0, file_bytes=0, context_tokens=4096,
    memory_placement="system", memory_limit=1,
)  # fmt: skip


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def case(**fields: Any) -> Case:
    return Case(**{"task": "recall", "question": "What is my dog called?", **fields})


def read_case(row: dict[str, Any]) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        return read_cases(write(Path(folder) / "cases.jsonl", row)).cases[0]


def judged(one: Case, text: str, stop: StopReason = "end", *, among: Sequence[Case] = ()) -> Verdict:
    return Judge([one, *among]).judge(one, Answer(text, stop))


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["eval", "built-in", "--threads", "1", *words], obj=App())
    assert result.exit_code == code, result.output
    return result


# -- what cannot be measured ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("not an object", "no object"),
        ({"question": "Hm?"}, "task None"),
        ({"task": "poetry", "question": "Hm?"}, "poetry"),
        ({"task": "recall", "question": "Hm?"}, "neither must_all nor must_any"),
        ({"task": "smalltalk", "question": " "}, "no question"),
        ({"task": "profile"}, "needs notes"),
        ({**DOG, "notes": "The user lives in Ghent."}, "notes"),
        ({**DOG, "must_not": [""]}, "must_not"),
        ({**DOG, "question": 7}, "question"),
        ({**DOG, "turns": [["user"]]}, "turns"),
        ({**DOG, "turns": [["system", "Obey."]]}, "system"),
        ({**DOG, "episodes": [["yesterday", "The user said: hello."]]}, "yesterday"),
    ],
)
def test_a_row_that_is_no_case_is_named_with_its_line(tmp_path: Path, row: Any, why: str) -> None:
    path = write(tmp_path / "cases.jsonl", DOG, row)
    with pytest.raises(InputError, match="Line 2") as caught:
        read_cases(path)
    assert why in str(caught.value)


def test_files_that_hold_no_cases(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl")
    torn = tmp_path / "torn.jsonl"
    torn.write_text('{"task": "rec', "utf-8")
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, why in ((empty, "no case"), (torn, "Line 1"), (binary, "cannot be read"), (tmp_path, "cannot be read")):
        with pytest.raises(InputError, match=why):
            read_cases(path)


def test_everything_missing_or_damaged_is_one_line_with_its_exit_code(tmp_path: Path) -> None:
    cases = str(write(tmp_path / "cases.jsonl", DOG))
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(real_models.built_in().path.read_bytes()[:5000])  # type: ignore[union-attr]
    nothing = str(tmp_path / "nothing")
    for words, code, why in (
        (["--cases", nothing], 2, "cannot be read"),
        (["--cases", cases, "--model", f"{nothing}.gguf"], 10, "is not there"),
        (["--cases", cases, "--model", str(damaged)], 10, "damaged.gguf"),
        (["--cases", cases, "--model", "nobody"], 4, "nobody"),
        (["--cases", cases, "--heldout", nothing], 2, "heldout"),
        (["--cases", cases, "--transcripts", f"{nothing}/here.jsonl"], 2, "cannot be written"),
        (["--cases", cases, "--heldout-rows", "0"], 2, "heldout-rows"),
    ):
        told = run(*words, code=code)
        assert why in told.stderr
        assert told.stdout == ""
        if "Usage" not in told.stderr:
            assert told.stderr.count("\n") == 1


def test_a_model_that_fails_ends_the_run() -> None:
    with pytest.raises(ModelError, match="broke"):
        built_in.run(ScriptedModel(ModelError("It broke.")), [case()])


def test_a_case_that_does_not_fit_into_the_window() -> None:
    with pytest.raises(PromptTooLongError):
        built_in.run(ScriptedModel("Yes.", context=4), [case()])


# -- prompts ----------------------------------------------------------------------------------------------------


def test_a_prompt_has_the_notes_where_the_model_reads_them() -> None:
    one = read_case(
        {
            **DOG,
            "notes": [f"The user's {n} is called Rex." for n in ("dog", "cat", "hen", "cow")],
            "episodes": [
                ["2026-03-02", "The user said: I run now."],
                ["2026-03-05", "Anna said: no. (no longer so)"],
            ],
            "turns": [["user", "Hi."], ["assistant", "Hello."]],
        }
    )
    system, *turns = request(one, SYSTEM_PLACEMENT).messages
    assert system.content.count("- The user's") == 4, "a case shows all its notes, whatever the model's limit"
    assert "- [2026-03-02] The user said: I run now." in system.content.splitlines()
    assert "- [2026-03-05] Anna said: no. (no longer so)" in system.content.splitlines()
    assert turns == [
        ChatMessage("user", "Hi."), ChatMessage("assistant", "Hello."), ChatMessage("user", "What is my dog called?")
    ]  # fmt: skip
    system, *turns = request(one, replace(SYSTEM_PLACEMENT, memory_placement="message")).messages
    assert "Rex" not in system.content
    assert TODAY.isoformat() in turns[-1].content
    assert "- The user's cow is called Rex." in turns[-1].content.splitlines()
    assert turns[-1].content.endswith("What is my dog called?")


def test_extraction_and_profile_are_asked_as_in_the_product() -> None:
    model = ScriptedModel("NONE")
    rows = [
        case(task="extraction", question="My sister is Anna."),
        case(task="profile", question="", notes=("The user is a nurse.", "- The user lives in Hove.")),
    ]
    built_in.run(model, rows)
    extracted, written = model.calls
    assert [m.content for m in extracted.messages] == [extraction.SYSTEM, "My sister is Anna."]
    assert (extracted.max_tokens, extracted.grammar) == (extraction.MAX_TOKENS, extraction.GRAMMAR)
    assert [m.content for m in written.messages] == [
        composition.SYSTEM, "- The user is a nurse.\n- The user lives in Hove."
    ]  # fmt: skip
    assert (written.max_tokens, written.grammar) == (composition.MAX_TOKENS, None)
    assert all(call.sampling is not None and call.sampling.temperature == 0 for call in model.calls)


# -- verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "answer", "right"),
    [
        ({"must_all": ("Rex",)}, "Your dog is called REX.", True),
        ({"must_all": ("Rex",)}, "Your dog is called Trex.", False),
        ({"must_all": ("4471",)}, "It is 44710.", False),
        ({"must_all": ("St. Ives", "4 May")}, "You're off to St.\nIves on 4 May.", True),
        ({"must_any": ("4 May", "May 4")}, "On May 4th.", True),
        ({"must_any": ("4 May", "May 4")}, "In May.", False),
        ({"must_all": ("Hove",), "must_not": ("Leeds",)}, "You moved from Leeds to Hove.", False),
        ({"must_all": ("Anna",), "must_not": ("Ann",)}, "She is called Anna.", True),
        ({"must_all": ("o'clock",)}, "At six o’clock.", True),
    ],
)
def test_what_an_answer_has_to_hold(fields: dict[str, Any], answer: str, right: bool) -> None:
    assert judged(case(**fields), answer).right is right


def test_not_knowing_has_to_be_said_and_nothing_else() -> None:
    one = case(task="unknown", question="What is my sister called?", notes=("The user lives in Ghent.",))
    assert judged(one, "I don't know your sister's name yet.").right
    assert not judged(one, "Your sister is called Ghent.").right
    told = judged(one, "I don't know, but your sister is called Marguerite.")
    assert (told.right, told.invented) == (False, ("Marguerite",))


@pytest.mark.parametrize(
    ("answer", "invented"),
    [
        ("Your dog is called Pumpernickel.", ()),
        ("Your dog is called Bartholomew and lives in Ghent.", ("Bartholomew",)),
        ("Pumpernickel's the one. That is your dog.", ()),
        ("Marguerite is your dog.", ("Marguerite",)),
        ("Marguerite.", ("Marguerite",)),
        ("Certainly! Your dog is Pumpernickel.", ()),
        ("Everyone is fond of Pumpernickel.", ()),
        ("You have three dogs.", ("three",)),
        ("One of your dogs is 7 years old.", ("7",)),
        ("You said so on 2 March 2026.", ()),
        ("You said so on 3 March.", ("3",)),
        ("You said so on Monday, in May.", ("May",)),
        ("May I help you?", ()),
        ("You said so yesterday.", ("yesterday",)),
        ("Write to me@example.org.", ("me@example.org",)),
    ],
)
def test_values_that_the_case_does_not_hold(answer: str, invented: tuple[str, ...]) -> None:
    one = read_case({**DOG, "episodes": [["2026-03-02", "The user said: I walk the dog."]]})
    assert judged(one, answer).invented == invented


def test_in_small_talk_only_sentences_about_the_owner_can_make_something_up() -> None:
    one = case(task="smalltalk", question="Good morning!")
    assert judged(one, "Good morning! Mozart wrote 41 symphonies.").invented == ()
    assert judged(one, "Good morning! How is your sister Anna?").invented == ("Anna",)
    assert judged(one, "Good evening! Have you had a good day today, or is it tomorrow?").invented == ()
    assert judged(case(task="smalltalk", question="Hi"), "Thanks, I'll tell you when.").invented == ()
    assert not judged(case(task="smalltalk", question="Hi"), "Hi! You are travelling to Leeds in May.").right
    assert judged(case(task="meta", question="Who are you?"), "I am Mnemon, your small AI.").invented == ()


def test_a_first_word_is_a_name_where_other_cases_say_so() -> None:
    other = case(notes=("The user's cat is called Biscuit.", "The user likes gardening."), values=("Biscuit",))
    assert judged(case(), "Biscuit, your dog, is well.", among=[other]).invented == ("Biscuit",)
    assert judged(case(), "Gardening is fun.", among=[other]).invented == ()


def test_extraction_compares_lines_and_not_their_dress() -> None:
    lines = ("The user's sister is called Anna.", "The user lives in Porto.")
    one = case(task="extraction", question="My sister Anna says hi from my home in Porto.", lines=lines)
    exact = judged(one, "- the user lives in  Porto\n1. The user's sister is called Anna.".replace("- the", "The"))
    assert (exact.right, exact.found, exact.wanted, exact.said) == (True, 2, 2, 2)
    partly = judged(one, "The user lives in Porto.\nThe user has a dog.\nThe user's boss is called Maria.")
    assert (partly.right, partly.found, partly.wanted, partly.said) == (False, 1, 2, 3)
    assert partly.invented == ("Maria",)
    nothing = case(task="extraction", question="What a day!")
    assert judged(nothing, "NONE") == Verdict(True)
    assert not judged(nothing, "The user has a day.").right


def test_a_list_counts_facts_and_repeats() -> None:
    one = case(task="list", question="What do you know about me?", must_all=("Rex", "Hove", "nurse"))
    full = judged(one, "Your dog is called Rex, you live in Hove and you work as a nurse.")
    assert (full.right, full.found, full.wanted, full.repeats) == (True, 3, 3, False)
    assert not judged(one, "I know that your dog is called Rex, your cat is called Rex and so is your hen.").repeats
    again = judged(one, "I know that your dog is called Rex, you live in Hove, and your dog is called Rex.")
    assert (again.right, again.found, again.repeats) == (False, 2, True)


def test_a_profile_adds_nothing_and_leaves_nothing_out() -> None:
    one = case(
        task="profile", question="", notes=("The user works as a nurse in Hove.", "The user's dog is called Rex.")
    )
    mixed_up = judged(one, "The user works as a nurse in Hove. Their nurse is called Rex.")
    assert (mixed_up.right, mixed_up.invented) == (False, ())
    good = judged(one, "The user works as a nurse in Hove. Their dog is called Rex.")
    assert (good.right, good.found, good.wanted) == (True, 2, 2)
    made_up = judged(one, "The user is a nurse and lives in Leeds with Rex since 2019.")
    assert (made_up.right, made_up.found) == (False, 0)
    assert set(made_up.invented) == {"Leeds", "2019"}


@pytest.mark.parametrize(
    ("answer", "stop", "right", "broken"),
    [
        ("Good morning! I hope you slept well.", "end", True, False),
        ("", "end", False, True),
        ("Good morning!\nuser: hello", "end", False, True),
        ("Good morning! <|im_start|>", "end", False, True),
        ("Good morning! And then", "length", False, False),
        ("Good good good", "repeat", False, True),
        ("I hope you slept well. I hope you slept well.", "end", False, False),
        ("Thanks. And thanks again, thanks!", "end", False, False),
        ("Tell me what to forget and I'll forget it.", "end", True, False),
        ("so it is and so it is and so it is and so it is and so", "end", False, True),
    ],
)
def test_small_talk_holds_together_and_ends(answer: str, stop: StopReason, right: bool, broken: bool) -> None:
    verdict = judged(case(task="smalltalk", question="Good morning!"), answer, stop)
    assert (verdict.right, verdict.whole, verdict.broken) == (right, right, broken)
    beside_the_point = judged(case(task="smalltalk", question="Good morning!", must_any=("tea",)), answer, stop)
    assert (beside_the_point.right, beside_the_point.whole) == (False, right)


def test_hard_questions_are_offered_to_the_cloud() -> None:
    one = case(task="hard", question="Prove it.")
    assert judged(one, "That is hard. I can ask the cloud model if you allow it.").right
    assert not judged(one, "It follows from the axioms.").right
    assert judged(case(task="hard", question="Prove it.", must_any=("larger model",)), "Ask a larger model?").right


# -- figures ----------------------------------------------------------------------------------------------------


def test_figures_are_shares_of_their_own_cases() -> None:
    def say(call: Call) -> str:
        return {"dog": "It is Rex.", "cat": "It is Felix.", "sis": "I don't know."}.get(
            call.last.splitlines()[-1][:3], "NONE"
        )

    rows = [
        case(question="dog?", must_all=("Rex",), notes=("The user's dog is called Rex.",)),
        case(question="cat?", must_all=("Tom",), notes=tuple(f"The user's cat {i} is called Tom." for i in "abcdef")),
        case(task="unknown", question="sister?"),
        case(task="extraction", question="I am Bo.", lines=("The user's name is Bo.",)),
    ]
    kept: list[dict[str, Any]] = []
    seen: list[tuple[int, int]] = []
    report = built_in.run(ScriptedModel(say), rows, progress=lambda *at: seen.append(at), keep=kept.append)
    assert report["figures"] == {
        "recall": 0.5, "unknown": 1.0, "recall_few_notes": 1.0, "recall_many_notes": 0.0,
        "extraction_f1": 0.0, "extraction_precision": 0.0, "extraction_recall": 0.0, "extraction_exact": 0.0,
        "no_invention": 0.75, "broken": 0.0, "ended": 1.0,
    }  # fmt: skip
    assert report["by_task"] == {
        "extraction": {"right": 0, "of": 1}, "recall": {"right": 1, "of": 2}, "unknown": {"right": 1, "of": 1}
    }  # fmt: skip
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [row["right"] for row in kept] == [True, False, True, False]
    assert kept[1]["invented"] == ["Felix"]
    assert kept[1]["messages"][-1]["content"].endswith("cat?")


def test_the_cases_that_come_with_mnemon_are_of_every_kind_and_can_be_answered() -> None:
    cases = read_cases().cases
    assert {one.task for one in cases} == set(TASKS)
    assert len(cases) >= 500
    for one in cases:
        shown = " ".join(m.content for m in request(one, SYSTEM_PLACEMENT).messages)
        if one.task not in ("dated", "extraction"):
            assert not [value for value in one.must_all if not holds(shown, value)], one


def test_ideal_answers_to_them_are_right_and_make_nothing_up() -> None:
    cases = read_cases().cases
    judge = Judge(cases)
    ideal = {
        "unknown": lambda one: "I don't know that yet. Tell me and I'll remember it.",
        "hard": lambda one: "That is a hard one. I can ask the cloud model if you allow it.",
        "extraction": lambda one: "\n".join(one.lines) or "NONE",
        "profile": lambda one: " ".join(one.listed),
    }
    for one in cases:
        if one.task not in ("smalltalk", "meta"):  # their rules leave open what is said
            word = {"yes": "Yes. ", "no": "No. "}.get(one.must_any[0], "") if one.must_any else ""
            say = ideal.get(one.task, lambda one, word=word: f"{word}You told me: {' and '.join(one.must_all)}.")
            verdict = judge.judge(one, Answer(say(one)))
            assert (verdict.right, verdict.invented, verdict.broken) == (True, (), False), (one, say(one))


def test_the_history_ends_with_the_model_that_lies_here() -> None:
    newest = catalog.history()[-1]
    path = real_models.built_in().path
    assert path is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == newest["sha256"]
    assert path.stat().st_size == newest["file_bytes"]
    assert all(0 <= figure <= 1 for figure in newest["figures"].values())
    shown = CliRunner().invoke(cli, ["models", "show", "built-in"], obj=App()).stdout
    assert f"recall {newest['figures']['recall']:.2f}" in shown
    as_json = json.loads(CliRunner().invoke(cli, ["models", "show", "--json"], obj=App()).stdout)
    assert as_json["history"][-1]["sha256"] == newest["sha256"]


def test_the_command_prints_json_a_table_and_transcripts(tmp_path: Path) -> None:
    cases = str(write(tmp_path / "cases.jsonl", DOG, SISTER))
    transcripts = tmp_path / "said.jsonl"
    spec = real_models.built_in()
    copy = tmp_path / "candidate.gguf"
    copy.write_bytes(spec.path.read_bytes())  # type: ignore[union-attr]
    told = run("--cases", cases, "--json", "--transcripts", str(transcripts))
    report = json.loads(told.stdout)
    assert report["cases"] == 2
    assert len(report["sha256"]) == 64
    assert report["cases_sha256"] == hashlib.sha256(Path(cases).read_bytes()).hexdigest()
    assert report["figures"]["unknown"] == 1.0, "the least the built-in model can do"
    assert report["by_task"]["recall"]["of"] == 1
    assert report["speed"]["generation_tokens_per_s"] > 1
    assert report["speed"]["prompt_tokens_per_s"] > 1
    assert (report["model"], report["memories"], report["heldout"]) == ("built-in", "system", {})
    assert "2 cases" in told.stderr
    rows = [json.loads(line) for line in transcripts.read_text("utf-8").splitlines()]
    assert [row["task"] for row in rows] == ["recall", "unknown"]
    assert "Pumpernickel" in rows[0]["messages"][0]["content"]
    again = json.loads(run("--cases", cases, "--json", "--model", str(copy), "--memories", "system").stdout)
    assert (again["sha256"], again["figures"]) == (report["sha256"], report["figures"])
    assert again["model"] == str(copy)
    table = run("--cases", cases).stdout
    assert "13.8M weights" in table
    assert "with the instructions" in table
    assert "1 of 1" in table


# -- held-out text ----------------------------------------------------------------------------------------------


def pack(path: Path, *rows: Any) -> Path:
    path.write_bytes(lzma.compress("\n".join(json.dumps(row) for row in rows).encode()))
    return path


TALK = {
    "source": "s",
    "license": "l",
    "system": None,
    "messages": [
        {"role": "assistant", "content": "Nobody asked."},
        {"role": "user", "content": "Hi, how are you?"},
        {"role": "assistant", "content": "Fine, thanks."},
        {"role": "user", "content": "Good."},
        {"role": "assistant", "content": "Bye."},
    ],
}


def test_held_out_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no"):
        held_out.held_out_files(tmp_path)
    model = ScriptedModel("")
    whole = pack(tmp_path / "a.heldout.jsonl.xz", {"text": "word " * 400})
    whole.write_bytes(whole.read_bytes()[:-20])
    not_xz = tmp_path / "b.heldout.jsonl.xz"
    not_xz.write_text("{}", "utf-8")
    odd = pack(tmp_path / "c.heldout.jsonl.xz", {"text": "fine"}, {"messages": [{"role": "user"}]})
    for path, why in ((whole, "a.held"), (not_xz, "b.held"), (odd, "line 2"), (tmp_path / "d", "d cannot be read")):
        with pytest.raises(InputError, match=why):
            held_out.run(model, [path])


def test_losses_count_all_of_a_text_and_the_answers_of_a_dialogue(tmp_path: Path) -> None:
    class Noting(ScriptedModel):
        asked: list[tuple[int, str]]

        def loglikelihood(self, messages: Sequence[ChatMessage], answer: str, **more: Any) -> TokenScores:
            self.asked.append((len(messages), answer))
            if "long" in answer and len(answer) > 100:
                raise PromptTooLongError("too long")
            return super().loglikelihood(messages, answer, **more)

    model = Noting("", loglikelihood=-2.0)
    model.asked = []
    text = "word " * 1000
    files = [
        pack(tmp_path / "books.heldout.jsonl.xz", {"text": text}, {"text": "never read"}),
        pack(tmp_path / "talks.heldout.jsonl.xz", TALK),
        pack(tmp_path / "unread.heldout.jsonl.xz", {"text": ""}),
        pack(tmp_path / "wide.heldout.jsonl.xz", {"text": "long" * 50}),
    ]
    report = held_out.run(model, files, rows=1)
    assert report["heldout"] == {"books": 2.0, "talks": 2.0, "wide": 2.0}
    assert report["heldout_per_byte"]["books"] == pytest.approx(0.4, abs=0.01)
    prose = [said for before, said in model.asked if not before]
    assert "".join(prose[:4]) == text[: held_out.TEXT_CHARACTERS]
    assert "never read" not in prose
    assert (2, "Fine, thanks.") in model.asked
    assert (4, "Bye.") in model.asked
    assert not any(said == "Nobody asked." for _, said in model.asked), "an answer to nothing has no prompt"


def test_stretches_are_the_beginning_of_a_text_and_nothing_else() -> None:
    text = "".join(f"{i} " for i in range(5000))
    parts = list(held_out.stretches(text))
    assert "".join(parts) == text[: held_out.TEXT_CHARACTERS]
    assert all(len(part) <= held_out.STRETCH_CHARACTERS for part in parts)
    solid = list(held_out.stretches("x" * 5000))
    assert "".join(solid) == "x" * held_out.TEXT_CHARACTERS


def test_the_loss_of_the_built_in_model_is_lower_on_text_than_on_noise(tmp_path: Path) -> None:
    files = [
        pack(tmp_path / "a-text.heldout.jsonl.xz", {"text": "I work as a nurse. What do you do for a living?"}),
        pack(tmp_path / "b-noise.heldout.jsonl.xz", {"text": "zqx vvj qqk wpf jjx kzq xvz pqj"}),
    ]
    with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model:
        losses = held_out.run(model, files)["heldout_per_byte"]
        words = "I work as a nurse."
        alone, said = model.loglikelihood([], words), model.loglikelihood([ChatMessage("user", "Hi.")], words)
        assert "".join(said.tokens) == words
        assert "".join(alone.tokens) == words.removeprefix(said.tokens[0]), "nothing stands before its first token"
        assert model.loglikelihood([], "").tokens == ()
    assert 0 < losses["a-text"] < losses["b-noise"] < math.log(8192)
