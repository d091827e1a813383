/* SPDX-License-Identifier: MIT */
/* bpf.c – eBPF programs on version 2 cgroups: loaded, attached, taken off, listed
 *
 * Version 2 has no devices controller: what a cgroup's processes may open or make as a device is said by a program of
 * the type cgroup_device on it, which ends with the cgroup. The instructions come as bytes; the kernel verifies them.
 * Needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, over the machine.
 */
#include "bind.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { INSNS_MAX = 4096, PROGRAMS_MAX = 64 };

static long bpf_call(int command, union bpf_attr *attr)
{
	return sys_result(syscall(SYS_bpf, command, attr, sizeof(*attr)));
}

static const char *const load_fields[] = {"type", "insns", "name", NULL};

/*** S.bpf_prog_load{ type="cgroup_device", insns=bytes, name= } -> fd
 * A program of 1 to 4096 instructions (struct bpf_insn, 8 bytes each), verified by the kernel. name: at most 15
 * letters, digits, "_" or "."; it only shows in listings. Errors: EPERM, EACCES and EINVAL (the verifier refuses it).
 * bpf(2). */
static int l_prog_load(lua_State *L)
{
	size_t size = 0;
	union bpf_attr attr;

	bind_check_fields(L, 1, load_fields);
	lua_settop(L, 1);
	lua_getfield(L, 1, "type");
	uint64_t type = bind_check_const(L, 2, &bind_set_BPF_PROG_TYPE);
	const char *name = bind_field_string(L, 1, "name", "");
	lua_getfield(L, 1, "insns");
	const char *insns = luaL_checklstring(L, 3, &size);

	luaL_argcheck(L, size > 0 && size % sizeof(struct bpf_insn) == 0, 1,
		      "insns: instructions of 8 bytes expected");
	luaL_argcheck(L, size / sizeof(struct bpf_insn) <= INSNS_MAX, 1, "insns: too many");
	luaL_argcheck(L, strlen(name) < BPF_OBJ_NAME_LEN, 1, "name: too long");
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = (uint32_t)type;
	attr.insns = (uint64_t)(uintptr_t)insns;
	attr.insn_cnt = (uint32_t)(size / sizeof(struct bpf_insn));
	attr.license = (uint64_t)(uintptr_t) "MIT"; /* no helper is called that wants another */
	memcpy(attr.prog_name, name, strlen(name));
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, bpf_call(BPF_PROG_LOAD, &attr)); /* always close-on-exec */
}

static void attach_attr(lua_State *L, union bpf_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->target_fd = (uint32_t)bind_check_fd(L, 1);
	attr->attach_bpf_fd = (uint32_t)bind_check_fd(L, 2);
	attr->attach_type = (uint32_t)bind_check_const(L, 3, &bind_set_BPF_ATTACH);
}

/*** S.bpf_prog_attach(cgroup, prog, "cgroup_device", flags) -> true
 * Puts a program on a version 2 cgroup (a descriptor of its directory, not O_PATH). Without flags it is the only one
 * there and below; "allow_multi": others may join it, and all must agree. Errors: EPERM (one is there), EBADF. bpf(2). */
static int l_prog_attach(lua_State *L)
{
	union bpf_attr attr;

	attach_attr(L, &attr);
	attr.attach_flags = (uint32_t)bind_opt_flags(L, 4, &bind_set_BPF_F, 0);
	return bind_return_ok(L, bpf_call(BPF_PROG_ATTACH, &attr));
}

/*** S.bpf_prog_detach(cgroup, prog, "cgroup_device") -> true
 * Takes a program off a cgroup. Errors: ENOENT (it is not there), EPERM. bpf(2). */
static int l_prog_detach(lua_State *L)
{
	union bpf_attr attr;

	attach_attr(L, &attr);
	return bind_return_ok(L, bpf_call(BPF_PROG_DETACH, &attr));
}

/*** S.bpf_prog_query(cgroup, "cgroup_device") -> list of numbers
 * The ids of the programs on a cgroup, at most 64, in the order in which they run. Errors: EPERM. bpf(2). */
static int l_prog_query(lua_State *L)
{
	uint32_t ids[PROGRAMS_MAX];
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)bind_check_fd(L, 1);
	attr.query.attach_type = (uint32_t)bind_check_const(L, 2, &bind_set_BPF_ATTACH);
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = PROGRAMS_MAX;
	long rc = bpf_call(BPF_PROG_QUERY, &attr);

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, (int)attr.query.prog_cnt, 0);
	for (uint32_t i = 0; i < attr.query.prog_cnt; i++) {
		lua_pushinteger(L, ids[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static const luaL_Reg functions[] = {
	{"bpf_prog_load", l_prog_load},
	{"bpf_prog_attach", l_prog_attach},
	{"bpf_prog_detach", l_prog_detach},
	{"bpf_prog_query", l_prog_query},
	{NULL, NULL},
};

void syscall_bpf(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
