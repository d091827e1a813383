/* SPDX-License-Identifier: MIT */
/* mount.c – attach, bind and remount file systems, old calls and new
 *
 * All of it needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace. The new
 * calls are made through syscall(2): not every libc in use has wrappers, and the descriptors they
 * return are close-on-exec always.
 */
#include "bind.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compat.h"

/* ---- the old calls ---- */

/*** S.mount{source=, target=, type=, flags="", data=} -> true
 * flags: names of S.c.MS. Every field but target may be left out. A bind mount ignores all other
 * flags but "rec": rdonly and the like need a second call with "remount, bind", or
 * mount_setattr(). mount(2) */
static int mount_mount(lua_State *L)
{
	static const char *const fields[] = {"source", "target", "type", "flags", "data", NULL};

	bind_check_fields(L, 1, fields);
	const char *source = bind_field_string(L, 1, "source", NULL);
	const char *target = bind_field_string(L, 1, "target", NULL);
	const char *type = bind_field_string(L, 1, "type", NULL);
	uint64_t flags = bind_field_flags(L, 1, "flags", &bind_set_MS, 0);
	const char *data = bind_field_string(L, 1, "data", NULL);

	luaL_argcheck(L, target, 1, "field 'target' is missing");
	return bind_return_ok(L, sys_result(mount(source, target, type, flags, data)));
}

/*** S.umount2(target, flags="") -> true
 * S.umount(target, flags="") -> true
 * flags: force, detach, expire, nofollow. EBUSY when in use, unless "detach". umount2(2) */
static int mount_umount2(lua_State *L)
{
	const char *target = bind_check_path(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_MNT, 0);

	return bind_return_ok(L, sys_result(umount2(target, (int)flags)));
}

/*** S.pivot_root(new_root, put_old) -> true
 * With "." twice, from inside the new root, the old one lies on top of it, to be detached by
 * umount2(".", "detach"). EINVAL when the new root is no mount point or is shared. pivot_root(2) */
static int mount_pivot_root(lua_State *L)
{
	const char *new_root = bind_check_path(L, 1);
	const char *put_old = bind_check_path(L, 2);

	return bind_return_ok(L, sys_result(syscall(SYS_pivot_root, new_root, put_old)));
}

/* ---- mounts as descriptors ---- */

/*** S.open_tree(dirfd, path, flags="") -> fd
 * flags: names of S.c.OPEN_TREE. With "clone" the result is a detached copy of the mount
 * ("recursive": of all below it too), which goes away with its descriptor unless move_mount()
 * attaches it. open_tree(2) */
static int mount_open_tree(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_OPEN_TREE, 0);

	flags |= OPEN_TREE_CLOEXEC;
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot,
			      sys_result(syscall(SYS_open_tree, dirfd, path, (unsigned)flags)));
}

/*** S.move_mount(from_dirfd, from_path, to_dirfd, to_path, flags="") -> true
 * flags: names of S.c.MOVE_MOUNT; a path "" with f_empty_path or t_empty_path means the
 * descriptor itself. Links at the end of a path are followed only with f_symlinks, t_symlinks.
 * move_mount(2) */
static int mount_move_mount(lua_State *L)
{
	int from_dirfd = bind_opt_dirfd(L, 1);
	const char *from = bind_check_path(L, 2);
	int to_dirfd = bind_opt_dirfd(L, 3);
	const char *to = bind_check_path(L, 4);
	uint64_t flags = bind_opt_flags(L, 5, &bind_set_MOVE_MOUNT, 0);

	return bind_return_ok(L, sys_result(syscall(SYS_move_mount, from_dirfd, from, to_dirfd, to,
						    (unsigned)flags)));
}

/*** S.fsopen(type, flags="") -> fd
 * A file system being configured by fsconfig(). What went wrong with it can be read from the
 * descriptor, one message each read(): "e overlay: …"; ENODATA when there is none. ENODEV:
 * unknown type. fsopen(2) */
static int mount_fsopen(lua_State *L)
{
	const char *type = bind_check_path(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_FSOPEN, 0);

	flags |= FSOPEN_CLOEXEC;
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(syscall(SYS_fsopen, type, (unsigned)flags)));
}

/*** S.fspick(dirfd, path, flags="") -> fd
 * A mounted file system to be reconfigured by fsconfig(). flags: names of S.c.FSPICK. fspick(2) */
static int mount_fspick(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_FSPICK, 0);

	flags |= FSPICK_CLOEXEC;
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot,
			      sys_result(syscall(SYS_fspick, dirfd, path, (unsigned)flags)));
}

