"""Another Linux for tests: User-mode Linux, a kernel that is an ordinary process and boots in
seconds. Its root file system is this machine's, read-only; what is written there stays there.

For what this machine's kernel or its process 1 do not have: TLS in the kernel, systemd.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "linux.uml"
MODULES = "/usr/lib/uml/modules"
HERE = Path(__file__).parent

# Folders of this machine, and where the script of boot() finds them: /tmp of this machine is not
# to be seen, and not every user may enter the home folder in which an interpreter may lie.
PYTHON, PACKAGES, PROJECT = "/opt/python", "/opt/packages", "/opt/cello"
FOLDERS = {
    PYTHON: sys.base_prefix,
    PACKAGES: sysconfig.get_path("platlib"),
    PROJECT: str(HERE.parent),
}

# The script is read as a whole before /tmp goes. reboot(2): power off.
PROLOGUE = f"""#!/bin/bash
{{
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run PYTHONPATH={PACKAGES} PYTHONDONTWRITEBYTECODE=1
PYTHON={PYTHON}/bin/python{sys.version_info.major}.{sys.version_info.minor}
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs -o mode=755 run /run &&
    mount -t tmpfs -o mode=755 opt /opt || exit
"""
EPILOGUE = """
echo "STATUS $?"
exec $PYTHON -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321fedc)'
}
"""


def missing() -> str:
    """What is not installed here; empty: all is there."""
    if shutil.which(PROGRAM):
        return ""
    return f"{PROGRAM}: see the packages of `tools/setup_system.sh test`"


@dataclass
class Said:
    status: int | None  # of the script's last command; None: it never came to its end
    console: str


def boot(script: str, folder: Path, *, timeout: float, memory: str = "512M") -> Said:
    """Run bash lines as process 1, with $PYTHON, an interpreter that has this environment's
    packages; `folder` is for the kernel's own files. It is killed after `timeout` seconds."""
    mounts = [
        f"mkdir {place} && mount -t hostfs -o {shlex.quote(path)} none {place}"
        for place, path in FOLDERS.items()
    ]
    lines = [PROLOGUE, *mounts, "mount -t tmpfs -o mode=1777 tmp /tmp", "cd /", script, EPILOGUE]
    init = folder / "init"
    init.write_text("\n".join(lines))
    init.chmod(0o755)
    command = [
        PROGRAM,
        f"mem={memory}",
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
        *("con=null", "con0=fd:0,fd:1", "quiet", f"uml_dir={folder}"),
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)},
    ) as process:
        try:
            raw, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raw, _ = process.communicate()
    console = raw.decode(errors="replace").replace("\r", "")
    ends = [line.split()[1] for line in console.splitlines() if line.startswith("STATUS ")]
    return Said(int(ends[-1]) if ends else None, console)
