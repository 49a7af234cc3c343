"""Three hundred questions with fifteen hundred private values: what leaves, what a wiretap and the server keep."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cloud_server import ScriptedEngine
from prometheus_client import generate_latest
from real_cloud import enrolled, real_cloud

from mnemon.memory.memory import Memory
from mnemon.privacy.guard import Context, Guard
from mnemon.privacy.ledger import Ledger
from mnemon.privacy.pseudonyms import Pseudonyms
from mnemon.settings import PrivacySettings
from mnemon.sync.client import CloudClient
from mnemon.sync.parcel import Parcel, ask
from mnemon_cloud import logs
from mnemon_cloud.answers.engines import Finish, Piece

PROMPTS, KNOWN_EACH, PATTERNS_EACH = 300, 3, 2
FRAMES = (
    "Write a toast that mentions {0}, {1} and {2}; send it to {3} with a copy to {4}.",
    "Compare these notes: ({0}) / ({1}) / ({2}). Then check {3} and {4} for typing errors.",
    "Why would {0} tell {1} that {2} moved? Sort this list too: {3}; {4}",
    "Translate into Dutch: “{0} met {1} near {2}, and left {3} and {4} behind.”",
    "Draft a table with the rows {0}, {1}, {2}, {3} and {4}, then explain it step by step.",
)


class Echo(ScriptedEngine):
    """Says the question back in pieces of one to seven characters."""

    async def answer(self, prompt: Any, sampling: Any) -> AsyncGenerator[Piece, None]:
        text, at = self.asked[-1][-1][1], 0
        while at < len(text):
            step = random.Random(len(text) * 7919 + at).randint(1, 7)
            yield Piece(text[at : at + step], 1)
            at += step
        yield Piece("", 0, Finish.STOP)


@contextmanager
def wiretap(port: int) -> Iterator[tuple[int, bytearray]]:
    """A line to ``port`` that keeps every byte in both directions."""
    heard = bytearray()
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def begin(work: Callable[..., None], *args: socket.socket) -> None:
        threads.append(threading.Thread(target=work, args=args))
        threads[-1].start()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                heard.extend(data)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                begin(pump, near, far)
                begin(pump, far, near)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        begin(accept)
        try:
            yield listener.getsockname()[1], heard
        finally:
            for end in (listener, *ends):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
            for end in ends:
                end.close()


def name(rng: random.Random, parts: int) -> str:
    """A name nobody has: no word of any list."""
    return "".join(
        rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(parts)
    ).capitalize() + rng.choice("xzk")


def known_values(memory: Memory, rng: random.Random) -> list[str]:
    """Ninety people, places and employers the owner told of."""
    values = list[str]()
    for number in range(30):
        person, place, firm = f"{name(rng, 3)} {name(rng, 3)}", name(rng, 4), f"{name(rng, 3)} {name(rng, 2)}"
        for fact in (
            f"The user's friend number {number} is called {person}.",
            f"The user's friend number {number} lives in {place}.",
            f"The user's friend number {number} works for {firm}.",
        ):
            subject, attribute = f"friend {number}", fact.split()[5]
            memory.facts.add(
                fact,
                origin="owner",
                subject=subject,
                attribute={"is": "name", "lives": "home", "works": "employer"}[attribute],
                value={"is": person, "lives": place, "works": firm}[attribute],
            )
        values += [person, place, firm]
    return values


def spelt(value: str, rng: random.Random) -> str:
    return rng.choice(
        (value, value.upper(), value.lower(), f"{value}'s", f" {value}".strip(), value.replace(" ", "  "))
    )


def luhn(rng: random.Random) -> str:
    digits = [4, *(rng.randint(0, 9) for _ in range(14))]
    total = sum(d if i % 2 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits))
    number = "".join(map(str, [*digits, -total % 10]))
    return rng.choice(
        (
            number,
            " ".join(number[i : i + 4] for i in range(0, 16, 4)),
            "-".join(number[i : i + 4] for i in range(0, 16, 4)),
        )
    )


def iban(rng: random.Random) -> str:
    body = "".join(str(rng.randint(0, 9)) for _ in range(18))
    check = 98 - int(body + "131400") % 97  # DE = 13 14
    number = f"DE{check:02d}{body}"
    return rng.choice((number, " ".join(number[i : i + 4] for i in range(0, 22, 4)), number.lower()))


def digits(rng: random.Random, count: int) -> str:
    return "".join(str(rng.randint(0, 9)) for _ in range(count))


def letters(
    rng: random.Random, count: int, alphabet: str = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def email(rng: random.Random) -> str:
    first, last, host = (name(rng, parts).lower() for parts in (3, 2, 3))
    return f"{first}.{last}@{host}.{rng.choice(('org', 'co.uk', 'de'))}"


def phone(rng: random.Random) -> str:
    return rng.choice(
        (
            f"+44 20 7{digits(rng, 3)} {digits(rng, 4)}",
            f"+31 6 {digits(rng, 8)}",
            f"+49 30 {digits(rng, 7)}",
            f"+1-415-{rng.randint(200, 999)}-{digits(rng, 4)}",
        )
    )


def key(rng: random.Random) -> str:
    aws = letters(rng, 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    return rng.choice((f"ghp_{letters(rng, 36)}", f"sk-{letters(rng, 48)}", f"AKIA{aws}"))


PATTERNS = {
    "email": email,
    "phone": phone,
    "iban": iban,
    "card": luhn,
    "ip": lambda rng: f"{rng.randint(20, 200)}." + ".".join(str(rng.randint(1, 254)) for _ in range(3)),
    "key": key,
    "mac": lambda rng: ":".join(f"{rng.randint(0, 255):02x}" for _ in range(6)),
    "ssn": lambda rng: f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
}


def pattern_value(rng: random.Random) -> tuple[str, str]:
    kind = rng.choice(list(PATTERNS))
    return kind, PATTERNS[kind](rng)


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logs.logger.level)
    stream = io.StringIO()
    logs.start(stream)
    yield stream
    root.handlers[:], level, own = before
    root.setLevel(level)
    logs.logger.setLevel(own)


@pytest.mark.slow
def test_private_values_stay_and_come_back(tmp_path: Path, captured: io.StringIO) -> None:
    rng = random.Random(20260302)
    engine = Echo(window=4096)
    with (
        Memory.temporary() as memory,
        real_cloud(tmp_path, engine, limits={"tokens_per_day": 0}) as cloud,
        wiretap(cloud.port) as (port, heard),
    ):
        known = known_values(memory, rng)
        client = CloudClient(enrolled(memory.store, cloud, address=f"localhost:{port}"))
        guard, ledger = Guard(memory, PrivacySettings()), Ledger(memory.store)
        planted = list[tuple[str, str, str, bool]]()  # kind, value, what left, whether the server saw it
        sent = list[str]()
        for number in range(PROMPTS):
            values = [("known", spelt(v, rng)) for v in rng.sample(known, KNOWN_EACH)]
            values += [pattern_value(rng) for _ in range(PATTERNS_EACH)]
            prompt = FRAMES[number % len(FRAMES)].format(*(value for _, value in values))
            outgoing = guard.prepare(prompt, Context(Pseudonyms()))
            parcel = Parcel.of(outgoing)
            with ask(client, parcel, ledger) as hearing:
                assert "".join(parcel.restorer.stream(hearing)) == prompt
            sent.append(parcel.text)
            seen = cloud.seen[-1].casefold()
            planted += [(kind, value, cloud.seen[-1], bare(value) in seen) for kind, value in values]
        client.close()
        assert cloud.seen == sent == [entry.text for entry in reversed(ledger.entries())]
        assert ledger.verify().problems == ()
        metrics = generate_latest(cloud.running.server.metrics.registry)
    assert len(planted) == 1500
    gone = {
        part: [not leaked for kind, _, _, leaked in planted if (kind == "known") == part] for part in (True, False)
    }
    recall = {part: sum(found) / len(found) for part, found in gone.items()}
    print({"known to the memory": recall[True], "by pattern": recall[False]})
    leaked = [(kind, value, text) for kind, value, text, seen in planted if seen]
    assert recall[True] >= 0.99, leaked[:5]
    assert recall[False] >= 0.95, leaked[:5]
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "cloud").rglob("*") if path.is_file())
    kept = bytes(heard).lower() + on_disk.lower() + metrics.lower() + captured.getvalue().lower().encode()
    assert len(heard) > 100_000
    for _, value, _, _ in planted:
        assert bare(value).encode() not in kept, value
    assert b"[person_" not in kept


def bare(value: str) -> str:
    return value.removesuffix("'s").strip().casefold()
