"""run() with several workers, from the program's first line to its last."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from wire import Client, eventually, fetch, request
from wire_cluster import cluster, written

PROGRAM = """
import os, sys
from cello import App, ClusterConfig

def say(text):
    os.write(1, f"{text}\\n".encode())

app = App()
say("imported")

@app.on_startup(per="cluster")
def first():
    say(f"cluster starts in {app.worker_id}")

@app.on_shutdown(per="cluster")
def last():
    say(f"cluster ends in {app.worker_id}")

@app.on_startup
def begin():
    say(f"worker {app.worker_id} starts")

@app.on_shutdown
def end():
    say(f"worker {app.worker_id} ends")

@app.get("/who")
def who():
    return {"worker": app.worker_id, "pid": os.getpid()}

@app.get("/argv")
def argv():
    return [sys.argv[1:], "CELLO_WORKER" in os.environ]

if __name__ == "__main__":
    app.run(port=0, workers=2, logs=False)
    say(f"after run in {app.worker_id}")
"""


def workers_of(address: tuple[str, int], wanted: int = 2) -> dict[int, int]:
    """Worker ids and pids, asked on new connections until so many have answered."""
    found: dict[int, int] = {}
    for _ in range(1000):
        answer = fetch(address, request("/who")).json()
        found[answer["worker"]] = answer["pid"]
        if len(found) == wanted:
            return found
    raise AssertionError(f"only {found}")


def test_workers_serve_from_the_first_line_to_the_last(backend: str, tmp_path: Path) -> None:
    with cluster(written(tmp_path, PROGRAM), "--mine", "1", CELLO_BACKEND=backend) as program:
        address = program.address()
        assert set(workers_of(address)) == {0, 1}
        assert fetch(address, request("/argv")).json() == [["--mine", "1"], False]
        assert program.stop() == 0
        lines = program.text.splitlines()
        assert lines.count("imported") == 3  # in the process that became the supervisor, too
        once = [line for line in lines if "cluster" in line]
        assert once == ["cluster starts in 0", "cluster ends in 0"]
        begin, end = lines.index(once[0]), lines.index(once[1])
        for worker in (0, 1):
            assert begin < lines.index(f"worker {worker} starts")
            assert lines.index(f"worker {worker} ends") < end
            assert lines.count(f"after run in {worker}") == 1


def test_a_reload_reads_the_file_of_variables_again(tmp_path: Path) -> None:
    text = PROGRAM.replace('"worker": app.worker_id', '"worker": int(os.environ["FIRST"])')
    file = tmp_path / "variables"
    file.write_text("FIRST=1")
    script = str(Path(sys.executable).with_name("cello"))
    options = ["--port", "0", "--workers", "2", "--env-file", str(file)]
    with cluster(script, "run", written(tmp_path, text), *options) as program:
        address = program.address()
        assert fetch(address, request("/who")).json()["worker"] == 1
        file.write_text("FIRST=2")
        program.send_signal(signal.SIGHUP)
        program.expect("all workers have been replaced")
        # An old one may accept until it has heard of its successor.
        eventually(lambda: fetch(address, request("/who")).json()["worker"] == 2, "the new file")
        assert program.stop() == 0


@pytest.mark.parametrize("how", ["module", "command"])
def test_other_ways_to_start(how: str, backend: str, tmp_path: Path) -> None:
    written(tmp_path, PROGRAM)
    script = str(Path(sys.executable).with_name("cello"))
    args = {
        "module": ["-m", "program"],
        "command": [script, "run", "program", "--port", "0", "--workers", "2", "--no-logs"],
    }[how]
    with cluster(*args, CELLO_BACKEND=backend, PYTHONPATH=str(tmp_path)) as program:
        assert set(workers_of(program.address())) == {0, 1}
        assert program.stop() == 0


FAILING = """
import logging, sys
from cello import App, _log

app = App()
app.enable_logging(sys.argv[2])
if "own" in sys.argv:
    logging.basicConfig(format="MINE %(worker)s %(message)s")

@app.get("/fails")
def fails():
    _log.notice("a notice")
    raise RuntimeError(app.worker_id)

