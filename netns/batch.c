/* SPDX-License-Identifier: MIT */
/* batch.c – many netlink messages by one system call
 *
 * A method of a socket (netlink.c). The messages are told apart by their numbers: what fails is said of the first.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "message.h"
#include "netlink.h"
#include "wire.h"

enum { BATCH_MAX = 1024 };

struct batch {
	uint32_t count, failed; /* index of the first message that failed, from 1; 0: none */
	long error;
	size_t part_count;
	struct iovec parts[]; /* a message each, or one with all of them */
};

/* Failures are told without asking, and 1000 acknowledgements would not find room in the socket. */
static void batch_number(struct netlink *nl, struct batch *b)
{
	b->count = 0;
	for (size_t i = 0; i < b->part_count; i++) {
		size_t left = b->parts[i].iov_len;

		for (struct nlmsghdr *h = b->parts[i].iov_base; wire_ok(h, left);
		     h = wire_next(h, &left)) {
			h->nlmsg_seq = nl->sequence + ++b->count;
			h->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
		}
	}
}

/* One answer; only the first failure keeps its words. */
static void batch_take(struct netlink *nl, struct batch *b, const struct nlmsghdr *h)
{
	uint32_t index = h->nlmsg_seq - nl->sequence;

	if (h->nlmsg_type != NLMSG_ERROR || index < 1 || index > b->count ||
	    wire_payload_size(h) < sizeof(struct nlmsgerr))
		return;
	const struct nlmsgerr *e = wire_payload(h);

	if (e->error == 0 || b->failed)
		return;
	b->failed = index;
	b->error = e->error;
	netlink_keep_text(nl, h);
}

/* The kernel works while it is sent to: what it has to say is there when sendmsg(2) returns. */
static long batch_receive(struct netlink *nl, struct batch *b)
{
	long full = 0;

	for (;;) {
		long n = netlink_receive(nl, MSG_DONTWAIT);

		if (n == -ENOBUFS) {
			full = -ENOBUFS; /* said before what found room, the first failure */
			continue;
		}
		if (n < 0)
			return n != -EAGAIN ? n : b->failed ? b->error : full;
		size_t left = (size_t)n;

		for (const struct nlmsghdr *h = &netlink_received.head; wire_ok(h, left);
		     h = wire_next(h, &left))
			batch_take(nl, b, h);
	}
}

static long batch_send(struct netlink *nl, struct batch *b)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct msghdr m = {.msg_name = &kernel,
			   .msg_namelen = sizeof(kernel),
			   .msg_iov = b->parts,
			   .msg_iovlen = b->part_count};
	size_t size = 0;

	for (size_t i = 0; i < b->part_count; i++)
		size += b->parts[i].iov_len;
	int room = size > INT32_MAX / 2 ? INT32_MAX / 2 : (int)size;

	/* A socket takes less than its buffer at once: 208 KiB mostly. Root may ask for more. */
	if (room > 65536 && setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUF, &room,
				 sizeof(room)); /* sendmsg(2) will tell */
	netlink_forget(nl, b->parts[0].iov_base);
	batch_number(nl, b);
	long rc = sys_result(sendmsg(nl->fd, &m, 0));

	if (rc >= 0)
		rc = batch_receive(nl, b);
	nl->is_clean = rc >= 0;
	nl->sequence += b->count;
	return rc;
}

static struct batch *push_batch(lua_State *L, size_t part_count)
{
	struct batch *b = lua_newuserdata(L, sizeof(*b) + part_count * sizeof(b->parts[0]));

	memset(b, 0, sizeof(*b));
	b->part_count = part_count;
	return b;
}

/* Of the list at 2. */
static struct batch *check_list(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_Integer count = (lua_Integer)lua_rawlen(L, 2);

	if (count < 1 || count > BATCH_MAX)
		luaL_argerror(L, 2, "1 to 1024 messages expected");
	struct batch *b = push_batch(L, (size_t)count);

	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, 2, i);
		if (!luaL_testudata(L, 4, MESSAGE_TYPE))
			luaL_error(L, "bad argument #1 (messages[%d]: a message expected)", (int)i);
		struct nlmsghdr *head = message_check_complete(L, 4)->head;

		b->parts[i - 1] = (struct iovec){head, head->nlmsg_len};
		lua_pop(L, 1);
	}
	return b;
}

/* Of the bytes at 2: a copy, for they are numbered. */
static struct batch *check_bytes(lua_State *L)
{
	size_t len;
	const char *bytes = lua_tolstring(L, 2, &len);
	struct batch *b = push_batch(L, 1);
	struct nlmsghdr *copy = lua_newuserdata(L, len + 1), *h = copy;
	size_t left = len;

	memcpy(copy, bytes, len);
	while (wire_ok(h, left))
		h = wire_next(h, &left);
	if (len == 0 || left != 0)
		luaL_argerror(L, 2, "messages, one after the other, expected");
	b->parts[0] = (struct iovec){copy, len};
	return b;
}

/*** socket:batch(messages) -> true
 * Sends up to 1024 messages, or what a string holds, by one sendmsg(2). nftables takes what stands between its marks of
 * begin and end whole or not at all; with others the kernel goes on after a message that fails. Errors:
 * that of the first message that failed, whose index in the list is a fourth result. */
int netlink_batch(lua_State *L)
{
	struct netlink *nl = netlink_check(L, 1);

	lua_settop(L, 2);
	struct batch *b = lua_type(L, 2) == LUA_TSTRING ? check_bytes(L) : check_list(L);
	long rc = batch_send(nl, b);

	if (rc >= 0)
		return bind_return_ok(L, 0);
	(void)netlink_return_error(L, nl, rc);
	if (!b->failed)
		return 3;
	lua_pushinteger(L, b->failed);
	return 4;
}
