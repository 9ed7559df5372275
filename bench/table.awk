# SPDX-License-Identifier: GPL-2.0-only
#
# The benchmark's table, from layerbench's lines (row,system,unit,median,least,most,rounds): first the file of the run
# under -icount, then (variable wall=1 before it) that of the ordinary run, of which only the ratio is shown.
# With csv=FILE the same goes there for programs to read.

BEGIN { FS = "," }

# On a machine that does other things too, the least time is the one that is least disturbed.
wall { took_wall[$1, $2] = $5; next }

{
	if (!($1 in unit)) {
		unit[$1] = $3
		order[++rows] = $1
	}
	took[$1, $2] = $4
	fuse = fuse || $2 == "fuse-overlayfs"
	spread[$1, $2] = $4 > 0 ? ($6 - $5) / $4 : 0
}

function ratio(a, b) { return b > 0 ? sprintf("%.3f", a / b) : "-" }
# What layerfs costs above the bare filesystem, to what overlayfs does. Nothing can be said where overlayfs costs
# hardly more than that.
function own(layerfs, overlayfs, bare) {
	return bare > 0 && overlayfs > bare * 1.02 ? sprintf("%.2f", (layerfs - bare) / (overlayfs - bare)) : "-"
}

END {
	format = "%-20s %12s %12s %12s %7s %7s %7s %6s%s\n"
	printf format, "", "layerfs", "overlayfs", "bare", "ratio", "own", "+-", "wall", fuse ? sprintf(" %15s", "fuse-overlayfs") : ""
	if (csv != "")
		print "row,unit,layerfs,overlayfs,bare,layerfs/overlayfs,own_cost,spread_layerfs,spread_overlayfs,wall_layerfs/overlayfs,fuse_overlayfs" > csv
	for (i = 1; i <= rows; i++) {
		r = order[i]
		l = took[r, "layerfs"]
		o = took[r, "overlayfs"]
		b = took[r, "bare"]
		q = ratio(l, o)
		noise = spread[r, "layerfs"] > spread[r, "overlayfs"] ? spread[r, "layerfs"] : spread[r, "overlayfs"]
		w = (r, "layerfs") in took_wall ? sprintf("%.2f", took_wall[r, "layerfs"] / took_wall[r, "overlayfs"]) : ""
		f = took[r, "fuse-overlayfs"]
		printf format, r, number(l), number(o), number(b), q, own(l, o, b), sprintf("%.1f%%", 50 * noise), w,
			fuse ? sprintf(" %15s", f == "" ? "-" : number(f)) : ""
		if (csv != "")
			printf "%s,%s,%.1f,%.1f,%.1f,%s,%s,%.4f,%.4f,%s,%s\n", r, unit[r] == "time" ? "instructions" : unit[r], l, o, b, q,
				own(l, o, b), spread[r, "layerfs"], spread[r, "overlayfs"], w, f > csv
		if (q != "-") {
			compared++
			good += q + 0 <= 1
			near += (own(l, o, b) != "-" && own(l, o, b) + 0 <= 0.5)
		}
	}
	printf "\n%d of %d rows at most 1.00 of overlayfs; %d with at most half of its own cost\n", good, compared, near
}

# 12,345,678
function number(x, s, out) {
	s = sprintf("%.0f", x)
	while (length(s) > 3) {
		out = "," substr(s, length(s) - 2) out
		s = substr(s, 1, length(s) - 3)
	}
	return s out
}
