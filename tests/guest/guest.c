/* SPDX-License-Identifier: MIT */
/* guest.c – a static program that runs inside containers and reports what it finds, as JSON
 *
 *   guest facts [PATH…]        all it can find out; for each PATH whether it can write there
 *   guest try CALL ARG…        one call: {"call":…, "result":…, "errno":"EPERM"|null}; ends with 0
 * either way guest BEHAVIOUR [ARG…]     something a bad or good program does: exit, raise, eat
 * memory, fork, … guest help                 the list
 *
 * It needs nothing of the root file system it runs in. Tests assert these facts, not text.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static int usage(void);

static const struct probe *find_probe(const char *name)
{
	for (const struct probe *p = guest_probes; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	for (const struct probe *p = guest_attacks; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static int do_try(int argc, char **argv)
{
	const struct probe *p = argc > 0 ? find_probe(argv[0]) : NULL;

	if (!p || argc - 1 < p->min_args)
		return usage();
	json_open(NULL, '{');
	json_string("call", p->name);
	errno = 0;
	long rc = p->run(argc - 1, argv + 1);
	int err = errno;

	json_number("result", rc);
	json_string("errno", rc < 0 ? strerrorname_np(err) : NULL);
	json_close('}');
	json_end();
	return 0;
}

static int do_exit(int argc, char **argv)
{
	return argc > 0 ? atoi(argv[0]) : 0;
}

static int do_raise(int argc, char **argv)
{
	int number = argc > 0 ? atoi(argv[0]) : SIGTERM;

	(void)signal(number, SIG_DFL);
	raise(number);
	return 0;
}

static int do_sleep(int argc, char **argv)
{
	struct timespec t = {.tv_sec = argc > 0 ? atol(argv[0]) : 3600};

	while (nanosleep(&t, &t) != 0)
		;
	return 0;
}

static int do_ignore_signals(int argc, char **argv)
{
	for (int s = 1; s < 32; s++)
		(void)signal(s, SIG_IGN);
	puts("ready");
	fflush(stdout);
	return do_sleep(argc, argv);
}

/* Prints the name of the first signal that comes, and exits with its number. */
static int do_await_signal(int argc, char **argv)
{
	sigset_t set;
	int number = 0;

	(void)argc;
	(void)argv;
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("ready");
	fflush(stdout);
	sigwait(&set, &number);
	puts(sigabbrev_np(number));
	return number;
}

static int do_spin(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (volatile unsigned long i = 0;; i++)
		;
	return 0;
}

/* Touches N MiB, then says so. */
static int do_eat(int argc, char **argv)
{
	long megabytes = argc > 0 ? atol(argv[0]) : 64;

	for (long i = 0; i < megabytes; i++) {
		void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		if (p == MAP_FAILED) {
			printf("%s after %ld MiB\n", strerrorname_np(errno), i);
			return 1;
		}
		memset(p, 1, 1 << 20);
	}
	printf("ate %ld MiB\n", megabytes);
	return 0;
}

/* Makes N children that wait, prints how many there were, and ends: PID 1 has to see to them. */
static int do_fork(int argc, char **argv)
{
	long wanted = argc > 0 ? atol(argv[0]) : 1;
	long made = 0;

	for (; made < wanted; made++) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			close(1);
			close(2);
			pause();
			_exit(0);
		}
	}
	json_open(NULL, '{');
	json_number("forked", made);
	json_string("errno", made < wanted ? strerrorname_np(errno) : NULL);
	json_close('}');
	json_end();
	return 0;
}

/* Forks for ever, deaf to every signal that can be ignored, in as many processes as it gets. */
static int do_bomb(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (int n = 1; n < 32; n++)
		(void)signal(n, SIG_IGN);
	puts("ready");
	fflush(stdout);
	for (;;)
		if (fork() < 0)
			usleep(1000);
	return 0;
}

/* Leaves an orphan that ends at once, and tells whether PID 1 reaped it: true when its pid is gone.
 */
static int do_orphan(int argc, char **argv)
{
	int p[2], status = 0;
	pid_t orphan = 0;

	(void)argc;
	(void)argv;
	if (pipe(p) != 0)
		return 1;
	pid_t middle = fork();

	if (middle == 0) {
		pid_t grandchild = fork();

		if (grandchild == 0)
			_exit(0);
		(void)!write(p[1], &grandchild, sizeof(grandchild));
		_exit(0);
	}
	waitpid(middle, &status, 0);
	if (read(p[0], &orphan, sizeof(orphan)) != sizeof(orphan))
		return 1;
	int gone = 0;

	for (int i = 0; i < 500 && !gone; i++) {
		gone = kill(orphan, 0) != 0 && errno == ESRCH;
		if (!gone)
			usleep(10000);
	}
	json_open(NULL, '{');
	json_bool("reaped", gone);
	json_close('}');
	json_end();
	return 0;
}

static int do_copy(int argc, char **argv)
{
	char block[65536];
	ssize_t n;

	(void)argc;
	(void)argv;
	while ((n = read(0, block, sizeof(block))) > 0)
		if (write(1, block, (size_t)n) != n)
			return 1;
	return n < 0;
}

static int do_print(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		puts(argv[i]);
	return 0;
}

static int do_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	usage();
	return 0;
}

static const struct {
	const char *name, *usage;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"facts", "[PATH...]", facts_print},
	{"try", "CALL ARG...", do_try},
	{"exit", "CODE", do_exit},
	{"raise", "SIGNAL", do_raise},
	{"sleep", "SECONDS", do_sleep},
	{"ignore-signals", "", do_ignore_signals},
	{"await-signal", "", do_await_signal},
	{"spin", "", do_spin},
	{"eat", "MEGABYTES", do_eat},
	{"fork", "N", do_fork},
	{"bomb", "", do_bomb},
	{"orphan", "", do_orphan},
	{"burn", "MILLISECONDS [CODE]", use_burn},
	{"brood", "N MILLISECONDS [ignore]", use_brood},
	{"flood", "BYTES [FD [CHUNK]]", use_flood},
	{"fill", "PATH BYTES", use_fill},
	{"linger", "[SECONDS]", use_linger},
	{"copy", "", do_copy},
	{"print", "TEXT...", do_print},
	{"help", "", do_help},
};

static int usage(void)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(stderr, "guest %s %s\n", commands[i].name, commands[i].usage);
	for (const struct probe *p = guest_probes; p->name; p++)
		fprintf(stderr, "guest try %s %s\n", p->name, p->usage);
	for (const struct probe *p = guest_attacks; p->name; p++)
		fprintf(stderr, "guest try %s %s\n", p->name, p->usage);
	return 2;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (argc > 1 && strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 2, argv + 2);
	return usage();
}
