// bpf(2), BTF and perf_event_open(2), by the numbers of include/uapi/linux/bpf.h: no header decides what can be planted.
// Every function returns -1 and errno where the kernel refuses; `words` then holds the verifier's last line, if it spoke.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/perf_event.h>

enum { MAP_CREATE = 0, MAP_UPDATE_ELEM = 2, MAP_DELETE_ELEM = 3, PROG_LOAD = 5, OBJ_PIN = 6, PROG_ATTACH = 8,
       OBJ_GET_INFO_BY_FD = 15, RAW_TRACEPOINT_OPEN = 17, BTF_LOAD = 18, BTF_GET_FD_BY_ID = 19, BTF_GET_NEXT_ID = 23,
       LINK_CREATE = 28, PROG_BIND_MAP = 35 };
enum { SOCKET_FILTER = 1, KPROBE = 2, SCHED_CLS = 3, TRACEPOINT = 5, XDP = 6, PERF_EVENT = 7, CGROUP_SKB = 8, CGROUP_SOCK = 9,
       SK_SKB = 14, CGROUP_DEVICE = 15, RAW_TRACEPOINT = 17, FLOW_DISSECTOR = 22, TRACING = 26, STRUCT_OPS = 27, EXT = 28,
       LSM = 29, SK_LOOKUP = 30, NETFILTER = 32 };
enum { ON_INET_EGRESS = 1, ON_SOCK_CREATE = 2, ON_STREAM_VERDICT = 5, ON_DEVICE = 6, ON_FLOW_DISSECTOR = 17, ON_RAW_TP = 23,
       ON_FENTRY = 24, ON_FEXIT = 25, ON_MODIFY_RETURN = 26, ON_LSM_MAC = 27, ON_ITER = 28, ON_SK_LOOKUP = 36, ON_XDP = 37,
       ON_SK_SKB_VERDICT = 38, ON_PERF_EVENT = 41, ON_KPROBE_MULTI = 42, ON_LSM_CGROUP = 43, ON_STRUCT_OPS = 44,
       ON_NETFILTER = 45, ON_TCX_INGRESS = 46, ON_TCX_EGRESS = 47, ON_UPROBE_MULTI = 48, ON_NETKIT_PRIMARY = 54,
       ON_KPROBE_SESSION = 56, ON_UPROBE_SESSION = 57, ON_FSESSION = 58, ON_FENTRY_MULTI = 59, ON_FEXIT_MULTI = 60 };
enum { MAP_ARRAY = 2, MAP_PROG_ARRAY = 3, MAP_SOCKMAP = 15, MAP_STRUCT_OPS = 26, F_LINK = 1 << 13 };
enum { NONE = 0, F_ALLOW_MULTI = 2, F_RETURN = 1 };
enum { E_NOTSUPP = 524 }; // ENOTSUPP, which user space has no name for

struct insn { uint8_t code, regs; int16_t off; int32_t imm; };

static char words[1 << 16];

static int bpf(int command, void *attr, size_t size) { return syscall(__NR_bpf, command, attr, size); }

