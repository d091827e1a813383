/* SPDX-License-Identifier: MIT */
/* floor.c – the least that a launcher can do for a given isolation: raw calls, no configuration, no checks
 *
 *   floor --bare ROOT COMMAND…                         namespaces, /proc, /dev, /tmp, read-only root, a filter of one rule
 *   floor --matched [--pids DIR] [--filter FILE]… ROOT COMMAND…
 *                                                      what luge's default profile makes: a user namespace with a
 *                                                      range of its own, the root idmapped, masks, /sys, an init
 *                                                      that reaps, the filters (BPF as luge compiles them), and
 *                                                      a cgroup with a limit of processes in DIR
 *
 * The baseline of every start-up figure. Needs root. ROOT has proc, sys, dev, tmp and a static COMMAND. A failure
 * prints the call and ends with 99: this is a measuring rod, no tool.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* glibc's <sys/mount.h> and <linux/mount.h> cannot be included together before glibc 2.37. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *data);
int umount2(const char *target, int flags);

enum { DETACH = 2, RANGE_START = 1000000, RANGE_COUNT = 65536, FILTERS_MAX = 4 };

#define MUST(call) must((long)(call), #call)

static struct {
	int matched;
	const char *root;
	char **command;
	struct sock_fprog filters[FILTERS_MAX];
	int n_filters;
	int tree; /* the root as a detached mount, idmapped by the parent while the child waits */
	int dev;  /* /dev as a detached mount */
	const char *pids;
	int tasks;
	char cgroup[256];
} floor_job = {.tree = -1, .dev = -1};

static long must(long rc, const char *what)
{
	if (rc < 0) {
		perror(what);
		_exit(99);
	}
	return rc;
}

static void write_file(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY | O_CLOEXEC));

	MUST(write(fd, text, strlen(text)));
	close(fd);
}

/* ---- the child ---- */

static void mount_new(const char *type, const char *target, unsigned long flags, const char *data)
{
	MUST(mount(type, target, type, flags, data));
}

static const struct device {
	const char *name;
	unsigned major, minor;
} devices[] = {{"null", 1, 3},	 {"zero", 1, 5},    {"full", 1, 7},
	       {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

enum { N_DEVICES = sizeof(devices) / sizeof(devices[0]) };

static void bind_devices(void)
{
	for (int i = 0; i < N_DEVICES; i++) {
		char source[64], target[64];

		snprintf(source, sizeof(source), "/dev/%s", devices[i].name);
		snprintf(target, sizeof(target), "dev/%s", devices[i].name);
		close((int)MUST(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0666)));
		MUST(mount(source, target, NULL, MS_BIND, NULL));
	}
}

/* The parent's privilege makes device nodes, which spares six mounts: /dev as a detached tmpfs. */
static int make_detached_dev(void)
{
	static const char *const links[][2] = {{"/proc/self/fd", "fd"},
					       {"/proc/self/fd/0", "stdin"},
					       {"/proc/self/fd/1", "stdout"},
					       {"/proc/self/fd/2", "stderr"},
					       {"pts/ptmx", "ptmx"}};
	int fs = (int)MUST(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));

	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0));
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	int dev = (int)MUST(
		syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));

	close(fs);
	umask(0);
	for (int i = 0; i < N_DEVICES; i++)
		MUST(mknodat(dev, devices[i].name, S_IFCHR | 0666,
			     makedev(devices[i].major, devices[i].minor)));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		MUST(symlinkat(links[i][0], dev, links[i][1]));
	MUST(mkdirat(dev, "pts", 0755));
	MUST(mkdirat(dev, "shm", 0755));
	return dev;
}

