"""``kill -9`` again and again, and what is left: every write that was acknowledged, a sound file, indexes that agree.

Each round forks a process that opens the memory and writes without pause: messages, facts, facts that take the place
of others, things forgotten, imports, backups, changes of key. It says through a pipe what it begins and what is
done. After a random time it is killed. Then the memory is opened as after any crash and held against what was said.
Every fiftieth round begins with no memory at all, so that the making of one is cut short, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads in the process that forks

import numpy as np

from mnemon.errors import StoreMissingError
from mnemon.memory import backup, checking, rotation, transfer
from mnemon.memory.memory import Memory
from mnemon.paths import Home
from mnemon.settings import MemorySettings

DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
BATCH = 12
MOST_MESSAGES = 400


class OneDirection:
    """An embedder for those who only ask whether there is a vector."""

    def embed(self, texts: list[str]) -> np.ndarray:
        """The same vector for each."""
        return np.full((len(texts), 384), 384**-0.5, np.float32)

    def embed_one(self, text: str) -> np.ndarray:
        """The same vector."""
        return self.embed([text])[0]


@dataclass
class Known:
    """What must be in the memory.

    Attributes:
        messages: The words of each.
        facts: The words of each, the message it rests on, and whether it still holds.
        batches: How many imports were acknowledged.
        began: What the killed process had begun and not finished.
    """

    messages: dict[int, str] = field(default_factory=dict)
    facts: dict[int, tuple[str, int, bool]] = field(default_factory=dict)
    imports: int = 0
    began: list[Any] = field(default_factory=list)

    def hear(self, line: list[Any]) -> None:
        """Take down what the writer says."""
        what, *more = line
        if what == "begin":
            self.began = more
            return
        self.began = []
        if what == "message":
            self.messages[more[0]] = more[1]
        elif what == "fact":
            self.facts[more[0]] = (more[1], more[2], True)
        elif what == "ended":
            text, source, _ = self.facts[more[0]]
            self.facts[more[0]] = (text, source, False)
        elif what == "forgotten":
            self.forget(more[0])

    def forget(self, ids: list[int]) -> None:
        """A message went, and the facts that rest on it."""
        for id in ids:
            self.messages.pop(id, None)
        self.facts = {id: fact for id, fact in self.facts.items() if fact[1] not in ids}


def opened(home: Home) -> Memory:
    """The memory, as any program would open it, without a model for its vectors."""
    return Memory(Memory.open(home, MemorySettings(key="file")).store, embedder=OneDirection())  # type: ignore[arg-type]


def write(home: Home, known: Known, chance: random.Random, pipe: int, folder: Path) -> None:
    """Write until killed."""

    def say(*line: Any) -> None:
        os.write(pipe, json.dumps(line).encode() + b"\n")

    memory = opened(home)
    talks = memory.messages.conversations(limit=3)
    talk = talks[0].id if talks else memory.messages.start("talk").id
    vocabulary = [f"w{i}" for i in range(500)]
    for round in range(1_000_000):
        messages, facts = list(known.messages), [id for id, fact in known.facts.items() if fact[2]]
        (what,) = chance.choices(
            ["message", "fact", "ended", "forgotten", "import", "rekey", "backup"], [40, 15, 8, 8, 3, 3, 3]
        )
        words = " ".join(chance.choices(vocabulary, k=chance.choice([3, 12, 12, 12, 500])))
        now = DAY + timedelta(seconds=chance.randrange(10**8))
        if what == "message" and len(messages) < MOST_MESSAGES:
            say("begin", "message", words)
            added = memory.messages.add(talk, "owner", words, said_at=now)
            known.hear(done := ["message", added.id, words])
            say(*done)
            memory.index(added)
        elif what == "fact" and messages:
            source = chance.choice(messages)
            words = " ".join(words.split()[:12])
            say("begin", "fact", words)
            fact = memory.facts.add(words, source_id=source, origin="pattern", valid_from=now)
            known.hear(done := ["fact", fact.id, fact.text, source])
            say(*done)
            memory.index_facts(fact)
        elif what == "ended" and len(facts) > 1:
            old, new = chance.sample(facts, 2)
            say("begin", "ended", old)
            memory.facts.end(old, at=DAY + timedelta(days=9999), superseded_by=new, reason="")
            known.hear(done := ["ended", old])
            say(*done)
        elif what == "forgotten" and messages:
            ids = chance.sample(messages, min(len(messages), 40 if len(messages) >= MOST_MESSAGES else 1))
            say("begin", "forgotten", ids)
            memory.forget(*(f"m{id}" for id in ids))
            known.hear(done := ["forgotten", ids])
            say(*done)
        elif what == "import":
            say("begin", "import")
            name = f"batch-{os.getpid()}-{round}"
            path = folder / "import.json"
            lines = [
                {"uuid": f"{name}-{i}", "sender": "human", "text": f"{name} line {i}", "created_at": now.isoformat()}
                for i in range(BATCH)
            ]
            path.write_text(json.dumps([{"uuid": name, "name": name, "chat_messages": lines}]))
            transfer.import_file(memory, path)
        elif what == "rekey":
            say("begin", "rekey")
            rotation.rekey(home, memory.store, "file")
        elif what == "backup":
            say("begin", "backup")
            backup.backup(memory.store, folder / "kept.backup")


def check(home: Home, known: Known, folder: Path) -> list[str]:
    """What is wrong after the kill. What was begun and not acknowledged may be there or not."""
    wrong = []
    try:
        memory = opened(home)
    except StoreMissingError:
        return ["the memory is said to be gone"]
    with memory:
        store = memory.store
        wrong += checking.problems(store)
        rows = dict(store.tuples("SELECT id, text FROM messages"))
        facts = {
            id: (text, source, end is None)
            for id, text, source, end in store.tuples("SELECT id, text, source_id, valid_to FROM facts")
        }
        began = known.began
        if began[:1] == ["forgotten"] and not any(id in rows for id in began[1]):
            known.forget(began[1])
        if began[:1] == ["ended"] and began[1] in facts and not facts[began[1]][2]:
            known.hear(["ended", began[1]])
        wrong += [f"message {id} is lost or changed" for id, text in known.messages.items() if rows.get(id) != text]
        wrong += [f"fact {id} is lost or changed" for id, fact in known.facts.items() if facts.get(id) != fact]
        batches = Counter(text.split(" ")[0] for text in rows.values() if text.startswith("batch-"))
        wrong += [f"{name} is half there: {count}" for name, count in batches.items() if count != BATCH]
        more = [id for id, text in rows.items() if id not in known.messages and not text.startswith("batch-")]
        if len(more) > (began[:1] == ["message"]):
            wrong.append(f"messages {more} were never written, or forgotten")
        known.messages.update((id, rows[id]) for id in more)
        unknown = [id for id in facts if id not in known.facts]
        if len(unknown) > (began[:1] == ["fact"]):
            wrong.append(f"facts {unknown} were never written, or forgotten")
        known.facts.update((id, facts[id]) for id in unknown)
        live = int(memory._index.rows("message").live.sum())
        if live != len(rows):
            wrong.append(f"the index has {live} messages of {len(rows)}")
        for name in batches:  # so that the file does not grow for ever
            memory.forget(*(f"m{id}" for id, text in rows.items() if text.startswith(f"{name} ")))
        kept = folder / "kept.backup"
        if kept.exists():
            kept.unlink()  # that it is whole was checked before it got its name
    known.began = []
    return wrong


def rounds(count: int, seed: int, folder: Path) -> tuple[list[str], Counter[str]]:
    """So many kills; what went wrong, and what the killed ones were doing."""
    chance, wrong, cut = random.Random(seed), list[str](), Counter[str]()
    home, known = Home(folder / "home"), Known()
    for number in range(count):
        if number % 50 == 0:
            shutil.rmtree(home.root, ignore_errors=True)
            known = Known()
        told, telling = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(told)
            try:
                write(home, known, random.Random(chance.random()), telling, folder)
            except BaseException:  # noqa: BLE001 - the child says it, the parent counts it
                traceback.print_exc()
            finally:
                os._exit(9)
        os.close(telling)
        time.sleep(chance.choice([0.03, 0.1, 0.3]) * chance.random())
        os.kill(child, signal.SIGKILL)
        with os.fdopen(told, "rb") as pipe:
            lines = [line for line in pipe.read().split(b"\n") if line]
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            wrong.append(f"round {number}: the writer failed by itself")
        for line in lines:
            known.hear(json.loads(line))
        cut[str((known.began or ["between two writes" if lines else "before the first write"])[0])] += 1
        found = check(home, known, folder)
        wrong += [f"round {number}: {one}" for one in found]
        if found:
            break
    return wrong, cut


def main() -> None:
    """Kill, check, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mnemon-kills-") as folder:
        wrong, cut = rounds(arguments.kills, arguments.seed, Path(folder))
    for line in wrong[:20]:
        print(line)
    print(f"{sum(cut.values())} kills in {time.monotonic() - begun:.0f} s, cut short in: {dict(cut.most_common())}")
    print("every acknowledged write is there, every file sound" if not wrong else f"{len(wrong)} things are wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
