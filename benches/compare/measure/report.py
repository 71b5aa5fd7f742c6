"""Tables in Markdown."""
from .statistics import median, ratios, show


def values(rounds, subject, key):
    return [r[subject][key] for r in rounds if key in r.get(subject, {})]


def spread(found, form="{:.0f}"):
    return f"{form.format(median(found))} ({form.format(min(found))}-{form.format(max(found))})"


def table(kind, rounds, subjects, base):
    subjects = [s for s in subjects if any(s in r for r in rounds)]
    return {"idle": idle_table, "held": idle_table, "reload": reload_table, "load": load_table, "body": load_table, "count": count_table}[kind](kind, rounds, subjects, base)


def rows(head, lines):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(line) + " |" for line in lines])


def load_table(kind, rounds, subjects, base):
    key, unit = ("per_mib", "CPU µs/MiB") if kind == "body" else ("cpu", "CPU µs/request")
    lines = []
    for subject in subjects:
        v = lambda name: values(rounds, subject, name)
        lines.append([subject, spread(v(key), "{:.1f}"), show(ratios(rounds, key, subject, base)),
                      f"{median(v('user')):.1f} + {median(v('system')):.1f}", spread(v("rps")), show(ratios(rounds, "rps", subject, base)),
                      f"{median(v('p50')):.0f}", f"{median(v('p99')):.0f}", f"{median(v('rss_before')) / 1024:.1f} → {median(v('rss_after')) / 1024:.1f}",
                      f"{median(v('busy')):.0f}", str(sum(v("errors")))])
    return rows(["peer", f"{unit} (min-max)", f"/ {base}", "user + system", "requests/s (min-max)", f"/ {base}", "p50 µs", "p99 µs",
                 "RSS MiB", "core %", "errors"], lines)


def idle_table(_, rounds, subjects, __):
    lines = []
    for subject in subjects:
        v = lambda name: values(rounds, subject, name)
        lines.append([subject, f"{median(v('rss_before')):.0f}", f"{median(v('rss_held')):.0f}", spread(v("per_connection")),
                      f"{median(v('rss_after')):.0f}", f"{median(v('again')):.2f}", f"{median(v('idle_cpu_ms')):.1f}"])
    return rows(["peer", "RSS before KiB", "RSS with connections KiB", "bytes/connection (min-max)", "RSS after close KiB", "once more / first", "idle CPU ms/s"], lines)


def reload_table(_, rounds, subjects, __):
    lines = []
    for subject in subjects:
        v = lambda name: values(rounds, subject, name)
        lines.append([subject, spread(v("applied")), spread(v("rps")), str(sum(v("errors"))), str(sum(v("closed"))), f"{median(v('p50')):.0f}",
                      spread(v("p99")), spread(v("cpu"), "{:.1f}"), f"{median(v('rss_before')) / 1024:.1f} → {median(v('rss_after')) / 1024:.1f}"])
    return rows(["peer", "reloads", "requests/s", "failed requests", "closed connections", "p50 µs", "p99 µs (min-max)", "CPU µs/request",
                 "RSS MiB"], lines)


def count_table(_, rounds, subjects, base):
    lines = [[s, spread(values(rounds, s, "instructions")), show(ratios(rounds, "instructions", s, base))] for s in subjects]
    return rows(["peer", "instructions/request in user mode (min-max)", f"/ {base}"], lines)
