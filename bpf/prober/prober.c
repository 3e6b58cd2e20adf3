// prober: asks the running kernel whether it takes a probe, and lets go of it.
//
//   prober QUESTIONS ANSWERS [--first N] [--batch N] [--hold N] [--stay] [--careful]
//
// A question is a line `TYPE<TAB>TARGET[<TAB>MORE]`, an answer `NUMBER<TAB>ERRNO<TAB>STAGE<TAB>MICROSECONDS<TAB>MESSAGE`;
// README.md beside this file tells all types and stages. It shares no code with probe_scout: it is the second road.
// bpf(2), perf_event_open(2) and /sys/kernel/btf are used directly: no libbpf, and no kernel header decides what can be asked.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/perf_event.h>

// ---------------------------------------------------------------- bpf(2), by numbers of include/uapi/linux/bpf.h

enum { PROG_LOAD = 5, OBJ_GET_INFO_BY_FD = 15, RAW_TRACEPOINT_OPEN = 17, BTF_GET_FD_BY_ID = 19, BTF_GET_NEXT_ID = 23,
       LINK_CREATE = 28 };
enum { KPROBE = 2, SCHED_CLS = 3, TRACEPOINT = 5, XDP = 6, PERF_EVENT = 7, CGROUP_SKB = 8, RAW_TRACEPOINT = 17,
       RAW_TRACEPOINT_WRITABLE = 24, TRACING = 26, STRUCT_OPS = 27, LSM = 29, SYSCALL = 31, NETFILTER = 32 };
enum { TRACE_RAW_TP = 23, TRACE_FENTRY = 24, TRACE_FEXIT = 25, MODIFY_RETURN = 26, LSM_MAC = 27, TRACE_ITER = 28,
       TRACE_KPROBE_MULTI = 42, TRACE_UPROBE_MULTI = 48, TRACE_KPROBE_SESSION = 56, TRACE_UPROBE_SESSION = 57,
       TRACE_FSESSION = 58, TRACE_FENTRY_MULTI = 59, TRACE_FEXIT_MULTI = 60, TRACE_FSESSION_MULTI = 61 };
enum { F_SLEEPABLE = 1 << 4, F_RETURN = 1 };
enum { E_NOTSUPP = 524 }; // ENOTSUPP, which user space has no name for

struct insn { uint8_t code, regs; int16_t off; int32_t imm; };

struct load_attr {
	uint32_t prog_type, insn_cnt;
	uint64_t insns, license;
	uint32_t log_level, log_size;
	uint64_t log_buf;
	uint32_t kern_version, prog_flags;
	char name[16];
	uint32_t ifindex, expected_attach_type;
	uint32_t prog_btf_fd, func_info_rec_size;
	uint64_t func_info;
	uint32_t func_info_cnt, line_info_rec_size;
	uint64_t line_info;
	uint32_t line_info_cnt, attach_btf_id, attach_btf_obj_fd, core_relo_cnt;
	uint64_t fd_array;
};

static char verifier_log[1 << 18];
static const char *stage, *words; // of the question in hand

static int bpf(int command, void *attr, size_t size) { return syscall(__NR_bpf, command, attr, size); }

static int refuse_lookup(const char *why) // the question itself names what is not there: no answer of the kernel
{
	stage = "lookup";
	words = why;
	errno = ENOENT;
	return -1;
}

static int close_keeping_errno(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return fd < 0 ? -1 : 0;
}

// ---------------------------------------------------------------- what is held, and let go of

static int held[1 << 16], holding, hold_at_most;

static int let_go(int fd) // of an attachment: at once, or with many others later
{
	if (fd < 0 || hold_at_most == 0)
		return close_keeping_errno(fd);
	if (holding == hold_at_most)
		while (holding)
			close(held[--holding]);
	held[holding++] = fd;
	return 0;
}

// ---------------------------------------------------------------- BTF: names to ids

enum { BTF_INT = 1, BTF_ARRAY = 3, BTF_STRUCT = 4, BTF_UNION = 5, BTF_ENUM = 6, BTF_TYPEDEF = 8, BTF_FUNC = 12,
       BTF_FUNC_PROTO = 13, BTF_VAR = 14, BTF_DATASEC = 15, BTF_DECL_TAG = 17, BTF_ENUM64 = 19 };

struct btf { char module[64]; int fd; char *raw; uint32_t types; };
struct named { uint32_t hash, id, next; uint16_t owner, kind; const char *name; };

static struct btf btfs[1024];
static struct named *table;
static uint32_t buckets[1 << 18], table_used, table_room;
static int btf_count, btf_error;

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

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
	if (fd >= 0)
		close_keeping_errno(fd);
	if (n < 0 || !data) {
		free(data);
		return NULL;
	}
	data[used] = 0;
	*size = used;
	return data;
}

