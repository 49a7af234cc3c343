"""A question that waits and is asked live meanwhile: made once, paid once, shown once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloud_server import ScriptedEngine
from command_line import LARGE
from real_cloud import RealCloud, enrolled, real_cloud

from mnemon import Assistant, errors
from mnemon.memory.memory import Memory
from mnemon.privacy.ledger import Ledger
from mnemon.runtime.scripted import ScriptedModel
from mnemon.settings import MemorySettings, RoutingSettings, Settings
from mnemon.sync.account import connect
from mnemon.sync.claims import CLAIMED, Claim
from mnemon.sync.courier import Delivered
from mnemon.sync.daemon import deliver
from mnemon.sync.outbox import Outbox
from mnemon.sync.parcel import Parcel, ask
from mnemon.turns import ConsentAsked, Delta, Turn, TurnFinished
from mnemon_cloud.answers.engines import Piece, Prompt, Sampling

HARD = "Write a formal contract between Halden Marine and a painter, in detail."
TAKEN_OUT = "Write a formal contract between [ORG_1] and a painter, in detail."


@dataclass
class HeldEngine(ScriptedEngine):
    """After its first word, the first answer waits until it is let go; the others are said at once."""

    words: Any = ("To [ORG", "_1], ", "gladly.")
    answers: int = 0
    finished: int = 0
    spoke: threading.Event = field(default_factory=threading.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        self.answers += 1
        first = self.answers == 1
        async for piece in super().answer(prompt, sampling):
            yield piece
            if first and piece.text == self.words[0]:
                self.spoke.set()
                await self.let_go.wait()
            self.finished += piece.finish is not None


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RealCloud]:
    with real_cloud(tmp_path, HeldEngine()) as running:
        yield running


@pytest.fixture
def mnemon(own_home: Path, cloud: RealCloud) -> Iterator[Assistant]:
    settings = Settings(memory=MemorySettings(key="file", extract=False), routing=RoutingSettings(threshold=0.0))
    with Assistant(own_home, settings=settings, chat_model=ScriptedModel("From here.", info=LARGE)) as opened:
        opened.memory.facts.add("The user works for Halden Marine.", origin="owner")
        enrolled(opened.memory.store, cloud)
        yield opened


@dataclass
class Waiting:
    """A question that was answered here and waits for the cloud."""

    mnemon: Assistant
    parcel: Parcel = field(default_factory=lambda: Parcel(TAKEN_OUT, {"[ORG_1]": "Halden Marine"}, ()))

    def __post_init__(self) -> None:
        self.chat = self.mnemon.chat()
        events = list(self.chat.send(HARD, "local"))
        self.answer = next(event.answer for event in events if isinstance(event, TurnFinished))
        self.mnemon.cloud.outbox.add(self.answer.question_id, self.parcel)

    def asked_live(self) -> str:
        """The same question, allowed; the answer's words."""
        return words(self.chat.regenerate(self.answer.answer_id, "cloud"))

    @property
    def answers(self) -> list[str]:
        return [message.text for message in self.chat.siblings(self.answer.answer_id)]


def words(turn: Turn) -> str:
    said = ""
    for event in turn:
        if isinstance(event, ConsentAsked):
            event.allow()
        elif isinstance(event, Delta):
            said += event.text
    return said


@contextmanager
def courier(mnemon: Assistant) -> Iterator[list[Delivered | None]]:
    """A round in a thread of its own; its outcome is in the list at the end."""
    done = list[Delivered | None]()
    thread = threading.Thread(target=lambda: done.append(deliver(mnemon.memory, mnemon.settings, mnemon.home)))
    thread.start()
    try:
        yield done
    finally:
        thread.join(60)
    assert not thread.is_alive()


def test_a_turn_takes_over_what_the_courier_has_under_way(mnemon: Assistant, cloud: RealCloud) -> None:
    waiting, engine = Waiting(mnemon), cloud.engine
    with courier(mnemon) as done:
        assert engine.spoke.wait(60)
        assert waiting.asked_live() == "To Halden Marine, gladly."
    assert (engine.answers, engine.finished) == (2, 1)  # the courier's was ended
    assert waiting.answers == ["From here.", "To Halden Marine, gladly."]
    assert mnemon.cloud.outbox.entries() == []
    assert done[0] is not None
    assert (done[0].answered, done[0].given_up) == (0, 0)
    assert [e.kind for e in reversed(Ledger(mnemon.memory.store).entries())] == ["question", "repeat"]


