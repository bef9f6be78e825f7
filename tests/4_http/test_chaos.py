"""Workers that are killed and replaced under load: what fails was inside a killed one."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wire import eventually
from wire_chaos import KINDS, Kill, Load, children, kill
from wire_cluster import Cluster, cluster

APP = str(Path(__file__).with_name("chaos_app.py"))
SEED = int(os.environ.get("CELLO_CHAOS_SEED", "1"))
MODES = ("sync", "async")


def everybody_is_answered(load: Load) -> None:
    check = load.more(1)
    eventually(lambda: check() or load.has_gone_wrong(), "an answer to everybody")
    assert not load.has_gone_wrong(), load.summary([])


@contextmanager
def loaded(backend: str, mode: str, workers: int = 2) -> Iterator[tuple[Cluster, Load]]:
    kinds = (*KINDS, "later", "later") if mode == "async" else KINDS
    with cluster(APP, str(workers), mode, CELLO_BACKEND=backend) as program:
        load = Load(program.address(), SEED, kinds)
        with load:
            everybody_is_answered(load)
            yield program, load
            everybody_is_answered(load)
        assert program.stop() == 0


def reload(program: Cluster, times: int) -> None:
    for _ in range(times):
        program.send_signal(signal.SIGHUP)
        program.expect("all workers have been replaced")


def kill_at_random(
    program: Cluster, times: int, seconds: float, reloads: bool = True
) -> list[Kill]:
    """At least so often and so long; any process, also one that starts or drains."""
    chance = random.Random(SEED)
    kills: list[Kill] = []
    end = time.monotonic() + seconds
    while len(kills) < times or time.monotonic() < end:
        time.sleep(chance.uniform(0, 0.4))
        if reloads and chance.random() < 0.3:
            program.send_signal(signal.SIGHUP)
            time.sleep(chance.uniform(0, 0.4))
        alive = children(program.pid)
        killed = kill(chance.choice(alive)) if alive else None
        if not killed:
            continue
        # One that drained may have been quicker.
        how = program.expect(rf"\(pid {killed.pid}\) (was killed by signal 9|has ended)")[1]
        if "killed" in how:
            kills.append(killed)
    return kills


def judge(load: Load, kills: list[Kill]) -> None:
    print(load.summary(kills))
    assert not load.unexplained(kills), load.summary(kills)


@pytest.mark.parametrize("mode", MODES)
def test_kills_cost_only_what_was_inside(backend: str, mode: str) -> None:
    with loaded(backend, mode) as (program, load):
        kills = kill_at_random(program, 8, 4)
    judge(load, kills)


@pytest.mark.parametrize("mode", MODES)
def test_reloads_cost_nothing(backend: str, mode: str) -> None:
    with loaded(backend, mode) as (program, load):
        reload(program, 3)
    judge(load, [])
    assert not load.failures


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_a_minute_of_kills(backend: str, mode: str) -> None:
    with loaded(backend, mode, 3) as (program, load):
        kills = kill_at_random(program, 60, 60)
    judge(load, kills)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_fifty_reloads(backend: str, mode: str) -> None:
    with loaded(backend, mode) as (program, load):
        reload(program, 50)
    judge(load, [])
    assert not load.failures
