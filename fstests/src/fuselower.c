// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuselower: a FUSE filesystem that shows a directory, and errs, lies or keeps silent when told to:
 * a lower layer that changes behind the kernel's back, answers errors, has no extended attributes,
 * strange numbers, or an answer that does not come. Speaks the kernel's protocol directly
 * (linux/fuse.h); read-only but with rw, one thread. A user in a user namespace (unshare -Urm) may run it too.
 *
 *   fuselower DIR MOUNTPOINT [OPTION...]
 *     valid=SECONDS	how long names and attributes may be cached [0: asked every time]
 *     noxattr		no extended attributes
 *     alias=SHOWN=KEPT	the extended attribute KEPT of DIR is shown as SHOWN: values that no kernel would
 *			let DIR have under that name
 *     acl		the kernel asks for ACLs, which are extended attributes of DIR
 *     direct		files are read past the page cache, so that they can't be mapped shared
 *     stream		directories have no positions to go back to
 *     keep=FOLDER	a file that was looked up stays what it was for who has it, whatever has its name
 *			then: by another link in that folder, which is on the filesystem of DIR
 *     rw			it can be written to, and so be an upper layer: with whiteouts, without files that have no
 *			name, and files are truncated as they are opened (as FUSE_ATOMIC_O_TRUNC has it). Directories
 *			are read by number: while names are removed others are passed over
 *     refuse=PREFIX	extended attributes whose names begin so can't be set
 *     passthrough=N	what is read and written of files goes to those of DIR by itself (FUSE_PASSTHROUGH); DIR stands on
 *			fewer than N other filesystems
 *     highino		inode numbers with the highest bits set
 *     mangle=SEED	answers of every kind are wrong, as the seed has it (fuselower/mangle.h)
 *     rate=N		but one in N of them [4]
 *     control=FILE	what is asked of it meanwhile, read at each request (below)
 *
 * Lines of the control file. OPERATION is lookup, getattr, open, read, opendir, readdir, readlink,
 * getxattr, listxattr, statfs, flush, lseek, ioctl (asked for the flags of files, after open), setattr, write, fsync,
 * setxattr or all; with
 * NAME only what asks about an object of that name is meant (lookup: the name looked up).
 *
 *   OPERATION ERRNO [NAME]
 *	answer with that error, a number; the last line that fits counts
 *   hold OPERATION [NAME]
 *	don't answer. The request is kept until no line holds it any more; others are served
 *	meanwhile. What is kept is in FILE.held, a line "OPERATION NAME" each ("/" is the root).
 *	A request that the kernel interrupts is kept all the same: a daemon need not listen.
 *   endless
 *	directories begin anew where they end, and files go on with zeroes as far as their size
 *   interrupt
 *	but with this line it is answered EINTR
 *   value FIELD NUMBER [NAME]
 *	a number to answer instead of the true one; -1 is the largest. FIELD is one of those in
 *	fuselower/values.h: size, mode, nlink, ..., seek_data, seek_hole, d_off, xattr_size; or link_size: so
 *	much of a symbolic link's target is shown
 *
 * Change the control file by renaming a new one over it, since it may be read at any moment.
 * Runs in the background once mounted; ends when it is unmounted.
 */
#include "fuselower/tree.h"
#include "fuselower/control.h"
#include "fuselower/values.h"
#include "fuselower/mangle.h"
#include "fuselower/passthrough.h"
#include "fuselower/answer.h"
#include "fuselower/write.h"
#include "fuselower/serve.h"
#include "fuselower/hold.h"

static void usage(void)
{
	fprintf(stderr, "usage: fuselower DIR MOUNTPOINT [valid=SECONDS] [noxattr] [alias=SHOWN=KEPT] [acl] [direct] [stream] [keep=FOLDER] [highino] "
		"[passthrough=N] [rw] [refuse=PREFIX] [mangle=SEED] [rate=N] [control=FILE]\n");
	exit(2);
}

static void option(const char *o)
{
	if (!strncmp(o, "valid=", 6))
		valid_seconds = (unsigned int)atoi(o + 6);
	else if (!strcmp(o, "noxattr"))
		noxattr = true;
	else if (!strncmp(o, "alias=", 6) && strchr(o + 6, '=')) {
		alias_shown = strndup(o + 6, strcspn(o + 6, "="));
		alias_kept = strchr(o + 6, '=') + 1;
	} else if (!strcmp(o, "acl"))
		acl = true;
	else if (!strcmp(o, "highino"))
		highino = true;
	else if (!strcmp(o, "direct"))
		direct = true;
	else if (!strncmp(o, "passthrough=", 12))
		passthrough = (unsigned int)atoi(o + 12);
	else if (!strncmp(o, "keep=", 5))
		keep = realpath(o + 5, NULL);
	else if (!strcmp(o, "rw"))
		writable = true;
	else if (!strncmp(o, "refuse=", 7))
		refused = strdup(o + 7);
	else if (!strcmp(o, "stream"))
		stream = true;
	else if (!strncmp(o, "mangle=", 7))
		mangle_state = strtoull(o + 7, NULL, 0) * 2 + 1;
	else if (!strncmp(o, "rate=", 5))
		mangle_rate = (unsigned int)atoi(o + 5);
	else if (!strncmp(o, "control=", 8))
		control = strdup(o + 8);
	else
		usage();
}

static void mount_at(const char *from, const char *to)
{
	char options[128];
	struct stat st;

	root = realpath(from, NULL);
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (root && dev >= 0 && !stat(root, &st)) {
		snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=%u,group_id=%u,allow_other", dev, st.st_mode,
			 getuid(), getgid());
		if (!mount("fuselower", to, "fuse.fuselower", 0, options))
			return;
	}
	fprintf(stderr, "fuselower: cannot mount %s at %s: %s\n", from, to, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	static char request[BUFFER];

	if (argc < 3)
		usage();
	for (int i = 3; i < argc; i++)
		option(argv[i]);
	paths[1] = "";
	mount_at(argv[1], argv[2]);
	if (fork())
		return 0;
	setsid();
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	for (;;) {
		struct fuse_in_header *in = (struct fuse_in_header *)request;
		ssize_t n;

		wait_for_request();
		n = read(dev, request, sizeof(request) - 1);
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(*in))
			return 0;	/* unmounted */
		request[n] = 0;
		control_read();
		if (!hold(in, (size_t)n))
			serve(in, in + 1);
	}
}
