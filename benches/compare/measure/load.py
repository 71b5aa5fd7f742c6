"""Load: wrk with a report of our own, h2load, and idle connections."""
import re, socket, subprocess
from .peers import consumer_count, on_all_cores, route_count, speaks_tls
from .process import BUILT, LOAD_CPU, RUN, settle

CONNECTIONS = {"h1c1": 1, "body100k": 16, "body10m": 4, "bodydisk": 16, "bodysendfile": 16}
PATHS = {"body100k": "/size/100k", "body10m": "/size/10m", "bodydisk": "/size/1m", "bodysendfile": "/size/1m", "cached": "/size/1k", "passed": "/size/1k"}

# A browser's ten fields beside Host, about 700 bytes.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://shop.example.com/catalogue/list?page=2",
    "Cookie": "session=0123456789abcdef0123456789abcdef0123456789abcdef; theme=dark; consent=1",
    "Authorization": "Bearer " + "a1b2c3d4" * 16,
    "X-Request-Id": "6f1c2f0e-2b64-4a0c-9d58-0f5a3c1f7e11",
    "X-Client-Version": "4.18.2",
    "Cache-Control": "no-cache",
}

REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("REPORT %d %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency:percentile(99.9), e.connect + e.read + e.write + e.timeout, e.status, summary.bytes))
end
"""

# 256 targets over all routes, made once.
SPREAD = """
local targets, turn = {}, 0
init = function()
  for k = 0, 255 do
    KEY
    targets[k + 1] = wrk.format("GET", "/svc" .. math.floor((k + 0.5) * COUNT / 256) .. "/api/v1/items/" .. (k * 7919))
  end
end
request = function() turn = turn %% 256 + 1; return targets[turn] end
""".replace("%%", "%")

# Pauses between requests of a connection: a load well under what a core carries, so that latency says something.
PACED = "delay = function() return math.random(2, 8) end\n"


# HTTP/2: connections, and streams on each; four of 100 where nothing is said.
STREAMS = {"h2c": (8, 8), "h2tls": (8, 8), "h2": (8, 8), "busy": (1, 64), "spread": (8, 8), "busytls": (1, 64), "spreadtls": (8, 8)}
# Requests a second, in all; well under what two cores carry, so that latency says something.
PACE = 6000


def scheme(workload):
    return "https" if speaks_tls(workload) else "http"


def connections(workload):
    return CONNECTIONS.get(workload, 64)


def script(workload, port):
    text = REPORT
    if workload == "h1hdr":
        text += "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in BROWSER.items())
    if workload == "paced":
        text += PACED
    if route_count(workload):
        key = f"wrk.headers['X-Api-Key'] = 'key-' .. (k * 3907 % {consumer_count(workload)})" if consumer_count(workload) else ""
        text += SPREAD.replace("COUNT", str(route_count(workload))).replace("KEY", key)
    path = RUN / f"{port}-wrk.lua"
    path.write_text(text)
    return path


class Wrk:
    """One run of wrk, from its start to its report."""

    def __init__(self, workload, seconds, port):
        self.limit = seconds + 10
        arguments = ["wrk", "-t1", f"-c{connections(workload)}", f"-d{seconds}s", "--timeout", "5s", "-s", str(script(workload, port)),
                     f"{scheme(workload)}://127.0.0.1:{port}{PATHS.get(workload, '/')}"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: settle(LOAD_CPU))

    def report(self):
        try:
            output, errors = self.process.communicate(timeout=self.limit)
        except BaseException:
            self.process.kill()
            raise
        found = re.search(r"^REPORT (.*)$", output, re.M)
        if not found:
            raise RuntimeError(f"wrk gave no report: {output[-300:]} {errors[-300:]}")
        requests, duration, p50, p99, p999, broken, refused, size = map(int, found.group(1).split())
        return dict(requests=requests, seconds=duration / 1e6, rps=requests / (duration / 1e6), p50=p50, p99=p99, p999=p999,
                    errors=broken + refused, bytes=size)


class H2load:
    """One run of h2load: four connections of 100 streams; `grpc` calls with a message of 64 bytes."""

    def __init__(self, workload, seconds, port):
        self.seconds, self.log = seconds, RUN / f"{port}-h2load.log"
        self.log.unlink(missing_ok=True)
        connections, streams = STREAMS.get(workload, (4, 100))
        arguments = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), f"--log-file={self.log}"]
        if on_all_cores(workload):
            arguments.append(f"--rps={PACE // connections}")
        if workload == "grpc":
            message = RUN / "message"
            message.write_bytes(bytes([0, 0, 0, 0, 64]) + b"m" * 64)
            arguments += ["-d", str(message), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        self.process = subprocess.Popen([*arguments, f"{scheme(workload)}://127.0.0.1:{port}/echo.Echo/Unary"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=lambda: settle(LOAD_CPU))

    def report(self):
        try:
            output, errors = self.process.communicate(timeout=self.seconds + 10)
        except BaseException:
            self.process.kill()
            raise
        if "requests:" not in output:
            raise RuntimeError(f"h2load gave no report: {output[-300:]} {errors[-300:]}")
        latencies, refused = [], 0
        for line in self.log.read_text().splitlines():
            _, status, taken = line.split()
            latencies.append(int(taken))
            refused += status != "200"
        latencies.sort()
        at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))] if latencies else 0
        return dict(requests=len(latencies), seconds=self.seconds, rps=len(latencies) / self.seconds, p50=at(.5), p99=at(.99),
                    p999=at(.999), errors=refused, bytes=0)


class Handshakes:
    """Handshakes of TLS 1.3 with one request each; `resumed`: all but the first of each of eight clients resume a session."""

    def __init__(self, workload, seconds, port):
        self.workload, self.seconds = workload, seconds
        form = "resumed" if workload == "resumed" else "full"
        self.process = subprocess.Popen([BUILT / "compare-clients", "handshakes", form, f"127.0.0.1:{port}", str(seconds)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: settle(LOAD_CPU))

    def report(self):
        try:
            output, errors = self.process.communicate(timeout=self.seconds + 10)
        except BaseException:
            self.process.kill()
            raise
        found = re.search(r"^REPORT (.*)$", output, re.M)
        if not found:
            raise RuntimeError(f"no report: {output[-300:]} {errors[-300:]}")
        made, resumed, failed, p50, p99 = map(int, found.group(1).split())
        if (resumed == 0) != (self.workload != "resumed") or (resumed and resumed < made - 16):
            raise RuntimeError(f"{resumed} of {made} handshakes were resumed")
        return dict(requests=made, seconds=self.seconds, rps=made / self.seconds, p50=p50, p99=p99, p999=p99, errors=failed, bytes=0)


def generator(workload):
    if workload in ("handshakes", "resumed"):
        return Handshakes
    return H2load if workload == "grpc" or workload == "h2h1" or workload in STREAMS else Wrk


class Held:
    """So many connections of a kind, each of which has had one whole exchange; `release` lets go of them."""

    def __init__(self, kind, port, count):
        self.process = subprocess.Popen([BUILT / "compare-clients", "hold", kind, f"127.0.0.1:{port}", str(count)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: settle(LOAD_CPU))
        if not self.process.stdout.readline().startswith("HELD"):
            raise RuntimeError(f"{count} connections of the kind {kind} could not be had")

    def release(self):
        self.process.communicate(timeout=60)


def idle(port, count):
    """So many keep-alive connections, each of which has had one whole answer."""
    opened = []
    for start in range(0, count, 64):
        batch = []
        for _ in range(min(64, count - start)):
            connection = socket.create_connection(("127.0.0.1", port), 5)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: rig/1\r\nAccept: */*\r\n\r\n")
            batch.append(connection)
        for connection in batch:
            received = b""
            while b"\r\n\r\n" not in received or len(received) - received.index(b"\r\n\r\n") - 4 < 1024:
                chunk = connection.recv(8192)
                if not chunk:
                    raise RuntimeError("closed before the answer was whole")
                received += chunk
        opened += batch
    return opened
