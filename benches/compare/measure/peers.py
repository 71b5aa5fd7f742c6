"""The proxies: each a function from workload, port and origin to (arguments, environment). To add one: a function here, a
line in PEERS."""
import json, os, re, subprocess
from pathlib import Path
from .process import BUILT, RELEASE, RUN

CONF = Path(__file__).resolve().parents[1] / "conf"


LIMIT = 1_000_000    # requests a second and consumer: counted, and never reached


def route_count(workload):
    return {"routes10": 10, "routes10000": 10000, "bare": 1000, "gateway": 1000, "million": 1000}.get(workload, 0)


def speaks_http2(workload):
    """Whether the origin does."""
    return workload in ("grpc", "h1h2")


# Workloads whose answers are kept: in memory, on disk, and on disk with nginx's `sendfile`.
CACHED = ("cached", "bodydisk", "bodysendfile")


def consumer_count(workload):
    """Workloads with a key, a limit by consumer and metrics on each route."""
    return {"gateway": 1000, "million": 1_000_000}.get(workload, 0)


def speaks_tls(workload):
    return workload in ("h1tls", "h2tls", "handshakes", "resumed", "tls", "h2", "busytls", "spreadtls")


def protocols(workload):
    """What the proxy speaks towards clients, as the gateway's file names it."""
    if workload in ("h2c", "h2h1", "busy", "spread"):
        return ["h2c"]
    if workload in ("h2tls", "h2", "busytls", "spreadtls"):
        return ["h1", "h2"]
    return ["h1"] if speaks_tls(workload) else ["h1", "h2c"]


def certificate():
    """A certificate on P-256 for localhost, and its key: two files, made once. A third one has both."""
    cert, key, both = (RUN / name for name in ("cert.pem", "key.pem", "both.pem"))
    if not both.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        both.write_text(cert.read_text() + key.read_text())
    return cert, key, both


