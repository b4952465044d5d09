#!/bin/bash
# Start PostgreSQL as the docker-library's image `postgres` does: a cluster is made where PGDATA is empty.
set -eo pipefail
if [ "${1#-}" != "$1" ]; then
    set -- postgres "$@"
fi
if [ "$1" != postgres ]; then
    exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

# NAME or NAME_FILE, not both.
value() {
    local name=$1 file=$1_FILE
    if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
        echo "error: both $name and $file are set (but are exclusive)" >&2
        exit 1
    fi
    if [ -n "${!file:-}" ]; then printf '%s' "$(< "${!file}")"; else printf '%s' "${!name:-$2}"; fi
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(value POSTGRES_PASSWORD '')
    user=$(value POSTGRES_USER postgres)
    database=$(value POSTGRES_DB "$user")
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "$password" ] && [ "$method" != trust ]; then
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        exit 1
    fi
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # initdb wants its user to have a name, which a user that the container was given need not have.
    if ! getent passwd "$(id -u)" >/dev/null; then
        NSS_WRAPPER_PASSWD=$(mktemp)
        NSS_WRAPPER_GROUP=$(mktemp)
        printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" > "$NSS_WRAPPER_PASSWD"
        printf 'postgres:x:%s:\n' "$(id -g)" > "$NSS_WRAPPER_GROUP"
        LD_PRELOAD=$(echo /usr/lib/*/libnss_wrapper.so)
        export LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    fi
    # shellcheck disable=SC2086  # several words
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") ${POSTGRES_INITDB_ARGS:-} -D "$PGDATA"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
    query=(psql -v ON_ERROR_STOP=1 --username "$user" --no-password --no-psqlrc)
    export PGPASSWORD=$password
    if [ "$database" != postgres ]; then
        echo 'CREATE DATABASE :"db";' | "${query[@]}" --dbname postgres --set db="$database"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) bash "$file" ;;
            *.sql) "${query[@]}" --dbname "$database" -f "$file" ;;
        esac
    done
    unset PGPASSWORD
    pg_ctl -D "$PGDATA" -m fast -w stop
    echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@"
