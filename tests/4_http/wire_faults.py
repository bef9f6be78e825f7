"""faults_app.py with workers that can be told to misbehave, and a place with little memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wire import Address, Client, fetch, request
from wire_cluster import Cluster, cluster

APP = str(Path(__file__).with_name("faults_app.py"))


@contextmanager
def faulty(
    folder: Path, backend: str, *words: str, env: dict[str, str] | None = None, **config: object
) -> Iterator[Cluster]:
    """Two workers, unless `config`, a ClusterConfig's, says more."""
    text = json.dumps({"workers": 2, **config})
    with cluster(APP, str(folder), text, *words, CELLO_BACKEND=backend, **(env or {})) as program:
        yield program


def ask(address: Address, path: str = "/who") -> dict[str, int]:
    answer = fetch(address, request(path))
    assert answer.status == 200, answer
    said: dict[str, int] = answer.json()
    return said


def pids_of(address: Address, count: int = 2) -> dict[int, int]:
    """Worker ids and pids, asked on new connections until so many have answered."""
    found: dict[int, int] = {}
    for _ in range(1000):
        said = ask(address)
        found[said["worker"]] = said["pid"]
        if len(found) == count:
            return found
    raise AssertionError(f"only {found}")


def client_of(address: Address, worker_id: int) -> Client:
    """A connection to that worker."""
    for _ in range(1000):
        client = Client(address)
        if client.ask(request("/who")).json()["worker"] == worker_id:
            return client
        client.sock.close()
    raise AssertionError(f"worker {worker_id} never answers")


def own_group(controller: str) -> Path:
    """This process's place in the tree of control groups: cgroups(7), versions 1 and 2."""
    groups = dict(
        line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()
    )
    root = Path("/sys/fs/cgroup")
    if controller in groups:
        return root / controller / groups[controller].lstrip("/")
    return root / groups.get("", "/").lstrip("/")


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """A control group with `limit` bytes of memory, as containers have. Processes join it by
    writing to its cgroup.procs, and must have ended at the end."""
    group = own_group("memory") / f"cello-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control groups for tests: {error}")
    try:
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max")
        limits = [group / name for name in names if (group / name).exists()]
        if not limits:
            pytest.skip("the control groups do not limit memory")
        for file in limits:
            file.write_text(str(limit))
        yield group
    finally:
        group.rmdir()
