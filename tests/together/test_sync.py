"""The outbox, the daemon and the commands for them: sent once, by one process, whatever ends in the middle."""

from __future__ import annotations

import configparser
import contextlib
import itertools
import json
import plistlib
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from cloud_server import ScriptedEngine
from command_line import run
from real_cloud import RealCloud, enrolled, real_cloud

from mnemon import errors
from mnemon.memory.locks import sole
from mnemon.memory.memory import Memory
from mnemon.memory.records import Message
from mnemon.paths import Home
from mnemon.privacy.ledger import Ledger
from mnemon.settings import CloudSettings, MemorySettings, PrivacySettings, Settings
from mnemon.sync import daemon, units
from mnemon.sync.account import Accounts, connect
from mnemon.sync.courier import Courier
from mnemon.sync.daemon import Daemon, deliver
from mnemon.sync.outbox import KEPT, Outbox
from mnemon.sync.parcel import Parcel

SETTINGS = Settings(memory=MemorySettings(key="file"))


@pytest.fixture
def home(own_home: Path) -> Home:
    return Home(own_home)


@pytest.fixture
def memory(home: Home) -> Iterator[Memory]:
    with Memory.open(home, SETTINGS.memory) as opened:
        yield opened


def waiting(
    memory: Memory, text: str = "How is [PERSON_1]?", question: str = "How is Ines?", longest: int = 0
) -> Message:
    """A question that was asked and waits."""
    conversation = memory.messages.start()
    message = memory.messages.add(conversation.id, "owner", question)
    parcel = Parcel(text, {"[PERSON_1]": "Ines"}, (message.memory_id,), longest)
    Outbox(memory.store, memory.now).add(message.id, parcel)
    return message


def answers(memory: Memory, question: Message) -> list[str]:
    branch = memory.store.tuples("SELECT text FROM messages WHERE parent_id = ? ORDER BY id", (question.id,))
    return [row[0] for row in branch]


def test_failures_wait_longer_each_time_and_end_after_a_week() -> None:
    moment = [datetime(2026, 3, 2, tzinfo=UTC)]
    with Memory.temporary(now=lambda: moment[0]) as memory:
        outbox = Outbox(memory.store, memory.now)
        waiting(memory)
        pauses = []
        for _ in range(4):
            (entry,) = outbox.due()
            assert outbox.sending(entry)
            assert outbox.due() == []
            after = outbox.failed(outbox.get(entry.id), errors.UnreachableError("no line"))
            assert after is not None
            assert (after.state, after.problem) == ("waiting", "no line")
            pauses.append((after.next_at - moment[0]).total_seconds())
            moment[0] = after.next_at
        assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(pauses))
        quota = outbox.failed(outbox.entries()[0], errors.QuotaError("used up", retry_after=9000.0))
        assert quota is not None
        assert quota.next_at - moment[0] >= timedelta(seconds=9000)
        moment[0] += KEPT
        gone = outbox.failed(outbox.entries()[0], errors.UnreachableError("no line"))
        assert gone is not None
        assert (gone.state, gone.parcel.text, dict(gone.parcel.meanings)) == ("given up", "", {})
        assert not outbox.sending(gone)
        outbox.seen(gone.id)
        assert outbox.entries() == []


def test_what_the_server_does_not_take_is_given_up_at_once() -> None:
    with Memory.temporary() as memory:
        outbox = Outbox(memory.store)
        waiting(memory)
        after = outbox.failed(outbox.entries()[0], errors.QuestionRefusedError("too long"))
        assert after is not None
        assert after.state == "given up"


def test_a_clock_that_was_far_ahead_keeps_nothing_away() -> None:
    moment = [datetime(2030, 1, 1, tzinfo=UTC)]
    with Memory.temporary(now=lambda: moment[0]) as memory:
        outbox = Outbox(memory.store, memory.now)
        waiting(memory)
        outbox.failed(outbox.entries()[0], errors.UnreachableError("no line"))
        moment[0] = datetime(2026, 3, 2, tzinfo=UTC)
        assert outbox.due() == []
        outbox.recover()
        assert outbox.next_at() is not None
        outbox.recover(hurry=True)
        assert len(outbox.due()) == 1


