/* SPDX-License-Identifier: MIT */
/* directory.c – names: mkdir, unlink, rename, links, nodes, listing, the working directory
 *
 * Devices and chroot() need privilege (mknod(2), chroot(2)); the rest needs the rights on the
 * directory.
 */
#include "bind.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "filetype.h"

/* ---- directories ---- */

/*** S.mkdir(path, mode="0777") -> true
 * umask applies. mkdir(2) */
static int directory_mkdir(lua_State *L)
{
	const char *path = bind_check_path(L, 1);

	return bind_return_ok(L, sys_result(mkdir(path, bind_opt_mode(L, 2, 0777))));
}

/*** S.mkdirat(dirfd, path, mode="0777") -> true
 * As mkdir(), from dirfd. mkdirat(2) */
static int directory_mkdirat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);

	return bind_return_ok(L, sys_result(mkdirat(dirfd, path, bind_opt_mode(L, 3, 0777))));
}

/*** S.rmdir(path) -> true
 * ENOTEMPTY when something is in it. rmdir(2) */
static int directory_rmdir(lua_State *L)
{
	return bind_return_ok(L, sys_result(rmdir(bind_check_path(L, 1))));
}

/*** S.chdir(path) -> true
 * chdir(2) */
static int directory_chdir(lua_State *L)
{
	return bind_return_ok(L, sys_result(chdir(bind_check_path(L, 1))));
}

/*** S.fchdir(fd) -> true
 * fchdir(2) */
static int directory_fchdir(lua_State *L)
{
	return bind_return_ok(L, sys_result(fchdir(bind_check_fd(L, 1))));
}

/*** S.chroot(path) -> true
 * The working directory stays where it was; needs CAP_SYS_CHROOT. chroot(2) */
static int directory_chroot(lua_State *L)
{
	return bind_return_ok(L, sys_result(chroot(bind_check_path(L, 1))));
}

/*** S.getcwd() -> path
 * ENOENT when it was removed; "(unreachable)/…" is not absolute: outside the root. getcwd(3) */
static int directory_getcwd(lua_State *L)
{
	char path[PATH_MAX];

	if (!getcwd(path, sizeof(path)))
		return bind_error(L, errno);
	lua_pushstring(L, path);
	return 1;
}

/*** S.umask(mode) -> old mode as an integer
 * The bits that open(), mkdir() and mknod() leave out. umask(2) */
static int directory_umask(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushinteger(L, umask(bind_opt_mode(L, 1, 0)));
	return 1;
}

static void push_entry(lua_State *L, const struct dirent64 *entry)
{
	lua_createtable(L, 0, 3);
	bind_set_string(L, "name", entry->d_name);
	bind_set_int(L, "ino", (lua_Integer)entry->d_ino);
	/* Some file systems say DT_UNKNOWN; the others' value is the file type's bits of the
	 * mode. */
	bind_set_string(L, "type", filetype_name((unsigned)DTTOIF(entry->d_type)));
}

/*** S.getdents(fd) -> list of {name=, ino=, type=}
 * All entries from the descriptor's position on, in the file system's order, without "." and
 * "..". type is as in stat(), or "unknown" where the file system does not say: ask fstatat().
 * getdents64(2) */
static int directory_getdents(lua_State *L)
{
	_Alignas(struct dirent64) char space[32768];
	int fd = bind_check_fd(L, 1);
	lua_Integer n = 0;
	long size;

	lua_newtable(L);
	while ((size = sys_result(getdents64(fd, space, sizeof(space)))) > 0) {
		for (long at = 0; at < size;) {
			const struct dirent64 *entry = (const void *)(space + at);

			at += entry->d_reclen;
			if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
				continue;
			push_entry(L, entry);
			lua_seti(L, -2, ++n);
		}
	}
	return size < 0 ? bind_error(L, (int)-size) : 1;
}

static bool ends_in(const char *name, const char *ending)
{
	size_t length = strlen(name), wanted = strlen(ending);

	return length >= wanted && strcmp(name + length - wanted, ending) == 0;
}

enum { ENDINGS_MAX = 16 };

struct selection {
	const char *endings[ENDINGS_MAX + 1]; /* NULL-ended */
	lua_Integer first, most;	      /* of those that match; counted round */
	lua_Integer count;		      /* of all of them; 0 while they are counted */
};

static bool is_wanted(const struct selection *s, const char *name)
{
	for (const char *const *ending = s->endings; *ending; ending++)
		if (ends_in(name, *ending))
			return true;
	return false;
}

/* Goes through a directory: counts what matches, or adds what is selected to the list on top. The number that matches,
 * or -errno. */