static int close_keeping_errno(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

// ---------------------------------------------------------------- programs, links, maps

struct program { const char *name; int type, on, result, btf_fd; uint32_t btf_id; const char *line; };

static int program_btf(const char *line, uint32_t *line_at);

static int load(struct program p) // a program that returns p.result
{
	struct insn insns[] = { { 0xb7, 0, 0, p.result }, { 0x95, 0, 0, 0 } };
	uint32_t function[2] = { 0, 3 }, lines[4] = { 0 }; // struct bpf_func_info, bpf_line_info
	int own_btf = -1, fd;
	struct load_attr {
		uint32_t type, insn_count;
		uint64_t insns, license;
		uint32_t log_level, log_size;
		uint64_t log;
		uint32_t kernel, flags;
		char name[16];
		uint32_t ifindex, on, btf_fd, func_info_size;
		uint64_t func_info;
		uint32_t func_info_count, line_info_size;
		uint64_t line_info;
		uint32_t line_info_count, btf_id, btf_obj_fd, pad;
	};
	struct load_attr a = { .type = p.type, .insn_count = 2, .insns = (uintptr_t)insns, .license = (uintptr_t) "GPL", .log_level = 1,
		.log_size = sizeof(words), .log = (uintptr_t)words, .on = p.on, .btf_id = p.btf_id, .btf_obj_fd = p.btf_fd };
	size_t n = strlen(p.name);

	if (n > 15) { // the kernel keeps 15 characters
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		a.name[i] = p.name[i] == '/' || p.name[i] == '-' ? '_' : p.name[i]; // else EINVAL (bpf_obj_name_cpy)
	words[0] = 0;
	if (p.line) {
		lines[1] = 1; // any name for the file
		own_btf = a.btf_fd = program_btf(p.line, &lines[2]);
		lines[3] = 1 << 10;
		a.func_info_size = sizeof(function);
		a.func_info = (uintptr_t)function;
		a.line_info_size = sizeof(lines);
		a.line_info = (uintptr_t)lines;
		a.func_info_count = a.line_info_count = 1;
	}
	fd = bpf(PROG_LOAD, &a, offsetof(struct load_attr, pad));
	if (fd >= 0)
		words[0] = 0; // what the verifier counted
	close_keeping_errno(own_btf);
	return fd;
}

// BTF of one function `handle` with one argument (type 3), and a line of source among its strings, as loaders bring it.
static int program_btf(const char *line, uint32_t *line_at)
{
	struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t size, types, types_size, strings, strings_size, type[4 + 5 + 3];
		char text[512];
	} b = { 0xeb9f, 1, 0, 24, 0, sizeof(b.type), sizeof(b.type), 0,
		{ 1, 1 << 24, 4, 0x01000020,	// 1: int
		  0, 13 << 24 | 1, 1, 5, 1,	// 2: int (*)(int handle's argument)
		  5, 12 << 24 | 1, 2 },		// 3: handle, global
		"\0int\0handle" };
	struct { uint64_t btf, log; uint32_t size, log_size, log_level, pad; } a = { (uintptr_t)&b, 0, 0, 0, 0, 0 };

	*line_at = sizeof("\0int\0handle");
	snprintf(b.text + *line_at, sizeof(b.text) - *line_at, "%s", line);
	b.strings_size = *line_at + strlen(line) + 1;
	a.size = offsetof(__typeof__(b), text) + b.strings_size;
	return bpf(BTF_LOAD, &a, offsetof(__typeof__(a), pad));
}

static uint32_t id_of(int fd) // of a link or a program: the second number of both infos
{
	uint32_t info[32] = { 0 };
	struct { uint32_t fd, size; uint64_t info; } a = { fd, sizeof(info), (uintptr_t)info };

	return bpf(OBJ_GET_INFO_BY_FD, &a, sizeof(a)) ? 0 : info[1];
}

static int raw_tracepoint_open(int program, const char *name)
{
	struct { uint64_t name; uint32_t program, pad; } a = { (uintptr_t)name, program, 0 };

	return bpf(RAW_TRACEPOINT_OPEN, &a, sizeof(a));
}

struct link { uint32_t program, target, on, flags; uint64_t more[6]; };

static int link_create(struct link l, int numbers_of_more)
{
	return bpf(LINK_CREATE, &l, offsetof(struct link, more) + 8 * numbers_of_more);
}

static int prog_attach(int target, int program, int on, int flags)
{
	struct { uint32_t target, program, on, flags, replace; } a = { target, program, on, flags, 0 };

	return bpf(PROG_ATTACH, &a, sizeof(a));
}

static int pin(int fd, const char *path)
{
	struct { uint64_t path; uint32_t fd, flags; } a = { (uintptr_t)path, fd, 0 };

	return bpf(OBJ_PIN, &a, sizeof(a));
}

struct map { uint32_t type, key, value, entries, flags, inner, node; char name[16]; uint32_t ifindex, btf_fd, btf_key, btf_value, btf_kernel_value; };

static int map_create(struct map m) { return bpf(MAP_CREATE, &m, sizeof(m)); }

static int map_update(int map, const void *key, const void *value)
{
	struct { uint32_t map, pad; uint64_t key, value, flags; } a = { map, 0, (uintptr_t)key, (uintptr_t)value, 0 };

	return bpf(MAP_UPDATE_ELEM, &a, sizeof(a));
}

static int map_delete(int map, const void *key)
{
	struct { uint32_t map, pad; uint64_t key, value, flags; } a = { map, 0, (uintptr_t)key, 0, 0 };

	return bpf(MAP_DELETE_ELEM, &a, sizeof(a));
}

static int bind_map(int program, int map)
{
	struct { uint32_t program, map, flags; } a = { program, map, 0 };

	return bpf(PROG_BIND_MAP, &a, sizeof(a));
}

// ---------------------------------------------------------------- BTF: names to ids, members to offsets

enum { BTF_INT = 1, BTF_ARRAY = 3, BTF_STRUCT = 4, BTF_UNION = 5, BTF_ENUM = 6, BTF_TYPEDEF = 8, BTF_FUNC = 12,
       BTF_FUNC_PROTO = 13, BTF_VAR = 14, BTF_DATASEC = 15, BTF_DECL_TAG = 17, BTF_ENUM64 = 19 };

struct btf { int fd; char *types, *end, *strings; uint32_t first, count, strings_size; };

static struct btf kernel_btf, module_btf; // module_btf: of the module asked for last
static char module_btf_name[64];

static char *whole_file(const char *path, size_t *size)
{
	size_t room = 1 << 16, used = 0;
	char *data = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && data && (n = read(fd, data + used, room - used - 1)) > 0) {
		used += n;
		if (room - used < 2)
			data = realloc(data, room *= 2);
	}
	close_keeping_errno(fd);
	if (n < 0 || !data) {
		free(data);
		return NULL;
	}
	data[used] = 0;
	*size = used;
	return data;
}

