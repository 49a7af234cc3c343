"""After forgetting, nothing is left in the file's own pages, in copies made later, in sessions or in any answer."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from no_embedder import NoEmbedder
from plain_pages import plain_pages
from test_index import HashingEmbedder

from mnemon import Assistant
from mnemon.memory import transfer
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
from mnemon.runtime.scripted import ScriptedModel

KEY = b"k" * 32
DAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
THINGS = "dog,cat,sister,brother,boss,dentist,neighbour,teacher,landlord,cousin".split(",")
FRAMES = (
    "My {thing} is called {name}.",
    "I work with {name} at the {thing} place",
    "{name} is the name of my {thing}.",
    "we live near {name}, by the {thing}",
)


def invented(count: int, seed: int = 4) -> list[tuple[str, str]]:
    """So many sentences, each with a name that nothing else says."""
    chance = random.Random(seed)
    names = set[str]()
    while len(names) < count:
        names.add("".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(4)).capitalize())
    return [(name, chance.choice(FRAMES).format(name=name, thing=chance.choice(THINGS))) for name in sorted(names)]


def tell_use_and_forget(folder: Path, count: int, seed: int = 4) -> None:
    """Tell, ask about, summarise and export ``count`` things; forget half; look for it everywhere."""
    told = invented(count, seed)
    home = folder / "home"
    moments = iter(DAY + timedelta(minutes=i) for i in range(100_000))
    model = ScriptedModel([lambda call: f"Noted: {call.messages[-1].content[-200:]}"] * (4 * count))

    def opened() -> Assistant:
        return Assistant(home, chat_model=model, now=lambda: next(moments))

    with opened() as assistant:
        chat = assistant.chat()
        for i, (_, text) in enumerate(told):
            chat = assistant.chat() if i % 10 == 0 else chat
            chat.send(text).finish()
        assistant.wait()
        for name, _ in told[:: max(1, count // 20)]:
            assistant.ask(f"Who is {name}?")
        assistant.ask("What do you know about me?")
        assistant.profile.refresh(None)
        assistant.profile.add(f"Is fond of {told[0][0]}.")
        key = assistant.memory.store.derive_key("x") and assistant.memory.store.key
        assert told[0][0].encode() in plain_pages(home / "memory.db", key)  # this is how it would be found
        transfer.export(assistant.memory, folder / "old.jsonl")
        forgotten, kept = told[::2], told[1::2]
        messages = {m.text: m for m in assistant.memory.messages.many(range(1, 10 * count)).values()}
        facts = assistant.memory.facts.of_messages(m.id for m in messages.values())
        ids = [  # by its fact where there is one, by its message otherwise
            facts[messages[text].id][0].memory_id if messages[text].id in facts else messages[text].memory_id
            for _, text in forgotten
        ]
        assistant.forget(*ids, source=True)
        gone = [name for name, _ in forgotten]
        look_for(gone, kept, assistant, home, key)
        assistant.memory.store.copy(folder / "backup.db")
        transfer.export(assistant.memory, folder / "new.jsonl")
        done = transfer.import_file(assistant.memory, folder / "old.jsonl")
        assert done.forgotten >= len(forgotten)
        assistant.catch_up()
        assistant.wait()
        look_for(gone, kept, assistant, home, key)
        for name in gone[:: max(1, count // 20)]:
            assert name not in assistant.ask("Who was it that I told you about?").text
            assert not [found for found in assistant.recall(name) if name.lower() in found.text.lower()]
    for data in (
        plain_pages(home / "memory.db", key),
        plain_pages(folder / "backup.db", key),
        (folder / "new.jsonl").read_bytes(),
    ):
        found = data.lower()
        assert not [name for name in gone if name.lower().encode() in found]
        assert all(name.lower().encode() in found for name, _ in kept)


def look_for(gone: list[str], kept: list[tuple[str, str]], assistant: Assistant, home: Path, key: bytes) -> None:
    pages = plain_pages(home / "memory.db", key).lower()
    assert not [name for name in gone if name.lower().encode() in pages]
    texts = {m.text for m in assistant.memory.messages.many(range(1, 100_000)).values()}
    assert all(text in texts for _, text in kept)
    for file in home.rglob("*"):
        if file.is_file():
            data = file.read_bytes().lower()
            assert not [name for name in gone if name.lower().encode() in data], file


def test_half_of_a_few_things_forgotten(tmp_path: Path) -> None:
    tell_use_and_forget(tmp_path, 12)


@pytest.mark.slow
def test_half_of_two_hundred_things_forgotten(tmp_path: Path) -> None:
    tell_use_and_forget(tmp_path, 200)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_half_of_forty_things_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Where SQLite leaves copies of rows it moved depends on their lengths: other names, other pages."""
    monkeypatch.setattr("mnemon.memory.memory.Embedder", NoEmbedder)
    tell_use_and_forget(tmp_path, 40, seed)


