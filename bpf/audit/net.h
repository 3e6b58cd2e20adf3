// rtnetlink: devices, XDP without a link, filters. Every function returns 0, or -1 and errno.
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

struct message { struct nlmsghdr head; char body[1024]; };

static void *put(struct message *m, int type, const void *data, int size) // returns the attribute, for nesting
{
	struct rtattr *a = (void *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(a), data, size);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void put_text(struct message *m, int type, const char *text) { put(m, type, text, strlen(text) + 1); }

static void put_number(struct message *m, int type, uint32_t number) { put(m, type, &number, 4); }

static void end_nest(struct message *m, struct rtattr *a) { a->rta_len = (char *)m + m->head.nlmsg_len - (char *)a; }

static struct message message(int type, int flags, const void *first, int size)
{
	struct message m = { { NLMSG_LENGTH(size), type, NLM_F_REQUEST | NLM_F_ACK | flags, 1, 0 }, "" };

	memcpy(NLMSG_DATA(&m.head), first, size);
	return m;
}

static int talk(struct message *m) // one message, one acknowledgement, in the network namespace of this moment
{
	struct { struct nlmsghdr head; struct nlmsgerr error; char rest[2048]; } answer;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), n;

	if (s < 0)
		return -1;
	n = send(s, m, m->head.nlmsg_len, 0) < 0 ? -1 : recv(s, &answer, sizeof(answer), 0);
	close_keeping_errno(s);
	if (n < 0)
		return -1;
	if (answer.head.nlmsg_type == NLMSG_ERROR && answer.error.error) {
		errno = -answer.error.error;
		return -1;
	}
	return 0;
}

static int new_device(const char *kind, const char *name, const char *peer) // peer: NULL for a device without one
{
	struct ifinfomsg i = { 0 };
	struct message m = message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof(i));
	struct rtattr *info, *data, *other;

	put_text(&m, IFLA_IFNAME, name);
	info = put(&m, IFLA_LINKINFO, NULL, 0);
	put_text(&m, IFLA_INFO_KIND, kind);
	if (peer) { // VETH_INFO_PEER and IFLA_NETKIT_PEER_INFO are both 1: struct ifinfomsg, then attributes
		data = put(&m, IFLA_INFO_DATA, NULL, 0);
		other = put(&m, 1, &i, sizeof(i));
		put_text(&m, IFLA_IFNAME, peer);
		end_nest(&m, other);
		end_nest(&m, data);
	}
	end_nest(&m, info);
	return talk(&m);
}

static int delete_device(const char *name)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(name) };
	struct message m = message(RTM_DELLINK, 0, &i, sizeof(i));

	return i.ifi_index ? talk(&m) : -1;
}

static int set_xdp(const char *device, int program, int flags) // program -1: none
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(device) };
	struct message m = message(RTM_SETLINK, 0, &i, sizeof(i));
	struct rtattr *xdp = put(&m, IFLA_XDP | NLA_F_NESTED, NULL, 0);

	put_number(&m, IFLA_XDP_FD, program);
	put_number(&m, IFLA_XDP_FLAGS, flags);
	end_nest(&m, xdp);
	return talk(&m);
}

static int change_qdisc(int type, const char *device, const char *kind, uint32_t handle, uint32_t parent)
{
	struct tcmsg t = { .tcm_ifindex = if_nametoindex(device), .tcm_handle = handle, .tcm_parent = parent };
	struct message m = message(type, type == RTM_NEWQDISC ? NLM_F_CREATE | NLM_F_EXCL : 0, &t, sizeof(t));
	struct tc_prio_qopt bands = { 3, { 1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 } };

	put_text(&m, TCA_KIND, kind);
	if (!strcmp(kind, "prio"))
		put(&m, TCA_OPTIONS, &bands, sizeof(bands));
	return talk(&m);
}

static int add_filter(const char *device, uint32_t parent, int priority, int program, const char *name)
{
	struct tcmsg t = { .tcm_ifindex = if_nametoindex(device), .tcm_parent = parent,
			   .tcm_info = priority << 16 | htons(3 /* ETH_P_ALL */) };
	struct message m = message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &t, sizeof(t));
	struct rtattr *options;

	put_text(&m, TCA_KIND, "bpf");
	options = put(&m, TCA_OPTIONS, NULL, 0);
	put_number(&m, 6 /* TCA_BPF_FD */, program);
	put_text(&m, 7 /* TCA_BPF_NAME */, name);
	put_number(&m, 8 /* TCA_BPF_FLAGS */, 1 /* TCA_BPF_FLAG_ACT_DIRECT */);
	end_nest(&m, options);
	return talk(&m);
}