def test_a_mode_that_became_never_holds_for_what_waits(memory: Memory, home: Home, tmp_path: Path) -> None:
    with real_cloud(tmp_path) as cloud:
        enrolled(memory.store, cloud)
        waiting(memory)
        never = Settings(privacy=PrivacySettings(mode="never"))
        done = deliver(memory, never, home)
        assert done is not None
        assert done.waiting == 1
        assert "privacy.mode is never" in done.problem
        assert cloud.seen == []
        assert Ledger(memory.store).entries() == []


def test_what_waits_for_one_server_never_goes_to_another(memory: Memory, home: Home, tmp_path: Path) -> None:
    with real_cloud(tmp_path / "other") as other:
        with real_cloud(tmp_path) as cloud:
            enrolled(memory.store, cloud)
        waiting(memory)
        Accounts(memory.store).forget()
        enrolled(memory.store, other)
        assert deliver(memory, SETTINGS, home, hurry=True) == daemon.Delivered()
        assert other.seen == []
    (news,) = Outbox(memory.store).news()
    assert (news.state, news.parcel.text, dict(news.parcel.meanings)) == ("given up", "", {})
    assert "left the server" in news.problem


@pytest.mark.parametrize("longest", [64, 32])
def test_an_answer_that_was_finished_is_not_made_again(
    memory: Memory, home: Home, tmp_path: Path, longest: int
) -> None:
    """Nor when the owner has changed the longest answer since: the question is the one that waits."""
    from mnemon.sync.parcel import ask

    settings = replace(SETTINGS, cloud=CloudSettings(max_answer_tokens=longest))
    with real_cloud(tmp_path) as cloud:
        client = connect(enrolled(memory.store, cloud))
        question = waiting(memory, longest=64)
        (entry,) = Outbox(memory.store).entries()
        with ask(client, entry.parcel, Ledger(memory.store)) as hearing:  # as a turn does
            assert "".join(hearing) == "Some words."
        client.close()
        done = deliver(memory, settings, home)
        assert done is not None
        assert (done.answered, done.given_up) == (1, 0)
        assert answers(memory, question) == ["Some words."]
        assert [sampling.max_tokens for sampling in cloud.engine.sampled] == [64]


def test_a_question_sent_again_is_as_long_as_it_was(memory: Memory, home: Home, tmp_path: Path) -> None:
    from mnemon_cloud.errors import EngineError

    with real_cloud(tmp_path, ScriptedEngine(error=EngineError("gone"))) as cloud:
        enrolled(memory.store, cloud)
        question = waiting(memory, longest=64)
        assert deliver(memory, SETTINGS, home)
        cloud.engine.error = None
        settings = replace(SETTINGS, cloud=CloudSettings(max_answer_tokens=32))
        done = deliver(memory, settings, home, hurry=True)
        assert done is not None
        assert done.answered == 1
        assert {sampling.max_tokens for sampling in cloud.engine.sampled} == {64}
        assert answers(memory, question) == ["Some words."]


def test_what_left_before_its_length_was_kept_is_asked_as_another_question(tmp_path: Path) -> None:
    """Its answer may be there under another length: the same id would be refused, and the question given up."""
    from mnemon.memory.schema import migrations
    from mnemon.memory.sqlcipher import connect

    db = sqlite_utils.Database(connect(tmp_path / "memory.db", bytes(32), 1000))
    migrations.apply(db, stop_before="m0014_outbox_length")
    db.execute("INSERT INTO conversations (title, created_at, updated_at) VALUES ('talk', 1, 1)")
    db.execute(
        "INSERT INTO messages (id, conversation_id, role, text, said_at, status)"
        " VALUES (1, 1, 'owner', 'x', 1, 'complete')"
    )
    for id, attempts in ((1, 0), (2, 3)):
        db["outbox"].insert(  # type: ignore[union-attr]
            {"id": id, "request_id": bytes([id]) * 16, "keep_key": b"k", "question_id": 1, "text": "x",
             "meanings": "{}", "state": "waiting", "queued_at": 1, "next_at": 1, "attempts": attempts}
        )  # fmt: skip
    migrations.apply(db)
    rows = list(db["outbox"].rows)
    assert [row["max_tokens"] for row in rows] == [0, 0]
    assert rows[0]["request_id"] == bytes([1]) * 16
    assert rows[1]["request_id"] != bytes([2]) * 16
    assert len(rows[1]["request_id"]) == 16
    db.close()


