#!/usr/bin/env bash
# A private PostgreSQL for the tests: postgres.sh CACHE DIR PORT. Prints its process id; ends when it is ready.
set -euo pipefail
dir=$2 port=$3
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
if [ -z "$bin" ]; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; } >/dev/null 2>&1
  bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
fi
cd /
as=()
if [ "$(id -u)" = 0 ]; then
  as=(runuser -u postgres --)   # initdb refuses to run as root
  install -d -o postgres -g postgres -m 700 "$dir"
else
  mkdir -p "$dir"
fi
"${as[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-p $port -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories='$dir' -c fsync=off -c max_connections=100" start >/dev/null
head -1 "$dir/data/postmaster.pid"
