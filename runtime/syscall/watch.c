/* SPDX-License-Identifier: MIT */
/* watch.c – inotify: hearing of changes of files
 *
 * cgroup v2 tells through it that a cgroup is empty. Needs no privilege but to reach the files.
 */
#include "watch.h"

#include <limits.h>
#include <sys/inotify.h>
#include <unistd.h>

/*** S.inotify_init([flags]) -> fd
 * A new queue of file events. flags: "nonblock"; always close-on-exec. Source: inotify_init1(2).
 */
static int l_inotify_init(lua_State *L)
{
	int flags =
		(int)bind_opt_flags(L, 1, &bind_set_SFD, 0); /* all such flags are O_NONBLOCK's */
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(inotify_init1(flags | IN_CLOEXEC)));
}

/*** S.inotify_add_watch(fd, path, events) -> number of the watch
 * events: "modify, create, delete, moved_to, close_write"…, with "onlydir, dont_follow, oneshot,
 * mask_add". A path that is watched already keeps its number. Errors: NOENT, NOSPC (too many
 * watches). Source: inotify_add_watch(2).
 */
static int l_inotify_add_watch(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	const char *path = bind_check_path(L, 2);
	uint32_t mask = (uint32_t)bind_check_flags(L, 3, &bind_set_IN);

	return bind_return_int(L, sys_result(inotify_add_watch(fd, path, mask)));
}

/*** S.inotify_rm_watch(fd, watch) -> true
 * Ends a watch; its last event is "ignored". Errors: INVAL. Source: inotify_rm_watch(2).
 */
static int l_inotify_rm_watch(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	int watch = (int)bind_check_range(L, 2, 0, INT_MAX);

	return bind_return_ok(L, sys_result(inotify_rm_watch(fd, watch)));
}

void event_set_names(lua_State *L, const struct bind_set *set, uint64_t events)
{
	bind_push_flags(L, set, events);
	for (lua_Integer i = 1; lua_geti(L, -1, i) == LUA_TSTRING; i++) {
		lua_pushboolean(L, 1);
		lua_settable(L, -3);
	}
	lua_pop(L, 1);
	lua_setfield(L, -2, "events");
}

static void push_event(lua_State *L, const struct inotify_event *e)
{
	lua_createtable(L, 0, 4);
	bind_set_int(L, "watch", e->wd);
	event_set_names(L, &bind_set_IN, e->mask);
	if (e->cookie)
		bind_set_int(L, "cookie", e->cookie);
	if (e->len)
		bind_set_string(L, "name", e->name);
}

/*** S.inotify_read(fd) -> list of {watch=, events={names}, name=, cookie=}
 * The waiting events, at least one. events holds the names as a list and as keys; name: the entry
 * of a watched directory; cookie joins "moved_from" and "moved_to". Errors: AGAIN on a "nonblock"
 * queue, INTR. Source: inotify(7).
 */
static int l_inotify_read(lua_State *L)
{
	union {
		struct inotify_event align;
		char bytes[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	} buffer;
	int fd = bind_check_fd(L, 1);
	long rc = sys_result(read(fd, &buffer, sizeof(buffer)));
	lua_Integer n = 0;

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_newtable(L);
	for (const char *p = buffer.bytes; p < buffer.bytes + rc;) {
		const struct inotify_event *e = (const void *)p;

		push_event(L, e);
		lua_seti(L, -2, ++n);
		p += sizeof(*e) + e->len;
	}
	return 1;
}

const luaL_Reg event_watch_functions[] = {
	{"inotify_init", l_inotify_init},
	{"inotify_add_watch", l_inotify_add_watch},
	{"inotify_rm_watch", l_inotify_rm_watch},
	{"inotify_read", l_inotify_read},
	{NULL, NULL},
};
