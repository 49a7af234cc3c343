"""Threads given up while other programs want the processor, and taken back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import real_models

from mnemon.runtime import crowding
from mnemon.runtime.crowding import Crowding
from mnemon.runtime.engine import Engine
from mnemon.runtime.vocabulary import Model


@dataclass
class Machine:
    """A clock, the processor time we had, and who else runs."""

    now: float = 100.0
    had: float = 0.0
    running: int = 1

    def crowding(self, most: int = 2, cores: int = 2) -> Crowding:
        return Crowding(
            most, clock=lambda: self.now, spent=lambda: self.had, running=lambda: self.running, cores=cores
        )

    def decode(self, told: Crowding, seconds: float, share: float) -> int:
        """Decode for so long in steps of 20 ms, getting so much of what the threads want."""
        threads = told.threads
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.had += 0.02 * share * told.threads
            threads = told.look(self.now)
        return threads


@pytest.fixture
def machine():
    return Machine()


def test_alone_it_uses_all_threads_for_good(machine):
    told = machine.crowding()
    assert told.begin() == 2
    assert machine.decode(told, 10, share=0.95) == 2


@pytest.mark.parametrize(("others", "cores", "threads"), [(1, 2, 1), (9, 2, 1), (1, 8, 7), (0, 8, 8), (3, 64, 8)])
def test_it_begins_with_the_threads_that_find_a_core(machine, others, cores, threads):
    machine.running = 1 + others
    assert machine.crowding(most=min(cores, 8), cores=cores).begin() == threads


def test_a_moments_noise_does_not_count(machine, monkeypatch):
    machine.running = 3
    monkeypatch.setattr(crowding.time, "sleep", lambda _: setattr(machine, "running", 1))
    assert machine.crowding().begin() == 2


def test_own_threads_that_still_spin_are_not_others(machine):
    told = machine.crowding()
    told.begin()
    machine.decode(told, 0.2, share=0.95)
    machine.now, machine.running = machine.now + 0.001, 2
    assert told.begin() == 2


def test_a_crowd_that_comes_during_an_answer_takes_threads_and_gives_them_back(machine):
    told = machine.crowding(most=4, cores=4)
    told.begin()
    machine.running = 5
    assert machine.decode(told, 0.06, share=0.2) == 2
    assert machine.decode(told, 0.06, share=0.2) == 1
    assert machine.decode(told, 10, share=0.9) == 1, "they are still there"
    machine.running = 1
    assert machine.decode(told, 10, share=0.9) == 4


def test_one_short_stretch_takes_nothing_unless_others_are_seen_at_work(machine):
    told = machine.crowding()
    told.begin()
    assert machine.decode(told, 0.06, share=0.2) == 2
    assert machine.decode(told, 0.96, share=0.95) == 2
    assert machine.decode(told, 0.06, share=0.2) == 2
    assert machine.decode(told, 0.06, share=0.2) == 1, "twice running it is no noise"


def test_taking_back_too_early_makes_the_next_time_later(machine):
    told = machine.crowding()
    told.begin()
    retried = []
    for _ in range(5000):  # 100 s; the machine looks free at every look, and is not
        before = told.threads
        if machine.decode(told, 0.02, share=0.2 if told.threads > 1 else 0.9) > before:
            retried.append(machine.now)
    gaps = [b - a for a, b in itertools.pairwise(retried)]
    assert gaps[0] < 3
    assert gaps[-1] > 20


def test_one_thread_asks_nobody():
    def fails():
        raise AssertionError

    told = Crowding(1, running=fails, cores=2)
    assert told.begin() == told.look(1e9) == 1


def test_what_the_machine_tells_is_a_number():
    assert crowding.runnable() >= 1


def test_the_engine_decodes_with_as_many_threads_as_it_is_told(monkeypatch):
    used = []
    with Model(real_models.built_in().path) as model, Engine(model, cells=256, threads=2) as engine:
        monkeypatch.setattr(engine._lib, "llama_set_n_threads", lambda _, one, many: used.append((one, many)))
        told, crowd = iter([1, 1, 2, 2, 1, 2]), engine._crowding

        def next_told(*_):
            crowd.threads = next(told)
            return crowd.threads

        monkeypatch.setattr(crowd, "begin", next_told)
        monkeypatch.setattr(crowd, "look", next_told)
        engine.decode(0, [300, 301])
        for token in (302, 303, 304, 305):
            engine.step(0, token)
    assert used == [(1, 1), (2, 2), (1, 1), (2, 2)]