def test_a_refusal_is_one_line_and_none_of_grpcs(own_home: Path, tmp_path: Path) -> None:
    with real_cloud(tmp_path) as cloud:
        with Memory.open(Home(own_home), SETTINGS.memory) as memory:
            enrolled(memory.store, cloud)
            waiting(memory)
        port = cloud.port
    with real_cloud(tmp_path / "another", server={"listen": f"127.0.0.1:{port}"}):
        words = (sys.executable, "-m", "mnemon", "sync", "once")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert "is not the server of your invite" in line
    assert done.stdout == "0 answered, 1 still waiting.\n"


def test_an_answer_without_words_is_none(memory: Memory, home: Home, tmp_path: Path) -> None:
    with real_cloud(tmp_path, ScriptedEngine(words=("  ", "\n"))) as cloud:
        enrolled(memory.store, cloud)
        question = waiting(memory)
        done = deliver(memory, SETTINGS, home)
        assert done is not None
        assert (done.answered, done.given_up) == (0, 1)
        assert answers(memory, question) == []


def test_a_server_that_asks_for_hours_or_ages(memory: Memory) -> None:
    outbox = Outbox(memory.store, memory.now)
    waiting(memory)
    outbox.failed(outbox.entries()[0], errors.QuotaError("used up", retry_after=9 * 3600.0))
    outbox.recover()
    assert outbox.due() == []  # tomorrow's allowance is waited for
    outbox.recover(hurry=True)
    after = outbox.failed(outbox.entries()[0], errors.QuotaError("used up", retry_after=3e11))
    assert after is not None
    assert after.next_at < datetime.now(UTC) + timedelta(days=2)


def test_what_a_process_that_died_left_is_work(memory: Memory) -> None:
    outbox = Outbox(memory.store, memory.now)
    assert not outbox.has_work()
    waiting(memory)
    (entry,) = outbox.due()
    outbox.sending(entry)
    assert outbox.due() == []
    assert outbox.has_work()


def test_an_invite_cannot_write_on_the_terminal(memory: Memory, tmp_path: Path) -> None:
    with real_cloud(tmp_path) as cloud:
        for address in ("\x1b[2Jbank.example:8443", "a b:8443", "bücher:8443", "x\u202e:8443", ":8443", "x:0"):
            with pytest.raises(errors.InputError, match="host:port"):
                Accounts(memory.store).prepare(cloud.invite(address=address))
        assert Accounts(memory.store).prepare(cloud.invite(address="[::1]:8443")).tls_name == "::1"


def test_one_process_sends_at_a_time(memory: Memory, home: Home, tmp_path: Path) -> None:
    with real_cloud(tmp_path) as cloud:
        enrolled(memory.store, cloud)
        waiting(memory)
        with sole(home.sync_lock) as alone:
            assert alone
            assert deliver(memory, SETTINGS, home) is None
            assert not Daemon(home, _never, lambda: SETTINGS).run()
        assert cloud.seen == []


def _never() -> Any:
    raise AssertionError("the memory is not opened")


KILLED = """
import sys, threading
from pathlib import Path
from mnemon.memory.memory import Memory
from mnemon.paths import Home
from mnemon.settings import MemorySettings, Settings
from mnemon.sync.daemon import deliver
home = Home(Path(sys.argv[1]))
settings = Settings(memory=MemorySettings(key="file"))
with Memory.open(home, settings.memory) as memory:
    deliver(memory, settings, home, hurry=True)
"""


@pytest.mark.slow
def test_killed_while_the_answer_comes_it_is_sent_again_and_answered_once(
    memory: Memory, home: Home, tmp_path: Path
) -> None:
    engine = ScriptedEngine(words=("[PERSON_1] ", "is ", "well."), halt_at=3)
    with real_cloud(tmp_path, engine) as cloud:
        enrolled(memory.store, cloud)
        question = waiting(memory)
        with subprocess.Popen([sys.executable, "-c", KILLED, str(home.root)]) as sender:
            until(lambda: bool(engine.running))
            sender.kill()
            sender.wait(30)
        assert [entry.state for entry in Outbox(memory.store).entries()] == ["sending"]
        assert answers(memory, question) == []
        engine.halt_at = 0
        done = deliver(memory, SETTINGS, home)
        assert done is not None
        assert done.answered == 1
        assert answers(memory, question) == ["Ines is well."]
        ledger = Ledger(memory.store)
        assert [entry.kind for entry in reversed(ledger.entries())] == ["question", "repeat"]
        assert len(cloud.seen) == 2
        assert deliver(memory, SETTINGS, home, hurry=True) == daemon.Delivered()
        assert answers(memory, question) == ["Ines is well."]


