/* SPDX-License-Identifier: MIT */
/* view.c – what a process sees around it: descriptors, mounts, the listings of / and /dev, links */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guest.h"

static void each_entry(const char *dir, void (*visit)(int dirfd, const char *name))
{
	DIR *d = opendir(dir);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			visit(dirfd(d), e->d_name);
	closedir(d);
}

static void visit_descriptor(int dirfd, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0 || atoi(name) == dirfd)
		return;
	target[n] = '\0';
	json_string(name, target);
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFREG:
		return "file";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	default:
		return "socket";
	}
}

static void visit_file(int dirfd, const char *name)
{
	struct stat st;
	char rdev[32];

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	json_open(name, '{');
	json_string("type", type_name(st.st_mode));
	json_number("mode", st.st_mode & 07777);
	json_number("uid", st.st_uid);
	json_number("gid", st.st_gid);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		snprintf(rdev, sizeof(rdev), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
		json_string("rdev", rdev);
	}
	json_close('}');
}

static void visit_name(int dirfd, const char *name)
{
	(void)dirfd;
	json_string(NULL, name);
}

/* One line of mountinfo: "id parent major:minor root target options [fields…] - type source super".
 */
static void add_mount(char *line)
{
	char *before[6] = {NULL}, *after[3] = {NULL};
	char *dash = strstr(line, " - ");
	char *save = NULL;

	if (!dash)
		return;
	*dash = '\0';
	for (int i = 0; i < 6; i++)
		before[i] = strtok_r(i ? NULL : line, " ", &save);
	for (int i = 0; i < 3; i++)
		after[i] = strtok_r(i ? NULL : dash + 3, " \n", &save);
	json_open(NULL, '{');
	json_string("root", before[3]);
	json_string("target", before[4]);
	json_string("options", before[5]);
	json_string("type", after[0]);
	json_string("source", after[1]);
	json_string("super", after[2]);
	json_close('}');
}

static void add_mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	if (!f) {
		json_null("mounts");
		return;
	}
	json_open("mounts", '[');
	while (getline(&line, &size, f) >= 0)
		add_mount(line);
	json_close(']');
	free(line);
	(void)fclose(f);
}

void view_add(void)
{
	json_open("fds", '{');
	each_entry("/proc/self/fd", visit_descriptor);
	json_close('}');
	add_mounts();
	json_open("root", '{');
	each_entry("/", visit_file);
	json_close('}');
	json_open("dev", '{');
	each_entry("/dev", visit_file);
	json_close('}');
	json_open("links", '[');
	each_entry("/sys/class/net", visit_name);
	json_close(']');
}
