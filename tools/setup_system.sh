#!/usr/bin/env bash
# Installs Debian packages that are missing.
#
#     tools/setup_system.sh build|test [PYTHON]
#
# As root, or where sudo asks no password, it installs them; otherwise it prints the line to run.
# It starts no service: a test starts its own nginx, PostgreSQL or Redis when it needs one.
set -euo pipefail

packages_for() {
    echo gcc libc6-dev cmake ninja-build pkg-config liburing-dev libpcre2-dev libssl-dev libnghttp2-dev
    uses_debian_python "$2" && echo python3-venv python3-dev
    command -v npm >/dev/null || echo npm
    [ "$1" != build ] || return 0
    echo libcmocka-dev clang libclang-rt-14-dev clang-format valgrind nginx haproxy wrk strace \
         chromium chromium-driver postgresql redis-server openssl curl nghttp2-client \
         systemd
    [ "$(uname -m)" != x86_64 ] || echo user-mode-linux # Debian has it for no other
    command -v go >/dev/null || echo golang-go
}

# Another interpreter (pyenv, /usr/local) brings its own headers and venv.
uses_debian_python() {
    local prefix
    prefix=$("$1" -c 'import sys; print(sys.base_prefix)' 2>/dev/null) || return 0
    [ "$prefix" = /usr ]
}

missing_of() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# Debian starts a service when it is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d
install_quietly() {
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
    # Nor shall they start with the machine.
    local service
    for service in nginx haproxy postgresql redis-server; do
        [[ " $* " != *" $service "* ]] || systemctl disable "$service" >/dev/null 2>&1 || true
    done
}

set_name=${1:?build or test}
python=${2:-python3}

if [ "$set_name" = --install ]; then
    shift
    install_quietly "$@"
    exit
fi

if ! command -v apt-get >/dev/null; then
    echo "This is not Debian. Cello needs the counterparts of these packages:"
    packages_for "$set_name" "$python"
    exit 0
fi

mapfile -t missing < <(missing_of $(packages_for "$set_name" "$python"))
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
if [ "$(id -u)" = 0 ]; then
    install_quietly "${missing[@]}"
elif sudo -n true 2>/dev/null; then
    sudo -n "$0" --install "${missing[@]}"
else
    printf 'System packages are missing. Install them with\n\n    sudo %s --install %s\n\n' \
        "$0" "${missing[*]}" >&2
    exit 1
fi