app.run(port=0, workers=2, env=sys.argv[1], logs=False, argv=False)
"""


@pytest.mark.parametrize(
    ("options", "notice", "error"),
    [
        (["development", "combined"], r"^worker {}: a notice$", r"^ERROR    worker {}: GET /fails"),
        (["production", "combined"], r"Z INFO     worker {}: a no", r"Z ERROR    worker {}: GET /"),
        (["production", "json"], r'"a notice","worker":{}}}$', r'ls \(.*","worker":{},"exc'),
        (["development", "combined", "own"], r"^worker {}: a notice$", r"^MINE {} GET /fails"),
    ],
)
def test_lines_of_the_server_log_name_their_worker(
    backend: str, tmp_path: Path, options: list[str], notice: str, error: str
) -> None:
    with cluster(written(tmp_path, FAILING), *options, CELLO_BACKEND=backend) as program:
        address = "127.0.0.1", int(program.expect(r"on http://127\.0\.0\.1:(\d+)").group(1))
        for _ in range(1000):
            assert fetch(address, request("/fails")).status == 500
            program.expect("RuntimeError: ")
            if "RuntimeError: 0" in program.text and "RuntimeError: 1" in program.text:
                break
        for worker in (0, 1):
            for pattern in (notice, error):
                assert re.search(pattern.format(worker), program.text, re.M), program.text
        assert program.stop() == 0


def test_a_killed_worker_is_replaced(backend: str, tmp_path: Path) -> None:
    """While there is no successor, the other one accepts for it."""
    with cluster(written(tmp_path, PROGRAM), CELLO_BACKEND=backend) as program:
        address = program.address()
        pids = workers_of(address)
        for worker, other in ((0, 1), (1, 0)):
            os.kill(pids[worker], signal.SIGKILL)
            # What a worker accepts while it dies is lost with it.
            program.expect(rf"worker {worker} \(pid {pids[worker]}\) .*signal 9")
            for _ in range(40):
                assert fetch(address, request("/who")).status == 200
            pids[worker] = program.ready_pid(worker)
            assert workers_of(address) == pids
            assert other in pids
        assert program.stop() == 0
        assert program.text.count("cluster starts in") == 1


def test_a_reload_brings_new_code(backend: str, tmp_path: Path) -> None:
    path = written(tmp_path, PROGRAM)
    with cluster(path, CELLO_BACKEND=backend) as program:
        address = program.address()
        before = workers_of(address)
        written(
            tmp_path, PROGRAM.replace('"worker": app.worker_id', '"worker": 10 + app.worker_id')
        )
        with Client(address) as idle:
            assert idle.ask(request("/who")).json()["pid"] in before.values()
            program.send_signal(signal.SIGHUP)
            program.expect("all workers have been replaced")
            closes = False
            while not closes:  # until it has heard of its successor
                answer = idle.ask(request("/who"))
                assert answer.json()["pid"] in before.values()
                closes = answer.closes
            idle.assert_closed()
        for worker, pid in before.items():
            if f"worker {worker} (pid {pid}) has ended" not in program.text:
                program.expect(rf"^worker {worker} \(pid {pid}\) has ended")
        assert set(workers_of(address)) == {10, 11}
        assert program.stop() == 0


def test_broken_code_changes_nothing(backend: str, tmp_path: Path) -> None:
    with cluster(written(tmp_path, PROGRAM), CELLO_BACKEND=backend) as program:
        address = program.address()
        before = workers_of(address)
        written(tmp_path, "def broken(")
        program.send_signal(signal.SIGHUP)
        program.expect("SyntaxError")
        program.expect("reload")
        assert workers_of(address) == before
        assert program.stop() == 0


def test_without_the_first_worker_another_one_ends_for_all(tmp_path: Path) -> None:
    text = PROGRAM.replace("workers=2", "cluster=ClusterConfig(workers=2, drain_delay=1)")
    with cluster(written(tmp_path, text)) as program:
        first = workers_of(program.address())[0]
        program.send_signal(signal.SIGTERM)
        program.expect("SIGTERM: stopping")
        os.kill(first, signal.SIGTERM)
        program.expect(rf"worker 0 \(pid {first}\) has ended")
        assert program.wait() == 0
        assert program.text.count("cluster ends in 1") == program.text.count("cluster ends") == 1
        assert program.text.index("worker 1 ends") < program.text.index("cluster ends in 1")


EARLY = """
import os, signal
from cello import App

