#!/usr/bin/env python3
"""Live configuration, measured from outside: the bundled gateway with its store, changed through its Admin API under traffic.

  cargo build --release --example gateway --features full && bash benches/compare/build.sh
  python3 benches/compare/live.py RUN... [--routes 10000] [--etcd URL] [--seconds 5] [--rounds 5] [--scheduler rr|nice|none]

Runs:
  effect      from the answer of a write to its effect on traffic, and p99 of traffic with 50 writes a second against none
  etcd        the same over etcd (--etcd, default http://127.0.0.1:2379): written at one gateway, seen at another, which has
              the traffic
  writes      1,000 writes a second to the disk store for --seconds, p99 of traffic beside it
  start       100,000 routes in etcd, from the start of the process until they serve
  kills       200 times kill -9 of the gateway while four connections write to the disk store: writes lost
  websockets  8,000 WebSockets over 100 changes: closed ones, generations alive, memory
  listeners   8,000 WebSockets, half of them over TLS, over 100 changes of the file, 20 of the certificate and 20 of other
              listeners: closed ones, and connections that were refused meanwhile

Only processes started here are ended, by their id. TOLLGATE names another gateway binary.
"""
import argparse, asyncio, http.client, json, os, pathlib, re, shutil, socket, ssl, statistics, subprocess, sys, threading, time
from measure import process
from measure.process import BUILT, RELEASE, RUN

KEY = "benchmark-key-0123456789"
GATEWAY = os.environ.get("TOLLGATE", RELEASE / "gateway")


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class Gateway:
    """One gateway with a store: its ports, its Admin API, its control API."""

    def __init__(self, name, store, admin=True):
        self.port, self.admin_port, self.control = process.free_port(), process.free_port(), process.free_port()
        settings = {
            "listeners": [{"address": f"127.0.0.1:{self.port}", "protocols": ["h1"]}],
            "workers": 2,
            "store": store,
            "control": f"127.0.0.1:{self.control}",
            "limits": {"max_connections": 100000},
            "role": "traditional" if admin else "data_plane",
        }
        if admin:
            settings["admin"] = {"listen": f"127.0.0.1:{self.admin_port}", "keys": [{"name": "bench", "key": KEY}]}
        file = RUN / f"live-{name}.json"
        file.write_text(json.dumps({"tollgate": settings}))
        self.process = process.spawn([GATEWAY, "--config", file], cpus={0, 1}, log=RUN / f"live-{name}.log")
        process.raise_limits()
        self.wait()

    def wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(f"the gateway ended: see {RUN}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the gateway does not listen")

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=30)

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=10)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def end(self):
        process.end(self.process)


def put(connection, path, value):
    connection.request("PUT", "/apisix/admin" + path, json.dumps(value), {"X-API-KEY": KEY, "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201):
        sys.exit(f"PUT {path}: {answer.status} {text[:300]}")


def marked(number):
    """A route whose answer tells which version of it serves."""
    return {"uri": "/probe", "plugins": {"fault-injection": {"abort": {"http_status": 200, "body": str(number)}}}}


def fill(gateway, routes, origin):
    """The upstream, the routes and the route under load."""
    connection = gateway.connect()
    put(connection, "/upstreams/origin", {"nodes": [{"host": "127.0.0.1", "port": origin, "weight": 1}]})
    begun = time.time()
    for number in range(routes):
        put(connection, f"/routes/{number}", {"uri": f"/svc{number}/*", "upstream_id": "origin"})
    if routes:
        print(f"{routes} routes written one by one in {time.time() - begun:.1f} s", flush=True)
    put(connection, "/routes/load", {"uri": "/load/*", "upstream_id": "origin"})


def probe(connection, path="/probe"):
    connection.request("GET", path, headers={"Host": "a.test"})
    return connection.getresponse().read().decode()


def effects(writer, reader, writes):
    """ms from the begin of a write to its answer, and from there to its effect."""
    admin, traffic = writer.connect(), http.client.HTTPConnection("127.0.0.1", reader.port, timeout=10)
    took, effect = [], []
    for number in range(writes):
        begun = time.perf_counter()
        put(admin, "/routes/probe", marked(number))
        answered = time.perf_counter()
        while probe(traffic) != str(number):
            pass
        took.append((answered - begun) * 1e3)
        effect.append((time.perf_counter() - answered) * 1e3)
    return took, effect


def wrk(port, seconds, connections=8):
    """Some 2,000 requests a second, so that there is processor left to be late by: requests a second, and p50 and p99 in ms."""
    paced = RUN / "live-paced.lua"
    paced.write_text("delay = function() return 3 end\n")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", paced, f"http://127.0.0.1:{port}/load/x"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=lambda: process.settle({0, 1})).stdout
    def ms(quantile):
        value, unit = re.search(rf"{quantile}%\s+([\d.]+)(us|ms|s)", text).groups()
        return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]
    if "Non-2xx" in text or "Socket errors" in text:
        print("  !!", re.findall(r"(Non-2xx.*|Socket errors.*)", text))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), ms(50), ms(99)


