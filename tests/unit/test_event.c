/* SPDX-License-Identifier: MIT */
/* test_event.c – epoll, poll, eventfd, timerfd and inotify, against the kernel */
#include <criterion/criterion.h>

#include "lua_state.h"

Test(event, epoll_tells_who_is_ready)
{
	test_lua(test_state(), "local ep = assert(S.epoll_create())\n"
			       "local a, b = S.socketpair('unix', 'stream')\n"
			       "assert(S.epoll_ctl(ep, 'add', a, 'in, rdhup'))\n"
			       "assert(S.epoll_ctl(ep, 'add', b, 'EPOLLIN'))\n"
			       "assert(#S.epoll_wait(ep, 8, 0) == 0)\n"
			       "S.send(a, 'x')\n"
			       "local ready = assert(S.epoll_wait(ep))\n"
			       "assert(#ready == 1 and ready[1].fd == b:getfd())\n"
			       "assert(#ready[1].events == 1 and ready[1].events[1] == 'in' and "
			       "ready[1].events['in'] == true)\n"
			       "assert(S.close(b))\n"
			       "ready = S.epoll_wait(ep, 8, -1)\n"
			       "local events = ready[1].events\n"
			       "assert(ready[1].fd == a:getfd() and events['in'] and events.hup "
			       "and events.rdhup)\n");
}

Test(event, epoll_gives_at_most_max)
{
	test_lua(test_state(), "local ep = S.epoll_create('cloexec')\n"
			       "local fds = {}\n"
			       "for i = 1, 5 do\n"
			       "  fds[i] = assert(S.eventfd(1))\n"
			       "  assert(S.epoll_ctl(ep, 'add', fds[i], 'in'))\n"
			       "end\n"
			       "assert(#S.epoll_wait(ep, 3, 0) == 3)\n"
			       "assert(#S.epoll_wait(ep, nil, 0) == 5)\n"
			       "raises('not within 1', S.epoll_wait, ep, 0)\n"
			       "raises('not within 1', S.epoll_wait, ep, 1 << 40)\n");
}

Test(event, epoll_ctl_changes_and_removes)
{
	test_lua(test_state(),
		 "local ep, e = S.epoll_create(), S.eventfd(1)\n"
		 "assert(S.epoll_ctl(ep, 'add', e, 'in'))\n"
		 "fails('EXIST', S.epoll_ctl(ep, 'add', e, 'in'))\n"
		 "assert(S.epoll_ctl(ep, 'mod', e, 'out'))\n"
		 "assert(S.epoll_wait(ep, 1, 0)[1].events.out)\n"
		 "assert(S.epoll_ctl(ep, 'mod', e, {'in', 'oneshot'}))\n"
		 "assert(#S.epoll_wait(ep, 1, 0) == 1 and #S.epoll_wait(ep, 1, 0) == 0)\n"
		 "assert(S.epoll_ctl(ep, 'del', e))\n"
		 "fails('NOENT', S.epoll_ctl(ep, 'del', e))\n"
		 "raises(\"did you mean 'del'\", S.epoll_ctl, ep, 'dell', e)\n"
		 "raises('S.c.EPOLL expected', S.epoll_ctl, ep, 'add', e, 'inn')\n"
		 "raises('a descriptor expected', S.epoll_ctl, ep, 'add', {}, 'in')\n");
}

Test(event, epoll_refuses_what_it_cannot_wait_for)
{
	test_lua(test_state(), "local ep = S.epoll_create()\n"
			       "fails('BADF', S.epoll_ctl(ep, 'add', 9999, 'in'))\n"
			       "fails('INVAL', S.epoll_wait(S.eventfd(), 1, 0))\n");
}

Test(event, timeouts_are_checked)
{
	test_lua(test_state(), "local ep = S.epoll_create()\n"
			       "raises('not-a-number', S.epoll_wait, ep, 1, 0/0)\n"
			       "raises('number expected', S.epoll_wait, ep, 1, {})\n"
			       "assert(#S.epoll_wait(ep, 1, 0.2) == 0)\n"
			       "local before = S.clock_gettime('monotonic')\n"
			       "assert(#S.epoll_wait(ep, 1, 20) == 0)\n"
			       "assert(S.clock_gettime('monotonic') - before >= 0.0199)\n");
}

