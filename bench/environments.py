"""The peers of peers.lock: their Python environments and commands, and the compiled ceilings."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
INSTALL_LIMIT_S = 300
CC_FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O3", "-march=native"]


class Unavailable(Exception):
    """A server that this machine cannot run; the message says why."""


@dataclass
class Server:
    name: str
    what: str
    command: str  # with {port}, {folder} and {config}: peers/NAME.conf, filled in
    python: str = ""  # the interpreter, for its idle memory; empty: none
    kind: str = "peer"  # "peer", "ceiling" or "cello"
    without: dict[str, str] = field(default_factory=dict)  # scenario -> why it is not measured
    env: dict[str, str] = field(default_factory=dict)
    rows: tuple[str, ...] = ()  # the only scenarios it is for; empty: all


def cache_folder() -> Path:
    """Where environments and ceilings are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CELLO_BENCH_CACHE") or Path(base) / "cello-bench")


def _version_of(python: str | Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=10)
    except OSError:
        return ""
    return done.stdout.strip()


def find_python(version: str) -> str:
    """An interpreter of this minor version, outside any environment; empty: none."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = getattr(sys, "_base_executable", sys.executable)
    if version in ("same", own) and _version_of(base) == own:
        return base
    if version == "same":
        return ""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which("python" + version), *sorted(pyenv.glob(version + ".*/bin/python"))]
    return next((str(p) for p in found if p and _version_of(p) == version), "")


def _install(folder: Path, python: str, pins: list[str]) -> str:
    """Makes the environment. Returns why it could not be made; empty: it is there."""
    shutil.rmtree(folder, ignore_errors=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([python, "-m", "venv", folder], check=True, capture_output=True, text=True)
        subprocess.run(
            [*pip, *pins], check=True, capture_output=True, text=True, timeout=INSTALL_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"not installed in {INSTALL_LIMIT_S} s"
    except subprocess.CalledProcessError as e:
        lines = [line for line in e.stderr.splitlines() if line.startswith("ERROR")]
        return lines[0] if lines else "pip failed"
    (folder / "pins").write_text("\n".join(pins))
    return ""


def environment(name: str, spec: dict) -> str:
    """The interpreter of a peer's environment, made when it is missing or its pins changed."""
    why = "no Python " + " or ".join(spec["python"])
    for version in spec["python"]:
        python = find_python(version)
        if not python:
            continue
        folder = cache_folder() / f"{name}-{_version_of(python)}"
        stamp = folder / "pins"
        if stamp.exists() and stamp.read_text() == "\n".join(spec["pins"]):
            return str(folder / "bin/python")
        print(f"making the environment {folder.name} ...", flush=True)
        why = _install(folder, python, spec["pins"])
        if not why:
            return str(folder / "bin/python")
        print(f"    {why}", flush=True)
    raise Unavailable(why)


def load_lock() -> dict[str, dict[str, dict]]:
    return tomllib.loads((HERE / "peers.lock").read_text())


def peers(only: set[str] | None) -> tuple[list[Server], dict[str, str]]:
    """The peers that can run here, and why the others cannot."""
    lock = load_lock()
    environments, specs = lock["environment"], lock["peer"]
    found, left_out = [], {}
    for name, spec in specs.items():
        if only is not None and name not in only:
            continue
        if "left_out" in spec:
            left_out[name] = spec["left_out"]
            continue
        try:
            python = environment(spec["environment"], environments[spec["environment"]])
        except Unavailable as e:
            left_out[name] = str(e)
            continue
        command = spec["command"].replace("{python}", python)
        command = command.replace("{apps}", str(HERE / "peers"))
        found.append(
            Server(
                name,
                spec["what"],
                command,
                python,
                without=dict(spec.get("rows", {})),
                rows=tuple(spec.get("only", ())),
            )
        )
    return found, left_out


def _native(name: str, spec: dict) -> Server:
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    program = shutil.which(spec["program"], path=search)
    if not program:
        raise Unavailable(f"not installed; on Debian: apt-get install {spec['package']}")
    done = subprocess.run([program, "-v"], capture_output=True, text=True)
    if spec["version"] not in done.stdout + done.stderr:
        raise Unavailable(f"another version than {spec['version']}")
    command = spec["command"].replace("{program}", program)
    what = f"{spec['what']}, {spec['version']}"
    return Server(name, what, command, kind="native", rows=tuple(spec["only"]))


def natives(only: set[str] | None) -> tuple[list[Server], dict[str, str]]:
    """Servers of the system that are not Python's, for the rows that they are the measure of."""
    found, left_out = [], {}
    for name, spec in load_lock()["native"].items():
        if only is not None and name not in only:
            continue
        try:
            found.append(_native(name, spec))
        except Unavailable as e:
            left_out[name] = str(e)
    return found, left_out


# ---- ceilings --------------------------------------------------------------------------------

_NO_ROUTER = {"routes": "a ceiling has no router", "middleware": "nor middleware"}
_CONSTANTS = dict.fromkeys(("async", "sleep"), "constants") | _NO_ROUTER


def compile_c(source: Path, target: Path, extra: list[str]) -> str:
    """Compiles a program when it or a header beside it is newer. Returns why it could not; empty:
    done."""
    sources = [source, *source.parent.glob("*.h")]
    if target.exists() and all(target.stat().st_mtime > s.stat().st_mtime for s in sources):
        return ""
    target.parent.mkdir(parents=True, exist_ok=True)
    cc = os.environ.get("CC", "cc")
    done = subprocess.run(
        [cc, *CC_FLAGS, str(sources[0]), "-o", str(target), *extra], capture_output=True, text=True
    )
    return done.stderr.strip().splitlines()[0] if done.returncode else ""


def ceilings(only: set[str] | None) -> tuple[list[Server], dict[str, str]]:
    """The raw loops, compiled for this machine and the Python that runs this."""
    folder = cache_folder() / "ceilings"
    tag = sysconfig.get_config_var("SOABI")
    module = folder / tag / ("capi" + sysconfig.get_config_var("EXT_SUFFIX"))
    include = "-I" + sysconfig.get_paths()["include"]
    kinds = [
        ("raw-epoll", "epoll.c", folder / "epoll", []),
        ("raw-uring", "uring.c", folder / "uring", ["-luring"]),
        ("raw-upload", "upload.c", folder / "upload", []),
        ("raw-capi", "capi.c", module, ["-fPIC", "-shared", include]),
    ]
    found, left_out = [], {}
    for name, source, target, extra in kinds:
        if only is not None and name not in only:
            continue
        why = compile_c(HERE / "ceilings" / source, target, extra)
        if why:
            left_out[name] = why
        elif name == "raw-capi":
            app = HERE / "peers/capi_app.py"
            server = Server(
                name,
                "C loop that calls a Python function",
                f"{sys.executable} {app}",
                sys.executable,
                "ceiling",
                {"echo": "no JSON reader", "big": "no JSON for lists"} | _NO_ROUTER,
                {"PYTHONPATH": str(module.parent)},
            )
            found.append(server)
        elif name == "raw-upload":
            command = f"{target} {{port}} {{folder}}/uploads/body"
            what = "C loop of recv and write"
            found.append(Server(name, what, command, kind="ceiling", rows=("upload",)))
        else:
            back_end = source.removesuffix(".c")
            found.append(
                Server(
                    name,
                    f"C loop over {back_end}, constant answers",
                    f"{target} {{port}}",
                    kind="ceiling",
                    without=_CONSTANTS,
                )
            )
    return found, left_out
