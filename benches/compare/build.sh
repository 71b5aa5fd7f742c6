#!/usr/bin/env bash
# Builds what the comparison runs: the peers into target/compare, and the release gateway with the examples it measures.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for tool in nginx haproxy wrk; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
  echo "missing: ${missing[*]}; on Debian: apt-get install ${missing[*]}" >&2
  exit 2
fi

cargo build --release --manifest-path benches/compare/peers/Cargo.toml --target-dir target/compare
[[ "${1:-}" == --peers ]] || cargo build --release --features full --example gateway --example hyper_server --example live_apply
