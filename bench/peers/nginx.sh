#!/usr/bin/env bash
# nginx as a proxy, and refusing by a limit: bench/peers/nginx.sh PORT. Says what to ask, then waits for its input to end.
set -euo pipefail
port=$1
command -v nginx >/dev/null || { echo "nginx is not installed" >&2; exit 0; }
work=$(mktemp -d)
upstream=$((port + 1))
common="daemon off; worker_processes 1; error_log /dev/null; events { worker_connections 512; }"
http="access_log off; keepalive_requests 1000000000;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;"
cat >"$work/upstream.conf" <<EOF
pid $work/upstream.pid; $common
http { $http server { listen 127.0.0.1:$upstream; location / { return 200 "$(printf 'x%.0s' {1..100})"; } } }
EOF
cat >"$work/nginx.conf" <<EOF
pid $work/nginx.pid; $common
http { $http
  limit_req_zone \$http_x_key zone=few:1m rate=1r/s;
  upstream up { server 127.0.0.1:$upstream; keepalive 64; }
  server { listen 127.0.0.1:$port;
    location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /few { limit_req zone=few; limit_req_status 429; proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }
  } }
EOF
taskset -c 1 nginx -c "$work/upstream.conf" &
serves=$!
nginx -c "$work/nginx.conf" &
asked=$!
trap 'kill $asked $serves 2>/dev/null; wait; rm -rf "$work"' EXIT
until curl -fs -o /dev/null "http://127.0.0.1:$port/"; do sleep 0.05; done
worker=$(cat "/proc/$asked/task/$asked/children")
worker=${worker%% *}
say() { printf '{"process":%s,"what":"%s","path":"%s","status":%s,"headers":["X-Key: a"]}\n' "$worker" "$1" "$2" "$3"; }
say "plain proxy" / 200
say "refusal by a limit" /few 429
echo ready
cat >/dev/null
