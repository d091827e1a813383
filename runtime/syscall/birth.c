/* SPDX-License-Identifier: MIT */
/* birth.c – a process in new namespaces that is another program from its first step on
 *
 * The child shares our memory until it has executed that program: no page table is copied, and no page afterwards because
 * one of the two wrote to it. We go on meanwhile, so it has a stack of its own, and what it reads stays as it is until the
 * kernel says that it is through (CLONE_CHILD_CLEARTID). Where the child is in a new user namespace it is nobody there yet,
 * and executing a program would cost it its capabilities: it takes them along as ambient ones.
 *
 * What it must not do: return in the child, or call the C library there, whose errno is ours.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"
#include "stage/sys.h"

enum { STACK_SIZE = 16 << 10 };

/* The one that is born. */
static struct birth {
	unsigned char stack[STACK_SIZE];
	struct clone_args args;
	int program;
	const char **argv;
	const int *kept;
	size_t kept_count;
	uint32_t is_shared; /* while the child uses this memory */
	long error;	    /* the child's errno, negative, where it executed nothing */
	pid_t parent, child;
} birth __attribute__((aligned(16)));

/* What the sanitizers would call knows nothing of the child's stack. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined")))

/* Where Lua keeps what the child reads. */
#define ANCHOR "luge.birth"

IN_CHILD static long keep_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	long rc = sys(capget, &header, data);

	if (rc < 0)
		return rc;
	for (int i = 0; i < 2; i++)
		data[i].inheritable = data[i].permitted;
	rc = sys(capset, &header, data);
	for (int cap = 0; cap < 64 && rc == 0; cap++)
		if (data[cap / 32].permitted >> cap % 32 & 1)
			rc = sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
	return rc;
}

IN_CHILD static long keep_descriptors(void)
{
	long rc = 0;

	for (size_t i = 0; i < birth.kept_count && rc == 0; i++)
		rc = sys(fcntl, birth.kept[i], F_SETFD, 0);
	return rc;
}

IN_CHILD _Noreturn static void become(void)
{
	static const char *const no_environment[] = {NULL};
	long rc = keep_capabilities();

	if (rc == 0)
		rc = keep_descriptors();
	if (rc == 0)
		rc = sys(execveat, birth.program, "", birth.argv, no_environment, AT_EMPTY_PATH);
	birth.error = rc;
	for (;;)
		(void)sys(exit_group, 127);
}

/* clone3(2), whose child has an empty stack: it begins with a function that does not return. */
static long clone_with_stack(struct clone_args *args)
{
#if defined(__x86_64__)
	long pid;

	__asm__ volatile("syscall\n"
			 "	test %%rax, %%rax\n"
			 "	jnz 1f\n"
			 "	xor %%ebp, %%ebp\n"
			 "	call *%[become]\n"
			 "1:"
			 : "=a"(pid)
			 : "a"(__NR_clone3), "D"(args), "S"(sizeof(*args)), [become] "r"(become)
			 : "rcx", "r11", "memory");
	return pid;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = __NR_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = sizeof(*args);

	__asm__ volatile("svc #0\n"
			 "	cbnz x0, 1f\n"
			 "	mov x29, #0\n"
			 "	blr %[become]\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), [become] "r"(become)
			 : "memory");
	return x0;
#endif
}

static long give_birth(void)
{
	birth.args.flags |= CLONE_VM | CLONE_CHILD_CLEARTID;
	birth.args.stack = (uint64_t)(uintptr_t)birth.stack;
	birth.args.stack_size = sizeof(birth.stack);
	birth.args.child_tid = (uint64_t)(uintptr_t)&birth.is_shared;
	birth.error = 0;
	birth.parent = getpid();
	birth.is_shared = 1;
	long pid = clone_with_stack(&birth.args);

	if (pid < 0)
		birth.is_shared = 0;
	birth.child = (pid_t)pid;
	/* The child often begins behind us on our own processor, and the kernel looks for another one only when it
	 * executes: the sooner it comes to that, the sooner both work at once. */
	if (pid > 0)
		(void)sys(sched_yield);
	return pid;
}