def execve(*arguments):
    for name in ("SIGHUP", "SIGUSR1"):
        os.kill(os.getpid(), signal.Signals[name])
    real(*arguments)

real, os.execve = os.execve, execve

app = App()

@app.get("/blocked")
def blocked():
    return [signal.Signals(n).name for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])]

app.run(port=0, workers=2, argv=False, logs=False)
"""


def test_signals_wait_for_a_supervisor_that_starts(tmp_path: Path) -> None:
    """Nobody knows when it can be told to reload, or that log files were moved."""
    with cluster(written(tmp_path, EARLY)) as program:
        program.expect("SIGHUP: replacing all workers")
        program.expect("all workers have been replaced")
        address = program.address()
        assert fetch(address, request("/blocked")).json() == []
        assert program.stop() == 0


FAILS = {
    "-c": (["-c", "from cello import App\nApp().run(port=0, workers=2)"], "put it into a file"),
    "thread": (
        "import threading\nfrom cello import App\n"
        "t = threading.Thread(target=lambda: App().run(port=0, workers=2))\nt.start()\nt.join()",
        "from the main thread only",
    ),
    "reload": ("from cello import App\nApp().run(port=0, workers=2, reload=True)", "one worker"),
    "cluster": ("from cello import App\nApp().run(port=0, cluster=2)", "is a ClusterConfig"),
    "declared": (
        "from cello import App\napp = App()\n"
        "app.before_request('/nowhere')(lambda req: None)\napp.run(port=0, workers=2)",
        "nowhere",
    ),
}


@pytest.mark.parametrize("why", FAILS)
def test_what_cannot_have_workers_says_so(why: str, tmp_path: Path) -> None:
    program, message = FAILS[why]
    args = program if isinstance(program, list) else [written(tmp_path, program)]
    done = subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert message in done.stderr
    assert done.returncode == (0 if why == "thread" else 1)


def test_a_prompt_cannot_have_workers() -> None:
    """What was typed cannot be run again."""
    typed = "from cello import App\nApp().run(port=0, workers=2)\nprint('still', 'here')\n"
    done = subprocess.run(
        [sys.executable, "-i", "-q"], input=typed, capture_output=True, text=True, timeout=60
    )
    assert "put it into a file" in done.stderr
    assert "still here" in done.stdout  # it became no supervisor


def test_a_busy_port_is_an_error(tmp_path: Path) -> None:
    with cluster(written(tmp_path, PROGRAM)) as first:
        port = first.running()
        text = PROGRAM.replace("port=0", f"port={port}")
        (tmp_path / "again.py").write_text(text)
        with cluster(str(tmp_path / "again.py")) as second:
            assert second.wait() == 1
            assert f"127.0.0.1:{port}" in second.text
        assert first.stop() == 0


def test_a_hook_that_fails_for_all_ends_all(tmp_path: Path) -> None:
    text = PROGRAM.replace('say(f"cluster starts', 'raise OSError(f"no database')
    text = text.replace("workers=2", "cluster=ClusterConfig(workers=2, max_restarts=0)")
    with cluster(written(tmp_path, text)) as program:
        assert program.wait() == 1
        assert "no database" in program.text


# All is imported before: Python may lie where another user cannot read.
ONE = """
import logging, os, signal, sys
from cello import App, ClusterConfig

app = App()
app.get("/ids")(lambda: [os.getresuid(), os.getresgid(), os.getgroups()])
app.run(port=0, cluster=ClusterConfig(workers=1, {arguments}))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_one_process_gives_up_root(tmp_path: Path) -> None:
    with cluster("-c", ONE.format(arguments="user='65534', group='65533'")) as program:
        port = int(program.expect(r"on http://127\.0\.0\.1:(\d+)").group(1))
        uids, gids, groups = fetch(("127.0.0.1", port), request("/ids")).json()
        assert (uids, gids) == ([65534] * 3, [65533] * 3)
        assert 0 not in groups
        assert program.stop() == 0


