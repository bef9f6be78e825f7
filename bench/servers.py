"""A server under test: a pinned process, what it answers, and what the kernel says it used."""

import http.client
import os
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from environments import HERE, Server
from scenarios import Scenario

READY_LIMIT_S = 20.0
TERM_LIMIT_S = 2.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A server or a load generator that did not do its part."""


def above_others() -> None:
    """In a child: a session of its own and, for root, the highest priority. With autogroups each
    session gets an equal share of a core whatever the priorities inside it are, so the group's
    own value counts too."""
    os.setsid()
    if os.geteuid() != 0:
        return
    os.nice(-20)
    autogroup = Path("/proc/self/autogroup")
    if autogroup.exists():
        autogroup.write_text("-20")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclass
class Usage:
    """Of a process tree, since it started."""

    run_ns: int  # on a CPU
    rss_bytes: int

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.run_ns - other.run_ns, self.rss_bytes)


def process_tree(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return pids


def usage(pid: int) -> Usage:
    run_ns = rss = 0
    for p in process_tree(pid):
        try:
            rss += int(Path(f"/proc/{p}/statm").read_text().split()[1]) * PAGE
            for task in Path(f"/proc/{p}/task").glob("*/schedstat"):
                run_ns += int(task.read_text().split()[0])
        except OSError:
            continue  # it ended meanwhile
    return Usage(run_ns, rss)


def busy_seconds() -> float:
    """Of all CPUs together: everything but idle, waiting for disks, and stolen."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:8]]
    return (sum(v) - v[3] - v[4]) / TICKS


class Process:
    """A server that runs; a context manager."""

    def __init__(self, server: Server, variant: str, core: int, folder: Path) -> None:
        self.server = server
        self.port = free_port()
        self.log = folder / (server.name + ".log")
        apps = str(HERE / "peers")
        path = os.pathsep.join(filter(None, [apps, server.env.get("PYTHONPATH")]))
        env = dict(os.environ, BENCH_PORT=str(self.port), BENCH_VARIANT=variant)
        env |= {"PYTHONDONTWRITEBYTECODE": "1", **server.env, "PYTHONPATH": path}
        command = shlex.split(server.command.replace("{port}", str(self.port)))
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=apps,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=above_others,
            )

    def __enter__(self) -> "Process":
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < end:
            if self.popen.poll() is not None:
                raise Failed(f"ended with {self.popen.returncode}: {self.last_words()}")
            try:
                self.ask("GET", "/plaintext")
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
        raise Failed(f"not ready in {READY_LIMIT_S:.0f} s: {self.last_words()}")

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            c.request(method, path, body or None, {"Content-Type": "application/json"})
            r = c.getresponse()
            return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
        finally:
            c.close()

    def problem(self, scenario: Scenario) -> str:
        """Why its speed in this scenario would not count; empty: it answers as it should."""
        method = "POST" if scenario.body else "GET"
        try:
            return scenario.problem(*self.ask(method, scenario.path, scenario.body))
        except (OSError, http.client.HTTPException) as e:
            return f"no answer: {e!r}"

    def usage(self) -> Usage:
        return usage(self.popen.pid)

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:])[-300:]

    def stop(self) -> None:
        pids = process_tree(self.popen.pid)
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, sig)
                except OSError:
                    continue
            end = time.monotonic() + TERM_LIMIT_S
            while pids and time.monotonic() < end:
                self.popen.poll()
                pids = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
                time.sleep(0.02)
            if not pids:
                return


def idle_rss_bytes(python: str) -> int:
    """Resident memory of this interpreter that does nothing."""
    code = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE) as p:
        assert p.stdout
        p.stdout.readline()
        try:
            return usage(p.pid).rss_bytes
        finally:
            p.kill()
