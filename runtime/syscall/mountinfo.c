/* SPDX-License-Identifier: MIT */
/* mountinfo.c – what is mounted, as the kernel says: statmount(2), listmount(2)
 *
 * Both need Linux 6.8 (else ENOSYS: read /proc/self/mountinfo) and no privilege for mounts below
 * the caller's root. Mounts are named by the 64-bit numbers that statx() gives with
 * "mnt_id_unique": they are never used again, unlike those of /proc/self/mountinfo.
 */
#include "bind.h"

#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "compat.h"

/* struct mnt_id_req as of its first version (24 bytes), which every kernel takes. */
struct request {
	uint32_t size;
	uint32_t spare;
	uint64_t mnt_id;
	uint64_t param;
};

/* struct statmount: its fields are fixed, its size is 512 bytes, text follows; later fields are
 * not used. */
struct answer {
	uint32_t size;
	uint32_t mnt_opts; /* this and other texts: offsets into text */
	uint64_t mask;
	uint32_t sb_dev_major;
	uint32_t sb_dev_minor;
	uint64_t sb_magic;
	uint32_t sb_flags;
	uint32_t fs_type;
	uint64_t mnt_id;
	uint64_t mnt_parent_id;
	uint32_t mnt_id_old;
	uint32_t mnt_parent_id_old;
	uint64_t mnt_attr;
	uint64_t mnt_propagation;
	uint64_t mnt_peer_group;
	uint64_t mnt_master;
	uint64_t propagate_from;
	uint32_t mnt_root;
	uint32_t mnt_point;
	uint64_t mnt_ns_id;
	uint32_t fs_subtype;
	uint32_t sb_source;
	uint64_t later[48];
	char text[];
};

_Static_assert(sizeof(struct request) == 24, "struct mnt_id_req, version 0");
_Static_assert(sizeof(struct answer) == 512, "struct statmount");

enum {
	DEFAULT_MASK = STATMOUNT_SB_BASIC | STATMOUNT_MNT_BASIC | STATMOUNT_MNT_ROOT |
		       STATMOUNT_MNT_POINT | STATMOUNT_FS_TYPE | STATMOUNT_MNT_OPTS |
		       STATMOUNT_SB_SOURCE,
	ANSWER_SIZE = 32768, /* two paths and a page of options fit */
	LIST_SIZE = 256,
};

/* listmount's name for the root of the mount namespace. */
#define LIST_ROOT UINT64_MAX

static void set_text(lua_State *L, const struct answer *a, uint64_t bit, const char *key,
		     uint32_t offset)
{
	if (a->mask & bit)
		bind_set_string(L, key, a->text + offset);
}

static void set_mount(lua_State *L, const struct answer *a)
{
	bind_set_int(L, "mnt_id", (lua_Integer)a->mnt_id);
	bind_set_int(L, "parent_id", (lua_Integer)a->mnt_parent_id);
	bind_set_int(L, "mnt_id_old", a->mnt_id_old);
	bind_set_int(L, "parent_id_old", a->mnt_parent_id_old);
	bind_set_flags(L, "attr", &bind_set_MOUNT_ATTR, a->mnt_attr);
	bind_set_flags(L, "propagation", &bind_set_MS, a->mnt_propagation);
	bind_set_int(L, "peer_group", (lua_Integer)a->mnt_peer_group);
	bind_set_int(L, "master", (lua_Integer)a->mnt_master);
}

static void push_answer(lua_State *L, const struct answer *a)
{
	lua_createtable(L, 0, 18);
	if (a->mask & STATMOUNT_MNT_BASIC)
		set_mount(L, a);
	if (a->mask & STATMOUNT_SB_BASIC) {
		bind_set_int(L, "dev", (lua_Integer)makedev(a->sb_dev_major, a->sb_dev_minor));
		bind_set_int(L, "magic", (lua_Integer)a->sb_magic);
		bind_set_flags(L, "sb_flags", &bind_set_MS, a->sb_flags);
	}
	if (a->mask & STATMOUNT_PROPAGATE_FROM)
		bind_set_int(L, "propagate_from", (lua_Integer)a->propagate_from);
	if (a->mask & STATMOUNT_MNT_NS_ID)
		bind_set_int(L, "mnt_ns_id", (lua_Integer)a->mnt_ns_id);
	set_text(L, a, STATMOUNT_MNT_ROOT, "root", a->mnt_root);
	set_text(L, a, STATMOUNT_MNT_POINT, "point", a->mnt_point);
	set_text(L, a, STATMOUNT_FS_TYPE, "type", a->fs_type);
	set_text(L, a, STATMOUNT_FS_SUBTYPE, "subtype", a->fs_subtype);
	set_text(L, a, STATMOUNT_SB_SOURCE, "source", a->sb_source);
	set_text(L, a, STATMOUNT_MNT_OPTS, "options", a->mnt_opts);
}

/*** S.statmount(mnt_id, mask=nearly all) -> {mnt_id=, parent_id=, point=, type=, …}
 * mask: names of S.c.STATMOUNT, all by default but propagate_from and mnt_ns_id. Also root,
 * source, options (texts), attr={rdonly=true…} of S.c.MOUNT_ATTR, propagation and sb_flags
 * likewise of S.c.MS, peer_group, master, dev, magic, mnt_id_old, parent_id_old. What an older
 * kernel does not know is absent; ENOSYS before Linux 6.8. statmount(2) */
static int mountinfo_statmount(lua_State *L)
{
	struct request request = {.size = sizeof(request)};

	request.mnt_id = (uint64_t)luaL_checkinteger(L, 1);
	request.param = bind_opt_flags64(L, 2, &bind_set_STATMOUNT, DEFAULT_MASK);
	struct answer *answer = lua_newuserdata(L, ANSWER_SIZE);
	long rc = sys_result(syscall(SYS_statmount, &request, answer, ANSWER_SIZE, 0));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_answer(L, answer);
	return 1;
}

/*** S.listmount(mnt_id=root) -> list of mount numbers
 * The mounts below a mount at any depth, in the order of mounting; without a number, below the
 * root of the mount namespace. ENOSYS before Linux 6.8. listmount(2) */
static int mountinfo_listmount(lua_State *L)
{
	struct request request = {.size = sizeof(request), .mnt_id = LIST_ROOT};
	uint64_t found[LIST_SIZE];
	lua_Integer n = 0;
	long count;

	if (!lua_isnoneornil(L, 1))
		request.mnt_id = (uint64_t)luaL_checkinteger(L, 1);
	lua_newtable(L);
	do {
		count = sys_result(syscall(SYS_listmount, &request, found, LIST_SIZE, 0));
		for (long i = 0; i < count; i++) {
			request.param = found[i]; /* the next call goes on behind the last */
			lua_pushinteger(L, (lua_Integer)found[i]);
			lua_seti(L, -2, ++n);
		}
	} while (count == LIST_SIZE);
	return count < 0 ? bind_error(L, (int)-count) : 1;
}

static const luaL_Reg functions[] = {
	{"statmount", mountinfo_statmount},
	{"listmount", mountinfo_listmount},
	{NULL, NULL},
};

void syscall_mountinfo(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