static long select_names(lua_State *L, int fd, const struct selection *s)
{
	_Alignas(struct dirent64) char space[8192];
	lua_Integer index = 0;
	long size;

	while ((size = sys_result(getdents64(fd, space, sizeof(space)))) > 0) {
		for (long at = 0; at < size;) {
			const struct dirent64 *entry = (const void *)(space + at);

			at += entry->d_reclen;
			if (!is_wanted(s, entry->d_name))
				continue;
			lua_Integer n =
				s->count ? (index + s->count - s->first) % s->count : s->most;

			index++;
			if (n >= s->most)
				continue;
			lua_pushstring(L, entry->d_name);
			lua_seti(L, -2, n + 1);
		}
	}
	return size < 0 ? size : (long)index;
}

/*** S.names(fd, endings, first=0, most) -> list of names
 * Those of an open directory that end in one of at most 16 texts, in the file system's order: of thousands of entries no more
 * is made than what is wanted. most: so many of them, from the first-th on, counted round. getdents64(2) */
static int directory_names(lua_State *L)
{
	struct selection s = {.first = luaL_optinteger(L, 3, 0),
			      .most = luaL_optinteger(L, 4, LUA_MAXINTEGER)};
	int fd = bind_check_fd(L, 1);

	luaL_checktype(L, 2, LUA_TTABLE);
	luaL_argcheck(L, lua_rawlen(L, 2) <= ENDINGS_MAX, 2, "16 endings at most");
	for (int i = 0; i < ENDINGS_MAX && lua_geti(L, 2, i + 1) != LUA_TNIL; i++)
		s.endings[i] = luaL_checkstring(L, -1); /* which the table keeps */
	lua_newtable(L);
	lua_Integer most = s.most;
	long rc = sys_result(lseek(fd, 0, SEEK_SET));

	s.most = 0;
	if (rc >= 0)
		rc = select_names(L, fd, &s);
	s.most = most;
	s.count = rc;
	if (rc > 0) {
		s.first %= s.count;
		rc = sys_result(lseek(fd, 0, SEEK_SET));
	}
	if (rc >= 0 && s.count > 0)
		rc = select_names(L, fd, &s);
	return rc < 0 ? bind_error(L, (int)-rc) : 1;
}

/* ---- names ---- */

/*** S.unlink(path) -> true
 * Removes a name that is no directory. unlink(2) */
static int directory_unlink(lua_State *L)
{
	return bind_return_ok(L, sys_result(unlink(bind_check_path(L, 1))));
}

/*** S.unlinkat(dirfd, path, flags="") -> true
 * flags: "removedir" for a directory. unlinkat(2) */
static int directory_unlinkat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_AT, 0);

	return bind_return_ok(L, sys_result(unlinkat(dirfd, path, (int)flags)));
}

/*** S.rename(old, new) -> true
 * Replaces new in one step. EXDEV between mounts. rename(2) */
static int directory_rename(lua_State *L)
{
	const char *old = bind_check_path(L, 1);

	return bind_return_ok(L, sys_result(rename(old, bind_check_path(L, 2))));
}

/*** S.renameat2(old_dirfd, old, new_dirfd, new, flags="") -> true
 * flags: noreplace (EEXIST), exchange, whiteout. renameat2(2) */
static int directory_renameat2(lua_State *L)
{
	int old_dirfd = bind_opt_dirfd(L, 1);
	const char *old = bind_check_path(L, 2);
	int new_dirfd = bind_opt_dirfd(L, 3);
	const char *new = bind_check_path(L, 4);
	uint64_t flags = bind_opt_flags(L, 5, &bind_set_RENAME, 0);

	return bind_return_ok(
		L, sys_result(renameat2(old_dirfd, old, new_dirfd, new, (unsigned)flags)));
}

/*** S.link(old, new) -> true
 * Another name of the same file; EXDEV between mounts. link(2) */
static int directory_link(lua_State *L)
{
	const char *old = bind_check_path(L, 1);

	return bind_return_ok(L, sys_result(link(old, bind_check_path(L, 2))));
}

/*** S.linkat(old_dirfd, old, new_dirfd, new, flags="") -> true
 * flags: symlink_follow, empty_path (old "": old_dirfd itself, such as an O_TMPFILE; needs
 * CAP_DAC_READ_SEARCH or the descriptor's own opener). linkat(2) */
static int directory_linkat(lua_State *L)
{
	int old_dirfd = bind_opt_dirfd(L, 1);
	const char *old = bind_check_path(L, 2);
	int new_dirfd = bind_opt_dirfd(L, 3);
	const char *new = bind_check_path(L, 4);
	uint64_t flags = bind_opt_flags(L, 5, &bind_set_AT, 0);

	return bind_return_ok(L, sys_result(linkat(old_dirfd, old, new_dirfd, new, (int)flags)));
}

