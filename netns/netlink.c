/* SPDX-License-Identifier: MIT */
/* netlink.c – netlink sockets
 *
 * A socket sends a message (message.c) or a batch of them and collects the kernel's answer. What
 * the messages mean is said in Lua, in the modules beside this file. A socket belongs to the network
 * namespace it was opened in. Opening in one's own namespace needs no privilege, most requests that
 * change something need CAP_NET_ADMIN in the user namespace that owns the network namespace.
 *
 * All memory and descriptors belong to userdata: an error of Lua's leaks none.
 */
#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/rtnetlink.h>
#include <net/if.h>

#include "message.h"
#include "netlink.h"
#include "wire.h"

#define SOCKET_TYPE "netns.socket"

enum { INTERRUPTED_MAX = 20, REPLIES_MAX = 256 << 20 };

union netlink_answer netlink_received;

struct netlink *netlink_check(lua_State *L, int arg)
{
	struct netlink *nl = luaL_checkudata(L, arg, SOCKET_TYPE);

	if (nl->fd < 0)
		luaL_argerror(L, arg, "the netlink socket is closed");
	return nl;
}

/* ---- sockets for the next who wants one ---- */

/* A plan's steps follow each other closely, and each wants a socket, and most the same link. Meanwhile one of each kind
 * is kept, of our own namespace, and the index of the link that was looked at last. What has become of another namespace,
 * or of another process, is not taken. */
static const int kept_protocols[] = {NETLINK_ROUTE, NETLINK_NETFILTER};

enum { KEPT_COUNT = sizeof(kept_protocols) / sizeof(kept_protocols[0]) };

static struct {
	bool is_on;
	struct {
		bool is_there;
		int fd;
		uint32_t sequence;
		unsigned place;
	} sockets[KEPT_COUNT];
	char link[IF_NAMESIZE];
	int index;
	unsigned index_place;
} kept;

static int kept_slot(int protocol)
{
	for (int i = 0; i < KEPT_COUNT; i++)
		if (kept_protocols[i] == protocol)
			return i;
	return -1;
}

/* Whether the socket is kept. */
static bool keep_socket(struct netlink *nl)
{
	int i = kept_slot(nl->protocol);

	if (!kept.is_on || !nl->is_own || !nl->is_clean || nl->place != bind_place || i < 0 ||
	    kept.sockets[i].is_there)
		return false;
	kept.sockets[i].is_there = true;
	kept.sockets[i].fd = nl->fd;
	kept.sockets[i].sequence = nl->sequence;
	kept.sockets[i].place = nl->place;
	nl->fd = -1;
	return true;
}

static long leave_to_kernel(int fd);

static void close_kept(int i)
{
	if (!kept.sockets[i].is_there)
		return;
	if (kept_protocols[i] == NETLINK_NETFILTER)
		(void)leave_to_kernel(kept.sockets[i].fd);
	(void)close(kept.sockets[i].fd);
	kept.sockets[i].is_there = false;
}

/* Whether nl has got a socket that was kept. */
static bool take_kept(struct netlink *nl)
{
	int i = kept_slot(nl->protocol);

	if (i < 0 || !kept.sockets[i].is_there)
		return false;
	if (kept.sockets[i].place != bind_place) {
		close_kept(i);
		return false;
	}
	nl->fd = kept.sockets[i].fd;
	nl->sequence = kept.sockets[i].sequence;
	kept.sockets[i].is_there = false;
	return true;
}

/*** nl.keep(on) -> true
 * Between keep(true) and keep(false) a socket of our own network namespace that is closed serves the next who opens one of
 * its protocol, "route" or "netfilter", and a link's index is not asked for twice while no link is changed. For many calls
 * one after the other: what is kept is closed by keep(false), and not used in another namespace or by a copy of the process. */
static int l_keep(lua_State *L)
{
	kept.is_on = lua_toboolean(L, 1);
	kept.link[0] = '\0';
	for (int i = 0; i < KEPT_COUNT && !kept.is_on; i++)
		close_kept(i);
	return bind_return_ok(L, 0);
}

static int netlink_gc(lua_State *L)
{
	struct netlink *nl = luaL_checkudata(L, 1, SOCKET_TYPE);

	if (nl->fd >= 0)
		(void)close(nl->fd); /* nobody is left to hear of it */
	free(nl->replies);
	nl->fd = -1;
	nl->replies = NULL;
	return 0;
}

static void set_option(const struct netlink *nl, int option)
{
	int on = 1;

	/* An older kernel (before 4.12, or 4.20) tells less of an error: nothing else is lost. */
	(void)setsockopt(nl->fd, SOL_NETLINK, option, &on, sizeof(on));
}

