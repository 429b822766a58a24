#!/usr/bin/env bash
# HAProxy as a proxy, and refusing by a limit: bench/peers/haproxy.sh PORT. Says what to ask, then waits for its input to end.
set -euo pipefail
port=$1
command -v haproxy >/dev/null && command -v nginx >/dev/null || { echo "haproxy or nginx is not installed" >&2; exit 0; }
work=$(mktemp -d)
upstream=$((port + 1))
cat >"$work/upstream.conf" <<EOF
pid $work/upstream.pid; daemon off; worker_processes 1; error_log /dev/null; events { worker_connections 512; }
http { access_log off; keepalive_requests 1000000000;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$upstream; location / { return 200 "$(printf 'x%.0s' {1..100})"; } } }
EOF
cat >"$work/haproxy.cfg" <<EOF
global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:$port
  stick-table type string size 10k expire 10s store http_req_rate(1s)
  http-request track-sc0 hdr(X-Key) if { path_beg /few }
  http-request deny deny_status 429 if { path_beg /few } { sc_http_req_rate(0) gt 1 }
  default_backend up
backend up
  http-reuse always
  server one 127.0.0.1:$upstream
EOF
taskset -c 1 nginx -c "$work/upstream.conf" &
serves=$!
haproxy -db -f "$work/haproxy.cfg" 2>/dev/null &
asked=$!
trap 'kill $asked $serves 2>/dev/null; wait; rm -rf "$work"' EXIT
until curl -fs -o /dev/null "http://127.0.0.1:$port/"; do sleep 0.05; done
say() { printf '{"process":%s,"what":"%s","path":"%s","status":%s,"headers":["X-Key: a"]}\n' "$asked" "$1" "$2" "$3"; }
say "plain proxy" / 200
say "refusal by a limit" /few 429
echo ready
cat >/dev/null
