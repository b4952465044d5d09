#!/bin/sh
# Runs checkov, which looks for weak spots in Terraform, from an environment of its own that the first call makes.
# Of its own, because the packages it needs are many and would decide on the versions of those that Orthweb needs.
#
# usage: scripts/checkov.sh ARGUMENT ...
#
# .venv has to be there, with what 'scripts/environment.sh dev' puts into it.
set -eu
umask 022
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
root=$(cd "$(dirname "$0")/.." && pwd -P)
home=$root/build/checkov
lock=$root/requirements-checkov.lock

# As for .venv: a folder cannot be moved, and an upgrade of the system replaces the interpreter.
fingerprint() { { echo "$home"; readlink -f "$root/.venv/bin/python"; cat "$lock" "$root/scripts/checkov.sh"; } | sha256sum; }
ready() { [ "$(cat "$home/ready" 2>/dev/null)" = "$(fingerprint)" ]; }

make_home() {
    echo 'orthweb: preparing build/checkov from requirements-checkov.lock (the first time takes a while)' >&2
    uv() { "$root/.venv/bin/uv" --quiet --system-certs "$@"; }
    uv venv --clear --python "$root/.venv/bin/python" "$home" &&
        uv pip sync --require-hashes --only-binary :all: --python "$home/bin/python" "$lock" && return
    echo 'orthweb: could not install what requirements-checkov.lock names: see the lines above' >&2
    exit 1
}

if ! ready; then
    # Two calls at once: the second waits here, and then finds it made.
    exec 9<"$lock"
    flock 9
    if ! ready; then
        make_home 9<&-
        fingerprint >"$home/ready"
    fi
    exec 9<&-
fi
# It would ask the package registry for a newer version of itself, and its maker for rules.
CKV_SKIP_PACKAGE_UPDATE_CHECK=true exec "$home/bin/checkov" --skip-download "$@"