static long netlink_open(struct netlink *nl)
{
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, nl->protocol);
	if (nl->fd < 0)
		return -errno;
	/* Connected to the kernel (and bound by that), the socket takes nothing from anybody else: who has
	 * CAP_NET_ADMIN in its namespace could answer in the kernel's place or fill its queue. netlink_getsockbyportid()
	 * of the kernel's af_netlink.c. */
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	if (connect(nl->fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	set_option(nl, NETLINK_CAP_ACK);
	set_option(nl, NETLINK_EXT_ACK);
	set_option(nl, NETLINK_GET_STRICT_CHK);
	return 0;
}

/* The same in another namespace, which needs CAP_SYS_ADMIN over it and in our own user namespace. A
 * process that could not come back would do to one network what is meant for another. setns(2). */
static long netlink_open_in(struct netlink *nl, int namespace)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (own < 0)
		return -errno;
	long rc = sys_result(setns(namespace, CLONE_NEWNET));

	if (rc == 0) {
		rc = netlink_open(nl);
		if (setns(own, CLONE_NEWNET) < 0)
			abort();
	}
	close(own);
	return rc;
}

/*** nl.open(protocol="route" [, namespace]) -> socket
 * A netlink socket; protocol: "route", "netfilter", "generic"…; namespace: a descriptor of the
 * network namespace it belongs to, or a pidfd (our own if not given). socket:request(message) sends
 * and waits for the kernel's answer, socket:dump(message) asks for a list, socket:batch(messages)
 * sends several at once; socket:close() closes, collection too; socket:leave()
 * closes without waiting for what nftables is removing. Source: netlink(7), setns(2).
 */
static int l_open(lua_State *L)
{
	int protocol = lua_isnoneornil(L, 1) ? NETLINK_ROUTE
					     : (int)bind_check_const(L, 1, &bind_set_NETLINK);
	int namespace = lua_isnoneornil(L, 2) ? -1 : bind_check_fd(L, 2);
	struct netlink *nl = lua_newuserdata(L, sizeof(*nl));

	*nl = (struct netlink){.fd = -1,
			       .protocol = protocol,
			       .is_own = namespace < 0,
			       .place = bind_place,
			       .is_clean = true};
	luaL_setmetatable(L, SOCKET_TYPE);
	if (nl->is_own && take_kept(nl))
		return 1;
	long rc = nl->is_own ? netlink_open(nl) : netlink_open_in(nl, namespace);

	return rc < 0 ? bind_error(L, (int)-rc) : 1;
}

long netlink_receive(struct netlink *nl, int flags)
{
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	struct iovec part = {&netlink_received, sizeof(netlink_received)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = &from};
	long rc;

	/* What somebody else sent came in the moment before the socket was connected. */
	do {
		m.msg_namelen = sizeof(from);
		rc = sys_retry(recvmsg(nl->fd, &m, flags));
	} while (rc >= 0 && from.nl_pid != 0);
	if (rc >= 0 && (m.msg_flags & MSG_TRUNC))
		return -ENOSPC;
	return rc;
}

