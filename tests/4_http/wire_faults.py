"""faults_app.py with workers that can be told to misbehave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
