"""Paused conversations on disk: encrypted, bound to their model, and never in the way."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace

import pytest
import real_models

from mnemon.runtime.chat_model import ChatMessage
from mnemon.runtime.sessions import SavedSession, SessionFiles
from mnemon.runtime.worker import LocalModel

KEY = bytes(range(32))
SESSION = SavedSession([1, 2, 3], {"My cat is Zanzibar": [7, 8]}, 4, b"state of Zanzibar" * 100)
SYSTEM = ChatMessage("system", "You are Mnemon.")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sessions"


def files(folder, **how) -> SessionFiles:
    return SessionFiles(folder, **({"key": KEY, "identity": b"model"} | how))


def test_what_is_saved_comes_back(folder):
    assert files(folder).load("c1") is None
    assert files(folder).save("c1", SESSION)
    loaded = files(folder).load("c1")
    assert loaded is not None
    assert (loaded.tokens, loaded.answers, loaded.dropped, bytes(loaded.state)) == (
        SESSION.tokens,
        SESSION.answers,
        SESSION.dropped,
        SESSION.state,
    )
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"Zanzibar" not in path.read_bytes()
    assert "c1" not in path.name


def test_foreign_damaged_and_old_files_count_as_absent(folder):
    files(folder).save("c1", SESSION)
    assert files(folder, key=bytes(32)).load("c1") is None
    assert files(folder, identity=b"another model").load("c1") is None
    assert files(folder).load("c2") is None
    (path,) = folder.iterdir()
    path.rename(folder / files(folder)._path("c2").name)  # a file put in another conversation's place
    assert files(folder).load("c2") is None
    files(folder).save("c1", SESSION)
    path = files(folder)._path("c1")
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[:10],
        whole[:-1],
        whole[:40] + b"\x00" + whole[41:],
        b"MNSESS99" + whole[8:],
        os.urandom(500),
    ):
        path.write_bytes(damaged)
        assert files(folder).load("c1") is None
    assert files(folder).save("c1", SESSION)
    assert files(folder).load("c1") is not None


def test_the_ones_used_longest_ago_give_way(folder):
    kept = files(folder, most_files=3)
    for i in range(5):
        kept.save(f"c{i}", SESSION)
        os.utime(kept._path(f"c{i}"), (i, i))
    kept.load("c2")
    kept.save("c5", SESSION)
    assert [i for i in range(6) if kept.load(f"c{i}")] == [2, 4, 5]
    assert not files(folder, most_bytes=100).save("c6", SESSION)


def test_leftovers_are_swept_and_a_disk_that_refuses_is_no_error(folder):
    folder.mkdir()
    (folder / "x.1234.part").write_bytes(b"half")
    files(folder).save("c1", SESSION)
    assert [p.suffix for p in folder.iterdir()] == [".session"]
    blocked = folder.parent / "a file"
    blocked.write_bytes(b"")
    assert not files(blocked).save("c1", SESSION)
    files(folder).forget("c1")
    files(folder).forget("c1")
    files(folder).save("c2", SESSION)
    files(folder).forget_all()
    assert list(folder.iterdir()) == []


# -- with a model -------------------------------------------------------------------------------------------------


def load(folder, path=None) -> LocalModel:
    spec = real_models.built_in() if path is None else real_models.spec_of(path)
    return LocalModel.load(spec, replace(real_models.ONE_THREAD, context=2048), session_dir=folder, session_key=KEY)


def ask(model: LocalModel, messages: list[ChatMessage], text: str, session: str):
    messages.append(ChatMessage("user", text))
    generation = model.generate(messages, session=session, max_tokens=30)
    messages.append(ChatMessage("assistant", "".join(p.text for p in generation)))
    return generation.report


def test_a_conversation_goes_on_in_a_new_process(folder):
    messages = [SYSTEM]
    with load(folder) as model:
        ask(model, messages, "My dog is called Biscuit.", "c1")
        last = ask(model, messages, "What is my dog called?", "c1")
    assert len(list(folder.iterdir())) == 1
    with load(folder) as model:
        report = ask(model, messages, "Thank you!", "c1")
        assert report.cached_tokens == last.prompt_tokens + last.answer_tokens
    with load(folder) as model:
        model.forget_session("c1")
        assert list(folder.iterdir()) == []
        assert ask(model, [SYSTEM], "Hello", "c1").cached_tokens == 0


def test_nothing_readable_and_nothing_temporary_reaches_the_disk(folder):
    with load(folder) as model:
        ask(model, [SYSTEM], "The password is Quetzalcoatl.", "c1")
        ask(model, [SYSTEM], "The password is Quetzalcoatl.", "~temporary")
        ask(model, [SYSTEM], "The password is Quetzalcoatl.", "c2")
        model.forget_session("c2")
        tokens = b"".join(t.to_bytes(4, "little") for t in model.model.plain("Quetzalcoatl"))
    stored = list(folder.iterdir())
    assert len(stored) == 1
    assert b"Quetzal" not in stored[0].read_bytes()
    assert tokens not in stored[0].read_bytes()


def test_a_conversation_pushed_out_comes_back_from_disk(folder):
    with load(folder) as model:
        messages: dict[str, list[ChatMessage]] = {f"c{i}": [SYSTEM] for i in range(8)}
        for name, said in messages.items():
            ask(model, said, f"My name is {name}.", name)
        report = ask(model, messages["c0"], "And yours?", "c0")
        assert report.cached_tokens > 20
        model.forget_all_sessions()
        assert list(folder.iterdir()) == []
        assert ask(model, [SYSTEM], "Hello", "c1").cached_tokens == 0


def test_a_paused_conversation_is_written_without_being_closed(folder, monkeypatch):
    monkeypatch.setattr("mnemon.runtime.owner._PAUSE", 0.05)
    with load(folder) as model:
        ask(model, [SYSTEM], "Hello", "c1")
        for _ in range(100):
            if any(folder.glob("*.session")):
                break
            time.sleep(0.02)
        else:
            pytest.fail("nothing was written")


def test_a_cache_of_another_model_is_not_taken(folder):
    messages = [SYSTEM]
    with load(folder) as model:
        ask(model, messages, "Hello", "c1")
    other = folder.parent / "other.gguf"
    other.write_bytes(real_models.built_in().path.read_bytes() + b"\x00")
    with load(folder, other) as model:
        assert ask(model, messages, "Again", "c1").cached_tokens == 0
