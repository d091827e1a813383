/* SPDX-License-Identifier: MIT */
/* test_lock.c – names that one process at a time can hold
 *
 * A lock has to end with its holder, and the file that it leaves has to be free for the next.
 */
#include <criterion/criterion.h>

#include "lua_state.h"
#include "scratch.h"

Test(lock, one_holder_at_a_time, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local fd = assert(S.take_lock('name'))\n"
		 "assert(S.readfile('name') == 'luge ' .. S.getpid() .. '\\n' and "
		 "S.stat('name').perm == tonumber('600', 8))\n"
		 "local none, err = S.take_lock('name')\n"
		 "assert(not none and err.BUSY and "
		 "err.text:find(tostring(S.getpid()), 1, true), tostring(err))\n"
		 "fd:close()\n"
		 "assert(S.take_lock('name'))\n"
		 "fails('NOENT', S.take_lock('no/such/dir'))\n"
		 "assert(S.symlink('elsewhere', 'trap'))\n"
		 "fails('BUSY', S.take_lock('trap'))\n"
		 "for _, text in ipairs { '', '4711\\n', 'lug' } do\n"
		 "  local file = assert(S.open('mine', 'creat, trunc, wronly'))\n"
		 "  S.write(file, text)\n"
		 "  fails('EXIST', S.take_lock('mine'))\n"
		 "  assert(S.readfile('mine') == text)\n"
		 "end\n"
		 "local slots = { first = 1, step = 1, count = 2 }\n"
		 "assert(S.link('mine', 'slot.1') and S.take_slot('slot.', slots) == 2)\n");
}

Test(lock, ends_with_its_holder, .fini = scratch_remove)
{
	test_lua(scratch_state(), "child(function() assert(S.take_lock('name')) end)\n"
				  "assert(S.stat('name'))\n"
				  "assert(S.take_lock('name'))\n");
}

Test(lock, notes_and_names, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local fd = assert(S.take_lock('name', 'profile x\\n'))\n"
		 "assert(S.note_lock(fd, 'more\\n') and S.note_process(fd, S.getpid()))\n"
		 "assert(S.readfile('name') == ('luge %d\\nprofile x\\nmore\\nprocess %d %d "
		 "%s\\n'):format(S.getpid(), "
		 "S.getpid(), S.process_age(S.getpid()), S.boot_id()))\n"
		 "fails('EXIST', S.ensure_free('name'))\n"
		 "assert(S.symlink('nowhere', 'link'))\n"
		 "fails('EXIST', S.ensure_free('link'))\n"
		 "assert(S.ensure_free('free'))\n"
		 "fails('NOTDIR', S.ensure_free('name/x'))\n");
}

Test(lock, a_file_that_does_not_hold_its_text_is_no_lock, .fini = scratch_remove)
{
	test_lua(scratch_state(), "child(function()\n"
				  "  assert(S.take_lock('old')):close()\n"
				  "  local noted = assert(S.take_lock('noted'))\n"
				  "  local before = S.readfile('noted')\n"
				  "  assert(S.sigaction('xfsz', 'ignore'))\n"
				  "  assert(S.setrlimit('fsize', #before + 3))\n"
				  "  for _, name in ipairs { 'old', 'new' } do\n"
				  "    fails('NOSPC', S.take_lock(name, 'a note\\n'))\n"
				  "    fails('NOENT', S.lstat(name))\n"
				  "  end\n"
				  "  fails('NOSPC', S.note_lock(noted, 'a note\\n'))\n"
				  "  assert(S.readfile('noted') == before)\n"
				  "end)\n");
}

Test(lock, age_of_a_process, .fini = scratch_remove)
{
	test_lua(scratch_state(), "local age = assert(S.process_age(S.getpid()))\n"
				  "assert(age > 0 and age == S.process_age(S.getpid()))\n"
				  "assert(S.process_age(1) < age)\n"
				  "fails('NOENT', S.process_age(1 << 30))\n"
				  "fails('NOENT', S.note_process(1, 1 << 30))\n"
				  "assert(#S.boot_id() == 36)\n"
				  "assert(S.prctl('set_name', ') R 1 2 3'))\n"
				  "assert(S.process_age(S.getpid()) == age)\n");
}

Test(lock, replacefile, .fini = scratch_remove)
{
	test_lua(
		scratch_state(),
		"local dir = assert(S.open('.', 'path, directory'))\n"
		"assert(S.replacefile(dir, 'file', 'one', '0600') and S.readfile('file') == "
		"'one')\n"
		"assert(S.stat('file').perm == tonumber('600', 8))\n"
		"assert(S.symlink('elsewhere', 'link') and S.symlink('elsewhere', 'link.new'))\n"
		"assert(S.replacefile(dir, 'link', 'two') and S.readfile('link') == 'two')\n"
		"assert(S.lstat('link').type == 'file')\n"
		"fails('NOENT', S.lstat('elsewhere'))\n"
		"assert(S.readlink('link.new') == 'elsewhere')\n"
		"assert(S.replacefile(dir, 'link', 'three', nil, false, 'link.new'))\n"
		"assert(S.readfile('link') == 'three')\n"
		"fails('NOENT', S.lstat('link.new'))\n"
		"fails('NOENT', S.lstat('elsewhere'))\n"
		"assert(S.mkdir('sub') and S.mkdir('sub/in'))\n"
		"fails('ISDIR', S.replacefile(dir, 'sub', 'x'))\n"
		"for _, name in ipairs(S.dir('.')) do assert(not name:find('new', 1, true)) end\n");
}

Test(lock, slots_are_distinct_until_none_is_left, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local pool = { first = 1000, step = 10, count = 3 }\n"
		 "local seen = {}\n"
		 "for _ = 1, 3 do\n"
		 "  local slot = assert(S.take_slot('slot.', pool))\n"
		 "  assert(not seen[slot] and slot >= 1000 and slot <= 1020 and slot % 10 == 0)\n"
		 "  seen[slot] = true\n"
		 "end\n"
		 "fails('NOSPC', S.take_slot('slot.', pool))\n"
		 "fails('NOSPC', S.take_slot('slot.', { first = 0, step = 1, count = 0 }))\n"
		 "assert(S.take_slot('other.', { first = 0, step = 10, count = 2, avoid = { { "
		 "first = 9, count = 1 } } }) == "
		 "10)\n"
		 "fails('NOENT', S.take_slot('no/such/', pool))\n");
}

Test(lock, failure_getenv_spawn, .fini = scratch_remove)
{
	test_lua(scratch_state(),
		 "local none, err, number = S.failure('NOENT', 'why')\n"
		 "assert(none == nil and err.NOENT and err.text == 'why' and number == "
		 "S.c.E.NOENT)\n"
		 "assert(tostring(err) == 'No such file or directory: why')\n"
		 "assert(S.getenv('PATH') == os.getenv('PATH'))\n"
		 "fails('NOENT', S.getenv('NO_SUCH_VARIABLE_HERE'))\n"
		 "assert(S.spawn { '/bin/sh', '-c', 'exit 0' })\n"
		 "none, err = S.spawn { '/bin/sh', '-c', 'echo bad luck >&2; exit 3' }\n"
		 "assert(not none and err.CHILD and err.text == 'bad luck', tostring(err))\n"
		 "fails('CHILD', S.spawn { '/no/such/program' })\n");
}