// Bytes behind struct btf_type, by kind (Documentation/bpf/btf.rst).
static uint32_t tail_of(uint32_t kind, uint32_t vlen)
{
	switch (kind) {
	case BTF_INT: case BTF_VAR: case BTF_DECL_TAG: return 4;
	case BTF_ARRAY: return 12;
	case BTF_STRUCT: case BTF_UNION: case BTF_DATASEC: case BTF_ENUM64: return 12 * vlen;
	case BTF_ENUM: case BTF_FUNC_PROTO: return 8 * vlen;
	default: return 0;
	}
}

static void note_name(const char *name, int owner, uint32_t id, int kind)
{
	uint32_t h = hash_of(name);

	if (table_used == table_room)
		table = realloc(table, (table_room = table_room ? table_room * 2 : 1 << 16) * sizeof(*table));
	if (!table_used)
		table_used = 1; // entry 0 means "none"
	table[table_used] = (struct named){ h, id, buckets[h % (1 << 18)], owner, kind, name };
	buckets[h % (1 << 18)] = table_used++;
}

// Reads one BTF and keeps its functions, and its typedefs of raw tracepoints.
static int read_btf(const char *module, int fd, uint32_t first_id, const char *base_strings, uint32_t base_length)
{
	struct header { uint16_t magic; uint8_t version, flags; uint32_t hdr_len, type_off, type_len, str_off, str_len; } *h;
	struct btf *b = &btfs[btf_count];
	char path[128], *at, *end, *strings;
	size_t size;
	uint32_t id = first_id;

	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
	b->raw = whole_file(path, &size);
	if (!b->raw || size < sizeof(*h))
		return -1;
	h = (void *)b->raw;
	if (h->magic != 0xeb9f || h->hdr_len + (uint64_t)h->str_off + h->str_len > size ||
	    h->hdr_len + (uint64_t)h->type_off + h->type_len > size) {
		errno = EINVAL;
		return -1;
	}
	strings = b->raw + h->hdr_len + h->str_off;
	at = b->raw + h->hdr_len + h->type_off;
	end = at + h->type_len;
	for (; at + 12 <= end; id++) {
		uint32_t *t = (void *)at, kind = t[1] >> 24 & 0x1f, vlen = t[1] & 0xffff;
		const char *name = t[0] < base_length ? base_strings + t[0] : strings + (t[0] - base_length);

		if (kind == BTF_FUNC || (kind == BTF_TYPEDEF && !strncmp(name, "btf_trace_", 10)))
			note_name(name, btf_count, id, kind);
		at += 12 + tail_of(kind, vlen);
	}
	b->types = id;
	b->fd = fd;
	snprintf(b->module, sizeof(b->module), "%s", module);
	btf_count++;
	return 0;
}

static void read_all_btf(void)
{
	struct { uint16_t magic; uint8_t version, flags; uint32_t hdr_len, type_off, type_len, str_off, str_len; } *h;
	uint32_t id = 0;

	if (read_btf("vmlinux", 0, 1, "", 0)) {
		btf_error = errno ? errno : EINVAL;
		return;
	}
	h = (void *)btfs[0].raw;
	for (;;) {
		struct { uint32_t start, next, flags; } ask = { id, 0, 0 };
		struct { uint64_t btf; uint32_t size, id; uint64_t name; uint32_t name_len, kernel; } info = { 0 };
		struct { uint32_t fd, len; uint64_t info; } get = { 0, sizeof(info), (uintptr_t)&info };
		char name[64] = "";

		if (bpf(BTF_GET_NEXT_ID, &ask, sizeof(ask)) || btf_count == 1023)
			return;
		id = ask.next;
		ask.start = id;
		ask.next = 0;
		get.fd = bpf(BTF_GET_FD_BY_ID, &ask, sizeof(ask));
		if ((int)get.fd < 0)
			continue;
		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		if (bpf(OBJ_GET_INFO_BY_FD, &get, sizeof(get)) || !info.kernel || !strcmp(name, "vmlinux") ||
		    read_btf(name, get.fd, btfs[0].types, btfs[0].raw + h->hdr_len + h->str_off, h->str_len))
			close(get.fd);
	}
}

// The first type of that name: the module's where one is given, else vmlinux's, then the modules' in order of their ids,
// as libbpf looks (find_kernel_btf_id). Several of one name in one BTF: the lowest id.
static const struct named *btf_named(const char *module, const char *name, int kind)
{
	const struct named *best = NULL;
	uint32_t h = hash_of(name);

	for (uint32_t i = buckets[h % (1 << 18)]; i; i = table[i].next) {
		const struct named *n = &table[i];

		if (n->hash != h || n->kind != kind || strcmp(n->name, name) ||
		    (module && strcmp(btfs[n->owner].module, module)))
			continue;
		if (!best || n->owner < best->owner || (n->owner == best->owner && n->id < best->id))
			best = n;
	}
	return best;
}

// `module:name` cut in two; module is NULL without a colon.
static const char *split_target(char *target, const char **module)
{
	char *colon = strchr(target, ':');

	*module = NULL;
	if (!colon)
		return target;
	*colon = 0;
	*module = target;
	return colon + 1;
}

// ---------------------------------------------------------------- programs

