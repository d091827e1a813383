/* SPDX-License-Identifier: MIT */
/* namespace.c – leave and enter namespaces, name the host, make a user namespace with given maps
 *
 * The maps of a user namespace are written once, from outside; userns_open does that for namespaces
 * that serve only as the map of an idmapped mount. What each flag needs is in namespaces(7).
 */
#include "proc.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- unshare, setns ---- */

unsigned bind_place;

/*** S.unshare(flags) -> true
 * flags: S.c.CLONE ("newns, newuts"); newpid and newtime count for children only. Errors: EPERM,
 * EINVAL, ENOSPC (a limit on namespaces), EUSERS. unshare(2). */
static int l_unshare(lua_State *L)
{
	bind_place++;
	return bind_return_ok(L, sys_result(unshare((int)bind_check_flags(L, 1, &bind_set_CLONE))));
}

/*** S.setns(fd, flags=0) -> true
 * fd: a namespace file (flags: its kind, or 0 for any) or a pidfd (flags: which of its namespaces).
 * newpid counts for children only. Errors: EPERM, EINVAL (another kind; or own user namespace).
 * setns(2). */
static int l_setns(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_CLONE, 0);

	bind_place++;
	return bind_return_ok(L, sys_result(setns(fd, (int)flags)));
}

/* ---- host names ---- */

/*** S.sethostname(name) -> true
 * Of the UTS namespace; at most 64 bytes. Errors: EPERM (CAP_SYS_ADMIN over the namespace), EINVAL
 * (too long). sethostname(2). */
static int l_sethostname(lua_State *L)
{
	size_t len;
	const char *name = luaL_checklstring(L, 1, &len);

	return bind_return_ok(L, sys_result(sethostname(name, len)));
}

/*** S.setdomainname(name) -> true
 * The NIS domain of the UTS namespace; as sethostname. setdomainname(2). */
static int l_setdomainname(lua_State *L)
{
	size_t len;
	const char *name = luaL_checklstring(L, 1, &len);

	return bind_return_ok(L, sys_result(setdomainname(name, len)));
}

/*** S.uname() -> { sysname, nodename, release, version, machine, domainname }
 * nodename is the host name of the UTS namespace. uname(2). */
static int l_uname(lua_State *L)
{
	struct utsname names;
	long rc = sys_result(uname(&names));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, 0, 6);
	bind_set_string(L, "sysname", names.sysname);
	bind_set_string(L, "nodename", names.nodename);
	bind_set_string(L, "release", names.release);
	bind_set_string(L, "version", names.version);
	bind_set_string(L, "machine", names.machine);
	bind_set_string(L, "domainname", names.domainname);
	return 1;
}

/* ---- a user namespace with maps ---- */

enum {
	EXTENTS_MAX = 340, /* user_namespaces(7), since 4.15 */
	HELPER_STACK = 16384,
};

/* Holds the namespace while its maps are written. Shares our memory: it may touch nothing but its
 * registers, errno included, so it enters the kernel only by calls that do not fail. All signals
 * are blocked. */
static int helper_main(void *parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* luge killed now leaves no sleeper behind */
	if (getppid() == *(const pid_t *)parent)
		for (;;)
			(void)pause();
	return 0;
}

/* Starts the helper: its pid, or -errno. Exit signal 0, so that no SIGCHLD reaches whoever listens
 * for the container's, and so that an ignored SIGCHLD does not reap it. */
static long helper_start(const pid_t *self)
{
	static _Alignas(16) char stack[HELPER_STACK];
	sigset_t all, old;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old); /* fails only for a bad first argument */
	long pid = sys_result(clone(helper_main, stack + sizeof(stack),
				    CLONE_NEWUSER | CLONE_VM | CLONE_FILES, (void *)self));

	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}

static void helper_end(pid_t pid)
{
	(void)kill(pid, SIGKILL); /* our child, not yet waited for: it is there */
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* Writes text to /proc/PID/NAME in one write, as the kernel wants maps to be. */
static int proc_write(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;

	(void)close(fd); /* a proc file: the write said all */
	return rc;
}

/* Whether this process may map groups freely; without it the kernel wants setgroups denied first.
 */
static bool may_setgid(void)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t value = CAP_CLEAR;

	if (!caps)
		return false;
	(void)cap_get_flag(caps, CAP_SETGID, CAP_EFFECTIVE, &value); /* clear when it fails */
	(void)cap_free(caps);
	return value == CAP_SET;
}

