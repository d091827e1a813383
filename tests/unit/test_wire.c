/* SPDX-License-Identifier: MIT */
/* test_wire.c – netlink on the wire, held against libmnl */
#include <criterion/criterion.h>

#include <libmnl/libmnl.h>
#include <stdlib.h>

#include "wire.h"

enum { ROOM = 4096, ROUNDS = 200000, MANY = 16 };

union buffer {
	struct nlmsghdr head;
	struct nlattr attribute;
	unsigned char bytes[ROOM];
};

Test(wire, messages_are_put_together_the_same)
{
	static union buffer ours, theirs;
	unsigned char data[300];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 + 1);
	for (size_t first = 0; first < sizeof(data); first++) {
		size_t second = sizeof(data) - 1 - first;

		memset(&ours, 0, sizeof(ours));
		memset(&theirs, 0, sizeof(theirs));
		ours.head.nlmsg_len = WIRE_HEADER;
		wire_put(&ours.head, 7, data, first);
		wire_put(&ours.head, NLA_F_NESTED | 9, data, second);
		mnl_nlmsg_put_header(&theirs);
		mnl_attr_put(&theirs.head, 7, first, data);
		mnl_attr_put(&theirs.head, NLA_F_NESTED | 9, second, data);
		cr_assert_arr_eq(ours.bytes, theirs.bytes, ROOM, "%zu bytes", first);
		cr_assert_eq(wire_payload_size(&ours.head),
			     mnl_nlmsg_get_payload_len(&theirs.head));
		cr_assert_eq(wire_payload(&ours.head), mnl_nlmsg_get_payload(&ours.head));
	}
}

/* A few bytes with lengths that are right, a little wrong, or anything. */
static void scramble(union buffer *b, size_t size)
{
	for (size_t i = 0; i < size; i++)
		b->bytes[i] = (unsigned char)(random() % 4 == 0 ? random() : 0);
}

/* Walks the messages as both do; returns how many there are. */
static unsigned walk_messages(const union buffer *b, size_t size)
{
	const struct nlmsghdr *ours = &b->head, *theirs = &b->head;
	size_t left = size;
	int rest = (int)size;
	unsigned n = 0;

	while (wire_ok(ours, left)) {
		cr_assert(mnl_nlmsg_ok(theirs, rest));
		cr_assert_eq(wire_payload_size(ours), mnl_nlmsg_get_payload_len(theirs));
		ours = wire_next(ours, &left);
		theirs = mnl_nlmsg_next(theirs, &rest);
		cr_assert_eq(ours, theirs);
		n++;
	}
	/* libmnl takes a length above 2^31 for a negative one. */
	if (left >= WIRE_HEADER && ours->nlmsg_len > INT32_MAX)
		return n;
	cr_assert_not(mnl_nlmsg_ok(theirs, rest));
	return n;
}

Test(wire, messages_of_wrong_lengths_end_at_the_same)
{
	static union buffer b;
	unsigned found = 0;

	srandom(1);
	for (int i = 0; i < ROUNDS; i++) {
		size_t size = (size_t)random() % 96;

		scramble(&b, size);
		for (size_t at = 0; at + WIRE_HEADER <= size; at += WIRE_HEADER)
			((struct nlmsghdr *)(b.bytes + at))->nlmsg_len = (uint32_t)random() % 40;
		found += walk_messages(&b, size);
	}
	cr_assert_gt(found, ROUNDS / MANY, "only %u messages were walked", found);
}

Test(wire, attributes_of_wrong_lengths_end_at_the_same)
{
	static union buffer b;
	unsigned found = 0;

	srandom(2);
	for (int i = 0; i < ROUNDS; i++) {
		size_t size = (size_t)random() % 64, at = 0;

		scramble(&b, size);
		for (; at + WIRE_ATTRIBUTE <= size; at += WIRE_ATTRIBUTE)
			((struct nlattr *)(b.bytes + at))->nla_len = (uint16_t)(random() % 20);
		at = 0;
		while (at <= size) {
			const struct nlattr *a = (const struct nlattr *)(b.bytes + at);
			bool is_ok = wire_attribute_ok(a, size - at);

			cr_assert_eq(is_ok, mnl_attr_ok(a, (int)(size - at)));
			if (!is_ok)
				break;
			cr_assert_eq(wire_attribute_size(a), mnl_attr_get_payload_len(a));
			cr_assert_eq(wire_attribute_data(a), mnl_attr_get_payload(a));
			cr_assert_eq((const char *)a + wire_align(a->nla_len),
				     (const char *)mnl_attr_next(a));
			at += wire_align(a->nla_len);
			found++;
		}
	}
	cr_assert_gt(found, ROUNDS / MANY, "only %u attributes were walked", found);
}
