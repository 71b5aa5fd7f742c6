"""Instructions in user mode for one request, counted by valgrind: what the clock cannot resolve. The kernel's share is not in it."""
import os, re, socket, subprocess
from .load import BROWSER
from .peers import PEERS, consumer_count, nginx, route_count
from .process import PROXY_CPU, RUN, free_port, settle, wait_for_answer

CONNECTIONS = 64
FEW, MANY = 10, 60    # requests on each connection; the difference of the two runs is free of start and end


def head(workload):
    fields = "".join(f"{name}: {value}\r\n" for name, value in BROWSER.items()) if workload == "h1hdr" else ""
    if consumer_count(workload):
        fields += "X-Api-Key: key-7\r\n"
    path = "/svc7/api/v1/items/7" if route_count(workload) else "/"
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode()


def read_answer(connection):
    received = b""
    while b"\r\n\r\n" not in received or len(received) - received.index(b"\r\n\r\n") - 4 < 1024:
        chunk = connection.recv(65536)
        if not chunk:
            raise RuntimeError("closed before the answer was whole")
        received += chunk


def count(peer, workload, origin, turns):
    """All instructions of a proxy that serves so many turns of one request on each connection."""
    port = free_port()
    # valgrind counts one process
    arguments, environment = nginx(workload, port, origin, master="off") if peer == "nginx" else PEERS[peer](workload, port, origin)
    log = RUN / f"{peer}-valgrind.log"
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}", *map(str, arguments)]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=lambda: settle(PROXY_CPU))
    try:
        wait_for_answer(port, process)
        request, connections = head(workload), [socket.create_connection(("127.0.0.1", port), 10) for _ in range(CONNECTIONS)]
        for _ in range(turns):
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                read_answer(connection)
        for connection in connections:
            connection.close()
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    found = re.search(r"Collected : (\d+)", log.read_text())
    if not found:
        raise RuntimeError(f"valgrind gave no count; see {log}")
    return int(found.group(1))


def per_request(subject, origin):
    peer, _, workload = subject.partition("@")
    few, many = (count(peer, workload, origin, turns) for turns in (FEW, MANY))
    return dict(instructions=(many - few) / (CONNECTIONS * (MANY - FEW)))
