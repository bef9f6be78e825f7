"""TLS by the kernel (kTLS), in a machine of its own, whose kernel has it."""

import re
from pathlib import Path

import other_kernel
import pytest

# The order is that of modules.dep; who uses TLS in the kernel may not be who can load it.
MODULES = ("crypto/gf128mul", "crypto/ghash-generic", "crypto/ctr", "crypto/gcm", "net/tls/tls")
FINIT_MODULE = 313  # of x86-64

# A client that asks for new keys is cut off: kernel_tls_cases.py. The others take long there, and
# are over before the kernel would seal.
LEFT_OUT = (
    "key_update slow_reader hello garbage slow_handshake newcomers curl plain redirect proxy unix"
)
RUNS = (
    ("kernel_tls_cases.py", ""),
    ("test_tls.py", " and ".join(f"not {word}" for word in LEFT_OUT.split())),
    ("test_static_files.py", "h1-tls or h2-"),
    ("test_http2_tls.py", ""),
)

LOAD = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for name in {MODULES}:
    path = f"{other_kernel.MODULES}/{{os.uname().release}}/kernel/{{name}}.ko"
    fd = os.open(path, os.O_RDONLY)
    assert libc.syscall({FINIT_MODULE}, fd, b"", 0) == 0, (name, os.strerror(ctypes.get_errno()))
"""

SCRIPT = f"""
ip link set lo up
export CELLO_TLS_KTLS=auto
mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 shm /dev/shm
$PYTHON - <<'END' || exit
{LOAD}
END
cd {other_kernel.PROJECT}
failed=0
run() {{
    $PYTHON -m pytest --color=no -p no:cacheprovider -q --timeout=300 "tests/4_http/$1" -k "$2" ||
        failed=1
}}
{chr(10).join(f'run "{name}" "{chosen}"' for name, chosen in RUNS)}
grep TlsTxSw /proc/net/tls_stat
(exit $failed)
"""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_servers_whose_kernel_seals(tmp_path: Path) -> None:
    lacking = other_kernel.missing()
    if lacking:
        pytest.skip(lacking)
    said = other_kernel.boot(SCRIPT, tmp_path, timeout=1440)
    assert said.status == 0, said.console
    assert len(re.findall(r"^\d+ passed", said.console, re.MULTILINE)) == len(RUNS), said.console
    sealed = re.search(r"^TlsTxSw\s+(\d+)", said.console, re.MULTILINE)
    assert sealed and int(sealed[1]) > 100, said.console
