/* SPDX-License-Identifier: MIT */
/* event.c – epoll, poll, eventfd, timerfd
 *
 * What a single-threaded supervisor waits with. Timeouts are milliseconds as in the kernel's calls,
 * the times of timerfd are seconds. Needs no privilege. inotify is in watch.c.
 */
#include "watch.h"

#include <limits.h>
#include <math.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

enum { EVENTS_DEFAULT = 64, EVENTS_MAX = 4096, POLL_MAX = 1 << 20 };

/* Milliseconds: nil or a negative number waits for ever, a fraction is rounded up. */
static int opt_timeout(lua_State *L, int arg)
{
	double ms = luaL_optnumber(L, arg, -1);

	if (isnan(ms))
		luaL_argerror(L, arg, "a timeout in milliseconds expected, got not-a-number");
	return ms < 0 ? -1 : ms >= INT_MAX ? INT_MAX : (int)ceil(ms);
}

static void push_ready(lua_State *L, int fd, const struct bind_set *set, uint64_t events)
{
	lua_createtable(L, 0, 2);
	bind_set_int(L, "fd", fd);
	event_set_names(L, set, events);
}

/* ---- epoll ---- */

/*** S.epoll_create([flags]) -> fd
 * A new epoll instance, always close-on-exec. Source: epoll_create1(2).
 */
static int l_epoll_create(lua_State *L)
{
	int flags = (int)bind_opt_flags(L, 1, &bind_set_EPOLLCREATE, 0);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(epoll_create1(flags | EPOLL_CLOEXEC)));
}

/*** S.epoll_ctl(epfd, op, fd [, events]) -> true
 * op: "add", "mod" or "del"; events: "in, out, rdhup, et, oneshot"… ("err" and "hup" always come).
 * Errors: EXIST (added already), NOENT (not added), PERM (a file that cannot be waited for).
 * Source: epoll_ctl(2).
 */
static int l_epoll_ctl(lua_State *L)
{
	int epfd = bind_check_fd(L, 1);
	int op = (int)bind_check_const(L, 2, &bind_set_EPOLLCTL);
	int fd = bind_check_fd(L, 3);
	struct epoll_event event = {
		.events = (uint32_t)bind_opt_flags(L, 4, &bind_set_EPOLL, 0),
		.data.fd = fd,
	};

	return bind_return_ok(L, sys_result(epoll_ctl(epfd, op, fd, &event)));
}

/*** S.epoll_wait(epfd [, max [, timeout_ms]]) -> list of {fd=number, events={names}}
 * At most max (64) events; waits for ever without a timeout, an empty list when time is up. events
 * holds the names both as a list and as keys: `e.events.hup`, `e.events["in"]`. Errors: INTR.
 * Source: epoll_wait(2).
 */
static int l_epoll_wait(lua_State *L)
{
	int epfd = bind_check_fd(L, 1);
	lua_Integer max =
		lua_isnoneornil(L, 2) ? EVENTS_DEFAULT : bind_check_range(L, 2, 1, EVENTS_MAX);
	int timeout = opt_timeout(L, 3);
	struct epoll_event *events = lua_newuserdata(L, (size_t)max * sizeof(*events));
	long rc = sys_result(epoll_wait(epfd, events, (int)max, timeout));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, (int)rc, 0);
	for (long i = 0; i < rc; i++) {
		push_ready(L, events[i].data.fd, &bind_set_EPOLL, events[i].events);
		lua_seti(L, -2, i + 1);
	}
	return 1;
}

/* ---- poll ---- */

/* The named or else the positional field of the entry at the top goes to index 1, where the checks
 * that follow find it and name it as argument 1. */
static void select_field(lua_State *L, const char *key, lua_Integer position)
{
	if (lua_getfield(L, -1, key) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_geti(L, -1, position);
	}
	lua_replace(L, 1);
}

/*** S.poll(list [, timeout_ms]) -> list of {fd=number, events={names}}
 * list: entries {fd, events} or {fd=, events=}, events being "in, out, pri, rdhup". The result
 * holds the ready ones in the same order, shaped as by epoll_wait; "err", "hup" and "nval" always
 * come. Errors: INTR. Source: poll(2).
 */
static int l_poll(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	int timeout = opt_timeout(L, 2);

	lua_settop(L, 1);
	lua_pushvalue(L, 1);
	lua_Integer n = (lua_Integer)lua_rawlen(L, 2);

	luaL_argcheck(L, n <= POLL_MAX, 1, "more descriptors than a process can have");
	struct pollfd *list = lua_newuserdata(L, (size_t)(n ? n : 1) * sizeof(*list));

	for (lua_Integer i = 0; i < n; i++) {
		if (lua_geti(L, 2, i + 1) != LUA_TTABLE)
			luaL_argerror(L, 1, "a list of {fd, events} expected");
		select_field(L, "fd", 1);
		list[i] = (struct pollfd){.fd = bind_check_fd(L, 1)};
		select_field(L, "events", 2);
		uint64_t events = bind_check_flags(L, 1, &bind_set_POLL);

		luaL_argcheck(L, events <= UINT16_MAX, 1, "events of 16 bits expected");
		list[i].events = (short)events;
		lua_pop(L, 1);
	}
	long rc = sys_result(poll(list, (nfds_t)n, timeout));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_createtable(L, (int)rc, 0);
	for (lua_Integer i = 0, ready = 0; i < n; i++) {
		if (!list[i].revents)
			continue;
		push_ready(L, list[i].fd, &bind_set_POLL, (unsigned short)list[i].revents);
		lua_seti(L, -2, ++ready);
	}
	return 1;
}

/* ---- counters ---- */

