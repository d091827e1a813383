/* SPDX-License-Identifier: MIT */
/* order_image.c – require "luge.order_image": the bytes of the stage's orders, as they grow
 *
 * runtime/stage/stage.h has the layout: data that records point to, and the records. sandbox/container/order_image.lua
 * says what a step's arguments are as numbers, orders.lua and furnish.lua which calls a step is; a start has some
 * hundred of these. The module is a function of the names' numbers (luge.stage's kinds and calls), since the preprocessor
 * knows them; the functions that it returns take a table that holds the image at 1. An image owns its memory and is
 * collected.
 */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "stage/stage.h"

/* The upvalues of each function. */
#define KINDS	  lua_upvalueindex(1)
#define CALLS	  lua_upvalueindex(2)
#define METATABLE lua_upvalueindex(3)

struct bytes {
	char *at;
	size_t used, room;
};

/* The user value is a table: the address of each text that is in the data. */
struct image {
	struct bytes data, records;
	uint32_t step;
	uint16_t tolerate;
};

/* Without a position: what is wrong is the plan's, not the line that encodes it. */
_Noreturn static void fail(lua_State *L, const char *format, const char *what)
{
	lua_pushfstring(L, format, what);
	(void)lua_error(L);
	abort(); /* not reached */
}

/* ---- memory ---- */

enum { FIRST_ROOM = 4096 };

/* Lua's memory, which a start has at hand (heap.c). */
static char *resize(lua_State *L, const struct bytes *bytes, size_t room)
{
	void *context;
	lua_Alloc allocate = lua_getallocf(L, &context);

	return allocate(context, bytes->at, bytes->at ? bytes->room : 0, room);
}

static void *grow(lua_State *L, struct bytes *bytes, size_t size)
{
	if (!bytes->at || bytes->used + size > bytes->room) {
		size_t room = FIRST_ROOM + 2 * (bytes->used + size);
		char *at = resize(L, bytes, room);

		if (!at)
			fail(L, "no memory for the stage's orders", NULL);
		bytes->at = at;
		bytes->room = room;
	}
	bytes->used += size;
	return bytes->at + bytes->used - size;
}

/* The first bytes, of which there may be none yet. */
static void copy(char *to, const struct bytes *from, size_t size)
{
	if (from->at)
		memcpy(to, from->at, size);
}

static int image_collect(lua_State *L)
{
	struct image *image = lua_touserdata(L, 1);

	(void)resize(L, &image->data, 0);
	(void)resize(L, &image->records, 0);
	*image = (struct image){0};
	return 0;
}

/* new(): an image without data and records. */
static int image_new(lua_State *L)
{
	struct image *image = lua_newuserdata(L, sizeof(*image));

	*image = (struct image){0};
	lua_pushvalue(L, METATABLE);
	lua_setmetatable(L, -2);
	lua_newtable(L);
	lua_setuservalue(L, -2);
	return 1;
}

/* The table at 1 holds the userdata, and with it the image. */
static struct image *check_image(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	if (lua_rawgeti(L, 1, 1) != LUA_TUSERDATA || !lua_getmetatable(L, -1) ||
	    !lua_rawequal(L, -1, METATABLE))
		fail(L, "the image of the stage's orders expected", NULL);
	struct image *image = lua_touserdata(L, -2);

	lua_pop(L, 2);
	return image;
}

/* ---- data ---- */

static lua_Integer address_of(const struct image *image, const void *at)
{
	return (lua_Integer)STAGE_BASE + STAGE_HEADER_SIZE + ((const char *)at - image->data.at);
}

static lua_Integer put(lua_State *L, struct image *image, const char *bytes, size_t size)
{
	char *at = grow(L, &image->data, size);

	memcpy(at, bytes, size);
	return address_of(image, at);
}

/* What follows is aligned for any type. */
static void align(lua_State *L, struct image *image)
{
	static const char zeros[8];

	(void)put(L, image, zeros, -image->data.used % sizeof(zeros));
}

static const char *check_text(lua_State *L, int index, size_t *ret_size)
{
	const char *text =
		lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, ret_size) : NULL;

	if (!text || memchr(text, '\0', *ret_size)) {
		fail(L, "a string without NUL bytes expected", NULL);
	}
	return text;
}

/* put(image, bytes): their address, which is aligned. */
static int image_put(lua_State *L)
{
	size_t size;
	const char *bytes = luaL_checklstring(L, 2, &size);
	struct image *image = check_image(L);

	align(L, image);
	lua_pushinteger(L, put(L, image, bytes, size));
	return 1;
}

/* put_string(image, text): its address; each text is there once, since nothing writes to the image. */
static int image_put_string(lua_State *L)
{
	size_t size;
	const char *text = check_text(L, 2, &size);
	struct image *image = check_image(L);

	lua_rawgeti(L, 1, 1);
	lua_getuservalue(L, -1);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) == LUA_TNUMBER)
		return 1;
	lua_Integer address = put(L, image, text, size + 1);

	lua_pushvalue(L, 2);
	lua_pushinteger(L, address);
	lua_rawset(L, -4);
	lua_pushinteger(L, address);
	return 1;
}

