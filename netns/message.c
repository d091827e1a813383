/* SPDX-License-Identifier: MIT */
/* message.c – netlink messages: put together attribute by attribute, and taken apart
 *
 * The bytes of a request grow in a userdata until a socket (netlink.c) sends them. Attributes of an
 * answer are read here too. Nothing here asks the kernel anything.
 */
#include "message.h"

#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "wire.h"

/* A transaction has dozens of messages, most of them small. */
enum { MESSAGE_SIZE = 256, MESSAGE_MAX = 1 << 24, SKIP_MAX = 1 << 16 };

/* Room for a message that is put together of a form. */
enum { FORM_SIZE = 160 };

struct message *message_check(lua_State *L, int arg)
{
	struct message *m = luaL_checkudata(L, arg, MESSAGE_TYPE);

	luaL_argcheck(L, m->head, arg, "the message is gone");
	return m;
}

struct message *message_check_complete(lua_State *L, int arg)
{
	struct message *m = message_check(L, arg);

	if (m->depth > 0)
		luaL_argerror(L, arg, "a nested attribute is still open: done() ends it");
	return m;
}

static int message_gc(lua_State *L)
{
	struct message *m = luaL_checkudata(L, 1, MESSAGE_TYPE);

	free(m->head);
	m->head = NULL;
	return 0;
}

/* Makes room for len more bytes and their padding. */
static int message_reserve(struct message *m, size_t len)
{
	size_t used = m->head ? m->head->nlmsg_len : 0, size = m->size ? m->size : MESSAGE_SIZE;

	if (len > MESSAGE_MAX || used + len + WIRE_ALIGN > MESSAGE_MAX)
		return -EMSGSIZE;
	while (size < used + len + WIRE_ALIGN)
		size *= 2;
	if (size == m->size)
		return 0;
	void *head = realloc(m->head, size);

	if (!head)
		return -ENOMEM;
	memset((char *)head + used, 0, size - used); /* what stands between attributes */
	m->head = head;
	m->size = size;
	return 0;
}

static void reserve_or_raise(lua_State *L, struct message *m, size_t len)
{
	int rc = message_reserve(m, len);
	lua_Integer used = m->head ? m->head->nlmsg_len : 0;

	if (rc < 0)
		luaL_error(L, "a netlink message of %I bytes: %s", (lua_Integer)len + used,
			   strerror(-rc));
}

static void put(lua_State *L, uint16_t extra_type, const void *data, size_t len)
{
	struct message *m = message_check(L, 1);
	uint16_t type = (uint16_t)(bind_check_range(L, 2, 0, WIRE_TYPE_MAX) | extra_type);

	if (len > UINT16_MAX - WIRE_ATTRIBUTE)
		luaL_argerror(L, 3, "more bytes than an attribute holds");
	reserve_or_raise(L, m, WIRE_ATTRIBUTE + len);
	wire_put(m->head, type, data, len);
	lua_settop(L, 1);
}

/*** nl.message(type, flags [, header]) -> message
 * A request: its type (S.c.RTM) and flags (S.c.NLM_F; "request" and "ack" are added when it is
 * sent), header the bytes of the family's own header, from string.pack. Attributes are put with
 * m:u8(type, n) u16 u32 u64 be16 be32 be64, m:string(type, s) (a NUL is added), m:bytes(type, s),
 * m:flag(type), and m:nest(type) … m:done(); each returns m. Source: netlink(7).
 */
static int l_message(lua_State *L)
{
	uint64_t type = bind_check_const(L, 1, &bind_set_RTM);
	uint64_t flags = bind_opt_flags(L, 2, &bind_set_NLM_F, 0);
	size_t len;
	const char *header = luaL_optlstring(L, 3, "", &len);
	luaL_argcheck(L, type <= UINT16_MAX, 1, "a type of 16 bits expected");
	luaL_argcheck(L, flags <= UINT16_MAX, 2, "flags of 16 bits expected");
	struct message *m = lua_newuserdata(L, sizeof(*m));

	memset(m, 0, sizeof(*m));
	luaL_setmetatable(L, MESSAGE_TYPE);
	reserve_or_raise(L, m, WIRE_HEADER + len);
	*m->head = (struct nlmsghdr){.nlmsg_len = (uint32_t)(WIRE_HEADER + wire_align(len)),
				     .nlmsg_type = (uint16_t)type,
				     .nlmsg_flags = (uint16_t)flags | NLM_F_REQUEST};
	memcpy(wire_payload(m->head), header, len);
	return 1;
}

