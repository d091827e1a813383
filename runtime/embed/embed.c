/* SPDX-License-Identifier: MIT */
/* embed.c – a build tool: Lua modules as bytecode, and plain files, into one assembler source
 *
 * embed OUT.S WORKDIR NAME=PATH…    A PATH that ends in .lua becomes unstripped bytecode (a message of the
 * running program names file and line) unless NAME starts with "file:"; those are kept byte for byte.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

static int write_chunk(lua_State *L, const void *p, size_t size, void *ud)
{
	(void)L;
	return fwrite(p, 1, size, ud) != size;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "embed: %s: %s\n", what, why);
	return 1;
}

static int compile(const char *source, const char *target)
{
	lua_State *L = luaL_newstate();

	if (!L)
		return fail(source, "no memory");
	if (luaL_loadfile(L, source) != LUA_OK)
		return fail(source, lua_tostring(L, -1));
	FILE *out = fopen(target, "wb");

	if (!out)
		return fail(target, "cannot write");
	int failed = lua_dump(L, write_chunk, out, 0);

	if (fclose(out) != 0 || failed)
		return fail(target, "cannot write");
	lua_close(L);
	return 0;
}

int main(int argc, char **argv)
{
	char binary[4096];

	if (argc < 3)
		return fail("usage", "embed OUT.S WORKDIR NAME=PATH...");
	FILE *out = fopen(argv[1], "w");

	if (!out)
		return fail(argv[1], "cannot write");
	for (int i = 3; i < argc; i++) {
		char *path = strchr(argv[i], '=');

		if (!path)
			return fail(argv[i], "not NAME=PATH");
		*path++ = '\0';
		snprintf(binary, sizeof(binary), "%s", path);
		size_t len = strlen(path);
		bool is_module = strncmp(argv[i], "file:", 5) != 0 && len > 4 &&
				 !strcmp(path + len - 4, ".lua");

		if (is_module) {
			snprintf(binary, sizeof(binary), "%s/%s.luac", argv[2], argv[i]);
			if (compile(path, binary))
				return 1;
		}
		/* A program that has its modules in memory does not read these. */
		fprintf(out, "\t.section %s,\"a\"\n", is_module ? ".modules" : ".rodata");
		fprintf(out, "\t.balign 16\ndata%d:\t.incbin \"%s\"\nend%d:\n\t.byte 0\n", i,
			binary, i);
	}
	/* Side by side, so that a search of the names touches few pages. */
	fprintf(out, "\t.section .rodata\n");
	for (int i = 3; i < argc; i++)
		fprintf(out, "name%d:\t.asciz \"%s\"\n", i, argv[i]);
	fprintf(out, "\t.section .data.rel.ro,\"aw\"\n\t.balign 8\n\t.globl embedded_files\n"
		     "embedded_files:\n");
	for (int i = 3; i < argc; i++)
		fprintf(out, "\t.quad name%d, data%d, end%d - data%d\n", i, i, i, i);
	fprintf(out, "\t.quad 0, 0, 0\n\t.section .note.GNU-stack,\"\",%%progbits\n");
	return fclose(out) ? fail(argv[1], "cannot write") : 0;
}
