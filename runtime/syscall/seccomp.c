/* SPDX-License-Identifier: MIT */
/* seccomp.c – filters of system calls: compiled by libseccomp, loaded as plain BPF
 *
 * Compiling and loading are apart, so that a filter can be made at build time, kept as a string of bytes
 * and cost a running container nothing but the load. Compiling needs no privilege; loading needs
 * no_new_privs or CAP_SYS_ADMIN and cannot be taken back: it is the last thing before exec.
 */
#include "bind.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A filter may ask for every argument of a call once. */
enum { ARGS_MAX = 6, RULES_MAX = 4096 };

struct rule {
	int call;
	uint32_t action;
	unsigned count;
	struct scmp_arg_cmp args[ARGS_MAX];
};

struct filter {
	uint32_t def;
	uint32_t badarch;
	unsigned optimize;
	size_t count;
	struct rule *rules;
};

/* ---- the names of calls ---- */

/* Calls younger than libseccomp 2.5. From 424 on, one number serves every architecture but alpha. */
static const struct bind_const young_calls[] = {
	{"cachestat", 451},	    {"fchmodat2", 452},
	{"map_shadow_stack", 453},  {"futex_wake", 454},
	{"futex_wait", 455},	    {"futex_requeue", 456},
	{"statmount", 457},	    {"listmount", 458},
	{"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460},
	{"lsm_list_modules", 461},  {"mseal", 462},
	{"setxattrat", 463},	    {"getxattrat", 464},
	{"listxattrat", 465},	    {"removexattrat", 466},
	{"open_tree_attr", 467},    {"file_getattr", 468},
	{"file_setattr", 469},	    {"", 0},
};

/* The native number; -1 when nobody knows the name, another negative number when other machines have it. */
static int call_number(const char *name)
{
	for (const struct bind_const *c = young_calls; *c->name; c++)
		if (strcmp(c->name, name) == 0)
			return (int)c->value;
	return seccomp_syscall_resolve_name(name);
}

/*** S.seccomp_resolve(name) -> number | false | nil
 * The number of a system call on this machine; false when only other machines have the call; nil when the
 * name is none. */
static int l_resolve(lua_State *L)
{
	int number = call_number(luaL_checkstring(L, 1));

	if (number >= 0)
		lua_pushinteger(L, number);
	else if (number == __NR_SCMP_ERROR)
		lua_pushnil(L);
	else
		lua_pushboolean(L, false);
	return 1;
}

/*** S.seccomp_syscalls() -> { name = number … }
 * Every system call of this machine that is known by name. */
static int l_syscalls(lua_State *L)
{
	enum { NUMBERS = 1024 };
	char name[64];

	lua_newtable(L);
	for (int i = 0; i < NUMBERS; i++) {
		char *found = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

		if (!found)
			continue;
		strncpy(name, found, sizeof(name) - 1);
		name[sizeof(name) - 1] = '\0';
		free(found); /* before Lua, which may raise */
		bind_set_int(L, name, i);
	}
	for (const struct bind_const *c = young_calls; *c->name; c++)
		bind_set_int(L, c->name, (lua_Integer)c->value);
	return 1;
}

/* ---- compiling ---- */

static int filter_add(scmp_filter_ctx ctx, const struct filter *filter)
{
	int rc;

	for (size_t i = 0; i < filter->count; i++) {
		const struct rule *r = &filter->rules[i];

		rc = seccomp_rule_add_exact_array(ctx, r->action, r->call, r->count, r->args);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int filter_build(scmp_filter_ctx ctx, const struct filter *filter, int memfd)
{
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, filter->badarch);

	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, filter->optimize);
	if (rc == 0)
		rc = filter_add(ctx, filter);
	if (rc == 0)
		rc = seccomp_export_bpf(ctx, memfd);
	return rc;
}

/* Writes the BPF of filter into memfd. */
static int filter_compile(const struct filter *filter, int memfd)
{
	scmp_filter_ctx ctx = seccomp_init(filter->def);

	if (!ctx)
		return -ENOMEM;
	int rc = filter_build(ctx, filter, memfd);

	seccomp_release(ctx);
	return rc;
}

struct action_name {
	const char *name;
	uint32_t value;
	bool takes_number;
};

static const struct action_name actions[] = {
	{"allow", SCMP_ACT_ALLOW, false},
	{"log", SCMP_ACT_LOG, false},
	{"notify", SCMP_ACT_NOTIFY, false},
	{"trap", SCMP_ACT_TRAP, false},
	{"kill_thread", SCMP_ACT_KILL_THREAD, false},
	{"kill_process", SCMP_ACT_KILL_PROCESS, false},
	{"errno", SCMP_ACT_ERRNO(0), true},
	{"trace", SCMP_ACT_TRACE(0), true},
};

/* "EPERM", "PERM" or "1": what an action carries in its low 16 bits. */
static uint32_t action_number(lua_State *L, const char *text)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (end != text && *end == '\0' && number <= 0xffff)
		return (uint32_t)number;
	if (*text == 'E' || *text == 'e')
		text++;
	for (const struct bind_const *c = bind_set_E.consts; *c->name; c++)
		if (strcasecmp(c->name, text) == 0)
			return (uint32_t)c->value;
	return (uint32_t)bind_raise(L, 1, "the name of an error expected", text,
				    bind_nearest(&bind_set_E, text));
}

