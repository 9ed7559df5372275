# SPDX-License-Identifier: GPL-2.0-only
#
# The table of make bench FILL=1, of build/results/bench-fill/fill.csv: medians; of what is done once more and of the file the
# best, as what else this machine does only makes it slower.

BEGIN { FS = ";"; split("pull fuse fill", ways, " ") }

/^#/ { note = substr($0, 3); next }
{ values[$1, $2, ++count[$1, $2]] = $3 }

function median(what, way,   n, i, j, t, v) {
	n = count[what, way]
	if (!n)
		return ""
	for (i = 1; i <= n; i++)
		v[i] = values[what, way, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] > v[j]; j--) {
			t = v[j]
			v[j] = v[j - 1]
			v[j - 1] = t
		}
	if (what == "cold" || what == "warm")
		return v[1]
	if (what == "cached" || what == "uncached")
		return v[n]
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

# row TEXT WHAT DIVISOR FORM
function row(text, what, divisor, form,   i, m, line) {
	line = sprintf("  %-40s", text)
	for (i = 1; i <= 3; i++) {
		m = median(what, ways[i])
		line = line sprintf("%12s", m == "" ? "-" : sprintf(form, m / divisor))
	}
	print line
}

function speed(text, what,   line) {
	printf "  %-40s%12.0f%12.0f%12.0f\n", text, median(what, "bare") / 1024, median(what, "before") / 1024, median(what, "after") / 1024
}

END {
	printf "  %-40s%12s%12s%12s\n", "seconds", "pull", "fuse", "fill"
	row("to the first output", "first", 1000, "%.2f")
	row("to the end", "end", 1000, "%.2f")
	row("until all is there, and the daemon gone", "full", 1000, "%.2f")
	row("the same once more, no caches", "cold", 1000, "%.3f")
	row("the same once more, cached", "warm", 1000, "%.3f")
	print ""
	printf "  %-40s%12s%12s%12s\n", "calls that reached the daemon", "pull", "fuse", "fill"
	row("to the first output", "calls-first", 1, "%d")
	row("to the end", "calls-end", 1, "%d")
	row("until it was gone", "calls-full", 1, "%d")
	print ""
	printf "  %-40s%12s%12s%12s\n", "a file of 64 MiB, MiB/s", "bare xfs", "before", "after"
	speed("not cached", "uncached")
	speed("cached", "cached")
	print ""
	printf "  fill/fuse, first output: %.2f; fill/pull, once more: %.3f without caches, %.3f cached\n", \
		median("first", "fill") / median("first", "fuse"), median("cold", "fill") / median("cold", "pull"), \
		median("warm", "fill") / median("warm", "pull")
	print "  " note
}
