/* SPDX-License-Identifier: GPL-2.0-only */
/* Which request is answered by what. */

static void serve(const struct fuse_in_header *in, const void *arg)
{
	char path[PATH_MAX];

	full_path(in->nodeid, NULL, path, sizeof(path));
	if (serve_change(in, arg, path))
		return;
	switch (in->opcode) {
	case FUSE_INIT: init(in, arg); break;
	case FUSE_LOOKUP: lookup(in, arg); break;
	case FUSE_GETATTR: getattr(in, path); break;
	case FUSE_OPEN:
	case FUSE_OPENDIR: open_any(in, path); break;
	case FUSE_READ: read_file(in, arg, path); break;
	case FUSE_READDIR: read_dir(in, arg, path); break;
	case FUSE_READLINK: read_link(in, path); break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR: getxattr_or_list(in, arg, path); break;
	case FUSE_LSEEK: seek(in, arg, path); break;
	case FUSE_IOCTL: control_file(in, arg, path); break;
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255, .blocks = 1000,
						       .files = 1000 } };

		reply(in, 0, &out, sizeof(out));
		break;
	}
	case FUSE_RELEASE:
		release_backing(in->nodeid);
		reply(in, 0, NULL, 0);
		break;
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_ACCESS:
		reply(in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;	/* no answer is wanted */
	case FUSE_DESTROY:
		reply(in, 0, NULL, 0);
		_exit(0);
	default:
		reply(in, ENOSYS, NULL, 0);
	}
}
