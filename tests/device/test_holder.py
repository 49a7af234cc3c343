"""The model in use: loaded once, replaced on request, never left behind."""

from __future__ import annotations

import pytest

from mnemon.errors import ModelError
from mnemon.runtime.holder import ModelHolder
from mnemon.runtime.scripted import ScriptedModel


def test_a_model_that_is_loaded_while_the_program_ends_is_closed_again() -> None:
    loaded: list[ScriptedModel] = []

    def load(_name: str) -> ScriptedModel:
        loaded.append(ScriptedModel())
        holder.close()
        return loaded[-1]

    holder = ModelHolder(load, "first")
    with pytest.raises(ModelError, match="closed"):
        holder.use("second")
    with pytest.raises(ModelError, match="closed"):
        loaded[0].generate([])
    with pytest.raises(ModelError, match="closed"):
        holder.get()
    assert len(loaded) == 1
