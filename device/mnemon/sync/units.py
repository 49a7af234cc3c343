"""What has the system start the daemon at login and again when it ends: a systemd user unit, a launchd agent."""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mnemon.errors import DiskFullError, InputError, ReadOnlyError
from mnemon.paths import Home

Kind = Literal["systemd", "launchd"]
LABEL: Final = "org.mnemon.sync"
_KEPT: Final = ("MNEMON_PASSPHRASE_FILE", "PYTHON_KEYRING_BACKEND")
"""Variables a daemon started by the system needs to open the memory, when they are set now."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A file for the system, and what the owner does with it.

    Attributes:
        path: Where it belongs.
        text: What is in it.
        start: The command that starts the daemon now and at every login.
        stop: The command that ends that.
    """

    path: Path
    text: str
    start: str
    stop: str

    def write(self) -> None:
        """Put it in its place.

        Raises:
            DiskError: It cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(self.text, "utf-8")
        except OSError as error:
            kind = DiskFullError if error.errno in (28, 122) else ReadOnlyError  # ENOSPC, EDQUOT
            raise kind(f"{self.path} cannot be written: {error.strerror}.", hint="--print shows it.") from error


def here() -> Kind:
    """What this system has.

    Raises:
        InputError: Neither.
    """
    if sys.platform == "darwin":
        return "launchd"
    if sys.platform.startswith("linux"):
        return "systemd"
    raise InputError("This system has neither systemd nor launchd.", hint="Have it run at login: mnemon sync daemon")


def unit(kind: Kind, home: Home, *, person: Path | None = None) -> Unit:
    """The unit for the memory in ``home``.

    Args:
        kind: For which system.
        home: The owner's data.
        person: The owner's own folder.
    """
    person = person or Path.home()
    command = (sys.executable, "-m", "mnemon", "--home", str(home.root), "sync", "daemon")
    variables = {name: value for name in _KEPT if (value := os.environ.get(name))}
    if kind == "launchd":
        path = person / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        target = "gui/$(id -u)"
        return Unit(
            path,
            _plist(command, variables),
            f'launchctl bootstrap {target} "{path}"',
            f"launchctl bootout {target}/{LABEL}",
        )
    return Unit(
        person / ".config" / "systemd" / "user" / "mnemon-sync.service",
        _service(command, variables),
        "systemctl --user daemon-reload && systemctl --user enable --now mnemon-sync",
        "systemctl --user disable --now mnemon-sync",
    )


def _service(command: Sequence[str], variables: Mapping[str, str]) -> str:
    environment = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in variables.items())
    return (
        "[Unit]\n"
        "Description=Mnemon: questions that wait for the cloud\n"
        "\n"
        "[Service]\n"
        f"ExecStart={' '.join(map(_quoted, command))}\n"
        f"{environment}"
        "Restart=on-failure\n"
        "RestartSec=30\n"
        "Nice=10\n"
        "UMask=0077\n"
        "LimitCORE=0\n"
        "NoNewPrivileges=yes\n"
        "\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    )


def _quoted(word: str) -> str:
    """One word of a systemd command line: quoted, with nothing in it that systemd would replace."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _plist(command: Sequence[str], variables: Mapping[str, str]) -> str:
    content = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "EnvironmentVariables": dict(variables),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "ProcessType": "Background",
        "Umask": 0o077,
    }
    return plistlib.dumps(content).decode()