Test(event, a_closed_descriptor_raises)
{
	test_lua(test_state(), "local ep, e = S.epoll_create(), S.eventfd()\n"
			       "assert(S.close(e))\n"
			       "raises('closed', S.epoll_ctl, ep, 'add', e, 'in')\n"
			       "raises('closed', S.eventfd_read, e)\n");
}

Test(event, poll_tells_who_is_ready)
{
	test_lua(
		test_state(),
		"local a, b = S.socketpair('unix', 'stream')\n"
		"local list = { { a, 'in, out' }, { fd = b, events = 'POLLIN' } }\n"
		"local ready = assert(S.poll(list, 0))\n"
		"assert(#ready == 1 and ready[1].fd == a:getfd() and ready[1].events[1] == 'out')\n"
		"S.send(a, 'x')\n"
		"ready = S.poll(list)\n"
		"assert(#ready == 2 and ready[2].fd == b:getfd() and ready[2].events['in'])\n"
		"assert(list[1][1] == a and #list == 2) -- the caller's table stays as it was\n"
		"local closed = b:getfd()\n"
		"assert(S.close(b))\n"
		"ready = S.poll({ { closed, 'in' }, { a, '' } }, 0)\n"
		"assert(ready[1].events.nval and ready[2].events.hup)\n");
}

Test(event, poll_checks_its_list)
{
	test_lua(test_state(), "local e = S.eventfd()\n"
			       "assert(#S.poll({}, 0) == 0)\n"
			       "assert(#S.poll({ { e, 'in' } }, 1) == 0)\n"
			       "raises('table expected', S.poll, 'x')\n"
			       "raises('a list of {fd, events} expected', S.poll, { e })\n"
			       "raises('a descriptor expected', S.poll, { { 'x', 'in' } })\n"
			       "raises(\"did you mean 'in'\", S.poll, { { e, 'inn' } })\n"
			       "raises('S.c.POLL', S.poll, { { e } })\n");
}

Test(event, eventfd_counts)
{
	test_lua(test_state(),
		 "local e = assert(S.eventfd(3, 'nonblock'))\n"
		 "assert(S.eventfd_write(e, 4) and S.eventfd_write(e))\n"
		 "assert(S.eventfd_read(e) == 8)\n"
		 "fails('AGAIN', S.eventfd_read(e))\n"
		 "local semaphore = S.eventfd(2, 'nonblock, semaphore')\n"
		 "assert(S.eventfd_read(semaphore) == 1 and S.eventfd_read(semaphore) == 1)\n"
		 "fails('AGAIN', S.eventfd_read(semaphore))\n"
		 "assert(S.eventfd_write(e, math.maxinteger) and S.eventfd_write(e, "
		 "math.maxinteger))\n"
		 "fails('AGAIN', S.eventfd_write(e, 2))\n"
		 "raises('not within', S.eventfd, -1)\n"
		 "raises('not within', S.eventfd_write, e, -1)\n"
		 "raises('S.c.EFD', S.eventfd, 0, 'nonblok')\n");
}

Test(event, timerfd_expires_once)
{
	test_lua(test_state(),
		 "local t = assert(S.timerfd_create('monotonic', 'nonblock'))\n"
		 "fails('AGAIN', S.timerfd_read(t))\n"
		 "local old = assert(S.timerfd_settime(t, nil, { value = 1000, interval = 2.5 }))\n"
		 "assert(old.value == 0 and old.interval == 0)\n"
		 "local now = assert(S.timerfd_gettime(t))\n"
		 "assert(now.value > 990 and now.value <= 1000 and now.interval == 2.5)\n"
		 "old = S.timerfd_settime(t, nil, { value = 0.001 })\n"
		 "assert(old.interval == 2.5)\n"
		 "assert(S.poll({ { t, 'in' } })[1].events['in'])\n"
		 "assert(S.timerfd_read(t) == 1)\n"
		 "assert(S.timerfd_gettime(t).value == 0)\n");
}

