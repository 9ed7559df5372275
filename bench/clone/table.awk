# SPDX-License-Identifier: GPL-2.0-only
#
# The table of make bench CLONE=1, of build/results/bench-clone/clone.csv. With svg=FILE and series=FILE also the picture.

BEGIN { FS = ","; split("bare overlay layerfs", wheres, " "); split("btrfs xfs", fss, " ") }

$4 == "clone" { clone[$1, $2, $3] = $5 / 1e6; next }
$4 == "moments" { if ($5 == "no") moments[$2, $3] = 1; next }
{
	n = split($5, words, " ")
	delete v
	for (i = 1; i <= n; i++) {
		split(words[i], pair, "=")
		v[pair[1]] = pair[2]
	}
	key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4
	count[key] += v["count"]
	median[key] = v["median"]
	p99[key] = v["p99"]
	worst[key] = v["worst"]
}

function ms(us) { return us == "" ? "-" : sprintf(us < 10000 ? "%.1f" : "%.0f", us / 1000) }

function row(fs, name,   i, line, key) {
	line = sprintf("  %-6s %-16s", fs, name)
	for (i = 1; i <= 3; i++) {
		key = "busy" SUBSEP fs SUBSEP wheres[i] SUBSEP name
		line = line sprintf("  %7s %8s %9s", ms(median[key]), ms(p99[key]), ms(worst[key]))
	}
	print line
}

END {
	printf "  seconds                  "
	for (i = 1; i <= 3; i++)
		printf "  %26s", wheres[i]
	print ""
	for (f = 1; f <= 2; f++) {
		for (k = 1; k <= 2; k++) {
			what = k == 1 ? "idle" : "busy"
			printf "  %-6s clone, %-9s", fss[f], what
			for (i = 1; i <= 3; i++)
				printf "  %26.2f", clone[what, fss[f], wheres[i]]
			print ""
		}
	}
	print ""
	print "  milliseconds: median, 99 of 100, the longest, while the clone is made"
	for (f = 1; f <= 2; f++) {
		row(fss[f], "buffered-read")
		row(fss[f], "direct-read")
		row(fss[f], "buffered-write")
		row(fss[f], "direct-write")
		row(fss[f], "mmap-write")
	}
	print ""
	print "  direct writes of 4 KiB a second, by one thread and by four"
	for (f = 1; f <= 2; f++) {
		for (k = 1; k <= 4; k += 3) {
			printf "  %-6s %-16s", fss[f], k == 1 ? "one" : "four"
			for (i = 1; i <= 3; i++)
				printf "  %26.0f", count["parallel" k, fss[f], wheres[i], "direct-write"] / 4
			print ""
		}
	}
	for (key in moments) {
		split(key, part, SUBSEP)
		printf "  A COPY IS NOT OF ONE MOMENT: %s on %s\n", part[2], part[1]
	}
}
