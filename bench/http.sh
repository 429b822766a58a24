#!/usr/bin/env bash
# CPU of the server per request, beside throughput: bench/http.sh [path of the release binary]. Needs wrk and curl.
# The load shares the machine with the server; CPU per request is what stays steady.
set -euo pipefail
binary=${1:-${CARGO_TARGET_DIR:-target}/release/freehold}
port=18099 data=$(mktemp -d) log=$(mktemp)
FREEHOLD_RATE=10000000 "$binary" --data "$data/data" --listen "127.0.0.1:$port" >"$log" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$data" "$log"' EXIT
until curl -fs -o /dev/null "http://127.0.0.1:$port/livez"; do sleep 0.05; done
curl -fs -o /dev/null "http://localhost:$port/v1/sign-up" -H 'content-type: application/json' \
  -d '{"company":"Acme","slug":"acme","name":"Ada","email":"ada@acme.example"}'
until grep -q 'ticket=' "$log"; do sleep 0.05; done
ticket=$(grep -o 'ticket=[^[:space:]]*' "$log" | head -1 | cut -d= -f2)
cookie=$(curl -fs -o /dev/null -D - "http://acme.localhost:$port/welcome" -d "ticket=$ticket" \
  --data-urlencode 'password=correct horse battery' | grep -io 'freehold_session=[^;]*')
ask() { curl -fs -o /dev/null -b "$cookie" -H 'content-type: application/json' "$@"; }
until ask "http://acme.localhost:$port/v1/me"; do sleep 0.05; done
ask -X PUT "http://acme.localhost:$port/v1/features/search" -d '{"enabled":true,"percentage":50}'
post=$data/post.lua
echo 'wrk.method="POST"; wrk.headers["content-type"]="application/json"; wrk.body="{}"' >"$post"
ticks() { awk '{print $14 + $15}' "/proc/$server/stat"; }
measure() {
  local before after told
  before=$(ticks)
  told=$(wrk -t1 -c16 -d5s -H "Host: acme.localhost:$port" -H "Cookie: $cookie" "${@:3}" "http://127.0.0.1:$port$2")
  after=$(ticks)
  awk -v what="$1" -v ticks=$((after - before)) '/requests in/ {n=$1} /Requests\/sec/ {rate=$2} /Non-2xx/ {bad=$NF}
    END {printf "%-42s %9.0f requests/s %6.0f us CPU each%s\n", what, rate, ticks * 10000 / n, bad ? ", refused: " bad : ""}' <<<"$told"
}
measure 'the limit: a constant answer' /livez
measure 'one profile by session cookie' /v1/me
measure 'one feature over OFREP' /ofrep/v1/evaluate/flags/search -s "$post"
measure 'people of the tenant' '/v1/users?limit=10'
measure 'discovery document' /.well-known/openid-configuration
awk '/VmRSS/ {printf "memory after that %.0f MiB\n", $2 / 1024}' "/proc/$server/status"
