/* SPDX-License-Identifier: MIT */
/* json.c – the module "luge.json": encode(value, {pretty=}) and decode(text)
 *
 * Reports, plans and bundles are JSON. Reading is json-c's work (its integers have 64 bits,
 * exactly, where JSON in plain Lua mostly goes through doubles); writing is short and done here, so
 * that keys are sorted, equal values give equal bytes, and what a container named with bytes that
 * are no UTF-8 still gives valid JSON.
 *
 *   json.null       null; a field that is nil is absent
 *   json.array(t)   marks t, so that it is a list even when empty; decode marks its lists
 *   json.encode     a table with elements 1…n is a list, one with string keys an object, an empty
 * one {}; anything else raises: mixed keys, functions, NaN, infinity, depth over MAX_DEPTH
 *   json.decode     the value, or nil and a message with line and column; an integer beyond 64 bits
 * is a float
 *
 * What the frames below need freed is owned by a userdata: they can raise at any allocation.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <lauxlib.h>
#include <lua.h>

enum { MAX_DEPTH = 64 };

#define ARRAY_META  "luge.json.array"
#define BUFFER_META "luge.json.buffer"
#define PARSER_META "luge.json.parser"

/* ---- writing ---- */

/* A luaL_Buffer would want the stack balanced between its calls; a walk through tables is not. */
struct encoder {
	lua_State *L;
	char *text;
	size_t size, capacity;
	bool pretty;
};

static void encode_value(struct encoder *e, int depth);

static void put(struct encoder *e, const char *text, size_t size)
{
	if (e->capacity - e->size < size) {
		size_t capacity = (e->capacity + size) * 2;
		char *bigger = realloc(e->text, capacity);

		if (!bigger)
			luaL_error(e->L, "not enough memory");
		e->text = bigger;
		e->capacity = capacity;
	}
	if (size > 0)
		memcpy(e->text + e->size, text, size);
	e->size += size;
}

static void put_string(struct encoder *e, const char *text)
{
	put(e, text, strlen(text));
}

static void new_line(struct encoder *e, int depth)
{
	if (!e->pretty)
		return;
	put_string(e, "\n");
	for (int i = 0; i < depth; i++)
		put_string(e, "  ");
}

/* The length of the UTF-8 sequence at p, or 0 where there is none (RFC 3629, section 4: no overlong
 * forms, no surrogates, nothing over U+10FFFF). */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
	static const struct {
		unsigned char first, last, low, high, length;
	} forms[] = {
		{0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t n = forms[i].length;

		if (*p < forms[i].first || *p > forms[i].last)
			continue;
		if ((size_t)(end - p) < n ||
		    (n > 1 && (p[1] < forms[i].low || p[1] > forms[i].high)))
			return 0;
		for (size_t k = 2; k < n; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return n;
	}
	return 0;
}

static void encode_character(struct encoder *e, const unsigned char *p, size_t n)
{
	static const char codes[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *code = n == 1 && *p ? strchr(codes, *p) : NULL;
	char text[8];

	if (n == 0) {
		put_string(e, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
	} else if (code) {
		snprintf(text, sizeof(text), "\\%c", letters[code - codes]);
		put_string(e, text);
	} else if (*p < ' ' || *p == 0x7f) {
		snprintf(text, sizeof(text), "\\u%04x", *p);
		put_string(e, text);
	} else if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) {
		/* U+0080 to U+009F: a terminal obeys these too (CSI), and what is shown may be a guest's */
		snprintf(text, sizeof(text), "\\u%04x", p[1]);
		put_string(e, text);
	} else {
		put(e, (const char *)p, n);
	}
}

static void encode_string(struct encoder *e, int index)
{
	size_t size;
	const char *text = lua_tolstring(e->L, index, &size);
	const unsigned char *p = (const unsigned char *)text, *end = p + size;

	put_string(e, "\"");
	while (p < end) {
		size_t n = utf8_length(p, end);

		encode_character(e, p, n);
		p += n ? n : 1;
	}
	put_string(e, "\"");
}

static void encode_number(struct encoder *e)
{
	char text[40];

	if (lua_isinteger(e->L, -1)) {
		snprintf(text, sizeof(text), "%lld", (long long)lua_tointeger(e->L, -1));
		put_string(e, text);
		return;
	}
	lua_Number v = lua_tonumber(e->L, -1);

	if (!isfinite(v))
		luaL_error(e->L, "JSON has no number for NaN or infinity");
	/* The shortest form that reads back as the same double. */
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	put_string(e, text);
	if (!strpbrk(text, ".e"))
		put_string(e, ".0");
}

static void encode_list(struct encoder *e, lua_Integer n, int depth)
{
	put_string(e, "[");
	for (lua_Integer i = 1; i <= n; i++) {
		if (i > 1)
			put_string(e, ",");
		new_line(e, depth + 1);
		lua_rawgeti(e->L, -1, i);
		encode_value(e, depth + 1);
		lua_pop(e->L, 1);
	}
	if (n > 0)
		new_line(e, depth);
	put_string(e, "]");
}

/* Pushes the sorted list of the keys of the table at the top; returns how many there are. */
static lua_Integer push_keys(struct encoder *e)
{
	lua_State *L = e->L;
	lua_Integer n = 0;

	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, -3)) {
		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L,
				   "a table with keys of type %s is neither a list nor an object "
				   "of JSON",
				   luaL_typename(L, -1));
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, ++n);
	}
	lua_getfield(L, LUA_REGISTRYINDEX, "luge.json.sort");
	lua_pushvalue(L, -2);
	lua_call(L, 1, 0);
	return n;
}

