/* SPDX-License-Identifier: MIT */
/* netlink.h – sockets, between netlink.c and batch.c */
#ifndef LUGE_NETLINK_H
#define LUGE_NETLINK_H

#include <linux/netlink.h>

#include "bind.h"

struct netlink {
	int fd; /* -1: closed */
	int protocol;
	bool is_own;	/* of the namespace that we were in */
	unsigned place; /* bind_place of that moment */
	bool is_clean;	/* all that the kernel had to say has been read */
	uint32_t sequence;
	bool interrupted; /* what is being dumped changed meanwhile */
	/* What the last exchange brought: messages one after the other, and the kernel's words. */
	char *replies;
	size_t replies_len, replies_size;
	char text[256];
	uint32_t offset; /* of the attribute that the error is about; 0: not told */
};

enum { RECEIVE_SIZE = 32768 };

/* What is being received; nothing of it is looked at after the exchange. */
union netlink_answer {
	struct nlmsghdr head;
	char bytes[RECEIVE_SIZE];
};
extern union netlink_answer netlink_received;

/* Raises for anything but an open socket. */
struct netlink *netlink_check(lua_State *L, int arg);

/* Forgets what the last exchange brought, and the link that was looked at, where the message may change it. */
void netlink_forget(struct netlink *nl, const struct nlmsghdr *request);

/* What the kernel sent next, into netlink_received: its size, or -errno. */
long netlink_receive(struct netlink *nl, int flags);

/* Keeps the kernel's words of an answer that is an error. */
void netlink_keep_text(struct netlink *nl, const struct nlmsghdr *head);

/* nil, err, errno with the kernel's words; rc: -errno. */
int netlink_return_error(lua_State *L, const struct netlink *nl, long rc);

/* batch.c: socket:batch */
int netlink_batch(lua_State *L);

#endif