class Writing:
    """Writes at a rate in the background, by several connections."""

    def __init__(self, gateway, rate, writers=8):
        self.stop, self.written, self.took = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.run, args=(gateway, rate / writers, n)) for n in range(writers)]
        self.begun = time.time()
        for thread in self.threads:
            thread.start()

    def run(self, gateway, rate, number):
        connection, due, round_ = gateway.connect(), time.perf_counter(), 0
        while not self.stop.is_set():
            begun = time.perf_counter()
            put(connection, f"/routes/w{number}", {"uri": f"/written/{number}/{round_}", "upstream_id": "origin"})
            self.took.append((time.perf_counter() - begun) * 1e3)
            self.written += 1
            round_ += 1
            due = max(due + 1 / rate, time.perf_counter() - 1)
            time.sleep(max(0, due - time.perf_counter()))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self.written / (time.time() - self.begun)


def beside(writer, reader, rate, options):
    """p99 of traffic with writes to p99 without, in pairs of slices."""
    ratios, rates, tooks, p99s = [], [], [], []
    wrk(reader.port, 1)
    for _ in range(options.rounds):
        _, _, steady = wrk(reader.port, options.seconds)
        writing = Writing(writer, rate)
        throughput, _, changing = wrk(reader.port, options.seconds)
        rates.append(writing.end())
        tooks += writing.took
        ratios.append(changing / steady)
        p99s.append((steady, changing))
    print(f"  traffic of {throughput:.0f} requests/s")
    print(f"  {statistics.median(rates):.0f} writes/s (asked for {rate}), answered p50 {quantile(tooks, .5):.2f} ms p99 {quantile(tooks, .99):.2f} ms")
    print(f"  p99 of traffic with writes / without: median {statistics.median(ratios):.3f} of {[round(r, 2) for r in ratios]}, ms {[(round(a, 2), round(b, 2)) for a, b in p99s]}")


def show_effects(name, took, effect):
    print(f"{name}: a write is answered after p50 {quantile(took, .5):.2f} ms p99 {quantile(took, .99):.2f} ms; from its answer to its "
          f"effect p50 {quantile(effect, .5):.2f} ms p99 {quantile(effect, .99):.2f} ms, most {max(effect):.2f} ms ({len(effect)} writes)", flush=True)




def disk(name):
    path = RUN / f"live-{name}.redb"
    path.unlink(missing_ok=True)
    return {"kind": "disk", "path": str(path)}


def run_effect(options, origin_port):
    gateway = Gateway("effect", disk("effect"))
    try:
        fill(gateway, options.routes, origin_port)
        show_effects(f"disk, {options.routes} routes", *effects(gateway, gateway, 500))
        beside(gateway, gateway, 50, options)
    finally:
        gateway.end()


def run_etcd(options, origin_port):
    prefix = f"/live-{os.getpid()}"
    store = lambda name: {"kind": "etcd", "etcd": {"host": [options.etcd], "prefix": prefix}, "local_copy": str(RUN / f"live-{name}.copy")}
    writer, reader = Gateway("writer", store("writer")), Gateway("reader", store("reader"), admin=False)
    try:
        fill(writer, options.routes, origin_port)
        show_effects(f"etcd, {options.routes} routes", *effects(writer, reader, 500))
        beside(writer, reader, 50, options)
        for gateway in (writer, reader):
            print("  connections to etcd:", connections(gateway.process.pid, options.etcd))
    finally:
        writer.end()
        reader.end()


