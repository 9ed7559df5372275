# SPDX-License-Identifier: GPL-2.0-only
# The table of the image measurement, of the lines of bench/image.
BEGIN {
	FS = ";"
	form = "%-40s %-8s %9s %9s %9s\n"
	printf form, "", "", "cold", "warm", "MB"
	printf form, "", "", "billions", "billions", "peak"
}
/^#/ { notes = notes substr($0, 3) "\n"; next }
{ printf form, $2 == "list" ? $1 : "", $2 == "list" ? "ls -lR" : $2 == "sizes" ? "find" : "program", sprintf("%.3f", $3 / 1e6), sprintf("%.3f", $5 / 1e6), sprintf("%.1f", $4 / 1e6) }
END { printf "\n%s", notes }
