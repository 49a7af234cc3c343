"""Other programs' exports, as they really look: nulls, branches, tools, zips."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from no_embedder import NoEmbedder

from mnemon.errors import TransferError
from mnemon.memory import importers, reading
from mnemon.memory.memory import Memory
from mnemon.memory.transfer import import_file


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary(embedder=NoEmbedder()) as memory:  # type: ignore[arg-type]
        yield memory


def node(
    key: str, parent: str | None, role: str, parts: Any, *, at: float | None = 1_700_000_000.0, **more: Any
) -> dict[str, Any]:
    content = {"content_type": "text", "parts": parts} if isinstance(parts, list) else parts
    message = {"id": key, "author": {"role": role}, "create_time": at, "content": content, **more}
    return {"id": key, "parent": parent, "children": [], "message": message}


def chatgpt_conversation() -> dict[str, Any]:
    nodes = [
        {"id": "root", "parent": None, "children": ["sys"], "message": None},
        node("sys", "root", "system", [""], at=None),
        node("q1", "sys", "user", ["I keep bees."]),
        node("a1", "q1", "assistant", ["How nice."], metadata={"model_slug": "gpt-x"}),
        node("a1b", "q1", "assistant", ["Bees!"]),
        node("call", "a1", "assistant", {"content_type": "code", "text": "search()"}, recipient="browser"),
        node("tool", "call", "tool", ["a page"]),
        node("hidden", "tool", "user", ["about me"], metadata={"is_visually_hidden_from_conversation": True}),
        node(
            "q2",
            "hidden",
            "user",
            [None, {"content_type": "image_asset_pointer"}, "My queen is called Beatrix."],
            at=None,
        ),
        node("odd", "q2", "assistant", [None, ""]),
        {"id": "stray", "parent": "deleted", "children": [], "message": {"author": None, "content": None}},
    ]
    return {
        "title": "Bees",
        "create_time": 1_700_000_000.5,
        "conversation_id": "c-1",
        "current_node": "odd",
        "mapping": {entry["id"]: entry for entry in nodes},
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    return path


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "no export"),
        ([None], "no export"),
        ([{"mapping": 3}], "no export"),
        ([{"title": "x"}], "no export"),
        ([{"conversation": {"session_1": [{"text": "Hi"}]}, "sample_id": "s"}], "no date"),
        ([chatgpt_conversation(), {"chat_messages": [1], "uuid": "u"}], "not of the format chatgpt"),
        ([chatgpt_conversation(), "what"], "not of the format chatgpt"),
    ],
)
def test_what_is_no_export_says_so_and_imports_nothing(memory: Memory, tmp_path: Path, value: Any, says: str) -> None:
    with pytest.raises(TransferError, match=says):
        import_file(memory, write(tmp_path / "conversations.json", value))
    assert memory.stats()["messages"] == 0


def test_the_wrong_format_asked_for(memory: Memory, tmp_path: Path) -> None:
    path = write(tmp_path / "conversations.json", [chatgpt_conversation()])
    with pytest.raises(TransferError, match="no export of the format claude"):
        import_file(memory, path, format="claude")


def test_zip_without_conversations_half_zip_and_zip_bomb(memory: Memory, tmp_path: Path) -> None:
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("user.json", "{}")
    with pytest.raises(TransferError, match=r"no conversations\.json"):
        import_file(memory, empty)
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps([chatgpt_conversation()]))
    half = tmp_path / "half.zip"
    half.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(TransferError, match="not a whole zip"):
        import_file(memory, half)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("conversations.json", "w") as file:
        for _ in range(40):
            file.write(b" " * 1024**2)
    with pytest.raises(TransferError, match="far more than it should"):
        import_file(memory, bomb)
    assert memory.stats()["messages"] == 0


def test_a_value_longer_than_memory_allows(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_VALUE_CHARACTERS", 1000)
    long = chatgpt_conversation() | {"title": "x" * 600_000}
    with pytest.raises(TransferError, match="longer than"):
        import_file(memory, write(tmp_path / "conversations.json", [long]))


def test_chatgpt_keeps_branches_and_leaves_tools_out(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/conversations.json", json.dumps([chatgpt_conversation()]))
    done = import_file(memory, path)
    assert (done.format, done.conversations, done.messages) == ("chatgpt", 1, 4)
    talk = memory.messages.conversations()[0]
    shown = memory.messages.branch(talk.id)
    assert [m.text for m in shown] == ["I keep bees.", "How nice.", "[a picture]\nMy queen is called Beatrix."]
    assert [m.role for m in shown] == ["owner", "assistant", "owner"]
    assert shown[1].model == "gpt-x"
    assert [m.text for m in memory.messages.siblings(shown[1].id)] == ["How nice.", "Bees!"]
    assert shown[0].said_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert talk.title == "Bees"
    assert import_file(memory, path).messages == 0


def test_claude(memory: Memory, tmp_path: Path) -> None:
    value = [
        {
            "uuid": "c",
            "name": "Garden",
            "created_at": "2026-01-05T10:00:00.000000Z",
            "chat_messages": [
                {
                    "uuid": "1",
                    "sender": "human",
                    "text": "",
                    "content": [{"type": "text", "text": "I grow leeks."}],
                    "created_at": "2026-01-05T10:00:01Z",
                    "attachments": [{"file_name": "plan.pdf", "extracted_content": "…"}],
                },
                {
                    "uuid": "2",
                    "sender": "assistant",
                    "text": "Good.",
                    "content": [{"type": "tool_use", "name": "x"}],
                    "created_at": None,
                },
                {"uuid": "3", "sender": "system", "text": "?", "content": None},
                None,
                {"uuid": "4", "sender": "human", "text": "And kale.", "created_at": "2026-01-05T10:01:00Z"},
            ],
        },
        {"uuid": "e", "name": "", "chat_messages": []},
    ]
    done = import_file(memory, write(tmp_path / "conversations.json", value))
    assert (done.format, done.conversations, done.messages) == ("claude", 1, 3)
    shown = memory.messages.branch(memory.messages.conversations()[0].id)
    assert [(m.role, m.text) for m in shown] == [
        ("owner", "I grow leeks.\n[attached: plan.pdf]"),
        ("assistant", "Good."),
        ("owner", "And kale."),
    ]
    assert shown[1].said_at == datetime(2026, 1, 5, 10, 0, 1, tzinfo=UTC)


def test_locomo_sessions_speakers_and_photographs(memory: Memory, tmp_path: Path) -> None:
    sample = {
        "sample_id": "s-1",
        "qa": [],
        "conversation": {
            "speaker_a": "Ada",
            "speaker_b": "Bo",
            "session_2_date_time": "12:09 am on 13 September, 2023",
            "session_2": [{"speaker": "Bo", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a red kite"}],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ada", "dia_id": "D1:1", "text": "Hi"},
                {"speaker": "Bo", "dia_id": "D1:2", "text": "Hey"},
            ],
            "session_3_date_time": "1:56 pm on 8 May, 2024",
        },
    }
    path = write(tmp_path / "locomo.json", [sample, sample | {"sample_id": "s-2"}])
    with pytest.raises(TransferError, match="no sample s-9"):
        import_file(memory, path, sample="s-9")
    done = import_file(memory, path, sample="s-1")
    assert (done.conversations, done.messages) == (2, 3)
    rows = memory.store.rows("SELECT ref, speaker, role, text FROM messages ORDER BY id")
    assert [row["ref"] for row in rows] == ["D1:1", "D1:2", "D2:1"]
    assert {row["role"] for row in rows} == {"other"}
    assert rows[2]["text"] == "Look! [shares a photo: a red kite]"
    first, second = (m.said_at.astimezone() for m in memory.messages.many([1, 2]).values())
    assert (first.hour, first.minute, (second - first).seconds) == (13, 56, 1)


def test_the_real_locomo_file(memory: Memory, tmp_path: Path, shared_data: Path) -> None:
    done = import_file(memory, shared_data / "locomo-dev.json", sample="conv-26")
    assert done.messages == 419
    assert import_file(memory, shared_data / "locomo-dev.json", sample="conv-26").already_there == 419
    found = memory.store.rows("SELECT text, said_at FROM messages WHERE ref = 'D1:3'")
    assert "support group" in found[0]["text"]


_json = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(_json, min_size=1, max_size=5), size=st.integers(1, 40), indent=st.sampled_from([None, 1]))
def test_an_array_is_read_the_same_in_pieces_of_any_size(
    tmp_path: Path, values: list[Any], size: int, indent: int | None
) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    pieces = iter([text[i : i + size] for i in range(0, len(text), size)])
    try:
        text.decode()
    except UnicodeDecodeError:
        return
    assert list(reading._values(pieces, tmp_path, reading.Source(iter(()), sealed=False))) == values


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "root", "x"]),
        st.dictionaries(
            st.sampled_from(["parent", "message", "children"]),
            _json | st.sampled_from(["a", "b", "c", "root"]),
            max_size=3,
        ),
        max_size=5,
    ),
    st.fixed_dictionaries({}, optional={"title": _json, "create_time": _json, "current_node": _json}),
)
def test_no_tree_however_odd_breaks_the_reader(mapping: dict[str, Any], more: dict[str, Any]) -> None:
    for talk in importers.chatgpt({"mapping": mapping, **more}):
        keys = [turn.key for turn in talk.turns]
        assert len(keys) == len(set(keys))
        for number, turn in enumerate(talk.turns):
            assert turn.parent is None or turn.parent in keys[:number]
