# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every script here needs: where things are, how to talk to the user, how to
# install what the host lacks, and which Debian archive to use. Sourced, never run.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
# The pinned distribution: compilers, QEMU and the guest all come from it.
SUITE=trixie
# A machine that has this file has the pinned distribution's signing keys.
KEYS=/usr/share/keyrings/debian-archive-$SUITE-stable.gpg:debian-archive-keyring
# The repository's place inside the build root: fixed, so that nothing made there
# depends on where the user cloned to.
SRC=/src

say() { printf '%s\n' "[layerfs] $*" >&2; }
die() { printf '%s\n' "[layerfs] error: $*" >&2; exit 1; }

# architecture: everything that depends on what is built for, by ARCH= (Debian's name or the kernel's) or by the name of the
# KERNEL= that is meant; amd64 if neither says. What is made under build/ of machine code has $FOR in its name, so that the
# architectures don't meet: nothing for amd64.
#
#   DEBIAN_ARCH   Debian's name, with which its kernels' names end
#   ROOT          the build root: it is always one of this machine's, here with a cross compiler
#   COMPILER      the C compiler, of kernels, modules, and the suite's programs
#   KERNEL_WORDS  what make wants for a kernel's tree beside the compiler
#   CARGO_WORDS   what cargo wants in its environment
#   QEMU MACHINE CPU CONSOLE   the emulator, what it emulates, and the kernel's console
#   TCG_ARGS FAST_ARGS         what the kernel is told when it is emulated, and when that is to be fast
#   VM_DEVICES VM_DRIVERS      devices, and modules that lead to the VM's disks, folders and terminal, beside those of every architecture
architecture() {
	local arch=${ARCH:-} kernels=''
	case ${KERNEL:-} in
	*-amd64) kernels=amd64 ;;
	# That with pages of 16 KiB, too.
	*-arm64 | *-arm64-16k) kernels=arm64 ;;
	esac
	arch=${arch:-$kernels}
	# What was decided is handed on by a name that no other program takes for its own.
	case ${arch:-${LAYERFS_ARCH:-amd64}} in
	amd64 | x86_64 | x86)
		DEBIAN_ARCH=amd64 FOR='' COMPILER=x86_64-linux-gnu-gcc-14 KERNEL_WORDS=() CARGO_WORDS=()
		QEMU=qemu-system-x86_64 MACHINE=q35 CPU=max CONSOLE=ttyS0 VM_DEVICES=() VM_DRIVERS=()
		# On a busy machine emulated time passes in jumps, and the kernel takes its timer for broken.
		TCG_ARGS=' no_timer_check' FAST_ARGS=' tsc=reliable'
		;;
	arm64 | aarch64)
		DEBIAN_ARCH=arm64 FOR=-arm64 COMPILER=aarch64-linux-gnu-gcc-14
		KERNEL_WORDS=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
		CARGO_WORDS=(CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$COMPILER")
		# A processor without pointer authentication, whose emulation costs much.
		QEMU=qemu-system-aarch64 MACHINE=virt,gic-version=3 CPU=cortex-a76 CONSOLE=ttyAMA0 TCG_ARGS='' FAST_ARGS=''
		# This machine has no keyboard, by which scripts/vm asks what it is doing.
		VM_DEVICES=(-device virtio-keyboard-pci) VM_DRIVERS=(virtio_pci virtio_console virtio_input)
		;;
	*) die "ARCH=$arch: there are amd64 and arm64" ;;
	esac
	[ "${kernels:-$DEBIAN_ARCH}" = "$DEBIAN_ARCH" ] || die "KERNEL=$KERNEL is no kernel for ARCH=$arch: leave one of them out"
	ROOT=$BUILD/root-$SUITE$FOR
	export LAYERFS_ARCH=$DEBIAN_ARCH
}

# kernel_flags KERNEL: the words that make wants for that kernel's tree. "debug" is our own
# (scripts/kernel-debug), made by clang: with gcc the kernel has Rust or KASAN, not both.
kernel_flags() {
	case $1 in
	debug) printf '%s\n' LLVM=1 ;;
	*) printf '%s\n' "${KERNEL_WORDS[@]}" "CC=$COMPILER" "KERNELRELEASE=$1" ;;
	esac
}

# kernel_now: the kernel that is meant: KERNEL=, or the one that was chosen once (build/kernel-version).
kernel_now() {
	if [ -n "${KERNEL:-}" ]; then printf '%s\n' "$KERNEL"; else cat "$BUILD/kernel-version$FOR" 2>/dev/null; fi
}

