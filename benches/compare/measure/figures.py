"""The figures that the project holds itself to, judged by the rounds of one run."""
from .statistics import interval, median, ratios, show

# (run, sentence, key, subject, base or None, limit). A base makes it a ratio within the round, else it is a plain value.
FIGURES = [
    ("h1", "CPU per request, tollgate / nginx", "cpu", "tollgate", "nginx", 0.97),
    ("h1", "CPU per request, gateway in a hyper server / nginx", "cpu", "embedded", "nginx", 1.05),
    ("h1hdr", "CPU per request with 11 fields, tollgate / nginx", "cpu", "tollgate", "nginx", 0.97),
    ("routes", "CPU per request, 10,000 prefix routes / 10", "cpu", "tollgate@routes10000", "tollgate@routes10", 1.03),
    ("plugins", "CPU per request, key + limit + metrics, tollgate / nginx with map and limit_req", "cpu", "tollgate@gateway", "nginx@gateway", 0.90),
    ("plugins", "CPU per request, with those plugins / without", "cpu", "tollgate@gateway", "tollgate@bare", 1.12),
    ("plugins", "CPU per request, 1,000,000 consumers / 1,000", "cpu", "tollgate@million", "tollgate@gateway", 1.1),
    ("grpc", "CPU per unary gRPC call, tollgate / Envoy", "cpu", "tollgate", "envoy", 0.6),
    ("h1h2", "CPU per request, HTTP/1 to HTTP/2, tollgate / Envoy", "cpu", "tollgate", "envoy", 0.6),
    ("h2h1", "CPU per request, HTTP/2 to HTTP/1, tollgate / Envoy", "cpu", "tollgate", "envoy", 0.6),
    ("h2c", "CPU per request, HTTP/2 in clear text, tollgate / nginx", "cpu", "tollgate", "nginx", 0.7),
    ("h2tls", "CPU per request, HTTP/2 over TLS, tollgate / nginx", "cpu", "tollgate", "nginx", 0.95),
    ("handshakes", "CPU per full TLS 1.3 handshake with a request, tollgate / nginx", "cpu", "tollgate", "nginx", 1.0),
    ("resumed", "CPU per resumed TLS 1.3 handshake with a request, tollgate / nginx", "cpu", "tollgate", "nginx", 1.0),
    ("busy", "p99, one HTTP/2 connection / eight", "p99", "tollgate@busy", "tollgate@spread", 1.5),
    ("busytls", "p99, one HTTP/2 connection over TLS / eight", "p99", "tollgate@busytls", "tollgate@spreadtls", 1.5),
    ("held", "bytes of memory per idle plain connection", "per_connection", "tollgate@plain", None, 2048),
    ("held", "bytes of memory per idle TLS connection", "per_connection", "tollgate@tls", None, 16384),
    ("held", "bytes of memory per idle HTTP/2 connection", "per_connection", "tollgate@h2c", None, 24576),
    ("held", "bytes of memory per WebSocket", "per_connection", "tollgate@websocket", None, 8192),
    ("held", "memory with as many TLS connections once more / the first time", "again", "tollgate@tls", None, 1.05),
    ("body10m", "CPU per MiB, tollgate / plain hyper", "per_mib", "tollgate", "hyper", 1.05),
    ("conns5000", "bytes of memory per idle connection", "per_connection", "tollgate", None, 2048),
    ("conns5000", "memory with as many connections once more / the first time", "again", "tollgate", None, 1.05),
    ("reload", "p99, a reload every 10 ms / none", "p99", "reload", "steady", 1.2),
    ("reload", "failed requests", "errors", "reload", None, 0),
    ("reload", "closed connections", "closed", "reload", None, 0),
    ("reload", "memory at the end / after the first second", "growth", "reload", None, 1.05),
]


def judge(run, rounds):
    """Lines `- sentence: 0.93 [0.91, 0.95], at most 0.97: met`. Met: the median reaches the limit, or its 95 % interval does;
    fewer than 15 rounds decide nothing. Of what must be 0 each single round counts."""
    lines = []
    for name, sentence, key, subject, base, limit in FIGURES:
        if name != run:
            continue
        values = ratios(rounds, key, subject, base) if base else [r[subject][key] for r in rounds if key in r.get(subject, {})]
        if not values:
            continue
        lowest = (interval(values) or (median(values),))[0] if limit else max(values)
        met = min(median(values), lowest) <= limit if limit else lowest == 0
        verdict = ("met" if met else "NOT met") if len(values) >= 15 else f"undecided after {len(values)} rounds"
        text = show(values, "{:.0f}" if limit == 0 or limit > 1000 else "{:.3f}")
        lines.append(f"- {sentence}: {text}, at most {limit}: {verdict}")
    return lines
