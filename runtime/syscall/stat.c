/* SPDX-License-Identifier: MIT */
/* stat.c – what files are: stat, statx, statfs, modes, owners, times
 *
 * All forms of stat are statx(2), so that one table is always filled from one structure. Changing
 * owners needs CAP_CHOWN over the ids concerned.
 */
#include "bind.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "compat.h"
#include "filetype.h"

/* ---- stat ---- */

static void set_time(lua_State *L, const char *key, const struct statx_timestamp *t)
{
	lua_pushnumber(L, (lua_Number)t->tv_sec + t->tv_nsec / 1e9);
	lua_setfield(L, -2, key);
}

static void set_rdev(lua_State *L, const struct statx *st)
{
	lua_createtable(L, 0, 2);
	bind_set_int(L, "major", st->stx_rdev_major);
	bind_set_int(L, "minor", st->stx_rdev_minor);
	lua_setfield(L, -2, "rdev");
}

static void push_statx(lua_State *L, const struct statx *st)
{
	lua_createtable(L, 0, 20);
	bind_set_int(L, "dev", (lua_Integer)makedev(st->stx_dev_major, st->stx_dev_minor));
	bind_set_int(L, "ino", (lua_Integer)st->stx_ino);
	bind_set_int(L, "mode", st->stx_mode);
	bind_set_string(L, "type", filetype_name(st->stx_mode));
	bind_set_int(L, "perm", st->stx_mode & 07777);
	bind_set_int(L, "nlink", st->stx_nlink);
	bind_set_int(L, "uid", st->stx_uid);
	bind_set_int(L, "gid", st->stx_gid);
	set_rdev(L, st);
	bind_set_int(L, "size", (lua_Integer)st->stx_size);
	bind_set_int(L, "blocks", (lua_Integer)st->stx_blocks);
	bind_set_int(L, "blksize", st->stx_blksize);
	set_time(L, "atime", &st->stx_atime);
	set_time(L, "mtime", &st->stx_mtime);
	set_time(L, "ctime", &st->stx_ctime);
	if (st->stx_mask & STATX_BTIME)
		set_time(L, "btime", &st->stx_btime);
	if (st->stx_mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE))
		bind_set_int(L, "mnt_id", (lua_Integer)st->stx_mnt_id);
	bind_set_flags(L, "attributes", &bind_set_STATX_ATTR, st->stx_attributes);
}

static int return_statx(lua_State *L, int dirfd, const char *path, uint64_t flags, uint64_t mask)
{
	struct statx st = {0};
	long rc = sys_result(statx(dirfd, path, (int)flags, (unsigned)mask, &st));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_statx(L, &st);
	return 1;
}

enum { STATX_DEFAULT = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID };

/*** S.stat(path) -> {dev=, ino=, mode=, type=, perm=, nlink=, uid=, gid=, rdev=, size=, …}
 * Links are followed. rdev={major=, minor=}; mode has type and permissions, perm the latter only;
 * type is "directory", "file", "symlink", "fifo", "socket", "char" or "block"; size in bytes,
 * blocks of 512 bytes, blksize; atime, mtime, ctime, btime in seconds (float); mnt_id;
 * attributes={NAME=true…} of S.c.STATX_ATTR. statx(2) */
static int stat_stat(lua_State *L)
{
	return return_statx(L, AT_FDCWD, bind_check_path(L, 1), AT_NO_AUTOMOUNT, STATX_DEFAULT);
}

/*** S.lstat(path) -> as stat()
 * Of the link itself when path is one. statx(2) */
static int stat_lstat(lua_State *L)
{
	return return_statx(L, AT_FDCWD, bind_check_path(L, 1),
			    AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_DEFAULT);
}

/*** S.fstat(fd) -> as stat()   (fd:stat() too)
 * Works on descriptors opened with "path". statx(2) */
static int stat_fstat(lua_State *L)
{
	return return_statx(L, bind_check_fd(L, 1), "", AT_EMPTY_PATH, STATX_DEFAULT);
}

/*** S.fstatat(dirfd, path, flags="") -> as stat()
 * flags: symlink_nofollow, empty_path. statx(2) */
static int stat_fstatat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_AT, 0);

	return return_statx(L, dirfd, path, flags | AT_NO_AUTOMOUNT, STATX_DEFAULT);
}

/*** S.statx(dirfd, path, flags="", mask="basic_stats, btime, mnt_id") -> as stat()
 * flags: of S.c.AT; mask: names of S.c.STATX. Fields not asked for are 0; btime and mnt_id are
 * absent when not asked for or unknown. With mnt_id_unique mnt_id is the number statmount()
 * takes. statx(2) */