#define MOV_IMM(reg, value) { 0xb7, (reg), 0, (value) }
#define LOAD_CTX(size, reg, off) { 0x61 | (size), 0x10 | (reg), (off), 0 } // *(size *)(r1 + off)
#define EXIT { 0x95, 0, 0, 0 }
enum { SIZE_W = 0x00, SIZE_H = 0x08, SIZE_B = 0x10, SIZE_DW = 0x18 };

static const struct insn return_0[] = { MOV_IMM(0, 0), EXIT };

struct program {
	int type, expected, flags, btf_fd;
	uint32_t btf_id;
	const struct insn *insns;
	int count;
	int *fd_array;
};

static int load(const struct program *p)
{
	struct load_attr a;

	memset(&a, 0, sizeof(a));
	stage = "load";
	verifier_log[0] = 0;
	a.prog_type = p->type;
	a.insns = (uintptr_t)(p->insns ? p->insns : return_0);
	a.insn_cnt = p->insns ? p->count : 2;
	a.license = (uintptr_t) "GPL";
	a.log_level = 1;
	a.log_buf = (uintptr_t)verifier_log;
	a.log_size = sizeof(verifier_log);
	a.prog_flags = p->flags;
	a.expected_attach_type = p->expected;
	a.attach_btf_id = p->btf_id;
	a.attach_btf_obj_fd = p->btf_fd;
	a.fd_array = (uintptr_t)p->fd_array;
	words = verifier_log;
	// A 5.10 kernel knows the structure up to core_relo_cnt's place; without an fd_array no more is passed.
	return bpf(PROG_LOAD, &a, p->fd_array ? sizeof(a) : offsetof(struct load_attr, core_relo_cnt));
}

static int raw_tracepoint_open(int program, const char *name)
{
	struct { uint64_t name; uint32_t program, pad; } a = { (uintptr_t)name, program, 0 };

	stage = "attach";
	words = "";
	return bpf(RAW_TRACEPOINT_OPEN, &a, sizeof(a));
}

// ---------------------------------------------------------------- kprobe and uprobe, by perf

static int pmu_number(const char *file, const char *before)
{
	char text[64] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC), n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n <= 0 ? -1 : atoi(text + strlen(before));
}

static int kprobe_program(void)
{
	static int fd, error;

	if (!fd) {
		fd = load(&(struct program){ .type = KPROBE });
		error = errno;
	}
	stage = "load";
	errno = error;
	return fd;
}

