#!/bin/sh
# `serve` (the default) brings the database to this version's schema and then serves; any other word is a command of
# lakewarden-server, e.g. `init --admin ada@example.com`, to be run once. exec, so that signals reach the server itself.
set -eu
umask 077

# A mounted secret keeps its host's mode, and the server refuses a key that others may read: it gets a copy of its own.
if [ -n "${LAKEWARDEN_KEY_SECRET:-}" ]; then
    rm -f "$LAKEWARDEN_KEY_FILE"
    cp "$LAKEWARDEN_KEY_SECRET" "$LAKEWARDEN_KEY_FILE"
fi

# PostgreSQL's client library takes the password from here, which keeps it out of the URL and so out of `docker inspect`.
if [ -n "${LAKEWARDEN_DATABASE_PASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$LAKEWARDEN_DATABASE_PASSWORD_FILE")
    export PGPASSWORD
fi

command=${1:-serve}
[ "$#" -eq 0 ] || shift
if [ "$command" = serve ]; then
    lakewarden-server migrate
fi
exec lakewarden-server "$command" "$@"
