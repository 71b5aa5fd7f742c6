#!/usr/bin/env bash
# Builds every example and runs each as a user would: started on a free port (`LISTEN=127.0.0.1:PORT`, or `--listen` for the
# gateway), asked by curl, ended as by Ctrl-C (the gateway by SIGTERM, as a service manager does), with code 0. The gateway's
# demo is the upstream (`UPSTREAM`) of those that need one.
set -euo pipefail
cd "$(dirname "$0")/.."

STARTED=()
cleanup() { for pid in "${STARTED[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done; }
trap cleanup EXIT

free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# start NAME PORT: in the background, with its output in a log; sets PID.
start() {
  local name=$1 port=$2 arguments=()
  [[ "$name" == gateway ]] && arguments=(--listen "127.0.0.1:$port")
  # timeout hands signals on, gives back the example's own code, and cuts one that does not end within 20 s
  LISTEN="127.0.0.1:$port" UPSTREAM="127.0.0.1:$DEMO" timeout -k 20 300 "target/debug/examples/$name" "${arguments[@]}" >"target/all/example-$name.log" 2>&1 &
  PID=$!
  STARTED+=("$PID")
}

# answers NAME PORT PATH: curl keeps trying until the example listens; any answer but a server error is one.
answers() {
  local name=$1 port=$2 path=$3 status
  status=$(curl -s -o /dev/null -w '%{http_code}' --retry 50 --retry-delay 1 --retry-connrefused --max-time 20 "http://127.0.0.1:$port$path") || true
  if [[ ! "$status" =~ ^[234] ]]; then
    echo "example $name: no answer to GET $path (status $status)"
    cat "target/all/example-$name.log"
    return 1
  fi
  echo "example $name: $status"
}

# stop NAME PID SIGNAL
stop() {
  local name=$1 pid=$2 code=0
  kill -s "$3" "$pid"
  wait "$pid" || code=$?
  if ((code != 0)); then
    echo "example $name: ended with code $code"
    cat "target/all/example-$name.log"
    return 1
  fi
}

mkdir -p target/all
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
start gateway "$DEMO"
demo=$PID
answers gateway "$DEMO" /
for name in "${names[@]}"; do
  [[ "$name" == gateway ]] && continue
  port=$(free_port)
  start "$name" "$port"
  answers "$name" "$port" /
  stop "$name" "$PID" INT
done
stop gateway "$demo" TERM
echo "${#names[@]} examples ran"