def etcd_put(url, pairs):
    """Writes keys by etcd's own HTTP gateway, 100 in a transaction."""
    import base64, urllib.parse
    code = lambda text: base64.b64encode(text.encode()).decode()
    address = urllib.parse.urlparse(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    for first in range(0, len(pairs), 100):
        puts = [{"requestPut": {"key": code(key), "value": code(value)}} for key, value in pairs[first:first + 100]]
        connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit(f"etcd: {answer.status} {answer.read()[:300]}")
        answer.read()


def run_start(options, origin_port):
    """Many routes in etcd: from the start of the process until the last of them serves."""
    prefix, count = f"/start-{os.getpid()}", 100_000
    upstream = json.dumps({"nodes": [{"host": "127.0.0.1", "port": origin_port, "weight": 1}]})
    route = lambda n: json.dumps({"uri": f"/svc{n}/*", "upstream_id": "origin", "methods": ["GET"], "plugins": {"proxy-rewrite": {"headers": {"set": {"x-route": str(n)}}}}})
    etcd_put(options.etcd, [(f"{prefix}/upstreams/origin", upstream)] + [(f"{prefix}/routes/{n}", route(n)) for n in range(count)])
    for round_ in range(3):
        begun = time.time()
        gateway = Gateway("start", {"kind": "etcd", "etcd": {"host": [options.etcd], "prefix": prefix}, "local_copy": str(RUN / f"live-start-{os.getpid()}-{round_}.copy")}, admin=False)
        try:
            client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
            while "Route Not Found" in probe(client, f"/svc{count - 1}/x"):
                time.sleep(0.02)
            took = time.time() - begun
            used = process.cpu([gateway.process.pid])[0] / 1e6
            print(f"{count} routes from etcd: in force {took:.2f} s after the start of the process, {used:.2f} s of processor time, "
                  f"{process.memory([gateway.process.pid]) // 1024} MiB", flush=True)
        finally:
            gateway.end()


def run_kills(options, _):
    """kill -9 of the gateway while four connections write: what was answered is there, whole."""
    store, written, lost, answered = disk("kills"), {}, 0, 0
    for round_ in range(200):
        gateway = Gateway("kills", store)
        def writer(number):
            nonlocal answered
            connection, turn = gateway.connect(), 0
            while True:
                value = f"/{number}/{round_}/{turn}"
                try:
                    connection.request("PUT", f"/apisix/admin/routes/{number}", json.dumps({"uri": value, "plugins": {}}), {"X-API-KEY": KEY})
                    answer = connection.getresponse()
                    if answer.read() and answer.status in (200, 201):
                        written[number] = (round_, turn)
                        answered += 1
                except (OSError, http.client.HTTPException):
                    return
                turn += 1
        if round_:
            connection = gateway.connect()
            for number, least in written.items():
                connection.request("GET", f"/apisix/admin/routes/{number}", headers={"X-API-KEY": KEY})
                _, _, *at = json.loads(connection.getresponse().read())["value"]["uri"].split("/")
                lost += tuple(map(int, at)) < least
        threads = [threading.Thread(target=writer, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.05 + 0.2 * (round_ * 7919 % 100) / 100)
        gateway.process.kill()
        gateway.process.wait()
        for thread in threads:
            thread.join()
    print(f"200 kills of the gateway under writes: {answered} writes answered, {lost} of the last ones lost")


def connections(pid, url):
    """Connections of a process to the port of a URL, as the kernel knows them."""
    port = f":{int(url.rsplit(':', 1)[1]):04X}"
    inodes = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) and row[3] == "01" and f"socket:[{row[9]}]" in inodes for row in rows)