FORGETTER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_index import HashingEmbedder
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
with Memory(Store.open(Path(sys.argv[1]), b"k" * 32), embedder=HashingEmbedder()) as memory:
    print("ready", flush=True)
    for id in range(1, 201, 2):
        if memory.holds(f"m{id}"):
            memory.forget(f"m{id}")
            print(id, flush=True)
"""


def test_killed_while_forgetting(tmp_path: Path) -> None:
    """Whatever was forgotten when the process died is gone whole; the rest is whole."""
    path = tmp_path / "memory.db"
    told = invented(100)
    with Memory(Store.open(path, KEY), embedder=HashingEmbedder()) as memory:  # type: ignore[arg-type]
        talk = memory.messages.start()
        for name, text in told:
            said = memory.messages.add(talk.id, "owner", text)
            fact = memory.facts.add(f"The user knows {name}.", value=name, source_id=said.id, origin="pattern")
            memory.messages.add(talk.id, "assistant", f"I know {name} now.", recalled=(said.memory_id,))
            memory.index_facts(fact)
    for seed in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", FORGETTER, str(path), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(random.Random(seed).uniform(0.005, 0.2))
        child.send_signal(signal.SIGKILL)
        with child.stdout:
            lines = child.stdout.read().split()
        child.wait()
        with Memory(Store.open(path, KEY), embedder=HashingEmbedder()) as memory:  # type: ignore[arg-type]
            assert memory.store.problems() == []
            there = {m.text for m in memory.messages.many(range(1, 1000)).values()}
            for number in lines:
                assert not memory.holds(f"m{number}")
        pages = plain_pages(path, KEY)
        for name, text in told:
            assert (text in there) == (f"The user knows {name}.".encode() in pages), name
            assert (text in there) == (name.encode() in pages), name
        left = [text for _, text in told if text in there]
        with Memory(Store.open(path, KEY), embedder=HashingEmbedder()) as memory:  # type: ignore[arg-type]
            assert len(left) == len(memory.facts.list())


TEXTS = st.one_of(
    st.sampled_from(
        [
            "No",
            "no.",
            "%",
            "_",
            "*",
            '"',
            "'; --",
            "NEAR(a b)",
            "a",
            "OK",
            "ﬁn",
            "İstanbul",
            "straße",
            "STRASSE",
            "🙂",
        ]
    ),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=30),
).filter(str.strip)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=8),
    chosen=st.sets(st.integers(0, 7)),
    then=st.sampled_from(["import", "rekey", "reopen", "sealed"]),
)
def test_forget_then_anything(
    texts: list[str], chosen: set[int], then: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = folder / "memory.db"
    key = KEY
    memory = Memory(Store.open(path, key), embedder=HashingEmbedder())  # type: ignore[arg-type]
    talk = memory.messages.start()
    said = [
        memory.messages.add(talk.id, "owner", text, said_at=DAY + timedelta(minutes=i))
        for i, text in enumerate(texts)
    ]
    memory.index(*said)
    transfer.export(memory, folder / "old.jsonl")
    doomed = [m for i, m in enumerate(said) if i in chosen]
    names = [m.memory_id for m in doomed]
    preview = memory.preview(*names)
    assert memory.messages.branch(talk.id) == said  # a preview changes nothing
    gone = memory.forget(*names)
    assert gone == preview.gone
    assert set(gone.messages) == {m.id for m in doomed}
    if then == "import":
        transfer.import_file(memory, folder / "old.jsonl")
    elif then == "rekey":
        key = b"n" * 32
        memory.store.rekey(key)
    elif then == "sealed":
        transfer.export(memory, folder / "sealed", passphrase="correct horse battery")
        other = Memory(Store.open(folder / "other.db", KEY), embedder=HashingEmbedder())  # type: ignore[arg-type]
        with other:
            transfer.import_file(other, folder / "sealed", passphrase=lambda: "correct horse battery")
            transfer.import_file(other, folder / "old.jsonl")
            found = sorted(row[0] for row in other.store.tuples("SELECT text FROM messages"))
            assert set(found) >= {m.text for m in said if m not in doomed and not_buried(m.text, doomed)}
            assert len(found) <= len(said) - len(doomed)
    else:
        memory.close()
        memory = Memory(Store.open(path, key), embedder=HashingEmbedder())  # type: ignore[arg-type]
    with memory:
        rest = [m.text for m in said if m not in doomed]
        assert sorted(row[0] for row in memory.store.tuples("SELECT text FROM messages")) == sorted(rest)
        for m in doomed:
            assert memory.is_forgotten(m.text, said_at=m.said_at)
        assert memory.store.problems() == []


def not_buried(text: str, doomed: list) -> bool:  # type: ignore[type-arg]
    """A text that tells something is banned with every copy of it that an old export holds."""
    plain = " ".join(text.casefold().split())
    return all(plain != " ".join(m.text.casefold().split()) for m in doomed)
