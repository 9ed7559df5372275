# SPDX-License-Identifier: GPL-2.0-only
#
# The picture of make bench CLONE=1 (SVG), of build/results/bench-clone/series.csv: for each tenth of a second of the clone
# the longest access that began in it, reads above and writes below, on btrfs and on xfs.

BEGIN {
	FS = ","
	split("bare overlay layerfs", wheres, " ")
	colour["bare"] = "#999999"; colour["overlay"] = "#d08020"; colour["layerfs"] = "#2060c0"
	WIDTH = 420; HEIGHT = 220; LEFT = 60; TOP = 40; GAP = 70
}

{
	kind = $3 ~ /read$/ ? "read" : "write"
	key = $1 SUBSEP kind SUBSEP $2 SUBSEP $4
	if ($5 > longest[key])
		longest[key] = $5
	# An access goes on as long as it takes: so far the picture reaches.
	end = $4 / 10 + $5 / 1e6
	if (end > seconds[$1])
		seconds[$1] = end
}

# From 10 microseconds to 1000 seconds.
function y_of(us,   log10) {
	log10 = log(us < 10 ? 10 : us) / log(10)
	return HEIGHT - (log10 - 1) / 8 * HEIGHT
}

function label(power) {
	return power < 3 ? 10 ^ power " µs" : power < 6 ? 10 ^ (power - 3) " ms" : 10 ^ (power - 6) " s"
}

function panel(fs, kind, x0, y0,   power, i, y, step, t, path) {
	printf "<g transform=\"translate(%d %d)\">\n", x0, y0
	printf "<text x=\"0\" y=\"-8\" font-weight=\"bold\">%ss on %s</text>\n", kind, fs
	for (power = 1; power <= 9; power++) {
		y = HEIGHT - (power - 1) / 8 * HEIGHT
		printf "<line x1=\"0\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#dddddd\"/>", y, WIDTH, y
		printf "<text x=\"-6\" y=\"%.1f\" text-anchor=\"end\" font-size=\"10\">%s</text>\n", y + 3, label(power)
	}
	step = seconds[fs] > 100 ? 50 : seconds[fs] > 20 ? 10 : seconds[fs] > 5 ? 2 : 1
	for (t = 0; t <= seconds[fs]; t += step)
		printf "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" font-size=\"10\">%d s</text>\n", t / seconds[fs] * WIDTH,
			HEIGHT + 14, t
	for (i = 1; i <= 3; i++) {
		path = ""
		for (key in longest) {
			split(key, part, SUBSEP)
			if (part[1] == fs && part[2] == kind && part[3] == wheres[i])
				path = path sprintf("M%.1f %.1fH%.1f", part[4] / 10 / seconds[fs] * WIDTH, y_of(longest[key]),
					(part[4] / 10 + longest[key] / 1e6) / seconds[fs] * WIDTH)
		}
		printf "<path d=\"%s\" stroke=\"%s\" stroke-width=\"2\" stroke-linecap=\"round\"/>\n", path, colour[wheres[i]]
	}
	print "</g>"
}

END {
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n",
		2 * (LEFT + WIDTH) + 40, TOP + 2 * (HEIGHT + GAP)
	print "<!-- SPDX-License-Identifier: GPL-2.0-only -->"
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	print "<text x=\"60\" y=\"16\">The longest access that began in each tenth of a second of a clone; a line is as long as it took</text>"
	for (i = 1; i <= 3; i++)
		printf "<text x=\"%d\" y=\"16\" fill=\"%s\" font-weight=\"bold\">%s</text>\n", 640 + 90 * i, colour[wheres[i]], wheres[i]
	panel("btrfs", "read", LEFT, TOP + 10)
	panel("xfs", "read", 2 * LEFT + WIDTH, TOP + 10)
	panel("btrfs", "write", LEFT, TOP + HEIGHT + GAP)
	panel("xfs", "write", 2 * LEFT + WIDTH, TOP + HEIGHT + GAP)
	print "</svg>"
}
