"""Asking from a shell: words in and out as they come, Ctrl-C, closed pipes, lines on standard input.

Whatever concerns streams and signals runs in real processes; the model is scripted, everything else is real.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import LONG_ANSWER, command, process, run

from mnemon.errors import ModelError
from mnemon.runtime.scripted import Scripted


def saved_answer() -> dict[str, Any]:
    """The last message of the newest conversation."""
    found = json.loads(run("-", "memory", "list", "--conversations", "--json").stdout)
    return json.loads(run("-", "memory", "show", found[0]["id"], "--json").stdout)["messages"][-1]


def test_json_has_the_promised_keys() -> None:
    told = run("That is good to hear.", "ask", "I like walking in the hills.", "--json", "--local")
    assert told.exit_code == 0, told.stderr
    said = json.loads(told.stdout)
    assert {"answer", "route", "recalled", "timing"} <= set(said)
    assert said["answer"] == "That is good to hear."
    assert said["route"] == "local"
    assert set(said["timing"]) == {
        "load_ms",
        "recall_ms",
        "first_token_ms",
        "total_ms",
        "prompt_tokens",
        "cached_tokens",
        "answer_tokens",
    }
    again = json.loads(run("Hills are lovely.", "ask", "Where do I like walking?", "--json").stdout)
    first = again["recalled"][0]
    assert set(first) >= {"id", "text", "kind", "score", "source"}
    assert first["source"]["text"] == "I like walking in the hills."


def test_words_come_from_the_argument_or_from_standard_input() -> None:
    for words, data in ([["ask", "Good morning"], ""], [["ask", "-"], "Good\nmorning\n"], [["ask"], "Good morning"]):
        told = run("Good morning to all.", *words, input=data)
        assert told.stdout == "Good morning to all.\n"
        assert told.stderr == ""


def test_nothing_that_was_said_or_told_steers_the_terminal() -> None:
    told = run("Right\x1b]0;mine\x07 then.", "ask", "Good\x1b[2J morning\x9b2J")
    listed = run("-", "memory", "search", "morning")
    shown = [run("-", "memory", "show", name) for name in ("m1", "c1")]
    as_json = run("-", "memory", "show", "m1", "--json")
    for done in (told, listed, *shown, as_json):
        assert done.exit_code == 0
        assert not {"\x1b", "\x07", "\x9b"} & set(done.stdout)
    assert "Right\ufffd]0;mine\ufffd then.\n" in told.stdout
    assert json.loads(as_json.stdout)["text"] == "Good\x1b[2J morning\x9b2J"


def test_new_conversations_and_continued_ones() -> None:
    for options in ([], ["--new"], ["--continue"], ["--continue"]):
        assert run("Right.", "ask", "Good morning", *options).exit_code == 0
    found = json.loads(run("-", "memory", "list", "--conversations", "--json").stdout)
    assert sorted(one["count"] for one in found) == [2, 6]
    assert run("Right.", "--home", os.environ["MNEMON_HOME"] + "2", "ask", "--continue", "Hello").exit_code == 0


def test_a_model_that_fails_is_one_line_and_the_words_are_kept() -> None:
    error = ModelError("The model broke.", hint="Choose another.")
    told = run([Scripted("It was a", fail=error)], "ask", "Tell me a story")
    assert told.exit_code == 10
    assert told.stderr == "mnemon: The model broke. Choose another.\n"
    found = json.loads(run("-", "memory", "search", "story", "--json").stdout)
    assert found[0]["text"] == "Tell me a story"


def test_every_line_gets_an_answer_and_a_bad_one_costs_only_itself() -> None:
    done = subprocess.run(
        command(script="Good."),
        input=b"one fine day\n\n\xff\xfe\nbi\0nary\nanother fine day\n" + b"x" * 1_000_000 + b"\nlast",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.decode().splitlines() == ["Good."] * 3
    errors = done.stderr.decode().splitlines()
    assert len(errors) == 3
    assert all(line.startswith("mnemon: ") for line in errors)
    assert done.returncode == 2


def test_no_lines_are_no_answers() -> None:
    done = subprocess.run(
        command(script="Good."), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_each_answer_comes_before_the_next_line_is_read() -> None:
    with process(command(script="Good.")) as talk:
        for line in (b"one fine day\n", b"another fine day\n"):
            talk.stdin.write(line)
            talk.stdin.flush()
            assert talk.stdout.readline() == b"Good.\n"
        talk.stdin.close()
        assert talk.wait(20) == 0


def test_words_are_shown_as_they_come() -> None:
    with process(command("ask", "Tell me a story", script=LONG_ANSWER, delay=0.05)) as talk:
        assert len(os.read(talk.stdout.fileno(), 1000)) < len(LONG_ANSWER) / 2
        talk.send_signal(signal.SIGINT)
        talk.wait(20)


@pytest.mark.parametrize("words", [["ask", "Tell me a story"], []])
def test_ctrl_c_ends_the_answer_and_keeps_it(words: list[str]) -> None:
    with process(command(*words, script=LONG_ANSWER, delay=0.05)) as talk:
        if not words:
            talk.stdin.write(b"Tell me a story\n")
            talk.stdin.flush()
        said = os.read(talk.stdout.fileno(), 1000)
        talk.send_signal(signal.SIGINT)
        rest, errors = talk.communicate(timeout=20)
        assert talk.returncode == 130, errors
        assert b"Traceback" not in errors
    kept = saved_answer()
    assert kept["status"] == "stopped"
    assert kept["text"].strip() == (said + rest).decode().strip()
    assert len(kept["text"]) < len(LONG_ANSWER)


def test_ctrl_c_with_json_prints_the_partial_answer() -> None:
    with process(command("ask", "Tell me a story", "--json", script=LONG_ANSWER, delay=0.05)) as talk:
        memory, end = Path(os.environ["MNEMON_HOME"]) / "memory.db", time.monotonic() + 30
        while not memory.exists() and time.monotonic() < end:  # before that Python itself may be interrupted
            time.sleep(0.02)
        time.sleep(0.5)
        talk.send_signal(signal.SIGINT)
        out, errors = talk.communicate(timeout=20)
    assert talk.returncode == 130, errors
    if out:  # on a slow machine the signal may come before the question was asked
        assert json.loads(out)["status"] == "stopped"


def test_a_reader_that_goes_away_is_no_complaint() -> None:
    with process(command("ask", "Tell me a story", script=LONG_ANSWER, delay=0.02)) as talk:
        os.read(talk.stdout.fileno(), 10)
        talk.stdout.close()
        errors = talk.stderr.read()
        assert talk.wait(20) == 141
        assert errors == b""
    assert saved_answer()["status"] == "stopped"


def test_killed_in_the_middle_of_an_answer_nothing_said_is_lost() -> None:
    with process(command("ask", "Tell me a story", script=LONG_ANSWER, delay=0.05)) as talk:
        os.read(talk.stdout.fileno(), 100)
        end = time.monotonic() + 1.2  # a growing answer is saved twice a second
        while time.monotonic() < end:
            os.read(talk.stdout.fileno(), 100)
        talk.kill()
        talk.wait(20)
    kept = saved_answer()
    assert kept["status"] == "stopped"
    assert kept["text"]
    assert LONG_ANSWER.startswith(kept["text"].strip())


def test_a_sign_of_life_on_a_terminal_only() -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        command("ask", "Good morning", script="Good."),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=env,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 1000).decode()
    os.close(ours)
    assert done.stdout == b"Good.\n"
    assert shown.startswith("Thinking …")
    assert shown.endswith("\r\x1b[K")


def test_what_is_asked_to_be_forgotten_goes_after_a_yes_on_a_terminal() -> None:
    subprocess.run(command("ask", "My dog is called Biscuit.", script="Noted."), check=True, capture_output=True)
    for said, there in (("no", True), ("yes", False)):
        ours, theirs = pty.openpty()
        asking = subprocess.Popen(
            command("ask", "forget what I told you about Biscuit", script="?"),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
        os.write(ours, f"{said}\n".encode())
        assert b"I can forget that." in asking.communicate(timeout=60)[0]
        os.close(ours)
        assert asking.returncode == 0
        found = subprocess.run(command("memory", "search", "Biscuit", script=""), check=False, capture_output=True)
        assert (b"My dog is called Biscuit." in found.stdout) == there
