"""Being asked whether words may leave, with the keys that people press instead of an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from at_a_terminal import at_a_terminal
from command_line import command
from real_cloud import enrolled, real_cloud

from mnemon.memory.memory import Memory
from mnemon.paths import Home
from mnemon.privacy.ledger import Ledger
from mnemon.settings import MemorySettings


@pytest.mark.parametrize("keys", [b"\x03", b"\x04", b"mayb\x03"], ids=["Ctrl-C", "Ctrl-D", "Ctrl-C in the middle"])
def test_keys_that_end_a_program_end_the_question_and_nothing_leaves(
    own_home: Path, tmp_path: Path, keys: bytes
) -> None:
    with real_cloud(tmp_path) as cloud:
        with Memory.open(Home(own_home), MemorySettings(key="file")) as memory:
            enrolled(memory.store, cloud)
        words = command("cloud", "ask", "What is a heat pump?", script="From here.")
        seen = at_a_terminal(*words, keys=keys, code=130)
        assert "Traceback" not in seen
        assert "Exception" not in seen
        assert cloud.seen == []
        with Memory.open(Home(own_home), MemorySettings(key="file")) as memory:
            assert Ledger(memory.store).entries() == []
            (question, answer) = memory.store.rows("SELECT status FROM messages ORDER BY id")
            assert (question["status"], answer["status"]) == ("complete", "stopped")
