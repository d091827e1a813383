/* SPDX-License-Identifier: MIT */
/* netlink.c – netlink sockets and messages, on libmnl
 *
 * A message is put together attribute by attribute, then a socket sends it and collects the
 * kernel's answer up to its acknowledgement. What the messages mean is said in Lua, in the modules
 * beside this file. A socket belongs to the network namespace it was opened in. Opening needs no
 * privilege, most requests that change something need CAP_NET_ADMIN in the user namespace that owns
 * the network namespace.
 *
 * All memory and descriptors belong to userdata: an error of Lua's leaks none.
 */
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "bind.h"

#define SOCKET_TYPE  "netns.socket"
#define MESSAGE_TYPE "netns.message"

enum { RECEIVE_SIZE = 32768, MESSAGE_SIZE = 1024, MESSAGE_MAX = 1 << 24, NEST_MAX = 16 };

/* The flags of nested and network order are the upper bits of an attribute's type. */
enum { TYPE_MAX = 0x3fff };

/* ---- messages ---- */

struct message {
	size_t size; /* of the buffer; what is used stands in head->nlmsg_len */
	struct nlmsghdr *head;
	size_t nests[NEST_MAX]; /* offsets of the attributes that are still open */
	unsigned depth;
};

static struct message *check_message(lua_State *L, int arg)
{
	return luaL_checkudata(L, arg, MESSAGE_TYPE);
}

static int message_gc(lua_State *L)
{
	struct message *m = check_message(L, 1);

	free(m->head);
	m->head = NULL;
	return 0;
}

/* Makes room for len more bytes and their padding. */
static int message_reserve(struct message *m, size_t len)
{
	size_t used = m->head ? m->head->nlmsg_len : 0, size = m->size ? m->size : MESSAGE_SIZE;

	if (len > MESSAGE_MAX || used + len + MNL_ALIGNTO > MESSAGE_MAX)
		return -EMSGSIZE;
	while (size < used + len + MNL_ALIGNTO)
		size *= 2;
	if (size == m->size)
		return 0;
	void *head = realloc(m->head, size);

	if (!head)
		return -ENOMEM;
	m->head = head;
	m->size = size;
	return 0;
}

static void reserve_or_raise(lua_State *L, struct message *m, size_t len)
{
	int rc = message_reserve(m, len);

	if (rc < 0)
		luaL_error(L, "a netlink message of more than %d bytes: %s", m->size,
			   strerror(-rc));
}

static void put(lua_State *L, uint16_t extra_type, const void *data, size_t len)
{
	struct message *m = check_message(L, 1);
	uint16_t type = (uint16_t)(bind_check_range(L, 2, 0, TYPE_MAX) | extra_type);

	if (len > UINT16_MAX - MNL_ATTR_HDRLEN)
		luaL_argerror(L, 3, "more bytes than an attribute holds");
	reserve_or_raise(L, m, MNL_ATTR_HDRLEN + len);
	mnl_attr_put(m->head, type, len, data);
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
	uint16_t type = (uint16_t)bind_check_const(L, 1, &bind_set_RTM);
	uint16_t flags = (uint16_t)bind_opt_flags(L, 2, &bind_set_NLM_F, 0);
	size_t len;
	const char *header = luaL_optlstring(L, 3, "", &len);
	struct message *m = lua_newuserdata(L, sizeof(*m));

	memset(m, 0, sizeof(*m));
	luaL_setmetatable(L, MESSAGE_TYPE);
	reserve_or_raise(L, m, MNL_NLMSG_HDRLEN + len);
	mnl_nlmsg_put_header(m->head);
	m->head->nlmsg_type = type;
	m->head->nlmsg_flags = flags | NLM_F_REQUEST;
	if (len > 0)
		memcpy(mnl_nlmsg_put_extra_header(m->head, len), header, len);
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
	struct message *m = check_message(L, 1);

	if (m->depth == NEST_MAX)
		return luaL_error(L, "attributes are nested more than %d deep", NEST_MAX);
	size_t offset = m->head->nlmsg_len;

	put(L, NLA_F_NESTED, NULL, 0);
	m->nests[m->depth++] = offset;
	return 1;
}

/* Ends the innermost nest. */
static int m_done(lua_State *L)
{
	struct message *m = check_message(L, 1);

	if (m->depth == 0)
		return luaL_error(L, "no nested attribute is open");
	size_t offset = m->nests[--m->depth];

	if (m->head->nlmsg_len - offset > UINT16_MAX)
		return luaL_error(L, "a nested attribute holds at most %d bytes", UINT16_MAX);
	mnl_attr_nest_end(m->head, (struct nlattr *)((char *)m->head + offset));
	lua_settop(L, 1);
	return 1;
}

/* The message as bytes, for those who send batches and for tests. */
static int m_tobytes(lua_State *L)
{
	struct message *m = check_message(L, 1);

	lua_pushlstring(L, (const char *)m->head, m->head->nlmsg_len);
	return 1;
}

