"""Medians, and how sure they are."""
import math, statistics

median = statistics.median


def interval(values):
    """The 95 % interval of the median by order statistics: no assumption on how the noise is distributed. For 15 values
    it spans from the 4th to the 12th. None for fewer than 6, which cannot give 95 %."""
    values, count = sorted(values), len(values)
    rank, tail = 0, 0.0
    while rank < count:
        tail += math.comb(count, rank) / 2 ** count
        if tail > 0.025:
            break
        rank += 1
    return (values[rank - 1], values[count - rank]) if rank else None


def ratios(rounds, key, subject, base):
    """Of the same round each: what disturbs a round disturbs both."""
    return [r[subject][key] / r[base][key] for r in rounds if subject in r and base in r and r[base].get(key) and key in r[subject]]


def show(values, form="{:.2f}"):
    """`0.93 [0.91, 0.95]`"""
    if not values:
        return "-"
    span = interval(values)
    text = form.format(median(values))
    return f"{text} [{form.format(span[0])}, {form.format(span[1])}]" if span else text
