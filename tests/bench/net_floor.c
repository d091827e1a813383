/* SPDX-License-Identifier: MIT */
/* net_floor.c – the least that it takes to give a new network namespace a wire to the host: the messages that luge sends
 *
 *   net_floor LINK MAC ADDRESS GATEWAY ADDRESS6 GATEWAY6 GUARD GUARD6 TABLES
 *
 * In a host that is a new network namespace of its own: the guards of what it forwards, forwarding switched on, a child in
 * a new namespace, a veth whose other end is made there, what the host believes of it, addresses of both ends (/30 and
 * /64), the container's default routes, where it is, and the tables that translate addresses. GUARD, GUARD6, TABLES: files
 * with the messages of luge's own transactions. One socket for each side, one for nftables; nothing is named, locked,
 * looked up or written down. Prints the microseconds from the
 * first call until the child says that it is done. A failure prints the call and ends with 99. Needs root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_SIZE = 65536,
	ANSWERS_SIZE = 65536,
	MESSAGE_SIZE = 1024,
	PREFIX4 = 30,
	PREFIX6 = 64,
	NO_ADDRESS = 1,
	BATCHES = 3
};

#define MUST(call) must((long)(call), #call)

struct batch {
	char bytes[BATCH_SIZE];
	size_t len;
	unsigned messages;
};

static struct {
	const char *link, *mac, *address, *gateway, *address6, *gateway6;
	struct batch batches[BATCHES];
	struct mnl_socket *tables;
} job;

static union {
	struct nlmsghdr head;
	char bytes[MESSAGE_SIZE];
} message;

static long must(long rc, const char *what)
{
	if (rc < 0) {
		perror(what);
		_exit(99);
	}
	return rc;
}

static struct mnl_socket *open_socket(int protocol)
{
	struct mnl_socket *s = mnl_socket_open2(protocol, SOCK_CLOEXEC);

	MUST(s ? 0 : -1);
	MUST(mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID));
	return s;
}

/* Sends, and reads `count` acknowledgements. */
static void exchange(struct mnl_socket *s, const void *data, size_t len, unsigned count)
{
	static union {
		struct nlmsghdr head;
		char bytes[ANSWERS_SIZE];
	} answer;

	MUST(mnl_socket_sendto(s, data, len));
	while (count > 0) {
		int left = (int)MUST(mnl_socket_recvfrom(s, &answer, sizeof(answer)));

		for (struct nlmsghdr *h = &answer.head; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			errno = -e->error;
			MUST(e->error);
			count--;
		}
	}
}

static void send_message(struct mnl_socket *s)
{
	exchange(s, &message, message.head.nlmsg_len, 1);
}

static void *begin(uint16_t type, uint16_t flags, size_t header)
{
	memset(&message, 0, MNL_NLMSG_HDRLEN + header);
	mnl_nlmsg_put_header(&message);
	message.head.nlmsg_type = type;
	message.head.nlmsg_flags = flags | NLM_F_REQUEST | NLM_F_ACK;
	return mnl_nlmsg_put_extra_header(&message.head, header);
}

static void begin_link(uint16_t flags, unsigned index, unsigned change)
{
	struct ifinfomsg *info = begin(RTM_NEWLINK, flags, sizeof(*info));

	info->ifi_index = (int)index;
	info->ifi_flags = change;
	info->ifi_change = change;
}

static void set_up(struct mnl_socket *s, const char *name)
{
	begin_link(0, 0, IFF_UP);
	mnl_attr_put_strz(&message.head, IFLA_IFNAME, name);
	send_message(s);
}

static void put_mac(uint16_t type)
{
	uint8_t mac[6];
	char *at = (char *)job.mac;

	for (int i = 0; i < 6; i++, at++)
		mac[i] = (uint8_t)strtoul(at, &at, 16);
	mnl_attr_put(&message.head, type, sizeof(mac), mac);
}

/* The container's end, up at once. As veth(4): the peer's description is a message within the message. */
static void make_veth(struct mnl_socket *s, pid_t pid)
{
	struct nlmsghdr *h = &message.head;

	begin_link(NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP);
	mnl_attr_put_strz(h, IFLA_IFNAME, "eth0");
	put_mac(IFLA_ADDRESS);
	mnl_attr_put_u32(h, IFLA_NET_NS_PID, (uint32_t)pid);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);

	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);

	memset(mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg)), 0,
	       sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, job.link);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	send_message(s);
}

static void no_link_local(struct mnl_socket *s, unsigned index)
{
	struct nlmsghdr *h = &message.head;

	begin_link(0, index, 0);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, NO_ADDRESS);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	send_message(s);
}

static void put_ip(uint16_t type, int family, const char *text)
{
	uint8_t bytes[16];

	MUST(inet_pton(family, text, bytes) - 1);
	mnl_attr_put(&message.head, type, family == AF_INET ? 4 : 16, bytes);
}

