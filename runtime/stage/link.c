/* SPDX-License-Identifier: MIT */
/* link.c – what the container's own network is told of a link: addresses, routes
 *
 * luge wrote the message before there was a container (sandbox/container/furnish.lua), all of it but the link's index,
 * which the kernel chose when it made the link there. Needs CAP_NET_ADMIN over the network namespace.
 */
#include <linux/errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "seal.h"
#include "sys.h"

enum {
	MESSAGE_SIZE = 1024,
	NAME_SIZE = 16, /* IFNAMSIZ */
	TEXT_SIZE = 256,
	AF_NETLINK = 16,
	SOCK_RAW = 3,
	SOCK_CLOEXEC = 02000000,
	SOL_NETLINK = 270,
};

/* As a copy of luge would say it (guest.lua): the step, the error, the kernel's own words. */
struct report {
	uint32_t step;
	int32_t error;
	uint32_t length;
	char text[TEXT_SIZE];
};

union answer {
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info; /* the rest is of no interest */
	} found;
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char words[TEXT_SIZE + 64]; /* attributes */
	} said;
	char bytes[MESSAGE_SIZE];
};

/* The link that was found last, by the address of its name: in the orders each text is once. */
static struct {
	uint64_t name;
	uint32_t index;
} last;

_Noreturn static void fail(const char *text, size_t length, long error)
{
	struct report report = {stage.step, (int32_t)error, (uint32_t)length, {0}};

	__builtin_memcpy(report.text, text, length);
	(void)sys(write, stage.header.channel, &report,
		  offsetof(struct report, text) + length); /* luge hears the end too */
	stage_exit(stage_exit_code(STAGE_FAILED));
}

/* Ends with the kernel's words on an error, where it has any. size: of the answer. */
static void fail_with_words(const union answer *answer, size_t size)
{
	size_t at = offsetof(union answer, said.words);
	struct nlattr a;

	if (!(answer->said.head.nlmsg_flags & NLM_F_ACK_TLVS) || !stage.header.channel)
		return;
	for (; at + sizeof(a) <= size; at += NLA_ALIGN(a.nla_len)) {
		__builtin_memcpy(&a, answer->bytes + at, sizeof(a));
		if (a.nla_len < sizeof(a) || at + a.nla_len > size)
			return;
		size_t length = a.nla_len - sizeof(a);

		if (a.nla_type == NLMSGERR_ATTR_MSG && length > 0 && length <= TEXT_SIZE)
			fail(answer->bytes + at + sizeof(a), length - 1, -answer->said.error.error);
	}
}

/* Sends, and receives the first answer: its size. Nothing else was asked on the socket, or all of that was read. */
static long exchange(long socket, const void *message, size_t size, union answer *answer)
{
	long rc = sys(write, socket, message, size);

	if (rc >= 0)
		do
			rc = sys(read, socket, answer, sizeof(*answer));
		while (rc == -EINTR);
	if (rc >= 0 && (size_t)rc < offsetof(union answer, said.words))
		return -EBADMSG;
	return rc;
}

/* The link's index, or -errno. That the kernel is asked for its description has it look at the link, which then works at
 * once (netns/plan_interfaces.lua). */
static long find_link(long socket, const char *name)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
		struct nlattr name_head;
		char name[NAME_SIZE];
		struct nlattr mask_head;
		uint32_t mask;
	} request;
	union answer answer;
	size_t length = 0;

	__builtin_memset(&request, 0, sizeof(request));
	request.head.nlmsg_len = sizeof(request);
	request.head.nlmsg_type = RTM_GETLINK;
	request.head.nlmsg_flags = NLM_F_REQUEST;
	request.name_head.nla_type = IFLA_IFNAME;
	request.mask_head.nla_type = IFLA_EXT_MASK;
	request.mask_head.nla_len = sizeof(request.mask_head) + sizeof(request.mask);
	request.mask = RTEXT_FILTER_SKIP_STATS;
	for (; name[length]; length++) {
		if (length == NAME_SIZE - 1)
			return -EINVAL;
		request.name[length] = name[length];
	}
	request.name_head.nla_len = sizeof(request.name_head) + NAME_SIZE;
	long rc = exchange(socket, &request, sizeof(request), &answer);

	if (rc < 0)
		return rc;
	if (answer.found.head.nlmsg_type == NLMSG_ERROR)
		return answer.said.error.error;
	return answer.found.info.ifi_index;
}

/* What the kernel says to a request with an acknowledgement. */
static long ask(long socket, const struct stage_record *r, const void *message, size_t size)
{
	union answer answer;
	long rc = exchange(socket, message, size, &answer);

	if (rc < 0)
		return rc;
	if (answer.said.head.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	if (answer.said.error.error < 0 && !r->tolerate)
		fail_with_words(&answer, (size_t)rc);
	return answer.said.error.error;
}

/* A message by a socket. */
static long tell_by(long socket, const struct stage_record *r)
{
	size_t size = r->args[1], index_at = r->args[2];
	union {
		struct nlmsghdr head;
		char bytes[MESSAGE_SIZE];
	} message;

	if (size > sizeof(message) || index_at + sizeof(uint32_t) > size)
		return -EINVAL;
	if (last.name != r->args[3]) {
		long rc = find_link(socket, (const char *)r->args[3]);

		if (rc < 0)
			return rc;
		last.name = r->args[3];
		last.index = (uint32_t)rc;
	}
	__builtin_memcpy(message.bytes, (const void *)r->args[0], size);
	__builtin_memcpy(message.bytes + index_at, &last.index, sizeof(last.index));
	message.head.nlmsg_flags |= NLM_F_ACK;
	return ask(socket, r, message.bytes, size);
}

long link_tell(const struct stage_record *r)
{
	int on = 1;
	long socket = sys(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (socket < 0)
		return socket;
	/* Without these (before 4.12) errors are plain numbers. */
	(void)sys(setsockopt, socket, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)sys(setsockopt, socket, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	long rc = tell_by(socket, r);

	(void)sys(close, socket);
	return rc;
}