/* The action named by the string at the top of the stack, which is popped. */
static uint32_t pop_action(lua_State *L, const char *what)
{
	if (lua_type(L, -1) != LUA_TSTRING)
		bind_raise(L, 1, what, luaL_typename(L, -1), NULL);
	const char *text = lua_tostring(L, -1);
	size_t len = strcspn(text, " ");

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		const struct action_name *a = &actions[i];

		if (strlen(a->name) != len || strncmp(a->name, text, len) != 0)
			continue;
		if (a->takes_number != (text[len] == ' '))
			break;
		uint32_t value = a->value;

		if (a->takes_number)
			value |= action_number(L, text + len + 1);
		lua_pop(L, 1);
		return value;
	}
	return (uint32_t)bind_raise(L, 1, what, text, NULL);
}

static enum scmp_compare compare_named(lua_State *L, const char *op)
{
	static const char *const names[] = {"!=", "<", "<=", "==", ">=", ">", "masked_eq"};
	static const enum scmp_compare values[] = {SCMP_CMP_NE,	      SCMP_CMP_LT, SCMP_CMP_LE,
						   SCMP_CMP_EQ,	      SCMP_CMP_GE, SCMP_CMP_GT,
						   SCMP_CMP_MASKED_EQ};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], op) == 0)
			return values[i];
	return (enum scmp_compare)bind_raise(L, 1, "a comparison is == != < <= > >= or masked_eq",
					     op, NULL);
}

/* Element i of the table at the top of the stack, as an integer. */
static lua_Integer element(lua_State *L, lua_Integer i, const char *what)
{
	int is_int;

	lua_geti(L, -1, i);
	lua_Integer value = lua_tointegerx(L, -1, &is_int);

	if (!is_int)
		bind_raise(L, 1, what, luaL_typename(L, -1), NULL);
	lua_pop(L, 1);
	return value;
}

/* The comparison at the top of the stack: { argument, op, value } or { argument, "masked_eq", mask, value }. */
static struct scmp_arg_cmp read_compare(lua_State *L)
{
	lua_Integer arg = element(L, 1, "the number of an argument expected");

	if (arg < 0 || arg >= ARGS_MAX)
		luaL_argerror(L, 1, "a system call has arguments 0 to 5");
	if (lua_geti(L, -1, 2) != LUA_TSTRING)
		bind_raise(L, 1, "a comparison expected", luaL_typename(L, -1), NULL);
	struct scmp_arg_cmp c = {.arg = (unsigned)arg, .op = compare_named(L, lua_tostring(L, -1))};

	lua_pop(L, 1);
	c.datum_a = (scmp_datum_t)element(L, 3, "an integer to compare with expected");
	if (c.op == SCMP_CMP_MASKED_EQ)
		c.datum_b = (scmp_datum_t)element(L, 4, "a value under the mask expected");
	return c;
}