static int perf_probe(const char *pmu, int returns, uint64_t config1, uint64_t config2)
{
	struct perf_event_attr e;
	char path[96];
	int type, bit, event, program;

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", pmu);
	type = pmu_number(path, "");
	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/format/retprobe", pmu);
	bit = pmu_number(path, "config:");
	stage = "open";
	words = "";
	if (type < 0) {
		words = "no such perf PMU";
		errno = ENOENT;
		return -1;
	}
	program = kprobe_program();
	if (program < 0)
		return -1;
	memset(&e, 0, sizeof(e));
	e.type = type;
	e.size = sizeof(e);
	e.disabled = 1;
	e.config = returns && bit >= 0 ? 1ull << bit : 0;
	e.config1 = config1;
	e.config2 = config2;
	stage = "open";
	words = "";
	event = syscall(__NR_perf_event_open, &e, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -1;
	stage = "attach";
	if (ioctl(event, PERF_EVENT_IOC_SET_BPF, program))
		return close_keeping_errno(event), -1;
	return let_go(event);
}

static int ask_kprobe(int returns, char *target)
{
	char *plus = strrchr(target, '+');
	uint64_t offset = 0;

	if (!strncmp(target, "0x", 2))
		return perf_probe("kprobe", returns, 0, strtoull(target, NULL, 16));
	if (plus) {
		offset = strtoull(plus + 1, NULL, 0);
		*plus = 0;
	}
	return perf_probe("kprobe", returns, (uintptr_t)target, offset);
}

#if defined(__aarch64__)
#define SYSCALL_PREFIX "__arm64_sys_"
#elif defined(__riscv)
#define SYSCALL_PREFIX "__riscv_sys_"
#else
#define SYSCALL_PREFIX "__x64_sys_"
#endif

static int ask_ksyscall(int returns, const char *name)
{
	char symbol[256];

	snprintf(symbol, sizeof(symbol), SYSCALL_PREFIX "%s", name);
	return perf_probe("kprobe", returns, (uintptr_t)symbol, 0);
}

static int ask_uprobe(int returns, char *target)
{
	char *colon = strrchr(target, ':');

	if (!colon)
		return refuse_lookup("a uprobe is PATH:OFFSET");
	*colon = 0;
	return perf_probe("uprobe", returns, (uintptr_t)target, strtoull(colon + 1, NULL, 0));
}

// ---------------------------------------------------------------- kprobe_events in tracefs: registered, never armed

static char tracefs_words[256];

static void newest_error_log(const char *folder)
{
	static char text[16384];
	char path[96], *p, *last = NULL;
	int fd, n, used = 0;

	snprintf(path, sizeof(path), "%s/error_log", folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	tracefs_words[0] = 0;
	if (fd < 0)
		return;
	while (used < (int)sizeof(text) - 1 && (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += n;
	text[used] = 0;
	for (p = text; (p = strstr(p, "error: ")); p += 7)
		last = p + 7;
	if (last)
		snprintf(tracefs_words, sizeof(tracefs_words), "%.*s", (int)strcspn(last, "\n"), last);
	if (write(fd, "\n", 1) < 0) // forgets what was logged
		tracefs_words[0] = 0;
	close(fd);
}

static int ask_kprobe_event(char kind, const char *target)
{
	static const char folder[] = "/sys/kernel/tracing";
	static int fd = -1, serial;
	char line[700];
	int n, saved;

	stage = "open";
	words = "";
	if (fd < 0)
		fd = open("/sys/kernel/tracing/kprobe_events", O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return -1;
	stage = "register";
	n = snprintf(line, sizeof(line), "%c:prober/q%d %s\n", kind, ++serial, target);
	if (write(fd, line, n) != n) {
		saved = errno;
		newest_error_log(folder);
		words = tracefs_words;
		errno = saved;
		return -1;
	}
	n = snprintf(line, sizeof(line), "-:prober/q%d\n", serial);
	stage = "remove";
	return write(fd, line, n) == n ? 0 : -1;
}

// ---------------------------------------------------------------- many functions by one link

struct answer { int error; const char *stage; char text[400]; double us; };
struct question { char *type, *target, *more; struct answer answer; };

enum many { BY_NAME, BY_BTF_ID };

struct many_type { const char *name; int expected, flags; enum many by; };

static const struct many_type many_types[] = {
	{ "kprobe.multi", TRACE_KPROBE_MULTI, 0, BY_NAME },
	{ "kretprobe.multi", TRACE_KPROBE_MULTI, F_RETURN, BY_NAME },
	{ "kprobe.session", TRACE_KPROBE_SESSION, 0, BY_NAME },
	{ "fentry.multi", TRACE_FENTRY_MULTI, 0, BY_BTF_ID },
	{ "fexit.multi", TRACE_FEXIT_MULTI, 0, BY_BTF_ID },
	{ "fsession.multi", TRACE_FSESSION_MULTI, 0, BY_BTF_ID },
};

static const struct many_type *many_of(const char *type)
{
	for (size_t i = 0; i < sizeof(many_types) / sizeof(*many_types); i++)
		if (!strcmp(many_types[i].name, type))
			return &many_types[i];
	return NULL;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void keep_words(char *to, size_t room, const char *from);

static int many_program(const struct many_type *m, int btf_fd)
{
	static struct { const struct many_type *m; int btf_fd, fd, error; char text[400]; } loaded[64];
	static int count;
	int i;

	for (i = 0; i < count; i++)
		if (loaded[i].m == m && loaded[i].btf_fd == btf_fd)
			break;
	if (i == count) {
		if (count == 64) // forget all: a kernel has few modules with questions of this kind at a time
			while (count)
				if (loaded[--count].fd >= 0)
					close(loaded[count].fd);
		i = count++;
		loaded[i].m = m;
		loaded[i].btf_fd = btf_fd;
		loaded[i].fd = load(&(struct program){ .type = m->by == BY_NAME ? KPROBE : TRACING,
						       .expected = m->expected, .btf_fd = btf_fd });
		loaded[i].error = errno;
		keep_words(loaded[i].text, sizeof(loaded[i].text), verifier_log);
	}
	stage = "load";
	words = loaded[i].text;
	errno = loaded[i].error;
	return loaded[i].fd;
}

static int many_link(const struct many_type *m, int program, const uint64_t *names, const uint32_t *ids, int n)
{
	struct { uint32_t prog, target, type, flags, multi_flags, count; uint64_t names, addresses, cookies; } by_name = {
		program, 0, m->expected, 0, m->flags, n, (uintptr_t)names, 0, 0 };
	struct { uint32_t prog, target, type, flags; uint64_t ids, cookies; uint32_t count, pad; } by_id = {
		program, 0, m->expected, 0, (uintptr_t)ids, 0, n, 0 };

	stage = "attach";
	words = "";
	return m->by == BY_NAME ? bpf(LINK_CREATE, &by_name, sizeof(by_name))
				: bpf(LINK_CREATE, &by_id, offsetof(__typeof__(by_id), pad));
}

static void note(struct question *q, int error, double us)
{
	q->answer.error = error;
	q->answer.stage = error ? stage : "-";
	q->answer.us = us;
	q->answer.text[0] = 0;
	if (error)
		keep_words(q->answer.text, sizeof(q->answer.text), words);
}

// One link for q[0..n); where the kernel refuses it, its halves. Only a link for one function alone tells which.
static void ask_many(const struct many_type *m, struct question **q, const uint64_t *names, const uint32_t *ids, int btf_fd, int n)
{
	double start = now_us();
	int program = many_program(m, btf_fd), r;

	r = program < 0 ? -1 : many_link(m, program, names, ids, n);
	if (r < 0 && n > 1 && program >= 0) {
		ask_many(m, q, names, ids, btf_fd, n / 2);
		ask_many(m, q + n / 2, names ? names + n / 2 : NULL, ids ? ids + n / 2 : NULL, btf_fd, n - n / 2);
		return;
	}
	if (r >= 0)
		let_go(r);
	for (int i = 0; i < n; i++)
		note(q[i], r < 0 ? errno : 0, (now_us() - start) / n);
}

static void ask_batch(const struct many_type *m, struct question *q, int n)
{
	static struct question *who[4096];
	static uint64_t names[4096];
	static uint32_t ids[4096];
	int used = 0, btf_fd = 0;

	for (int i = 0; i <= n; i++) {
		const struct named *type = NULL;
		const char *module = NULL, *name = i < n ? split_target(q[i].target, &module) : NULL;
		int fd = 0, repeated = 0;

		if (i < n && m->by == BY_BTF_ID) {
			type = btf_error ? NULL : btf_named(module, name, BTF_FUNC);
			if (!type) {
				refuse_lookup("no BTF function of this name");
				note(&q[i], errno, 0);
				continue;
			}
			fd = btfs[type->owner].fd;
		}
		for (int k = 0; i < n && k < used && !repeated; k++) // a link takes each function once
			repeated = m->by == BY_NAME ? !strcmp((char *)(uintptr_t)names[k], name) : ids[k] == type->id;
		if (used && (i == n || fd != btf_fd || repeated)) {
			ask_many(m, who, m->by == BY_NAME ? names : NULL, m->by == BY_BTF_ID ? ids : NULL, btf_fd, used);
			used = 0;
		}
		if (i == n)
			break;
		btf_fd = fd;
		who[used] = &q[i];
		names[used] = (uintptr_t)name;
		ids[used++] = type ? type->id : 0;
	}
}

// ---------------------------------------------------------------- tracing programs: one function by BTF id

struct traced_type { const char *name; int type, expected; };

static const struct traced_type traced_types[] = {
	{ "fentry", TRACING, TRACE_FENTRY }, { "fexit", TRACING, TRACE_FEXIT }, { "fsession", TRACING, TRACE_FSESSION },
	{ "fmod_ret", TRACING, MODIFY_RETURN }, { "lsm", LSM, LSM_MAC }, { "iter", TRACING, TRACE_ITER },
};

static int ask_traced(const struct traced_type *t, char *target, int sleepable, int load_only)
{
	const char *module, *name = split_target(target, &module);
	const struct named *found = btf_error ? NULL : btf_named(module, name, BTF_FUNC);
	struct { uint32_t prog, target, type, flags; uint64_t info; uint32_t length, pad; } link = { 0 };
	int program, r;

	if (!found)
		return refuse_lookup("no BTF function of this name");
	program = load(&(struct program){ .type = t->type, .expected = t->expected, .flags = sleepable ? F_SLEEPABLE : 0,
					  .btf_id = found->id, .btf_fd = btfs[found->owner].fd });
	if (program < 0 || load_only)
		return close_keeping_errno(program);
	if (t->expected == TRACE_ITER) {
		link.prog = program;
		link.type = TRACE_ITER;
		stage = "attach";
		words = "";
		r = bpf(LINK_CREATE, &link, offsetof(__typeof__(link), pad));
	} else {
		r = raw_tracepoint_open(program, NULL);
	}
	r = let_go(r);
	close_keeping_errno(program);
	return r;
}

// ---------------------------------------------------------------- tracepoints

static int ask_raw_tp(const char *name, int writable, int sleepable, int argument)
{
	struct insn read_it[] = { LOAD_CTX(SIZE_DW, 0, 0), MOV_IMM(0, 0), EXIT };
	struct program p = { .type = writable ? RAW_TRACEPOINT_WRITABLE : RAW_TRACEPOINT, .flags = sleepable ? F_SLEEPABLE : 0 };
	int program, r;

	if (argument >= 0) {
		read_it[0].off = argument * 8;
		p.insns = read_it;
		p.count = 3;
	}
	program = load(&p);
	if (program < 0)
		return -1;
	r = close_keeping_errno(raw_tracepoint_open(program, name)); // never held: programs on the scheduler's points nest without end
	close_keeping_errno(program);
	return r;
}

// `use` is done to the argument after the load: '+' adds 8, which a pointer that may be NULL refuses; '&' keeps three
// bits, which every pointer refuses.
static int ask_tp_btf(const char *name, int sleepable, int argument, char use)
{
	struct insn read_it[] = { LOAD_CTX(SIZE_DW, 0, 0), MOV_IMM(0, 0), EXIT };
	struct insn use_it[] = { LOAD_CTX(SIZE_DW, 2, 0), { 0x07, 2, 0, 8 }, MOV_IMM(0, 0), EXIT };
	struct program p = { .type = TRACING, .expected = TRACE_RAW_TP, .flags = sleepable ? F_SLEEPABLE : 0 };
	const struct named *found;
	char typedef_name[256];
	int program, r;

	snprintf(typedef_name, sizeof(typedef_name), "btf_trace_%s", name);
	found = btf_error ? NULL : btf_named(NULL, typedef_name, BTF_TYPEDEF);
	if (!found)
		return refuse_lookup("no BTF typedef btf_trace_ of this name");
	p.btf_id = found->id;
	p.btf_fd = btfs[found->owner].fd;
	if (argument >= 0) {
		read_it[0].off = use_it[0].off = argument * 8;
		if (use == '&')
			use_it[1] = (struct insn){ 0x57, 2, 0, 7 };
		p.insns = use ? use_it : read_it;
		p.count = use ? 4 : 3;
	}
	program = load(&p);
	if (program < 0)
		return -1;
	r = close_keeping_errno(raw_tracepoint_open(program, NULL));
	close_keeping_errno(program);
	return r;
}

static int event_id(char *target)
{
	char path[320], text[512] = "", *colon = strchr(target, ':'), *line;
	int id, fd;

	if (!colon)
		return -1;
	snprintf(path, sizeof(path), "/sys/kernel/tracing/events/%.*s/%s/id", (int)(colon - target), target, colon + 1);
	id = pmu_number(path, "");
	if (id >= 0)
		return id;
	// Events that perf cannot open have no such file; their number is in the format all the same.
	strcpy(strrchr(path, '/'), "/format");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0) {
		close_keeping_errno(fd);
		return -1;
	}
	close(fd);
	line = strstr(text, "\nID: ");
	return line ? atoi(line + 5) : -1;
}

static int ask_tp(char *target, const char *field, int sleepable)
{
	struct insn read_it[] = { LOAD_CTX(SIZE_DW, 0, 0), MOV_IMM(0, 0), EXIT };
	struct program p = { .type = TRACEPOINT, .flags = sleepable ? F_SLEEPABLE : 0 };
	struct perf_event_attr e;
	int offset, size, event, program, r;
	static char last_target[300];
	static int last_id = -1;

	if (strcmp(last_target, target)) {
		snprintf(last_target, sizeof(last_target), "%s", target);
		last_id = event_id(target);
	}
	if (last_id < 0)
		return refuse_lookup("no readable id of this event");
	if (field) {
		if (sscanf(field, "%d:%d", &offset, &size) != 2 || (size != 1 && size != 2 && size != 4 && size != 8))
			return refuse_lookup("a field is OFFSET:SIZE, size 1, 2, 4 or 8");
		read_it[0].off = offset;
		read_it[0].code = 0x61;
		read_it[0].code |= size == 8 ? SIZE_DW : size == 4 ? SIZE_W : size == 2 ? SIZE_H : SIZE_B;
		p.insns = read_it;
		p.count = 3;
	}
	program = load(&p);
	if (program < 0)
		return -1;
	memset(&e, 0, sizeof(e));
	e.type = PERF_TYPE_TRACEPOINT;
	e.size = sizeof(e);
	e.config = last_id;
	e.sample_period = 1;
	e.disabled = 1;
	stage = "open";
	words = "";
	event = syscall(__NR_perf_event_open, &e, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	r = event;
	if (event >= 0) {
		stage = "attach";
		r = ioctl(event, PERF_EVENT_IOC_SET_BPF, program);
	}
	if (r < 0)
		close_keeping_errno(event);
	else
		let_go(event);
	close_keeping_errno(program);
	return r < 0 ? -1 : 0;
}

// ---------------------------------------------------------------- uprobe.multi

static int ask_uprobe_multi(int session, char *target)
{
	char *colon = strrchr(target, ':');
	uint64_t offset;
	struct { uint32_t prog, target, type, flags; uint64_t path, offsets, refs, cookies; uint32_t count, multi, pid, pad; } a;
	int program, r;

	if (!colon)
		return refuse_lookup("a uprobe is PATH:OFFSET");
	*colon = 0;
	offset = strtoull(colon + 1, NULL, 0);
	program = load(&(struct program){ .type = KPROBE, .expected = session ? TRACE_UPROBE_SESSION : TRACE_UPROBE_MULTI });
	if (program < 0)
		return -1;
	memset(&a, 0, sizeof(a));
	a.prog = program;
	a.type = session ? TRACE_UPROBE_SESSION : TRACE_UPROBE_MULTI;
	a.path = (uintptr_t)target;
	a.offsets = (uintptr_t)&offset;
	a.count = 1;
	stage = "attach";
	words = "";
	r = let_go(bpf(LINK_CREATE, &a, offsetof(__typeof__(a), pad)));
	close_keeping_errno(program);
	return r;
}

// ---------------------------------------------------------------- kfunc calls

static const struct { const char *word; int type, expected; const char *on; } callers[] = {
	{ "kprobe", KPROBE, 0, NULL }, { "tc", SCHED_CLS, 0, NULL }, { "tp", TRACEPOINT, 0, NULL }, { "xdp", XDP, 0, NULL },
	{ "perf_event", PERF_EVENT, 0, NULL }, { "cgroup_skb", CGROUP_SKB, 0, NULL }, { "raw_tp", RAW_TRACEPOINT, 0, NULL },
	{ "fentry", TRACING, TRACE_FENTRY, "vfs_read" }, { "iter", TRACING, TRACE_ITER, "bpf_iter_task" },
	{ "lsm", LSM, LSM_MAC, "bpf_lsm_file_open" }, { "syscall", SYSCALL, 0, NULL }, { "netfilter", NETFILTER, 45, NULL },
};

static int ask_kfunc(char *target, const char *caller)
{
	const char *module, *name = split_target(target, &module);
	const struct named *found = btf_error ? NULL : btf_named(module, name, BTF_FUNC), *on;
	struct insn call[] = { MOV_IMM(2, 0), MOV_IMM(3, 0), MOV_IMM(4, 0), MOV_IMM(5, 0),
			       { 0x85, 0x20, 0, 0 }, MOV_IMM(0, 0), EXIT };
	int fds[2] = { 0, 0 };
	struct program p = { .insns = call, .count = 7, .fd_array = fds };

	if (!found)
		return refuse_lookup("no BTF function of this name");
	for (size_t i = 0; i < sizeof(callers) / sizeof(*callers); i++) {
		if (!caller || strcmp(callers[i].word, caller))
			continue;
		p.type = callers[i].type;
		p.expected = callers[i].expected;
		p.flags = p.type == SYSCALL ? F_SLEEPABLE : 0;
		if (callers[i].on && (on = btf_named(NULL, callers[i].on, BTF_FUNC)))
			p.btf_id = on->id;
		call[4].imm = found->id;
		call[4].off = found->owner ? 1 : 0;
		fds[1] = btfs[found->owner].fd;
		return close_keeping_errno(load(&p));
	}
	return refuse_lookup("no such kind of program");
}

// ---------------------------------------------------------------- one question

static int ask(const struct question *q)
{
	char type[64];
	int returns, sleepable = 0, load_only = 0;
	size_t n;

	snprintf(type, sizeof(type), "%s", q->type);
	n = strlen(type);
	if (n > 5 && !strcmp(type + n - 5, "_load")) {
		load_only = 1;
		type[n -= 5] = 0;
	}
	if (n > 2 && !strcmp(type + n - 2, ".s")) {
		sleepable = 1;
		type[n -= 2] = 0;
	}
	for (size_t i = 0; i < sizeof(traced_types) / sizeof(*traced_types); i++)
		if (!strcmp(traced_types[i].name, type))
			return ask_traced(&traced_types[i], q->target, sleepable, load_only);
	returns = !strncmp(type, "kret", 4) || !strncmp(type, "uret", 4);
	if (!strcmp(type, "kprobe") || !strcmp(type, "kretprobe"))
		return ask_kprobe(returns, q->target);
	if (!strcmp(type, "kprobe_event") || !strcmp(type, "kretprobe_event"))
		return ask_kprobe_event(returns ? 'r' : 'p', q->target);
	if (!strcmp(type, "ksyscall") || !strcmp(type, "kretsyscall"))
		return ask_ksyscall(returns, q->target);
	if (!strcmp(type, "uprobe") || !strcmp(type, "uretprobe"))
		return ask_uprobe(returns, q->target);
	if (!strcmp(type, "uprobe.multi") || !strcmp(type, "uprobe.session"))
		return ask_uprobe_multi(type[7] == 's', q->target);
	if (!strcmp(type, "raw_tp") || !strcmp(type, "raw_tp.w"))
		return ask_raw_tp(q->target, type[6] == '.', sleepable, -1);
	if (!strcmp(type, "raw_tp_arg"))
		return ask_raw_tp(q->target, 0, 0, atoi(q->more));
	if (!strcmp(type, "tp_btf"))
		return ask_tp_btf(q->target, sleepable, -1, 0);
	if (!strcmp(type, "tp_btf_arg"))
		return ask_tp_btf(q->target, 0, atoi(q->more), q->more[strspn(q->more, "0123456789")]);
	if (!strcmp(type, "tp"))
		return ask_tp(q->target, NULL, sleepable);
	if (!strcmp(type, "tp_field"))
		return ask_tp(q->target, q->more, 0);
	if (!strcmp(type, "kfunc"))
		return ask_kfunc(q->target, q->more);
	return refuse_lookup("the prober does not know this type");
}

// ---------------------------------------------------------------- lines in, lines out

// The lines of a verifier's log that tell why: no statistics, no listing of instructions.
static void keep_words(char *to, size_t room, const char *from)
{
	size_t used = 0;

	to[0] = 0;
	while (from && *from) {
		size_t n = strcspn(from, "\n"), digits = strspn(from, "0123456789");
		int listing = *from == ';' || (digits && (from[digits] == ':')) || !strncmp(from, "processed ", 10) ||
			      !strncmp(from, "R1 type=ctx", 11) || !strncmp(from, "func#", 5);

		if (n && !listing) {
			if (used + n + 4 > room)
				break;
			used += snprintf(to + used, room - used, "%s%.*s", used ? " | " : "", (int)n, from);
		}
		from += n + (from[n] == '\n');
	}
	for (char *p = to; *p; p++)
		if (*p == '\t' || *p == '\r')
			*p = ' ';
}

static const char *errno_name(int error)
{
	static char number[16];
	const char *name = error == E_NOTSUPP ? "ENOTSUPP" : strerrorname_np(error);

	if (!error)
		return "0";
	snprintf(number, sizeof(number), "%d", error);
	return name ? name : number;
}

static char out_text[1 << 17];
static size_t out_used;
static int out_fd;

static void flush(void)
{
	size_t done = 0;

	while (done < out_used) {
		ssize_t n = write(out_fd, out_text + done, out_used - done);

		if (n <= 0)
			_exit(3);
		done += n;
	}
	out_used = 0;
}

static void tell(long number, const struct answer *a)
{
	if (sizeof(out_text) - out_used < 1024)
		flush();
	out_used += snprintf(out_text + out_used, sizeof(out_text) - out_used, "%ld\t%s\t%s\t%.0f\t%s\n", number,
			     errno_name(a->error), a->stage, a->us, a->text);
}

static char *cut(char **rest) // the next field of a line
{
	char *field = *rest, *tab = field ? strchr(field, '\t') : NULL;

	*rest = tab ? tab + 1 : NULL;
	if (tab)
		*tab = 0;
	return field;
}

static int usage(void)
{
	fputs("usage: prober QUESTIONS ANSWERS [--first N] [--batch N] [--hold N] [--stay] [--careful]\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	long first = 0, count = 0, lines = 0;
	int batch = 200, careful = 0, stay = 0;
	struct question *q;
	size_t size;
	char *text, *p;
	double last;

	for (int i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "--careful"))
			careful = 1;
		else if (!strcmp(argv[i], "--stay"))
			stay = 1;
		else if (i + 1 == argc)
			return usage();
		else if (!strcmp(argv[i], "--first"))
			first = atol(argv[++i]);
		else if (!strcmp(argv[i], "--batch"))
			batch = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--hold"))
			hold_at_most = atoi(argv[++i]);
		else
			return usage();
	}
	if (argc < 3 || batch < 1 || batch > 4096 || hold_at_most < 0 || hold_at_most > 1 << 16)
		return usage();
	text = whole_file(argv[1], &size);
	out_fd = strcmp(argv[2], "-") ? open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : 1;
	if (!text || out_fd < 0) {
		fprintf(stderr, "prober: %s: %s\n", text ? argv[2] : argv[1], strerror(errno));
		return 2;
	}
	for (p = text; *p; p++)
		lines += *p == '\n';
	q = calloc(lines + 1, sizeof(*q));
	for (p = text; *p; count++) {
		char *line = p, *end = strchr(p, '\n');

		if (!end) {
			fprintf(stderr, "prober: %s: the last line has no end: the file is cut off\n", argv[1]);
			return 2;
		}
		*end = 0;
		p = end + 1;
		q[count].type = cut(&line);
		q[count].target = cut(&line);
		q[count].more = cut(&line);
		if (!q[count].target || !*q[count].target) {
			fprintf(stderr, "prober: %s: line %ld is no TYPE<TAB>TARGET\n", argv[1], count + 1);
			return 2;
		}
		if (!q[count].more)
			q[count].more = "";
	}
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ hold_at_most + 2048, hold_at_most + 2048 });
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }); // before 5.11 programs count
	read_all_btf();
	last = now_us();
	for (long i = first; i < count;) {
		const struct many_type *m = many_of(q[i].type);
		long n = 1;

		if (m)
			while (n < (careful ? 1 : batch) && i + n < count && !strcmp(q[i + n].type, q[i].type))
				n++;
		if (careful) {
			out_used += snprintf(out_text + out_used, 64, "S %ld\n", i);
			flush();
		}
		if (m) {
			ask_batch(m, q + i, n);
		} else {
			double start = now_us();
			int r = ask(&q[i]);

			if (r < 0 && (errno == EMFILE || errno == ENFILE)) {
				fprintf(stderr, "prober: no more open files at question %ld\n", i);
				return 3;
			}
			note(&q[i], r < 0 ? (errno ? errno : EINVAL) : 0, now_us() - start);
		}
		for (long k = i; k < i + n; k++)
			tell(k, &q[k].answer);
		i += n;
		if (careful || now_us() - last > 3e5) {
			flush();
			last = now_us();
		}
	}
	out_used += snprintf(out_text + out_used, 64, "END %ld\n", count);
	flush();
	if (stay && holding && fork() == 0) // a guest that is thrown away need not detach: that costs ten times what attaching costs
		for (;;)
			pause();
	return 0;
}