def run_writes(options, origin_port):
    gateway = Gateway("writes", disk("writes"))
    try:
        fill(gateway, options.routes, origin_port)
        print(f"disk, {options.routes} routes, 1,000 writes a second:")
        beside(gateway, gateway, 1000, options)
    finally:
        gateway.end()


async def echo(reader, writer):
    """An origin of WebSockets: says yes, then sends back what comes."""
    head = await reader.readuntil(b"\r\n\r\n")
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head).group(1)
    import base64, hashlib
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    try:
        while data := await reader.read(4096):
            writer.write(data)
    except asyncio.CancelledError:
        pass
    writer.close()


FRAME = b"\x81\x82\x00\x00\x00\x00hi"


async def open_one(port, path, tls=None):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head, head
    return reader, writer


async def is_alive(pair):
    reader, writer = pair
    writer.write(FRAME)
    try:
        return await asyncio.wait_for(reader.readexactly(len(FRAME)), 30) == FRAME
    except (asyncio.IncompleteReadError, OSError, asyncio.TimeoutError):
        return False


def certificate(number):
    """A new certificate for localhost, and its key."""
    cert, key = RUN / f"swap-{number}.pem", RUN / f"swap-{number}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                    "-subj", f"/CN=localhost {number}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return {"id": "local", "sni": "localhost", "cert": cert.read_text(), "key": key.read_text()}


def shown(port):
    """The subject of the certificate that a new connection is shown."""
    asked = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"], input="",
                           capture_output=True, text=True)
    found = re.search(r"subject=CN *= *(.*)", asked.stdout)
    return found and found.group(1)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


async def until(what, seconds=20):
    end = time.time() + seconds
    while not await asyncio.to_thread(what):
        if time.time() > end:
            sys.exit("a change did not take effect in time")
        await asyncio.sleep(0.01)


async def listeners(_):
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=8192)
    plain, secure, other, moved, control = (process.free_port() for _ in range(5))
    upstream = {"id": "origin", "nodes": {f"127.0.0.1:{server.sockets[0].getsockname()[1]}": 1}}
    at = lambda port, **more: {"address": f"127.0.0.1:{port}", "protocols": ["h1"], **more}
    document = {
        "tollgate": {"workers": 2, "control": f"127.0.0.1:{control}", "limits": {"max_connections": 100000},
                     "listeners": [at(plain), at(secure, tls={}), at(other)]},
        "ssls": [certificate(0)], "upstreams": [upstream],
        "routes": [{"id": "ws", "uri": "/ws", "upstream_id": "origin", "enable_websocket": True}],
    }
    file = RUN / "live-listeners.json"

    def write():
        whole = file.with_suffix(".new")
        whole.write_text(json.dumps(document))
        whole.rename(file)

    write()
    gateway = process.spawn([GATEWAY, "--config", file], cpus={0, 1}, log=RUN / "live-listeners.log")
    process.raise_limits()

    def ask(path):
        connection = http.client.HTTPConnection("127.0.0.1", control, timeout=10)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    try:
        await until(lambda: listens(plain) and listens(secure) and listens(control))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        pairs = []
        while len(pairs) < 8000:
            pairs += await asyncio.gather(*(open_one(plain, "/ws") for _ in range(100)))
            pairs += await asyncio.gather(*(open_one(secure, "/ws", context) for _ in range(100)))
        assert all(await asyncio.gather(*map(is_alive, pairs)))
        before, tried, refused, over = process.memory([gateway.pid]), 0, 0, False

        async def newcomers():
            nonlocal tried, refused
            while not over:
                for port, tls in ((plain, None), (secure, context)):
                    tried += 1
                    try:
                        pair = await asyncio.wait_for(open_one(port, "/ws", tls), 10)
                        refused += not await is_alive(pair)
                        pair[1].transport.abort()
                    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, AssertionError):
                        refused += 1
                await asyncio.sleep(0.005)

        probing = asyncio.create_task(newcomers())
        for number in range(100):
            document["routes"][1:] = [{"id": "extra", "uri": f"/extra/{number}", "upstream_id": "origin"}]
            revision = ask("/v1/config/status")["revision"]
            write()
            await until(lambda: ask("/v1/config/status")["revision"] != revision)
        for number in range(1, 21):
            document["ssls"] = [await asyncio.to_thread(certificate, number)]
            write()
            await until(lambda: shown(secure) == f"localhost {number}")
        turns = [[at(plain), at(secure, tls={})], [at(plain), at(secure, tls={}), at(moved)],
                 [at(plain), at(secure, tls={}), at(other, tls={}), at(moved)], [at(plain), at(secure, tls={}), at(other)]]
        for number in range(20):
            document["tollgate"]["listeners"] = turns[number % 4]
            ports = {int(one["address"].rpartition(":")[2]) for one in turns[number % 4]}
            write()
            await until(lambda: listens(other) == (other in ports) and listens(moved) == (moved in ports))
        over = True
        await probing
        after = process.memory([gateway.pid])
        alive = sum(await asyncio.gather(*map(is_alive, pairs)))
        print(f"8,000 WebSockets, half over TLS, over 100 changes of routes, 20 of the certificate, 20 of other listeners: {8000 - alive} closed; "
              f"{refused} of {tried} new connections refused; memory {before} to {after} KiB ({after / before - 1:+.1%})")
    finally:
        process.end(gateway)