/* The rule at the top of the stack. */
static void read_rule(lua_State *L, struct rule *ret_rule)
{
	if (!lua_istable(L, -1))
		bind_raise(L, 1, "a rule is a table", luaL_typename(L, -1), NULL);
	if (lua_geti(L, -1, 1) == LUA_TSTRING) {
		const char *name = lua_tostring(L, -1);

		ret_rule->call = call_number(name);
		if (ret_rule->call < 0)
			bind_raise(L, 1, "a system call of this machine expected", name, NULL);
	} else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0 &&
		   lua_tointeger(L, -1) <= INT32_MAX) {
		ret_rule->call = (int)lua_tointeger(L, -1);
	} else {
		bind_raise(L, 1, "a rule begins with a call", luaL_typename(L, -1), NULL);
	}
	lua_pop(L, 1);
	lua_getfield(L, -1, "action");
	ret_rule->action = pop_action(L, "a rule needs an action");
	ret_rule->count = 0;
	for (lua_Integer i = 2; lua_geti(L, -1, i) != LUA_TNIL; i++) {
		if (!lua_istable(L, -1))
			bind_raise(L, 1, "a comparison is a table", luaL_typename(L, -1), NULL);
		if (ret_rule->count == ARGS_MAX)
			luaL_argerror(L, 1, "a rule has at most six comparisons");
		struct scmp_arg_cmp c = read_compare(L);

		for (unsigned j = 0; j < ret_rule->count; j++)
			if (ret_rule->args[j].arg == c.arg)
				luaL_argerror(L, 1, "a rule compares each argument once");
		ret_rule->args[ret_rule->count++] = c;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* The rules of the list at the top of the stack, in a userdata that is left there. */
static struct rule *read_rules(lua_State *L, uint32_t def, size_t *ret_count)
{
	if (!lua_istable(L, -1))
		bind_raise(L, 1, "rules: a list expected", luaL_typename(L, -1), NULL);
	size_t count = lua_rawlen(L, -1);

	if (count > RULES_MAX)
		luaL_argerror(L, 1, "rules: too many");
	struct rule *rules = lua_newuserdata(L, (count + 1) * sizeof(*rules));

	for (size_t i = 0; i < count; i++) {
		lua_geti(L, -2, (lua_Integer)i + 1);
		read_rule(L, &rules[i]);
		/* libseccomp: EACCES, which says nothing; here the rule is named. */
		if (rules[i].action == def)
			luaL_error(L, "rules[%d]: its action is the filter's default", (int)i + 1);
		lua_pop(L, 1);
	}
	*ret_count = count;
	return rules;
}

/* Pushes what the file holds. */
static int push_file(lua_State *L, const int *fd)
{
	off_t size = lseek(*fd, 0, SEEK_END);

	if (size < 0)
		return bind_error(L, errno);
	char *bytes = lua_newuserdata(L, (size_t)size + 1);
	ssize_t n = pread(*fd, bytes, (size_t)size, 0);

	if (n != size)
		return bind_error(L, n < 0 ? errno : EIO);
	lua_pushlstring(L, bytes, (size_t)size);
	return 1;
}

/*** S.seccomp_filter{default=, badarch="kill_process", arches="native", optimize=2, rules={…}} -> bpf
 * Compiles a filter. Actions: "allow", "errno EPERM", "kill_process", "kill_thread", "trap", "log", "notify",
 * "trace 7". A rule is { "call" or number, action=, comparison… }; its comparisons must all hold:
 * { argument, "==", value } (also != < <= > >=; all of them of 64 bits) or { argument, "masked_eq", mask, value }.
 * A comparison with a 32-bit argument must be masked: the program chooses the upper half of the register.
 * optimize: 1 the rules in their order, 2 a binary tree. Only the native architecture; what comes by any other
 * gets badarch. seccomp_init(3), seccomp_rule_add(3). */
static int l_filter(lua_State *L)
{
	static const char *const fields[] = {"default",	 "badarch", "arches",
					     "optimize", "rules",   NULL};
	struct filter filter = {0};

	luaL_checktype(L, 1, LUA_TTABLE);
	bind_check_fields(L, 1, fields);
	if (strcmp(bind_field_string(L, 1, "arches", "native"), "native") != 0)
		luaL_argerror(L, 1, "arches: only \"native\"");
	lua_getfield(L, 1, "default");
	filter.def = pop_action(L, "default: an action expected");
	if (lua_getfield(L, 1, "badarch") == LUA_TNIL)
		lua_pushliteral(L, "kill_process");
	filter.badarch = pop_action(L, "badarch: an action expected");
	filter.optimize = (unsigned)bind_field_int(L, 1, "optimize", 2);
	if (filter.optimize != 1 && filter.optimize != 2)
		luaL_argerror(L, 1, "optimize: 1 or 2");
	lua_getfield(L, 1, "rules");
	filter.rules = read_rules(L, filter.def, &filter.count);

	int *fd = bind_new_fd(L);

	*fd = memfd_create("seccomp", MFD_CLOEXEC);
	if (*fd < 0)
		return bind_error(L, errno);
	int rc = filter_compile(&filter, *fd);

	return rc < 0 ? bind_error(L, -rc) : push_file(L, fd);
}

/* ---- loading ---- */

static long filter_load(const char *bpf, size_t size, unsigned flags)
{
	struct sock_fprog program = {
		.len = (unsigned short)(size / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)bpf, /* the kernel only reads it */
	};

	return sys_result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

/*** S.seccomp_load(bpf [, flags]) -> true | listener
 * Adds a filter to those of the calling thread, for good; the strictest answer of all of them counts.
 * flags: S.c.SECCOMP_FILTER_FLAG; with "new_listener" the result is the descriptor of the notifications.
 * Without no_new_privs or CAP_SYS_ADMIN: EACCES. seccomp(2). */
static int l_load(lua_State *L)
{
	size_t size;
	const char *bpf = luaL_checklstring(L, 1, &size);
	unsigned flags = (unsigned)bind_opt_flags(L, 2, &bind_set_SECCOMP_FILTER_FLAG, 0);

	if (size == 0 || size % sizeof(struct sock_filter) != 0 ||
	    size / sizeof(struct sock_filter) > BPF_MAXINSNS)
		luaL_argerror(L, 1, "no BPF program: 1 to 4096 instructions of 8 bytes expected");
	if (!(flags & SECCOMP_FILTER_FLAG_NEW_LISTENER))
		return bind_return_ok(L, filter_load(bpf, size, flags));
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, filter_load(bpf, size, flags));
}

static const luaL_Reg functions[] = {
	{"seccomp_filter", l_filter},
	{"seccomp_load", l_load},
	{"seccomp_resolve", l_resolve},
	{"seccomp_syscalls", l_syscalls},
	{NULL, NULL},
};

void syscall_seccomp(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