/* ---- sockets ---- */

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	/* What the last exchange brought: messages one after the other, and the kernel's words. */
	char *replies;
	size_t replies_len, replies_size;
	char text[256];
	uint32_t offset; /* of the attribute that the error is about; 0: not told */
	union {
		struct nlmsghdr align;
		char bytes[RECEIVE_SIZE];
	} buffer;
};

static struct netlink *check_socket(lua_State *L, int arg)
{
	struct netlink *nl = luaL_checkudata(L, arg, SOCKET_TYPE);

	if (!nl->socket)
		luaL_argerror(L, arg, "the netlink socket is closed");
	return nl;
}

static int netlink_gc(lua_State *L)
{
	struct netlink *nl = luaL_checkudata(L, 1, SOCKET_TYPE);

	if (nl->socket)
		(void)mnl_socket_close(nl->socket); /* nobody is left to hear of it */
	free(nl->replies);
	nl->socket = NULL;
	nl->replies = NULL;
	return 0;
}

static long netlink_open(struct netlink *nl, int protocol)
{
	int on = 1;

	nl->socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->socket)
		return -errno;
	if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Without these (before 4.12) errors are plain numbers: nothing else is lost. */
	(void)mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(nl->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

/*** nl.open([protocol]) -> socket
 * A netlink socket of this network namespace; protocol: "route" (if not given), "netfilter",
 * "generic"… socket:request(message) sends and waits for the kernel's answer; socket:close()
 * closes, collection too. Source: netlink(7).
 */
static int l_open(lua_State *L)
{
	int protocol = lua_isnoneornil(L, 1) ? NETLINK_ROUTE
					     : (int)bind_check_const(L, 1, &bind_set_NETLINK);
	struct netlink *nl = lua_newuserdata(L, sizeof(*nl));

	memset(nl, 0, offsetof(struct netlink, buffer));
	luaL_setmetatable(L, SOCKET_TYPE);
	long rc = netlink_open(nl, protocol);

	return rc < 0 ? bind_error(L, (int)-rc) : 1;
}

static long keep_reply(struct netlink *nl, const struct nlmsghdr *head)
{
	size_t len = MNL_ALIGN(head->nlmsg_len), size = nl->replies_size ? nl->replies_size : 4096;

	while (size < nl->replies_len + len)
		size *= 2;
	if (size != nl->replies_size) {
		char *replies = realloc(nl->replies, size);

		if (!replies)
			return -ENOMEM;
		nl->replies = replies;
		nl->replies_size = size;
	}
	memcpy(nl->replies + nl->replies_len, head, head->nlmsg_len);
	nl->replies_len += len;
	return 0;
}

/* The attributes after an acknowledgement: the kernel's words, and which attribute they are about.
 */
static void keep_error_text(struct netlink *nl, const struct nlmsghdr *head)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(head);
	size_t offset = sizeof(*e);
	const struct nlattr *a;

	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		offset += MNL_ALIGN(e->msg.nlmsg_len - MNL_NLMSG_HDRLEN);
	const char *end = mnl_nlmsg_get_payload_tail(head);

	for (a = mnl_nlmsg_get_payload_offset(head, offset);
	     mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a)) {
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG &&
		    mnl_attr_get_payload_len(a) < sizeof(nl->text))
			memcpy(nl->text, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		else if (mnl_attr_get_type(a) == NLMSGERR_ATTR_OFFS &&
			 mnl_attr_get_payload_len(a) == sizeof(uint32_t))
			nl->offset = mnl_attr_get_u32(a);
	}
}

/* One message of the answer: 1 when it was the last one, -errno when it says so. */
static long take_answer(struct netlink *nl, const struct nlmsghdr *head)
{
	/* What an earlier exchange that failed half-way left in the queue. */
	if (head->nlmsg_seq != nl->sequence)
		return 0;
	if (head->nlmsg_flags & NLM_F_DUMP_INTR)
		return -EINTR;
	switch (head->nlmsg_type) {
	case NLMSG_ERROR: {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(head);

		if (mnl_nlmsg_get_payload_len(head) < sizeof(*e))
			return -EBADMSG;
		keep_error_text(nl, head);
		return e->error < 0 ? e->error : 1;
	}
	case NLMSG_DONE: {
		int error = 0;

		if (mnl_nlmsg_get_payload_len(head) >= sizeof(error))
			memcpy(&error, mnl_nlmsg_get_payload(head), sizeof(error));
		return error < 0 ? error : 1;
	}
	case NLMSG_NOOP:
		return 0;
	case NLMSG_OVERRUN:
		return -ENOBUFS;
	default:
		return keep_reply(nl, head);
	}
}