static int stat_statx(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_AT, 0);
	uint64_t mask = bind_opt_flags(L, 4, &bind_set_STATX, STATX_DEFAULT);

	return return_statx(L, dirfd, path, flags, mask);
}

/*** S.filetype(path) -> "directory", "file", "symlink", "fifo", "socket", "char" or "block"
 * Links are followed. What stat() says of the type, without the rest. statx(2) */
static int stat_filetype(lua_State *L)
{
	struct statx st = {0};
	long rc = sys_result(
		statx(AT_FDCWD, bind_check_path(L, 1), AT_NO_AUTOMOUNT, STATX_TYPE, &st));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushstring(L, filetype_name(st.stx_mode));
	return 1;
}

/* ---- file systems ---- */

static int return_statfs(lua_State *L, long rc, const struct statfs *fs)
{
	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, 0, 9);
	bind_set_int(L, "type", (lua_Integer)(uint32_t)fs->f_type);
	bind_set_int(L, "flags", fs->f_flags);
	bind_set_int(L, "bsize", fs->f_bsize);
	bind_set_int(L, "blocks", (lua_Integer)fs->f_blocks);
	bind_set_int(L, "bfree", (lua_Integer)fs->f_bfree);
	bind_set_int(L, "bavail", (lua_Integer)fs->f_bavail);
	bind_set_int(L, "files", (lua_Integer)fs->f_files);
	bind_set_int(L, "ffree", (lua_Integer)fs->f_ffree);
	bind_set_int(L, "namelen", fs->f_namelen);
	return 1;
}

/*** S.statfs(path) -> {type=, flags=, bsize=, blocks=, bfree=, bavail=, files=, ffree=, namelen=}
 * type: a number of S.c.MAGIC; flags: bits of S.c.ST (the mount's); blocks counted in bsize bytes.
 * statfs(2) */
static int stat_statfs(lua_State *L)
{
	struct statfs fs;
	long rc = sys_result(statfs(bind_check_path(L, 1), &fs));

	return return_statfs(L, rc, &fs);
}

/*** S.fstatfs(fd) -> as statfs()
 * fstatfs(2) */
static int stat_fstatfs(lua_State *L)
{
	struct statfs fs;
	long rc = sys_result(fstatfs(bind_check_fd(L, 1), &fs));

	return return_statfs(L, rc, &fs);
}

/* ---- modes and owners ---- */

static unsigned check_mode(lua_State *L, int arg)
{
	luaL_checkany(L, arg);
	return bind_opt_mode(L, arg, 0);
}

/*** S.chmod(path, mode) -> true
 * chmod(2) */
static int stat_chmod(lua_State *L)
{
	const char *path = bind_check_path(L, 1);

	return bind_return_ok(L, sys_result(chmod(path, check_mode(L, 2))));
}

/*** S.fchmod(fd, mode) -> true
 * EBADF on a descriptor opened with "path": fchmodat() with "empty_path". fchmod(2) */
static int stat_fchmod(lua_State *L)
{
	int fd = bind_check_fd(L, 1);

	return bind_return_ok(L, sys_result(fchmod(fd, check_mode(L, 2))));
}

/*** S.fchmodat(dirfd, path, mode, flags="") -> true
 * flags: symlink_nofollow (EOPNOTSUPP on a link), empty_path; ENOSYS with flags before Linux 6.6.
 * fchmodat(2) */
static int stat_fchmodat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	unsigned mode = check_mode(L, 3);
	uint64_t flags = bind_opt_flags(L, 4, &bind_set_AT, 0);

	/* Not libc's emulation of the flags: it goes through /proc, which may be the wrong one. */
	if (flags)
		return bind_return_ok(
			L, sys_result(syscall(SYS_fchmodat2, dirfd, path, mode, (unsigned)flags)));
	return bind_return_ok(L, sys_result(fchmodat(dirfd, path, mode, 0)));
}

/*** S.chown(path, uid, gid) -> true
 * nil or -1 leaves an id as it is. EINVAL when an id has no mapping in the user namespace.
 * chown(2) */
static int stat_chown(lua_State *L)
{
	const char *path = bind_check_path(L, 1);
	unsigned uid = bind_opt_id(L, 2);

	return bind_return_ok(L, sys_result(chown(path, uid, bind_opt_id(L, 3))));
}

/*** S.lchown(path, uid, gid) -> true
 * As chown(), of a link itself. lchown(2) */
