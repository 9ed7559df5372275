/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that the kernel reads and writes by itself, with the option passthrough: each has one backing file while it is open. */

static int backing_id[MAX_NODES];
static unsigned int backing_users[MAX_NODES];

/* Says in the answer to an open that the file of the node is read and written so. Returns an error. */
static int pass_through(struct fuse_open_out *out, uint64_t node, const char *path)
{
	struct fuse_backing_map map = { 0 };

	if (!passthrough || node >= MAX_NODES)
		return 0;
	if (!backing_users[node]) {
		map.fd = open(path, writable ? O_RDWR : O_RDONLY);
		if (map.fd < 0)
			return errno;
		backing_id[node] = ioctl(dev, FUSE_DEV_IOC_BACKING_OPEN, &map);
		close(map.fd);
		if (backing_id[node] <= 0)
			return errno;
	}
	backing_users[node]++;
	out->open_flags |= FOPEN_PASSTHROUGH;
	out->backing_id = backing_id[node];
	return 0;
}

static void release_backing(uint64_t node)
{
	if (passthrough && node < MAX_NODES && backing_users[node] && !--backing_users[node])
		ioctl(dev, FUSE_DEV_IOC_BACKING_CLOSE, &backing_id[node]);
}
