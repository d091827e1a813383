/* SPDX-License-Identifier: MIT */
/* stage_test.c – the stage alone: orders built by hand, good and bad, and what it says of them
 *
 * No namespace and no privilege: PID 1 and the encoder are the business of tests/lua/stage_test.lua.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "state.h"
#include "stage/stage.h"

enum { DATA_MAX = 8192, RECORDS_MAX = 32, STATUS = 20, LIFELINE = 21, ORDERS = 22, LOG = 23 };

struct image {
	struct stage_header header;
	unsigned char data[DATA_MAX];
	struct stage_record records[RECORDS_MAX];
	uint32_t end; /* the zero that ends the image */
	uint32_t used;
};

static struct image image;

static void image_start(void)
{
	memset(&image, 0, sizeof(image));
	image.header = (struct stage_header){
		.magic = STAGE_MAGIC,
		.size = offsetof(struct image, used),
		.records = offsetof(struct image, records),
		.status = STATUS,
		.lifeline = LIFELINE,
		.go = -1,
	};
}

/* The address, in the stage, of a copy of the bytes. */
static uint64_t put(const void *bytes, size_t size)
{
	uint32_t at = image.used;

	cr_assert(at + size <= DATA_MAX);
	memcpy(image.data + at, bytes, size);
	image.used += (uint32_t)((size + 7) & ~7UL);
	return STAGE_BASE + offsetof(struct image, data) + at;
}

static uint64_t put_string(const char *text)
{
	return put(text, strlen(text) + 1);
}

static uint64_t put_vector(const char *const *list)
{
	uint64_t words[16] = {0};
	size_t n = 0;

	for (; list[n]; n++)
		words[n] = put_string(list[n]);
	return put(words, (n + 1) * 8);
}

static void record(uint16_t kind, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t i = image.header.record_count++;

	image.records[i] =
		(struct stage_record){.kind = kind, .step = i + 1, .nr = nr, .args = {a, b, c}};
}

static void record_write(const char *text)
{
	record(STAGE_CALL_ALL, SYS_write, LOG, put_string(text), strlen(text));
}

static void record_exec(const char *const *places, const char *const *argv)
{
	const char *const environment[] = {"LANG=C", NULL};

	record(STAGE_EXEC, 0, put_vector(places), put_vector(argv), put_vector(environment));
}

static int memfd_of(const void *bytes, size_t size, bool sealed)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	if (sealed)
		cr_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

static int stage_program(void)
{
	static int fd = -1;
	const struct embedded_file *file = embedded_find("file:stage");

	cr_assert(file, "the stage is embedded");
	if (fd < 0)
		fd = memfd_of(file->data, file->size, true);
	return fd;
}

struct outcome {
	int status; /* as of waitpid */
	int messages;
	struct stage_message message; /* the last */
	char log[256];		      /* what was written to LOG */
	ssize_t said;		      /* how many bytes it said over the channel */
	int32_t word[3];	      /* these */
};

static char *const argv_default[] = {"luge-init 22", NULL};

/* Runs the stage on what is descriptor ORDERS there; it gets 10 s. */
static struct outcome run_on(int orders, char *const *argv)
{
	struct outcome result = {0};
	int program = stage_program();
	int status[2], lifeline[2], log[2];

	cr_assert(pipe2(status, O_CLOEXEC) == 0 && pipe2(lifeline, O_CLOEXEC) == 0 &&
		  pipe2(log, O_CLOEXEC) == 0);
	pid_t pid = fork();

	if (pid == 0) {
		char *const environment[] = {NULL};

		alarm(10); /* survives execve, and its signal kills */
		dup2(status[1], STATUS);
		dup2(lifeline[0], LIFELINE);
		dup2(orders, ORDERS);
		dup2(log[1], LOG);
		syscall(SYS_execveat, program, "", argv, environment, AT_EMPTY_PATH);
		_exit(99);
	}
	close(status[1]);
	close(log[1]);
	waitpid(pid, &result.status, 0);
	while (read(status[0], &result.message, sizeof(result.message)) == sizeof(result.message))
		result.messages++;
	(void)!read(log[0], result.log, sizeof(result.log) - 1);
	close(status[0]);
	close(log[0]);
	close(lifeline[0]);
	close(lifeline[1]);
	close(orders);
	return result;
}

static struct outcome run_bytes(const void *bytes, size_t size, bool sealed, char *const *argv)
{
	return run_on(memfd_of(bytes, size, sealed), argv);
}

