"""Copying, so that it also works over SSH and inside multiplexers.

OSC 52 asks the terminal itself and works over SSH, but nobody tells us whether it obeyed. A native tool gives an
answer, but only reaches the clipboard of the machine Mnemon runs on. So both are tried, and the owner is told which.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of one copy: the native tool that took it, if one did."""

    tool: str | None
    remote: bool

    def sentence(self, what: str) -> str:
        """One line for the owner."""
        if self.tool and not self.remote:
            return f"Copied {what} with {self.tool}."
        if self.tool:
            return f"Copied {what} with {self.tool}, and sent it to your terminal (OSC 52)."
        return f"Sent {what} to the terminal (OSC 52). Not in your clipboard? See docs/terminal.md."


def candidates(environ: Mapping[str, str], platform: str = sys.platform) -> list[list[str]]:
    """The native tools worth trying, best first, as command lines."""
    tools: list[list[str]] = []
    if platform == "darwin":
        tools.append(["pbcopy"])
    if platform == "win32" or "WSL_DISTRO_NAME" in environ:
        tools.append(["clip.exe"])
    if "WAYLAND_DISPLAY" in environ:
        tools.append(["wl-copy"])
    if "DISPLAY" in environ:
        tools += [["xclip", "-selection", "clipboard"], ["xsel", "--input", "--clipboard"]]
    if "TERMUX_VERSION" in environ:
        tools.append(["termux-clipboard-set"])
    if "TMUX" in environ:
        tools.append(["tmux", "load-buffer", "-w", "-"])  # -w: tmux also passes it on to its own terminal
    return tools


def copy_native(text: str, environ: Mapping[str, str] | None = None) -> Copied:
    """Give ``text`` to the first native tool that takes it; blocks for at most 2 s a tool."""
    environ = os.environ if environ is None else environ
    remote = "SSH_CONNECTION" in environ or "SSH_TTY" in environ
    for command in candidates(environ):
        path = shutil.which(command[0], path=environ.get("PATH"))
        if path is None:
            continue
        # clip.exe reads the console's code page unless it sees UTF-16
        data = text.encode("utf-16") if command[0] == "clip.exe" else text.encode()
        try:
            # Output goes nowhere: wl-copy and xclip stay behind as servers and would hold a pipe open.
            done = subprocess.run(  # noqa: S603 - a fixed list of programs, text on stdin
                [path, *command[1:]],
                input=data,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=2,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return Copied(command[0], remote)
    return Copied(None, remote)
