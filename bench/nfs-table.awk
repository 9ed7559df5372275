# SPDX-License-Identifier: GPL-2.0-only
# The table of the NFS measurement, of the lines of bench/nfs.
BEGIN {
	FS = ";"
	form = "%-36s %8s %8s %8s %8s %8s %8s %8s %9s\n"
	printf form, "", "LOOKUP", "ENOENT", "ACCESS", "GETATTR", "OPEN", "READDIR", "all", "seconds"
}
/^#/ { notes = notes substr($0, 3) "\n"; next }
{ printf form, $1, $2, $3, $4, $5, $6, $7, $8, sprintf("%.2f", $9 / 1000) }
END { printf "\n%s", notes }