/* Runs it on a channel over which the image is sent, as `count` descriptors. */
static struct outcome run_sent(size_t count)
{
	int channel[2], orders = memfd_of(&image, image.header.size, true);
	char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec part = {"maps", 4};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0 &&
		  count <= 2);
	if (count > 0) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);

		*head = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(head) + i * sizeof(int), &orders, sizeof(int));
	}
	cr_assert(sendmsg(channel[0], &message, 0) == 4);
	close(orders);
	struct outcome result = run_on(channel[1], argv_default);

	result.said = recv(channel[0], result.word, sizeof(result.word), MSG_DONTWAIT);
	close(channel[0]);
	return result;
}

static struct outcome run(void)
{
	return run_bytes(&image, image.header.size, true, argv_default);
}

static bool exited(struct outcome o, int code)
{
	return WIFEXITED(o.status) && WEXITSTATUS(o.status) == code;
}

static bool is_error(struct outcome o, int step, int error, int reason)
{
	return o.messages == 1 && o.message.kind == STAGE_ERROR && o.message.a == step &&
	       o.message.b == error && o.message.c == reason;
}

/* Nothing but the kernel prepares the stage: relocations would not be applied. */
Test(stage, is_small_and_has_no_relocations)
{
	const struct embedded_file *file = embedded_find("file:stage");

	cr_assert(file);
	cr_assert(file->size < 32768, "it has %zu bytes", file->size);
	const Elf64_Ehdr *elf = (const void *)file->data;
	const Elf64_Phdr *part = (const void *)(file->data + elf->e_phoff);

	for (int i = 0; i < elf->e_phnum; i++) {
		cr_assert(part[i].p_type != PT_INTERP);
		cr_assert((part[i].p_flags & (PF_W | PF_X)) != (PF_W | PF_X));
		if (part[i].p_type != PT_DYNAMIC)
			continue;
		const Elf64_Dyn *entry = (const void *)(file->data + part[i].p_offset);

		for (; entry->d_tag != DT_NULL; entry++)
			cr_assert(entry->d_tag != DT_RELA && entry->d_tag != DT_REL &&
				  entry->d_tag != DT_RELR);
	}
}

Test(stage, runs_records_in_order)
{
	const char *const sh[] = {"/bin/sh", NULL};
	const char *const argv[] = {"sh", "-c", "printf %s \"3 $LANG\" >/proc/self/fd/23; exit 7",
				    NULL};

	image_start();
	record_write("1 ");
	record(STAGE_CALL, SYS_umask, 022, 0, 0);
	record_write("2 ");
	record(STAGE_SIGNALS, 0, 0, 0, 0);
	record(STAGE_CWD, 0, 0, 0, 0);
	record(STAGE_LIFELINE, 0, 0, 0, 0);
	record_exec(sh, argv);
	struct outcome o = run();

	cr_assert(exited(o, 7));
	cr_assert(o.messages == 0, "without init, the end of the status says that it runs");
	cr_assert_str_eq(o.log, "1 2 3 C");
}

Test(stage, stops_at_the_first_error)
{
	image_start();
	record_write("1");
	record(STAGE_CALL, SYS_close, 12345, 0, 0);
	record_write("2");
	struct outcome o = run();

	cr_assert(exited(o, 125));
	cr_assert(is_error(o, 2, EBADF, STAGE_FAILED));
	cr_assert_str_eq(o.log, "1");
}

Test(stage, tolerates_what_it_is_told_to)
{
	image_start();
	record(STAGE_CALL, SYS_close, 12345, 0, 0);
	image.records[0].tolerate = EBADF;
	record(STAGE_CALL, SYS_close, 12345, 0, 0);
	image.records[1].tolerate = STAGE_ANY_ERRNO;
	record(STAGE_CALL, SYS_close, 12345, 0, 0);
	image.records[2].tolerate = EPERM;
	cr_assert(is_error(run(), 3, EBADF, STAGE_FAILED));
}

