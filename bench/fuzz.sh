#!/usr/bin/env bash
# Sends to every operation of /openapi.json what its description allows and what it does not, as a tenant's owner and as the
# operator: bench/fuzz.sh CACHE EXAMPLES [BINARY]. A fault (5xx), or an answer that the document does not know, fails it.
set -euo pipefail
cache=$1 examples=$2
cd "$(dirname "$0")/.."
if [ $# -lt 3 ]; then
  cargo build --quiet --package freehold
  target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
fi
binary=${3:-$target/debug/freehold}
tool=$cache/fuzz/bin/schemathesis
if ! "$tool" --version 2>/dev/null | grep -q '4\.32\.5'; then
  python3 -m venv "$cache/fuzz"
  "$cache/fuzz/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5 openapi-spec-validator==0.9.0
fi
work=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
FREEHOLD_RATE=100000000 FREEHOLD_LOG=error "$binary" --data "$work/data" --listen "127.0.0.1:$port" >"$work/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$work"' EXIT
base=http://127.0.0.1:$port
for _ in $(seq 1200); do curl -fs -o /dev/null "$base/livez" && break; sleep 0.05; done
cookie() { grep -io "$1=[^;]*" | head -1; }
ask() { curl -fs -o /dev/null "$@"; }
token=$(grep -o 'claim?token=[^[:space:]]*' "$work/log" | cut -d= -f2-)
operator=$(curl -fs -o /dev/null -D - -H "Host: localhost:$port" "$base/claim" --data-urlencode "token=$token" -d name=Olga \
  -d email=olga@ops.example --data-urlencode 'password=correct horse battery' | cookie freehold_operator)
ask -H "Host: localhost:$port" "$base/v1/sign-up" -H 'content-type: application/json' \
  -d '{"company":"Acme","slug":"acme","name":"Ada","email":"ada@acme.example"}'
for _ in $(seq 400); do grep -q 'ticket=' "$work/log" && break; sleep 0.05; done
ticket=$(grep -o 'ticket=[^[:space:]]*' "$work/log" | head -1 | cut -d= -f2)
owner=$(curl -fs -o /dev/null -D - -H "Host: acme.localhost:$port" "$base/welcome" -d "ticket=$ticket" -d for=verify \
  --data-urlencode 'password=correct horse battery' | cookie freehold_session)
[ -n "$operator" ] && [ -n "$owner" ] || { cat "$work/log" >&2; echo "nobody could sign in" >&2; exit 1; }
curl -fs "$base/openapi.json" -H "Host: localhost:$port" >"$work/openapi.json"
"$cache/fuzz/bin/openapi-spec-validator" "$work/openapi.json"
# Of each scope its own operations, but those after which the session is over or the person gone: nothing more would be said
# of the others.
python3 - "$work" <<'EOF'
import json, re, sys
work = sys.argv[1]
last = re.compile(r"sign_out|log(ged_)?out|end_session|end_all|sessions?\.(revoke|end)|erase|deactivate|suspend$|archive|"
                  r"password|account_changed|[.]act$|tenants\.settings\.update|[.]stream$")
for scope in ("tenant", "platform"):
    document = json.load(open(f"{work}/openapi.json"))
    for path, item in list(document["paths"].items()):
        for method, operation in list(item.items()):
            if operation["x-scope"] != scope or last.search(operation["operationId"]):
                del item[method]
        if not item:
            del document["paths"][path]
    # The host name says the tenant, and the credential is the one that is given: made-up ones would only be unknown.
    document["components"]["parameters"].pop("Tenant")
    document["components"].pop("securitySchemes")
    for item in document["paths"].values():
        for operation in item.values():
            operation.pop("security")
            operation["parameters"] = [it for it in operation.get("parameters", [])
                                       if not it.get("$ref", "").endswith("/Tenant")]
    json.dump(document, open(f"{work}/{scope}.json", "w"))
EOF
failed=0
run() {
  echo "as $3 of the $1"
  (cd "$work" && "$tool" run "$1.json" --url "$base" --header "Host: $2" --header "Cookie: $4" --max-examples "$examples" \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --generation-deterministic --continue-on-failure --request-timeout 20 --no-color) || failed=1
  # Whoever is signed out by what was sent has tried nothing.
  [ -z "$5" ] || ask -H "Host: $2" -H "Cookie: $4" "$base$5" || { echo "the session ended on the way" >&2; failed=1; }
}
run tenant "acme.localhost:$port" 'the owner' "$owner" /v1/me
run platform "localhost:$port" 'the operator' "$operator" /v1/tenants
run tenant "acme.localhost:$port" 'a visitor' none=none ''
kill -0 "$server" || { echo "the program has ended" >&2; failed=1; }
if [ -s "$work/log" ] && grep -c '"\?level"\?.*ERROR\|ERROR' "$work/log"; then grep ERROR "$work/log" | head -20 >&2; failed=1; fi
exit $failed
