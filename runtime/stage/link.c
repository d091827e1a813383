/* SPDX-License-Identifier: MIT */
/* link.c – what the container's own network is told of a link: addresses, routes
 *
 * luge wrote the message before there was a container (sandbox/container/furnish.lua), all of it but the link's index,
 * which the kernel chose when it made the link there. Needs CAP_NET_ADMIN over the network namespace.
 */
#include <linux/errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>

#include "seal.h"
#include "sys.h"

/* struct ifreq, without a C library's headers. */
struct link {
	char name[16];
	int index;
	char rest[20];
};

enum {
	MESSAGE_SIZE = 1024,
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
		struct nlmsgerr error;
		char words[TEXT_SIZE + 64]; /* attributes */
	} said;
	char bytes[MESSAGE_SIZE];
};

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

/* One exchange on a socket that nobody wrote to before: the first answer is the answer. */
static long exchange(long socket, const struct stage_record *r, const char *message, size_t size)
{
	union answer answer;
	int on = 1;

	/* Without these (before 4.12) errors are plain numbers. */
	(void)sys(setsockopt, socket, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)sys(setsockopt, socket, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	long rc = sys(write, socket, message, size);

	if (rc >= 0)
		do
			rc = sys(read, socket, &answer, sizeof(answer));
		while (rc == -EINTR);
	if (rc < 0)
		return rc;
	if ((size_t)rc < offsetof(union answer, said.words) ||
	    answer.said.head.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	if (answer.said.error.error < 0 && !r->tolerate)
		fail_with_words(&answer, (size_t)rc);
	return answer.said.error.error;
}

static int name_link(struct link *link, const char *name)
{
	__builtin_memset(link, 0, sizeof(*link));
	for (size_t i = 0; name[i]; i++) {
		if (i == sizeof(link->name) - 1)
			return -EINVAL;
		link->name[i] = name[i];
	}
	return 0;
}

long link_tell(const struct stage_record *r)
{
	size_t size = r->args[1], index_at = r->args[2];
	union {
		struct nlmsghdr head;
		char bytes[MESSAGE_SIZE];
	} message;
	struct link link;

	if (size > sizeof(message) || index_at + sizeof(link.index) > size ||
	    name_link(&link, (const char *)r->args[3]) < 0)
		return -EINVAL;
	long socket = sys(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (socket < 0)
		return socket;
	long rc = sys(ioctl, socket, SIOCGIFINDEX, &link);

	if (rc >= 0) {
		__builtin_memcpy(message.bytes, (const void *)r->args[0], size);
		__builtin_memcpy(message.bytes + index_at, &link.index, sizeof(link.index));
		message.head.nlmsg_flags |= NLM_F_ACK;
		rc = exchange(socket, r, message.bytes, size);
	}
	(void)sys(close, socket);
	return rc;
}