def fill(template, port, **values):
    text = (CONF / template).read_text()
    for key, value in {"RUN": RUN, "PORT": port, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    path = RUN / f"{port}-{template}"
    path.write_text(text)
    return path


def document(workload, port, origin):
    """The declarative file that a user would write."""
    uris = [f"/svc{i}/*" for i in range(route_count(workload))] or ["/*"]
    routes = [{"id": f"r{i}", "uri": uri, "upstream_id": "origin"} for i, uri in enumerate(uris)]
    if workload == "websocket":
        routes[0]["enable_websocket"] = True
    zone = {"name": "compare", "disk_path": str(RUN / f"{port}-tollgate-zone")}
    if workload in CACHED:
        kind = {"cached": {"cache_strategy": "memory"}}.get(workload, {"cache_zone": "compare"})
        routes[0]["plugins"] = {"proxy-cache": {"cache_ttl": 3600, **kind}}
    upstream = {"id": "origin", "nodes": {origin: 1}}
    if speaks_http2(workload):
        upstream["scheme"] = "grpc"
    whole = {"upstreams": [upstream], "routes": routes}
    if consumer_count(workload):
        for route in routes:
            route["plugins"] = {
                "key-auth": {"header": "X-Api-Key"},
                "limit-count": {"count": LIMIT * 60, "time_window": 60, "key_type": "var", "key": "consumer_name"},
                "prometheus": {},
            }
        whole["consumers"] = [{"username": str(i), "plugins": {"key-auth": {"key": f"key-{i}"}}} for i in range(consumer_count(workload))]
    listener = {"address": f"127.0.0.1:{port}", "protocols": protocols(workload)}
    if speaks_tls(workload):
        cert, key, _ = certificate()
        whole["ssls"] = [{"id": "c", "sni": "localhost", "cert": cert.read_text(), "key": key.read_text()}]
        listener["tls"] = {"fallback_sni": "localhost"}
    whole["tollgate"] = {"listeners": [listener], "limits": {"max_connections": 100_000}}
    if workload in CACHED:
        whole["tollgate"]["cache_zones"] = [zone]
    path = RUN / f"{port}-tollgate.json"
    path.write_text(json.dumps(whole, separators=(",", ":")))
    return path


def on_all_cores(workload):
    return workload in ("busy", "spread", "busytls", "spreadtls")


def tollgate(workload, port, origin):
    gateway = os.environ.get("TOLLGATE", RELEASE / "gateway")
    return [gateway, "--config", document(workload, port, origin), "--workers", "2" if on_all_cores(workload) else "1"], {}


def embedded(workload, port, origin):
    """The gateway as a service in a hyper server of the host's."""
    return [RELEASE / "hyper_server"], {"LISTEN": f"127.0.0.1:{port}", "UPSTREAM": origin}


def reloading(period_ms):
    """The gateway in a program that calls `apply` every so many milliseconds (0: never). After SIGINT it says how often: a line
    `applied N`."""
    def peer(workload, port, origin):
        return [RELEASE / "live_apply"], {"LISTEN": f"127.0.0.1:{port}", "UPSTREAM": origin, "RELOAD_MS": str(period_ms)}
    return peer


def nginx(workload, port, origin, master="on"):
    count = route_count(workload)
    locations = [f"location /svc{i}/ {{ proxy_pass http://origin; }}" for i in range(count)]
    locations.append("location / { return 404; }" if count else "location / { proxy_pass http://origin; }")
    extra = ""
    if consumer_count(workload):
        # the nearest that nginx has: a map from key to consumer, a rate by consumer, a field for each
        keys = "\n".join(f"key-{i} consumer-{i};" for i in range(consumer_count(workload)))
        extra = (f"map_hash_max_size 8192; map_hash_bucket_size 128; map $http_x_api_key $consumer {{ default \"\"; {keys} }}\n"
                 f"limit_req_zone $consumer zone=consumers:10m rate={LIMIT}r/s; limit_req_status 429;")
        locations[:0] = [
            f"if ($consumer = \"\") {{ return 401; }} limit_req zone=consumers burst={LIMIT} nodelay;",
            f"add_header X-RateLimit-Limit {LIMIT}; proxy_set_header X-Consumer $consumer; proxy_set_header X-Api-Key \"\";",
            "proxy_set_header Connection \"\";",
        ]
    tls = ""
    if speaks_tls(workload):
        cert, key, _ = certificate()
        tls = f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;"
    listen = (" ssl" if speaks_tls(workload) else "") + (" http2" if protocols(workload) in (["h2c"], ["h1", "h2"]) else "")
    if workload == "websocket":
        locations = ["location / { proxy_pass http://origin; proxy_set_header Upgrade $http_upgrade; "
                     "proxy_set_header Connection $http_connection; proxy_read_timeout 600s; }"]
    if workload in CACHED:
        folder = RUN / f"{port}-nginx-zone"
        sendfile = "on" if workload == "bodysendfile" else "off"
        extra = f"proxy_cache_path {folder} levels=1:2 keys_zone=compare:10m; sendfile {sendfile};"
        locations = ["location / { proxy_pass http://origin; proxy_cache compare; proxy_cache_valid 200 1h; }"]
    conf = fill("nginx.conf", port, LISTEN=listen, TLS=tls, ORIGIN=origin, MASTER=master, EXTRA=extra, LOCATIONS="\n".join(locations),
                BUFFERING="off" if workload in ("body100k", "body10m") else "on")
    return ["/usr/sbin/nginx", "-p", RUN, "-c", conf], {}


def haproxy(workload, port, origin):
    routes = ""
    if route_count(workload):
        table = RUN / f"{port}-haproxy.map"
        table.write_text("".join(f"/svc{i}/ origin\n" for i in range(route_count(workload))))
        routes = f"use_backend %[path,map_beg({table},none)]"
    listen = {"h2c": " proto h2"}.get(workload, "")
    if speaks_tls(workload):
        listen = f" ssl crt {certificate()[2]} alpn " + ("h2,http/1.1" if "h2" in protocols(workload) else "http/1.1")
    return ["/usr/sbin/haproxy", "-db", "-f", fill("haproxy.cfg", port, LISTEN=listen, ORIGIN=origin, ROUTES=routes)], {}


def hyper(workload, port, origin):
    return [BUILT / "compare-hyper", f"127.0.0.1:{port}", origin], {}


def envoy(workload, port, origin):
    """One listener, one route, one cluster; nothing that it does on its own account."""
    extension = "type.googleapis.com/envoy.extensions."
    address = lambda host, port: {"socket_address": {"address": host, "port_value": port}}
    host, _, origin_port = origin.partition(":")
    many = {"priority": "DEFAULT", "max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}
    cluster = {"name": "origin", "type": "STATIC", "circuit_breakers": {"thresholds": [many]}, "load_assignment": {
        "cluster_name": "origin", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(host, int(origin_port))}}]}]}}
    if speaks_http2(workload):
        options = extension + "upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": options, "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 100}}}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]
    manager = {"@type": extension + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
               "codec_type": "AUTO", "generate_request_id": False,
               "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]},
               "http_filters": [{"name": "router", "typed_config": {
                   "@type": extension + "filters.http.router.v3.Router", "suppress_envoy_headers": True}}]}
    listener = {"name": "l", "address": address("127.0.0.1", port),
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}
    path = RUN / f"{port}-envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    binary = os.environ.get("ENVOY", "envoy")
    return [binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"], {}


PEERS = {
    "tollgate": tollgate,
    "embedded": embedded,
    "nginx": nginx,
    "haproxy": haproxy,
    "hyper": hyper,
    "envoy": envoy,
    "reload": reloading(10),
    "steady": reloading(0),
}


def versions():
    """One line each of what is compared with."""
    lines = []
    for command in (["/usr/sbin/nginx", "-v"], ["/usr/sbin/haproxy", "-v"], ["wrk", "-v"], ["h2load", "--version"],
                    [os.environ.get("ENVOY", "envoy"), "--version"], ["rustc", "--version"], ["uname", "-sr"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            continue
        text = (done.stdout + done.stderr).splitlines()
        if text:
            lines.append(re.sub(r" \[.*| https?:.*| Copyright.*", "", text[0]))
    return lines
