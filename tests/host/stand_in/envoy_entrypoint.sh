#!/bin/bash
# Start Envoy as the public image `envoyproxy/envoy` does: `-…` are options of envoy, and root becomes the user envoy.
set -e
if [ "${1#-}" != "$1" ]; then
    set -- envoy "$@"
fi
if [ "$1" = envoy ] && [ -n "${loglevel:-}" ]; then
    set -- "$@" --log-level "$loglevel"
fi
if [ "$(id -u)" = 0 ] && [ "${ENVOY_UID:-}" != 0 ]; then
    if [ -n "${ENVOY_UID:-}" ]; then usermod -u "$ENVOY_UID" envoy; fi
    if [ -n "${ENVOY_GID:-}" ]; then groupmod -g "$ENVOY_GID" envoy; fi
    chown envoy:envoy /dev/stdout /dev/stderr
    exec setpriv --reuid envoy --regid envoy --init-groups "$@"
fi
exec "$@"
