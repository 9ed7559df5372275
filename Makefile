# SPDX-License-Identifier: GPL-2.0-only
#
# The user's way into everything: 'make help' lists it. The work is done by scripts/; each of
# them does nothing when there is nothing to do. (Kbuild describes the module itself.)

SHELL := /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
# Kbuild must not see what concerns only us.
unexport MAKEFLAGS

export KERNEL MIRROR FSTYP BASEFS

# ARCH=arm64, or a kernel of it, cross-builds; the rest of what depends on that is in scripts/lib.sh.
FOR := $(if $(filter arm64 aarch64,$(ARCH))$(filter %-arm64 %-arm64-16k,$(KERNEL)),-arm64)
C_COMPILER := $(if $(FOR),aarch64-linux-gnu-gcc-14,gcc)
CARGO_RELEASE := $(if $(FOR),aarch64-unknown-linux-gnu/)release
FOR_AMD64 := $(if $(FOR),$(filter-out all module vm vm-files check layerctl modules clean distclean help helpers examples suites build/%,$(MAKECMDGOALS)))
$(if $(FOR_AMD64),$(error $(firstword $(FOR_AMD64)) is for amd64: leave ARCH=arm64 and a KERNEL= of arm64 out ('make help' says what there is for arm64)))

HELPERS := $(patsubst fstests/src/%.c,build/fstests-bin$(FOR)/%,$(wildcard fstests/src/*.c))
LAYERCTL := build/tools/bin$(FOR)/layerctl

.PHONY: all help module demo layerctl check check-containers check-debug check-parity check-packages check-dkms check-kernels deb install host-check mutants bench profile vm vm-files modules fmt clippy shellcheck \
	rust-project.json clean distclean
.DELETE_ON_ERROR:

## all: builds layerfs.ko for the stock kernel (build/module/layerfs.ko); ARCH=arm64: for arm64's (build/module-arm64/layerfs.ko)
all: module

module:
	@scripts/setup module
	@scripts/module

## demo: from nothing to real layers mounted from layerfs.ko in QEMU: start here
demo:
	@scripts/setup demo
	@scripts/module
	@scripts/demo

## check: every test: on this machine, then the suite in QEMU; FSTESTS="-g quick" or "001 007" chooses; ARCH=arm64: the suite alone, emulated
check:
	@scripts/setup vm
	@scripts/module
	@$(MAKE) -s --no-print-directory helpers examples suites $(LAYERCTL)
	@scripts/check $(FSTESTS)

## check-containers: podman, docker and others, unmodified, on our overlay.ko, against overlayfs; PARTS="podman docker" chooses
check-containers:
	@scripts/setup vm
	@scripts/module
	@scripts/containers $(PARTS)

## check-debug: the suite on a kernel of ours with KASAN, lockdep, kmemleak...; FSTESTS= as for check
# Left out by default: 144, 581, 582, 585 and 588 do so much that they alone take longer than all else; 901 tests the runner.
DEBUG_TESTS ?= -x 144,581,582,585,588,901
check-debug:
	@scripts/setup debug
	@KERNEL=debug scripts/module
	@$(MAKE) -s --no-print-directory helpers examples build/tools/bin/layerctl
	@KERNEL=debug HOST=no scripts/check $(or $(FSTESTS),$(DEBUG_TESTS))

## check-parity: the suite on the kernel's overlayfs, and a table of the differences with the reason of each
check-parity:
	@scripts/setup vm
	@scripts/module
	@$(MAKE) -s --no-print-directory helpers examples suites build/tools/bin/layerctl
	@scripts/parity $(FSTESTS)

## mutants: whether the suite notices mistakes that are made on purpose, and the host's tests those in fs/format; MUTANTS="copy-up-*" chooses
mutants:
	@scripts/setup vm
	@scripts/module
	@$(MAKE) -s --no-print-directory helpers
	@set -f; scripts/mutants $(MUTANTS)

## bench: layerfs beside overlayfs and the bare filesystem, as a table of costs; BENCH="stat* create" chooses rows; NFS=1: a program's start over NFS; IMAGE=1: an image of metadata; CLONE=1: a clone, and who waits for it (EXTENTS=N); FILL=1: an image that is used before it is there; FUSE=1: with a column of fuse-overlayfs
bench:
	@scripts/setup vm
	@scripts/module
	@$(MAKE) -s --no-print-directory build/bench-bin/layerbench $(if $(NFS),build/fstests-bin/fsop) $(if $(CLONE),build/fstests-bin/snapshot) $(if $(IMAGE),build/bench-bin/imagemaker) $(if $(FILL),examples)
	@set -f; FUSE=$(FUSE) FILL=$(FILL) NFS=$(NFS) IMAGE=$(IMAGE) CLONE=$(CLONE) EXTENTS=$(EXTENTS) scripts/bench $(BENCH)

build/bench-bin/imagemaker: bench/image/make.c
	@mkdir -p $(@D)
	@echo "[layerfs] the maker of the benchmark's image" >&2
	@scripts/in-root gcc -static -O2 -Wall -Wextra -Werror -o $@.new $<
	@mv $@.new $@

build/bench-bin/layerbench: $(wildcard bench/*.c) bench/bench.h
	@mkdir -p $(@D)
	@echo "[layerfs] the benchmark's program" >&2
	@scripts/in-root gcc -static -O2 -Wall -Wextra -Werror -o $@.new $(filter %.c,$^)
	@mv $@.new $@

## profile: where the instructions of one row of the benchmark go, function by function: make profile BENCH=stat
profile:
	@scripts/setup vm
	@scripts/module
	@$(MAKE) -s --no-print-directory build/bench-bin/layerbench build/bench-bin/profile.so
	@scripts/profile $(BENCH)

build/bench-bin/profile.so: bench/profile/plugin.c
	@mkdir -p $(@D)
	@echo "[layerfs] the profiler's plugin" >&2
	@scripts/in-root gcc -shared -fPIC -O2 -Wall -Wextra -Werror -fvisibility=hidden -o $@.new $<
	@mv $@.new $@

## host-check: only the tests that need no kernel
host-check:
	@scripts/setup module
	@scripts/module
	@scripts/host-check

## vm: a shell in the VM with the module loaded; VMFLAGS="--smp 2 --mem 4096" (scripts/vm --help); ARCH=arm64: an emulated one of arm64
vm:
	@scripts/setup vm
	@scripts/module
	@$(MAKE) -s --no-print-directory helpers
	@scripts/vm $(VMFLAGS)

vm-files:
	@scripts/setup vm

## modules: builds with your own tools against your own kernel tree: make modules KDIR=/path
modules:
	@[ -n "$(KDIR)" ] || { echo "make modules wants KDIR=, a kernel tree with CONFIG_RUST=y and its Rust metadata ('make' alone builds for the stock kernel)" >&2; exit 2; }
	@env -u ARCH scripts/module --kdir "$(KDIR)" $(filter-out KDIR=%,$(MAKEOVERRIDES)) $(if $(filter environment,$(origin ARCH)),ARCH=$(ARCH))

# The programs that the suite's tests use in the VM.
.PHONY: helpers
helpers: $(HELPERS)
build/fstests-bin$(FOR)/%: fstests/src/%.c $(wildcard fstests/src/*/*.h)
	@mkdir -p $(@D)
	@echo "[layerfs] $* for the suite" >&2
	@scripts/in-root $(C_COMPILER) -static -O2 -Wall -Wextra -Werror -o $@.new $<
	@mv $@.new $@

# The example daemon and its tool, which a test and a measurement use. Where crates.io can't be reached they are skipped.
.PHONY: examples
examples: build/examples/bin$(FOR)/layers build/examples/bin$(FOR)/lazylayer
build/examples/bin$(FOR)/layers: examples/layers.c include/uapi/linux/layerfs.h
	@mkdir -p $(@D)
	@echo "[layerfs] the example's tool" >&2
	@scripts/in-root $(C_COMPILER) -static -O2 -Wall -Wextra -Werror -o $@.new $<
	@mv $@.new $@
build/examples/bin$(FOR)/lazylayer: scripts/cargo-in $(wildcard examples/lazylayer/Cargo.* examples/lazylayer/src/*.rs)
	@mkdir -p $(@D)
	@echo "[layerfs] the example daemon, with crates of crates.io (a minute the first time)" >&2
	@scripts/in-root nice scripts/cargo-in examples/lazylayer build --release --quiet || { status=$$?; rm -f $@; [ $$status = 77 ] && exit 0; exit $$status; }; \
		cp build/examples/target/$(CARGO_RELEASE)/lazylayer $@

# Public suites, programs of crates.io: where that can't be reached the tests that run them are skipped.
.PHONY: suites
suites: build/suites/bin$(FOR)/pjdfstest build/suites/bin$(FOR)/fsx
build/suites/bin$(FOR)/pjdfstest: CRATE = pjdfstest 0.2.2
build/suites/bin$(FOR)/fsx: CRATE = fsx 0.3.2
build/suites/bin$(FOR)/fuse-overlayfs: CRATE = fuse-overlayfs 2.0.0 let_chains unsigned_is_multiple_of
build/suites/bin$(FOR)/pjdfstest build/suites/bin$(FOR)/fsx build/suites/bin$(FOR)/fuse-overlayfs: scripts/crate
	@echo "[layerfs] $(wordlist 1,2,$(CRATE)), from crates.io (some minutes the first time)" >&2
	@scripts/crate $(CRATE) || { status=$$?; rm -f $@; [ $$status = 77 ] && exit 0; exit $$status; }; \
		ln -sf "$(@F)-$(word 2,$(CRATE))" $@

## layerctl: the command-line tool (build/tools/bin/layerctl), which is mount.layerfs too, with crates of crates.io; skipped where that can't be reached
layerctl:
	@scripts/setup module
	@$(MAKE) -s --no-print-directory $(LAYERCTL)
$(LAYERCTL): scripts/cargo-in $(wildcard tools/layerctl/Cargo.* tools/layerctl/src/*.rs tools/layerctl/src/*/*.rs) $(shell find fs/format rust/control -name '*.rs' -o -name Cargo.toml)
	@mkdir -p $(@D)
	@echo "[layerfs] layerctl, with crates of crates.io (a minute the first time)" >&2
	@scripts/in-root nice scripts/cargo-in tools/layerctl build --release --quiet || { status=$$?; rm -f $@; [ $$status = 77 ] && exit 0; exit $$status; }; \
		cp build/tools/target/$(CARGO_RELEASE)/layerctl $@ && ln -sf layerctl $(@D)/mount.layerfs

## deb: Debian packages of everything (build/deb), for all 7.2 and 7.3 kernels of backports; KERNELS="7.2.12+deb13-amd64" chooses, SIGN_KEY= and SIGN_CERT= sign
deb:
	@scripts/setup module
	@$(MAKE) -s --no-print-directory build/tools/bin/layerctl man
	@scripts/deb $(KERNELS)

## check-kernels: the suite on the newest 7.2 and the newest 7.3 of backports, one after the other; FSTESTS= as for check
check-kernels:
	@set -e; for kernel in $$(scripts/archive kernels | awk -F. '{ newest[$$2] = $$0 } END { for (s in newest) print newest[s] }' | sort -V); do \
		$(MAKE) --no-print-directory KERNEL=$$kernel HOST=$(or $(HOST),no) check; \
	done

## check-dkms: the package layerfs-dkms builds the module in a Debian 13 of its own (make deb first)
check-dkms:
	@scripts/setup vm
	@scripts/check-dkms

## check-packages: the packages on a Debian 13 as it comes, over reboots and a change of the kernel (make deb KERNELS="..." first, for the two newest 7.2)
check-packages:
	@scripts/setup module
	@scripts/check-packages $(STEPS)

## install: the module and the tools without packages, for the kernel that was built for; DESTDIR= puts them below another root
install:
	@scripts/install $(DESTDIR)

## man: man pages and completions for shells, in build/tools/share
.PHONY: man
man:
	@scripts/setup module
	@echo "[layerfs] layerctl's man pages, with crates of crates.io (a minute the first time)" >&2
	@rm -rf build/tools/share
	@scripts/in-root nice scripts/cargo-in tools/layerctl run --release --quiet --features generate -- \
		generate --man /src/build/tools/share/man --completions /src/build/tools/share/completions
	@install -Dm 644 -t build/tools/share/man/man5 Documentation/man/layerfs.5

## fmt: formats the Rust sources
fmt:
	@scripts/setup module
	@scripts/host-check --fix fmt

## clippy: the lints of host-check alone
clippy:
	@scripts/setup module
	@scripts/host-check clippy

## shellcheck: the lints of the shell scripts alone
shellcheck:
	@scripts/setup module
	@scripts/host-check shellcheck

## rust-project.json: for rust-analyzer: the module, the kernel crate, the host crates
rust-project.json:
	@scripts/setup module
	@scripts/module
	@scripts/rust-project

## clean: removes what was built here (the module, results); distclean: all of build/
clean:
	rm -rf build/module build/module-* build/cargo build/log build/{fstests-bin,results,vm}{,-arm64}
distclean:
	rm -rf --one-file-system build target

help:
	@sed -n 's/^## \([^:]*\): /\1\t/p' Makefile | awk -F'\t' '{ printf "make %-18s %s\n", $$1, $$2 }'