static int number_in(const char *path, const char *before) // -1: no such file
{
	size_t size;
	char *text = whole_file(path, &size);
	int n = text ? atoi(text + strlen(before)) : -1;

	free(text);
	return n;
}

static uint32_t btf_tail(uint32_t kind, uint32_t vlen) // bytes behind struct btf_type (Documentation/bpf/btf.rst)
{
	switch (kind) {
	case BTF_INT: case BTF_VAR: case BTF_DECL_TAG: return 4;
	case BTF_ARRAY: return 12;
	case BTF_STRUCT: case BTF_UNION: case BTF_DATASEC: case BTF_ENUM64: return 12 * vlen;
	case BTF_ENUM: case BTF_FUNC_PROTO: return 8 * vlen;
	default: return 0;
	}
}

static uint32_t *btf_next(uint32_t *t) { return (uint32_t *)((char *)t + 12 + btf_tail(t[1] >> 24 & 0x1f, t[1] & 0xffff)); }

static int read_btf(const char *name, struct btf *b)
{
	struct { uint16_t magic; uint8_t version, flags; uint32_t size, types, types_size, strings, strings_size; } *h;
	char path[128];
	size_t size;

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", name);
	h = (void *)whole_file(path, &size);
	if (!h)
		return -1;
	b->types = (char *)h + h->size + h->types;
	b->end = b->types + h->types_size;
	b->strings = (char *)h + h->size + h->strings;
	b->strings_size = h->strings_size;
	b->first = b == &kernel_btf ? 1 : kernel_btf.first + kernel_btf.count;
	b->count = 0;
	for (uint32_t *t = (void *)b->types; (char *)t < b->end; t = btf_next(t))
		b->count++;
	return 0;
}

