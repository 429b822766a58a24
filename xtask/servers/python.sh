#!/usr/bin/env bash
# A server in Python that acts like a payment gateway and keeps state: python.sh CACHE DIR PORT NAME, of the NAME.py beside
# this, which may have the name of what it imports (-P). Prints its process id.
set -euo pipefail
venv=$1/localstripe-1.15.10-aiohttp-3.14.5 dir=$2 port=$3 server=$(cd "$(dirname "$0")" && pwd)/$4.py
mkdir -p "$dir"
if [ ! -x "$venv/bin/localstripe" ]; then
  { python3 -m venv "$venv" && "$venv/bin/pip" install -q localstripe==1.15.10 aiohttp==3.14.5; } >&2
fi
cd "$dir"
"$venv/bin/python" -P "$server" "$port" </dev/null >"$dir/log" 2>&1 &
echo $!
for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && exit 0; sleep 0.05; done
exit 1
