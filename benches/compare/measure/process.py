"""Processes: started on a processor of their own, measured as a tree, ended by id."""
import fcntl, os, pathlib, re, resource, signal, socket, ssl, subprocess, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILT = ROOT / "target/compare/release"       # the peers of build.sh
RELEASE = ROOT / "target/release/examples"    # the gateway and the examples that are measured
RUN = ROOT / "target/compare/run"             # configurations and logs of a run

PROXY_CPU, LOAD_CPU = {0}, {1}
TICKS = os.sysconf("SC_CLK_TCK")
schedule = "rr"


def lock():
    """One measurement at a time on a machine: they share the processors."""
    RUN.mkdir(parents=True, exist_ok=True)
    held = open(pathlib.Path(tempfile.gettempdir()) / "tollgate-compare.lock", "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def raise_limits():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def prefer():
    """All that is measured alike. rr: the real-time class, so that other work on a busy machine hardly disturbs (what
    remains is the kernel's 95 % limit for that class, a p99.9 of about 50 ms). nice: the highest ordinary priority, for the
    process and its session's group; a busy machine then shows as some 20 % more CPU per request. none: as started."""
    try:
        if schedule == "rr":
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        elif schedule == "nice":
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            pathlib.Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        pass  # not root: measured as started, which only adds noise


def settle(cpus):
    os.setsid()
    os.sched_setaffinity(0, cpus)
    prefer()


def spawn(arguments, environment=None, cpus=PROXY_CPU, log=None):
    output = open(log, "wb") if log else subprocess.DEVNULL
    return subprocess.Popen([str(a) for a in arguments], env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                            stdout=output, stderr=output, preexec_fn=lambda: settle(cpus))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid):
    """The process and all below it: nginx has a worker."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat[stat.rindex(")") + 2:].split()[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def end(process, ask=signal.SIGTERM):
    """The signal, and SIGKILL for the whole tree if it is still there after three seconds. Returns the exit code."""
    if process.poll() is None:
        pids = tree(process.pid)
        process.send_signal(ask)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            process.wait(3)
    return process.returncode


def cpu(pids):
    """µs of processor time: (all, to the nanosecond; in user mode, in the kernel, both in ticks of 10 ms)."""
    total = user = system = 0.0
    for pid in pids:
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            fields = stat[stat.rindex(")") + 2:].split()
            user += int(fields[11]) / TICKS * 1e6
            system += int(fields[12]) / TICKS * 1e6
            for task in os.listdir(f"/proc/{pid}/task"):
                total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) / 1e3
        except OSError:
            pass
    return total, user, system


def memory(pids, key="Rss"):
    """KiB, from the kernel's own sum over the mappings."""
    total = 0
    for pid in pids:
        try:
            found = re.search(rf"^{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += int(found.group(1)) if found else 0
        except OSError:
            pass
    return total


def clients(port):
    """Client ports of the established connections to a local port."""
    found = set()
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        if state == "01" and int(local.split(":")[1], 16) == port:
            found.add(int(remote.split(":")[1], 16))
    return found


def open_to(port, tls, http2):
    """A connection, secured if asked for."""
    plain = socket.create_connection(("127.0.0.1", port), 1)
    if not tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
    return context.wrap_socket(plain, server_hostname="localhost")


def wait_for_answer(port, process=None, seconds=60, http2=False, tls=False):
    """Until the port answers 200 to a plain request; over HTTP/2: until it sends its settings."""
    until = time.time() + seconds
    while time.time() < until:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"ended with code {process.returncode} before it answered")
        try:
            with open_to(port, tls, http2) as connection:
                if http2:
                    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
                    if connection.recv(9)[3:4] == b"\x04":
                        return
                    continue
                connection.sendall(b"GET /svc1/x HTTP/1.1\r\nHost: a\r\nX-Api-Key: key-1\r\n\r\n")
                if b" 200 " in connection.recv(4096)[:20]:
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("did not answer 200 in time")
