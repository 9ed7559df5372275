#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
#
# The report of scripts/profile: sums what the plugin counted by function, and divides by the calls, of which there are as many
# as make the sum for each system what the benchmark says one call takes.
#
#   report.py RESULTS LINES

import bisect
import collections
import os
import re
import sys

results, lines = sys.argv[1], int(sys.argv[2])
systems = ("layerfs", "overlayfs", "bare")

symbols = []
with open(os.path.join(results, "kallsyms")) as f:
    for line in f:
        address, kind, name = line.split()[:3]
        if kind in "tTwW":
            symbols.append((int(address, 16), name))
symbols.sort()
addresses = [s[0] for s in symbols]


def legible(name):
    """The last two parts of a Rust path, out of a mangled name (v0)."""
    if not name.startswith("_R"):
        return name
    parts = []
    rest = name
    while match := re.search(r"(\d+)_?", rest):
        length = int(match.group(1))
        word = rest[match.end() : match.end() + length]
        if len(word) == length and re.fullmatch(r"[A-Za-z]\w*", word):
            parts.append(word)
            rest = rest[match.end() + length :]
        else:
            rest = rest[match.end() :]
    return "rust:" + "::".join(parts[:5])


executed = collections.defaultdict(lambda: [0, 0, 0])
with open(os.path.join(results, "blocks")) as f:
    for line in f:
        address, *counts = line.split()
        address = int(address, 16)
        if address < 1 << 47:
            name = "(the program)"
        else:
            name = symbols[bisect.bisect_right(addresses, address) - 1][1]
        for i, count in enumerate(counts):
            executed[name][i] += int(count)

per_call = {}
with open(os.path.join(results, "raw.csv")) as f:
    for line in f:
        fields = line.strip().split(",")
        per_call[fields[1]] = float(fields[3])
totals = [sum(e[i] for e in executed.values()) for i in range(3)]
calls = [t / per_call[s] if per_call.get(s) else 1 for t, s in zip(totals, systems)]
table = [(name, [e / c for e, c in zip(counts, calls)]) for name, counts in executed.items()]
print(f"{'layerfs':>9} {'overlayfs':>9} {'bare':>9}  function")


def show(rows):
    for name, counts in rows:
        print("{:9.0f} {:9.0f} {:9.0f}  {}".format(*counts, legible(name)))


show([("all", [t / c for t, c in zip(totals, calls)])])
show(sorted(table, key=lambda row: -max(row[1][0], row[1][1]))[:lines])
print("The largest differences between layerfs and overlayfs:")
show(sorted(table, key=lambda row: -abs(row[1][0] - row[1][1]))[:lines])