# module_folder KERNEL [VARIANT]: where the modules for that kernel are, below build/. Each kernel has a folder
# of its own, so that going from one to another and back builds nothing. For the kernel of build/kernel-version
# there is a link without its name (build/module, build/module-race), which scripts/module keeps right. What runs
# in the guest takes the folder of the kernel that runs there.
module_folder() {
	printf 'module-%s%s\n' "${2:+$2-}" "$1"
}

# step NAME CMD...: runs a command, says what it is before and how long it took
# after; its output goes to build/log/NAME.log, whose end is shown if it fails.
step() {
	local name=$1 log start status
	shift
	log=$BUILD/log/${name// /-}.log
	mkdir -p "$BUILD/log"
	say "$name ..."
	start=$SECONDS
	# Not "|| status=$?": that would switch errexit off inside a function.
	set +e
	(set -e; "$@") >"$log" 2>&1
	status=$?
	set -e
	if [ "$status" -ne 0 ]; then
		tail -n 25 "$log" >&2
		die "$name failed with status $status after $((SECONDS - start)) s; full log: $log"
	fi
	say "$name: done in $((SECONDS - start)) s"
}

# made_from FILE...: what a generated thing was made from, to be kept beside it. Not a
# time stamp: those change when git switches branches.
made_from() {
	cat "$@" | sha256sum | cut -d ' ' -f 1
}

# current STAMP FILE...: whether the stamp says that it was made from these files.
current() {
	[ "$(cat "$1" 2>/dev/null)" = "$(made_from "${@:2}")" ]
}

need_root() {
	[ "$(id -u)" -eq 0 ] || die "setting up the build root needs root: run make as root (or through sudo)"
}

# host_needs COMMAND:PACKAGE...: installs the packages whose command is missing.
host_needs() {
	local pair missing=()
	for pair in "$@"; do
		case ${pair%%:*} in
		/*) [ -e "${pair%%:*}" ] || missing+=("${pair#*:}") ;;
		*) command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}") ;;
		esac
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		die "this machine lacks ${missing[*]} and apt-get: install them by hand, or use Debian 12 or 13"
	need_root
	step "install ${missing[*]} on this machine" host_install "${missing[@]}"
}

host_install() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y --no-install-recommends "$@" && return
	# The package lists may be missing or old.
	apt-get update
	apt-get install -y --no-install-recommends "$@"
}

# archive_uri: the Debian archive to use. MIRROR= wins, then what this machine's
# apt uses for Debian, then the distribution's default.
archive_uri() {
	local uri=${MIRROR:-}
	[ -n "$uri" ] || uri=$(apt-get indextargets --format '$(REPO_URI)' \
		'Origin: Debian' 'Label: Debian' 'Created-By: Packages' 2>/dev/null | sed -n 1p) || true
	case $uri in
	http://* | https://*) printf '%s\n' "${uri%/}" ;;
	*) printf '%s\n' http://deb.debian.org/debian ;;
	esac
}

# archive_sources: the lines of a sources.list for the pinned distribution.
archive_sources() {
	local uri suite
	uri=$(archive_uri)
	for suite in "$SUITE" "$SUITE-updates" "$SUITE-backports"; do
		printf 'deb [signed-by=%s] %s %s main\n' /usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$suite"
	done
}

# archive_options: apt settings, one per line: this machine's proxies and retry
# habits, and no expiry date (a mirror may be a snapshot).
archive_options() {
	printf '%s\n' 'Acquire::Check-Valid-Until "false";' 'Acquire::Retries "3";' \
		'Acquire::Languages "none";' 'APT::Install-Recommends "false";'
	apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https)::(Proxy|Verify-|CaInfo|[^ ]*::Proxy)' || true
}

# bootstrap PACKAGES DIRECTORY [MMDEBSTRAP-OPTION...]: a Debian tree made whole or
# not at all; without documentation, unless DOCUMENTATION=yes.
bootstrap() {
	local packages=$1 target=$2 option options=() dir
	shift 2
	need_root
	host_needs mmdebstrap:mmdebstrap unshare:util-linux mount:mount \
		"$KEYS"
	while IFS= read -r option; do options+=(--aptopt="$option"); done < <(archive_options)
	if [ "${DOCUMENTATION:-no}" != yes ]; then
		for dir in doc man info locale icons; do options+=(--dpkgopt="path-exclude=/usr/share/$dir/*"); done
	fi
	rm -rf --one-file-system "$target.new"
	archive_sources | nice mmdebstrap --mode=root --variant=minbase --format=directory \
		"${options[@]}" \
		--dpkgopt=force-unsafe-io --include="$packages" "$@" "$SUITE" "$target.new" -
	rm -rf --one-file-system "$target"
	mv "$target.new" "$target"
}

architecture