static int m_u8(lua_State *L)
{
	uint8_t value = (uint8_t)bind_check_range(L, 3, 0, UINT8_MAX);

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_u16(lua_State *L)
{
	uint16_t value = (uint16_t)bind_check_range(L, 3, 0, UINT16_MAX);

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_u32(lua_State *L)
{
	uint32_t value = (uint32_t)bind_check_range(L, 3, INT32_MIN, UINT32_MAX);

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_u64(lua_State *L)
{
	uint64_t value = (uint64_t)luaL_checkinteger(L, 3);

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_be16(lua_State *L)
{
	uint16_t value = htobe16((uint16_t)bind_check_range(L, 3, 0, UINT16_MAX));

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_be32(lua_State *L)
{
	uint32_t value = htobe32((uint32_t)bind_check_range(L, 3, INT32_MIN, UINT32_MAX));

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_be64(lua_State *L)
{
	uint64_t value = htobe64((uint64_t)luaL_checkinteger(L, 3));

	put(L, 0, &value, sizeof(value));
	return 1;
}

static int m_string(lua_State *L)
{
	const char *text = bind_check_path(L, 3);

	put(L, 0, text, strlen(text) + 1);
	return 1;
}

static int m_bytes(lua_State *L)
{
	size_t len;
	const char *bytes = luaL_checklstring(L, 3, &len);

	put(L, 0, bytes, len);
	return 1;
}

static int m_flag(lua_State *L)
{
	put(L, 0, NULL, 0);
	return 1;
}

static int m_nest(lua_State *L)
{
	struct message *m = message_check(L, 1);

	if (m->depth == NEST_MAX)
		return luaL_error(L, "attributes are nested more than %d deep", NEST_MAX);
	size_t offset = m->head->nlmsg_len;

	put(L, NLA_F_NESTED, NULL, 0);
	m->nests[m->depth++] = (uint32_t)offset;
	return 1;
}

/* Ends the innermost nest. */
static int m_done(lua_State *L)
{
	struct message *m = message_check(L, 1);

	if (m->depth == 0)
		return luaL_error(L, "no nested attribute is open");
	size_t offset = m->nests[--m->depth];

	if (m->head->nlmsg_len - offset > UINT16_MAX)
		return luaL_error(L, "a nested attribute holds at most %d bytes", UINT16_MAX);
	((struct nlattr *)((char *)m->head + offset))->nla_len =
		(uint16_t)(m->head->nlmsg_len - offset);
	lua_settop(L, 1);
	return 1;
}

/* The message as bytes, for those who send batches and for tests. */
static int m_tobytes(lua_State *L)
{
	struct message *m = message_check(L, 1);

	lua_pushlstring(L, (const char *)m->head, m->head->nlmsg_len);
	return 1;
}

/* ---- answers ---- */

struct attributes {
	const char *data;
	size_t len, at;
	struct nlattr head; /* of the one that was read last, and its bytes */
	const char *bytes;
	size_t size;
};

/* The attributes of the string at 1 after the header whose size is at 2. */
static struct attributes check_attributes(lua_State *L)
{
	struct attributes a = {0};

	a.data = luaL_checklstring(L, 1, &a.len);
	a.at = lua_isnoneornil(L, 2) ? 0 : (size_t)bind_check_range(L, 2, 0, SKIP_MAX);
	a.at = wire_align(a.at);
	return a;
}

/* Wrong lengths end them. */
static bool next_attribute(struct attributes *a)
{
	if (a->at + sizeof(a->head) > a->len)
		return false;
	memcpy(&a->head, a->data + a->at, sizeof(a->head));
	if (a->head.nla_len < sizeof(a->head) || a->head.nla_len > a->len - a->at)
		return false;
	a->bytes = a->data + a->at + sizeof(a->head);
	a->size = a->head.nla_len - sizeof(a->head);
	a->at += wire_align(a->head.nla_len);
	a->head.nla_type &= WIRE_TYPE_MAX;
	return true;
}

/*** nl.attributes(data [, skip]) -> list of {type=, data=}, and the data by type
 * The attributes in a reply's data after the family's header of skip bytes (0), or in another
 * attribute's. The second result is a table from type to bytes, of repeated ones the last. Bytes
 * are read with string.unpack. Wrong lengths end the list.
 */
static int l_attributes(lua_State *L)
{
	struct attributes a = check_attributes(L);
	lua_Integer n = 0;

	lua_settop(L, 1);
	lua_newtable(L);
	lua_newtable(L);
	while (next_attribute(&a)) {
		lua_createtable(L, 0, 2);
		bind_set_int(L, "type", a.head.nla_type);
		lua_pushlstring(L, a.bytes, a.size);
		lua_pushvalue(L, -1);
		lua_seti(L, 3, a.head.nla_type);
		lua_setfield(L, -2, "data");
		lua_seti(L, 2, ++n);
	}
	return 2;
}

/*** nl.attribute(data, skip, type) -> string, or nil
 * The bytes of the first attribute of a type, as of nl.attributes, without looking at the others.
 */
static int l_attribute(lua_State *L)
{
	struct attributes a = check_attributes(L);
	uint16_t type = (uint16_t)bind_check_range(L, 3, 0, WIRE_TYPE_MAX);

	while (next_attribute(&a))
		if (a.head.nla_type == type) {
			lua_pushlstring(L, a.bytes, a.size);
			return 1;
		}
	lua_pushnil(L);
	return 1;
}

/* ---- forms ---- */

/* Adds form[i], or values[form[i]]. The form is at 4, values at 2; a buffer wants nothing else on top of the stack. */
static void add_part(lua_State *L, luaL_Buffer *b, lua_Integer i, bool by_name)
{
	lua_rawgeti(L, 4, i);
	if (by_name)
		lua_gettable(L, 2);
	if (lua_type(L, -1) != LUA_TSTRING)
		luaL_error(L, "a form without its part %d", (int)i);
	luaL_addvalue(b);
}

/* The number of the next set, as values.set; the one before is values.set_before. */
static void count_set(lua_State *L)
{
	lua_getfield(L, 2, "sets");
	uint32_t number = (uint32_t)lua_tointeger(L, -1) + 1;
	uint32_t bytes = htobe32(number);

	lua_pop(L, 1);
	lua_pushinteger(L, number);
	lua_setfield(L, 2, "sets");
	lua_getfield(L, 2, "set");
	lua_setfield(L, 2, "set_before");
	lua_pushlstring(L, (const char *)&bytes, sizeof(bytes));
	lua_setfield(L, 2, "set");
}

static bool form_has(lua_State *L, const char *field)
{
	lua_getfield(L, 4, field);
	bool has = lua_toboolean(L, -1);

	lua_pop(L, 1);
	return has;
}

static size_t value_len(lua_State *L, const char *name)
{
	lua_getfield(L, 2, name);
	size_t len = lua_rawlen(L, -1);

	lua_pop(L, 1);
	return len;
}

/* Adds the message of the form at 4. */
static void add_form(lua_State *L, luaL_Buffer *b)
{
	lua_Integer parts = (lua_Integer)lua_rawlen(L, 4);
	bool has_comment = form_has(L, "has_comment");

	if (form_has(L, "is_set"))
		count_set(L);
	lua_rawgeti(L, 4, 1);
	uint32_t size = (uint32_t)lua_tointeger(L, -1);

	lua_pop(L, 1);
	if (size) {
		size += (uint32_t)(value_len(L, "table") +
				   (has_comment ? value_len(L, "comment") : 0));
		luaL_addlstring(b, (const char *)&size, sizeof(size));
		add_part(L, b, 2, false);
		lua_getfield(L, 2, "table");
		luaL_addvalue(b);
	}
	add_part(L, b, 3, false);
	for (lua_Integer i = 4; i <= parts; i++)
		add_part(L, b, i, i % 2 == 0);
	if (has_comment) {
		lua_getfield(L, 2, "comment");
		luaL_addvalue(b);
	}
}

/*** nl.fill(forms, values) -> string
 * Messages of nftables whose forms are known, one after the other, as socket:batch takes them; values: strings by name, the
 * attribute `table` among them, that of the `comment`, and `sets`, how many sets have a number. A form is { size without table
 * and comment, or false; the bytes between size and table, or false; bytes, name of a value, bytes… }, with is_set = true
 * where a set is made, has_comment = true where the comment ends it. Source: netns/firewall_form.lua.
 */
static int l_fill(lua_State *L)
{
	luaL_Buffer b;

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_Integer count = (lua_Integer)lua_rawlen(L, 1);

	lua_settop(L, 4);
	/* Most messages are as long or shorter: a buffer that grows is copied each time. */
	luaL_buffinitsize(L, &b, (size_t)count * FORM_SIZE);
	for (lua_Integer i = 1; i <= count; i++) {
		if (lua_rawgeti(L, 1, i) != LUA_TTABLE)
			return luaL_argerror(L, 1, "a list of forms expected");
		lua_replace(L, 4);
		add_form(L, &b);
	}
	luaL_pushresult(&b);
	return 1;
}

static const luaL_Reg methods[] = {
	{"u8", m_u8},		{"u16", m_u16},	  {"u32", m_u32},   {"u64", m_u64},
	{"be16", m_be16},	{"be32", m_be32}, {"be64", m_be64}, {"string", m_string},
	{"bytes", m_bytes},	{"flag", m_flag}, {"nest", m_nest}, {"done", m_done},
	{"tobytes", m_tobytes}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
	{"message", l_message},
	{"attributes", l_attributes},
	{"attribute", l_attribute},
	{"fill", l_fill},
	{NULL, NULL},
};

void message_functions(lua_State *L)
{
	netlink_make_type(L, MESSAGE_TYPE, methods, message_gc);
	luaL_setfuncs(L, functions, 0);
}
