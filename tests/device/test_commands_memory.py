"""`mnemon memory` and `mnemon profile` on a real, encrypted memory."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from command_line import run as run_saying

from mnemon.errors import SettingsError

MNEMON = str(Path(sys.executable).with_name("mnemon"))


def run(*words: str, **more: Any) -> Result:
    return run_saying("Good.", *words, **more)


def as_json(*words: str, **more: Any) -> Any:
    told = run(*words, "--json", **more)
    assert told.exit_code == 0, told.stdout + told.stderr
    return json.loads(told.stdout)


@pytest.fixture
def biscuit() -> str:
    """The id of the fact that the dog is called Biscuit."""
    facts = as_json("memory", "add", "My dog is called Biscuit.")
    (fact,) = [one for one in facts if "Biscuit" in one["text"]]
    return str(fact["id"])


def test_an_empty_memory_says_so_and_is_no_error() -> None:
    assert as_json("memory", "list") == []
    assert as_json("memory", "search", "dog") == []
    told = run("memory", "list")
    assert (told.exit_code, told.stdout) == (0, "")
    assert "Nothing is known yet" in told.stderr


def test_what_was_told_is_found_shown_and_has_a_source(biscuit: str) -> None:
    found = as_json("memory", "search", "What is my dog called?")
    assert "Biscuit" in found[0]["text"]
    assert set(found[0]) >= {"id", "text", "kind", "score", "source"}
    fact = as_json("memory", "show", biscuit)
    assert fact["source"]["text"] == "My dog is called Biscuit."
    message = as_json("memory", "show", fact["source"]["id"])
    assert biscuit in [one["id"] for one in message["facts"]]
    conversation = as_json("memory", "show", message["conversation"])
    assert [one["id"] for one in conversation["messages"]] == [message["id"]]
    for name in (biscuit, message["id"], conversation["id"]):
        told = run("memory", "show", name)
        assert told.exit_code == 0
        assert "Biscuit" in told.stdout


def test_a_fact_put_right_holds_and_the_old_one_has_ended(biscuit: str) -> None:
    (new,) = as_json("memory", "edit", biscuit, "The user's dog is called Bramble.")
    assert new["origin"] == "owner"
    assert new["id"] != biscuit
    assert [one["id"] for one in as_json("memory", "list") if "dog" in one["text"]] == [new["id"]]
    old = as_json("memory", "show", biscuit)
    assert old["valid_to"]
    assert biscuit in [one["id"] for one in as_json("memory", "list", "--all")]
    assert "until" in run("memory", "show", biscuit).stdout
    assert any("Bramble" in one["text"] for one in as_json("memory", "search", "Bramble"))


def test_words_that_were_said_are_not_edited(biscuit: str) -> None:
    source = as_json("memory", "show", biscuit)["source"]["id"]
    told = run("memory", "edit", source, "My cat is called Biscuit.")
    assert told.exit_code == 2
    assert "forget" in told.stderr


@pytest.mark.parametrize("name", ["m999", "f999", "c999", "f" + "9" * 30])
@pytest.mark.parametrize("action", ["show", "forget"])
def test_what_is_not_there_is_not_found(name: str, action: str, biscuit: str) -> None:
    told = run("memory", action, name, *(["--yes"] if action == "forget" else []))
    assert told.exit_code == 4
    assert len(told.stderr.splitlines()) == 1


def test_a_dry_run_shows_what_would_go_and_changes_nothing(biscuit: str) -> None:
    run("memory", "add", "My sister Priya lives in Leeds.")
    for choice in (["--person", "biscuit"], ["--search", "dogs called"], [biscuit]):
        shown = as_json("memory", "forget", *choice, "--dry-run")
        assert biscuit in [line["id"] for line in shown["would_forget"]]
        assert shown["counts"]["messages"] == 1  # the message says nothing else
        assert not [line for line in shown["would_forget"] if line["id"][0] in "mf" and "Priya" in line["text"]]
    assert run("memory", "show", biscuit).exit_code == 0
    assert "Nothing was changed" in run("memory", "forget", "--since", "today", "--dry-run").stdout
    assert as_json("memory", "forget", "--before", "2020", "--dry-run")["would_forget"] == []
    assert biscuit in as_json("memory", "forget", "--person", "Biscuit", "--since", "today", "--yes")["forgotten"]
    assert run("memory", "show", biscuit).exit_code == 4
    assert "Priya" in run("memory", "list").stdout
    assert "Priya" in run("profile", "show").stdout  # its line told both, and is made anew from what is left


@pytest.mark.parametrize(
    "words",
    [[], ["m1", "--everything"], ["m1", "--person", "Jo"], ["--to", "2026", "--before", "2026"], ["--since", "soon"]],
)
def test_what_to_forget_has_to_be_plain(words: list[str]) -> None:
    assert run("memory", "forget", *words, "--yes").exit_code == 2


def test_rules_are_listed_and_applied(own_home: Path) -> None:
    run("memory", "add", "The doctor rang.")
    (own_home / "settings.toml").write_text('[memory.retention]\n"topic doctor" = 1\n', "utf-8")
    shown = as_json("memory", "retention")
    assert shown["rules"] == [{"rule": "topic doctor", "days": 1}]
    assert shown["due"][0]["would_forget"] == []
    (own_home / "settings.toml").write_text('[memory.retention]\n"topic doctor" = 0\n', "utf-8")
    assert run("memory", "retention").exit_code != 0
    (own_home / "settings.toml").write_text('[memory.retention]\n"weather" = 5\n', "utf-8")
    refused = run("ask", "Good morning")  # at once, not at some later turn
    assert refused.exit_code == SettingsError.exit_code
    assert "is no rule" in refused.stderr


def test_forgetting_needs_a_yes_and_is_for_good(biscuit: str, own_home: Path) -> None:
    source = as_json("memory", "show", biscuit)["source"]["id"]
    refused = run("memory", "forget", source)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert as_json("memory", "search", "Biscuit")
    assert set(as_json("memory", "forget", source, "--yes")["forgotten"]) >= {source, biscuit}
    assert as_json("memory", "search", "Biscuit") == []
    assert as_json("memory", "list", "--all") == []


def test_a_conversation_and_everything_can_be_forgotten() -> None:
    assert run("ask", "I like walking in the hills.").exit_code == 0
    assert run("ask", "I play the cello.").exit_code == 0
    first = as_json("memory", "list", "--conversations")[-1]["id"]
    assert run("memory", "forget", first, first, "--yes").exit_code == 0
    assert len(as_json("memory", "list", "--conversations")) == 1
    left = " ".join(one["text"] for one in as_json("memory", "search", "hills and cello"))
    assert "hills" not in left
    assert "cello" in left
    assert as_json("memory", "forget", "--everything", "--yes")["forgotten"]
    assert as_json("memory", "list", "--conversations") == []
    assert as_json("memory", "search", "cello") == []


def test_exported_and_imported_somewhere_else(biscuit: str, tmp_path: Path) -> None:
    path = tmp_path / "memories.jsonl"
    told = run("memory", "export", str(path))
    assert told.exit_code == 0, told.stderr
    assert "not encrypted" in told.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    other = ["--home", str(tmp_path / "other")]
    assert run(*other, "memory", "import", str(path)).exit_code == 0
    assert "Biscuit" in run(*other, "memory", "search", "dog").stdout


def test_an_encrypted_export_holds_no_word_of_it(
    biscuit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase, path = tmp_path / "phrase", tmp_path / "memories"
    phrase.write_text("four random words here\n")
    assert run("memory", "export", str(path), "--encrypt").exit_code == 2  # no passphrase, no terminal
    monkeypatch.setenv("MNEMON_PASSPHRASE_FILE", str(phrase))
    assert as_json("memory", "export", str(path), "--encrypt")["encrypted"] is True
    assert b"Biscuit" not in path.read_bytes()
    other = ["--home", str(tmp_path / "other")]
    told = run(*other, "memory", "import", str(path))
    assert told.exit_code == 0, told.stderr
    assert "Biscuit" in run(*other, "memory", "search", "dog").stdout


@pytest.mark.parametrize("words", [["import", "nowhere.json"], ["export", "/proc/nowhere/memories"]])
def test_files_that_cannot_be_used_are_exit_code_40(words: list[str]) -> None:
    told = run("memory", *words)
    assert told.exit_code in (30, 40)
    assert len(told.stderr.splitlines()) == 1


def test_stats_count_what_is_there(biscuit: str) -> None:
    numbers = as_json("memory", "stats")
    assert numbers
    assert run("memory", "stats").stdout.count("\n") == len(numbers)


def test_a_new_key_and_then_a_passphrase(
    biscuit: str, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (own_home / "memory.key").read_bytes()
    assert as_json("memory", "rekey") == {"key": "file"}
    assert (own_home / "memory.key").read_bytes() != before
    assert as_json("memory", "list")
    phrase = tmp_path / "phrase"
    phrase.write_text("four random words here\n")
    monkeypatch.setenv("MNEMON_NEW_PASSPHRASE_FILE", str(phrase))
    assert as_json("memory", "rekey", "--key", "passphrase") == {"key": "passphrase"}
    told = run("memory", "list")
    assert told.exit_code == 2  # no terminal to ask on
    monkeypatch.setenv("MNEMON_PASSPHRASE_FILE", str(phrase))
    assert [one["id"] for one in as_json("memory", "list")] == [biscuit]
    checks = {one["name"]: one for one in json.loads(run("doctor", "--json").stdout)["checks"]}
    assert checks["key"]["found"] == "behind a passphrase"
    assert checks["memory"]["state"] == "ok"
    phrase.write_text("some other words here\n")
    assert run("memory", "list").exit_code == 20


def test_the_profile_is_shown_and_edited_by_hand(biscuit: str) -> None:
    (line,) = [one for one in as_json("profile", "add", "Prefers short answers.") if one["by_hand"]]
    lines = as_json("profile", "refresh")
    assert line["id"] in [one["id"] for one in lines]
    edited = as_json("profile", "edit", str(line["id"]), "Prefers very short answers.")
    assert "Prefers very short answers." in [one["text"] for one in edited]
    assert "very short" in run("profile", "show").stdout
    left = as_json("profile", "edit", str(line["id"]), "--remove")
    assert line["id"] not in [one["id"] for one in left]
    assert run("profile", "edit", "999", "x").exit_code == 4


def test_two_processes_at_once_both_remember(own_home: Path) -> None:
    both = [
        subprocess.Popen([MNEMON, "memory", "add", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for words in ("My dog is called Biscuit.", "My cat is called Misty.")
    ]
    for one in both:
        _, errors = one.communicate(timeout=60)
        assert one.returncode == 0, errors
    said = " ".join(found["text"] for found in as_json("memory", "list"))
    assert "Biscuit" in said
    assert "Misty" in said


def test_a_conflict_is_listed_shown_and_settled() -> None:
    first = as_json("memory", "add", "My birthday is on 3 May.")[0]["id"]
    second = as_json("memory", "add", "My birthday is on 5 May.")[0]["id"]
    (conflict,) = as_json("memory", "list", "--conflicts")
    assert (conflict["older"]["id"], conflict["newer"]["id"]) == (first, second)
    assert as_json("memory", "show", first)["conflicts"] == [conflict]
    assert run("memory", "settle", conflict["id"], "f99").exit_code == 2
    assert as_json("memory", "settle", conflict["id"], second) == {"settled": conflict["id"], "holds": second}
    assert as_json("memory", "list", "--conflicts") == []
    assert [fact["id"] for fact in as_json("memory", "list")] == [second]


def test_lists_of_their_own_are_not_mixed_and_may_be_empty() -> None:
    assert as_json("memory", "list", "--episodes") == []
    assert run("memory", "list", "--episodes", "--conflicts").exit_code == 2
    assert run("memory", "show", "e1").exit_code != 0
