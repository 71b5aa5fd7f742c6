#!/usr/bin/env bash
# Builds every example and runs each as a user would: started on a free port (`LISTEN=127.0.0.1:PORT`, or `--listen` for the
# gateway), asked by curl for what its first lines promise, ended as by Ctrl-C (the gateway by SIGTERM, as a service manager
# does), with code 0. The gateway's demo is the upstream (`UPSTREAM`) of those that need one.
set -euo pipefail
cd "$(dirname "$0")/.."

LOGS=target/all
STARTED=()
cleanup() { for pid in "${STARTED[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done; }
trap cleanup EXIT

# free_port: this one and the next are free; two gateways take two.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue
    (exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null || { echo "$port"; return; }
  done
}

# fail NAME MESSAGE: with the example's output.
fail() {
  echo "example $1: $2"
  cat "$LOGS/example-$1.log"
  return 1
}

# start NAME PORT [ARGUMENT ...]: in the background, with its output in a log; sets PID.
start() {
  local name=$1 port=$2
  shift 2
  # timeout hands signals on, gives back the example's own code, and cuts one that does not end within 20 s
  LISTEN="127.0.0.1:$port" ADMIN_KEY=a-key-of-sixteen-characters UPSTREAM="127.0.0.1:$DEMO" DIRECTORY=https://127.0.0.1:1/ timeout -k 20 300 "target/debug/examples/$name" "$@" >"$LOGS/example-$name.log" 2>&1 &
  PID=$!
  STARTED+=("$PID")
}

# says NAME PORT EXPECTED PATH [CURL ARGUMENT ...]: the answer, head and body, has EXPECTED in it. curl keeps trying until the
# example listens.
says() {
  local name=$1 port=$2 expected=$3 path=$4 answer
  shift 4
  answer=$(curl -si --retry 50 --retry-delay 1 --retry-connrefused --max-time 20 "$@" "http://127.0.0.1:$port$path") || true
  [[ "$answer" == *"$expected"* ]] || fail "$name" "GET $path $* does not say \"$expected\" but: $answer"
}

# stop NAME PID SIGNAL
stop() {
  local name=$1 pid=$2 code=0
  kill -s "$3" "$pid"
  wait "$pid" || code=$?
  ((code == 0)) || fail "$name" "ended with code $code"
}

# What each example promises in its first lines.
ask_gateway() {
  says gateway "$1" "This is tollgate" /
  says gateway "$1" "Hello, world!" /hello/world
  says gateway "$1" '"body": "text"' /echo/any/path -d text
  says gateway "$1" '"uri": "/hello/x"' /hello/x -H 'Accept: application/json'
  says gateway "$1" "404 Not Found" /nowhere
  local canaries
  canaries=$(for _ in $(seq 20); do curl -s "http://127.0.0.1:$1/canary"; done | grep -c canary)
  ((canaries == 2)) || fail gateway "$canaries of 20 requests reached the canary, not 2"
}
ask_admin_api() {
  local admin=/apisix/admin key=a-key-of-sixteen-characters
  says admin_api "$1" "missing apikey" "$admin/routes"
  says admin_api "$1" "201 Created" "$admin/routes/hi" -X PUT -H "X-API-KEY: $key" \
    -d '{"uri": "/hi", "upstream": {"nodes": [{"service": "hello", "weight": 1}]}}'
  says admin_api "$1" "/hi in process" /hi
  says admin_api "$1" "axum's own route" /
}
ask_acme() {
  says acme "$1" "hello" /
  says acme "$1" "404 Not Found" /.well-known/acme-challenge/unknown
}
ask_axum_fallback() {
  says axum_fallback "$1" "axum's own route" /own
  says axum_fallback "$1" "/api/hello in process" /api/hello
}
ask_axum_cache() {
  says axum_cache "$1" "apisix-cache-status: MISS" /
  says axum_cache "$1" "apisix-cache-status: HIT" /
  says axum_cache "$1" "206 Partial Content" / -H 'range: bytes=0-3'
  says axum_cache "$1" "200 OK" / -X PURGE
  says axum_cache "$1" "apisix-cache-status: MISS" /
}

ask_axum_oas_validator() {
  says axum_oas_validator "$1" "every pet" '/pets?limit=5'
  says axum_oas_validator "$1" 'failed to validate request. query parameter `limit`' '/pets?limit=500'
  says axum_oas_validator "$1" '/name: value is not of type' /pets -d '{"name": 7}' -H 'content-type: application/json'
  says axum_oas_validator "$1" 'welcome, {"name":"a"}' /pets -d '{"name": "a"}' -H 'content-type: application/json'
}
ask_axum_plugins() {
  says axum_plugins "$1" "Missing API key in request" /
  says axum_plugins "$1" "Hello, acme!" / -H 'apikey: key-of-acme'
  says axum_plugins "$1" "x-ratelimit-remaining: 2" / -H 'apikey: key-of-bolt'
  says axum_plugins "$1" "x-ratelimit-remaining: 1" / -H 'apikey: key-of-acme'
  says axum_plugins "$1" "x-ratelimit-remaining: 0" / -H 'apikey: key-of-acme'
}
ask_hyper_server() { says hyper_server "$1" "This is tollgate" /; }
ask_in_code() {
  says in_code "$1" "GET /plain" /plain
  says in_code "$1" "x-took: " /timed
}
ask_listeners() {
  says listeners "$1" "hello, 127.0.0.1" /
  grep -q "no such address on this machine" "$LOGS/example-listeners.log" || fail listeners "it names no address that cannot be had"
}
ask_live_apply() { says live_apply "$1" "This is tollgate" /; }
ask_strict_acceptor() {
  says strict_acceptor "$1" "hello, 127.0.0.1" /
  says strict_acceptor "$1" "hello, 127.0.0.1 by 127.0.0.1" / --haproxy-protocol
  says strict_acceptor "$1" "400 Bad Request" / -d x -H 'Transfer-Encoding: chunked' -H 'Content-Length: 1'
}
ask_tls_server() {
  local url="https://example.test:$1/" answer first now
  local curl=(curl -sk --retry 50 --retry-delay 1 --retry-connrefused --max-time 20 --resolve "example.test:$1:127.0.0.1")
  answer=$("${curl[@]}" "$url") || true
  [[ "$answer" == "over TLS" ]] || fail tls_server "it says $answer"
  expires() { "${curl[@]}" -w '%{certs}' -o /dev/null "$url" | sed -n '/Expire date/p'; }
  first=$(expires)
  for _ in $(seq 10); do
    now=$(expires)
    [[ "$now" == "$first" ]] || return 0
    sleep 1
  done
  fail tls_server "the certificate stays: $first"
}
ask_two_gateways() {
  says two_gateways "$1" "the public gateway" /
  says two_gateways $(($1 + 1)) "the internal gateway" /
}

ask_upstream_service() {
  says upstream_service "$1" "hello from" / --retry-all-errors
  local answers
  # Which of the two is up first is chance.
  answers=$(for _ in $(seq 50); do curl -s "http://127.0.0.1:$1/"; done | sort -u | xargs)
  [[ "$answers" == "hello from one hello from two" ]] || fail upstream_service "both answer: $answers"
  says upstream_service "$1" "200 OK" /stop
  # None fails, and soon all come from the other: connections that were open when it stopped may give an answer yet.
  for _ in $(seq 20); do
    answers=$(for _ in $(seq 50); do curl -s "http://127.0.0.1:$1/"; done | sort | uniq -c | xargs)
    [[ "$answers" == "50 hello from two" ]] && return 0
    [[ "$answers" =~ ^[0-9]+\ hello\ from\ one\ [0-9]+\ hello\ from\ two$ ]] || break
  done
  fail upstream_service "behind the stop: $answers"
}

# The gateway with a file: judged, explained, served, and followed.
ask_file() {
  local file=$LOGS/example.yaml port
  target/debug/examples/gateway validate examples/gateway/sample.yaml
  local told
  told=$(target/debug/examples/gateway explain examples/gateway/sample.yaml GET http://shop.test/api/orders/7 -H 'x-ring: beta')
  [[ "$told" == *"route orders-beta wins"* ]] || { echo "explain says: $told"; return 1; }
  printf 'routes: [{id: a, uri: "/*", upstream_id: nowhere, uris: []}]\n' >"$file"
  local code=0
  target/debug/examples/gateway validate "$file" >/dev/null || code=$?
  ((code == 1)) || { echo "validate: code $code for a faulty file"; return 1; }

  sed "s/127.0.0.1:7001/127.0.0.1:$DEMO/" examples/gateway/sample.yaml >"$file"
  port=$(free_port)
  start gateway "$port" --config "$file" --listen "127.0.0.1:$port"
  local pid=$PID
  says gateway "$port" "404 Not Found" /api/orders
  says gateway "$port" "404 Route Not Found" /other -H 'Host: shop.test'
  sed "s|uris: \[/api/orders, |uris: [/hello/:name, |" "$file" >"$file.next" && mv "$file.next" "$file"
  # two of the three nodes are not there, which a retry hides; a client asks again until the change is in force
  says gateway "$port" "Hello, you!" /hello/you -H 'Host: shop.test' --fail --retry-all-errors
  stop gateway "$pid" TERM
}

mkdir -p "$LOGS"
cargo build --all-features --examples
names=()
for path in examples/*.rs examples/*/main.rs; do
  [[ -e "$path" ]] || continue
  name=${path#examples/}
  name=${name%/main.rs}
  names+=("${name%.rs}")
done
((${#names[@]})) || { echo "there are no examples"; exit 1; }

DEMO=$(free_port)
start gateway "$DEMO" --listen "127.0.0.1:$DEMO"
demo=$PID
ask_gateway "$DEMO"
for name in "${names[@]}"; do
  [[ "$name" == gateway ]] && continue
  port=$(free_port)
  start "$name" "$port"
  pid=$PID
  "ask_$name" "$port"
  stop "$name" "$pid" INT
  echo "example $name: does what it says"
done
cp "$LOGS/example-gateway.log" "$LOGS/example-gateway-demo.log"
ask_file
stop gateway "$demo" TERM
echo "example gateway: does what it says"
echo "${#names[@]} examples ran"
