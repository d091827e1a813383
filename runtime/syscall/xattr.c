/* SPDX-License-Identifier: MIT */
/* xattr.c – extended attributes of files
 *
 * Each call has three forms: by path, by path without following a link at its end (l), by
 * descriptor (f). user.* needs the rights of the file; security.* and trusted.* need
 * capabilities. xattr(7)
 */
#include "bind.h"

#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

/* Which form of the call a binding is. */
enum form { FOLLOW, LINK, DESCRIPTOR };

/* What the first argument says. */
struct file {
	enum form form;
	const char *path;
	int fd;
};

static struct file check_file(lua_State *L, enum form form)
{
	struct file file = {.form = form, .fd = -1};

	if (form == DESCRIPTOR)
		file.fd = bind_check_fd(L, 1);
	else
		file.path = bind_check_path(L, 1);
	return file;
}

/* ---- the cores ---- */

static long file_get(const struct file *file, const char *name, char *value, size_t size)
{
	switch (file->form) {
	case FOLLOW:
		return sys_result(getxattr(file->path, name, value, size));
	case LINK:
		return sys_result(lgetxattr(file->path, name, value, size));
	case DESCRIPTOR:
		return sys_result(fgetxattr(file->fd, name, value, size));
	}
	return -EINVAL;
}

static long file_set(const struct file *file, const char *name, const char *value, size_t size,
		     int flags)
{
	switch (file->form) {
	case FOLLOW:
		return sys_result(setxattr(file->path, name, value, size, flags));
	case LINK:
		return sys_result(lsetxattr(file->path, name, value, size, flags));
	case DESCRIPTOR:
		return sys_result(fsetxattr(file->fd, name, value, size, flags));
	}
	return -EINVAL;
}

static long file_list(const struct file *file, char *names, size_t size)
{
	switch (file->form) {
	case FOLLOW:
		return sys_result(listxattr(file->path, names, size));
	case LINK:
		return sys_result(llistxattr(file->path, names, size));
	case DESCRIPTOR:
		return sys_result(flistxattr(file->fd, names, size));
	}
	return -EINVAL;
}

static long file_remove(const struct file *file, const char *name)
{
	switch (file->form) {
	case FOLLOW:
		return sys_result(removexattr(file->path, name));
	case LINK:
		return sys_result(lremovexattr(file->path, name));
	case DESCRIPTOR:
		return sys_result(fremovexattr(file->fd, name));
	}
	return -EINVAL;
}

/* ---- arguments and results ---- */

/* The space is the most a value may have (64 KiB), in memory of Lua's. */
static int get(lua_State *L, enum form form)
{
	struct file file = check_file(L, form);
	const char *name = bind_check_path(L, 2);
	luaL_Buffer b;
	char *space = luaL_buffinitsize(L, &b, XATTR_SIZE_MAX);
	long rc = file_get(&file, name, space, XATTR_SIZE_MAX);

	if (rc < 0)
		return bind_error(L, (int)-rc);
	luaL_pushresultsize(&b, (size_t)rc);
	return 1;
}

static int set(lua_State *L, enum form form)
{
	size_t size;
	struct file file = check_file(L, form);
	const char *name = bind_check_path(L, 2);
	const char *value = luaL_checklstring(L, 3, &size);
	uint64_t flags = bind_opt_flags(L, 4, &bind_set_XATTR, 0);

	return bind_return_ok(L, file_set(&file, name, value, size, (int)flags));
}

static int list(lua_State *L, enum form form)
{
	struct file file = check_file(L, form);
	char *names = lua_newuserdata(L, XATTR_LIST_MAX);
	long size = file_list(&file, names, XATTR_LIST_MAX);
	lua_Integer n = 0;

	if (size < 0)
		return bind_error(L, (int)-size);
	lua_newtable(L);
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		lua_pushstring(L, name);
		lua_seti(L, -2, ++n);
	}
	return 1;
}

static int remove_attribute(lua_State *L, enum form form)
{
	struct file file = check_file(L, form);

	return bind_return_ok(L, file_remove(&file, bind_check_path(L, 2)));
}

/* ---- the three forms of each ---- */

/*** S.getxattr(path, name) -> string
 * S.lgetxattr(path, name) -> string
 * S.fgetxattr(fd, name) -> string
 * The value as bytes; ENODATA when there is none, EOPNOTSUPP where the file system has none.
 * getxattr(2) */
static int xattr_getxattr(lua_State *L)
{
	return get(L, FOLLOW);
}

static int xattr_lgetxattr(lua_State *L)
{
	return get(L, LINK);
}

static int xattr_fgetxattr(lua_State *L)
{
	return get(L, DESCRIPTOR);
}

/*** S.setxattr(path, name, value, flags="") -> true
 * S.lsetxattr(path, name, value, flags="") -> true
 * S.fsetxattr(fd, name, value, flags="") -> true
 * flags: "create" (EEXIST when there is one), "replace" (ENODATA when none). setxattr(2) */
static int xattr_setxattr(lua_State *L)
{
	return set(L, FOLLOW);
}

static int xattr_lsetxattr(lua_State *L)
{
	return set(L, LINK);
}

static int xattr_fsetxattr(lua_State *L)
{
	return set(L, DESCRIPTOR);
}

/*** S.listxattr(path) -> list of names
 * S.llistxattr(path) -> list of names
 * S.flistxattr(fd) -> list of names
 * trusted.* are left out for who may not read them. listxattr(2) */
static int xattr_listxattr(lua_State *L)
{
	return list(L, FOLLOW);
}

static int xattr_llistxattr(lua_State *L)
{
	return list(L, LINK);
}

static int xattr_flistxattr(lua_State *L)
{
	return list(L, DESCRIPTOR);
}

/*** S.removexattr(path, name) -> true
 * S.lremovexattr(path, name) -> true
 * S.fremovexattr(fd, name) -> true
 * ENODATA when there is none. removexattr(2) */
static int xattr_removexattr(lua_State *L)
{
	return remove_attribute(L, FOLLOW);
}

static int xattr_lremovexattr(lua_State *L)
{
	return remove_attribute(L, LINK);
}

static int xattr_fremovexattr(lua_State *L)
{
	return remove_attribute(L, DESCRIPTOR);
}

static const luaL_Reg functions[] = {
	{"getxattr", xattr_getxattr},
	{"lgetxattr", xattr_lgetxattr},
	{"fgetxattr", xattr_fgetxattr},
	{"setxattr", xattr_setxattr},
	{"lsetxattr", xattr_lsetxattr},
	{"fsetxattr", xattr_fsetxattr},
	{"listxattr", xattr_listxattr},
	{"llistxattr", xattr_llistxattr},
	{"flistxattr", xattr_flistxattr},
	{"removexattr", xattr_removexattr},
	{"lremovexattr", xattr_lremovexattr},
	{"fremovexattr", xattr_fremovexattr},
	{NULL, NULL},
};

void syscall_xattr(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