def test_an_answer_the_server_finished_for_the_courier_is_what_the_turn_gets(
    mnemon: Assistant, cloud: RealCloud
) -> None:
    cloud.do(_set(cloud.engine.let_go))
    waiting = Waiting(mnemon)
    outbox = mnemon.cloud.outbox
    (entry,) = outbox.due()
    assert outbox.sending(entry)
    client = connect(mnemon.cloud._accounts.get())
    with ask(client, entry.parcel, Ledger(mnemon.memory.store)) as first:
        assert "".join(first)
    client.close()
    assert waiting.asked_live() == "To Halden Marine, gladly."
    assert cloud.engine.answers == 1
    assert outbox.answered(entry, "Late.", model="") is None  # and the courier comes too late
    assert waiting.answers == ["From here.", "To Halden Marine, gladly."]


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_an_answer_that_came_while_the_owner_was_asked_is_not_asked_for_again(
    mnemon: Assistant, cloud: RealCloud
) -> None:
    cloud.do(_set(cloud.engine.let_go))
    waiting = Waiting(mnemon)
    turn = waiting.chat.regenerate(waiting.answer.answer_id, "cloud")
    consent = next(event for event in turn if isinstance(event, ConsentAsked))
    assert deliver(mnemon.memory, mnemon.settings, mnemon.home) == Delivered(answered=1)
    consent.allow()
    with pytest.raises(errors.NotAllowedError, match="answered"):
        list(turn)
    assert cloud.engine.answers == 1
    assert waiting.answers == ["From here.", "To Halden Marine, gladly."]


def test_the_same_words_typed_again_are_the_same_question(mnemon: Assistant, cloud: RealCloud) -> None:
    waiting, engine = Waiting(mnemon), cloud.engine
    with courier(mnemon):
        assert engine.spoke.wait(60)
        assert words(waiting.chat.send(HARD, "cloud")) == "To Halden Marine, gladly."
    assert engine.finished == 1
    assert waiting.answers == ["From here."]
    assert mnemon.cloud.outbox.entries() == []


def test_a_turn_that_finds_no_line_leaves_what_waits_as_it_is(mnemon: Assistant, cloud: RealCloud) -> None:
    waiting = Waiting(mnemon)
    mnemon.cloud._no_line = lambda _client: errors.UnreachableError("No line.")  # type: ignore[method-assign]
    with pytest.raises(errors.UnreachableError, match="The question waits"):
        waiting.asked_live()
    (entry,) = mnemon.cloud.outbox.due()
    assert entry.parcel.request_id == waiting.parcel.request_id
    assert cloud.seen == []


def test_a_turn_that_fails_gives_it_back(mnemon: Assistant, cloud: RealCloud) -> None:
    from mnemon_cloud.errors import EngineBusyError

    waiting = Waiting(mnemon)
    cloud.engine.error = EngineBusyError("Full.")
    mnemon.cloud._connected().wait = lambda _event, _seconds: None
    with pytest.raises(errors.OverloadedError, match="The question waits"):
        waiting.asked_live()
    (entry,) = mnemon.cloud.outbox.due()
    assert entry.parcel.request_id == waiting.parcel.request_id
    assert "busy" in entry.problem
    assert entry.attempts == len(cloud.seen) == len(Ledger(mnemon.memory.store).entries()) > 0


def test_a_claim_keeps_the_sender_off_and_ends_by_itself() -> None:
    moment = [datetime(2026, 3, 2, tzinfo=UTC)]
    with Memory.temporary(now=lambda: moment[0]) as memory:
        outbox = Outbox(memory.store, memory.now)
        question = memory.messages.add(memory.messages.start().id, "owner", HARD)
        other = memory.messages.add(memory.messages.start().id, "owner", HARD)
        for message in (question, other):
            outbox.add(message.id, Parcel(TAKEN_OUT, {}, ()))
        entry, elsewhere = outbox.due()
        claim = Claim(outbox, question)
        assert claim.parcel(Parcel("Other words.", {}, ())).text == "Other words."
        assert not claim.waits
        assert claim.parcel(Parcel(TAKEN_OUT, {}, ())) == entry.parcel
        assert outbox.sending(entry)
        claim.take()
        assert outbox.due() == [elsewhere]  # another conversation is another question
        assert not outbox.sending(entry)
        assert outbox.answered(entry, "Late.", model="") is None
        assert outbox.is_open(entry)
        for error in (errors.BrokenOffError("asked again"), errors.QuestionRefusedError("no")):
            after = outbox.failed(entry, error)
            assert after is not None
            assert (after.state, after.problem, after.next_at) == ("waiting", "", moment[0] + CLAIMED)
        moment[0] += CLAIMED - timedelta(seconds=1)
        assert outbox.due() == [elsewhere]
        moment[0] += timedelta(seconds=1)
        assert [one.id for one in outbox.due()] == [entry.id, elsewhere.id]
        assert outbox.sending(entry)  # the turn died; somebody has it again
        claim.release("gone")  # and one that was only slow does not take it away
        assert outbox.get(entry.id).state == "sending"
        claim.done()
        assert outbox.entries() == [elsewhere]
        with pytest.raises(errors.NotAllowedError):
            claim.take()