Test(stage, says_why_the_command_was_not_executed)
{
	char folder[] = "/tmp/stage-test.XXXXXX", path[64];
	const struct {
		const char *name, *text;
		int mode, error, reason, code;
	} cases[] = {
		{"absent", NULL, 0, ENOENT, STAGE_NOT_FOUND, 127},
		{"plain", "text", 0644, EACCES, STAGE_NOT_EXECUTABLE, 126},
		{"text", "exit 0\n", 0755, ENOEXEC, STAGE_NOT_EXECUTABLE, 126},
		{"script", "#!/no/such/interpreter\n", 0755, ENOENT, STAGE_NO_INTERPRETER, 126},
		{"loop", "#!/proc/self/exe\n", 0755, 0, 0, 125},
		{"plain/x", NULL, 0, ENOTDIR, STAGE_NOT_EXECUTABLE, 126},
		{"", NULL, 0, EACCES, STAGE_NOT_EXECUTABLE, 126},
	};

	cr_assert(mkdtemp(folder));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, cases[i].name);
		if (cases[i].text) {
			FILE *file = fopen(path, "w");

			cr_assert(file);
			fputs(cases[i].text, file);
			fclose(file);
			chmod(path, (mode_t)cases[i].mode);
		}
		const char *const list[] = {path, NULL};

		image_start();
		record_exec(list, list);
		struct outcome o = run();

		cr_expect(exited(o, cases[i].code), "%s: status %x", path, o.status);
		if (cases[i].reason)
			cr_expect(is_error(o, 1, cases[i].error, cases[i].reason), "%s: %d %d %d",
				  path, o.messages, o.message.b, o.message.c);
		else /* it executed the stage, which had no orders */
			cr_expect(o.messages == 0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, cases[i].name);
		(void)unlink(path);
	}
	cr_expect(rmdir(folder) == 0);
}

Test(stage, looks_in_every_place)
{
	const char *const places[] = {"/no/such/place/true", "/etc/passwd/true", "/etc/passwd",
				      "/bin/true", NULL};
	const char *const argv[] = {"true", NULL};

	image_start();
	record_exec(places, argv);
	image.records[0].args[3] = 1;
	cr_assert(exited(run(), 0));

	image_start();
	const char *const none[] = {"/no/such/place/true", "/etc/passwd/true", "/etc/passwd",
				    "/no/true", NULL};

	record_exec(none, argv);
	image.records[0].args[3] = 1;
	cr_assert(is_error(run(), 1, EACCES, STAGE_NOT_EXECUTABLE));
}

Test(stage, does_nothing_with_foreign_words)
{
	char *const words[][3] = {
		{"luge-init 22", "x", NULL},
		{"22", NULL},
		{"luge-init", NULL},
		{"luge-init ", NULL},
		{"luge-init 22x", NULL},
		{"luge-init 0", NULL},
		{"luge-init -1", NULL},
		{"luge-init 4294967318"},
		{"/proc/self/exe", "22", NULL},
	};
	image_start();
	record_write("never");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct outcome o = run_bytes(&image, image.header.size, true, words[i]);

		cr_expect(exited(o, 125) && o.messages == 0 && !o.log[0], "words %zu", i);
	}
	cr_expect_str_eq(run().log, "never");
}

Test(stage, takes_orders_over_a_channel)
{
	image_start();
	image.header.channel = ORDERS;
	record_write("sent");
	record_exec((const char *const[]){"/no/such/file", NULL}, (const char *const[]){"x", NULL});
	struct outcome o = run_sent(1);

	cr_expect(exited(o, 127), "%x", o.status);
	cr_expect_str_eq(o.log, "sent");
	for (size_t count = 0; count <= 2; count += 2) {
		o = run_sent(count);
		cr_expect(exited(o, 125) && o.messages == 0 && !o.log[0], "%zu of them", count);
		cr_expect(o.said == 12 && o.word[0] == 0 && o.word[1] == EBADMSG && o.word[2] == 0);
	}
	cr_expect(exited(run(), 125), "not over the channel that they name");
	image.header.channel = LIFELINE;
	cr_expect(exited(run_sent(1), 125), "they name another channel");
	image.header.channel = 0;
	cr_expect(exited(run_sent(1), 125), "they name none");
	int channel[2];

	cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0);
	close(channel[0]);
	cr_expect(exited(run_on(channel[1], argv_default), 125), "nobody says anything");
}