def test_a_stop_that_is_not_graceful_has_no_delay() -> None:
    text = ONE.format(arguments="drain_delay=3600, graceful_shutdown=False")
    with cluster("-c", text) as program:
        program.expect(r"on http://127\.0\.0\.1:")
        assert program.stop() == 0


def test_a_user_that_there_is_not_is_an_error() -> None:
    with cluster("-c", ONE.format(arguments="user='nobody-of-this-name'")) as program:
        assert program.wait() == 1
        assert "nobody-of-this-name" in program.text


def test_one_process_serves_on_before_it_stops(backend: str) -> None:
    text = ONE.format(arguments="drain_delay=1")
    with cluster("-c", text, CELLO_BACKEND=backend) as program:
        port = int(program.expect(r"on http://127\.0\.0\.1:(\d+)").group(1))
        program.send_signal(signal.SIGTERM)
        program.expect("Stopping in 1 s")
        answer = fetch(("127.0.0.1", port), request("/ids"))
        assert answer.status == 200 and not answer.closes
        assert program.wait() == 0


# Two applications in one program, and processes of multiprocessing that import it again.
SEVERAL = """
import multiprocessing, os
from cello import App

def say(text):
    os.write(1, f"{text}\\n".encode())

app, side = App(), App()
at_import = "CELLO_WORKER" in os.environ

@side.on_startup(per="cluster")
def side_starts():
    say("side starts")

@side.on_shutdown(per="cluster")
def side_ends():
    say("side ends")

@side.get("/")
def hello():
    return {"who": side.store.get("who").decode()}

@side.get("/news", blocking=True)
def hear():
    side.publish("news", "from the side")
    return {"news": next(app.news)}

@app.on_startup
def begin():
    app.store.set("who", "the worker")
    app.news = app.subscribe("news")
    app.side = side.start()

@app.on_shutdown
def end():
    app.side.stop()
    say("worker ends")

@app.get("/side")
def where():
    return list(app.side.addresses[0])

def child(queue):
    queue.put([at_import, app.worker_id, app._cluster.is_worker])

@app.get("/child", blocking=True)
def run_child():
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.SimpleQueue()
    process = spawn.Process(target=child, args=(queue,))
    process.start()
    process.join()
    return [process.exitcode, queue.get()]

if __name__ == "__main__":
    app.run(port=0, workers=2, logs=False)
    app.run(port=0, workers=2, logs=False)
    say("after both")
"""


def test_another_server_in_a_worker_is_none_of_the_supervisors(tmp_path: Path) -> None:
    with cluster(written(tmp_path, SEVERAL)) as program:
        address = program.address()
        side = tuple(fetch(address, request("/side")).json())
        assert fetch(side, request("/")).json() == {"who": "the worker"}
        assert fetch(side, request("/news")).json() == {"news": "from the side"}
        assert program.stop() == 0
        lines = program.text.splitlines()
        for line in ("side starts", "side ends", "worker ends"):
            assert lines.count(line) == 2, program.text
        assert "killing" not in program.text


def test_processes_of_a_worker_are_no_workers(tmp_path: Path) -> None:
    with cluster(written(tmp_path, SEVERAL)) as program:
        assert fetch(program.address(), request("/child")).json() == [0, [False, 0, False]]
        assert program.stop() == 0


def test_a_process_of_multiprocessing_cannot_have_workers(tmp_path: Path) -> None:
    text = """
import multiprocessing
from cello import App

def serve():
    App().run(port=0, workers=2)

if __name__ == "__main__":
    process = multiprocessing.get_context("{how}").Process(target=serve)
    process.start()
    process.join(60)
    raise SystemExit(process.exitcode)
"""
    for how in ("fork", "spawn"):
        with cluster(written(tmp_path, text.format(how=how))) as program:
            assert program.wait() == 1
            assert "a process of multiprocessing is not" in program.text
