/* SPDX-License-Identifier: MIT */
/* file.c – descriptors: open, read, write, pipes, memfd, copying, locks
 *
 * Needs no privilege of its own. Every descriptor made here is close-on-exec from birth, whatever
 * the flags say: what a program is to inherit is passed on by dup3() or fcntl(), on purpose.
 */
#include "bind.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compat.h"
#include "stage/sys.h"

/* The most that read(2) and write(2) move at once. */
enum { TRANSFER_MAX = 0x7ffff000, READ_DEFAULT = 65536 };

/* ---- opening ---- */

static bool flags_create(uint64_t flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

/*** S.open(path, flags="rdonly", mode="0666") -> fd
 * Flags are names of S.c.O; cloexec is always added. The mode counts with creat and tmpfile, and
 * umask applies. Errors and flags: open(2). */
static int file_open(lua_State *L)
{
	const char *path = bind_check_path(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_O, O_RDONLY);
	unsigned mode = bind_opt_mode(L, 3, 0666);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_retry(open(path, (int)flags | O_CLOEXEC, mode)));
}

/*** S.openat(dirfd, path, flags="rdonly", mode="0666") -> fd
 * As open(); a relative path starts at dirfd (nil or "fdcwd": the working directory). openat(2) */
static int file_openat(lua_State *L)
{
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_O, O_RDONLY);
	unsigned mode = bind_opt_mode(L, 4, 0666);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot,
			      sys_retry(openat(dirfd, path, (int)flags | O_CLOEXEC, mode)));
}

/*** S.openat2(dirfd, path, {flags="rdonly", mode="0666", resolve=""}) -> fd
 * resolve: names of S.c.RESOLVE; with "in_root" dirfd is / for the whole resolution. EXDEV or
 * ELOOP when the path leaves what resolve allows; EAGAIN when each of 1,000 attempts at "in_root"
 * or "beneath" met a rename or a mount, anywhere on the machine. Unknown flags are EINVAL. openat2(2) */
static int file_openat2(lua_State *L)
{
	static const char *const fields[] = {"flags", "mode", "resolve", NULL};
	struct open_how how = {0};
	int dirfd = bind_opt_dirfd(L, 1);
	const char *path = bind_check_path(L, 2);

	lua_settop(L, 3);
	if (!lua_isnil(L, 3)) {
		bind_check_fields(L, 3, fields);
		how.flags = bind_field_flags64(L, 3, "flags", &bind_set_O, O_RDONLY);
		how.resolve = bind_field_flags64(L, 3, "resolve", &bind_set_RESOLVE, 0);
		lua_getfield(L, 3, "mode");
	} else {
		lua_pushnil(L);
	}
	how.mode = bind_opt_mode(L, 4, flags_create(how.flags) ? 0666 : 0);
	how.flags |= O_CLOEXEC;
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_openat2(dirfd, path, &how));
}

/* struct file_handle with the most that it holds. */
union handle {
	struct file_handle head;
	char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

/*** S.name_to_handle_at(dirfd, path, flags="") -> handle
 * Bytes by which a file is known again, without being held: of a namespace since Linux 6.18, else
 * EOPNOTSUPP. A symbolic link is meant itself, unless flags (S.c.AT) have symlink_follow.
 * name_to_handle_at(2) */
static int file_name_to_handle_at(lua_State *L)
{
	union handle handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	int dirfd = bind_opt_dirfd(L, 1), mount;
	const char *path = bind_check_path(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_AT, 0);
	long rc = sys_result(name_to_handle_at(dirfd, path, &handle.head, &mount, (int)flags));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushlstring(L, handle.bytes, sizeof(handle.head) + handle.head.handle_bytes);
	return 1;
}

/*** S.open_by_handle_at(fd, handle, flags="rdonly") -> fd
 * The file that S.name_to_handle_at told of; fd: any of the same file system. cloexec is always
 * added. Errors: ESTALE (it is gone), EPERM (CAP_DAC_READ_SEARCH). open_by_handle_at(2) */
static int file_open_by_handle_at(lua_State *L)
{
	union handle handle;
	int fd = bind_check_fd(L, 1);
	size_t len;
	const char *bytes = luaL_checklstring(L, 2, &len);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_O, O_RDONLY);

