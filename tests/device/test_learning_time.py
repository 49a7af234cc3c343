"""A lesson keeps to its time on a slow machine, and says so when there is too little."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from learning_model import FakeScorer, LearningModel, filled, learnable

from mnemon.errors import LearningError
from mnemon.learning.lesson import Budget, Lesson, Progress
from mnemon.learning.versions import Versions
from mnemon.memory.store import Store
from mnemon.runtime.adapters import Active
from mnemon.runtime.chat_model import ChatMessage

COUNT = 200


class SlowModel(LearningModel):
    """Takes ``pace`` seconds of a clock of its own for every answer that it scores."""

    def __init__(self, pace: float) -> None:
        super().__init__()
        self.pace, self.time = pace, 0.0

    def scorer(self, examples: Sequence[tuple[Sequence[ChatMessage], str]]) -> FakeScorer:
        made = super().scorer(examples)
        return SlowScorer(made.owner, made.answers)


class SlowScorer(FakeScorer):
    def scores(self, active: Active, which: Sequence[int] | None = None) -> list[np.ndarray]:
        found = super().scores(active, which)
        assert isinstance(self.owner, SlowModel)
        self.owner.time += self.owner.pace * len(found)
        return found


@pytest.fixture
def store() -> Iterator[Store]:
    with filled(learnable(COUNT)) as made:
        yield made


def slow_lesson(store: Store, model: SlowModel, *spaces: str) -> Lesson:
    general = learnable(24, seed=5)
    return Lesson(store, model, spaces=spaces or ("vector", "lora"), seed=1, general=general, now=lambda: model.time)  # type: ignore[arg-type]


@pytest.mark.parametrize("pace", [0.02, 0.1, 0.3])
def test_a_slow_machine_reads_less_and_still_takes_steps(store: Store, pace: float) -> None:
    model, told = SlowModel(pace), list[Progress]()
    found = slow_lesson(store, model).run(Budget(120.0), report=told.append)
    assert found.steps > 0 or "likelier" in found.reason
    assert max(progress.step for progress in told) > 0
    assert model.time < 1.1 * 120  # the step under way and the last look included
    learning = next(p for p in told if p.phase in ("choosing", "learning"))
    assert learning.seconds < 0.7 * 120


def test_too_little_time_for_a_proof_is_said_in_one_line_before_any_step(store: Store) -> None:
    model = SlowModel(2.0)
    with pytest.raises(LearningError, match=r"too short: this machine takes 2\.0 s") as caught:
        slow_lesson(store, model).run(Budget(120.0))
    assert "minutes" in caught.value.one_line()
    assert "\n" not in caught.value.one_line()
    assert model.time < 60
    assert not store.tuples("SELECT 1 FROM learning_lessons")


def test_the_time_it_names_suffices(store: Store) -> None:
    with pytest.raises(LearningError) as caught:
        slow_lesson(store, SlowModel(2.0)).run(Budget(120.0))
    minutes = int("".join(filter(str.isdigit, caught.value.hint)))
    told: list[Progress] = []
    slow_lesson(store, SlowModel(2.0)).run(Budget(60.0 * minutes), report=told.append)
    assert max(progress.step for progress in told) > 0


def test_a_lesson_that_is_stopped_while_it_reads_ends_there(store: Store) -> None:
    model, stop = SlowModel(0.3), threading.Event()
    stop.set()
    found = slow_lesson(store, model).run(Budget(600.0), stop=stop)
    assert (found.accepted, found.steps) == (False, 0)
    assert "stopped" in found.reason
    assert model.evaluations == 1
    assert Versions(store).active(model.base_sha256()).version is None


def test_what_was_not_tested_is_no_look_at_what_is_held_out(store: Store) -> None:
    model = SlowModel(0.0)
    slow_lesson(store, model, "vector").run(Budget(600.0, evaluations=1))
    first = Versions(store).book.reports()[0][1]
    assert first["judged"] is False
    assert first["examples"]
    slow_lesson(store, model, "vector").run(Budget(600.0, evaluations=200))
    assert Versions(store).book.reports()[1][1]["level"] == pytest.approx(0.05 * 6 / np.pi**2)
