"""Who else is there: processes that come at the same moment see each other all the same."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from mnemon.memory.locks import Presence

fcntl = pytest.importorskip("fcntl")


def test_who_comes_first_and_who_does_not(tmp_path: Path) -> None:
    first = Presence(tmp_path / "lock")
    second = Presence(tmp_path / "lock")
    assert (first.first, second.first) == (True, False)
    first.close()
    third = Presence(tmp_path / "lock")
    assert not third.first
    second.close()
    third.close()
    third.close()
    assert Presence(tmp_path / "lock").first


def test_one_that_comes_while_another_is_finding_out_is_there_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    finding_out = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(finding_out, fcntl.LOCK_EX)  # as the first one does, for a moment
    came: list[Presence] = []
    thread = threading.Thread(target=lambda: came.append(Presence(path)))
    thread.start()
    time.sleep(0.1)
    os.close(finding_out)
    thread.join()
    later = Presence(path)
    assert not later.first
    came[0].close()
    later.close()
