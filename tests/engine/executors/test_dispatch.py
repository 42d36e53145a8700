"""Units in an order in which each finds what it needs, whoever makes them and whoever of these dies."""

import random

import pytest

from clbench.core.errors import LearnerError, StoppedError, WorkerError
from clbench.engine.executors.dispatch import TRIES, dispatch
from clbench.engine.executors.executor import Ended, Made, Watch
from clbench.engine.units import Unit


def unit(key, needs=None, weight=1):
    return Unit(key=key, spec=None, lesson=0, label=f"unit {key}", needs=needs, weight=weight)


def chains(num, length):
    """Return chains of units, all of which begin at one."""
    made = [unit("root")]
    for chain in range(num):
        for place in range(length):
            made.append(unit(f"{chain}.{place}", f"{chain}.{place - 1}" if place else "root"))
    return made


class Fake:
    """An executor that checks what it is given, and ends things in a random order; some of its workers die."""

    def __init__(self, slots, takes=1, seed=0, dies=lambda unit, tries: None, breaks=(), stops=False):
        self.slots, self.takes, self.stops = slots, takes, stops
        self.running, self.made, self.tries, self.halted = {}, [], {}, 0
        self.random, self.dies, self.breaks = random.Random(seed), dies, breaks

    def start(self, slot, units):
        assert slot not in self.running and slot < self.slots
        assert 1 <= len(units) <= self.takes
        done = {*self.made}
        for one in units:
            assert one.needs is None or one.needs in done, f"{one.key} before {one.needs}"
            done.add(one.key)
        self.running[slot] = units

    def ended(self, within_s):
        if not self.running:
            return []
        slot = self.random.choice(sorted(self.running))
        made = []
        for one in self.running.pop(slot):
            if self.halted and self.stops:
                break
            self.tries[one.key] = self.tries.get(one.key, 0) + 1
            again = self.dies(one, self.tries[one.key])
            if again is not None:
                return [Ended(slot, made, WorkerError("it is gone", where=one.label), again)]
            error = LearnerError("no") if one.key in self.breaks else None
            made.append(Made(one.key, error))
            if error is not None:
                break
            self.made.append(one.key)
        return [Ended(slot, made)]

    def halt(self):
        self.halted += 1

    def close(self):
        pass


def made_by(fake, units, watch=None):
    return dispatch(units, fake, watch or Watch(), 0, len(units))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("slots", "takes"), [(1, 1), (3, 1), (3, 2), (2, 100)])
def test_everything_is_made_once_and_in_order(slots, takes, seed):
    units = chains(4, 5)
    fake = Fake(slots, takes, seed)
    assert made_by(fake, units) == {}
    assert sorted(fake.made) == sorted(unit.key for unit in units)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("takes", [1, 3])
def test_any_worker_may_die(takes, seed, heard):
    deaths = random.Random(seed)
    fake = Fake(3, takes, seed, dies=lambda one, tries: True if tries < TRIES and deaths.random() < 0.4 else None)
    units = chains(4, 5)
    assert made_by(fake, units) == {}
    assert sorted(fake.made) == sorted(unit.key for unit in units)
    assert len(heard) == sum(fake.tries.values()) - len(units)


def test_one_that_kills_its_workers_is_given_up_and_what_hangs_on_it():
    fake = Fake(2, dies=lambda one, tries: True if one.key == "1.2" else None)
    failed = made_by(fake, chains(3, 5))
    assert failed.keys() == {"1.2", "1.3", "1.4"}
    assert fake.tries["1.2"] == TRIES
    assert len(fake.made) == 13
    fake = Fake(2, dies=lambda one, tries: False if one.key == "1.2" else None)
    assert made_by(fake, chains(3, 5)).keys() == {"1.2", "1.3", "1.4"}
    assert fake.tries["1.2"] == 1, "it ended by itself, and would again"


@pytest.mark.parametrize("takes", [1, 100])
def test_an_error_ends_its_own_chain_alone(takes):
    fake = Fake(2, takes, breaks=("0.1",))
    failed = made_by(fake, chains(3, 5))
    assert failed.keys() == {"0.1", "0.2", "0.3", "0.4"}
    assert {type(error) for error in failed.values()} == {LearnerError}
    assert len(fake.made) == 12


def test_what_runs_is_finished_when_the_work_is_stopped():
    fake, told = Fake(2), []
    watch = Watch(tell=told.append, pause=lambda: "2 hours are over" if len(fake.made) >= 4 else "")
    units = chains(3, 5)
    failed = made_by(fake, units, watch)
    assert len(fake.made) + len(failed) == len(units)
    assert 4 <= len(fake.made) <= 5, "two ran side by side"
    assert all(isinstance(error, StoppedError) and error.what == "2 hours are over" for error in failed.values())
    assert fake.halted == 1
    assert not fake.running
    kinds = [event.what for event in told]
    assert (kinds.count("began"), kinds.count("made"), kinds.count("left")) == (
        len(fake.made),
        len(fake.made),
        len(failed),
    )
    rest = [one for one in units if one.key in failed]
    again = Fake(2)
    again.made = list(fake.made)
    assert made_by(again, rest) == {}
    assert sorted(again.made) == sorted(one.key for one in units)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("after", [0, 1, 3])
def test_jobs_that_are_told_to_stop_before_their_first_unit_end_the_work(seed, after):
    units = chains(4, 3)
    fake = Fake(3, takes=100, seed=seed, stops=True)
    failed = made_by(fake, units, Watch(pause=lambda: "enough" if len(fake.made) >= after else ""))
    assert sorted([*fake.made, *failed]) == sorted(unit.key for unit in units)
    assert all(isinstance(error, StoppedError) for error in failed.values())
