/* SPDX-License-Identifier: MIT */
/* scratch.c – a directory for a unit test */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <lua.h>

#include "lua_state.h"

static char directory[256];

static const char helpers[] = "local skipped = skip\n"
			      "function skip(reason)\n"
			      "  remove_scratch()\n"
			      "  skipped(reason)\n"
			      "end\n"
			      "function newns(f)\n"
			      "  userns(function()\n"
			      "    assert(S.unshare('newns'))\n"
			      "    assert(S.mount { target = '/', flags = 'rec, private' })\n"
			      "    f()\n"
			      "  end)\n"
			      "end\n";

/* Criterion leaves .fini out when a test skips itself. */
static int remove_scratch(lua_State *L)
{
	(void)L;
	scratch_remove();
	return 0;
}

lua_State *scratch_state(void)
{
	const char *parent = getenv("TMPDIR");
	lua_State *L = test_state();

	snprintf(directory, sizeof(directory), "%s/luge-unit.XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(directory) || chdir(directory) != 0)
		cr_fatal("no directory for the test: %s", directory);
	lua_register(L, "remove_scratch", remove_scratch);
	test_lua(L, helpers);
	return L;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void scratch_remove(void)
{
	if (directory[0])
		(void)nftw(directory, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	directory[0] = '\0';
}
