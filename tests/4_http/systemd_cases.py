"""What docs/deployment.md says of systemd, with the units as they stand there.

test_systemd.py runs this file where systemd is process 1, as root, in a machine of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wire import Address, Client, eventually, fetch, request

ROOT = Path(__file__).parents[2]
UNITS = Path("/run/systemd/system")
SOCKET = "/run/shop/http.sock"
TCP = ("127.0.0.1", 8000)
TIMEOUT = 60  # this kernel takes its time


def documented(name: str) -> str:
    """The file of this name in the guide."""
    text = (ROOT / "docs/deployment.md").read_text()
    found = re.search(rf"`/etc/systemd/system/{name}`:\n\n```ini\n(.*?)```", text, re.DOTALL)
    assert found, name
    return found[1]


def systemctl(*words: str, fails: bool = False) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=120)
    assert (done.returncode != 0) == fails, (words, done.stdout, done.stderr)
    return done.stdout


def shown(name: str) -> str:
    return systemctl("show", "shop", "--property", name, "--value").strip()


def journal() -> str:
    command = ["journalctl", "--output=cat", "--unit=shop.service"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def install(service: str, *more: str) -> None:
    """The service, with settings in the section [Service] behind its own."""
    (UNITS / "shop.service").write_text(service)
    folder = UNITS / "shop.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text("\n".join(["[Service]", *more]))
    systemctl("daemon-reload")


@pytest.fixture(autouse=True)
def gone_afterwards() -> Iterator[None]:
    yield
    systemctl("stop", "shop.service")
    if (UNITS / "shop.socket").exists():
        systemctl("stop", "shop.socket")
        (UNITS / "shop.socket").unlink()
    subprocess.run(["systemctl", "reset-failed", "shop"], capture_output=True)


@pytest.fixture
def socket_unit() -> None:
    """The socket, and the service without a place of its own."""
    (UNITS / "shop.socket").write_text(documented("shop.socket"))
    service = documented("shop.service")
    assert "Environment=CELLO_UDS" in service
    install(re.sub("Environment=CELLO_UDS.*\n", "", service))


def who(address: Address) -> dict[str, int]:
    answer = fetch(address, request("/who"))
    assert answer.status == 200, answer
    said: dict[str, int] = answer.json()
    return said


def pids(address: Address) -> set[int]:
    return {who(address)["pid"] for _ in range(40)}


@contextmanager
def asked_all_the_time(address: Address) -> Iterator[list[int]]:
    """Connections one after the other, each of which must be answered: by whom."""
    answered: list[int] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answered.append(who(address)["pid"])
            except BaseException as error:  # told below
                errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()
    assert not errors, errors[:3]


def test_the_service() -> None:
    install(documented("shop.service"))
    systemctl("start", "shop")
    assert shown("ActiveState") == "active"
    assert shown("StatusText") == f"2 workers on unix:{SOCKET}"
    said = who(SOCKET)
    assert said["uid"] >= 61184, "not a dynamic user"
    before = pids(SOCKET)
    assert len(before) == 2
    with asked_all_the_time(SOCKET) as answered:
        systemctl("reload", "shop")
        eventually(lambda: bool(answered) and not before & set(answered[-8:]), "new ones", TIMEOUT)
    assert not before & pids(SOCKET)
    assert shown("NRestarts") == "0"
    systemctl("stop", "shop")
    assert (shown("Result"), shown("ExecMainStatus")) == ("success", "0")
    assert not Path(SOCKET).exists()


def test_a_socket_that_waits(socket_unit: None) -> None:
    """The first connection starts the service, and no restart refuses one."""
    systemctl("start", "shop.socket")
    assert shown("ActiveState") == "inactive"
    with Client(TCP, timeout=TIMEOUT) as client:
        before = client.ask(request("/who")).json()["pid"]
    eventually(lambda: shown("ActiveState") == "active", "all workers serve", TIMEOUT)
    with asked_all_the_time(TCP) as answered:
        systemctl("restart", "shop")
        eventually(lambda: answered[-1:] != [before], "another one", TIMEOUT)
    assert shown("Result") == "success"


def test_a_supervisor_that_hangs() -> None:
    install(documented("shop.service"), "WatchdogSec=3")
    systemctl("start", "shop")
    before = pids(SOCKET)
    os.kill(int(shown("MainPID")), signal.SIGSTOP)
    eventually(lambda: shown("NRestarts") == "1", "a restart", TIMEOUT)
    eventually(lambda: shown("ActiveState") == "active", "it serves", TIMEOUT)
    assert not before & pids(SOCKET)


def test_one_process_that_hangs() -> None:
    service = documented("shop.service").replace(" --workers 2", "")
    install(service.replace("ExecReload", "#"), "WatchdogSec=3")
    systemctl("start", "shop")
    before = pids(SOCKET)
    assert before == {int(shown("MainPID"))}
    with Client(SOCKET) as client:
        client.send(request("/spin"))
        eventually(lambda: shown("NRestarts") == "1", "a restart", TIMEOUT)
    eventually(lambda: shown("ActiveState") == "active", "it serves", TIMEOUT)
    assert not before & pids(SOCKET)


def test_a_start_that_fails() -> None:
    install(documented("shop.service"), "Environment=NO_DATABASE=1", "Restart=no")
    systemctl("start", "shop", fails=True)
    assert (shown("ActiveState"), shown("Result")) == ("failed", "exit-code")
    assert "no database" in journal()


def test_a_worker_without_memory() -> None:
    """What MemoryMax= says of the unit."""
    install(documented("shop.service"), "MemoryMax=160M")
    systemctl("start", "shop")
    before = pids(SOCKET)
    with Client(SOCKET, timeout=TIMEOUT) as client:
        client.send(request("/hog"))
        client.assert_closed()
    eventually(lambda: len(pids(SOCKET)) == 2, "two workers again", TIMEOUT)
    assert len(before & pids(SOCKET)) == 1
    assert (shown("ActiveState"), shown("NRestarts")) == ("active", "0")
    assert "killed by signal 9 (Killed, by somebody else or for lack of memory)" in journal()
