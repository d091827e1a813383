/* SPDX-License-Identifier: MIT */
/* json_test.c – luge.json: what is written reads back, what is no JSON is refused with its position
 */
#include <string.h>

#include <criterion/criterion.h>
#include <lauxlib.h>
#include <lua.h>

#include "state.h"

static lua_State *L;

static void setup(void)
{
	L = state_new();
	cr_assert(luaL_dostring(L, "json = require 'luge.json'") == LUA_OK);
}

static void teardown(void)
{
	lua_close(L);
}

/* What the expression gives as a string; an error's message when it raises. */
static const char *result_of(const char *expression)
{
	char code[1024];

	snprintf(code, sizeof(code), "local value, err = %s; return tostring(value or err)",
		 expression);
	(void)luaL_dostring(L, code);
	return lua_tostring(L, -1);
}

struct example {
	const char *expression, *expected;
};

static void check_all(const struct example *examples, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cr_expect_str_eq(result_of(examples[i].expression), examples[i].expected, "%s",
				 examples[i].expression);
}

#define CHECK_ALL(examples) check_all(examples, sizeof(examples) / sizeof((examples)[0]))

TestSuite(json, .init = setup, .fini = teardown);

Test(json, encodes)
{
	static const struct example examples[] = {
		{"json.encode {}", "{}"},
		{"json.encode(json.array {})", "[]"},
		{"json.encode { 1, 2.5, true, 'x', json.null }", "[1,2.5,true,\"x\",null]"},
		{"json.encode { b = 1, a = { c = false } }", "{\"a\":{\"c\":false},\"b\":1}"},
		{"json.encode(math.maxinteger)", "9223372036854775807"},
		{"json.encode(math.mininteger)", "-9223372036854775808"},
		{"json.encode { 0.1, 1.0, 1e300, 1/3 }", "[0.1,1.0,1e+300,0.3333333333333333]"},
		{"json.encode '\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\\xc2\\xa0'",
		 "\"\\u0080\\u009b\\u009f\xc2\xa0\""},
		{"json.encode 'a\"\\\\\\n\\0\\127/'", "\"a\\\"\\\\\\n\\u0000\\u007f/\""},
		{"json.encode '\\xc3\\xa9'", "\"\xc3\xa9\""},
		{"json.encode '\\xff\\xc3'", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
		{"json.encode '\\xed\\xa0\\x80'", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"json.encode({ a = { 1 }, b = {} }, { pretty = true })",
		 "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"},
	};

	CHECK_ALL(examples);
}

Test(json, refuses_to_encode)
{
	static const char *const wrong[] = {
		"json.encode { 1, x = 2 }",
		"json.encode { [5] = 1 }",
		"json.encode(print)",
		"json.encode(0/0)",
		"json.encode(math.huge)",
		"json.encode()",
		"json.encode { [true] = 1 }",
		"json.encode({}, 'pretty')",
		"(function() local t = {} t[1] = t return json.encode(t) end)()",
		"(function() local t = {} t.x = t return json.encode(t) end)()",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char code[256];

		snprintf(code, sizeof(code), "return %s", wrong[i]);
		cr_expect(luaL_dostring(L, code) != LUA_OK, "%s gave %s", wrong[i],
			  lua_tostring(L, -1));
	}
}

Test(json, decodes)
{
	static const struct example examples[] = {
		{"json.decode '9223372036854775807' == math.maxinteger", "true"},
		{"math.type(json.decode '1.0')", "float"},
		{"math.type(json.decode '18446744073709551615')", "float"},
		{"json.decode ' [1, {\"a\": [ ]}] '[2].a[1] == nil", "true"},
		{"json.decode '[null]'[1] == json.null", "true"},
		{"json.decode '\"\\\\u00e9\\\\u0000x\"' == '\\xc3\\xa9\\0x'", "true"},
		{"json.encode(json.decode '{\"b\":[],\"a\":[1,2.5,null,false,\"x\"],\"c\":{}}')",
		 "{\"a\":[1,2.5,null,false,\"x\"],\"b\":[],\"c\":{}}"},
	};

	CHECK_ALL(examples);
}

Test(json, refuses_to_decode)
{
	static const struct example examples[] = {
		{"json.decode ''", "JSON, line 1, column 1: ends too early"},
		{"json.decode '[1,'", "JSON, line 1, column 4: ends too early"},
		{"json.decode '[1] x'", "JSON, line 1, column 5: unexpected character"},
		{"json.decode '[1] \\n1'", "JSON, line 2, column 1: unexpected character"},
	};
	static const char *const wrong[] = {
		"{",   "{'a':1}",	"[1,]",	     "{\\\"a\\\":1,}", "nul", "01", "+1",
		"NaN", "\\\"\\xff\\\"", "[1]\\0[2]", "\\\"a",	       "1 2", "[1}"};

	CHECK_ALL(examples);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char expression[128];

		snprintf(expression, sizeof(expression), "json.decode \"%s\"", wrong[i]);
		const char *got = result_of(expression);

		cr_expect(strncmp(got, "JSON, line ", 11) == 0, "%s gave %s", wrong[i], got);
	}
}

Test(json, caps_the_depth)
{
	cr_expect_str_eq(result_of("json.decode(('['):rep(60) .. (']'):rep(60)) ~= nil"), "true");
	cr_expect(strstr(result_of("json.decode(('['):rep(100000))"), "JSON, line 1, column "));
}