	luaL_argcheck(L, len >= sizeof(handle.head) && len <= sizeof(handle), 2, "no handle");
	memcpy(&handle, bytes, len);
	luaL_argcheck(L, handle.head.handle_bytes == len - sizeof(handle.head), 2, "no handle");
	int *slot = bind_new_fd(L);

	return bind_return_fd(
		L, slot, sys_result(open_by_handle_at(fd, &handle.head, (int)flags | O_CLOEXEC)));
}

/*** S.memfd_create(name, flags="") -> fd
 * A file in memory; name shows in /proc only. Flags: S.c.MFD; cloexec is always added.
 * memfd_create(2) */
static int file_memfd_create(lua_State *L)
{
	const char *name = bind_check_path(L, 1);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_MFD, 0);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot,
			      sys_result(memfd_create(name, (unsigned)flags | MFD_CLOEXEC)));
}

/*** S.pipe(flags="") -> read end, write end
 * Flags: nonblock, direct of S.c.O; cloexec is always added. pipe2(2) */
static int file_pipe(lua_State *L)
{
	uint64_t flags = bind_opt_flags(L, 1, &bind_set_O, 0);
	int *reader = bind_new_fd(L);
	int *writer = bind_new_fd(L);
	int ends[2];
	long rc = sys_result(pipe2(ends, (int)flags | O_CLOEXEC));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	*reader = ends[0];
	*writer = ends[1];
	return 2;
}

/* ---- reading and writing ---- */

/*** S.getrandom(size) -> string
 * 1 to 256 bytes that nobody can foretell; waits for the kernel to have some, soon after its start. getrandom(2) */
static int file_getrandom(lua_State *L)
{
	char bytes[256]; /* which come whole */
	size_t size = (size_t)bind_check_range(L, 1, 1, sizeof(bytes));
	long rc = sys_retry(getrandom(bytes, size, 0));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushlstring(L, bytes, (size_t)rc);
	return 1;
}

/* pread(2) where offset is not negative, read(2) otherwise. */
static int read_string(lua_State *L, int fd, size_t size, off_t offset)
{
	luaL_Buffer b;
	char *space = luaL_buffinitsize(L, &b, size);
	long rc = sys_retry(offset < 0 ? read(fd, space, size) : pread(fd, space, size, offset));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	luaL_pushresultsize(&b, (size_t)rc);
	return 1;
}

static size_t opt_size(lua_State *L, int arg)
{
	if (lua_isnoneornil(L, arg))
		return READ_DEFAULT;
	return (size_t)bind_check_range(L, arg, 0, TRANSFER_MAX);
}

/*** S.read(fd, size=65536) -> string
 * At most size bytes; "" is the end of the file. read(2) */
static int file_read(lua_State *L)
{
	int fd = bind_check_fd(L, 1);

	return read_string(L, fd, opt_size(L, 2), -1);
}

/*** S.pread(fd, size, offset) -> string
 * As read(), from offset (bytes); the file position stays. pread(2) */
static int file_pread(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	size_t size = opt_size(L, 2);

	return read_string(L, fd, size, bind_check_range(L, 3, 0, LUA_MAXINTEGER));
}

/*** S.write(fd, string) -> bytes written
 * One call: it may write less than all of the string. write(2) */
static int file_write(lua_State *L)
{
	size_t size;
	int fd = bind_check_fd(L, 1);
	const char *data = luaL_checklstring(L, 2, &size);

	return bind_return_int(L, sys_retry(write(fd, data, size)));
}

/*** S.pwrite(fd, string, offset) -> bytes written
 * As write(), at offset (bytes); the file position stays. pwrite(2) */
static int file_pwrite(lua_State *L)
{
	size_t size;
	int fd = bind_check_fd(L, 1);
	const char *data = luaL_checklstring(L, 2, &size);
	off_t offset = bind_check_range(L, 3, 0, LUA_MAXINTEGER);

	return bind_return_int(L, sys_retry(pwrite(fd, data, size, offset)));
}

/*** S.lseek(fd, offset=0, whence="set") -> new position in bytes
 * whence: a name of S.c.SEEK. lseek(2) */
static int file_lseek(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	off_t offset = luaL_optinteger(L, 2, 0);
	uint64_t whence = lua_isnoneornil(L, 3) ? SEEK_SET : bind_check_const(L, 3, &bind_set_SEEK);

	return bind_return_int(L, sys_result(lseek(fd, offset, (int)whence)));
}

/*** S.truncate(path, size) -> true
 * Cuts or extends with zeros to size bytes. truncate(2) */
