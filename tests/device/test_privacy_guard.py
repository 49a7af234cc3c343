"""The one door out: what would leave, whether it may, and the commands that show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import run

from mnemon.errors import InputError, NotFoundError, SettingsError
from mnemon.evaluation import redaction
from mnemon.memory.memory import Memory
from mnemon.privacy.consent import Consent
from mnemon.privacy.guard import Context, Guard
from mnemon.privacy.ledger import Ledger
from mnemon.settings import PrivacySettings


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary() as opened:
        for told in (
            "The user's sister is called Hope Ferrer and lives in Leiden.",
            "The user works for Halden Marine.",
            "The user likes Miles Davis.",
        ):
            opened.facts.add(told, origin="owner")
        yield opened


def leaves(memory: Memory, text: str) -> str:
    return Guard(memory).prepare(text).text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hope lives in LEIDEN.", "[PERSON_1] lives in [PLACE_1]."),
        ("I hope it rains. Hope you do too.", "I hope it rains. Hope you do too."),
        ("ferrer's boat, and halden marine", "[PERSON_1]'s boat, and [ORG_1]"),
        ("Play Miles Davis in France", "Play Miles Davis in France"),
        ("My friend Tove said so. Tove was sure.", "My friend [PERSON_1] said so. [PERSON_1] was sure."),
    ],
)
def test_what_would_leave(memory: Memory, text: str, wanted: str) -> None:
    outgoing = Guard(memory).prepare(text)
    assert outgoing.text == wanted
    assert outgoing.restorer.restore(outgoing.text) == text
    assert outgoing.data == wanted.encode()


def test_what_is_told_later_is_known_at_once(memory: Memory) -> None:
    guard = Guard(memory)
    assert guard.prepare("Is Quill a name?").text == "Is Quill a name?"
    memory.facts.add("The user's son is called Quill.", origin="owner")
    assert guard.prepare("Is Quill a name?").text == "Is [PERSON_1] a name?"


def test_a_conversation_keeps_its_placeholders(memory: Memory) -> None:
    guard, context = Guard(memory), Context()
    assert guard.prepare("Hope is well", context).text == "[PERSON_1] is well"
    again = guard.prepare("Ferrer and Hope", context)
    assert again.text == "[PERSON_2] and [PERSON_1]"
    assert again.restorer.restore("[PERSON_1] [PERSON_2]") == "Hope Ferrer"


def test_what_never_leaves_is_cut_and_said(memory: Memory) -> None:
    guard = Guard(memory)
    outgoing = guard.prepare("Was 4111 1111 1111 1111 stolen?")
    assert "4111" not in outgoing.text
    assert outgoing.notes == ("A card number was cut out: those never leave.",)
    assert guard.prepare("4111 1111 1111 1111").decision.answer == "refuse"
    with pytest.raises(InputError):
        guard.prepare("  ")


def test_health_leaves_only_when_allowed(memory: Memory) -> None:
    text = "I was diagnosed with epilepsy, may I drive?"
    assert "epilepsy" not in Guard(memory).prepare(text).text
    assert Guard(memory, PrivacySettings(health=True)).prepare(text).text == text


def test_modes(memory: Memory) -> None:
    clock = [datetime(2026, 3, 1, tzinfo=UTC)]
    memory.now = lambda: clock[0]
    guard = Guard(memory, PrivacySettings())
    assert guard.prepare("a recipe for soup").decision.answer == "ask"
    permission = guard.consent.allow("cooking, soup recipe", timedelta(hours=2))
    assert guard.prepare("a recipe for soup").decision.answer == "send"
    assert guard.prepare("a recipe for disaster").decision.answer == "ask"
    assert guard.prepare("my password is hunter2x, a soup recipe?").decision.answer == "ask"
    clock[0] -= timedelta(hours=1)  # a clock set back does not lengthen it
    assert guard.prepare("a recipe for soup").decision.answer == "ask"
    clock[0] += timedelta(hours=3)
    assert guard.prepare("a recipe for soup").decision.answer == "ask"
    with pytest.raises(NotFoundError):
        guard.consent.withdraw(permission.id)
    assert Guard(memory, PrivacySettings(mode="never")).prepare("soup").decision.answer == "refuse"


@pytest.mark.parametrize(("topic", "days"), [("the", 1), ("soup,", 1), ("soup", 0), ("soup", 91)])
def test_permissions_that_cannot_be_given(memory: Memory, topic: str, days: int) -> None:
    with pytest.raises(InputError):
        Consent(memory.store).allow(topic, timedelta(days=days))


def test_an_unknown_mode_stops(memory: Memory) -> None:
    with pytest.raises(SettingsError, match=r"privacy\.mode"):
        Consent(memory.store, "always")


def test_the_preview_shows_both_texts(own_home: Path) -> None:
    shown = run("x", "privacy", "preview", "My sister Ines has ines@post.example")
    assert shown.exit_code == 0
    assert "My sister [PERSON_1] has [EMAIL_1]" in shown.output
    assert "ask: You are asked each time." in shown.output
    found = json.loads(run("x", "privacy", "preview", "--json", "My sister Ines").output)
    assert found["outgoing"] == "My sister [PERSON_1]"
    assert found["replaced"] == [{"placeholder": "[PERSON_1]", "value": "Ines", "kind": "person", "known": False}]


def test_the_mode_is_set_and_topics_come_and_go(own_home: Path) -> None:
    assert json.loads(run("x", "privacy", "mode", "never", "--json").output)["mode"] == "never"
    assert run("x", "privacy", "mode", "ask").exit_code == 0
    allowed = json.loads(run("x", "privacy", "mode", "allow", "--topic", "soup", "--for", "2h", "--json").output)
    assert [one["topic"] for one in allowed["permissions"]] == ["soup"]
    assert json.loads(run("x", "privacy", "preview", "--json", "soup?").output)["decision"] == "send"
    gone = run("x", "privacy", "mode", "--withdraw", str(allowed["permissions"][0]["id"]), "--json")
    assert json.loads(gone.output)["permissions"] == []
    for wrong in (["allow"], ["allow", "--topic", "soup", "--for", "ever"], ["ask", "--topic", "soup"]):
        assert run("x", "privacy", "mode", *wrong).exit_code == 2


def test_the_ledger_on_the_command_line(own_home: Path, tmp_path: Path) -> None:
    from command_line import app_saying

    with app_saying("x").assistant() as assistant:
        Ledger(assistant.memory.store).add("Is [PERSON_1] well?", recipient="cloud", placeholders=["[PERSON_1]"])
    assert "Is [PERSON_1] well?" in run("x", "privacy", "ledger").output
    verdict = json.loads(run("x", "privacy", "ledger", "--verify", "--json").output)
    assert verdict["ok"]
    assert run("x", "privacy", "ledger", "--verify", "--noted", verdict["head"]).exit_code == 0
    assert run("x", "privacy", "ledger", "--verify", "--noted", "1:" + "0" * 64).exit_code == 1
    assert run("x", "privacy", "ledger", "--export", str(tmp_path / "out.jsonl")).exit_code == 0
    assert run("x", "privacy", "ledger", "--noted", verdict["head"]).exit_code == 2


def test_the_evaluation_counts_what_left_and_what_stayed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"text": "Quill sat. Orla too.", "memory": ["The user's son is called Quill."],
         "private": [{"value": "Quill", "class": "person", "known": True},
                     {"value": "Orla", "class": "person", "known": False}], "keep": ["sat", "stood"]},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    figures = redaction.run(path)
    assert (figures["removed"], figures["known"], figures["by_pattern"], figures["kept"]) == (0.5, 1.0, 0.0, 0.5)
    assert figures["exact"] == 1.0
