"""Messages as version 1 wrote them: their bytes are kept, and later versions read and write them alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from hypothesis import given
from hypothesis import strategies as st

from mnemon_protos.v1 import answers_pb2, authorization_pb2, devices_pb2

GOLDEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "golden_v1.json").read_text("utf-8"))
FILES = (answers_pb2, authorization_pb2, devices_pb2)


def message_class(full_name: str) -> Any:
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(full_name))


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_kept_bytes_mean_and_give_the_same(name: str) -> None:
    kept = GOLDEN[name]
    raw = bytes.fromhex(kept["bytes"])
    message = message_class(kept["type"]).FromString(raw)
    assert json_format.MessageToDict(message, preserving_proto_field_name=True) == kept["fields"]
    assert message.SerializeToString(deterministic=True) == raw


def test_every_message_and_field_has_kept_bytes() -> None:
    """A new field without a golden message is noticed here: add one, never change those that exist."""
    covered = set()
    for kept in GOLDEN.values():
        collect(message_class(kept["type"]).FromString(bytes.fromhex(kept["bytes"])), covered)
    declared = set()
    for file in FILES:
        for name, message in file.DESCRIPTOR.message_types_by_name.items():
            declared |= {f"{name}.{field.name}" for field in message.fields}
    assert declared - covered == set()


def collect(message: Any, covered: set[str]) -> None:
    for field, value in message.ListFields():
        covered.add(f"{message.DESCRIPTOR.name}.{field.name}")
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                collect(part, covered)


@given(st.binary(max_size=127))
def test_unknown_fields_of_a_newer_version_survive(value: bytes) -> None:
    field_1007 = b"\xfa\x3e" + bytes([len(value)]) + value
    newer = answers_pb2.Question(max_tokens=7).SerializeToString() + field_1007
    parsed = answers_pb2.Question.FromString(newer)
    assert parsed.max_tokens == 7
    assert parsed.SerializeToString() == newer