static int file_truncate(lua_State *L)
{
	const char *path = bind_check_path(L, 1);

	return bind_return_ok(L, sys_result(truncate(path, luaL_checkinteger(L, 2))));
}

/*** S.ftruncate(fd, size) -> true
 * As truncate(), of a descriptor open for writing. ftruncate(2) */
static int file_ftruncate(lua_State *L)
{
	int fd = bind_check_fd(L, 1);

	return bind_return_ok(L, sys_result(ftruncate(fd, luaL_checkinteger(L, 2))));
}

/*** S.fsync(fd) -> true
 * Returns when data and metadata are on the medium. fsync(2) */
static int file_fsync(lua_State *L)
{
	return bind_return_ok(L, sys_result(fsync(bind_check_fd(L, 1))));
}

/*** S.fdatasync(fd) -> true
 * As fsync(), without metadata that reading does not need. fdatasync(2) */
static int file_fdatasync(lua_State *L)
{
	return bind_return_ok(L, sys_result(fdatasync(bind_check_fd(L, 1))));
}

/* ---- copying in the kernel ---- */

/* An offset for a call that takes a pointer to one; nil is NULL: the file position counts and
 * moves. */
static off_t *opt_offset(lua_State *L, int arg, off_t *space)
{
	if (lua_isnoneornil(L, arg))
		return NULL;
	*space = bind_check_range(L, arg, 0, LUA_MAXINTEGER);
	return space;
}

/*** S.sendfile(out_fd, in_fd, offset or nil, count) -> bytes copied
 * nil as offset: from in_fd's position, which moves. It may copy less than count. sendfile(2) */
static int file_sendfile(lua_State *L)
{
	off_t space;
	int out = bind_check_fd(L, 1);
	int in = bind_check_fd(L, 2);
	off_t *offset = opt_offset(L, 3, &space);
	size_t count = (size_t)bind_check_range(L, 4, 0, TRANSFER_MAX);

	return bind_return_int(L, sys_result(sendfile(out, in, offset, count)));
}

/*** S.copy_file_range(in_fd, in_offset or nil, out_fd, out_offset or nil, count) -> bytes copied
 * Shares blocks where the file system can; 0 is the end of in_fd. EXDEV between file systems that
 * cannot. copy_file_range(2) */
static int file_copy_file_range(lua_State *L)
{
	off_t in_space, out_space;
	int in = bind_check_fd(L, 1);
	off_t *in_offset = opt_offset(L, 2, &in_space);
	int out = bind_check_fd(L, 3);
	off_t *out_offset = opt_offset(L, 4, &out_space);
	size_t count = (size_t)bind_check_range(L, 5, 0, TRANSFER_MAX);

	return bind_return_int(
		L, sys_result(copy_file_range(in, in_offset, out, out_offset, count, 0)));
}

/* ---- descriptors themselves ---- */

/*** S.dup(fd) -> fd
 * The lowest free number, close-on-exec. fcntl(2), F_DUPFD_CLOEXEC */
static int file_dup(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(fcntl(fd, F_DUPFD_CLOEXEC, 0)));
}

/*** S.dup3(fd, number, flags="") -> number
 * Makes number a copy of fd, closing what it was; it stays open over exec unless flags say
 * "cloexec". The result is a plain number: who chose it closes it. EINVAL when both are the same.
 * dup3(2) */
static int file_dup3(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int number = bind_check_fd(L, 2);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_O, 0);

	return bind_return_int(L, sys_result(dup3(fd, number, (int)flags)));
}

/*** S.close_range(first, last, flags="") -> true
 * Closes the numbers first to last (nil: all from first on); "cloexec" marks them instead.
 * Descriptor objects are not told: their numbers are gone. close_range(2) */
static int file_close_range(lua_State *L)
{
	unsigned first = (unsigned)bind_check_range(L, 1, 0, UINT_MAX);
	unsigned last =
		lua_isnoneornil(L, 2) ? UINT_MAX : (unsigned)bind_check_range(L, 2, 0, UINT_MAX);
	uint64_t flags = bind_opt_flags(L, 3, &bind_set_CLOSE_RANGE, 0);

	return bind_return_ok(L, sys_result(syscall(SYS_close_range, first, last, flags)));
}