/* The 8 bytes that a read of an eventfd or a timerfd gives. */
static long counter_read(int fd, uint64_t *ret_count)
{
	uint64_t count;
	long rc = sys_result(read(fd, &count, sizeof(count)));

	if (rc < 0)
		return rc;
	if (rc != (long)sizeof(count))
		return -EBADMSG;
	*ret_count = count;
	return 0;
}

static int return_count(lua_State *L, int fd)
{
	uint64_t count = 0;
	long rc = counter_read(fd, &count);

	if (rc < 0)
		return bind_error(L, (int)-rc);
	lua_pushinteger(L, (lua_Integer)count);
	return 1;
}

/*** S.eventfd([initial [, flags]]) -> fd
 * A counter that can be waited for, starting at initial (0). flags: "nonblock, semaphore"; always
 * close-on-exec. Source: eventfd(2).
 */
static int l_eventfd(lua_State *L)
{
	unsigned initial =
		lua_isnoneornil(L, 1) ? 0 : (unsigned)bind_check_range(L, 1, 0, UINT_MAX);
	int flags = (int)bind_opt_flags(L, 2, &bind_set_EFD, 0);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(eventfd(initial, flags | EFD_CLOEXEC)));
}

/*** S.eventfd_read(fd) -> count
 * Takes the whole count (1 from a semaphore), waiting while it is 0. Errors: AGAIN on a "nonblock"
 * one.
 */
static int l_eventfd_read(lua_State *L)
{
	return return_count(L, bind_check_fd(L, 1));
}

/*** S.eventfd_write(fd, n) -> true
 * Adds n (1 if not given) to the counter. Errors: AGAIN when it would overflow a "nonblock" one.
 */
static int l_eventfd_write(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	uint64_t n =
		lua_isnoneornil(L, 2) ? 1 : (uint64_t)bind_check_range(L, 2, 0, LUA_MAXINTEGER);
	long rc = sys_result(write(fd, &n, sizeof(n)));

	return bind_return_ok(L, rc < 0 ? rc : 0);
}

/* ---- timers ---- */

/*** S.timerfd_create(clock [, flags]) -> fd
 * A timer that is waited for and read like a file. clock: "monotonic", "realtime", "boottime"…;
 * flags: "nonblock"; always close-on-exec. Source: timerfd_create(2).
 */
static int l_timerfd_create(lua_State *L)
{
	int clock = (int)bind_check_const(L, 1, &bind_set_CLOCK);
	int flags = (int)bind_opt_flags(L, 2, &bind_set_TFD, 0);
	int *slot = bind_new_fd(L);

	return bind_return_fd(L, slot, sys_result(timerfd_create(clock, flags | TFD_CLOEXEC)));
}

static void push_itimerspec(lua_State *L, const struct itimerspec *t)
{
	lua_createtable(L, 0, 2);
	lua_pushnumber(L, clock_seconds(&t->it_value));
	lua_setfield(L, -2, "value");
	lua_pushnumber(L, clock_seconds(&t->it_interval));
	lua_setfield(L, -2, "interval");
}

static struct timespec field_seconds(lua_State *L, int arg, const char *key)
{
	struct timespec t = {0};

	if (lua_getfield(L, arg, key) != LUA_TNIL)
		t = clock_check_seconds(L, -1, arg, key);
	lua_pop(L, 1);
	return t;
}

/*** S.timerfd_settime(fd, flags, {value=seconds, interval=seconds}) -> {value, interval} of before
 * value: seconds until the first expiry (0 stops the timer), with the flag "abstime" a time of its
 * clock; interval: seconds between later ones (0: none). flags: nil, "abstime", "cancel_on_set".
 * Errors: CANCELED. Source: timerfd_settime(2).
 */
static int l_timerfd_settime(lua_State *L)
{
	static const char *const fields[] = {"value", "interval", NULL};
	int fd = bind_check_fd(L, 1);
	int flags = (int)bind_opt_flags(L, 2, &bind_set_TIMER, 0);

	bind_check_fields(L, 3, fields);
	struct itimerspec old, new = {
				       .it_value = field_seconds(L, 3, "value"),
				       .it_interval = field_seconds(L, 3, "interval"),
			       };
	long rc = sys_result(timerfd_settime(fd, flags, &new, &old));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_itimerspec(L, &old);
	return 1;
}

/*** S.timerfd_gettime(fd) -> {value, interval}
 * The seconds left until the next expiry (0: stopped) and between later ones. Source:
 * timerfd_gettime(2).
 */
static int l_timerfd_gettime(lua_State *L)
{
	int fd = bind_check_fd(L, 1);
	struct itimerspec now;
	long rc = sys_result(timerfd_gettime(fd, &now));

	if (rc < 0)
		return bind_error(L, (int)-rc);
	push_itimerspec(L, &now);
	return 1;
}

/*** S.timerfd_read(fd) -> count
 * How often the timer expired since the last read; waits for the first. Errors: AGAIN on a
 * "nonblock" one, CANCELED when the clock was set and the flag "cancel_on_set" given.
 */
static int l_timerfd_read(lua_State *L)
{
	return return_count(L, bind_check_fd(L, 1));
}

static const luaL_Reg functions[] = {
	{"epoll_create", l_epoll_create},
	{"epoll_ctl", l_epoll_ctl},
	{"epoll_wait", l_epoll_wait},
	{"poll", l_poll},
	{"eventfd", l_eventfd},
	{"eventfd_read", l_eventfd_read},
	{"eventfd_write", l_eventfd_write},
	{"timerfd_create", l_timerfd_create},
	{"timerfd_settime", l_timerfd_settime},
	{"timerfd_gettime", l_timerfd_gettime},
	{"timerfd_read", l_timerfd_read},
	{NULL, NULL},
};

void syscall_event(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
	luaL_setfuncs(L, event_watch_functions, 0);
}
