"""systemd itself runs Cello, in a machine of its own, with the units of docs/deployment.md."""

import re
from pathlib import Path

import other_kernel
import pytest

HERE = Path(__file__).parent
MANAGER = "/lib/systemd/systemd"

# Nothing of this machine is started but the journal; the shop lies where the guide has it.
SCRIPT = f"""
units=/run/systemd/system
mkdir -p $units /opt/shop/.venv/bin
for unit in /lib/systemd/system/*.wants/* /etc/systemd/system/*.wants/* \\
    /lib/systemd/system/systemd-{{remount-fs,tmpfiles-setup,tmpfiles-setup-dev}}.service; do
    case $unit in *journald*) ;; *) ln -sf /dev/null $units/${{unit##*/}} ;; esac
done
cp {other_kernel.PROJECT}/tests/4_http/systemd_app.py /opt/shop/app.py
cat >/opt/shop/.venv/bin/python <<END
#!/bin/sh
PYTHONPATH=$PYTHONPATH exec $PYTHON "\\$@"
END
chmod 755 /opt/shop/.venv/bin/python
cat >/run/try <<END
#!/bin/sh
exec >/dev/console 2>&1
cd {other_kernel.PROJECT}
PYTHONPATH=$PYTHONPATH $PYTHON -m pytest --color=no -p no:cacheprovider --timeout=300 \\
    tests/4_http/systemd_cases.py
echo "STATUS \\$?"
systemctl poweroff --force --force
END
chmod 755 /run/try
cat >$units/try.service <<END
[Service]
Type=oneshot
ExecStart=/run/try
END
exec {MANAGER} --system --unit=try.service --log-target=journal --show-status=no
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_systemd_runs_what_the_guide_shows(tmp_path: Path) -> None:
    lacking = other_kernel.missing() or ("" if Path(MANAGER).exists() else MANAGER)
    if lacking:
        pytest.skip(lacking)
    said = other_kernel.boot(SCRIPT, tmp_path, timeout=840)
    assert said.status == 0, said.console
    assert re.search(r"=+ \d+ passed in ", said.console), said.console
