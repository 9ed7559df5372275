#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs bindgen over bindings.h for one kernel tree.
#
# usage: generate.sh KERNEL_BUILD_TREE OUTPUT.rs   (run by Kbuild, in the kernel's build tree)
#
# The C flags are the ones the kernel itself used for its `bindings` crate: they are recorded in
# rust/bindings/.bindings_generated.rs.cmd of a prepared tree. Two runs: the first shows which
# complete types both crates have, the second leaves these out, so that they come from the kernel's.
set -eu

tree=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
theirs=$tree/rust/bindings/bindings_generated.rs
recorded=$tree/rust/bindings/.bindings_generated.rs.cmd

for f in "$theirs" "$recorded"; do
	if [ ! -r "$f" ]; then
		echo "generate.sh: $f is missing: the kernel tree has no Rust metadata;" \
		     "run 'make prepare modules_prepare' in it, with CONFIG_RUST=y" >&2
		exit 1
	fi
done

# Everything between " -- " and the closing ";" of the recorded command, less its dependency file.
cflags=$(sed -n '1s/^.* -- \(.*\);.*$/\1/p' "$recorded" | sed 's/-Wp,-MMD,[^ ]*//')

headers='backing-file exportfs exportfs_block fiemap fileattr fs_context fs_parser fs_stack fsverity
	mnt_idmapping mount namei posix_acl posix_acl_xattr siphash user_namespace statfs xattr seq_file'

run() {
	set -- --no-recursive-allowlist --allowlist-file "$here/bindings.h" \
		--allowlist-file '.*/helpers/helpers\.h' "$@"
	for h in $headers; do
		set -- "$@" --allowlist-file "./include/linux/$h\\.h"
	done
	set -- "$@" --allowlist-file './include/uapi/linux/(fiemap|posix_acl)\.h'
	# The functions of fs.h, dcache.h, … that the kernel's crate has are taken from there.
	eval "bindgen \"\$here/bindings.h\" \"\$@\" --use-core --allowlist-function generic_setlease --allowlist-function do_splice_direct --allowlist-function fscrypt_d_revalidate --allowlist-type delegated_inode --blocklist-function fsverity_get_digest --with-derive-default --ctypes-prefix ffi \
		--no-layout-tests --no-debug '.*' --no-doc-comments --rust-target 1.85 \
		--enable-function-attribute-detection --raw-line 'use kernel::ffi;' --raw-line 'pub(crate) use kernel::bindings::*;' \
		-o \"\$tmp\" -- $cflags -I\"\$tree\""
	sed -Ei 's/pub const RUST_CONST_HELPER_([a-zA-Z0-9_]*)/pub const \1/g' "$tmp"
}

# complete FILE: the names of the structs and unions that FILE defines with their fields.
complete() {
	awk '/^pub (struct|union) [A-Za-z_0-9]+ \{/ { name = $3; getline line
		if (line !~ /_unused: \[u8; 0\]/) print name }' "$1" | sort -u
}

tmp=$out.tmp
trap 'rm -f "$tmp" "$tmp.ours" "$tmp.theirs"' EXIT
cd "$tree"
run
complete "$tmp" >"$tmp.ours"
complete "$theirs" >"$tmp.theirs"
# Without rustfmt bindgen writes all on few lines, of which nothing can be told here.
for made in "$tmp.ours" "$tmp.theirs"; do
	[ -s "$made" ] || {
		echo "generate.sh: bindings were made where there was no rustfmt: install it, and run" \
		     "'make prepare modules_prepare' in $tree again (rm $theirs)" >&2
		exit 1
	}
done
set --
for name in $(comm -12 "$tmp.ours" "$tmp.theirs"); do
	set -- "$@" --blocklist-type "$name"
done
run "$@"
mv "$tmp" "$out"