def until(true: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(6000):
        if true():
            return
        waited.wait(0.01)
    raise AssertionError("this never came true")


class Steps:
    """Stands in for the daemon's waiting: each step is done in place of a pause, then it is stopped."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self.daemon: Daemon | None = None

    def __call__(self, _event: threading.Event, _seconds: float) -> None:
        if self._steps:
            self._steps.pop(0)()
        else:
            assert self.daemon is not None
            self.daemon.stop()


def test_the_daemon_outlives_a_server_that_is_away_and_notices_new_questions(
    memory: Memory, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_cloud(tmp_path) as cloud:
        enrolled(memory.store, cloud)
        port = cloud.port
    first = waiting(memory)

    @contextlib.contextmanager
    def opened() -> Iterator[Memory]:
        yield memory

    problems, later = list[str](), list[Message]()
    with contextlib.ExitStack() as stack:

        def server_comes_back() -> None:
            problems.append(daemon.read_report(home).problem)
            stack.enter_context(real_cloud(tmp_path, server={"listen": f"127.0.0.1:{port}"}))
            with memory.store.transaction():  # its pause is over
                memory.store.execute("UPDATE outbox SET next_at = 0")

        def another() -> None:
            assert answers(memory, first) == ["Some words."]
            later.append(waiting(memory))

        steps = Steps(server_comes_back, another)
        running = Daemon(home, opened, lambda: SETTINGS, wait=steps)
        steps.daemon = running
        assert running.run()
    assert "There is no line" in problems[0]
    assert answers(memory, later[0]) == ["Some words."]
    report = daemon.read_report(home)
    assert (report.answered, report.problem) == (2, "")
    assert "Ines" not in home.sync_report.read_text()


def test_the_daemon_goes_on_when_the_memory_cannot_be_opened(home: Home) -> None:
    home.create()

    def refused() -> Any:
        raise errors.StoreBusyError("Another process holds it.", hint="Wait.")

    steps = Steps(lambda: None)
    running = Daemon(home, refused, lambda: SETTINGS, wait=steps)
    steps.daemon = running
    assert running.run()
    assert daemon.read_report(home).problem == "Another process holds it. Wait."


def test_what_a_stopped_courier_was_sending_waits_again(memory: Memory, home: Home, tmp_path: Path) -> None:
    engine = ScriptedEngine(halt_at=2)
    with real_cloud(tmp_path, engine) as cloud:
        client = connect(enrolled(memory.store, cloud))
        question = waiting(memory)
        courier = Courier(memory, Ledger(memory.store), lambda: True)
        sending = threading.Thread(target=courier.round, args=(client,))
        sending.start()
        until(lambda: engine.running == 1)
        courier.stop()
        sending.join(60)
        (entry,) = courier.outbox.entries()
        assert (entry.state, entry.attempts) == ("waiting", 1)
        client.close()
        engine.halt_at = 0
        done = deliver(memory, SETTINGS, home)
        assert done is not None
        assert done.answered == 1
        assert answers(memory, question) == ["Some words."]


def test_models_that_went_bad_are_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnemon.runtime.catalog import Manifest

    folder = home.models / "owner--name"
    folder.mkdir(parents=True)
    for name, sha in (
        ("good.gguf", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("bad.gguf", "0" * 64),
    ):
        (folder / name).write_bytes(b"abc")
        Manifest("owner/name", name, "1", sha, 3, "MIT", "sha256").write(folder / name)
    assert [name for name in daemon.damaged_models(home) if "bad" in name or "good" in name] == [
        "hf:owner/name/bad.gguf"
    ]


@pytest.mark.parametrize("root", ["/home/ann/mnemon", '/home/ann b/50% "m" $x\\y'])
def test_units_start_the_daemon_of_this_home(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNEMON_PASSPHRASE_FILE", "/run/secret file")
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    home, wanted = Home(Path(root)), [sys.executable, "-m", "mnemon", "--home", root, "sync", "daemon"]
    service = units.unit("systemd", home, person=Path("/home/ann"))
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(service.text)
    said = shlex.split(parsed["Service"]["ExecStart"].replace("%%", "%").replace("$$", "$"))
    assert said == wanted
    assert shlex.split(parsed["Service"]["Environment"]) == ["MNEMON_PASSPHRASE_FILE=/run/secret file"]
    assert parsed["Service"]["Restart"] == "on-failure"
    assert service.path == Path("/home/ann/.config/systemd/user/mnemon-sync.service")
    agent = units.unit("launchd", home, person=Path("/home/ann"))
    plist = plistlib.loads(agent.text.encode())
    assert plist["ProgramArguments"] == wanted
    assert plist["EnvironmentVariables"] == {"MNEMON_PASSPHRASE_FILE": "/run/secret file"}
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    assert agent.path.name == f"{plist['Label']}.plist"


# -- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RealCloud]:
    with real_cloud(tmp_path) as running:
        yield running


def said(*words: str, code: int = 0, **more: Any) -> Any:
    result = run("From here.", *words, "--json", **more)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_enrolling_looking_asking_and_leaving(cloud: RealCloud) -> None:
    assert said("cloud", "status", code=60)["error"]["code"] == "not-enrolled"
    made = said("cloud", "enroll", "-", input=cloud.invite())
    assert made["server"] == f"localhost:{cloud.port}"
    assert said("cloud", "enroll", cloud.invite(), code=2)["error"]["code"] == "input"
    status = said("cloud", "status")
    assert (status["reachable"], status["waiting"], status["mode"]) == (True, 0, "ask")
    assert status["device"] == made["device"]
    assert status["quota_left"] == status["quota"]
    refused = said("cloud", "ask", "How far is the moon?", code=60)  # there is no terminal to say yes
    assert refused["error"]["code"] == "not-allowed"
    assert said("privacy", "mode", "allow", "--topic", "moon", "--for", "1h")
    assert said("cloud", "ask", "How far is the moon?")["route"] == "cloud"
    assert said("cloud", "leave", "--yes") == {"left": made["server"], "told": True}
    assert said("cloud", "ask", "How far is the moon?", code=60)["error"]["code"] == "not-enrolled"
    assert cloud.seen == ["How far is the moon?"]


@pytest.mark.slow
def test_what_waits_is_listed_sent_and_dropped(tmp_path: Path, own_home: Path) -> None:
    with real_cloud(tmp_path) as cloud:
        said("cloud", "enroll", cloud.invite())
        port = cloud.port
    said("privacy", "mode", "allow", "--topic", "moon", "--for", "1h")
    offline = said("cloud", "ask", "How far is the moon?", code=60)
    assert offline["error"]["code"] == "unreachable"
    assert "The question waits" in offline["error"]["message"]
    (entry,) = said("sync", "status")["outbox"]
    assert (entry["state"], entry["question"]) == ("waiting", "How far is the moon?")
    assert said("sync", "once", code=60)["waiting"] == 1
    with real_cloud(tmp_path, server={"listen": f"127.0.0.1:{port}"}):
        assert said("sync", "once") == {"answered": 1, "given_up": 0, "waiting": 0, "problem": ""}
    (entry,) = said("sync", "status")["outbox"]
    assert entry["state"] == "answered"
    assert said("sync", "drop", str(entry["id"]), code=4)["error"]["code"] == "not-found"
    said("cloud", "ask", "How far is the moon now?", code=60)
    number = said("sync", "status")["outbox"][-1]["id"]
    assert said("sync", "drop", str(number)) == {"dropped": number}


def test_once_shows_what_came_and_then_it_was_seen(memory: Memory, tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("[PERSON_1] is \x1b[2Jwell.",))
    with real_cloud(tmp_path, engine) as cloud:
        enrolled(memory.store, cloud)
        waiting(memory)
        shown = run("", "sync", "once").stdout
    assert "“How is Ines?”\nInes is \ufffd[2Jwell.\n" in shown
    assert "1 answered, 0 still waiting." in shown
    assert Outbox(memory.store).entries() == []


def test_the_unit_is_written_where_it_belongs(tmp_path: Path) -> None:
    made = said("sync", "install", "--for", "systemd")
    assert Path(made["path"]).read_text() == made["text"]
    assert made["path"].startswith(str(tmp_path / "person"))
    assert "systemctl --user" in made["start"]
    assert run("", "sync", "install", "--for", "launchd", "--print").stdout.startswith("<?xml")