/* Sends, and receives until the acknowledgement or the end of a dump. */
static long netlink_exchange(struct netlink *nl, struct nlmsghdr *request)
{
	nl->replies_len = 0;
	nl->offset = 0;
	memset(nl->text, 0, sizeof(nl->text));
	request->nlmsg_seq = ++nl->sequence;
	request->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(nl->socket, request, request->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(nl->socket, &nl->buffer, sizeof(nl->buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		int left = (int)n;

		for (const struct nlmsghdr *h = &nl->buffer.align; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			long rc = take_answer(nl, h);

			if (rc != 0)
				return rc < 0 ? rc : 0;
		}
	}
}

static int return_error(lua_State *L, const struct netlink *nl, long rc)
{
	bind_error(L, (int)-rc);
	if (nl->text[0]) {
		lua_pushstring(L, nl->text);
		lua_setfield(L, -3, "text");
	}
	if (nl->offset) {
		lua_pushinteger(L, nl->offset);
		lua_setfield(L, -3, "offset");
	}
	return 3;
}

/* socket:request(message) -> list of {type=, flags=, data=}
 * Sends with an acknowledgement asked for; the list is empty where the kernel only acknowledges.
 * data: the bytes after the netlink header. Errors: the kernel's, err.text being its extended text
 * and err.offset the place in the request that it is about; INTR when a dump changed while it was
 * read: ask again. */
static int s_request(lua_State *L)
{
	struct netlink *nl = check_socket(L, 1);
	struct message *m = check_message(L, 2);

	if (m->depth > 0)
		luaL_argerror(L, 2, "a nested attribute is still open: done() ends it");
	long rc = netlink_exchange(nl, m->head);

	if (rc < 0)
		return return_error(L, nl, rc);
	lua_newtable(L);
	lua_Integer n = 0;

	for (size_t at = 0; at < nl->replies_len;) {
		const struct nlmsghdr *h = (const void *)(nl->replies + at);

		lua_createtable(L, 0, 3);
		bind_set_int(L, "type", h->nlmsg_type);
		bind_set_int(L, "flags", h->nlmsg_flags);
		lua_pushlstring(L, mnl_nlmsg_get_payload(h), mnl_nlmsg_get_payload_len(h));
		lua_setfield(L, -2, "data");
		lua_seti(L, -2, ++n);
		at += MNL_ALIGN(h->nlmsg_len);
	}
	return 1;
}

static int s_getfd(lua_State *L)
{
	lua_pushinteger(L, mnl_socket_get_fd(check_socket(L, 1)->socket));
	return 1;
}

static int s_close(lua_State *L)
{
	(void)check_socket(L, 1);
	(void)netlink_gc(L);
	return bind_return_ok(L, 0);
}

/*** nl.attributes(data [, skip]) -> list of {type=, data=}, and the data by type
 * The attributes in a reply's data after the family's header of skip bytes (0), or in another
 * attribute's. The second result is a table from type to bytes, of repeated ones the last. Bytes
 * are read with string.unpack. Wrong lengths end the list.
 */
static int l_attributes(lua_State *L)
{
	size_t len;
	const char *data = luaL_checklstring(L, 1, &len);
	size_t at = lua_isnoneornil(L, 2) ? 0 : (size_t)bind_check_range(L, 2, 0, RECEIVE_SIZE);
	lua_Integer n = 0;
	struct nlattr a;

	lua_settop(L, 1);
	lua_newtable(L);
	lua_newtable(L);
	for (at = MNL_ALIGN(at); at + sizeof(a) <= len; at += MNL_ALIGN(a.nla_len)) {
		memcpy(&a, data + at, sizeof(a));
		if (a.nla_len < sizeof(a) || a.nla_len > len - at)
			break;
		uint16_t type = a.nla_type & TYPE_MAX;

		lua_createtable(L, 0, 2);
		bind_set_int(L, "type", type);
		lua_pushlstring(L, data + at + sizeof(a), a.nla_len - sizeof(a));
		lua_pushvalue(L, -1);
		lua_seti(L, 3, type);
		lua_setfield(L, -2, "data");
		lua_seti(L, 2, ++n);
	}
	return 2;
}

static const luaL_Reg message_methods[] = {
	{"u8", m_u8},		{"u16", m_u16},	  {"u32", m_u32},   {"u64", m_u64},
	{"be16", m_be16},	{"be32", m_be32}, {"be64", m_be64}, {"string", m_string},
	{"bytes", m_bytes},	{"flag", m_flag}, {"nest", m_nest}, {"done", m_done},
	{"tobytes", m_tobytes}, {NULL, NULL},
};

static const luaL_Reg socket_methods[] = {
	{"request", s_request},
	{"getfd", s_getfd},
	{"close", s_close},
	{NULL, NULL},
};

static const luaL_Reg functions[] = {
	{"open", l_open},
	{"message", l_message},
	{"attributes", l_attributes},
	{NULL, NULL},
};

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_pop(L, 1);
}

int luaopen_netns_netlink(lua_State *L);

int luaopen_netns_netlink(lua_State *L)
{
	/* The error objects are the syscall layer's. */
	luaL_requiref(L, "syscall.core", luaopen_syscall_core, 0);
	make_type(L, MESSAGE_TYPE, message_methods, message_gc);
	make_type(L, SOCKET_TYPE, socket_methods, netlink_gc);
	luaL_newlib(L, functions);
	return 1;
}
