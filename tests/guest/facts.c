/* SPDX-License-Identifier: MIT */
/* facts.c – what a process knows of itself: ids, capabilities, namespaces, limits, environment
 *
 * Nothing here needs privilege or changes anything, but the attempt to make a file in the paths
 * named on the command line. What /proc does not show (it may be absent) is null.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest.h"

static void add_ids(void)
{
	uid_t uid[3] = {0};
	gid_t gid[3] = {0};
	gid_t groups[256];
	int n = getgroups(256, groups);

	(void)getresuid(&uid[0], &uid[1], &uid[2]);
	(void)getresgid(&gid[0], &gid[1], &gid[2]);
	json_open("uid", '[');
	for (int i = 0; i < 3; i++)
		json_number(NULL, uid[i]);
	json_close(']');
	json_open("gid", '[');
	for (int i = 0; i < 3; i++)
		json_number(NULL, gid[i]);
	json_close(']');
	json_open("groups", '[');
	for (int i = 0; i < n; i++)
		json_number(NULL, groups[i]);
	json_close(']');
	json_number("pid", getpid());
	json_number("ppid", getppid());
	json_number("sid", getsid(0));
	json_number("pgid", getpgrp());
}

/* The lines of /proc/self/status that matter, as strings: sets of capabilities are hexadecimal
 * there. */
static void add_status(void)
{
	static const char *const keys[] = {"NoNewPrivs", "Seccomp", "Seccomp_filters", "CapInh",
					   "CapPrm",	 "CapEff",  "CapBnd",	       "CapAmb",
					   "SigIgn",	 "SigBlk",  "Threads"};
	FILE *f = fopen("/proc/self/status", "re");
	char line[512];

	if (!f) {
		json_null("status");
		return;
	}
	json_open("status", '{');
	while (fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = '\0';
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (strcmp(line, keys[i]) != 0)
				continue;
			char *value = colon + 1 + strspn(colon + 1, " \t");

			value[strcspn(value, "\n")] = '\0';
			json_string(keys[i], value);
		}
	}
	json_close('}');
	(void)fclose(f);
	json_number("securebits", prctl(PR_GET_SECUREBITS));
	json_number("dumpable", prctl(PR_GET_DUMPABLE));
	int death = 0;

	(void)prctl(PR_GET_PDEATHSIG, &death);
	json_number("parent_death_signal", death);
}

static void add_system(void)
{
	struct utsname u;
	char cwd[4096];
	mode_t mask = umask(0);

	umask(mask);
	uname(&u);
	json_string("hostname", u.nodename);
	json_string("domainname", u.domainname);
	json_string("kernel", u.release);
	json_string("cwd", getcwd(cwd, sizeof(cwd)));
	json_number("umask", mask);
	json_bool("stdin_tty", isatty(0));
	json_bool("stdout_tty", isatty(1));
	json_bool("has_tty", open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) >= 0);
}

static void add_limits(void)
{
	static const char *const names[] = {
		"cpu_time",	 "file_size",	  "data",      "stack",
		"core",		 "rss",		  "processes", "open_files",
		"locked_memory", "address_space", "locks",     "pending_signals",
		"message_queue", "nice",	  "realtime",  "realtime_time"};

	json_open("limits", '{');
	for (int i = 0; i < 16; i++) {
		struct rlimit r;

		if (getrlimit((__rlimit_resource_t)i, &r) != 0)
			continue;
		json_open(names[i], '[');
		for (int k = 0; k < 2; k++) {
			rlim_t v = k ? r.rlim_max : r.rlim_cur;

			if (v == RLIM_INFINITY)
				json_string(NULL, "unlimited");
			else
				json_number(NULL, (long long)v);
		}
		json_close(']');
	}
	json_close('}');
	json_number("nice", getpriority(PRIO_PROCESS, 0));
}

static void add_namespaces(void)
{
	static const char *const names[] = {"user", "mnt", "pid",    "net",
					    "ipc",  "uts", "cgroup", "time"};
	char path[64], target[64];

	json_open("namespaces", '{');
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		ssize_t n = readlink(path, target, sizeof(target) - 1);

		if (n < 0) {
			json_null(names[i]);
			continue;
		}
		target[n] = '\0';
		json_number(names[i], atoll(strchr(target, '[') + 1));
	}
	json_close('}');
}

static void add_file(const char *key, const char *path)
{
	char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		json_null(key);
		return;
	}
	text[n] = '\0';
	json_string(key, text);
}

static void add_environment(void)
{
	json_open("env", '{');
	for (char **e = environ; *e; e++) {
		char *equals = strchr(*e, '=');

		if (!equals)
			continue;
		*equals = '\0';
		json_string(*e, equals + 1);
		*equals = '=';
	}
	json_close('}');
}

/* For each path: true when a file can be made in it (or it can be opened for writing), else errno's
 * name. */
static void add_writable(int argc, char **argv)
{
	json_open("writable", '{');
	for (int i = 0; i < argc; i++) {
		char path[4200];
		int fd = open(argv[i], O_WRONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0 && errno == EISDIR) {
			snprintf(path, sizeof(path), "%s/.guest-was-here", argv[i]);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			if (fd >= 0)
				unlink(path);
		}
		if (fd < 0) {
			json_string(argv[i], strerrorname_np(errno));
			continue;
		}
		close(fd);
		json_bool(argv[i], 1);
	}
	json_close('}');
}

int facts_print(int argc, char **argv)
{
	json_open(NULL, '{');
	/* First: what follows opens descriptors of its own. */
	view_add();
	add_ids();
	add_status();
	add_system();
	add_limits();
	add_namespaces();
	add_file("uid_map", "/proc/self/uid_map");
	add_file("gid_map", "/proc/self/gid_map");
	add_file("cgroup", "/proc/self/cgroup");
	add_file("init", "/proc/1/comm");
	add_environment();
	add_writable(argc, argv);
	json_close('}');
	json_end();
	return 0;
}
