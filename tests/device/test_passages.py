"""Keys of parts of a message and of it with what it replies to: they lead to it, and go with what they hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mnemon import Assistant, Delta
from mnemon.memory.embedding import DIMENSIONS, Embedder
from mnemon.memory.memory import Memory
from mnemon.memory.passages import Passages, replies
from mnemon.memory.ranking import FEATURES, Weights
from mnemon.memory.records import Message
from mnemon.memory.related import related_words
from mnemon.paths import Home
from mnemon.runtime.scripted import ScriptedModel
from mnemon.settings import MemorySettings

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
EMBEDDER = Embedder()
RAMBLING = (
    "What a day. The bus was late again and my umbrella broke. I have started to learn the cello."
    " Anyway, dinner is pasta, and I should do the washing up."
)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary(embedder=EMBEDDER) as opened:
        yield opened


def say(memory: Memory, *turns: tuple[str, str]) -> list[Message]:
    talk = memory.messages.start()
    said = [memory.messages.add(talk.id, "other", text, speaker=who, said_at=START) for who, text in turns]
    memory.index(*said)
    return said


def cosines(memory: Memory, message: Message, question: str) -> tuple[float, float, float]:
    """Of its own vector, of its best sentence, and of it with what it replies to."""
    meaning = EMBEDDER.embed_one(question)
    own = EMBEDDER.embed([message.text]) @ meaning
    best, window = Passages(memory.store, EMBEDDER).cosines(np.array([message.id]), own, meaning)
    return float(own[0]), float(best[0]), float(window[0])


def test_one_sentence_among_five_is_found_as_if_it_stood_alone(memory: Memory) -> None:
    said = say(memory, ("Ada", RAMBLING))[0]
    own, best, window = cosines(memory, said, "Which instrument is being learnt?")
    assert best > own + 0.1
    assert window == own


def test_a_reply_is_found_by_what_it_replies_to(memory: Memory) -> None:
    reply = say(memory, ("Ada", "Which instrument do you play?"), ("Ben", "The big brown one, badly."))[1]
    own, best, window = cosines(memory, reply, "What instrument is played?")
    assert window > own + 0.2
    assert best == own


def test_what_asks_is_no_key(memory: Memory) -> None:
    said = say(memory, ("Ada", "Do you play the cello? I hate mornings."))[0]
    own, best, _ = cosines(memory, said, "Who plays the cello?")
    assert best < own


@pytest.mark.parametrize(
    ("before", "to", "by", "minutes", "expected"),
    [
        ("Where do you live?", ("other", "Ada"), ("other", "Ben"), 1, True),
        ("I like tea.", ("other", "Ada"), ("other", "Ben"), 1, True),
        ("I like tea.", ("owner", ""), ("owner", ""), 1, False),
        ("Noted.", ("assistant", ""), ("owner", ""), 1, False),
        ("When is it?", ("assistant", ""), ("owner", ""), 1, True),
        ("Where do you live?", ("other", "Ada"), ("other", "Ben"), 600, False),
        (None, (None, None), ("owner", ""), 0, False),
    ],
)
def test_what_counts_as_a_reply(
    before: str | None, to: tuple[str, str], by: tuple[str, str], minutes: int, expected: bool
) -> None:
    assert replies(before, to, by, int(timedelta(minutes=minutes).total_seconds() * 1000)) is expected


def test_forgetting_takes_the_keys_along_also_those_of_the_reply(memory: Memory) -> None:
    question, reply = say(memory, ("Ada", "Which instrument do you play?"), ("Ben", f"The brown one. {RAMBLING}"))
    key_bytes = DIMENSIONS + 4
    before = memory.store.tuples("SELECT length(vectors) FROM passages WHERE message_id = ?", (reply.id,))[0][0]
    memory.forget(question.memory_id)
    rows = memory.store.tuples("SELECT message_id, windows, length(vectors) FROM passages")
    assert rows == [(reply.id, 0, before - key_bytes)]
    memory.forget(reply.memory_id)
    assert memory.store.tuples("SELECT * FROM passages") == []


def test_a_changed_text_loses_its_keys_until_it_is_indexed_again(memory: Memory) -> None:
    said = say(memory, ("Ada", RAMBLING))[0]
    memory.store.execute("UPDATE messages SET text = 'I like tea.' WHERE id = ?", (said.id,))
    assert memory.store.tuples("SELECT * FROM passages") == []


def test_keys_a_crash_kept_from_being_made_are_made_at_the_next_start(memory: Memory) -> None:
    said = say(memory, ("Ada", RAMBLING))[0]
    memory.store.execute("DELETE FROM passages")
    own, best, _ = cosines(memory, said, "Which instrument is being learnt?")
    assert best == own
    memory.warm()
    own, best, _ = cosines(memory, said, "Which instrument is being learnt?")
    assert best > own


def test_every_weight_of_zero_switches_its_part_off(memory: Memory) -> None:
    say(memory, ("Ada", "Which instrument do you play?"), ("Ben", f"The brown one. {RAMBLING}"))
    memory.weights = Weights(**dict.fromkeys(FEATURES, 0.0))
    assert {found.score for found in memory.recall("Which instrument does Ben play?")} == {0.0}


def test_a_word_of_the_same_meaning_counts(memory: Memory) -> None:
    assert "puppy" in dict(related_words().of("dog"))
    assert related_words().of("qqq") == []
    said = say(memory, ("Ada", "Our puppy is fond of the river."), ("Ada", "Our piano is fond of damp weather."))
    refs, features = memory.weighed("dog")
    assert refs == [message.memory_id for message in said]
    coverage = features[:, FEATURES.index("coverage")]
    assert coverage[0] > coverage[1] == 0


def lack_keys(memory: Memory) -> int:
    missing = "SELECT count(*) FROM messages WHERE id NOT IN (SELECT message_id FROM passages)"
    return int(memory.store.tuples(missing)[0][0])


def without_keys(memory: Memory, count: int) -> None:
    """As a store from before there were keys: vectors, but no passages."""
    talk = memory.messages.start()
    for number in range(count):
        memory.messages.add(talk.id, "owner", f"Item {number} is on shelf {number % 7}. I counted.", said_at=START)
    memory.store.execute("UPDATE messages SET extracted_at = 1")


def test_old_messages_get_their_keys_in_idle_time(tmp_path: Path) -> None:
    with Assistant(tmp_path / "home", chat_model=ScriptedModel(["Ok."])) as assistant:
        without_keys(assistant.memory, 1100)  # more than one step looks at
        assistant.memory.store.execute("DELETE FROM passages WHERE message_id % 25 != 0")
        assistant.memory.store.execute(
            "INSERT INTO passages SELECT id, 0, x'' FROM messages WHERE id % 25 != 0 AND id < 1050"
        )
        assert lack_keys(assistant.memory) > 50
        assistant.catch_up()
        assert assistant.wait(60)
        assert lack_keys(assistant.memory) == 0


def test_it_waits_while_an_answer_is_written_and_goes_on_after_it(tmp_path: Path) -> None:
    with Assistant(tmp_path / "home", chat_model=ScriptedModel(["Good morning to you."])) as assistant:
        without_keys(assistant.memory, 40)
        turn = iter(assistant.chat().send("Good morning."))
        while not isinstance(next(turn), Delta):
            pass
        assistant.catch_up()
        assert assistant.wait(30)
        assert lack_keys(assistant.memory) >= 40
        for _ in turn:
            pass
        assert assistant.wait(30)
        assert lack_keys(assistant.memory) == 0


FILLING = """
import sys
from pathlib import Path
from mnemon.memory.memory import Memory
from mnemon.paths import Home
from mnemon.settings import MemorySettings
memory = Memory.open(Home(Path(sys.argv[1])), MemorySettings(key="file"))
while memory.fill_keys():
    print(flush=True)
"""


def test_killed_in_between_it_goes_on_at_the_next_start(tmp_path: Path) -> None:
    home, settings = Home(tmp_path / "home"), MemorySettings(key="file")
    with Memory.open(home, settings, now=lambda: START) as memory:
        without_keys(memory, 400)
    process = subprocess.Popen([sys.executable, "-c", FILLING, str(home.root)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        process.kill()
    with Memory.open(home, settings) as memory:
        left = lack_keys(memory)
        assert 0 < left < 400
        while memory.fill_keys():
            pass
        assert lack_keys(memory) == 0
