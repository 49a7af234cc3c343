"""What a bare machine is told: one line that names what to install, and nothing else happens."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NEEDED = ("sh", "dirname", "uname", "cmp", "cat", "pwd", "head", "tail", "tr", "rm")


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A checkout with nothing installed."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(repository / "scripts" / "setup.sh", folder / "scripts")
    shutil.copy(repository / "pyproject.toml", folder)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the barest tools only."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return folder


def program(folder: Path, name: str, text: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def setup(checkout: Path, tools: Path, what: str = "chat") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "scripts/setup.sh", what],
        cwd=checkout,
        env={"PATH": str(tools), "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


PYTHON = """case "$2" in
  *version_info*) exit {old};;
  *ensurepip*) exit {venv};;
  *sysconfig*) echo {headers};;
esac"""


@pytest.mark.parametrize(
    ("python", "others", "says"),
    [
        (None, ["cc", "c++"], "Python 3.11 or newer"),
        (PYTHON.format(old=1, venv=0, headers="/h/Python.h"), ["cc", "c++"], "Python 3.11 or newer"),
        (PYTHON.format(old=0, venv=1, headers="/h/Python.h"), ["cc", "c++"], "venv"),
        (PYTHON.format(old=0, venv=0, headers="/h/Python.h"), [], "compiler"),
        (PYTHON.format(old=0, venv=0, headers="/h/Python.h"), ["cc"], "compiler"),
        (PYTHON.format(old=0, venv=0, headers="/nowhere/Python.h"), ["cc", "c++"], "header"),
    ],
)
@pytest.mark.parametrize("manager", ["apt-get", "dnf", None])
def test_what_is_missing_is_named_in_one_line(
    checkout: Path, tools: Path, python: str | None, others: list[str], says: str, manager: str | None
) -> None:
    for name in [*others, *([manager] if manager else [])]:
        program(tools, name)
    if python:
        program(tools, "python3", python)
    done = setup(checkout, tools)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert says in line
    assert (manager or "Fedora") in line
    assert done.stdout == ""
    assert not (checkout / ".venv").exists()


def test_a_placeholder_python_that_fails_is_passed_over(checkout: Path, tools: Path) -> None:
    program(tools, "python3.13", "echo 'not this one' >&2; exit 127")
    program(tools, "python3", PYTHON.format(old=0, venv=1, headers="/h"))
    assert "venv" in setup(checkout, tools).stderr


def test_nothing_is_done_again_until_pyproject_or_the_folder_changes(checkout: Path, tools: Path) -> None:
    log = checkout / "ran"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program(checkout / ".venv" / "bin", "python", f'echo "$@" >>{log}')
    program(checkout / ".venv" / "bin", "mnemon")
    program(tools, "cp")

    def installs(what: str) -> bool:
        log.unlink(missing_ok=True)
        done = setup(checkout, tools, what)
        assert done.returncode == 0, done.stderr
        return log.exists() and "pip install -e" in log.read_text()

    assert installs("test")
    assert not installs("test")
    assert not installs("chat")
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("\n")
    assert installs("chat")
    assert not installs("chat")
    assert installs("test")


def test_an_environment_that_was_moved_is_made_anew(checkout: Path, tools: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program(checkout / ".venv" / "bin", "python")
    program(checkout / ".venv" / "bin", "mnemon")
    assert setup(checkout, tools).returncode == 0
    moved = checkout.rename(checkout.with_name("moved"))
    done = setup(moved, tools)
    assert done.returncode == 1
    assert "Python" in done.stderr  # it looks for a Python again, and this PATH has none


def test_a_failed_installation_shows_its_end_and_is_tried_again(checkout: Path, tools: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program(checkout / ".venv" / "bin", "mnemon")
    fails = 'case "$*" in *install*) echo "disk is full"; exit 1;; esac'
    program(checkout / ".venv" / "bin", "python", fails)
    for _ in range(2):
        done = setup(checkout, tools)
        assert done.returncode == 1
        assert "disk is full" in done.stderr
        assert "install.log" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "closing", "last"),
    [
        (0, "12 passed, 1 skipped in 3.21s", "4 passed in 9.87s"),
        (2, "1 failed, 11 passed in 3.21s", "1 failed, 11 passed in 3.21s"),
    ],
)
def test_ci_ends_with_the_closing_line_of_the_tests(
    tmp_path: Path, repository: Path, code: int, closing: str, last: str
) -> None:
    folder = tmp_path / "checkout"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(repository / ".ci" / "run", folder / ".ci")
    recipe = f"\t@echo linting\n\t@echo '======= {closing} ======='\n\t@exit {code}\n"
    (folder / "Makefile").write_text(f"test:\n{recipe}test-train:\n\t@echo '======= 4 passed in 9.87s ======='\n")
    nothing_to_install = tmp_path / "tools"
    nothing_to_install.mkdir()
    program(nothing_to_install, "apt-get", f"echo asked >{tmp_path}/asked")
    for name in ("tmux", "python3"):
        program(nothing_to_install, name)
    env = {**os.environ, "PATH": f"{nothing_to_install}:{os.environ['PATH']}"}
    done = subprocess.run([folder / ".ci" / "run"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert closing in done.stdout
    assert last in done.stdout.splitlines()[-1]
    assert not (tmp_path / "asked").exists()