async def websockets(options):
    server = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=8192)
    gateway = Gateway("websockets", disk("websockets"))
    try:
        admin = gateway.connect()
        put(admin, "/upstreams/origin", {"nodes": [{"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "weight": 1}]})
        for number in range(options.routes):
            put(admin, f"/routes/{number}", {"uri": f"/svc{number}/*", "upstream_id": "origin"})
        put(admin, "/routes/ws", {"uri": "/ws", "upstream_id": "origin", "enable_websocket": True})
        pairs = []
        while len(pairs) < 8000:
            pairs += await asyncio.gather(*(open_one(gateway.port, "/ws") for _ in range(200)))
        # What moves bytes has its buffers; a tunnel that is silent gives them back or does not: that is no matter of changes.
        assert all(await asyncio.gather(*map(is_alive, pairs)))
        before = process.memory([gateway.process.pid])
        most = 0
        for number in range(100):
            await asyncio.to_thread(put, admin, f"/routes/{number % max(1, options.routes)}", {"uri": f"/svc{number}/changed/*", "upstream_id": "origin"})
            await asyncio.to_thread(put, admin, "/routes/ws", {"uri": "/ws", "upstream_id": "origin", "enable_websocket": True, "labels": {"round": str(number)}})
            generations = (await asyncio.to_thread(gateway.ask, "/v1/config/generations"))
            generations = generations.get("generations", generations) if isinstance(generations, dict) else generations
            most = max(most, sum(it["whole"] for it in generations) - 1)
        after = process.memory([gateway.process.pid])
        alive = sum(await asyncio.gather(*map(is_alive, pairs)))
        print(f"8,000 WebSockets over 200 changes of {options.routes + 1} routes: {8000 - alive} closed; old configurations whole in memory at "
              f"most {most}; memory {before} to {after} KiB ({after / before - 1:+.1%})")
        print("  generations:", json.dumps(generations)[:400])
    finally:
        gateway.end()
        server.close()


def run_listeners(options, _):
    asyncio.run(listeners(options))


def run_websockets(options, _):
    process.raise_limits()
    asyncio.run(websockets(options))


RUNS = {"effect": run_effect, "etcd": run_etcd, "writes": run_writes, "start": run_start, "kills": run_kills, "websockets": run_websockets,
        "listeners": run_listeners}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", choices=RUNS)
    parser.add_argument("--routes", type=int, default=10000)
    parser.add_argument("--etcd", default="http://127.0.0.1:2379")
    parser.add_argument("--scheduler", choices=["rr", "nice", "none"], default="nice", help="as rig.py has it")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    held = process.lock()
    process.schedule = options.scheduler
    process.prefer()
    port = process.free_port()
    started = process.spawn([BUILT / "compare-origin", f"127.0.0.1:{port}"], cpus={0, 1}, log=RUN / "live-origin.log")
    try:
        for name in options.runs:
            RUNS[name](options, port)
    finally:
        process.end(started)
        held.close()


main()
