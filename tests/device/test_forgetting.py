"""What is forgotten is nowhere any more, and everything else still is."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from test_index import HashingEmbedder

from mnemon.errors import InputError, NotFoundError
from mnemon.memory.consolidation import consolidate
from mnemon.memory.extraction import FactDraft
from mnemon.memory.forgetting import FORGOTTEN_ANSWER
from mnemon.memory.memory import Memory
from mnemon.memory.records import Message
from mnemon.memory.schema.upgrade import back_up
from mnemon.memory.selecting import by_person
from mnemon.memory.store import Store

KEY = b"k" * 32


def opened(path: Path) -> Memory:
    return Memory(Store.open(path, KEY), embedder=HashingEmbedder())  # type: ignore[arg-type]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with opened(tmp_path / "memory.db") as made:
        yield made


def say(memory: Memory, conversation: int, text: str, role: str = "owner", **more: object) -> Message:
    said = memory.messages.add(conversation, role, text, **more)  # type: ignore[arg-type]
    memory.index(said)
    return said


def everything(memory: Memory) -> str:
    """All that any row of any table says, index tables included."""
    lines = []
    for table in memory.store.db.table_names():
        for row in memory.store.tuples(f"SELECT * FROM {table}"):
            lines += [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in row]
    return "\n".join(lines).lower()


def test_another_process_takes_over_a_key_and_what_is_forgotten_here_is_known_there(tmp_path: Path) -> None:
    with opened(tmp_path / "memory.db") as here, opened(tmp_path / "memory.db") as there:
        said = say(here, here.messages.start().id, "My safe opens with 0007.")
        assert not here.is_forgotten(said.text)
        there.adopt_tombstone_key(b"t" * 32)  # as reading a sealed export does
        here.forget(said.memory_id)
        assert there.is_forgotten(said.text)
        assert here.is_forgotten(said.text)


def test_a_key_whose_import_was_refused_is_not_used(tmp_path: Path) -> None:
    with opened(tmp_path / "memory.db") as here:
        said = say(here, here.messages.start().id, "My safe opens with 0007.")
        with contextlib.suppress(InputError), here.store.transaction():
            here.adopt_tombstone_key(b"t" * 32)
            assert not here.is_forgotten(said.text)
            raise InputError("An entry cannot be used.")
        here.forget(said.memory_id)
    with opened(tmp_path / "memory.db") as later:
        assert later.is_forgotten(said.text)


def test_what_cannot_be_forgotten(memory: Memory) -> None:
    talk = memory.messages.start()
    said = say(memory, talk.id, "stays")
    for name in ("x1", "m", "12", "m0", "m-1", "", "m1; DROP TABLE messages"):
        with pytest.raises(InputError):
            memory.forget(name)
    with pytest.raises(NotFoundError):
        memory.forget(said.memory_id, "m99")
    with pytest.raises(NotFoundError):
        memory.forget("f1")
    with pytest.raises(NotFoundError):
        memory.forget_conversation(99)
    assert memory.messages.get(said.id) == said  # all or nothing
    assert memory.forget().ids == ()


def test_a_message_takes_all_that_rests_on_it(memory: Memory) -> None:
    talk = memory.messages.start("Biscuit and butter")
    said = say(memory, talk.id, "Biscuit ate the butter, that hound")
    echo = say(memory, talk.id, "Biscuit sounds like a handful!", "assistant")
    bus = say(memory, talk.id, "my bus pass runs out on the 30th")
    fine = say(memory, talk.id, "Noted.", "assistant")
    asked = say(memory, talk.id, "what is my pet called", context="You were told: Biscuit ate the butter, that hound")
    quoted = say(memory, talk.id, "You told me: Biscuit", "assistant", recalled=(said.memory_id, bus.memory_id))
    fact = memory.facts.add("The user's dog is called Biscuit.", source_id=said.id, origin="pattern")
    memory.index_facts(fact)
    store = memory.store
    store.execute(
        "INSERT INTO profile_lines VALUES (1, 'Has a dog, Biscuit.', 0, 0, 1), (2, 'Takes the bus.', 1, 0, 1)"
    )
    store.execute("INSERT INTO profile_sources VALUES (1, ?)", (fact.id,))
    called: list[int] = []
    memory.on_forget(lambda: called.append(1))

    gone = memory.forget(said.memory_id)

    assert (gone.messages, gone.facts, gone.profile_lines) == ((said.id,), (fact.id,), (1,))
    assert gone.answers == (echo.id, quoted.id)
    assert gone.ids == (said.memory_id, fact.memory_id)
    assert called == [1]
    assert "biscuit" not in everything(memory)
    assert "butter" not in everything(memory)
    assert memory.messages.get(echo.id).text == memory.messages.get(quoted.id).text == FORGOTTEN_ANSWER
    assert memory.messages.get(quoted.id).recalled == (bus.memory_id,)
    assert memory.messages.get(asked.id).context == ""
    assert memory.messages.get(fine.id).text == "Noted."
    assert [m.id for m in memory.messages.branch(talk.id)] == [echo.id, bus.id, fine.id, asked.id, quoted.id]
    assert "bus" in memory.recall("bus pass")[0].text
    assert not [f for f in memory.search("biscuit butter hound", limit=50) if "iscuit" in f.text]


@pytest.mark.parametrize(
    ("said", "source", "goes"),
    [
        ("we live in Leeds", None, True),  # says nothing else
        ("we live in Leeds", False, False),
        ("We live in Leeds. My bus pass runs out on the 30th.", None, False),
        ("We live in Leeds. My bus pass runs out on the 30th.", True, True),
        ("we live in Leeds with four noisy parrots, two snakes and an iguana", None, False),
    ],
)
def test_a_fact_takes_the_message_that_says_nothing_else(
    memory: Memory, said: str, source: bool | None, goes: bool
) -> None:
    talk = memory.messages.start()
    told = say(memory, talk.id, said)
    fact = memory.facts.add(
        "The user lives in Leeds.", value="Leeds", attribute="home", source_id=told.id, origin="pattern"
    )
    memory.index_facts(fact)
    preview = memory.preview(fact.memory_id, source=source)
    gone = memory.forget(fact.memory_id, source=source)
    assert preview.gone == gone
    assert gone.messages == ((told.id,) if goes else ())
    assert gone.facts == (fact.id,)
    # It is said beforehand that the message still says so.
    assert [line.id for line in preview.stays] == ([] if goes else [told.memory_id])
    assert memory.is_forgotten("the user lives in leeds")
    assert memory.is_forgotten(said) == goes


def test_a_message_that_says_two_things_stays_for_the_other(memory: Memory) -> None:
    talk = memory.messages.start()
    told = say(memory, talk.id, "we live in Leeds with Priya")
    home = memory.facts.add("The user lives in Leeds.", source_id=told.id, origin="pattern")
    priya = memory.facts.add("The user lives with Priya.", source_id=told.id, origin="pattern")
    assert memory.forget(home.memory_id).messages == ()
    assert memory.facts.get(priya.id) == priya


def test_the_last_message_and_a_whole_chain(memory: Memory) -> None:
    talk = memory.messages.start()
    said = [say(memory, talk.id, f"word{i}") for i in range(5)]
    memory.forget(said[4].memory_id)
    assert memory.messages.conversation(talk.id).leaf_id == said[3].id
    memory.forget(*(m.memory_id for m in said[:4]))
    assert memory.messages.branch(talk.id) == []
    again = say(memory, talk.id, "anew")
    assert [m.id for m in memory.messages.branch(talk.id)] == [again.id]


def test_tombstones_hold_no_text_and_yield_to_what_is_told_anew(memory: Memory) -> None:
    talk = memory.messages.start()
    said = say(memory, talk.id, "My PIN is 4711, remember it!")
    memory.forget(said.memory_id)
    assert memory.is_forgotten("my pin is 4711 remember it")
    assert memory.is_forgotten(said.text, said_at=said.said_at)
    assert not memory.is_forgotten(said.text, said_at=datetime.now(UTC) + timedelta(seconds=5))
    assert not memory.is_forgotten("My PIN is 4712, remember it!")
    smile = say(memory, talk.id, "🙂")
    memory.forget(smile.memory_id)
    assert memory.is_forgotten(" 🙂 ", said_at=smile.said_at)
    assert not memory.is_forgotten(" 🙂 ", said_at=smile.said_at - timedelta(days=1))  # not every smile there was
    assert not memory.is_forgotten("👍", said_at=smile.said_at)
    assert "4711" not in everything(memory)
    memory.store.rekey(b"n" * 32)
    assert memory.is_forgotten(said.text)


def test_a_conversation_and_everything(memory: Memory) -> None:
    one, two = memory.messages.start("zebra talk"), memory.messages.start("other")
    for i in range(3):
        say(memory, one.id, f"zebra {i}")
        say(memory, one.id, "I see.", "assistant")
    kept = say(memory, two.id, "giraffe")
    gone = memory.forget_conversation(one.id)
    assert gone.conversations == (one.id,)
    assert len(gone.messages) == 6
    assert "zebra" not in everything(memory)
    assert memory.is_forgotten("zebra 1")
    assert not memory.is_forgotten("I see.")  # Mnemon's own phrases are not banned
    assert memory.recall("giraffe")[0].id == kept.memory_id
    memory.forget_everything()
    assert memory.stats()["messages"] == memory.stats()["conversations"] == memory.stats()["facts"] == 0
    assert memory.recall("giraffe") == []
    assert "giraffe" not in everything(memory)
    assert not memory.is_forgotten("giraffe")


def test_another_process_notices(tmp_path: Path) -> None:
    with opened(tmp_path / "memory.db") as here, opened(tmp_path / "memory.db") as there:
        talk = here.messages.start()
        said = say(here, talk.id, "secret garden")
        assert there.recall("garden")[0].id == said.memory_id
        here.forget(said.memory_id)
        assert there.recall("garden") == []


def test_another_process_with_its_index_in_memory_notices_that_a_person_went(tmp_path: Path) -> None:
    with opened(tmp_path / "memory.db") as here, opened(tmp_path / "memory.db") as there:
        talk = here.messages.start()
        told = [say(here, talk.id, f"Priya and I went to place number {i} together") for i in range(20)]
        kept = say(here, talk.id, "place number 99 was closed")
        assert len(there.recall("place number", limit=30)) == 21
        here.forget(*by_person(here.store, "priya"))
        assert [found.id for found in there.recall("place number", limit=30)] == [kept.memory_id]
        new = say(here, talk.id, "place number 100 is open")
        assert {found.id for found in there.recall("place number", limit=30)} == {kept.memory_id, new.memory_id}
        assert not there.holds(told[0].memory_id)


def test_a_doubt_goes_with_either_of_its_facts(memory: Memory) -> None:
    talk = memory.messages.start()
    told = [say(memory, talk.id, f"My sister is called {name}.") for name in ("Inez", "Ines")]
    for gone in told:
        facts = [
            memory.facts.add(f"The user's sister is called {m.text[21:-1]}.", source_id=m.id, origin="pattern")
            for m in told
            if memory.holds(m.memory_id)
        ]
        if len(facts) == 2:
            memory.doubts.raise_between(facts[0].id, facts[1].id)
            assert memory.doubts.open()
        memory.forget(gone.memory_id)
        assert memory.doubts.open() == []
        assert memory.store.tuples("SELECT * FROM doubts") == []
    assert "inez" not in everything(memory)


def test_a_copy_made_before_a_migration_goes_too(tmp_path: Path) -> None:
    with opened(tmp_path / "memory.db") as memory:
        talk = memory.messages.start()
        said = say(memory, talk.id, "secret garden")
        back_up(memory.store)
        assert (tmp_path / "memory.db.backup").exists()
        memory.forget(said.memory_id)
        assert not (tmp_path / "memory.db.backup").exists()


WORDS = [f"{a}{b}" for a in ("quartz", "violet", "timber", "magnet", "walrus") for b in ("elm", "oak", "fir", "yew")]


class MemoryMachine(RuleBasedStateMachine):
    """Add, edit, forget and reopen in any order: what was forgotten is nowhere, the rest is found."""

    told: Bundle[tuple[int, str]] = Bundle("told")
    facts: Bundle[tuple[int, str]] = Bundle("facts")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "memory.db"
        self.memory = opened(self.path)
        self.kept: dict[int, str] = {}
        self.kept_facts: dict[int, str] = {}
        self.sources: dict[int, int] = {}
        self.gone: set[str] = set()
        self.serial = 0
        self.talk = self.memory.messages.start().id

    def fresh(self, word: str) -> str:
        self.serial += 1
        return f"{word}x{self.serial}x"  # its own token: found exactly or not at all

    @rule(target=told, word=st.sampled_from(WORDS), new_talk=st.booleans())
    def tell(self, word: str, new_talk: bool) -> tuple[int, str]:
        if new_talk:
            self.talk = self.memory.messages.start().id
        token = self.fresh(word)
        said = say(self.memory, self.talk, f"about {token} today")
        say(self.memory, self.talk, f"You said {token}.", "assistant", recalled=(said.memory_id,))
        self.kept[said.id] = token
        return said.id, token

    @rule(target=facts, message=told, word=st.sampled_from(WORDS))
    def take_fact(self, message: tuple[int, str], word: str):
        if message[0] not in self.kept:
            return multiple()
        token = self.fresh(word)
        fact = self.memory.facts.add(f"The user has {token}.", source_id=message[0], origin="pattern")
        self.memory.index_facts(fact)
        self.kept_facts[fact.id] = token
        self.sources[fact.id] = message[0]
        return fact.id, token

    @rule(target=facts, fact=consumes(facts), word=st.sampled_from(WORDS))
    def edit_fact(self, fact: tuple[int, str], word: str):
        if fact[0] not in self.kept_facts:
            return multiple()
        token = self.fresh(word)
        new = self.memory.facts.edit(fact[0], f"The user has {token}.")
        self.memory.index_facts(new)
        self.kept_facts[new.id] = token
        if new.source_id is not None:
            self.sources[new.id] = new.source_id
        return new.id, token

    @rule(message=consumes(told))
    def forget_message(self, message: tuple[int, str]) -> None:
        if message[0] not in self.kept:
            return
        self.memory.forget(f"m{message[0]}")
        self.gone.add(self.kept.pop(message[0]))
        for fact in [fact for fact, source in self.sources.items() if source == message[0]]:
            if fact in self.kept_facts:
                self.gone.add(self.kept_facts.pop(fact))

    @rule(fact=consumes(facts))
    def forget_fact(self, fact: tuple[int, str]) -> None:
        if fact[0] in self.kept_facts:
            self.memory.forget(f"f{fact[0]}")
            self.gone.add(self.kept_facts.pop(fact[0]))
            for id in list(self.kept)[:2]:  # taken again from another message, as a model might that reads it anew
                draft = FactDraft(f"The user has {fact[1]}.", value=fact[1], origin="model")
                assert consolidate(self.memory, self.memory.messages.get(id), [draft]) == []

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.memory = opened(self.path)

    @invariant()
    def forgotten_is_nowhere(self) -> None:
        rows = everything(self.memory)
        assert not [token for token in self.gone if token in rows]
        for token in list(self.gone)[-3:]:
            assert all(token not in found.text for found in self.memory.search(token, limit=5))

    @invariant()
    def the_rest_is_found(self) -> None:
        for id, token in list(self.kept.items())[-3:]:
            assert f"m{id}" in {found.id for found in self.memory.recall(token, limit=3)}
        for id, token in self.kept_facts.items():
            assert token in self.memory.facts.get(id).text
        assert {row["source_id"] for row in self.memory.store.rows("SELECT source_id FROM facts")} <= {
            None,
            *self.kept,
        }

    @invariant()
    def the_file_tells_nothing(self) -> None:
        tokens = [*self.kept.values(), *self.gone]
        for file in self.path.parent.iterdir():
            data = file.read_bytes()
            assert not [token for token in tokens if token.encode() in data]

    def teardown(self) -> None:
        with contextlib.suppress(AttributeError):
            assert self.memory.store.problems() == []
            ids = self.memory.store.tuples("SELECT json_group_array(ref) FROM vectors WHERE kind = 'message'")[0][0]
            there = {row["id"] for row in self.memory.store.rows("SELECT id FROM messages")}
            assert set(json.loads(ids)) <= there
            self.memory.close()
            self.folder.cleanup()


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=12, stateful_step_count=14, suppress_health_check=list(HealthCheck))
