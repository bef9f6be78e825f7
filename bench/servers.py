"""A server under test: a pinned process, what it answers, and what the kernel says it used."""

import http.client
import os
import resource
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
    """In a child: as many descriptors as it may have, a session of its own and, for root, the
    highest priority. With autogroups each session gets an equal share of a core whatever the
    priorities inside it are, so the group's own value counts too."""
    os.setsid()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
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


class Meter:
    """What a server, its load and everybody else use from now on."""

    def __init__(self, process: "Process", load_pid: int | None = None) -> None:
        """`load_pid`: a load generator that runs already; without, those that end meanwhile."""
        self.process, self.load_pid = process, load_pid
        self.used, self.busy = process.usage(), busy_seconds()
        self.load, self.start = self._load_seconds(), time.monotonic()

    def _load_seconds(self) -> float:
        if self.load_pid is not None:
            return usage(self.load_pid).run_ns / 1e9
        now = os.times()
        return now.children_user + now.children_system

    def seconds(self) -> float:
        return time.monotonic() - self.start

    def cell(self, units: int) -> dict:
        """Of so many units, whatever they are."""
        wall = self.seconds()
        used = (self.process.usage() - self.used).run_ns
        busy, load = busy_seconds() - self.busy, self._load_seconds() - self.load
        return {
            "requests": units,
            "per_second": units / wall,
            "cpu_us": used / units / 1e3,
            "generator_busy": load / wall,
            "foreign": max(0.0, (busy - used / 1e9 - load) / wall),
        }


class Process:
    """A server that runs; a context manager."""

    def __init__(self, server: Server, variant: str, core: int, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.port = free_port()
        self.log = folder / (server.name + ".log")
        apps = str(HERE / "peers")
        path = os.pathsep.join(filter(None, [apps, server.env.get("PYTHONPATH")]))
        env = dict(os.environ, BENCH_PORT=str(self.port), BENCH_VARIANT=variant)
        env |= {"BENCH_FOLDER": str(folder), "TMPDIR": str(folder / "uploads")}
        env |= {"PYTHONDONTWRITEBYTECODE": "1", **server.env, "PYTHONPATH": path}
        command = [self._fill(word) for word in shlex.split(server.command)]
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

    def _fill(self, text: str) -> str:
        """With what is known only now; {config} is the server's file, filled in likewise."""
        text = text.replace("{port}", str(self.port)).replace("{folder}", str(self.folder))
        if "{config}" in text:
            config = self.folder / (self.server.name + ".conf")
            config.write_text(self._fill((HERE / "peers" / config.name).read_text()))
            text = text.replace("{config}", str(config))
        return text

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
        """Why its speed in this scenario would not count; empty: it answers as it should. The
        clients of uploads and events check for themselves."""
        if scenario.load in ("upload", "events"):
            return ""
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