struct fsconfig_args {
	const char *key;
	const void *value;
	int aux;
};

/* What each command takes; an argument it does not take is wrong use (the kernel would say
 * EINVAL). */
static struct fsconfig_args fsconfig_check(lua_State *L, unsigned cmd)
{
	struct fsconfig_args args = {0};
	size_t size;

	if (cmd <= FSCONFIG_SET_FD)
		args.key = bind_check_path(L, 3);
	switch (cmd) {
	case FSCONFIG_SET_STRING:
		args.value = bind_check_path(L, 4);
		break;
	case FSCONFIG_SET_BINARY:
		args.value = luaL_checklstring(L, 4, &size);
		luaL_argcheck(L, size <= INT32_MAX, 4, "more than the kernel takes");
		args.aux = (int)size;
		break;
	case FSCONFIG_SET_PATH:
	case FSCONFIG_SET_PATH_EMPTY:
		args.value = bind_check_path(L, 4);
		args.aux = bind_opt_dirfd(L, 5);
		break;
	case FSCONFIG_SET_FD:
		args.aux = bind_check_fd(L, lua_isnoneornil(L, 4) ? 5 : 4);
		break;
	}
	return args;
}

/*** S.fsconfig(fd, cmd, key, value, aux) -> true
 * cmd: a name of S.c.FSCONFIG. set_flag takes key; set_string and set_binary key and a string;
 * set_path and set_path_empty key, path and a directory's descriptor; set_fd key and a
 * descriptor; cmd_create and cmd_reconfigure nothing. fsconfig(2) */
static int mount_fsconfig(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	unsigned cmd = (unsigned)bind_check_const(L, 2, &bind_set_FSCONFIG);
	struct fsconfig_args args = fsconfig_check(L, cmd);

	return bind_return_ok(
		L, sys_result(syscall(SYS_fsconfig, fd, cmd, args.key, args.value, args.aux)));
}

/*** S.fsmount(fd, flags="", attrs="") -> fd
 * A detached mount of what fsopen() and cmd_create made. attrs: names of S.c.MOUNT_ATTR, such as
 * "rdonly, nosuid, nodev, noexec". fsmount(2) */
static int mount_fsmount(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_FSMOUNT, 0);
	uint64_t attrs = bind_opt_flags(L, 3, &bind_set_MOUNT_ATTR, 0);

	flags |= FSMOUNT_CLOEXEC;
	int *slot = bind_new_fd(L);

	return bind_return_fd(
		L, slot, sys_result(syscall(SYS_fsmount, fd, (unsigned)flags, (unsigned)attrs)));
}

/*** S.mount_setattr(dirfd, path, flags, {attr_set=, attr_clr=, propagation=, userns=fd}) -> true
 * flags: of S.c.AT, "recursive" for the whole tree (all of it or nothing), "empty_path" for dirfd
 * itself. attr_*: names of S.c.MOUNT_ATTR; changing the access time mode needs attr_clr="_atime".
 * propagation: one of private, slave, shared, unbindable. userns: an id map, for a detached
 * mount; sets "idmap". mount_setattr(2) */
static int mount_mount_setattr(lua_State *L)
{
	static const char *const fields[] = {"attr_set", "attr_clr", "propagation", "userns", NULL};
	struct mount_attr attr = {0};
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_AT, 0);

	bind_check_fields(L, 4, fields);
	attr.attr_set = bind_field_flags64(L, 4, "attr_set", &bind_set_MOUNT_ATTR, 0);
	attr.attr_clr = bind_field_flags64(L, 4, "attr_clr", &bind_set_MOUNT_ATTR, 0);
	attr.propagation = bind_field_flags64(L, 4, "propagation", &bind_set_MS, 0);
	int userns = bind_field_fd(L, 4, "userns", -1);

	if (userns >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (unsigned)userns;
	}
	return bind_return_ok(L, sys_result(syscall(SYS_mount_setattr, dirfd, path, (unsigned)flags,
						    &attr, sizeof(attr))));
}

static const luaL_Reg functions[] = {
	{"mount", mount_mount},
	{"umount2", mount_umount2},
	{"umount", mount_umount2},
	{"pivot_root", mount_pivot_root},
	{"open_tree", mount_open_tree},
	{"move_mount", mount_move_mount},
	{"fsopen", mount_fsopen},
	{"fspick", mount_fspick},
	{"fsconfig", mount_fsconfig},
	{"fsmount", mount_fsmount},
	{"mount_setattr", mount_mount_setattr},
	{NULL, NULL},
};

void syscall_mount(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
