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
	AF_NETLINK = 16,
	SOCK_RAW = 3,
	SOCK_CLOEXEC = 02000000,
};

/* One exchange on a socket that nobody wrote to before: the first answer is the answer. */
static long exchange(long socket, const void *message, size_t size)
{
	/* The kernel repeats the request after its word on it. */
	union {
		struct {
			struct nlmsghdr head;
			struct nlmsgerr error;
		} said;
		char bytes[2 * MESSAGE_SIZE];
	} answer;
	long rc = sys(write, socket, message, size);

	if (rc >= 0)
		do
			rc = sys(read, socket, &answer, sizeof(answer));
		while (rc == -EINTR);
	if (rc < 0)
		return rc;
	if ((size_t)rc < sizeof(answer.said) || answer.said.head.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return answer.said.error.error;
}

long link_tell(const void *message, size_t size, size_t index_at, const char *name)
{
	union {
		struct nlmsghdr head;
		char bytes[MESSAGE_SIZE];
	} copy;
	struct link link;
	size_t length = 0;

	__builtin_memset(&link, 0, sizeof(link));
	while (name[length] && length < sizeof(link.name) - 1) {
		link.name[length] = name[length];
		length++;
	}
	if (size > sizeof(copy) || index_at + sizeof(int) > size || name[length])
		return -EINVAL;
	long socket = sys(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (socket < 0)
		return socket;
	long rc = sys(ioctl, socket, SIOCGIFINDEX, &link);

	if (rc >= 0) {
		__builtin_memcpy(copy.bytes, message, size);
		__builtin_memcpy(copy.bytes + index_at, &link.index, sizeof(int));
		copy.head.nlmsg_flags |= NLM_F_ACK;
		rc = exchange(socket, copy.bytes, size);
	}
	(void)sys(close, socket);
	return rc;
}
