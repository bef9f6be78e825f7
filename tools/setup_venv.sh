#!/usr/bin/env bash
# Makes a virtual environment with the build tools and what cello needs, or keeps the one of the
# same interpreter.
#
#     tools/setup_venv.sh PYTHON VENV
set -euo pipefail
python=$1 venv=$2
identity='import sys; print(sys.version, sys.base_prefix)'

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Cello needs Python 3.11 or newer; name one with PYTHON=... ($python is not)" >&2
    exit 1
}
if [ "$("$venv/bin/python" -c "$identity" 2>/dev/null)" != "$("$python" -c "$identity")" ]; then
    "$python" -m venv --clear "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    -r requirements/build.txt -r requirements/run.txt