/* put_vector(image, texts): the address of a vector of pointers to them, ended by NULL. */
static int image_put_vector(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	struct image *image = check_image(L);
	lua_Integer count = (lua_Integer)lua_rawlen(L, 2);

	align(L, image);
	size_t size = ((size_t)count + 1) * sizeof(uint64_t);
	size_t vector = (size_t)((char *)grow(L, &image->data, size) - image->data.at);

	memset(image->data.at + vector, 0, size);
	for (lua_Integer i = 1; i <= count; i++) {
		size_t length;

		lua_rawgeti(L, 2, i);
		const char *text = check_text(L, -1, &length);
		uint64_t address = (uint64_t)put(L, image, text, length + 1);

		memcpy(image->data.at + vector + ((size_t)i - 1) * sizeof(address), &address,
		       sizeof(address));
		lua_pop(L, 1);
	}
	lua_pushinteger(L, address_of(image, image->data.at + vector));
	return 1;
}

/* ---- records ---- */

static uint64_t check_integer(lua_State *L, int index)
{
	int is_integer = 0;
	lua_Integer value = 0;

	if (lua_isnoneornil(L, index))
		return 0;
	if (lua_isboolean(L, index))
		return (uint64_t)lua_toboolean(L, index);
	if (lua_type(L, index) == LUA_TNUMBER)
		value = lua_tointegerx(L, index, &is_integer);
	if (!is_integer) {
		fail(L, "an integer expected, got %s", luaL_tolstring(L, index, NULL));
	}
	return (uint64_t)value;
}

/* The number of the name at index 2. */
static lua_Integer check_name(lua_State *L, int names)
{
	lua_pushvalue(L, 2);
	if (lua_rawget(L, names) != LUA_TNUMBER)
		fail(L, "the stage knows no '%s'", luaL_tolstring(L, 2, NULL));
	lua_Integer number = lua_tointeger(L, -1);

	lua_pop(L, 1);
	return number;
}

enum { ARGUMENTS = sizeof(((struct stage_record *)NULL)->args) / sizeof(uint64_t) };

/* A record whose arguments lie from `first` on. */
static void append(lua_State *L, uint16_t kind, uint64_t nr, int first)
{
	int count = lua_gettop(L) - first + 1;

	if (count > ARGUMENTS)
		fail(L, "a system call has six arguments", NULL);
	struct image *image = check_image(L);
	struct stage_record record = {
		.kind = kind, .tolerate = image->tolerate, .step = image->step, .nr = nr};

	for (int i = 0; i < count; i++)
		record.args[i] = check_integer(L, first + i);
	memcpy(grow(L, &image->records, sizeof(record)), &record, sizeof(record));
}

/* add(image, kind, nr, …): a record of that kind; its arguments are integers, and nil, false and true are 0, 0 and 1. */
static int image_add(lua_State *L)
{
	uint16_t kind = (uint16_t)check_name(L, KINDS);

	append(L, kind, lua_isnone(L, 3) ? 0 : check_integer(L, 3), 4);
	return 0;
}

/* call(image, name, …): the record of a system call. */
static int image_call(lua_State *L)
{
	uint64_t nr = (uint64_t)check_name(L, CALLS);

	append(L, STAGE_CALL, nr, 3);
	return 0;
}

/* step(image, index, tolerate): what the next records are a part of, and which error of theirs is none. */
static int image_step(lua_State *L)
{
	struct image *image = check_image(L);

	image->step = (uint32_t)check_integer(L, 2);
	image->tolerate = (uint16_t)check_integer(L, 3);
	return 0;
}

/* tolerate(image, number): the same error for the next records only; returns what it was. */
static int image_tolerate(lua_State *L)
{
	struct image *image = check_image(L);

	lua_pushinteger(L, image->tolerate);
	image->tolerate = (uint16_t)check_integer(L, 2);
	return 1;
}

/* tobytes(image, status, lifeline, go, channel): the whole. */
static int image_tobytes(lua_State *L)
{
	struct image *image = check_image(L);
	static const char zeros[8]; /* no string runs over the end */

	align(L, image); /* the records are aligned too */
	size_t records = sizeof(struct stage_header) + image->data.used;
	size_t size = records + image->records.used + sizeof(zeros);

	if (size > STAGE_SIZE_MAX)
		fail(L, "the command and its environment are too long", NULL);
	struct stage_header header = {
		.magic = STAGE_MAGIC,
		.size = (uint32_t)size,
		.records = (uint32_t)records,
		.record_count = (uint32_t)(image->records.used / sizeof(struct stage_record)),
		.status = (int32_t)luaL_checkinteger(L, 2),
		.lifeline = (int32_t)luaL_checkinteger(L, 3),
		.go = (int32_t)luaL_optinteger(L, 4, -1),
		.channel = (int32_t)luaL_optinteger(L, 5, 0),
	};
	luaL_Buffer all;
	char *at = luaL_buffinitsize(L, &all, size);

	memcpy(at, &header, sizeof(header));
	copy(at + sizeof(header), &image->data, image->data.used);
	copy(at + records, &image->records, image->records.used);
	memcpy(at + size - sizeof(zeros), zeros, sizeof(zeros));
	luaL_pushresultsize(&all, size);
	return 1;
}

static const luaL_Reg functions[] = {
	{"new", image_new},
	{"put", image_put},
	{"put_string", image_put_string},
	{"put_vector", image_put_vector},
	{"add", image_add},
	{"call", image_call},
	{"step", image_step},
	{"tolerate", image_tolerate},
	{"tobytes", image_tobytes},
	{NULL, NULL},
};

/* require "luge.order_image"(kinds, calls) */
static int make_functions(lua_State *L)
{
	lua_settop(L, 2);
	luaL_newlibtable(L, functions);
	lua_insert(L, 1);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, image_collect);
	lua_setfield(L, -2, "__gc");
	luaL_setfuncs(L, functions, 3);
	return 1;
}

int luaopen_luge_order_image(lua_State *L)
{
	lua_pushcfunction(L, make_functions);
	return 1;
}
