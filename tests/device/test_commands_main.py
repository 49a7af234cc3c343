"""The command line as a whole: options, errors as one line or one JSON document, settings, completion, doctor."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import select
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mnemon import errors
from mnemon.commands.app import App, read_passphrase
from mnemon.commands.main import cli
from mnemon.errors import InputError, MnemonError, SettingsError, WrongKeyError

MNEMON = str(Path(sys.executable).with_name("mnemon"))


def refusing(error: BaseException) -> App:
    """A command line whose assistant cannot be opened."""

    def opener(*_: Any, **__: Any) -> Any:
        raise error

    return App(opener=opener)


def run(*words: str, app: App | None = None, **more: Any) -> Result:
    return CliRunner().invoke(cli, list(words), obj=app or App(), prog_name="mnemon", **more)


def test_help_names_the_commands_and_unknown_ones_get_exit_code_2() -> None:
    helped = run("--help")
    assert helped.exit_code == 0
    assert "memory" in helped.stdout
    unknown = run("remeber")
    assert unknown.exit_code == 2
    assert "remeber" in unknown.stderr
    assert unknown.stdout == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["remeber"], "There is no command 'remeber'. See: mnemon --help"),
        (["memroy", "list"], "There is no command 'memroy'. Did you mean 'memory'? See: mnemon --help"),
        (["My dog is Rex."], "There is no command 'My dog is Rex.'. To ask or tell something: mnemon ask \"…\""),
        (["memory", "lst"], "No such command 'lst'. Did you mean 'list'? See: mnemon memory --help"),
        (["ask", "--jsno", "hi"], "No such option '--jsno'. Did you mean '--json'? See: mnemon ask --help"),
    ],
)
def test_a_mistyped_command_line_is_one_line(words: list[str], told: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"mnemon: {told}")


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"mnemon {version('mnemon')}\n"


@pytest.mark.parametrize(
    "kind", [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, MnemonError)]
)
def test_every_error_is_one_line_with_its_exit_code(kind: type[MnemonError]) -> None:
    app = refusing(kind("It\nbroke at 7.", hint="Mend it."))
    told = run("ask", "hello", app=app)
    assert told.exit_code == kind.exit_code
    assert told.stdout == ""
    assert told.stderr == "mnemon: It broke at 7. Mend it.\n"
    as_json = run("ask", "hello", "--json", app=app)
    assert as_json.exit_code == kind.exit_code
    error = json.loads(as_json.stdout)["error"]
    assert error == {"code": kind("").code, "message": "It\nbroke at 7.", "hint": "Mend it."}
    assert as_json.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 30, "No space"),
        (OSError(errno.EROFS, "Read-only file system"), 30, "Not allowed"),
        (PermissionError(errno.EACCES, "Permission denied", "memory.db"), 30, "memory.db"),
        (RuntimeError("the cat\nsat"), 1, "RuntimeError: the cat sat"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_errors_from_below_are_one_line_too(error: BaseException, code: int, says: str) -> None:
    told = run("ask", "hello", app=refusing(error))
    assert told.exit_code == code
    assert says in told.stderr
    assert len(told.stderr.splitlines()) <= 1
    assert "Traceback" not in told.stderr


def test_debug_shows_where_an_error_comes_from() -> None:
    told = run("--debug", "ask", "hello", app=refusing(WrongKeyError("No.", hint="Try again.")))
    assert told.exit_code == 20
    assert "Traceback" in told.stderr
    assert told.stderr.endswith("mnemon: No. Try again.\n")


def test_json_as_a_word_is_not_the_option() -> None:
    told = run("ask", "--", "--json", app=refusing(WrongKeyError("No.")))
    assert told.stdout == ""
    assert told.stderr == "mnemon: No.\n"


def test_a_wrong_command_line_is_json_when_json_was_asked_for() -> None:
    told = run("ask", "hello", "--json", "--colour")
    assert told.exit_code == 2
    assert json.loads(told.stdout)["error"]["code"] == "usage"


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["ask"], b""),
        (["ask", "-"], b"\xff\xfe\x00"),
        (["ask", ""], b""),
        (["ask"], b"x" * 1_000_000),
        (["memory", "add", "-"], b"a\0b"),
        (["memory", "search", "  "], b""),
        (["memory", "show", "12"], b""),
        (["memory", "show", "m-1"], b""),
        (["memory", "show", "x1"], b""),
        (["memory", "edit", "m1", "new words"], b""),
        (["memory", "forget"], b""),
        (["memory", "forget", "m1", "--everything"], b""),
        (["memory", "forget", "m1", "nonsense", "--yes"], b""),
    ],
)
def test_bad_input_is_refused_before_the_memory_is_opened(words: list[str], data: bytes) -> None:
    told = run(*words, app=refusing(AssertionError("opened")), input=data)
    assert told.exit_code == 2, told.stderr
    assert told.stderr.startswith("mnemon: ")
    assert len(told.stderr.splitlines()) == 1


def test_settings_are_listed_changed_and_checked(own_home: Path) -> None:
    assert json.loads(run("settings", "list", "--json").stdout)["model.threads"] == 0
    assert run("settings", "set", "model.threads", "2").exit_code == 0
    assert run("settings", "get", "model.threads").stdout == "2\n"
    assert run("settings", "set", "terminal.enter_sends", "no").exit_code == 0
    assert json.loads(run("settings", "get", "terminal.enter_sends", "--json").stdout) is False
    assert "model.threads            *  2" in run("settings", "list").stdout
    before = (own_home / "settings.toml").read_text("utf-8")
    for name, value in [
        ("model.threads", "many"),
        ("model.thread", "1"),
        ("modle.threads", "1"),
        ("threads", "1"),
        ("terminal.keymap", "x"),
    ]:
        told = run("settings", "set", name, value)
        assert told.exit_code == SettingsError.exit_code, name
    assert (own_home / "settings.toml").read_text("utf-8") == before


def test_a_settings_file_of_the_owners_own_hand_stays_whole(own_home: Path) -> None:
    own_home.mkdir()
    path = own_home / "settings.toml"
    path.write_text('[model]  # mine\nname = "built-in"\n\n[ terminal ]\ntheme = "nord"\n', "utf-8")
    assert run("settings", "set", "model.threads", "2").exit_code == 0
    assert run("settings", "set", "terminal.theme", "gruvbox").exit_code == 0
    assert path.read_text("utf-8") == (
        '[model]  # mine\nthreads = 2\nname = "built-in"\n\n[ terminal ]\ntheme = "gruvbox"\n'
    )
    path.write_text("model.threads = 4\n", "utf-8")
    told = run("settings", "set", "model.threads", "2")
    assert told.exit_code == SettingsError.exit_code
    assert path.read_text("utf-8") == "model.threads = 4\n"


def test_a_setting_the_environment_overrules_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNEMON_MODEL_THREADS", "4")
    assert "MNEMON_MODEL_THREADS" in run("settings", "set", "model.threads", "2").stderr
    assert run("settings", "get", "model.threads").stdout == "4\n"


def test_the_model_option_is_a_setting_for_one_run() -> None:
    assert run("--model", "other", "settings", "get", "model.name").stdout == "other\n"
    assert run("settings", "get", "model.name").stdout == "built-in\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str) -> None:
    script = run("completion", shell).stdout
    assert "_MNEMON_COMPLETE" in script


def test_completion_completes_commands() -> None:
    env = {**os.environ, "_MNEMON_COMPLETE": "bash_complete", "COMP_WORDS": "mnemon me", "COMP_CWORD": "1"}
    done = subprocess.run([MNEMON], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert "memory" in done.stdout


def test_doctor_looks_and_changes_nothing(own_home: Path) -> None:
    told = run("doctor", "--json")
    found = json.loads(told.stdout)
    assert {check["name"] for check in found["checks"]} >= {"mnemon", "data", "disk", "key", "memory", "model"}
    assert told.exit_code == (0 if found["ok"] else 1)
    assert not own_home.exists()


def test_doctor_says_where_the_command_is_when_no_shell_finds_it(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"ln -s {MNEMON} ~/.local/bin/" in run("doctor").stdout
    (tmp_path / "mnemon").symlink_to(MNEMON)
    assert "ln -s" not in run("doctor").stdout


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_doctor_says_how_to_close_what_others_can_read(own_home: Path, mode: int) -> None:
    own_home.mkdir(mode=0o700)
    session = own_home / "sessions" / "c1"
    session.parent.mkdir(mode=0o700)
    session.touch()
    session.chmod(mode)
    told = run("doctor")
    assert told.exit_code == 1
    assert f"chmod go-rwx {session}" in told.stdout
    assert stat.S_IMODE(session.stat().st_mode) == mode


def test_doctor_tells_of_broken_settings_and_a_lost_key(own_home: Path) -> None:
    own_home.mkdir(mode=0o700)
    (own_home / "settings.toml").write_text("[model]\nthread = 1\n")
    (own_home / "memory.db").write_bytes(os.urandom(4096))
    (own_home / "memory.db").chmod(0o600)
    checks = json.loads(run("doctor", "--json").stdout)["checks"]
    wrong = {check["name"]: check for check in checks if check["state"] == "problem"}
    assert "threads" in wrong["settings"]["advice"]
    assert "key" in wrong
    assert "mnemon" not in wrong


def test_doctor_tells_of_a_model_that_is_missing_or_cut_off(tmp_path: Path) -> None:
    from mnemon_models import built_in_model

    cut = tmp_path / "half.gguf"
    cut.write_bytes(built_in_model().read_bytes()[:1_000_000])
    for name in (str(cut), str(tmp_path / "nowhere.gguf"), "qwen9-900b"):
        told = run("--model", name, "doctor", "--json")
        wrong = {check["name"]: check for check in json.loads(told.stdout)["checks"] if check["state"] == "problem"}
        assert told.exit_code == 1
        assert wrong["model"]["advice"], name


def test_passphrases_come_from_a_file_and_never_from_a_closed_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(InputError, match="no terminal"):
        read_passphrase("Passphrase")
    path = tmp_path / "phrase"
    monkeypatch.setenv("MNEMON_PASSPHRASE_FILE", str(path))
    with pytest.raises(InputError, match="cannot be read"):
        read_passphrase("Passphrase")
    path.write_text("\n")
    with pytest.raises(InputError, match="empty"):
        read_passphrase("Passphrase")
    path.write_text("correct horse battery staple \n")
    assert read_passphrase("Passphrase") == "correct horse battery staple "


def test_a_passphrase_is_typed_twice_unseen() -> None:
    program = "from mnemon.commands.app import read_passphrase as r; print('GOT', r('Passphrase', confirm=True))"
    child, screen = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    shown = b""
    for prompt in (b"Passphrase: ", b"The same again: "):
        shown += _read_until(screen, prompt)
        os.write(screen, b"s3cret words\n")
    shown += _read_until(screen, b"GOT s3cret words")
    os.waitpid(child, 0)
    os.close(screen)
    assert shown.count(b"s3cret") == 1


def _read_until(screen: int, wanted: bytes) -> bytes:
    shown, end = b"", time.monotonic() + 20
    while wanted not in shown:
        assert select.select([screen], [], [], end - time.monotonic())[0], shown
        shown += os.read(screen, 1000)
    time.sleep(0.05)  # getpass switches the echo off right after it has asked
    return shown


def test_yes_is_needed_without_a_terminal() -> None:
    app = refusing(AssertionError("opened"))
    told = run("memory", "forget", "--everything", app=app)
    assert told.exit_code == InputError.exit_code
    assert "--yes" in told.stderr


def test_a_home_that_is_a_file_is_named(own_home: Path) -> None:
    own_home.write_text("a file")
    done = run("ask", "Good morning")
    assert done.exit_code == 30
    assert done.stderr.startswith(f"mnemon: {own_home} cannot be written. ")
    assert "set MNEMON_HOME" in done.stderr