static void add_address(struct mnl_socket *s, unsigned index, int family, const char *text)
{
	struct ifaddrmsg *a = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));

	a->ifa_family = (uint8_t)family;
	a->ifa_prefixlen = family == AF_INET ? PREFIX4 : PREFIX6;
	a->ifa_flags = family == AF_INET ? 0 : IFA_F_NODAD;
	a->ifa_index = index;
	put_ip(IFA_LOCAL, family, text);
	put_ip(IFA_ADDRESS, family, text);
	send_message(s);
}

static void add_default(struct mnl_socket *s, unsigned index, int family, const char *gateway)
{
	struct rtmsg *r = begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*r));

	r->rtm_family = (uint8_t)family;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_BOOT;
	r->rtm_type = RTN_UNICAST;
	put_ip(RTA_GATEWAY, family, gateway);
	mnl_attr_put_u32(&message.head, RTA_OIF, index);
	send_message(s);
}

static void add_neighbour(struct mnl_socket *s, unsigned index)
{
	struct ndmsg *n = begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*n));

	n->ndm_family = AF_INET6;
	n->ndm_ifindex = (int)index;
	n->ndm_state = NUD_PERMANENT;
	put_ip(NDA_DST, AF_INET6, job.address6);
	put_mac(NDA_LLADDR);
	send_message(s);
}

static void write_file(const char *path, const char *text)
{
	int fd = (int)MUST(open(path, O_WRONLY | O_CLOEXEC));

	MUST(write(fd, text, strlen(text)));
	close(fd);
}

static void distrust(int version, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv%d/conf/%s/%s", version, job.link, name);
	write_file(path, value);
}

static void read_batch(struct batch *b, const char *path)
{
	int fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));

	b->len = (size_t)MUST(read(fd, b->bytes, sizeof(b->bytes)));
	close(fd);
	int left = (int)b->len;

	for (struct nlmsghdr *h = (void *)b->bytes; mnl_nlmsg_ok(h, left);
	     h = mnl_nlmsg_next(h, &left))
		b->messages += (h->nlmsg_flags & NLM_F_ACK) != 0;
}

static void commit(const struct batch *b)
{
	exchange(job.tables, b->bytes, b->len, b->messages);
}

/* One family after the other; the links of IPv4 are switched each. */
static void forward(void)
{
	job.tables = open_socket(NETLINK_NETFILTER);
	commit(&job.batches[0]);
	write_file("/proc/sys/net/ipv4/conf/default/forwarding", "1");
	write_file("/proc/sys/net/ipv4/conf/lo/forwarding", "1");
	commit(&job.batches[1]);
	write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

/* ---- both sides ---- */

static void child(int go, int done)
{
	char byte;
	struct mnl_socket *s = open_socket(NETLINK_ROUTE);

	set_up(s, "lo");
	MUST(read(go, &byte, 1) - 1);
	unsigned index = if_nametoindex("eth0");

	add_address(s, index, AF_INET, job.address);
	add_address(s, index, AF_INET6, job.address6);
	add_default(s, index, AF_INET, job.gateway);
	add_default(s, index, AF_INET6, job.gateway6);
	MUST(write(done, "", 1));
	pause();
	_exit(0);
}

static void parent(pid_t pid)
{
	struct mnl_socket *s = open_socket(NETLINK_ROUTE);

	make_veth(s, pid);
	distrust(6, "accept_ra", "0");
	distrust(6, "accept_redirects", "0");
	distrust(4, "accept_redirects", "0");
	distrust(4, "rp_filter", "1");
	unsigned index = if_nametoindex(job.link);

	no_link_local(s, index);
	set_up(s, job.link);
	add_address(s, index, AF_INET, job.gateway);
	add_address(s, index, AF_INET6, job.gateway6);
	add_neighbour(s, index);
	commit(&job.batches[2]);
	mnl_socket_close(job.tables);
	mnl_socket_close(s);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	int go[2], done[2];
	char byte;

	if (argc != 7 + BATCHES) {
		fputs("usage: net_floor LINK MAC ADDRESS GATEWAY ADDRESS6 GATEWAY6 GUARD GUARD6 "
		      "TABLES\n",
		      stderr);
		return 99;
	}
	job.link = argv[1], job.mac = argv[2], job.address = argv[3], job.gateway = argv[4];
	job.address6 = argv[5], job.gateway6 = argv[6];
	for (int i = 0; i < BATCHES; i++)
		read_batch(&job.batches[i], argv[7 + i]);
	MUST(unshare(CLONE_NEWNET));
	set_up(open_socket(NETLINK_ROUTE), "lo");
	MUST(pipe2(go, O_CLOEXEC));
	MUST(pipe2(done, O_CLOEXEC));

	double began = now();

	forward();
	struct clone_args args = {.flags = CLONE_NEWNET, .exit_signal = SIGCHLD};
	pid_t pid = (pid_t)MUST(syscall(SYS_clone3, &args, sizeof(args)));

	if (pid == 0)
		child(go[0], done[1]);
	parent(pid);
	MUST(write(go[1], "", 1));
	MUST(read(done[0], &byte, 1) - 1);
	printf("%.1f\n", now() - began);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
