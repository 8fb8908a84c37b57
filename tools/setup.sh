#!/usr/bin/env bash
# Installs what the project needs: `service` and `development` into .venv, `bench` (what is measured beside us) into
# .venv/bench; `machine` makes sure of what the tests need of the machine (Chromium, systemd-analyze), `servers` of what the
# long runs need besides (nginx, PgBouncer, Debian's PostgreSQL, and what makes and boots a clean Debian).
# Debian's packages are installed when this runs as root on Debian; otherwise it says exactly what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

need_packages() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing Debian's packages: $*"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        echo "Missing: $*. Install it as root, on Debian:" >&2
        echo "    apt-get update && apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
}

find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    local python
    [ -x .venv/bin/python ] && return
    python=$(find_python) || { need_packages python3 python3-venv; python=$(find_python); }
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
    "$python" -m venv .venv
}

case "${1:-}" in
service)
    make_venv
    echo "Installing the service's requirements into .venv"
    .venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.txt
    touch .venv/.installed
    ;;
development)
    echo "Installing the development requirements into .venv and tools/vendor/node_modules"
    .venv/bin/python -m pip install --quiet --require-hashes --requirement requirements-dev.txt
    command -v node >/dev/null || need_packages nodejs
    command -v npm >/dev/null || need_packages npm
    (cd tools/vendor && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    touch .venv/.installed-dev
    ;;
bench)
    echo "Installing what is measured beside us into .venv/bench"
    .venv/bin/python -m venv .venv/bench
    .venv/bench/bin/python -m pip install --quiet --require-hashes --requirement requirements-bench.txt
    touch .venv/bench/.installed
    ;;
machine)
    missing=()
    [ -x /usr/bin/chromium-headless-shell ] || [ -x /usr/bin/chromium ] || missing+=(chromium-headless-shell fonts-dejavu-core)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    [ ${#missing[@]} = 0 ] || need_packages "${missing[@]}"
    ;;
servers)
    # Not for `make test`: Debian starts what it installs, and a web server of theirs is not what somebody asked for.
    missing=()
    [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
    [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
    command -v slirp4netns >/dev/null || missing+=(slirp4netns)
    [ ${#missing[@]} = 0 ] || need_packages "${missing[@]}"
    ;;
*)
    echo "usage: tools/setup.sh service|development|bench|machine|servers" >&2
    exit 2
    ;;
esac