static long keep_reply(struct netlink *nl, const struct nlmsghdr *head)
{
	size_t len = wire_align(head->nlmsg_len), size = nl->replies_size ? nl->replies_size : 4096;

	/* A namespace's root decides how much there is to list. */
	if (nl->replies_len + len > REPLIES_MAX)
		return -EMSGSIZE;
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
void netlink_keep_text(struct netlink *nl, const struct nlmsghdr *head)
{
	const struct nlmsgerr *e = wire_payload(head);
	size_t size = wire_payload_size(head), at = sizeof(*e);

	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		at += wire_align(e->msg.nlmsg_len - WIRE_HEADER);
	while (at < size) {
		const struct nlattr *a = (const void *)((const char *)e + at);

		if (!wire_attribute_ok(a, size - at))
			return;
		size_t len = wire_attribute_size(a);

		if ((a->nla_type & WIRE_TYPE_MAX) == NLMSGERR_ATTR_MSG && len < sizeof(nl->text))
			memcpy(nl->text, wire_attribute_data(a), len);
		else if ((a->nla_type & WIRE_TYPE_MAX) == NLMSGERR_ATTR_OFFS &&
			 len == sizeof(nl->offset))
			memcpy(&nl->offset, wire_attribute_data(a), len);
		at += wire_align(a->nla_len);
	}
}

/* One message of the answer: 1 when it was the last one, -errno when it says so. */
static long take_answer(struct netlink *nl, const struct nlmsghdr *head)
{
	/* What an earlier exchange that failed half-way left in the queue. */
	if (head->nlmsg_seq != nl->sequence)
		return 0;
	if (head->nlmsg_flags & NLM_F_DUMP_INTR)
		nl->interrupted = true; /* the rest has to be read before another dump may begin */
	switch (head->nlmsg_type) {
	case NLMSG_ERROR: {
		const struct nlmsgerr *e = wire_payload(head);

		if (wire_payload_size(head) < sizeof(*e))
			return -EBADMSG;
		netlink_keep_text(nl, head);
		return e->error < 0 ? e->error : 1;
	}
	case NLMSG_DONE: {
		int error = 0;

		if (wire_payload_size(head) >= sizeof(error))
			memcpy(&error, wire_payload(head), sizeof(error));
		if (nl->interrupted)
			return -EINTR;
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

void netlink_forget(struct netlink *nl, const struct nlmsghdr *request)
{
	if (nl->protocol == NETLINK_ROUTE && request->nlmsg_type < RTM_NEWADDR &&
	    request->nlmsg_type != RTM_GETLINK)
		kept.link[0] = '\0';
	nl->replies_len = 0;
	nl->offset = 0;
	nl->interrupted = false;
	memset(nl->text, 0, sizeof(nl->text));
}

/* Sends, and receives until the acknowledgement, the end of a dump, or the answer where no acknowledgement is asked for. */
static long netlink_exchange(struct netlink *nl, struct nlmsghdr *request)
{
	netlink_forget(nl, request);
	request->nlmsg_seq = ++nl->sequence;
	nl->is_clean = false;
	if (send(nl->fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		long n = netlink_receive(nl, 0);

		if (n <= 0)
			return n < 0 ? n : -EBADMSG;
		size_t left = (size_t)n;

		for (const struct nlmsghdr *h = &netlink_received.head; wire_ok(h, left);
		     h = wire_next(h, &left)) {
			long rc = take_answer(nl, h);

			nl->is_clean = rc > 0;
			if (rc != 0)
				return rc < 0 ? rc : 0;
		}
		nl->is_clean = !(request->nlmsg_flags & NLM_F_ACK) && nl->replies_len > 0;
		if (nl->is_clean)
			return 0;
	}
}

int netlink_return_error(lua_State *L, const struct netlink *nl, long rc)
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

static int return_replies(lua_State *L, const struct netlink *nl)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t at = 0; at < nl->replies_len;) {
		const struct nlmsghdr *h = (const void *)(nl->replies + at);

		lua_createtable(L, 0, 3);
		bind_set_int(L, "type", h->nlmsg_type);
		bind_set_int(L, "flags", h->nlmsg_flags);
		lua_pushlstring(L, wire_payload(h), wire_payload_size(h));
		lua_setfield(L, -2, "data");
		lua_seti(L, -2, ++n);
		at += wire_align(h->nlmsg_len);
	}
	return 1;
}

/*** socket:request(message) -> list of {type=, flags=, data=}
 * Sends with an acknowledgement asked for; the list is empty where the kernel only acknowledges.
 * data: the bytes after the netlink header. Errors: the kernel's, err.text being its extended text
 * and err.offset the place in the request that it is about; INTR when a dump changed while it was
 * read: ask again, or use dump. */
static int s_request(lua_State *L)
{
	struct netlink *nl = netlink_check(L, 1);
	struct nlmsghdr *head = message_check_complete(L, 2)->head;

	head->nlmsg_flags |= NLM_F_ACK;
	long rc = netlink_exchange(nl, head);

	return rc < 0 ? netlink_return_error(L, nl, rc) : return_replies(L, nl);
}

/*** socket:dump(message) -> list of {type=, flags=, data=}
 * As request, with the flag "dump"; asks again when what was read changed meanwhile. */
static int s_dump(lua_State *L)
{
	struct netlink *nl = netlink_check(L, 1);
	struct message *m = message_check_complete(L, 2);
	long rc = -EINTR;

	m->head->nlmsg_flags |= NLM_F_DUMP | NLM_F_ACK;
	for (int i = 0; rc == -EINTR && i < INTERRUPTED_MAX; i++)
		rc = netlink_exchange(nl, m->head);
	return rc < 0 ? netlink_return_error(L, nl, rc) : return_replies(L, nl);
}

/* ---- links ---- */

/* A request for the description of a link by its name, without its counters. */
struct link_request {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct nlattr mask_head;
	uint32_t mask;
	struct nlattr name_head;
	char name[IF_NAMESIZE];
};

/*** socket:index(name) -> integer
 * The index of a link. The kernel is asked for its description, for which it looks at the link's other end, too: what was
 * just set up then works at once. Errors: NODEV. */
static int s_index(lua_State *L)
{
	struct netlink *nl = netlink_check(L, 1);
	const char *name = bind_check_path(L, 2);
	struct link_request request = {
		.head = {.nlmsg_len = sizeof(request),
			 .nlmsg_type = RTM_GETLINK,
			 .nlmsg_flags = NLM_F_REQUEST},
		.mask_head = {WIRE_ATTRIBUTE + sizeof(request.mask), IFLA_EXT_MASK},
		.mask = RTEXT_FILTER_SKIP_STATS,
		.name_head = {WIRE_ATTRIBUTE + sizeof(request.name), IFLA_IFNAME},
	};

	size_t length = strlen(name);

	if (length >= sizeof(request.name))
		return luaL_argerror(L, 2, "the name of a link expected");
	if (kept.is_on && nl->is_own && length > 0 && kept.index_place == bind_place &&
	    strcmp(kept.link, name) == 0) {
		lua_pushinteger(L, kept.index);
		return 1;
	}
	memcpy(request.name, name, length);
	long rc = netlink_exchange(nl, &request.head);
	const struct nlmsghdr *answer = (const void *)nl->replies;

	if (rc >= 0 && nl->replies_len < WIRE_HEADER + sizeof(struct ifinfomsg))
		rc = -EBADMSG;
	if (rc < 0)
		return netlink_return_error(L, nl, rc);
	int index = ((const struct ifinfomsg *)wire_payload(answer))->ifi_index;

	if (nl->is_own && nl->place == bind_place) {
		memcpy(kept.link, name, length + 1);
		kept.index = index;
		kept.index_place = bind_place;
	}
	lua_pushinteger(L, index);
	return 1;
}

/*** socket:getfd() -> number
 * The descriptor's; the socket stays its owner. */
static int s_getfd(lua_State *L)
{
	lua_pushinteger(L, netlink_check(L, 1)->fd);
	return 1;
}

/*** socket:close() -> true
 * Using it again raises. */
static int s_close(lua_State *L)
{
	(void)keep_socket(netlink_check(L, 1));
	(void)netlink_gc(L);
	return bind_return_ok(L, 0);
}

/* Hands a descriptor, and that of the receiver, to a receiver whom nobody can read from: the kernel finds that and
 * closes all of it, in a process of its own (unix_gc; before Linux 6.9 in whoever closes the last one). */
static long leave_to_kernel(int fd)
{
	int pair[2];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = {.bytes = {0}};
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), (int[2]){fd, pair[1]}, 2 * sizeof(int));
	long rc = sys_result(sendmsg(pair[0], &message, 0));

	close(pair[0]);
	close(pair[1]);
	return rc;
}

/*** socket:leave() -> true
 * As close, but nobody waits. A socket of nftables that is closed waits until what was removed from tables, by anybody,
 * is out of the sight of every packet on its way: 5 to 15 ms (nft_rcv_nl_event of the kernel's nf_tables_api.c). */
static int s_leave(lua_State *L)
{
	struct netlink *nl = netlink_check(L, 1);

	if (!keep_socket(nl))
		(void)leave_to_kernel(nl->fd); /* else closing waits */
	(void)netlink_gc(L);
	return bind_return_ok(L, 0);
}

/*** nl.is_link_name(name) -> boolean
 * Whether the kernel takes it as the name of a link: 1 to 15 bytes, no "/" and no space. */
static int l_is_link_name(lua_State *L)
{
	size_t length = 0;
	const char *name = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : "";
	bool is_one = length > 0 && length < IF_NAMESIZE;

	for (size_t i = 0; is_one && i < length; i++)
		is_one = name[i] && name[i] != '/' && !isspace((unsigned char)name[i]);
	lua_pushboolean(L, is_one);
	return 1;
}

static const luaL_Reg socket_methods[] = {
	{"request", s_request}, {"dump", s_dump},   {"index", s_index}, {"batch", netlink_batch},
	{"getfd", s_getfd},	{"close", s_close}, {"leave", s_leave}, {NULL, NULL},
};

static const luaL_Reg functions[] = {
	{"open", l_open},
	{"keep", l_keep},
	{"is_link_name", l_is_link_name},
	{NULL, NULL},
};

void netlink_make_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_pushboolean(L, 0); /* getmetatable() gives nobody __gc */
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

int luaopen_netns_netlink(lua_State *L);

int luaopen_netns_netlink(lua_State *L)
{
	/* The error objects are the syscall layer's. */
	luaL_requiref(L, "syscall.core", luaopen_syscall_core, 0);
	netlink_make_type(L, SOCKET_TYPE, socket_methods, netlink_gc);
	luaL_newlib(L, functions);
	message_functions(L);
	parse_functions(L);
	return 1;
}