static int stat_lchown(lua_State *L)
{
	const char *path = bind_check_path(L, 1);
	unsigned uid = bind_opt_id(L, 2);

	return bind_return_ok(L, sys_result(lchown(path, uid, bind_opt_id(L, 3))));
}

/*** S.fchown(fd, uid, gid) -> true
 * As chown(). fchown(2) */
static int stat_fchown(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	unsigned uid = bind_opt_id(L, 2);

	return bind_return_ok(L, sys_result(fchown(fd, uid, bind_opt_id(L, 3))));
}

/*** S.fchownat(dirfd, path, uid, gid, flags="") -> true
 * As chown(); flags: symlink_nofollow, empty_path. fchownat(2) */
static int stat_fchownat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	unsigned uid = bind_opt_id(L, 3);
	unsigned gid = bind_opt_id(L, 4);
	uint64_t flags = bind_opt_flags(L, 5, &bind_set_AT, 0);

	return bind_return_ok(L, sys_result(fchownat(dirfd, path, uid, gid, (int)flags)));
}

/* ---- access and times ---- */

static const struct bind_const access_names[] = {
	{"r", R_OK}, {"w", W_OK}, {"x", X_OK}, {"f", F_OK}, {"", 0},
};

static const struct bind_set access_set = {"ACCESS", access_names};

/*** S.access(path, mode="f") -> true
 * mode: "r", "w", "x" (more than one: "r, w") or "f" (is there), for the real user and group.
 * EACCES when not. access(2) */
static int stat_access(lua_State *L)
{
	const char *path = bind_check_path(L, 1);
	uint64_t mode = bind_opt_flags(L, 2, &access_set, F_OK);

	return bind_return_ok(L, sys_result(access(path, (int)mode)));
}

/*** S.faccessat(dirfd, path, mode="f", flags="") -> true
 * As access(); flags: eaccess (the effective user), symlink_nofollow. faccessat(2) */
static int stat_faccessat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t mode = bind_opt_flags(L, 3, &access_set, F_OK);
	uint64_t flags = bind_opt_flags(L, 4, &bind_set_AT, 0);

	return bind_return_ok(L, sys_result(faccessat(dirfd, path, (int)mode, (int)flags)));
}

static struct timespec field_time(lua_State *L, int arg, const char *key)
{
	struct timespec t = {.tv_nsec = UTIME_OMIT};
	int type = lua_getfield(L, arg, key);

	if (type == LUA_TSTRING && strcmp(lua_tostring(L, -1), "now") == 0) {
		t.tv_nsec = UTIME_NOW;
	} else if (type == LUA_TNUMBER) {
		lua_Number value = lua_tonumber(L, -1), whole = floor(value);

		luaL_argcheck(L, fabs(whole) < 9e15, arg, "a time out of range");
		t.tv_sec = (time_t)whole;
		t.tv_nsec = (long)((value - whole) * 1e9);
	} else if (type != LUA_TNIL) {
		luaL_argerror(L, arg,
			      lua_pushfstring(L, "field '%s': seconds or \"now\" expected", key));
	}
	lua_pop(L, 1);
	return t;
}

/*** S.utimensat(dirfd, path, {atime=, mtime=}, flags="") -> true
 * Each time: seconds since 1970 (a float), "now", or nil (left as it is). nil for the table: both
 * now. flags: symlink_nofollow, empty_path. utimensat(2) */
static int stat_utimensat(lua_State *L)
{
	static const char *const fields[] = {"atime", "mtime", NULL};
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 4, &bind_set_AT, 0);

	if (!lua_isnoneornil(L, 3)) {
		bind_check_fields(L, 3, fields);
		times[0] = field_time(L, 3, "atime");
		times[1] = field_time(L, 3, "mtime");
	}
	return bind_return_ok(L, sys_result(utimensat(dirfd, path, times, (int)flags)));
}

static const luaL_Reg functions[] = {
	{"stat", stat_stat},
	{"lstat", stat_lstat},
	{"fstat", stat_fstat},
	{"fstatat", stat_fstatat},
	{"statx", stat_statx},
	{"statfs", stat_statfs},
	{"fstatfs", stat_fstatfs},
	{"chmod", stat_chmod},
	{"fchmod", stat_fchmod},
	{"fchmodat", stat_fchmodat},
	{"chown", stat_chown},
	{"lchown", stat_lchown},
	{"fchown", stat_fchown},
	{"fchownat", stat_fchownat},
	{"access", stat_access},
	{"faccessat", stat_faccessat},
	{"utimensat", stat_utimensat},
	{"filetype", stat_filetype},
	{NULL, NULL},
};

void syscall_stat(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
