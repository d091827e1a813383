/* SPDX-License-Identifier: MIT */
/* use.c – programs that use up an exact amount: processor time, output, room in a file system */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

/* Until this process has used that much processor time, whatever the machine does meanwhile. */
static void burn(long milliseconds)
{
	struct timespec used;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < milliseconds);
}

/* burn MILLISECONDS [CODE]: uses them, then exits with CODE. */
int use_burn(int argc, char **argv)
{
	burn(argc > 0 ? atol(argv[0]) : 1000);
	return argc > 1 ? atoi(argv[1]) : 0;
}

/* brood N MILLISECONDS [ignore]: N children, one after the other, each of which uses that much. With
 * "ignore" nobody waits for them: the kernel reaps them, and their time is in no parent's sum. */
int use_brood(int argc, char **argv)
{
	long n = argc > 0 ? atol(argv[0]) : 1, each = argc > 1 ? atol(argv[1]) : 10;

	if (argc > 2 && strcmp(argv[2], "ignore") == 0)
		(void)signal(SIGCHLD, SIG_IGN);
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			burn(each);
			_exit(0);
		}
		/* Ignored, this fails with ECHILD once the child has ended. */
		(void)waitpid(pid, NULL, 0);
	}
	return 0;
}

/* Writes all of it; 0, or the errno that ended it. */
static int write_exactly(int fd, long long bytes, size_t chunk)
{
	static char block[65536];

	memset(block, 'x', sizeof(block));
	if (chunk == 0 || chunk > sizeof(block))
		chunk = sizeof(block);
	while (bytes > 0) {
		ssize_t n = write(fd, block, bytes < (long long)chunk ? (size_t)bytes : chunk);

		if (n < 0)
			return errno;
		bytes -= n;
	}
	return 0;
}

/* flood BYTES [FD [CHUNK]]: that much output, in writes of CHUNK bytes. */
int use_flood(int argc, char **argv)
{
	long long bytes = argc > 0 ? atoll(argv[0]) : 1 << 20;
	int fd = argc > 1 ? atoi(argv[1]) : 1;

	return write_exactly(fd, bytes, argc > 2 ? (size_t)atol(argv[2]) : 0) != 0;
}

/* fill PATH BYTES: a file of that size; prints how it went, and exits with 1 when it did not. */
int use_fill(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[0], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	int error = fd < 0 ? errno : write_exactly(fd, atoll(argv[1]), 4096);

	puts(error ? strerrorname_np(error) : "ok");
	return error != 0;
}

/* linger [SECONDS]: leaves a child in a session of its own that keeps stdout and stderr open. */
int use_linger(int argc, char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)setsid();
		sleep(argc > 0 ? (unsigned)atoi(argv[0]) : 1000);
		_exit(0);
	}
	puts("left");
	return pid < 0;
}