static void encode_object(struct encoder *e, int depth)
{
	lua_State *L = e->L;
	lua_Integer n = push_keys(e);

	put_string(e, "{");
	for (lua_Integer i = 1; i <= n; i++) {
		if (i > 1)
			put_string(e, ",");
		new_line(e, depth + 1);
		lua_rawgeti(L, -1, i);
		encode_string(e, -1);
		put_string(e, e->pretty ? ": " : ":");
		lua_rawget(L, -3);
		encode_value(e, depth + 1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	if (n > 0)
		new_line(e, depth);
	put_string(e, "}");
}

static bool is_marked_list(lua_State *L)
{
	if (!lua_getmetatable(L, -1))
		return false;
	luaL_getmetatable(L, ARRAY_META);
	bool same = lua_rawequal(L, -1, -2);

	lua_pop(L, 2);
	return same;
}

static void encode_table(struct encoder *e, int depth)
{
	lua_State *L = e->L;
	lua_Integer n = (lua_Integer)lua_rawlen(L, -1), keys = 0;

	if (depth >= MAX_DEPTH)
		luaL_error(L, "JSON deeper than %d levels, or a table that holds itself",
			   MAX_DEPTH);
	luaL_checkstack(L, 8, "JSON");
	if (n == 0 && !is_marked_list(L)) {
		encode_object(e, depth);
		return;
	}
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		keys++;
	if (keys != n)
		luaL_error(L,
			   "a table with other keys beside its elements is neither a list nor an "
			   "object of JSON");
	encode_list(e, n, depth);
}

/* The value at the top of the stack, which stays. */
static void encode_value(struct encoder *e, int depth)
{
	lua_State *L = e->L;

	switch (lua_type(L, -1)) {
	case LUA_TBOOLEAN:
		put_string(e, lua_toboolean(L, -1) ? "true" : "false");
		return;
	case LUA_TNUMBER:
		encode_number(e);
		return;
	case LUA_TSTRING:
		encode_string(e, -1);
		return;
	case LUA_TTABLE:
		encode_table(e, depth);
		return;
	case LUA_TLIGHTUSERDATA:
		if (!lua_touserdata(L, -1)) {
			put_string(e, "null");
			return;
		}
		break;
	default:
		break;
	}
	luaL_error(L, "JSON has no value of type %s", luaL_typename(L, -1));
}

static int encoder_free(lua_State *L)
{
	struct encoder *e = luaL_checkudata(L, 1, BUFFER_META);

	free(e->text);
	*e = (struct encoder){0};
	return 0;
}

static int json_encode(lua_State *L)
{
	luaL_checkany(L, 1);
	if (!lua_isnoneornil(L, 2))
		luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	struct encoder *e = lua_newuserdata(L, sizeof(*e));

	*e = (struct encoder){.L = L};
	luaL_setmetatable(L, BUFFER_META);
	if (lua_istable(L, 2)) {
		lua_getfield(L, 2, "pretty");
		e->pretty = lua_toboolean(L, -1);
	}
	lua_pushvalue(L, 1);
	encode_value(e, 0);
	lua_pushlstring(L, e->text, e->size);
	return 1;
}

/* ---- reading ---- */

struct parser {
	struct json_tokener *tokener;
	struct json_object *root;
};

static int parser_free(lua_State *L)
{
	struct parser *p = luaL_checkudata(L, 1, PARSER_META);

	if (p->root)
		json_object_put(p->root);
	if (p->tokener)
		json_tokener_free(p->tokener);
	*p = (struct parser){0};
	return 0;
}

static void push_value(lua_State *L, struct json_object *o);

static void push_list(lua_State *L, struct json_object *o)
{
	size_t n = json_object_array_length(o);

	lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
	for (size_t i = 0; i < n; i++) {
		push_value(L, json_object_array_get_idx(o, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	luaL_setmetatable(L, ARRAY_META);
}

static void push_object(lua_State *L, struct json_object *o)
{
	lua_newtable(L);
	json_object_object_foreach(o, key, value)
	{
		push_value(L, value);
		lua_setfield(L, -2, key);
	}
}

static void push_integer(lua_State *L, struct json_object *o)
{
	uint64_t large = json_object_get_uint64(o);

	if (large > INT64_MAX)
		lua_pushnumber(L, (lua_Number)large);
	else
		lua_pushinteger(L, json_object_get_int64(o));
}

static void push_value(lua_State *L, struct json_object *o)
{
	luaL_checkstack(L, 8, "JSON");
	switch (json_object_get_type(o)) {
	case json_type_null:
		lua_pushlightuserdata(L, NULL);
		return;
	case json_type_boolean:
		lua_pushboolean(L, json_object_get_boolean(o));
		return;
	case json_type_int:
		push_integer(L, o);
		return;
	case json_type_double:
		lua_pushnumber(L, json_object_get_double(o));
		return;
	case json_type_string:
		lua_pushlstring(L, json_object_get_string(o),
				(size_t)json_object_get_string_len(o));
		return;
	case json_type_array:
		push_list(L, o);
		return;
	case json_type_object:
		push_object(L, o);
		return;
	}
}

static int parse_error(lua_State *L, const char *text, size_t offset, const char *what)
{
	int line = 1, column = 1;

	for (size_t i = 0; i < offset; i++) {
		column++;
		if (text[i] == '\n') {
			line++;
			column = 1;
		}
	}
	lua_pushnil(L);
	lua_pushfstring(L, "JSON, line %d, column %d: %s", line, column, what);
	return 2;
}

/* json-c takes more than JSON even when it is strict: 'text', NaN, Infinity. The offset of the
 * first byte outside of strings that no JSON has, or size. */
static size_t find_foreign(const char *text, size_t size)
{
	bool quoted = false;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		else if (quoted && text[i] == '\\')
			i++;
		else if (!quoted &&
			 (!text[i] || !strchr("{}[]:,0123456789+-.eEtrufalsn \t\r\n", text[i])))
			return i;
	}
	return size;
}

static int json_decode(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	if (size >= INT32_MAX)
		return parse_error(L, text, 0, "larger than 2 GiB");
	size_t foreign = find_foreign(text, size);

	if (foreign < size)
		return parse_error(L, text, foreign, "unexpected character");
	struct parser *p = lua_newuserdata(L, sizeof(*p));

	*p = (struct parser){0};
	luaL_setmetatable(L, PARSER_META);
	p->tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!p->tokener)
		return luaL_error(L, "not enough memory");
	json_tokener_set_flags(p->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* The NUL that ends the Lua string goes in as well: without it a number at the end might go
	 * on. */
	p->root = json_tokener_parse_ex(p->tokener, text, (int)size + 1);

	enum json_tokener_error error = json_tokener_get_error(p->tokener);
	size_t end = json_tokener_get_parse_end(p->tokener);

	if (error == json_tokener_continue || error == json_tokener_error_parse_eof ||
	    (error != json_tokener_success && end >= size))
		return parse_error(L, text, size, "ends too early");
	if (error != json_tokener_success)
		return parse_error(L, text, end, json_tokener_error_desc(error));
	end += strspn(text + end, " \t\r\n");
	if (end < size)
		return parse_error(L, text, end, "something follows the value");
	push_value(L, p->root);
	return 1;
}

/* ---- the module ---- */

static int json_array(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	luaL_setmetatable(L, ARRAY_META);
	return 1;
}

static void new_class(lua_State *L, const char *name, lua_CFunction free_function)
{
	luaL_newmetatable(L, name);
	lua_pushcfunction(L, free_function);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
}

int luaopen_luge_json(lua_State *L)
{
	static const luaL_Reg functions[] = {{"array", json_array},
					     {"decode", json_decode},
					     {"encode", json_encode},
					     {NULL, NULL}};

	new_class(L, BUFFER_META, encoder_free);
	new_class(L, PARSER_META, parser_free);
	luaL_newmetatable(L, ARRAY_META);
	lua_getglobal(L, "table");
	lua_getfield(L, -1, "sort");
	lua_setfield(L, LUA_REGISTRYINDEX, "luge.json.sort");
	luaL_newlib(L, functions);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	return 1;
}