Test(stage, refuses_bad_orders)
{
	struct image good;

	image_start();
	record_write("never");
	good = image;
	struct outcome o = run_bytes(&image, image.header.size, false, argv_default);

	cr_expect(exited(o, 125) && !o.log[0], "orders that are not sealed");
	for (size_t size = 0; size < sizeof(image); size += 97) {
		o = run_bytes(&image, size, true, argv_default);
		cr_expect(exited(o, 125) && o.messages == 0 && !o.log[0], "cut at %zu", size);
	}
#define BROKEN(change)                                                                             \
	do {                                                                                       \
		image = good;                                                                      \
		change;                                                                            \
		o = run();                                                                         \
		cr_expect(exited(o, 125), #change ": %x", o.status);                               \
		cr_expect(!o.log[0], #change);                                                     \
	} while (0)
	BROKEN(image.header.magic++);
	BROKEN(image.header.records += 4);
	BROKEN(image.header.records = 0xffffffc0);
	BROKEN(image.header.record_count = 0x04000000);
	BROKEN(image.header.record_count = 0xffffffff);
	BROKEN(image.header.status = 0);
	BROKEN(image.header.status = 100);
	BROKEN(image.header.lifeline = -1);
	BROKEN(image.header.lifeline = 100);
	BROKEN(image.header.go = 0);
	BROKEN(image.records[0].args[1] = STAGE_BASE + 0x10000000);
	BROKEN(image.records[0].args[1] = UINT64_MAX);
	BROKEN(image.records[0].kind = 0);
	BROKEN(image.records[0].kind = 77);
	BROKEN(image.records[0].kind = STAGE_EXEC);
	BROKEN(image.records[0].kind = STAGE_WAIT);
#undef BROKEN
}

/* Random changes anywhere but in the numbers of calls and the kinds that block: it ends, by itself. */
Test(stage, survives_random_orders)
{
	const char *const places[] = {"/no/such/place/true", NULL};
	unsigned seed = 20;
	struct image good;

	image_start();
	record(STAGE_CALL, SYS_umask, 022, 0, 0);
	record(STAGE_CWD, 0, 0, 0, 0);
	record_exec(places, places);
	good = image;
	for (int round = 0; round < 1000; round++) {
		image = good;
		for (int change = 0; change <= round % 8; change++) {
			/* where something is: the header, the data or the records */
			static const size_t starts[] = {0, offsetof(struct image, data),
							offsetof(struct image, records)};
			size_t at = starts[(size_t)rand_r(&seed) % 3] + (size_t)rand_r(&seed) % 128;

			((unsigned char *)&image)[at] = (unsigned char)rand_r(&seed);
		}
		for (int i = 0; i < RECORDS_MAX; i++) {
			image.records[i].nr = SYS_getppid;
			if (image.records[i].kind == STAGE_INIT ||
			    image.records[i].kind == STAGE_WAIT)
				image.records[i].kind = STAGE_CALL;
		}
		struct outcome o = run_bytes(&image, good.header.size, true, argv_default);

		cr_assert(WIFEXITED(o.status) && WEXITSTATUS(o.status) >= 125,
			  "round %d: status %x", round, o.status);
	}
}

/* The stage ends when its child has executed the command; the child is a sibling, born with what came before. */
Test(stage, enter_makes_a_child_of_its_own_parent)
{
	const char *const sh[] = {"/bin/sh", NULL};
	const char *const argv[] = {
		"sh", "-c", "printf '%s %s' $PPID $(umask) >/proc/self/fd/23; exit 7", NULL};
	char expected[64];

	image_start();
	record(STAGE_CALL, SYS_umask, 027, 0, 0);
	record(STAGE_ENTER, 0, 0, 0, 0);
	record(STAGE_LIFELINE, 0, 0, 0, 0);
	record_exec(sh, argv);
	struct outcome o = run();

	cr_assert(exited(o, 0));
	cr_assert(o.messages == 1 && o.message.kind == STAGE_STARTED && o.message.a > 0);
	int status;

	cr_assert(waitpid(o.message.a, &status, 0) == o.message.a, "it is ours");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	snprintf(expected, sizeof(expected), "%d 0027", (int)getpid());
	cr_assert_str_eq(o.log, expected);
}

Test(stage, enter_tells_the_child_before_its_failure)
{
	image_start();
	record(STAGE_ENTER, 0, 0, 0, 0);
	record(STAGE_CALL, SYS_close, 12345, 0, 0);
	struct outcome o = run();

	cr_assert(exited(o, 125));
	cr_assert(o.messages == 2, "the child, which must be reaped, then what it could not do");
	cr_assert(o.message.kind == STAGE_ERROR && o.message.a == 2 && o.message.b == EBADF);
	int status;

	cr_assert(waitpid(-1, &status, 0) > 0);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 125);
}

Test(stage, enters_only_once)
{
	image_start();
	record(STAGE_ENTER, 0, 0, 0, 0);
	record(STAGE_ENTER, 0, 0, 0, 0);
	struct outcome o = run();

	cr_assert(o.message.kind == STAGE_ERROR && o.message.a == 2 &&
		  o.message.c == STAGE_BAD_ORDERS);
	cr_assert(waitpid(-1, NULL, 0) > 0);
}