/*** S.symlink(target, path) -> true
 * path becomes a link that says target. symlink(2) */
static int directory_symlink(lua_State *L)
{
	const char *target = bind_check_path(L, 1);

	return bind_return_ok(L, sys_result(symlink(target, bind_check_path(L, 2))));
}

/*** S.symlinkat(target, dirfd, path) -> true
 * As symlink(), path from dirfd. symlinkat(2) */
static int directory_symlinkat(lua_State *L)
{
	const char *target = bind_check_path(L, 1);
	int dirfd = bind_opt_dirfd(L, 2);

	return bind_return_ok(L, sys_result(symlinkat(target, dirfd, bind_check_path(L, 3))));
}

/* A link's text has at most a page, /proc's magic links included. */
static int read_link(lua_State *L, int dirfd, const char *path)
{
	char text[PATH_MAX + 1];
	long rc = sys_result(readlinkat(dirfd, path, text, sizeof(text)));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushlstring(L, text, (size_t)rc);
	return 1;
}

/*** S.readlink(path) -> string
 * What the link says; EINVAL when it is none. readlink(2) */
static int directory_readlink(lua_State *L)
{
	return read_link(L, AT_FDCWD, bind_check_path(L, 1));
}

/*** S.readlinkat(dirfd, path) -> string
 * As readlink(), from dirfd; "" reads a descriptor opened with "path, nofollow". readlinkat(2) */
static int directory_readlinkat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);

	return read_link(L, dirfd, bind_check_path(L, 2));
}

/* ---- nodes ---- */

static unsigned device_part(lua_State *L, int arg, const char *name, int position)
{
	if (lua_getfield(L, arg, name) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_geti(L, arg, position);
	}
	lua_Integer value = lua_tointeger(L, -1);

	if (!lua_isinteger(L, -1) || value < 0 || value > UINT_MAX)
		luaL_argerror(L, arg, "a device {major, minor} expected");
	lua_pop(L, 1);
	return (unsigned)value;
}

/* {major, minor}, {major=, minor=}, or nil for types that have no device. */
static dev_t opt_device(lua_State *L, int arg)
{
	if (lua_isnoneornil(L, arg))
		return 0;
	luaL_checktype(L, arg, LUA_TTABLE);
	unsigned major_number = device_part(L, arg, "major", 1);

	return makedev(major_number, device_part(L, arg, "minor", 2));
}

static unsigned check_type(lua_State *L, int arg)
{
	const char *name = luaL_checkstring(L, arg);
	unsigned type = filetype_value(name);

	if (!type)
		bind_raise(L, arg, "one of file, fifo, socket, char, block expected", name,
			   filetype_nearest(name));
	return type;
}

static int make_node(lua_State *L, int dirfd, int arg)
{
	const char *path = bind_check_path(L, arg);
	unsigned mode = bind_opt_mode(L, arg + 1, 0666);
	unsigned type = check_type(L, arg + 2);
	dev_t device = opt_device(L, arg + 3);

	return bind_return_ok(L, sys_result(mknodat(dirfd, path, (mode & 07777) | type, device)));
}

/*** S.mknod(path, mode="0666", type, {major, minor}) -> true
 * type: "fifo", "file", "socket", "char", "block"; the device for the last two only. umask
 * applies; EPERM for devices without CAP_MKNOD in the initial user namespace. mknod(2) */
static int directory_mknod(lua_State *L)
{
	return make_node(L, AT_FDCWD, 1);
}

/*** S.mknodat(dirfd, path, mode="0666", type, {major, minor}) -> true
 * As mknod(), from dirfd. mknodat(2) */
static int directory_mknodat(lua_State *L)
{
	return make_node(L, bind_opt_dirfd(L, 1), 2);
}

static const luaL_Reg functions[] = {
	{"mkdir", directory_mkdir},
	{"mkdirat", directory_mkdirat},
	{"rmdir", directory_rmdir},
	{"chdir", directory_chdir},
	{"fchdir", directory_fchdir},
	{"chroot", directory_chroot},
	{"getcwd", directory_getcwd},
	{"umask", directory_umask},
	{"getdents", directory_getdents},
	{"unlink", directory_unlink},
	{"unlinkat", directory_unlinkat},
	{"rename", directory_rename},
	{"renameat2", directory_renameat2},
	{"link", directory_link},
	{"linkat", directory_linkat},
	{"symlink", directory_symlink},
	{"symlinkat", directory_symlinkat},
	{"readlink", directory_readlink},
	{"readlinkat", directory_readlinkat},
	{"mknod", directory_mknod},
	{"mknodat", directory_mknodat},
	{"names", directory_names},
	{NULL, NULL},
};

void syscall_directory(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