static void make_dev(void)
{
	if (floor_job.dev >= 0) {
		MUST(syscall(SYS_move_mount, floor_job.dev, "", AT_FDCWD, "dev",
			     MOVE_MOUNT_F_EMPTY_PATH));
	} else {
		mount_new("tmpfs", "dev", MS_NOSUID | MS_NOEXEC, "mode=755");
		bind_devices();
		MUST(mkdir("dev/pts", 0755));
		MUST(mkdir("dev/shm", 0755));
	}
	mount_new("devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620");
	mount_new("tmpfs", "dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
}

/* What luge hides of /proc and /sys, and what it shows read-only. */
static void mask(void)
{
	static const char *const files[] = {"kcore",	   "keys",	  "latency_stats",
					    "timer_list",  "timer_stats", "sched_debug",
					    "interrupts",  "kpagecount",  "kpageflags",
					    "kpagecgroup", "vmallocinfo"};
	static const char *const dirs[] = {"proc/acpi",		 "proc/scsi",
					   "sys/firmware",	 "sys/kernel/debug",
					   "sys/kernel/tracing", "sys/kernel/security"};
	static const char *const read_only[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys",
						"proc/sysrq-trigger"};
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "proc/%s", files[i]);
		if (access(path, F_OK) == 0)
			MUST(mount("/dev/null", path, NULL, MS_BIND, NULL));
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (access(dirs[i], F_OK) == 0)
			mount_new("tmpfs", dirs[i], MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
				  "nr_inodes=2");
	for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
		if (access(read_only[i], F_OK) != 0)
			continue;
		int fd = (int)MUST(syscall(SYS_open_tree, AT_FDCWD, read_only[i],
					   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));

		MUST(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			     sizeof(attr)));
		MUST(syscall(SYS_move_mount, fd, "", AT_FDCWD, read_only[i],
			     MOVE_MOUNT_F_EMPTY_PATH));
		close(fd);
	}
}

/* ROOT's mount is the new root: the parent's idmapped tree, or a bind of itself. */
static void make_root(const char *root)
{
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (floor_job.tree >= 0)
		MUST(syscall(SYS_move_mount, floor_job.tree, "", AT_FDCWD, root,
			     MOVE_MOUNT_F_EMPTY_PATH));
	else
		MUST(mount(root, root, NULL, MS_BIND | MS_REC, NULL));
	MUST(chdir(root));
	mount_new("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	make_dev();
	mount_new("tmpfs", "tmp", MS_NOSUID | MS_NODEV, "mode=1777");
	if (floor_job.matched) {
		mount_new("sysfs", "sys", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
		mask();
	}
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", DETACH));
	MUST(chdir("/"));
	if (!floor_job.matched)
		MUST(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
			   NULL));
}

static void raise_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	MUST(ioctl(fd, SIOCSIFFLAGS, &request));
	close(fd);
}

static void load_filter(const struct sock_fprog *program)
{
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program));
}

/* What the bare floor is given instead: mount(2) is refused. */
static void load_one_rule(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	load_filter(&(struct sock_fprog){.len = 4, .filter = code});
}

static void drop_privilege(void)
{
	struct __user_cap_header {
		uint32_t version;
		int pid;
	} header = {0x20080522, 0};
	uint32_t none[6] = {0};

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		MUST(prctl(PR_CAPBSET_DROP, cap));
	MUST(syscall(SYS_capset, &header, none));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (floor_job.n_filters == 0)
		load_one_rule();
	for (int i = 0; i < floor_job.n_filters; i++)
		load_filter(&floor_job.filters[i]);
}

/* PID 1: waits for the command and whatever it leaves, ends with the command's code. */
static void be_init(pid_t command)
{
	int status, code = 0;
	pid_t pid;

	while ((pid = wait(&status)) > 0)
		if (pid == command)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	_exit(code);
}