static int maps_write(pid_t pid, const char *uids, const char *gids, const char **ret_step)
{
	int rc = 0;

	if (gids && !may_setgid()) {
		*ret_step = "setgroups";
		rc = proc_write(pid, "setgroups", "deny");
	}
	if (rc == 0 && uids) {
		*ret_step = "uid_map";
		rc = proc_write(pid, "uid_map", uids);
	}
	if (rc == 0 && gids) {
		*ret_step = "gid_map";
		rc = proc_write(pid, "gid_map", gids);
	}
	return rc;
}

/* A descriptor of a new user namespace with these maps (NULL: left unwritten), or -errno and what
 * failed. */
static int userns_open(const char *uids, const char *gids, const char **ret_step)
{
	pid_t self = getpid();
	char path[64];

	*ret_step = "clone";
	long pid = helper_start(&self);

	if (pid < 0)
		return (int)pid;
	int rc = maps_write((pid_t)pid, uids, gids, ret_step);

	if (rc == 0) {
		*ret_step = "open";
		snprintf(path, sizeof(path), "/proc/%ld/ns/user", pid);
		rc = (int)sys_result(open(path, O_RDONLY | O_CLOEXEC));
	}
	helper_end((pid_t)pid);
	return rc;
}

static uint32_t extent_number(lua_State *L, const char *field, lua_Integer row, int column)
{
	int is_integer;

	lua_geti(L, -1, column);
	lua_Integer value = lua_tointegerx(L, -1, &is_integer);

	if (!is_integer || value < (column == 3) || value > (lua_Integer)UINT32_MAX)
		luaL_argerror(L, 1,
			      lua_pushfstring(L,
					      "field '%s': extent %I is not { inside, "
					      "outside, count }",
					      field, row));
	lua_pop(L, 1);
	return (uint32_t)value;
}

/* Pushes the list of extents t[field] of argument 1 as the text the kernel takes; nil gives NULL.
 */
static const char *map_push(lua_State *L, const char *field)
{
	if (lua_getfield(L, 1, field) == LUA_TNIL)
		return NULL;
	if (!lua_istable(L, -1))
		luaL_argerror(L, 1,
			      lua_pushfstring(L, "field '%s': a list of extents expected", field));
	lua_Integer n = (lua_Integer)lua_rawlen(L, -1);

	if (n < 1 || n > EXTENTS_MAX)
		luaL_argerror(L, 1,
			      lua_pushfstring(L, "field '%s': 1 to %d extents expected", field,
					      EXTENTS_MAX));
	int list = lua_gettop(L);
	char *text =
		lua_newuserdata(L, (size_t)n * 36 + 1); /* three numbers of at most 10 digits */
	char *end = text;

	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_geti(L, list, i) != LUA_TTABLE)
			luaL_argerror(
				L, 1,
				lua_pushfstring(L, "field '%s': extent %I is no table", field, i));
		uint32_t inside = extent_number(L, field, i, 1);
		uint32_t outside = extent_number(L, field, i, 2);

		end += sprintf(end, "%u %u %u\n", inside, outside, extent_number(L, field, i, 3));
		lua_pop(L, 1);
	}
	return text;
}

static const char *const userns_fields[] = {"uids", "gids", NULL};

/*** S.userns_open{ uids={ {inside, outside, count}… }, gids={…} } -> fd | nil, err, errno, step
 * A descriptor of a new user namespace with these maps (1 to 340 extents, the text below 4096
 * bytes), made by a short-lived helper process; not after unshare("newpid"), whose PID 1 the helper
 * would be. Without CAP_SETUID and CAP_SETGID only the own ids can be mapped, one extent each, and
 * setgroups is denied in it. step says what failed: "clone", "setgroups", "uid_map", "gid_map",
 * "open". Errors: EPERM (ids that are not ours), EINVAL (extents overlap), ENOSPC.
 * user_namespaces(7). */
static int l_userns_open(lua_State *L)
{
	bind_check_fields(L, 1, userns_fields);
	lua_settop(L, 1);
	const char *uids = map_push(L, "uids");
	const char *gids = map_push(L, "gids");
	int *slot = bind_new_fd(L);
	const char *step;
	int rc = userns_open(uids, gids, &step);

	if (rc >= 0)
		return bind_return_fd(L, slot, rc);
	bind_error(L, -rc);
	lua_pushstring(L, step);
	return 4;
}

static const luaL_Reg functions[] = {
	{"unshare", l_unshare},
	{"setns", l_setns},
	{"sethostname", l_sethostname},
	{"setdomainname", l_setdomainname},
	{"uname", l_uname},
	{"userns_open", l_userns_open},
	{NULL, NULL},
};

void syscall_namespace(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
