// SPDX-License-Identifier: GPL-2.0-only
/*
 * Points at which a test holds a task, to make the window of a race as wide as it likes. Only in
 * build/module-race/layerfs.ko; rust/vfs/sys/pause.rs says what the points are.
 *
 * The parameter "pause_at":
 *   echo NAME   the next task that comes to the point NAME is held there
 *   echo NAME N the Nth that comes from now on
 *   echo -NAME  that task goes on; if none came yet, none is held
 *   echo        so for all points
 *   cat         a line for each: NAME, and "armed" or "held"
 *
 * A task is held for at most MOST_SECONDS, and no longer if it is being killed. That is less than the time after which
 * the kernel reports who waits for it, and more than a busy machine needs for what is to be done meanwhile.
 */
#include <linux/kstrtox.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/wait.h>

#include "helpers.h"

enum { POINTS = 8, NAME_ROOM = 40, MOST_SECONDS = 100 };

enum state { FREE, ARMED, HELD, RELEASED };

static struct point {
	char name[NAME_ROOM];
	enum state state;
	/* How many pass it before one is held. */
	unsigned int passing;
} points[POINTS];

/* Guards points. */
static DEFINE_SPINLOCK(points_lock);
static DECLARE_WAIT_QUEUE_HEAD(held_tasks);

static const char *const shown[] = { [ARMED] = "armed", [HELD] = "held" };

/* The point of that name in that state; the caller holds points_lock. */
static struct point *find_point(const char *name, enum state state)
{
	for (int i = 0; i < POINTS; i++)
		if (points[i].state == state && !strcmp(points[i].name, name))
			return &points[i];
	return NULL;
}

bool vfs_helper_pause_is_armed(const char *name)
{
	bool armed;

	spin_lock(&points_lock);
	armed = find_point(name, ARMED);
	spin_unlock(&points_lock);
	return armed;
}

void vfs_helper_pause(const char *name)
{
	struct point *point;

	might_sleep();
	spin_lock(&points_lock);
	point = find_point(name, ARMED);
	if (point && point->passing) {
		point->passing--;
		point = NULL;
	}
	if (point)
		point->state = HELD;
	spin_unlock(&points_lock);
	if (!point || WARN_ON_ONCE(!preemptible() || rcu_preempt_depth()))
		return;
	/* Being killed, or the time being over, ends it as well. */
	(void)wait_event_killable_timeout(held_tasks, READ_ONCE(point->state) != HELD, MOST_SECONDS * HZ);
	spin_lock(&points_lock);
	point->state = FREE;
	spin_unlock(&points_lock);
}

static int release(const char *name)
{
	for (int i = 0; i < POINTS; i++) {
		if (*name && strcmp(points[i].name, name))
			continue;
		if (points[i].state == ARMED)
			points[i].state = FREE;
		else if (points[i].state == HELD)
			points[i].state = RELEASED;
	}
	wake_up_all(&held_tasks);
	return 0;
}

static int arm(char *name)
{
	char *count = strchr(name, ' ');
	unsigned int n = 1;
	struct point *point;

	if (count) {
		*count++ = '\0';
		if (kstrtouint(count, 10, &n) || !n)
			return -EINVAL;
	}
	if (find_point(name, ARMED))
		return 0;
	for (point = points; point < points + POINTS; point++) {
		if (point->state != FREE)
			continue;
		if (strscpy(point->name, name) < 0)
			return -ENAMETOOLONG;
		point->passing = n - 1;
		point->state = ARMED;
		return 0;
	}
	return -ENOSPC;
}

static int set_pause_at(const char *value, const struct kernel_param *param)
{
	char buf[NAME_ROOM + 2], *name;
	int result;

	if (strscpy(buf, value) < 0)
		return -ENAMETOOLONG;
	name = strim(buf);
	spin_lock(&points_lock);
	if (*name && *name != '-')
		result = arm(name);
	else
		result = release(*name ? name + 1 : name);
	spin_unlock(&points_lock);
	return result;
}

static int get_pause_at(char *buf, const struct kernel_param *param)
{
	int len = 0;

	spin_lock(&points_lock);
	for (int i = 0; i < POINTS; i++)
		if (points[i].state == ARMED || points[i].state == HELD)
			len += sysfs_emit_at(buf, len, "%s %s\n", points[i].name, shown[points[i].state]);
	spin_unlock(&points_lock);
	return len;
}

static const struct kernel_param_ops pause_at_ops = { .set = set_pause_at, .get = get_pause_at };

module_param_cb(pause_at, &pause_at_ops, NULL, 0600);
MODULE_PARM_DESC(pause_at, "For tests: the next task that comes to the point of that name is held there");
