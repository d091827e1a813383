/* SPDX-License-Identifier: MIT */
/* birth.c – a process in new namespaces that is another program from its first step on
 *
 * The child shares our memory until it has executed that program, and we sleep until then (CLONE_VFORK): no page table
 * is copied, and no page afterwards because one of the two wrote to it. Where the child is in a new user namespace it
 * is nobody there yet, and executing a program would cost it its capabilities: it takes them along as ambient ones.
 *
 * What it must not do: return in the child, or allocate there. Needs what namespaces(7) asks for.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"
#include "stage/sys.h"

struct birth {
	struct clone_args args;
	int program;
	const char **argv;
	const int *kept;
	size_t kept_count;
	int error; /* the child's errno, where it executed nothing */
};

static int keep_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		data[i].inheritable = data[i].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		return -1;
	for (int cap = 0; cap < 64; cap++) {
		bool has = data[cap / 32].permitted >> cap % 32 & 1;

		if (has && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	}
	return 0;
}

static int keep_descriptors(const struct birth *birth)
{
	for (size_t i = 0; i < birth->kept_count; i++)
		if (fcntl(birth->kept[i], F_SETFD, 0) < 0)
			return -1;
	return 0;
}

_Noreturn static void become(struct birth *birth)
{
	char *const no_environment[] = {NULL};

	if (keep_capabilities() == 0 && keep_descriptors(birth) == 0)
		(void)syscall(SYS_execveat, birth->program, "", birth->argv, no_environment,
			      AT_EMPTY_PATH);
	birth->error = errno;
	_exit(127);
}

/* The child goes on with our stack, below this frame, to which nothing is written after the call: it is made in place,
 * so that no return address can be lost. */
__attribute__((noinline)) static long give_birth(struct birth *birth)
{
	birth->args.flags |= CLONE_VM | CLONE_VFORK;
	long pid = sys(clone3, &birth->args, sizeof(birth->args));

	if (pid == 0)
		become(birth);
	return pid;
}

/* The descriptors of the list at arg, as a userdata pushed on the stack. */
static const int *push_descriptors(lua_State *L, int arg, size_t *ret_count)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	size_t count = lua_rawlen(L, arg);
	int *list = lua_newuserdata(L, (count + 1) * sizeof(*list));

	for (size_t i = 0; i < count; i++) {
		lua_geti(L, arg, (lua_Integer)i + 1);
		lua_replace(L, 4); /* where bind_check_fd() finds it */
		list[i] = bind_check_fd(L, 4);
	}
	*ret_count = count;
	return list;
}

/*** S.clone3_exec({ flags=, exit_signal="chld", pidfd=bool, cgroup=fd }, program, argv, kept) -> pid, pidfd
 * As S.clone3, but the child executes the open file `program` at once, without environment, and keeps the capabilities
 * that it has in a new user namespace, as ambient ones. kept: the descriptors that the program finds open besides those
 * that are not close-on-exec. Errors: as S.clone3 and S.execveat. clone(2), capabilities(7). */
static int l_clone3_exec(lua_State *L)
{
	struct birth birth = {0};
	bool pidfd;

	process_check_clone3(L, &birth.args, &pidfd);
	birth.program = bind_check_fd(L, 2);
	lua_settop(L, 4);
	lua_pushvalue(L, 4);
	birth.argv = bind_push_strings(L, 3);
	luaL_argcheck(L, birth.argv[0], 3,
		      "argv starts with the program's name; the list is empty");
	birth.kept = push_descriptors(L, 5, &birth.kept_count);
	int number = -1;
	int *slot = pidfd ? bind_new_fd(L) : NULL;

	birth.args.pidfd = (uint64_t)(uintptr_t)(slot ? slot : &number);
	long rc = give_birth(&birth);

	if (rc > 0 && birth.error) {
		(void)sys(wait4, rc, 0, __WALL);
		if (slot) {
			(void)close(*slot);
			*slot = -1;
		}
		rc = -birth.error;
	}
	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushinteger(L, rc);
	if (!slot)
		return 1;
	lua_insert(L, -2);
	return 2;
}

static const luaL_Reg functions[] = {
	{"clone3_exec", l_clone3_exec},
	{NULL, NULL},
};

void syscall_birth(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
