#!/usr/bin/env bash
# A server that acts like Mollie and keeps state: mollie.sh CACHE DIR PORT. Prints its process id.
set -euo pipefail
venv=$1/localstripe dir=$2 port=$3 here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"
if [ ! -x "$venv/bin/localstripe" ]; then
  { python3 -m venv "$venv" && "$venv/bin/pip" install -q localstripe==1.15.10; } >&2
fi
cd "$dir"
"$venv/bin/python" "$here/mollie.py" "$port" </dev/null >"$dir/log" 2>&1 &
echo $!
for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && exit 0; sleep 0.05; done
exit 1