static int btf_fd_of(const char *module) // the kernel's object with this name
{
	uint32_t id = 0;

	for (;;) {
		struct { uint32_t start, next, flags; } ask = { id, 0, 0 };
		struct { uint64_t btf; uint32_t size, id; uint64_t name; uint32_t name_size, kernel; } info = { 0 };
		struct { uint32_t fd, size; uint64_t info; } get = { 0, sizeof(info), (uintptr_t)&info };
		char name[64] = "";

		if (bpf(BTF_GET_NEXT_ID, &ask, sizeof(ask)))
			return -1;
		ask.start = id = ask.next;
		ask.next = 0;
		get.fd = bpf(BTF_GET_FD_BY_ID, &ask, sizeof(ask));
		if ((int)get.fd < 0)
			continue;
		info.name = (uintptr_t)name;
		info.name_size = sizeof(name);
		if (!bpf(OBJ_GET_INFO_BY_FD, &get, sizeof(get)) && info.kernel && !strcmp(name, module))
			return get.fd;
		close(get.fd);
	}
}

static struct btf *btf_of(const char *module)
{
	if (!kernel_btf.types && read_btf("vmlinux", &kernel_btf))
		return NULL;
	if (!module)
		return &kernel_btf;
	if (strcmp(module, module_btf_name)) {
		int fd = btf_fd_of(module);

		if (fd < 0 || read_btf(module, &module_btf))
			return NULL;
		module_btf.fd = fd;
		snprintf(module_btf_name, sizeof(module_btf_name), "%s", module);
	}
	return &module_btf;
}

static const char *btf_text(const struct btf *b, uint32_t offset)
{
	if (b == &kernel_btf)
		return b->strings + offset;
	return offset < kernel_btf.strings_size ? kernel_btf.strings + offset : b->strings + (offset - kernel_btf.strings_size);
}

static uint32_t btf_find(const struct btf *b, const char *name, uint32_t kind, uint32_t **type) // 0: none, ENOENT
{
	uint32_t id = b->first;

	for (uint32_t *t = (void *)b->types; (char *)t < b->end; t = btf_next(t), id++)
		if ((t[1] >> 24 & 0x1f) == kind && !strcmp(btf_text(b, t[0]), name)) {
			if (type)
				*type = t;
			return id;
		}
	errno = ENOENT;
	return 0;
}

// A member's index and offset in bytes; also of an unnamed struct's or union's first member. -1: none.
static int btf_member(uint32_t *type, const char *name, int *index)
{
	uint32_t count = type[1] & 0xffff, has_bitfields = type[1] >> 31;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t *m = type + 3 + 3 * i;

		if (!strcmp(btf_text(&kernel_btf, m[0]), name)) {
			*index = i;
			return (has_bitfields ? m[2] & 0xffffff : m[2]) / 8;
		}
	}
	errno = ENOENT;
	return -1;
}

// ---------------------------------------------------------------- perf events

static int perf_open(struct perf_event_attr e)
{
	e.size = sizeof(e);
	words[0] = 0;
	return syscall(__NR_perf_event_open, &e, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

static int pmu[2], return_bit[2]; // of kprobe and uprobe: read once, before a chroot hides /sys

static void read_pmus(void)
{
	pmu[0] = number_in("/sys/bus/event_source/devices/kprobe/type", "");
	pmu[1] = number_in("/sys/bus/event_source/devices/uprobe/type", "");
	return_bit[0] = number_in("/sys/bus/event_source/devices/kprobe/format/retprobe", "config:");
	return_bit[1] = number_in("/sys/bus/event_source/devices/uprobe/format/retprobe", "config:");
}

// config1 is the function's name or the file's path, config2 the offset; without a name config2 is an address.
static int perf_probe(int is_uprobe, int returns, const char *name, uint64_t offset)
{
	return perf_open((struct perf_event_attr){ .type = pmu[is_uprobe], .config = returns ? 1ull << return_bit[is_uprobe] : 0,
						   .config1 = (uintptr_t)name, .config2 = offset });
}
