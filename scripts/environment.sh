#!/bin/sh
# Makes the virtual environment .venv/ of this checkout, or leaves it when it is as the lock file says.
#
# usage: scripts/environment.sh [run|dev]
#   run   what a site needs (requirements.lock)
#   dev   that, and what the tests, the linters and the guide need (requirements-dev.lock)
#
# Exit status: 0 ready, 1 something failed, 2 this machine lacks something that only its owner can give.
set -eu
umask 022
export LC_ALL=C.UTF-8
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV
cd "$(dirname "$0")/.."

level=${1:-run}
# Of what the tests and linters bring, most is never imported: Python compiles the rest when it is.
case $level in
    run) lock=requirements.lock compile=--compile ;;
    dev) lock=requirements-dev.lock compile=--no-compile ;;
    *) echo "scripts/environment.sh: '$level': write run or dev" >&2; exit 2 ;;
esac

say() { echo "orthweb: $*" >&2; }
stop() { status=$1; shift; say "$*"; exit "$status"; }

# What the environment was made from. The folder counts, since a virtual environment cannot be moved,
# and so does the interpreter behind the link, which an upgrade of the system replaces.
fingerprint() {
    { pwd -P; readlink -f .venv/bin/python || :; cat "$lock" pyproject.toml scripts/environment.sh; } | sha256sum
}
ready() {
    [ ! -e .venv/unfinished ] && [ -x .venv/bin/python ] && [ -x .venv/bin/orthweb ] &&
        [ "$(cat ".venv/ready-$level" 2>/dev/null)" = "$(fingerprint)" ]
}

suitable='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'
unsupported='import sys; sys.exit((3, 11) <= sys.version_info[:2] < (3, 14))'
# The distribution's own Python comes first: Orthanc's Python plugin embeds it.
find_python() {
    for python in /usr/bin/python3 python3 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11; do
        "$python" -c "$suitable" >/dev/null 2>&1 && return 0
    done
    return 1
}

install_python() {
    packages='python3 python3-venv'
    # A system whose own Python is of another age has no other to install.
    if /usr/bin/python3 -c "$unsupported" 2>/dev/null; then
        stop 2 "Python 3.11, 3.12 or 3.13 is needed; this system's own is $(/usr/bin/python3 -V 2>&1):" \
            "use Debian 12 or 13 or Ubuntu 24.04, or put another python3 first on PATH"
    fi
    command -v apt-get >/dev/null ||
        stop 2 'Python 3.11, 3.12 or 3.13 with its venv module is needed, and this machine has no apt-get:' \
            'Orthweb sets itself up on Debian 12 or 13 and Ubuntu 24.04'
    if [ "$(id -u)" -eq 0 ]; then sudo=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo='sudo -n'
    elif command -v sudo >/dev/null && [ -t 0 ]; then sudo=sudo
    else stop 2 "the packages $packages are needed and only root can install them:" \
        "run: sudo apt-get install $packages"
    fi
    say "installing $packages"
    # apt's lists may be absent or too old to fetch from, so a failure is answered with one update.
    apt="$sudo env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    apt="$apt DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -o DPkg::Lock::Timeout=300"
    try="$apt install -y --no-install-recommends $packages"
    # shellcheck disable=SC2086 # words are meant to be split
    if ! output=$($try 2>&1 9<&-) && ! output=$({ $apt update && $try; } 2>&1 9<&-); then
        echo "$output" | grep -e '^E:' -e '^dpkg: error' >&2 || :
        stop 1 "could not install $packages: run: sudo apt-get install $packages"
    fi
    find_python || stop 1 "$packages are installed, and there is still no Python 3.11 to 3.13 with venv"
}

ready && exit 0

# Two calls at once: the second waits here, and then finds the environment made. The lock is the folder, and
# what is started below holds it too: should this script be killed, nobody builds beside what it left running.
exec 9<.
flock 9
ready && exit 0

[ ! -e .venv ] || [ -O .venv ] || [ "$(id -u)" -eq 0 ] ||
    stop 2 ".venv belongs to $(stat -c %U .venv): remove it, or run this as that user"

# What was interrupted is made again from nothing, and so is what another interpreter or folder was for.
same_place() { [ "$(cat .venv/place 2>/dev/null)" = "$(pwd -P) $(readlink -f .venv/bin/python)" ]; }
if [ -e .venv/unfinished ] || ! same_place; then rm -rf .venv; fi

[ -d .venv ] || find_python || install_python
say "preparing .venv from $lock (the first time takes a minute)"
if [ ! -d .venv ]; then
    mkdir .venv
    : >.venv/unfinished
    "$python" -m venv .venv || stop 1 "$python -m venv .venv failed"
fi
: >.venv/unfinished
rm -f .venv/ready-*
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"; }
# Wheels only: nothing of somebody else's is built, or run, on this machine to install it.
pip install "$compile" --require-hashes --only-binary :all: --requirement "$lock" ||
    stop 1 "could not install what $lock names: see the lines above"
pip install --no-deps --no-build-isolation --editable . || stop 1 'could not install orthweb itself: see the lines above'
echo "$(pwd -P) $(readlink -f .venv/bin/python)" >.venv/place
stamp() { fingerprint >".venv/ready-$level"; }
stamp
if [ "$level" = dev ]; then level=run; lock=requirements.lock; stamp; fi
rm -f .venv/unfinished
