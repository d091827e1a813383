/* SPDX-License-Identifier: MIT */
/* lurk.c – lies in wait for processes that appear in the container, and looks for one without its protection
 *
 * What a process that joins brings along is worth more than anything inside: the host's descriptors, its
 * binary, its memory, rights that were not given away yet. So every process is looked at again and again, as
 * quickly as that goes, and is taken hold of where the kernel lets us.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum { PIDS = 65536, TEXT = 4096, SECONDS = 120 };

static const char *const protections[] = {"CapInh",	"CapPrm",	   "CapEff",
					  "CapBnd",	"CapAmb",	   "Uid",
					  "NoNewPrivs", "Seccomp_filters", NULL};

static char own_status[TEXT], own_exe[256];
static char known[PIDS];
static char reasons[TEXT];
static long undressed, seen;

static ssize_t slurp(int pid, const char *name, char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

static void found(int pid, const char *what, const char *more)
{
	size_t used = strlen(reasons);

	undressed++;
	if (used < sizeof(reasons) / 2)
		snprintf(reasons + used, sizeof(reasons) - used, "%d: %s %.200s; ", pid, what,
			 more);
}

/* The rest of the line that starts with the name. */
static size_t line_of(const char *status, const char *name, const char **ret_start)
{
	for (const char *at = status; (at = strstr(at, name)); at++)
		if (at > status && at[-1] == '\n' && at[strlen(name)] == ':')
			return *ret_start = at, strcspn(at, "\n");
	return *ret_start = "", 0;
}

/* /proc/PID/status is everybody's to read. */
static void compare_status(int pid)
{
	char status[TEXT];
	const char *ours, *theirs;

	if (slurp(pid, "status", status) <= 0)
		return;
	for (const char *const *name = protections; *name; name++) {
		size_t size = line_of(own_status, *name, &ours);

		if (line_of(status, *name, &theirs) != size || memcmp(ours, theirs, size) != 0)
			found(pid, "has not ours:", theirs[0] ? theirs : *name);
	}
}

static ssize_t link_of(int pid, const char *name, char *target, size_t size)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	ssize_t n = readlink(path, target, size - 1);

	target[n > 0 ? n : 0] = '\0';
	return n;
}

static void try_descriptors(int pid)
{
	char path[64], target[256];

	for (int fd = 3; fd < 64; fd++) {
		snprintf(path, sizeof(path), "fd/%d", fd);
		if (link_of(pid, path, target, sizeof(target)) > 0)
			found(pid, "holds", target);
	}
}

/* What is refused for one like us is no find, and what the command itself shows is not either. */
static void try_process(int pid)
{
	char target[256], text[TEXT];

	compare_status(pid);
	if (link_of(pid, "exe", target, sizeof(target)) > 0 && strcmp(target, own_exe) != 0)
		found(pid, "runs", target);
	if (link_of(pid, "root", target, sizeof(target)) > 0 && strcmp(target, "/") != 0)
		found(pid, "has the root", target);
	try_descriptors(pid);
	if (slurp(pid, "environ", text) > 0 && memmem(text, TEXT, "HOST_SECRET", 11))
		found(pid, "knows the host's environment", "");
	if (slurp(pid, "maps", text) > 0 && (strstr(text, "luge") || strstr(text, "memfd:")))
		found(pid, "has mapped", text);
	/* Held, it is looked at once more: it cannot have changed since. */
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
		if (link_of(pid, "exe", target, sizeof(target)) > 0 && strcmp(target, own_exe) != 0)
			found(pid, "was traced while it ran", target);
		(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	}
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

/* PID 1 and we were there before. */
static void look_around(int last)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		int pid = atoi(entry->d_name);

		if (pid <= last || pid >= PIDS)
			continue;
		seen += !known[pid];
		known[pid] = 1;
		try_process(pid);
	}
	if (proc)
		closedir(proc);
}

/* How many signs of a process without protection there were, until the file STOP is there; beside it, how many
 * processes were seen at all. */
long lurk(int argc, char **argv)
{
	struct timespec begin, now;

	(void)argc;
	slurp(getpid(), "status", own_status);
	if (link_of(getpid(), "exe", own_exe, sizeof(own_exe)) < 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	fputs("lurking\n", stderr);
	do {
		look_around(getpid());
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (access(argv[0], F_OK) != 0 && now.tv_sec - begin.tv_sec < SECONDS);
	json_number("seen", seen);
	json_string("reasons", reasons);
	return undressed;
}