Test(event, timerfd_knows_absolute_times)
{
	test_lua(test_state(),
		 "local t = assert(S.timerfd_create('boottime'))\n"
		 "assert(S.timerfd_settime(t, 'abstime', { value = 1e-9, interval = 0.001 }))\n"
		 "assert(S.timerfd_read(t) > 1) -- long ago, and each interval since\n"
		 "assert(S.timerfd_settime(t, nil, {}))\n"
		 "assert(S.timerfd_gettime(t).value == 0)\n");
}

Test(event, the_shortest_time_does_not_stop_a_timer)
{
	test_lua(test_state(), "local t = assert(S.timerfd_create('monotonic'))\n"
			       "assert(S.timerfd_settime(t, nil, { value = 1e-12 }))\n"
			       "assert(S.timerfd_read(t) == 1)\n");
}

Test(event, timerfd_checks_its_arguments)
{
	test_lua(test_state(),
		 "local t = S.timerfd_create('realtime')\n"
		 "raises(\"did you mean 'value'\", S.timerfd_settime, t, nil, { valu = 1 })\n"
		 "raises('value: a number of seconds expected', S.timerfd_settime, t, nil, { value "
		 "= '1' })\n"
		 "raises('interval: -1', S.timerfd_settime, t, nil, { interval = -1 })\n"
		 "raises('no number of seconds', S.timerfd_settime, t, nil, { value = 0/0 })\n"
		 "raises('no number of seconds', S.timerfd_settime, t, nil, { value = 1/0 })\n"
		 "raises('table expected', S.timerfd_settime, t, nil, 5)\n"
		 "raises('S.c.CLOCK', S.timerfd_create, 'monotone')\n"
		 "raises('S.c.TIMER', S.timerfd_settime, t, 'absolute', { value = 1 })\n"
		 "fails('INVAL', S.timerfd_create(77))\n"
		 "fails('INVAL', S.timerfd_gettime(S.eventfd()))\n");
}

Test(event, inotify_tells_of_files)
{
	test_lua(
		test_state(),
		"local folder = assert(io.popen('mktemp -d')):read('l')\n"
		"local fd = assert(S.inotify_init('nonblock'))\n"
		"fails('AGAIN', S.inotify_read(fd))\n"
		"local watch = assert(S.inotify_add_watch(fd, folder, 'create, moved_from, "
		"moved_to, onlydir'))\n"
		"io.open(folder .. '/a', 'w'):close()\n"
		"os.rename(folder .. '/a', folder .. '/b')\n"
		"local list = assert(S.inotify_read(fd))\n"
		"assert(#list == 3)\n"
		"assert(list[1].watch == watch and list[1].name == 'a' and list[1].events.create)\n"
		"assert(list[1].cookie == nil and list[2].cookie == list[3].cookie)\n"
		"assert(list[2].events.moved_from and list[3].events.moved_to and list[3].name == "
		"'b')\n"
		"assert(S.inotify_rm_watch(fd, watch))\n"
		"assert(S.inotify_read(fd)[1].events.ignored)\n"
		"fails('INVAL', S.inotify_rm_watch(fd, watch))\n"
		"fails('NOENT', S.inotify_add_watch(fd, folder .. '/none', 'create'))\n"
		"fails('NOTDIR', S.inotify_add_watch(fd, folder .. '/b', 'create, onlydir'))\n"
		"raises('S.c.IN ', S.inotify_add_watch, fd, folder, 'creat')\n"
		"os.remove(folder .. '/b')\n"
		"os.remove(folder)\n");
}

Test(event, poll_counts_what_the_list_holds)
{
	test_lua(test_state(),
		 "local list = setmetatable({ { fd = 1, events = 'in' } }, { __len = function() "
		 "return (1 << "
		 "61) + 1 end, __index = function() return { fd = 1, events = 'in' } end })\n"
		 "assert(S.poll(list, 0))\n");
}
