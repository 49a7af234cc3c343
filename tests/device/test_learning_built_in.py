"""Lessons on the model that comes with Mnemon: a real kill, and labels that teach nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import real_models

from mnemon.evaluation import owners
from mnemon.learning.examples import Example, Examples
from mnemon.learning.journal import Header, Move
from mnemon.learning.lesson import Budget, Lesson
from mnemon.learning.spaces.making import described, make
from mnemon.learning.spaces.space import Shape
from mnemon.learning.versions import Versions
from mnemon.memory.store import Store
from mnemon.runtime.chat_model import Sampling
from mnemon.runtime.worker import LocalModel

pytestmark = pytest.mark.slow

KEY = b"k" * 32
KILLED_AT = 5
HOURS = 3600.0
"""More than any machine needs: what ends these lessons is how much they measure, not how fast."""

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import real_models
from mnemon.learning.lesson import Budget, Lesson
from mnemon.memory.store import Store
from mnemon.runtime.chat_model import Sampling
from mnemon.runtime.worker import LocalModel

def told(progress):
    print(progress.phase, progress.step, flush=True)

with Store.open(Path(sys.argv[1]), b"k" * 32) as store:
    with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model:
        Lesson(store, model, spaces=["vector"], seed=1).run(Budget(36000.0), report=told)
"""


def prepared(store: Store, count: int = 32) -> None:
    store.execute("INSERT INTO secrets (name, value) VALUES ('learning split', ?)", (b"s" * 32,))
    for example in owners.build("formal", train=count).train:
        Examples(store).add(example)


def with_a_version(store: Store, model: LocalModel) -> bytes:
    """Version 1 is in use; its theta."""
    shape, versions = Shape.of(model), Versions(store)
    space = make("vector", shape)
    page = versions.book.begin(Header(shape.base, space.name, space.size, 0.5, (), described(space, shape)))
    page.write(Move((0.01, -0.01), ()))
    versions.accept(page.id, {"space": space.name})
    return versions.state(1)[1].tobytes()


def steps_of(store: Store) -> list[bytes]:
    return [
        row[0]
        for row in store.tuples(
            "SELECT s.record FROM learning_steps AS s JOIN learning_lessons AS l ON l.id = s.lesson_id"
            " WHERE l.continues = 1 ORDER BY s.number"
        )
    ]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is for POSIX")
def test_a_killed_lesson_goes_on_where_it_was_and_the_version_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    with (
        Store.open(path, KEY) as store,
        LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model,
    ):
        prepared(store)
        before = with_a_version(store, model)
        base = model.base_sha256()
    here = str(Path(__file__).parent)
    lesson = subprocess.Popen([sys.executable, "-c", PROGRAM, path, here], stdout=subprocess.PIPE, text=True)
    assert lesson.stdout is not None
    with lesson:
        for line in lesson.stdout:  # read as it goes: the kill comes while the next step is being measured
            if line.split() == ["learning", str(KILLED_AT)]:
                lesson.send_signal(signal.SIGKILL)
                break
        else:
            pytest.fail("the lesson ended by itself")
    assert lesson.returncode == -signal.SIGKILL

    with Store.open(path, KEY) as store:
        left = steps_of(store)
        assert len(left) >= KILLED_AT  # what was reported as done is there
        versions = Versions(store)
        standing = versions.active(base)
        assert (standing.version, versions.state(1)[1].tobytes()) == (1, before)
        told: list[int] = []
        with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model:
            lesson_again = Lesson(store, model, spaces=["vector"], seed=2)
            found = lesson_again.run(Budget(HOURS, evaluations=60), report=lambda p: told.append(p.step))
        assert max(told) > KILLED_AT
        assert next(step for step in told if step) > KILLED_AT  # it did not begin anew
        if found.steps:
            assert steps_of(store)[:KILLED_AT] == left[:KILLED_AT]
        standing = versions.active(base)
        assert standing.version == (found.version or 1)
        assert versions.state(1)[1].tobytes() == before


def test_shuffled_preferences_teach_nothing(tmp_path: Path) -> None:
    """Both answers of a pair are the model's own, at temperature 1, and which is wanted is drawn by lot.

    Of a person's answers that would not do: whichever are wanted, a lesson can make them all likelier.
    """
    chance = np.random.default_rng(3)
    with (
        Store.open(tmp_path / "memory.db", KEY) as store,
        LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model,
    ):
        store.execute("INSERT INTO secrets (name, value) VALUES ('learning split', ?)", (b"s" * 32,))

        def said(one: Example, seed: int) -> str:
            sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, seed=seed)
            return "".join(piece.text for piece in model.generate(one.prompt, max_tokens=16, sampling=sampling))

        for number, one in enumerate(owners.build("formal", train=32).train):
            pair = [said(one, 2 * number), said(one, 2 * number + 1)]
            chance.shuffle(pair)
            if all(text.strip() for text in pair):
                Examples(store).add(replace(one, chosen=pair[0], rejected=pair[1]))
        lesson = Lesson(store, model, spaces=["vector"], objective="preference", seed=4)
        found = lesson.run(Budget(HOURS, evaluations=120))
        assert not found.accepted, found.reason
        assert Versions(store).active(model.base_sha256()).version is None


def test_a_tenth_of_garbage_never_makes_clean_answers_worse() -> None:
    """Mashed keys, which a lesson leaves out, and the words of real answers backwards, which pass for language."""
    chance = np.random.default_rng(5)
    owner = owners.build("formal", train=60, held_out=16)
    with (
        Store.open(None, KEY) as store,
        LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model,
    ):
        store.execute("INSERT INTO secrets (name, value) VALUES ('learning split', ?)", (b"s" * 32,))
        for number, one in enumerate(owner.train):
            if number % 10 == 3:
                mashed = "".join(chance.choice(list("asdfghjkl;"), size=40))
                backwards = " ".join(reversed(one.chosen.split()))
                one = replace(one, chosen=mashed if number % 20 == 3 else backwards)
            Examples(store).add(one)
        found = Lesson(store, model, spaces=["vector"], seed=6).run(Budget(HOURS, evaluations=80))
        adapters = Versions(store).active(model.base_sha256()).adapters
        with model.scorer([(one.prompt, one.chosen) for one in owner.held_out]) as scorer:
            after, before = (-float(np.concatenate(scorer.scores(active)).mean()) for active in (adapters, ()))
        assert after < before if found.accepted else not adapters, found.reason
