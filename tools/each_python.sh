#!/usr/bin/env bash
# Runs a make command for every other Python >= 3.11 on this machine, one of each minor version.
#
#     tools/each_python.sh DEFAULT_PYTHON make TARGET...
#
# Looks on PATH and among pyenv's versions; each gets its own environment, .venv-3.13 and so on.
set -euo pipefail
default=$1
shift

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

declare -A seen=(["$(version_of "$default")"]=1)
for python in python3.{11..14} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python; do
    command -v "$python" >/dev/null || continue
    version=$(version_of "$python") || continue
    [ -z "${seen[$version]:-}" ] || continue
    seen[$version]=1
    echo "==== Python $version"
    "$@" PYTHON="$(command -v "$python")" VENV=".venv-$version"
done
