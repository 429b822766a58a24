#!/usr/bin/env bash
# A mail server for the tests: mailpit.sh CACHE DIR PORT. SMTP on PORT, its REST API on PORT+1. Prints its process id.
set -euo pipefail
bin=$1/mailpit/mailpit dir=$2 port=$3
mkdir -p "$dir"
if [ ! -x "$bin" ]; then
  GOBIN=$1/mailpit go install github.com/axllent/mailpit@v1.27.11 >&2
fi
"$bin" --smtp "127.0.0.1:$port" --listen "127.0.0.1:$((port + 1))" --database "$dir/mail.db" --disable-version-check \
  </dev/null >"$dir/log" 2>&1 &
echo $!
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && exit 0; sleep 0.05; done
exit 1
