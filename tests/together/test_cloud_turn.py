"""A turn whose answer comes from the cloud: decided, asked, shown, recorded, and back with the names restored."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cloud_server import ScriptedEngine
from command_line import LARGE
from real_cloud import RealCloud, enrolled, real_cloud

from mnemon import Answer, Assistant, errors
from mnemon.answering.cloud import ASKED_FOR
from mnemon.chat import Chat
from mnemon.privacy.ledger import Ledger
from mnemon.runtime.scripted import ScriptedModel
from mnemon.settings import CloudSettings, MemorySettings, RoutingSettings, Settings
from mnemon.sync.daemon import deliver
from mnemon.turns import ConsentAsked, Delta, Turn, TurnFinished, Where

HARD = "My sister Ines Ferrer turns forty. Write a formal contract between her and Halden Marine, in detail."
TAKEN_OUT = "My sister [PERSON_1] turns forty. Write a formal contract between her and [ORG_1], in detail."


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(words=("Dear [PER", "SON_", "1], from [OR", "G_1] with", " love."))


@pytest.fixture
def cloud(tmp_path: Path, engine: ScriptedEngine) -> Iterator[RealCloud]:
    with real_cloud(tmp_path, engine) as running:
        yield running


@contextlib.contextmanager
def assistant(home: Path, **sections: Any) -> Iterator[Assistant]:
    base = Settings(memory=MemorySettings(key="file", extract=False), routing=RoutingSettings(threshold=0.0))
    model = ScriptedModel("From here.", info=LARGE)
    with Assistant(home, settings=replace(base, **sections), chat_model=model) as opened:
        opened.memory.facts.add("The user works for Halden Marine.", origin="owner")
        yield opened


@pytest.fixture
def mnemon(own_home: Path, cloud: RealCloud) -> Iterator[Assistant]:
    with assistant(own_home) as opened:
        enrolled(opened.memory.store, cloud)
        yield opened


@dataclass
class Said:
    answer: Answer
    words: str
    asked: list[ConsentAsked]


def say(
    mnemon: Assistant,
    text: str,
    where: Where = "auto",
    *,
    allow: bool = True,
    alone: bool = False,
    chat: Chat | None = None,
) -> Said:
    asked, words = list[ConsentAsked](), ""
    for event in (chat or mnemon.chat()).send(text, where):
        if isinstance(event, ConsentAsked):
            asked.append(event)
            if allow:
                event.allow(alone=alone)
        elif isinstance(event, Delta):
            words += event.text
        elif isinstance(event, TurnFinished):
            return Said(event.answer, words, asked)
    raise AssertionError("the turn did not end")


def left(mnemon: Assistant) -> list[str | None]:
    ledger = Ledger(mnemon.memory.store)
    assert not ledger.verify().problems
    return [entry.text for entry in reversed(ledger.entries())]


def test_a_hard_question_goes_out_without_names_and_comes_back_with_them(mnemon: Assistant, cloud: RealCloud) -> None:
    said = say(mnemon, HARD)
    assert [consent.whole.text for consent in said.asked] == [TAKEN_OUT]
    assert said.asked[0].recipient == f"localhost:{cloud.port}"
    assert said.asked[0].reason
    assert said.words == said.answer.text == "Dear Ines Ferrer, from Halden Marine with love."
    assert said.answer.route == "cloud"
    assert said.answer.reason == said.asked[0].reason
    saved = mnemon.memory.messages.get(said.answer.answer_id)
    assert (saved.text, saved.route, saved.model, saved.status) == (said.words, "cloud", "scripted", "complete")
    assert cloud.seen == left(mnemon) == [TAKEN_OUT]
    assert "stand for names" in cloud.engine.asked[0][0][1]
    assert mnemon.wait(10)
    assert mnemon.cloud._in_safety == []  # the server was told that it need not keep it


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("Dear **[Per", "son", " 1]**'", "s boss at [org-1"), "Dear **Ines Ferrer**'s boss at [org-1"),
        (("`PERSON", "_1` and [ORG", "_1's", "] ship"), "`Ines Ferrer` and Halden Marine's ship"),
        (("Dear Sir, ", "nobody is named here."), "Dear Sir, nobody is named here."),
        (("Dear [PERSON_7] of [CITY", "], [PERSON_", "1"), "Dear [PERSON_7] of [CITY], [Ines Ferrer"),
    ],
    ids=["other spellings", "bare and possessive", "dropped", "made up and cut off"],
)
def test_whatever_a_model_makes_of_the_placeholders(
    mnemon: Assistant, cloud: RealCloud, words: tuple[str, ...], shown: str
) -> None:
    cloud.engine.words = words
    said = say(mnemon, HARD)
    assert said.words == said.answer.text == shown
    assert mnemon.memory.messages.get(said.answer.answer_id).status == "complete"
    assert cloud.seen == [TAKEN_OUT]


def test_a_real_model_may_drop_placeholders_and_nothing_breaks(own_home: Path, tmp_path: Path) -> None:
    """The built-in model, which is small, behind the real server: its words come, with what it kept restored."""
    from mnemon_cloud.answers.engines.llama_cpp import LlamaCppEngine
    from mnemon_cloud.settings import EngineSettings

    def started() -> Coroutine[Any, Any, LlamaCppEngine]:
        return LlamaCppEngine.start(EngineSettings(parallel=1, window=512, threads=1))

    with real_cloud(tmp_path, started, engine={"temperature": 0.0}) as cloud, assistant(own_home) as mnemon:
        enrolled(mnemon.memory.store, cloud)
        for question in ("My sister is Ines Ferrer. What is my sister called?", HARD):
            said = say(mnemon, question, "cloud")
            assert said.asked
            assert "[PERSON_1]" in said.asked[0].whole.text
            assert said.answer.route == "cloud"
            assert said.words == said.answer.text
            assert said.words.strip()
            assert "PERSON_1]" not in said.words
            assert mnemon.memory.messages.get(said.answer.answer_id).status == "complete"


def test_an_answer_that_was_cut_off_at_its_longest_says_so(own_home: Path, cloud: RealCloud) -> None:
    with assistant(own_home, cloud=CloudSettings(max_answer_tokens=3)) as mnemon:
        enrolled(mnemon.memory.store, cloud)
        said = say(mnemon, HARD)
        assert said.words == "Dear Ines Ferrer, from [OR"
        assert said.answer.note == "The answer got as long as it may, and ends there."


def test_the_model_is_told_to_keep_the_placeholders_where_there_are_some(mnemon: Assistant, cloud: RealCloud) -> None:
    from mnemon.sync.parcel import INSTRUCTION

    say(mnemon, HARD)
    say(mnemon, "Explain in detail how a heat pump works, step by step.", "cloud")
    with_names, without = cloud.engine.asked
    assert with_names[0] == ("system", INSTRUCTION)
    assert "[PERSON_1]" in INSTRUCTION
    assert "just as they are" in INSTRUCTION
    assert [role for role, _ in without] == ["user"]


def test_what_nobody_allowed_does_not_leave(mnemon: Assistant, cloud: RealCloud) -> None:
    said = say(mnemon, HARD, allow=False)
    assert said.words == "From here."
    assert said.answer.route == "local"
    assert "kept on this device" in said.answer.note
    assert mnemon.ask(HARD).text == "From here."  # a program that does not answer the question
    assert say(mnemon, HARD, "local").asked == []
    assert cloud.seen == left(mnemon) == []


@pytest.mark.parametrize("sections", [{"privacy": replace(Settings().privacy, mode="never")}, {}])
def test_never_and_easy_questions_are_not_even_asked_about(
    own_home: Path, cloud: RealCloud, sections: dict[str, Any]
) -> None:
    with assistant(own_home, **(sections or {"routing": RoutingSettings(threshold=1.0)})) as mnemon:
        enrolled(mnemon.memory.store, cloud)
        said = say(mnemon, HARD)
        assert (said.words, said.asked) == ("From here.", [])
        if sections:
            with pytest.raises(errors.NotAllowedError, match="never"):
                mnemon.stream(HARD, "cloud")
    assert cloud.seen == []


def test_told_things_and_temporary_chats_stay(mnemon: Assistant, cloud: RealCloud) -> None:
    assert say(mnemon, "I went to Oslo with Ines.").asked == []
    temporary = mnemon.chat(temporary=True)
    assert say(mnemon, HARD, chat=temporary).asked == []
    with pytest.raises(errors.NotAllowedError, match="temporary"):
        temporary.send(HARD, "cloud")
    assert cloud.seen == []


def test_an_allowed_topic_goes_unasked_and_alone(mnemon: Assistant, cloud: RealCloud) -> None:
    from mnemon.privacy.consent import Consent

    Consent(mnemon.memory.store, "ask", mnemon.now).allow("contract", timedelta(hours=1))
    chat = mnemon.chat()
    assert say(mnemon, "Where is Leiden?", chat=chat).asked
    said = say(mnemon, "And a contract with it?", chat=chat)
    assert said.asked == []
    assert cloud.seen[-1] == "And a contract with it?"  # what was said before was of another topic
    assert say(mnemon, "And what of a divorce with it?", chat=chat).asked


def test_what_a_question_leans_on_goes_along_only_if_it_may(mnemon: Assistant, cloud: RealCloud) -> None:
    mnemon.memory.facts.add("The user's sister is called Ines Ferrer.", origin="owner")
    chat = mnemon.chat()
    say(mnemon, "Who wrote the opera about Ines Ferrer?", chat=chat)
    said = say(mnemon, "When did he write it?", chat=chat, alone=True)
    whole = said.asked[0].whole.text
    assert whole.startswith("Before this I asked: Who wrote the opera about ")
    assert "Ferrer" not in whole
    assert cloud.seen[-1] == "When did he write it?"
    say(mnemon, "And when did he write it again?", chat=chat)
    assert cloud.seen[-1].startswith("Before this I asked: When did he write it?")
    assert cloud.seen == left(mnemon)


def test_asking_the_cloud_for_an_answer_there_is(mnemon: Assistant, cloud: RealCloud) -> None:
    chat = mnemon.chat()
    first = say(mnemon, HARD, "local", chat=chat).answer
    turn = chat.regenerate(first.answer_id, "cloud")
    for event in turn:
        if isinstance(event, ConsentAsked):
            assert event.reason == ASKED_FOR
            event.allow()
    assert [m.route for m in chat.siblings(first.answer_id)] == ["local", "cloud"]
    assert [v.wanted for v in _verdicts(mnemon)] == ["cloud"]
    with pytest.raises(errors.NotAllowedError):  # and a no leaves everything as it was
        list(chat.regenerate(first.answer_id, "cloud"))
    assert [m.route for m in chat.siblings(first.answer_id)] == ["local", "cloud"]
    assert chat.messages()[-1].route == "cloud"


@dataclass
class _Verdict:
    wanted: str


def _verdicts(mnemon: Assistant) -> list[_Verdict]:
    return [_Verdict(row["wanted"]) for row in mnemon.memory.store.rows("SELECT wanted FROM routing_verdicts")]


def test_a_question_that_finds_no_line_is_answered_here_and_waits(own_home: Path, tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("Dear [PERSON_1].",))
    with assistant(own_home) as mnemon:
        with real_cloud(tmp_path, engine, server={"listen": "127.0.0.1:0"}) as cloud:
            account = enrolled(mnemon.memory.store, cloud)
            port = cloud.port
        chat = mnemon.chat()
        said = say(mnemon, HARD, chat=chat)
        assert said.asked[0].later
        assert said.words == "From here."
        assert "The question waits" in said.answer.note
        assert left(mnemon) == []  # nothing left yet
        done = deliver(mnemon.memory, mnemon.settings, mnemon.home, hurry=True)
        assert done is not None
        assert (done.answered, done.waiting) == (0, 1)
        assert account.address in done.problem
        assert left(mnemon) == []
        with real_cloud(tmp_path, engine, server={"listen": f"127.0.0.1:{port}"}) as cloud:
            done = deliver(mnemon.memory, mnemon.settings, mnemon.home, hurry=True)
            assert done is not None
            assert (done.answered, done.waiting, done.problem) == (1, 0, "")
            assert cloud.seen == left(mnemon) == [TAKEN_OUT]
        shown = chat.messages()
        assert [m.text for m in shown] == [HARD, "Dear Ines Ferrer."]
        assert shown[-1].route == "cloud"
        news = mnemon.cloud.outbox.news()
        assert [(one.state, one.answer_id) for one in news] == [("answered", shown[-1].id)]
        assert news[0].parcel.text == ""
        mnemon.cloud.outbox.seen(news[0].id)
        assert mnemon.cloud.outbox.entries() == []


def test_an_answer_that_comes_late_does_not_hide_what_was_said_since(own_home: Path, tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("Late.",))
    with real_cloud(tmp_path, engine) as cloud, assistant(own_home) as mnemon:
        enrolled(mnemon.memory.store, cloud)
        chat = mnemon.chat()
        said = say(mnemon, HARD, "local", chat=chat)
        say(mnemon, "And now something else.", "local", chat=chat)
        outgoing = mnemon.cloud._outgoing(
            mnemon.memory.messages.get(said.answer.question_id), *_weighed(mnemon, HARD)
        )[2]
        from mnemon.sync.parcel import Parcel

        mnemon.cloud.outbox.add(said.answer.question_id, Parcel.of(outgoing))
        before = [m.id for m in chat.messages()]
        assert deliver(mnemon.memory, mnemon.settings, mnemon.home)
        assert [m.id for m in chat.messages()] == before
        assert [m.text for m in chat.siblings(said.answer.answer_id)] == ["From here.", "Late."]


def _weighed(mnemon: Assistant, text: str) -> tuple[Any, Any]:
    from mnemon.answering.evidence import weigh
    from mnemon.answering.questions import understand

    asked = understand(text)
    return asked, weigh(asked, [])


def test_a_waiting_question_goes_with_what_it_rests_on(own_home: Path, tmp_path: Path) -> None:
    with assistant(own_home) as mnemon:
        with real_cloud(tmp_path) as cloud:
            enrolled(mnemon.memory.store, cloud)
        said = say(mnemon, HARD)
        assert len(mnemon.cloud.outbox.entries()) == 1
        mnemon.forget(f"m{said.answer.question_id}")
        assert mnemon.cloud.outbox.entries() == []
        say(mnemon, HARD + " Please.")
        mnemon.memory.forget_everything()
        assert mnemon.cloud.outbox.entries() == []
        assert mnemon.cloud.enrolled


def test_when_the_line_breaks_in_the_middle_what_was_said_stays(mnemon: Assistant, cloud: RealCloud) -> None:
    from mnemon_cloud.errors import EngineError

    cloud.engine.words = ("One ", "two ")

    async def broken(_prompt: Any, sampling: Any) -> Any:
        from mnemon_cloud.answers.engines import Piece

        yield Piece("One ", 1)
        raise EngineError("gone")

    cloud.engine.answer = broken
    mnemon.cloud._connected().wait = lambda _event, _seconds: None
    chat = mnemon.chat()
    with pytest.raises(errors.CloudError):
        say(mnemon, HARD, chat=chat)
    assert [(m.text, m.status) for m in chat.messages()][1] == ("One ", "failed")
    assert set(cloud.seen) == set(left(mnemon)) == {TAKEN_OUT}
    assert len(left(mnemon)) == len(cloud.seen)


def asked_of(mnemon: Assistant, text: str) -> Turn:
    """A turn up to the moment when the owner said yes."""
    turn = mnemon.stream(text, "cloud")
    consent = next(event for event in turn if isinstance(event, ConsentAsked))
    consent.allow()
    return turn


def test_never_said_elsewhere_holds_for_an_assistant_that_is_open(mnemon: Assistant, cloud: RealCloud) -> None:
    from mnemon.privacy.consent import Consent
    from mnemon.settings import save_value

    Consent(mnemon.memory.store, "ask", mnemon.now).allow("contract", timedelta(hours=1))
    save_value(mnemon.home, "privacy", "mode", "never")
    assert say(mnemon, HARD).words == "From here."
    save_value(mnemon.home, "privacy", "mode", "ask")
    turn = asked_of(mnemon, "Compare two proofs of it in detail.")
    save_value(mnemon.home, "privacy", "mode", "never")  # while the owner is being asked
    with pytest.raises(errors.NotAllowedError, match="never"):
        list(turn)
    assert cloud.seen == left(mnemon) == []


def test_what_is_forgotten_while_the_owner_is_asked_does_not_leave(mnemon: Assistant, cloud: RealCloud) -> None:
    turn = asked_of(mnemon, HARD)
    (question,) = mnemon.memory.store.tuples("SELECT max(id) FROM messages WHERE role = 'owner'")
    mnemon.forget(f"m{question[0]}")
    with pytest.raises(errors.NotAllowedError, match="forgotten meanwhile"):
        list(turn)
    assert cloud.seen == left(mnemon) == []


def test_a_no_and_an_answer_take_what_waits_along(mnemon: Assistant, cloud: RealCloud) -> None:
    from mnemon.sync.parcel import Parcel

    chat = mnemon.chat()
    first = say(mnemon, HARD, "local", chat=chat).answer
    for allow in (False, True):
        mnemon.cloud.outbox.add(first.question_id, Parcel("Waits.", {}, ()))
        with contextlib.suppress(errors.NotAllowedError):
            for event in chat.regenerate(first.answer_id, "cloud"):
                if isinstance(event, ConsentAsked) and allow:
                    event.allow()
        assert mnemon.cloud.outbox.entries() == []
    assert cloud.seen == [TAKEN_OUT]


def test_names_of_earlier_questions_do_not_wait_along(own_home: Path, tmp_path: Path) -> None:
    with assistant(own_home) as mnemon:
        with real_cloud(tmp_path) as cloud:
            enrolled(mnemon.memory.store, cloud)
            chat = mnemon.chat()
            say(mnemon, HARD, chat=chat)
        say(mnemon, "Explain in detail how to bake bread for Halden Marine.", chat=chat)
        (entry,) = mnemon.cloud.outbox.entries()
        assert dict(entry.parcel.meanings) == {"[ORG_1]": "Halden Marine"}


def test_half_a_name_does_not_go_along(mnemon: Assistant, cloud: RealCloud) -> None:
    mnemon.memory.facts.add("The user's sister is called Ines Ferrer.", origin="owner")
    chat = mnemon.chat()
    for filler in range(1480, 1500):
        cloud.engine.words = ("It is so. " + "a" * (filler - 11) + " Ines Ferrer agrees.",)
        say(mnemon, "Who wrote that opera?", chat=chat)
        said = say(mnemon, "When did he write it?", chat=chat, allow=False)
        assert said.asked[0].whole.text != "When did he write it?"
        assert "Fer" not in said.asked[0].whole.text
        assert "Ines" not in said.asked[0].whole.text