/* Until the child is another program, or gone: then it is reaped, and its errno, negative, returned. */
static long wait_for_birth(void)
{
	if (birth.parent != getpid()) /* of a process that we are a copy of */
		return 0;
	while (__atomic_load_n(&birth.is_shared, __ATOMIC_ACQUIRE))
		(void)sys(futex, &birth.is_shared, FUTEX_WAIT, 1, 0);
	long error = birth.error;

	birth.error = 0;
	if (error)
		(void)sys(wait4, birth.child, 0, __WALL);
	return error;
}

/* The strings of the list at arg, kept in the table at the top. */
static const char **keep_strings(lua_State *L, int arg)
{
	const char **list = bind_push_strings(L, arg);

	for (lua_Integer i = 1; list[i - 1]; i++) {
		lua_geti(L, arg, i);
		lua_rawseti(L, -3, i);
	}
	lua_rawseti(L, -2, 0);
	return list;
}

/* The descriptors of the list at arg, kept likewise. */
static const int *keep_numbers(lua_State *L, int arg, size_t *ret_count)
{
	luaL_checktype(L, arg, LUA_TTABLE);
	size_t count = lua_rawlen(L, arg);
	int *list = lua_newuserdata(L, (count + 1) * sizeof(*list));

	lua_pushvalue(L, arg);
	for (size_t i = 0; i < count; i++) {
		lua_geti(L, -1, (lua_Integer)i + 1);
		lua_replace(L, arg); /* where bind_check_fd() finds it */
		list[i] = bind_check_fd(L, arg);
	}
	lua_pop(L, 1);
	lua_rawseti(L, -2, -1);
	*ret_count = count;
	return list;
}

/*** S.clone3_exec({ flags=, exit_signal="chld", pidfd=bool, cgroup=fd }, program, argv, kept) -> pid, pidfd
 * As S.clone3, but the child executes the open file `program` at once, without environment, and keeps the capabilities
 * that it has in a new user namespace, as ambient ones. kept: the descriptors that the program finds open besides those
 * that are not close-on-exec. Does not wait until it has: S.clone3_executed tells. Errors: as S.clone3. clone(2),
 * capabilities(7). */
static int l_clone3_exec(lua_State *L)
{
	struct clone_args args = {0};
	bool pidfd;

	process_check_clone3(L, &args, &pidfd);
	int program = bind_check_fd(L, 2);

	lua_settop(L, 4);
	lua_newtable(L);
	const char **argv = keep_strings(L, 3);

	luaL_argcheck(L, argv[0], 3, "argv starts with the program's name; the list is empty");
	size_t kept_count;
	const int *kept = keep_numbers(L, 4, &kept_count);

	(void)wait_for_birth(); /* of the one before */
	lua_setfield(L, LUA_REGISTRYINDEX, ANCHOR);
	birth.args = args;
	birth.program = program;
	birth.argv = argv;
	birth.kept = kept;
	birth.kept_count = kept_count;
	int number = -1;
	int *slot = pidfd ? bind_new_fd(L) : NULL;

	birth.args.pidfd = (uint64_t)(uintptr_t)(slot ? slot : &number);
	long rc = give_birth();

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushinteger(L, rc);
	if (!slot)
		return 1;
	lua_insert(L, -2);
	return 2;
}

/*** S.clone3_executed() -> true
 * Waits until the child of the last S.clone3_exec has executed its program. Where it could not, the child is gone, reaped
 * too. Errors: as S.execveat, EBADF (one of `kept` is not open). */
static int l_clone3_executed(lua_State *L)
{
	return bind_return_ok(L, wait_for_birth());
}

static const luaL_Reg functions[] = {
	{"clone3_exec", l_clone3_exec},
	{"clone3_executed", l_clone3_executed},
	{NULL, NULL},
};

void syscall_birth(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