/* The argument of each command of fcntl(2) that is offered. */
static long fcntl_argument(lua_State *L, int cmd)
{
	switch (cmd) {
	case F_GETFD:
	case F_GETFL:
	case F_GETOWN:
	case F_GETSIG:
	case F_GETPIPE_SZ:
	case F_GET_SEALS:
		return 0;
	case F_SETFD:
		return (long)bind_opt_flags(L, 3, &bind_set_FD, 0);
	case F_SETFL:
		return (long)bind_opt_flags(L, 3, &bind_set_O, 0);
	case F_ADD_SEALS:
		return (long)bind_check_flags(L, 3, &bind_set_SEAL);
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return (long)luaL_optinteger(L, 3, 0);
	case F_SETOWN:
	case F_SETSIG:
	case F_SETPIPE_SZ:
		return (long)bind_check_range(L, 3, INT_MIN, INT_MAX);
	}
	/* The others take pointers, which Lua has none of. */
	return luaL_argerror(L, 2, "this command of fcntl is not offered");
}

/*** S.fcntl(fd, cmd, arg) -> integer, or fd for dupfd and dupfd_cloexec
 * cmd: a name of S.c.F. arg: flags of S.c.FD for setfd, of S.c.O for setfl, of S.c.SEAL for
 * add_seals, else an integer. The result of a get is an integer of the same flags. fcntl(2) */
static int file_fcntl(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int cmd = (int)bind_check_const(L, 2, &bind_set_F);
	long arg = fcntl_argument(L, cmd);
	int *slot = cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? bind_new_fd(L) : NULL;
	long rc = sys_result(fcntl(fd, cmd, arg));

	return slot ? bind_return_fd(L, slot, rc) : bind_return_int(L, rc);
}

/*** S.flock(fd, operation) -> true
 * operation: "sh", "ex" or "un", with "nb" not to wait (then EAGAIN when taken). The lock belongs
 * to the open file: it ends when all copies of the descriptor are closed. flock(2) */
static int file_flock(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int flags = (int)bind_check_flags(L, 2, &bind_set_LOCK);

	return bind_return_ok(L, sys_retry(flock(fd, flags)));
}

/* A request that takes memory: the kernel sees a copy of the string with room behind it for the
 * most that a request's number can say it writes (14 bits): a string too short is no overflow. */
static int ioctl_buffer(lua_State *L, int fd, unsigned long request)
{
	char page[16384] = {0};
	size_t size;
	const char *data = luaL_checklstring(L, 3, &size);

	luaL_argcheck(L, size <= 4096, 3, "at most 4096 bytes");
	memcpy(page, data, size);
	long rc = sys_result(ioctl(fd, request, page));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushinteger(L, rc);
	lua_pushlstring(L, page, size);
	return 2;
}

/*** S.ioctl(fd, request, arg=0) -> integer [, string]
 * request: a name of S.c.IOCTL or a number. An integer arg is passed as it is; a string is passed
 * as memory (at most 4096 bytes), and its new content is the second result. A descriptor that a
 * request returns is a plain integer: the caller owns it. ioctl(2) */
static int file_ioctl(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	unsigned long request = bind_check_const(L, 2, &bind_set_IOCTL);

	if (lua_type(L, 3) == LUA_TSTRING)
		return ioctl_buffer(L, fd, request);
	return bind_return_int(L, sys_result(ioctl(fd, request, luaL_optinteger(L, 3, 0))));
}

static const luaL_Reg functions[] = {
	{"open", file_open},
	{"openat", file_openat},
	{"openat2", file_openat2},
	{"name_to_handle_at", file_name_to_handle_at},
	{"open_by_handle_at", file_open_by_handle_at},
	{"memfd_create", file_memfd_create},
	{"pipe", file_pipe},
	{"getrandom", file_getrandom},
	{"read", file_read},
	{"pread", file_pread},
	{"write", file_write},
	{"pwrite", file_pwrite},
	{"lseek", file_lseek},
	{"truncate", file_truncate},
	{"ftruncate", file_ftruncate},
	{"fsync", file_fsync},
	{"fdatasync", file_fdatasync},
	{"sendfile", file_sendfile},
	{"copy_file_range", file_copy_file_range},
	{"dup", file_dup},
	{"dup3", file_dup3},
	{"close_range", file_close_range},
	{"fcntl", file_fcntl},
	{"flock", file_flock},
	{"ioctl", file_ioctl},
	{NULL, NULL},
};

void syscall_file(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
}
