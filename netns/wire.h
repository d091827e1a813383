/* SPDX-License-Identifier: MIT */
/* wire.h – netlink(7) on the wire: messages and attributes, one after the other, each aligned to 4 bytes
 *
 * luge is linked statically, and libmnl is there as a shared library only: the tests hold these against it.
 */
#ifndef LUGE_WIRE_H
#define LUGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/netlink.h>

enum {
	WIRE_ALIGN = 4,
	WIRE_HEADER = sizeof(struct nlmsghdr),
	WIRE_ATTRIBUTE = sizeof(struct nlattr),
	WIRE_TYPE_MAX = 0x3fff, /* NLA_F_NESTED and NLA_F_NET_BYTEORDER lie above */
};

_Static_assert(WIRE_HEADER % WIRE_ALIGN == 0 && WIRE_ATTRIBUTE % WIRE_ALIGN == 0, "no padding");

static inline size_t wire_align(size_t size)
{
	return (size + WIRE_ALIGN - 1) & ~(size_t)(WIRE_ALIGN - 1);
}

/* ---- messages ---- */

/* Whether the `left` bytes that are left begin with a whole message. */
static inline bool wire_ok(const struct nlmsghdr *head, size_t left)
{
	return left >= WIRE_HEADER && head->nlmsg_len >= WIRE_HEADER && head->nlmsg_len <= left;
}

/* The message behind a whole one. The last one need not be padded. */
static inline struct nlmsghdr *wire_next(const struct nlmsghdr *head, size_t *left)
{
	size_t size = wire_align(head->nlmsg_len);

	*left -= size < *left ? size : *left;
	return (struct nlmsghdr *)((char *)head + size);
}

static inline void *wire_payload(const struct nlmsghdr *head)
{
	return (char *)head + WIRE_HEADER;
}

static inline size_t wire_payload_size(const struct nlmsghdr *head)
{
	return head->nlmsg_len - WIRE_HEADER;
}

/* ---- attributes ---- */

/* Whether the `left` bytes that are left begin with a whole attribute. */
static inline bool wire_attribute_ok(const struct nlattr *a, size_t left)
{
	return left >= WIRE_ATTRIBUTE && a->nla_len >= WIRE_ATTRIBUTE && a->nla_len <= left;
}

static inline const void *wire_attribute_data(const struct nlattr *a)
{
	return (const char *)a + WIRE_ATTRIBUTE;
}

static inline size_t wire_attribute_size(const struct nlattr *a)
{
	return a->nla_len - WIRE_ATTRIBUTE;
}

/* Adds an attribute to a message that has room for it, zeroed. */
static inline void wire_put(struct nlmsghdr *head, uint16_t type, const void *data, size_t size)
{
	struct nlattr *a = (struct nlattr *)((char *)head + wire_align(head->nlmsg_len));

	a->nla_type = type;
	a->nla_len = (uint16_t)(WIRE_ATTRIBUTE + size);
	if (size > 0)
		memcpy((char *)a + WIRE_ATTRIBUTE, data, size);
	head->nlmsg_len += (uint32_t)(WIRE_ATTRIBUTE + wire_align(size));
}

#endif
