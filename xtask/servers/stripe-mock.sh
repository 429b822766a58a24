#!/usr/bin/env bash
# A server that refuses what Stripe's description of its interface does not allow: stripe-mock.sh CACHE DIR PORT.
# Prints its process id.
set -euo pipefail
bin=$1/stripe-mock-0.197.0/stripe-mock dir=$2 port=$3
mkdir -p "$dir"
if [ ! -x "$bin" ]; then
  GOBIN=$1/stripe-mock-0.197.0 CGO_ENABLED=0 go install github.com/stripe/stripe-mock@v0.197.0 >&2
fi
"$bin" -http-addr "127.0.0.1:$port" -https-addr "127.0.0.1:$((port + 1))" </dev/null >"$dir/log" 2>&1 &
echo $!
for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && exit 0; sleep 0.05; done
exit 1
