#!/usr/bin/env python3
"""Takes Swagger UI and ReDoc out of their npm packages.

    tools/fetch_pages.py FOLDER

Leaves in FOLDER the files that Cello serves, compressed, and the licences that come with them.
requirements/pages.txt names the packages and what their content must be. The build calls this; a
second call with the same packages finds its work done.
"""

import base64
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

PINS = Path(__file__).parents[1] / "requirements/pages.txt"

SERVED = {
    "swagger-ui-dist": ("swagger-ui-bundle.js", "swagger-ui.css"),
    "redoc": ("bundles/redoc.standalone.js",),
}
LICENSES = {
    "swagger-ui-dist": ("LICENSE", "swagger-ui-bundle.js.LICENSE.txt"),
    "redoc": ("LICENSE", "bundles/redoc.standalone.js.LICENSE.txt"),
}

HELP = """
The pages /docs and /redoc come from npm packages, and {package} could not be had:

    {why}

Install npm (Debian: apt-get install npm) and make sure that it reaches its registry. To build
Cello without these pages, turn the CMake option CELLO_PAGES off:

    pip install . -Ccmake.define.CELLO_PAGES=OFF
"""


class Pin(NamedTuple):
    name: str
    version: str
    integrity: str


def pins() -> list[Pin]:
    lines = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    return [Pin(*line.split()) for line in lines]


def give_up(pin: Pin, why: str) -> None:
    print(HELP.format(package=f"{pin.name} {pin.version}", why=why), file=sys.stderr)
    raise SystemExit(1)


def download(pin: Pin) -> bytes:
    """The package, exactly as it was pinned."""
    npm = shutil.which("npm")
    if npm is None:
        give_up(pin, "there is no npm on the path")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--loglevel=error", "--prefer-offline", "--fetch-retries=1"]
        command.append(f"{pin.name}@{pin.version}")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        packages = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packages) != 1:
            said = done.stderr.strip().splitlines()[:4] or ["npm pack gave no package"]
            give_up(pin, "\n    ".join(said))
        data = packages[0].read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != pin.integrity:
        give_up(pin, f"its content is {found}, not {pin.integrity}")
    return data


def unpack(pin: Pin, data: bytes, folder: Path) -> None:
    licenses = folder / "licenses" / pin.name
    licenses.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as package:

        def content(name: str) -> bytes:
            member = package.extractfile(f"package/{name}")
            assert member is not None
            return member.read()

        for name in SERVED[pin.name]:
            packed = gzip.compress(content(name), 9, mtime=0)
            (folder / f"{Path(name).name}.gz").write_bytes(packed)
        for name in LICENSES[pin.name]:
            (licenses / Path(name).name).write_bytes(content(name))


def main(folder: Path) -> None:
    wanted = PINS.read_text()
    stamp = folder / "packages.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    packages = [(pin, download(pin)) for pin in pins()]
    shutil.rmtree(folder, ignore_errors=True)
    for pin, data in packages:
        unpack(pin, data, folder)
    stamp.write_text(wanted)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