static void run_child(int go)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(98);
	/* By itself: its number in cgroup.procs would cost a grace period of RCU. */
	if (floor_job.pids)
		MUST(write(floor_job.tasks, "0", 1));
	if (floor_job.matched) {
		MUST(setresgid(0, 0, 0));
		MUST(setresuid(0, 0, 0));
		MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	}
	if (floor_job.matched) {
		raise_loopback();
		write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	}
	make_root(floor_job.root);
	MUST(sethostname("floor", 5));
	if (floor_job.matched) {
		struct rlimit none = {0, 0}, many = {1024, 1024};

		MUST(setgroups(0, NULL));
		MUST(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL));
		MUST(setrlimit(RLIMIT_CORE, &none));
		if (!floor_job.pids)
			MUST(setrlimit(RLIMIT_NPROC, &many));
		MUST(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
		pid_t pid = (pid_t)MUST(fork());

		if (pid > 0)
			be_init(pid);
		MUST(setsid());
	}
	drop_privilege();
	execv(floor_job.command[0], floor_job.command);
	perror("execv");
	_exit(127);
}

/* ---- the parent ---- */

static void write_cgroup(const char *file, const char *text)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", floor_job.cgroup, file);
	write_file(path, text);
}

static void make_cgroup(void)
{
	char path[300];

	snprintf(floor_job.cgroup, sizeof(floor_job.cgroup), "%s/floor-%d", floor_job.pids,
		 getpid());
	MUST(mkdir(floor_job.cgroup, 0755));
	write_cgroup("pids.max", "1025");
	snprintf(path, sizeof(path), "%s/tasks", floor_job.cgroup);
	floor_job.tasks = open(path, O_WRONLY | O_CLOEXEC);
	if (floor_job.tasks >= 0)
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", floor_job.cgroup); /* version 2 */
	floor_job.tasks = (int)MUST(open(path, O_WRONLY | O_CLOEXEC));
}

static void map_ids(pid_t child)
{
	char path[64], map[64];

	snprintf(map, sizeof(map), "0 %d %d", RANGE_START, RANGE_COUNT);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
	write_file(path, map);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", child);
	write_file(path, map);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
	int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY |
					      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
				  .userns_fd = (uint64_t)fd};

	MUST(syscall(SYS_mount_setattr, floor_job.tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	close(fd);
}

static void read_filter(const char *path)
{
	struct stat st;
	int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));

	MUST(fstat(fd, &st));
	struct sock_fprog *program = &floor_job.filters[floor_job.n_filters++];

	program->filter = malloc((size_t)st.st_size);
	program->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
	MUST(read(fd, program->filter, (size_t)st.st_size));
	close(fd);
}

int main(int argc, char **argv)
{
	int i = 1, go[2], status;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--matched") == 0)
			floor_job.matched = 1;
		else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc &&
			 floor_job.n_filters < FILTERS_MAX)
			read_filter(argv[++i]);
		else if (strcmp(argv[i], "--pids") == 0 && i + 1 < argc)
			floor_job.pids = argv[++i];
	}
	if (argc - i < 2) {
		fputs("usage: floor --bare|--matched [--pids DIR] [--filter FILE]... ROOT "
		      "COMMAND...\n",
		      stderr);
		return 2;
	}
	floor_job.root = argv[i];
	floor_job.command = argv + i + 1;
	MUST(pipe2(go, O_CLOEXEC));
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			 CLONE_NEWCGROUP | CLONE_NEWNET,
		.exit_signal = SIGCHLD,
	};

	if (floor_job.matched) {
		args.flags |= CLONE_NEWUSER;
		floor_job.tree = (int)MUST(syscall(SYS_open_tree, AT_FDCWD, floor_job.root,
						   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
		floor_job.dev = make_detached_dev();
	}
	if (floor_job.pids)
		make_cgroup();
	pid_t pid = (pid_t)MUST(syscall(SYS_clone3, &args, sizeof(args)));

	if (pid == 0)
		run_child(go[0]);
	if (floor_job.matched)
		map_ids(pid);
	MUST(write(go[1], "x", 1));
	MUST(waitpid(pid, &status, 0));
	if (floor_job.pids)
		MUST(rmdir(floor_job.cgroup));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
