// holder: leaves one attachment of each kind and prints what it left, by construction: the truth that an audit is measured against.
//
//   holder                plants, prints rows, then `ready`; at the end of standard input it takes all away and prints `gone`
//   holder --churn N      attaches and detaches N times, prints `churned N`
//   holder --full F N     fentry programs on function F until the kernel refuses; N of them are let go again; then `ready`
//   holder --missing N    a kretprobe on what N processes sleep in, then `ready`
//   holder --crowd N P    N programs with a link each and P processes with 20 descriptors each, then `ready`
//
// README.md beside this file tells the rows. It shares no code with probe_scout.
#include "kernel.h"
#include "net.h"

#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <link.h>

#define HOME "/run/holder"
#define PINS "/sys/fs/bpf/holder"
#define TRACE "/sys/kernel/tracing"
#define CGROUP "/sys/fs/cgroup/holder"

enum { BY_LINK, BY_IOCTL };

// ---------------------------------------------------------------- rows

struct row {
	const char *kind, *target;
	long offset; // NO_OFFSET
	const char *module;
	int prog, link, ok;
	int owners[3];
	const char *pin, *note;
};

enum { NO_OFFSET = -1, NO_FD = -1 };

static void say(const char *format, ...)
{
	char line[1024];
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	if (write(1, line, n) != n)
		_exit(3);
}

static void lacks(const char *kind)
{
	const char *name = errno == E_NOTSUPP ? "ENOTSUPP" : errno ? strerrorname_np(errno) : "0";
	size_t n = strcspn(words, "\n");

	say("lacks\t%s\t%s\t%.*s\n", kind, name ? name : "?", (int)(n > 300 ? 300 : n), words);
}

static const char *or_dash(const char *text) { return text ? text : "-"; }

static void settle(struct row r)
{
	char offset[32] = "-", program[64] = "-\t-", link[16] = "-", owners[64] = "-";
	char info[128] = "";
	struct { uint32_t fd, size; uint64_t info; } a = { r.prog, sizeof(info), (uintptr_t)info };
	int n = 0;

	if (!r.ok) {
		lacks(r.kind);
		return;
	}
	if (r.offset != NO_OFFSET)
		snprintf(offset, sizeof(offset), "%ld", r.offset);
	if (r.prog != NO_FD && !bpf(OBJ_GET_INFO_BY_FD, &a, sizeof(a)))
		snprintf(program, sizeof(program), "%u\t%.16s", id_of(r.prog), info + 64);
	if (r.link != NO_FD)
		snprintf(link, sizeof(link), "%u", id_of(r.link));
	for (int i = 0; i < 3 && r.owners[i]; i++)
		n += snprintf(owners + n, sizeof(owners) - n, "%s%d", n ? "," : "", r.owners[i]);
	say("planted\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.kind, r.target, offset, or_dash(r.module), program, link, owners,
	    or_dash(r.pin), or_dash(r.note));
}

// ---------------------------------------------------------------- other processes

struct child { int pid, socket; };

static struct child second, gone, elsewhere, box; // another owner; one without its file; of another network; of other mounts

static void send_fd(const struct child *to, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = "", byte = 'f';
	struct iovec data = { &byte, 1 };
	struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(to->socket, &m, 0) != 1 || read(to->socket, &byte, 1) != 1) // taken
		_exit(4);
}

static void keep(int from) // what comes over the socket, until its other end is closed
{
	for (;;) {
		char room[CMSG_SPACE(sizeof(int))], byte;
		struct iovec data = { &byte, 1 };
		struct msghdr m = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };

		if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) <= 0)
			_exit(0);
		if (write(from, &byte, 1) != 1)
			_exit(0);
	}
}

static struct child start(void (*before)(void), const char *executable) // the child has done `before` when this returns
{
	int ends[2], pid;
	char byte, number[16];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		_exit(5);
	pid = fork();
	if (pid == 0) {
		for (int fd = 3; fd < 1024; fd++)
			if (fd != ends[1])
				close(fd);
		signal(SIGINT, SIG_IGN);
		if (executable) {
			snprintf(number, sizeof(number), "%d", ends[1]);
			execl(executable, executable, "--keep", number, NULL);
			_exit(6);
		}
		if (before)
			before();
		byte = 'r';
		if (write(ends[1], &byte, 1) == 1)
			keep(ends[1]);
		_exit(7);
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	if (pid < 0 || read(ends[0], &byte, 1) != 1)
		_exit(8);
	return (struct child){ pid, ends[0] };
}

static int copy_of(const char *from, const char *to)
{
	char piece[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t n = in < 0 || out < 0 ? -1 : 1;

	while (n > 0 && (n = read(in, piece, sizeof(piece))) > 0)
		n = write(out, piece, n);
	close_keeping_errno(in);
	close_keeping_errno(out);
	return n;
}

static int write_text(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags), n = strlen(text), r;

	if (fd < 0)
		return -1;
	r = write(fd, text, n) == n ? 0 : -1;
	close_keeping_errno(fd);
	return r;
}

// ---------------------------------------------------------------- kprobes

static int attach_event(int event, int program, int how, uint64_t cookie) // a link's fd; NO_FD and ok by ioctl
{
	if (how == BY_LINK)
		return link_create((struct link){ program, event, ON_PERF_EVENT, 0, { cookie } }, 1);
	return ioctl(event, PERF_EVENT_IOC_SET_BPF, program) ? -2 : NO_FD;
}

struct event_plan { const char *kind, *target; long offset; const char *module, *note; int program, how; uint64_t cookie; };

// The perf event stays open; with `only_link` the link alone keeps it.
static int settle_event(struct event_plan p, int event, int only_link)
{
	int prog = event < 0 ? -1 : load((struct program){ .name = p.kind, .type = p.program });
	int link = prog < 0 ? -2 : attach_event(event, prog, p.how, p.cookie);
	int ok = p.how == BY_LINK ? link >= 0 : link == NO_FD;

	settle((struct row){ p.kind, p.target, p.offset, p.module, prog, ok ? link : NO_FD, ok, { getpid() }, NULL, p.note });
	close_keeping_errno(prog);
	if (!ok || only_link)
		close_keeping_errno(event);
	return p.how == BY_LINK ? link : event;
}

static long after_the_call(const char *name) // an instruction's start behind ftrace's call, with endbr64 before it or not
{
	static const int starts[] = { 9, 5 };
	int event;

	for (int i = 0; i < 2; i++) {
		event = perf_probe(0, 0, name, starts[i]);
		close_keeping_errno(event);
		if (event >= 0)
			return starts[i];
	}
	return 0;
}

static uint64_t address_of(const char *name)
{
	char line[512], symbol[256];
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long address, found = 0;
	char letter;

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx %c %255s", &address, &letter, symbol) == 3 && !strcmp(symbol, name))
			found = address;
	if (f)
		fclose(f);
	return found;
}

static void plant_kprobes(void)
{
	long offset = after_the_call("vfs_fsync_range");
	int event;

	settle_event((struct event_plan){ "kprobe/link", "vfs_fsync", 0, NULL, "cookie=0x1111", KPROBE, BY_LINK, 0x1111 },
		     perf_probe(0, 0, "vfs_fsync", 0), 0);
	settle_event((struct event_plan){ "kretprobe/link", "vfs_statfs", 0, NULL, NULL, KPROBE, BY_LINK, 0 },
		     perf_probe(0, 1, "vfs_statfs", 0), 1);
	settle_event((struct event_plan){ "kprobe/ioctl", "vfs_link", 0, NULL, "finds=two_owners", KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, "vfs_link", 0), 0);
	settle_event((struct event_plan){ "kretprobe/ioctl", "vfs_symlink", 0, NULL, NULL, KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 1, "vfs_symlink", 0), 0);
	settle_event((struct event_plan){ "kprobe/offset", "vfs_fsync_range", offset, NULL, NULL, KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, "vfs_fsync_range", offset), 0);
	settle_event((struct event_plan){ "kprobe/address", "vfs_rmdir", 0, NULL, NULL, KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, NULL, address_of("vfs_rmdir")), 0);
	settle_event((struct event_plan){ "kprobe/module", "ext4_file_open", 0, "ext4", NULL, KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, "ext4_file_open", 0), 0);
	// The same function twice, by two programs.
	settle_event((struct event_plan){ "kprobe/again", "vfs_link", 0, NULL, "second program of this function finds=two_owners", KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, "vfs_link", 0), 0);
	settle_event((struct event_plan){ "kprobe/several", "elf_core_dump", 0, NULL, "several symbols finds=symbol_ambiguous", KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, NULL, address_of("elf_core_dump")), 0);
	settle_event((struct event_plan){ "kretprobe/never", "do_exit", 0, NULL, "finds=never_returns", KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 1, "do_exit", 0), 0);
	// One event held by three descriptors of two processes.
	event = perf_probe(0, 0, "vfs_mknod", 0);
	if (event >= 0) {
		int prog = load((struct program){ .name = "kprobe/shared", .type = KPROBE });
		int ok = prog >= 0 && attach_event(event, prog, BY_IOCTL, 0) == NO_FD;

		fcntl(event, F_DUPFD_CLOEXEC, 0);
		send_fd(&second, event);
		settle((struct row){ "kprobe/shared", "vfs_mknod", 0, NULL, prog, NO_FD, ok, { getpid(), second.pid }, NULL,
				     "two descriptors here, one there" });
		close_keeping_errno(prog);
	} else {
		lacks("kprobe/shared");
	}
	// One program on one function by two events: two attachments.
	for (int i = 0, prog = load((struct program){ .name = "kprobe/twin", .type = KPROBE }); i < 2; i++) {
		int ok;

		event = perf_probe(0, 0, "vfs_tmpfile", 0);
		ok = prog >= 0 && event >= 0 && attach_event(event, prog, BY_IOCTL, 0) == NO_FD;
		settle((struct row){ "kprobe/twin", "vfs_tmpfile", 0, NULL, prog, NO_FD, ok, { getpid() }, NULL, "two events" });
		if (i)
			close_keeping_errno(prog);
	}
	// No program at all: a perf event on a kprobe.
	event = perf_probe(0, 0, "vfs_readlink", 0);
	settle((struct row){ "kprobe/perf-only", "vfs_readlink", 0, NULL, NO_FD, NO_FD, event >= 0, { getpid() }, NULL, "no program" });
}

// ---------------------------------------------------------------- tracefs and ftrace

static int event_id(const char *event) // "sched/sched_switch"
{
	char path[256];
	int id;

	snprintf(path, sizeof(path), TRACE "/events/%s/id", event);
	id = number_in(path, "");
	if (id < 0)
		errno = ENOENT;
	return id;
}

static int event_open(const char *event)
{
	int id = event_id(event);

	return id < 0 ? -1 : perf_open((struct perf_event_attr){ .type = PERF_TYPE_TRACEPOINT, .config = id, .sample_period = 1 });
}

static uint64_t file_offset(const void *function);
static void planted_one(void), planted_two(void);

static void plant_tracefs(void)
{
	char line[256];
	int ok;

	words[0] = 0;
	ok = !write_text(TRACE "/kprobe_events", O_APPEND, "p:holder/plain vfs_unlink\n") &&
	     !write_text(TRACE "/events/holder/plain/enable", 0, "1");
	settle((struct row){ "kprobe_event", "vfs_unlink", 0, NULL, NO_FD, NO_FD, ok, { 0 }, NULL, "event=holder:plain enabled" });
	ok = !write_text(TRACE "/kprobe_events", O_APPEND, "r:holder/returns vfs_rename\n");
	settle((struct row){ "kretprobe_event", "vfs_rename", 0, NULL, NO_FD, NO_FD, ok, { 0 }, NULL, "event=holder:returns off" });
	snprintf(line, sizeof(line), "p:holder/user " HOME "/target:0x%lx\n", (long)file_offset(planted_one));
	ok = !write_text(TRACE "/uprobe_events", O_APPEND, line) && !write_text(TRACE "/events/holder/user/enable", 0, "1");
	settle((struct row){ "uprobe_event", HOME "/target", file_offset(planted_one), NULL, NO_FD, NO_FD, ok, { 0 }, NULL,
			     "event=holder:user enabled symbol=planted_one" });
	snprintf(line, sizeof(line), "r:holder/back " HOME "/target:0x%lx\n", (long)file_offset(planted_two));
	ok = !write_text(TRACE "/uprobe_events", O_APPEND, line);
	settle((struct row){ "uretprobe_event", HOME "/target", file_offset(planted_two), NULL, NO_FD, NO_FD, ok, { 0 }, NULL,
			     "event=holder:back off symbol=planted_two" });
	ok = !write_text(TRACE "/dynamic_events", O_APPEND, "f:holder/fexit vfs_fchown%return\n") &&
	     !write_text(TRACE "/events/holder/fexit/enable", 0, "1");
	settle((struct row){ "fexit_event", "vfs_fchown", 0, NULL, NO_FD, NO_FD, ok, { 0 }, NULL, "event=holder:fexit enabled" });
	ok = !write_text(TRACE "/dynamic_events", O_APPEND, "f:holder/fprobe vfs_mkdir\n") &&
	     !write_text(TRACE "/events/holder/fprobe/enable", 0, "1");
	settle((struct row){ "fprobe_event", "vfs_mkdir", 0, NULL, NO_FD, NO_FD, ok, { 0 }, NULL, "event=holder:fprobe enabled" });
	// A tracefs kprobe that carries a program: the kernel says its function, not its event.
	write_text(TRACE "/kprobe_events", O_APPEND, "p:holder/carrier vfs_truncate\n");
	settle_event((struct event_plan){ "kprobe/tracefs", "vfs_truncate", 0, NULL, "event=holder:carrier", KPROBE, BY_IOCTL, 0 },
		     event_open("holder/carrier"), 0);
	mkdir(TRACE "/instances/holder", 0755);
	words[0] = 0;
	ok = !write_text(TRACE "/instances/holder/set_ftrace_filter", 0, "vfs_fallocate\n") &&
	     !write_text(TRACE "/instances/holder/current_tracer", 0, "function\n");
	settle((struct row){ "ftrace", "vfs_fallocate", 0, NULL, NO_FD, NO_FD, ok, { 0 }, NULL, "instance=holder" });
}

static void remove_tracefs(void)
{
	static const char *const events[] = { "plain", "returns", "user", "back", "fprobe", "fexit", "carrier" };
	char path[128];

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		snprintf(path, sizeof(path), TRACE "/events/holder/%s/enable", events[i]);
		write_text(path, 0, "0");
		snprintf(path, sizeof(path), "-:holder/%s\n", events[i]);
		if (write_text(TRACE "/dynamic_events", O_APPEND, path) && i != 2 && i != 3)
			write_text(TRACE "/kprobe_events", O_APPEND, path);
	}
	write_text(TRACE "/instances/holder/current_tracer", 0, "nop\n");
	rmdir(TRACE "/instances/holder");
}

// ---------------------------------------------------------------- uprobes

__attribute__((noinline, used)) static void planted_one(void) { __asm__ volatile("nop; movl $1, %%eax" ::: "eax"); }

// The nop is the USDT probe holder:tick, by a note as <sys/sdt.h> writes it.
__attribute__((noinline, used)) static void planted_two(void)
{
	__asm__ volatile("990: nop; movl $2, %%eax\n"
			 ".pushsection .note.stapsdt, \"\", \"note\"\n"
			 ".balign 4\n"
			 ".4byte 992f-991f, 994f-993f, 3\n"
			 "991: .asciz \"stapsdt\"\n"
			 "992: .balign 4\n"
			 "993: .8byte 990b, _.stapsdt.base, 0\n"
			 ".asciz \"holder\", \"tick\", \"\"\n"
			 "994: .balign 4\n"
			 ".popsection\n"
			 ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n"
			 ".weak _.stapsdt.base\n"
			 ".hidden _.stapsdt.base\n"
			 "_.stapsdt.base: .space 1\n"
			 ".size _.stapsdt.base, 1\n"
			 ".popsection\n" ::: "eax");
}

static uint64_t file_offset(const void *function) // of this program's own code, by its program headers
{
	const ElfW(Phdr) *p = (void *)getauxval(AT_PHDR);
	uint64_t at = (uintptr_t)function, bias = 0;
	size_t n = getauxval(AT_PHNUM);

	for (size_t i = 0; i < n; i++)
		if (p[i].p_type == PT_PHDR)
			bias = (uintptr_t)p - p[i].p_vaddr;
	for (size_t i = 0; i < n; i++)
		if (p[i].p_type == PT_LOAD && at - bias >= p[i].p_vaddr && at - bias < p[i].p_vaddr + p[i].p_filesz)
			return at - bias - p[i].p_vaddr + p[i].p_offset;
	_exit(9);
}

static void plant_uprobe_multi(const char *kind, const char *path, int on, int flags, const char *note)
{
	uint64_t offsets[] = { file_offset(planted_one), file_offset(planted_two) }, cookies[] = { 0x2221, 0x2222 };
	int prog = load((struct program){ .name = kind, .type = KPROBE, .on = on });
	int link = prog < 0 ? -1
			    : link_create((struct link){ prog, 0, on, 0, { (uintptr_t)path, (uintptr_t)offsets, 0, (uintptr_t)cookies,
									    2 | (uint64_t)flags << 32, 0 } }, 6);

	settle((struct row){ kind, path, offsets[0], NULL, prog, link, link >= 0, { getpid() }, NULL, note });
	close_keeping_errno(prog);
}

#define BOX HOME "/box"

static void plant_in_the_box(void) // in the child: mounts of its own and a root of its own, as a container has
{
	words[0] = 0;
	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("box", BOX, "tmpfs", 0, NULL) ||
	    copy_of("/proc/self/exe", BOX "/target") || chroot(BOX) || chdir("/")) {
		lacks("uprobe/box");
		return;
	}
	settle_event((struct event_plan){ "uprobe/box", "/target", file_offset(planted_two), NULL, "symbol=planted_two root=own", KPROBE,
					  BY_IOCTL, 0 },
		     perf_probe(1, 0, "/target", file_offset(planted_two)), 0);
	settle_event((struct event_plan){ "kprobe/box", "vfs_link", 0, NULL, "finds=two_owners", KPROBE, BY_IOCTL, 0 },
		     perf_probe(0, 0, "vfs_link", 0), 0);
	plant_uprobe_multi("uprobe.multi/bx", "/target", ON_UPROBE_MULTI, 0,
			   "offsets=planted_one,planted_two root=own path=" BOX "/target");
}

static void plant_uprobes(void)
{
	uint64_t one = file_offset(planted_one), two = file_offset(planted_two);

	settle_event((struct event_plan){ "uprobe/link", HOME "/target", one, NULL, "symbol=planted_one cookie=0x2220", KPROBE, BY_LINK, 0x2220 },
		     perf_probe(1, 0, HOME "/target", one), 1);
	settle_event((struct event_plan){ "uretprobe/link", HOME "/target", two, NULL, "symbol=planted_two", KPROBE, BY_LINK, 0 },
		     perf_probe(1, 1, HOME "/target", two), 0);
	settle_event((struct event_plan){ "uprobe/ioctl", HOME "/target", two, NULL, "symbol=planted_two", KPROBE, BY_IOCTL, 0 },
		     perf_probe(1, 0, HOME "/target", two), 0);
	settle_event((struct event_plan){ "uretprobe/ioctl", HOME "/target", one, NULL, "symbol=planted_one", KPROBE, BY_IOCTL, 0 },
		     perf_probe(1, 1, HOME "/target", one), 0);
	settle_event((struct event_plan){ "uprobe/inside", HOME "/target", one + 2, NULL, "symbol=planted_one+2 not an instruction's start finds=inside_instruction",
					  KPROBE, BY_IOCTL, 0 },
		     perf_probe(1, 0, HOME "/target", one + 2), 0);
	copy_of(HOME "/target", HOME "/deleted");
	settle_event((struct event_plan){ "uprobe/deleted", HOME "/deleted", one, NULL, "finds=file_deleted", KPROBE, BY_IOCTL, 0 },
		     perf_probe(1, 0, HOME "/deleted", one), 0);
	unlink(HOME "/deleted");
	copy_of(HOME "/target", HOME "/replaced");
	settle_event((struct event_plan){ "uprobe/replaced", HOME "/replaced", one, NULL, "by a script finds=file_replaced,no_function", KPROBE, BY_IOCTL, 0 },
		     perf_probe(1, 0, HOME "/replaced", one), 0);
	usleep(50000); // the clock of files ticks
	unlink(HOME "/replaced");
	write_text(HOME "/replaced", O_CREAT, "#!/bin/sh\n");
	if (!copy_of("/holder-go", HOME "/go"))
		settle_event((struct event_plan){ "uretprobe/go", HOME "/go", one, NULL, "symbol=planted_one finds=go_return", KPROBE, BY_IOCTL, 0 },
			     perf_probe(1, 1, HOME "/go", one), 0);
	plant_uprobe_multi("uprobe.multi", HOME "/target", ON_UPROBE_MULTI, 0, "offsets=planted_one,planted_two cookies=0x2221,0x2222");
	plant_uprobe_multi("uretprobe.multi", HOME "/target", ON_UPROBE_MULTI, F_RETURN, "offsets=planted_one,planted_two");
	plant_uprobe_multi("uprobe.session", HOME "/target", ON_UPROBE_SESSION, 0, "offsets=planted_one,planted_two");
}

// ---------------------------------------------------------------- tracepoints and perf events

static void plant_raw_tracepoint(const char *kind, const char *event, int is_typed, const char *line, const char *note)
{
	char name[128];
	struct btf *b = is_typed ? btf_of(NULL) : NULL;
	struct program p = { .name = kind, .type = is_typed ? TRACING : RAW_TRACEPOINT, .on = is_typed ? ON_RAW_TP : 0, .line = line };
	int prog = -1, link = -1;

	words[0] = 0;
	snprintf(name, sizeof(name), "btf_trace_%s", event);
	if (!is_typed || (b && (p.btf_id = btf_find(b, name, BTF_TYPEDEF, NULL))))
		prog = load(p);
	if (prog >= 0)
		link = raw_tracepoint_open(prog, is_typed ? NULL : event);
	settle((struct row){ kind, event, NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, note });
	close_keeping_errno(prog);
}

static void plant_tracepoints(void)
{
	struct btf *b = btf_of(NULL);
	int prog = -1, link = -1;
	uint32_t id;

	settle_event((struct event_plan){ "tp/link", "sched:sched_process_fork", NO_OFFSET, NULL, "cookie=0x3333", TRACEPOINT, BY_LINK, 0x3333 },
		     event_open("sched/sched_process_fork"), 0);
	settle_event((struct event_plan){ "tp/ioctl", "sched:sched_process_exec", NO_OFFSET, NULL, NULL, TRACEPOINT, BY_IOCTL, 0 },
		     event_open("sched/sched_process_exec"), 0);
	settle_event((struct event_plan){ "tp/syscall", "syscalls:sys_enter_fsync", NO_OFFSET, NULL, NULL, TRACEPOINT, BY_IOCTL, 0 },
		     event_open("syscalls/sys_enter_fsync"), 0);
	settle_event((struct event_plan){ "tp/module", "ext4:ext4_sync_file_enter", NO_OFFSET, NULL, NULL, TRACEPOINT, BY_IOCTL, 0 },
		     event_open("ext4/ext4_sync_file_enter"), 0);
	plant_raw_tracepoint("raw_tp", "sched_process_exit", 0, NULL, NULL);
	plant_raw_tracepoint("raw_tp/module", "ext4_sync_file_exit", 0, NULL, "an event of module ext4");
	plant_raw_tracepoint("tp_btf", "sched_process_wait", 1, NULL, NULL);
	// It passes struct task_struct *, pid_t, struct linux_binprm *.
	plant_raw_tracepoint("raw_tp/same", "sched_process_exec", 0,
			     "int BPF_PROG(handle, struct task_struct *p, pid_t old, struct linux_binprm *bprm)", NULL);
	plant_raw_tracepoint("raw_tp/other", "sched_process_exec", 0, "int BPF_PROG(handle, struct file *file, int old)",
			     "finds=arguments_differ");
	plant_raw_tracepoint("tp_btf/other", "sched_process_exec", 1, "int BPF_PROG(handle, struct task_struct *p, struct file *file)",
			     "finds=arguments_differ");
	words[0] = 0;
	id = b ? btf_find(b, "btf_trace_sched_process_free", BTF_TYPEDEF, NULL) : 0;
	if (id)
		prog = load((struct program){ .name = "tp_btf/link", .type = TRACING, .on = ON_RAW_TP, .btf_id = id });
	if (prog >= 0)
		link = link_create((struct link){ .program = prog, .on = ON_RAW_TP }, 0);
	settle((struct row){ "tp_btf/link", "sched_process_free", NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, NULL });
	close_keeping_errno(prog);
}

static void plant_perf_events(void)
{
	struct perf_event_attr clock = { .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = 1000000000 };
	struct perf_event_attr faults = { .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_PAGE_FAULTS, .sample_period = 1000000000 };
	struct perf_event_attr cycles = { .type = PERF_TYPE_HARDWARE, .config = PERF_COUNT_HW_CPU_CYCLES, .sample_period = 1000000000 };

	settle_event((struct event_plan){ "software/link", "cpu-clock", NO_OFFSET, NULL, NULL, PERF_EVENT, BY_LINK, 0 }, perf_open(clock), 0);
	settle_event((struct event_plan){ "software/ioctl", "page-faults", NO_OFFSET, NULL, NULL, PERF_EVENT, BY_IOCTL, 0 }, perf_open(faults), 0);
	settle_event((struct event_plan){ "hardware/link", "cycles", NO_OFFSET, NULL, NULL, PERF_EVENT, BY_LINK, 0 }, perf_open(cycles), 0);
}

// ---------------------------------------------------------------- tracing programs: one function by BTF id

struct traced { const char *kind, *target, *module; int type, on, use_link; uint64_t cookie; const char *note; };

static int plant_traced(struct traced t)
{
	struct btf *b = btf_of(t.module);
	uint32_t id = b ? btf_find(b, t.target, BTF_FUNC, NULL) : 0;
	int prog = -1, link = -1;

	words[0] = 0;
	if (id)
		prog = load((struct program){ t.kind, t.type, t.on, 0, b->fd, id, NULL });
	if (prog >= 0)
		link = t.use_link ? link_create((struct link){ prog, 0, t.on, 0, { 0, t.cookie } }, t.cookie ? 2 : 0)
				  : raw_tracepoint_open(prog, NULL);
	settle((struct row){ t.kind, t.target, t.on == ON_ITER ? NO_OFFSET : 0, t.module, prog, link, link >= 0, { getpid() }, NULL, t.note });
	close_keeping_errno(prog);
	return link;
}

static void plant_tracing(void)
{
	uint32_t ids[2];
	struct btf *b = btf_of(NULL);
	int prog, link = -1;

	plant_traced((struct traced){ "fentry", "vfs_getattr", NULL, TRACING, ON_FENTRY, 0, 0, NULL });
	plant_traced((struct traced){ "fentry/cookie", "vfs_llseek", NULL, TRACING, ON_FENTRY, 1, 0x4444, "cookie=0x4444" });
	plant_traced((struct traced){ "fentry/module", "ext4_sync_file", "ext4", TRACING, ON_FENTRY, 0, 0, NULL });
	plant_traced((struct traced){ "fexit", "vfs_setxattr", NULL, TRACING, ON_FEXIT, 0, 0, NULL });
	plant_traced((struct traced){ "fsession", "vfs_removexattr", NULL, TRACING, ON_FSESSION, 0, 0, NULL });
	plant_traced((struct traced){ "fmod_ret", "security_path_chroot", NULL, TRACING, ON_MODIFY_RETURN, 0, 0, NULL });
	plant_traced((struct traced){ "lsm", "bpf_lsm_path_chroot", NULL, LSM, ON_LSM_MAC, 0, 0, NULL });
	plant_traced((struct traced){ "iter", "bpf_iter_task", NULL, TRACING, ON_ITER, 1, 0, NULL });
	ids[0] = b ? btf_find(b, "vfs_create", BTF_FUNC, NULL) : 0;
	ids[1] = b ? btf_find(b, "vfs_listxattr", BTF_FUNC, NULL) : 0;
	prog = load((struct program){ .name = "fentry.multi", .type = TRACING, .on = ON_FENTRY_MULTI });
	if (prog >= 0)
		link = link_create((struct link){ prog, 0, ON_FENTRY_MULTI, 0, { (uintptr_t)ids, 0, 2 } }, 3);
	settle((struct row){ "fentry.multi", "vfs_create", 0, NULL, prog, link, link >= 0, { getpid() }, NULL, "functions=vfs_create,vfs_listxattr" });
	close_keeping_errno(prog);
}

static void plant_kprobe_multi(const char *kind, int on, int flags, const char *first, const char *other, const char *note)
{
	const char *names[] = { first, other };
	uint64_t cookies[] = { 0x5551, 0x5552 };
	int prog = load((struct program){ .name = kind, .type = KPROBE, .on = on }), link = -1;

	if (prog >= 0)
		link = link_create((struct link){ prog, 0, on, 0, { (uint64_t)2 << 32 | flags, (uintptr_t)names, 0, (uintptr_t)cookies } }, 4);
	settle((struct row){ kind, first, 0, NULL, prog, link, link >= 0, { getpid() }, NULL, note });
	close_keeping_errno(prog);
}

static void plant_multi(void)
{
	plant_kprobe_multi("kprobe.multi", ON_KPROBE_MULTI, 0, "vfs_getxattr", "ext4_file_open",
			   "functions=vfs_getxattr,ext4_file_open cookies=0x5551,0x5552");
	plant_kprobe_multi("kretprobe.multi", ON_KPROBE_MULTI, F_RETURN, "vfs_listxattr", "vfs_getattr", "functions=vfs_listxattr,vfs_getattr");
	plant_kprobe_multi("kprobe.session", ON_KPROBE_SESSION, 0, "vfs_iter_read", "vfs_iter_write", "functions=vfs_iter_read,vfs_iter_write");
}

// ---------------------------------------------------------------- cgroups

static void plant_cgroups(void)
{
	int fd, prog, link = -1, ok;
	struct btf *b = btf_of(NULL);
	uint32_t id;

	mkdir(CGROUP, 0755);
	mkdir(CGROUP "/inner", 0755); // inherits: what is attached above is in effect here, and is no attachment of its own
	fd = open(CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	prog = load((struct program){ .name = "cgroup/link", .type = CGROUP_SKB, .on = ON_INET_EGRESS, .result = 1 });
	if (prog >= 0)
		link = link_create((struct link){ .program = prog, .target = fd, .on = ON_INET_EGRESS }, 0);
	settle((struct row){ "cgroup/link", "/holder", NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, "attach=cgroup_inet_egress" });
	close_keeping_errno(prog);
	prog = load((struct program){ .name = "cgroup/multi", .type = CGROUP_DEVICE, .result = 1 });
	ok = prog >= 0 && !prog_attach(fd, prog, ON_DEVICE, F_ALLOW_MULTI);
	settle((struct row){ "cgroup/multi", "/holder", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "attach=cgroup_device" });
	close_keeping_errno(prog);
	prog = load((struct program){ .name = "cgroup/one", .type = CGROUP_SOCK, .on = ON_SOCK_CREATE, .result = 1 });
	ok = prog >= 0 && !prog_attach(fd, prog, ON_SOCK_CREATE, 0);
	settle((struct row){ "cgroup/one", "/holder", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "attach=cgroup_inet_sock_create" });
	close_keeping_errno(prog);
	words[0] = 0;
	id = b ? btf_find(b, "bpf_lsm_socket_post_create", BTF_FUNC, NULL) : 0;
	prog = id ? load((struct program){ .name = "cgroup/lsm", .type = LSM, .on = ON_LSM_CGROUP, .result = 1, .btf_id = id }) : -1;
	link = prog < 0 ? -1 : link_create((struct link){ .program = prog, .target = fd, .on = ON_LSM_CGROUP }, 0);
	settle((struct row){ "cgroup/lsm", "/holder", NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL,
			     "attach=lsm_cgroup function=bpf_lsm_socket_post_create" });
	close_keeping_errno(prog);
	close(fd);
}

// ---------------------------------------------------------------- networks

static int own_network = -1;

static void enter_new_network(void)
{
	if (unshare(CLONE_NEWNET))
		_exit(10);
}

static const char *network(void) // of this moment
{
	static char text[64];
	ssize_t n = readlink("/proc/self/ns/net", text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	return text;
}

static void plant_xdp_link(const char *kind, const char *device, const char *note)
{
	int prog = load((struct program){ .name = kind, .type = XDP, .on = ON_XDP, .result = 2 }), link = -1;

	if (prog >= 0)
		link = link_create((struct link){ .program = prog, .target = if_nametoindex(device), .on = ON_XDP }, 0);
	settle((struct row){ kind, device, NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, note });
	close_keeping_errno(prog);
}

static void plant_xdp_netlink(const char *kind, const char *device, int flags, const char *note)
{
	int prog = load((struct program){ .name = kind, .type = XDP, .result = 2 });
	int ok = prog >= 0 && !set_xdp(device, prog, flags);

	settle((struct row){ kind, device, NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, note });
	close_keeping_errno(prog);
}

static int plant_filter(const char *kind, const char *device, uint32_t parent, const char *note, const char *pin_path)
{
	int prog = load((struct program){ .name = kind, .type = SCHED_CLS, .result = -1 });
	int ok = prog >= 0 && !add_filter(device, parent, 7, prog, kind);
	int is_pinned = ok && pin_path && !pin(prog, pin_path);

	settle((struct row){ kind, device, NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, is_pinned ? pin_path : NULL, note });
	return close_keeping_errno(prog);
}

static void plant_network(const char *kind, const char *device, int type, int on, int result, const char *note)
{
	int prog = load((struct program){ .name = kind, .type = type, .on = on, .result = result }), link = -1;
	int target = device ? (int)if_nametoindex(device) : open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (prog >= 0)
		link = link_create((struct link){ .program = prog, .target = target, .on = on }, 0);
	settle((struct row){ kind, device ? device : network(), NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, note });
	close_keeping_errno(prog);
	if (!device)
		close_keeping_errno(target);
}

static void plant_here(void)
{
	int prog, link = -1, ok;

	if (new_device("veth", "holder0", "holder1"))
		lacks("veth");
	plant_xdp_link("xdp/link", "holder0", NULL);
	plant_xdp_netlink("xdp/native", "holder1", 1 << 2, NULL);
	plant_xdp_netlink("xdp/generic", "lo", 1 << 1, NULL);
	words[0] = 0;
	if (change_qdisc(RTM_NEWQDISC, "lo", "clsact", TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT))
		lacks("clsact");
	plant_filter("tc/ingress", "lo", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), "attach=ingress", NULL);
	plant_filter("tc/egress", "lo", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), "attach=egress program pinned", PINS "/prog");
	words[0] = 0;
	if (change_qdisc(RTM_NEWQDISC, "holder0", "prio", TC_H_MAKE(1 << 16, 0), TC_H_ROOT))
		lacks("prio");
	plant_filter("tc/prio", "holder0", TC_H_MAKE(1 << 16, 0), "attach=qdisc+1:", NULL);
	plant_network("tcx/link", "lo", SCHED_CLS, ON_TCX_INGRESS, -1, "attach=ingress");
	prog = load((struct program){ .name = "tcx/attach", .type = SCHED_CLS, .result = -1 });
	ok = prog >= 0 && !prog_attach(if_nametoindex("holder0"), prog, ON_TCX_EGRESS, 0);
	settle((struct row){ "tcx/attach", "holder0", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "attach=egress" });
	close_keeping_errno(prog);
	words[0] = 0;
	if (new_device("netkit", "holderk", "holderp"))
		lacks("netkit");
	else
		plant_network("netkit/link", "holderk", SCHED_CLS, ON_NETKIT_PRIMARY, -1, NULL);
	plant_network("sk_lookup", NULL, SK_LOOKUP, ON_SK_LOOKUP, 1, NULL);
	prog = load((struct program){ .name = "netfilter", .type = NETFILTER, .on = ON_NETFILTER, .result = 1 });
	if (prog >= 0)
		link = link_create((struct link){ prog, 0, ON_NETFILTER, 0, { 2 /* NFPROTO_IPV4 */, 100 } }, 2);
	settle((struct row){ "netfilter", "ipv4:prerouting priority 100", NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, NULL });
	close_keeping_errno(prog);
}

static void plant_elsewhere(void) // in the network of a process: its lo has the same number as ours
{
	char path[64];
	int there, prog, ok;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", elsewhere.pid);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (there < 0 || setns(there, CLONE_NEWNET))
		_exit(11);
	plant_xdp_netlink("elsewhere/xdp", "lo", 1 << 1, "netns=process");
	change_qdisc(RTM_NEWQDISC, "lo", "clsact", TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT);
	plant_filter("elsewhere/tc", "lo", TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), "attach=ingress netns=process", NULL);
	prog = load((struct program){ .name = "flow/attach", .type = FLOW_DISSECTOR });
	ok = prog >= 0 && !prog_attach(0, prog, ON_FLOW_DISSECTOR, 0);
	settle((struct row){ "flow/attach", network(), NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "netns=process" });
	close_keeping_errno(prog);
	plant_network("elsewhere/tcx", "lo", SCHED_CLS, ON_TCX_EGRESS, -1, "attach=egress netns=process");
	if (setns(own_network, CLONE_NEWNET))
		_exit(12);
	close(there);
}

static void plant_in_a_named_network(void) // no process is in it: only a mount keeps it, as `ip netns add` does
{
	mkdir("/run/netns", 0755);
	close(open("/run/netns/holder", O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
	if (unshare(CLONE_NEWNET) || mount("/proc/self/ns/net", "/run/netns/holder", NULL, MS_BIND, NULL))
		_exit(13);
	plant_xdp_netlink("named/xdp", "lo", 1 << 1, "netns=holder");
	plant_network("flow/link", NULL, FLOW_DISSECTOR, ON_FLOW_DISSECTOR, 0, "netns=holder");
	if (setns(own_network, CLONE_NEWNET))
		_exit(14);
}

// ---------------------------------------------------------------- sockets and struct_ops

static int sockmap_of(void) { return map_create((struct map){ .type = MAP_SOCKMAP, .key = 4, .value = 4, .entries = 1, .name = "holder_socks" }); }

static void plant_sockets(void)
{
	int map = sockmap_of(), other = sockmap_of(), sockets[2], link = -1;
	int prog = load((struct program){ .name = "sockmap/attach", .type = SK_SKB, .on = ON_STREAM_VERDICT, .result = 1 });
	int ok = prog >= 0 && !prog_attach(map, prog, ON_STREAM_VERDICT, 0);

	settle((struct row){ "sockmap/attach", "holder_socks", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "attach=sk_skb_stream_verdict" });
	close_keeping_errno(prog);
	prog = load((struct program){ .name = "sockmap/link", .type = SK_SKB, .on = ON_SK_SKB_VERDICT, .result = 1 });
	if (prog >= 0)
		link = link_create((struct link){ .program = prog, .target = other, .on = ON_SK_SKB_VERDICT }, 0);
	settle((struct row){ "sockmap/link", "holder_socks", NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, NULL, "attach=sk_skb_verdict" });
	close_keeping_errno(prog);
	prog = load((struct program){ .name = "unseen/socket", .type = SOCKET_FILTER });
	ok = prog >= 0 && !socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets) &&
	     !setsockopt(sockets[0], SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog));
	settle((struct row){ "unseen/socket", "-", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "no interface tells what it is attached to" });
	close_keeping_errno(prog);
}

// Programs that are loaded and attached to nothing.
static void plant_unattached(void)
{
	int map = map_create((struct map){ .type = MAP_PROG_ARRAY, .key = 4, .value = 4, .entries = 1, .name = "holder_calls" });
	int prog = load((struct program){ .name = "unseen/tail", .type = KPROBE }), key = 0;
	int ok = prog >= 0 && map >= 0 && !map_update(map, &key, &prog);

	settle((struct row){ "unseen/tail", "-", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, NULL, "in a prog array" });
	close_keeping_errno(prog);
	prog = load((struct program){ .name = "unseen/fd", .type = XDP, .result = 2 });
	settle((struct row){ "unseen/fd", "-", NO_OFFSET, NULL, prog, NO_FD, prog >= 0, { getpid() }, NULL, "only held" });
	prog = load((struct program){ .name = "unseen/pin", .type = KPROBE });
	ok = prog >= 0 && !pin(prog, PINS "/unseen");
	settle((struct row){ "unseen/pin", "-", NO_OFFSET, NULL, prog, NO_FD, ok, { 0 }, PINS "/unseen", "only pinned" });
	close_keeping_errno(prog);
}

static int struct_ops_without_link = -1;

static int small_btf(void) // one int: the kernel wants some BTF beside the map
{
	struct { uint16_t magic; uint8_t version, flags; uint32_t size, types, types_size, strings, strings_size, type[4]; char text[5]; } b = {
		0xeb9f, 1, 0, 24, 0, 16, 16, 5, { 1, BTF_INT << 24, 4, 0x01000020 }, "\0int" };
	struct { uint64_t btf, log; uint32_t size, log_size, log_level, pad; } a = { (uintptr_t)&b, 0, offsetof(__typeof__(b), text) + 5, 0, 0, 0 };

	return bpf(BTF_LOAD, &a, offsetof(__typeof__(a), pad));
}

static void plant_struct_ops(const char *kind, const char *name, int with_link)
{
	static const char *const members[] = { "ssthresh", "undo_cwnd", "cong_avoid" };
	struct btf *b = btf_of(NULL);
	uint32_t *value_type, *ops, value_id, ops_id;
	char *value, note[128];
	int fds[3] = { -1, -1, -1 }, map = -1, link = NO_FD, ok = 0, index, data, key = 0, at, n;

	words[0] = 0;
	value_id = b ? btf_find(b, "bpf_struct_ops_tcp_congestion_ops", BTF_STRUCT, &value_type) : 0;
	ops_id = value_id ? btf_find(b, "tcp_congestion_ops", BTF_STRUCT, &ops) : 0;
	if (!ops_id) {
		lacks(kind);
		return;
	}
	value = calloc(1, value_type[2]);
	data = btf_member(value_type, "data", &index);
	for (int i = 0; i < 3; i++) {
		at = btf_member(ops, members[i], &index);
		fds[i] = load((struct program){ .name = members[i], .type = STRUCT_OPS, .on = index, .btf_id = ops_id });
		if (fds[i] < 0)
			break;
		*(uint64_t *)(value + data + at) = fds[i];
	}
	strcpy(value + data + btf_member(ops, "name", &index), name);
	if (fds[2] >= 0)
		map = map_create((struct map){ .type = MAP_STRUCT_OPS, .key = 4, .value = value_type[2], .entries = 1, .name = "holder_ops",
					       .flags = with_link ? F_LINK : 0, .btf_fd = small_btf(), .btf_kernel_value = value_id });
	if (map >= 0)
		ok = !map_update(map, &key, value);
	if (ok && with_link)
		ok = (link = link_create((struct link){ .program = map, .on = ON_STRUCT_OPS }, 0)) >= 0;
	else if (ok)
		struct_ops_without_link = map;
	n = snprintf(note, sizeof(note), "map=%u programs=", ok ? id_of(map) : 0);
	for (int i = 0; i < 3; i++)
		n += snprintf(note + n, sizeof(note) - n, "%s%u", i ? "," : "", fds[i] < 0 ? 0 : id_of(fds[i]));
	// The second number of struct bpf_map_info is the id, as in the others.
	settle((struct row){ kind, "tcp_congestion_ops", NO_OFFSET, NULL, NO_FD, link, ok, { getpid() }, NULL, note });
	for (int i = 0; i < 3; i++)
		close_keeping_errno(fds[i]);
	if (with_link || !ok)
		close_keeping_errno(map);
	free(value);
}

// ---------------------------------------------------------------- owners and pins

static void plant_owners(void)
{
	int prog, link;

	mkdir(HOME "/more", 0755);
	if (mount("more", HOME "/more", "bpf", 0, NULL))
		lacks("bpffs");
	prog = load((struct program){ .name = "owners/two", .type = RAW_TRACEPOINT });
	if (prog >= 0) { // it uses a map
		int map = map_create((struct map){ .type = MAP_ARRAY, .key = 4, .value = 4, .entries = 1, .name = "holder_array" });

		if (bind_map(prog, map))
			lacks("map");
		close_keeping_errno(map);
	}
	link = prog < 0 ? -1 : raw_tracepoint_open(prog, "sched_migrate_task");
	if (link >= 0)
		send_fd(&second, link);
	settle((struct row){ "owners/two", "sched_migrate_task", NO_OFFSET, NULL, prog, link, link >= 0, { getpid(), second.pid }, NULL, NULL });
	close_keeping_errno(prog);
	prog = load((struct program){ .name = "owners/gone", .type = RAW_TRACEPOINT });
	link = prog < 0 ? -1 : raw_tracepoint_open(prog, "sched_wakeup_new");
	if (link >= 0)
		send_fd(&gone, link);
	settle((struct row){ "owners/gone", "sched_wakeup_new", NO_OFFSET, NULL, prog, link, link >= 0, { gone.pid }, NULL, "finds=deleted_executable" });
	close_keeping_errno(prog);
	close_keeping_errno(link);
	prog = load((struct program){ .name = "owners/none", .type = RAW_TRACEPOINT });
	link = prog < 0 ? -1 : raw_tracepoint_open(prog, "task_newtask");
	if (link >= 0 && pin(link, PINS "/link"))
		link = close_keeping_errno(link);
	settle((struct row){ "owners/none", "task_newtask", NO_OFFSET, NULL, prog, link, link >= 0, { 0 }, PINS "/link", "pinned finds=orphaned" });
	close_keeping_errno(prog);
	close_keeping_errno(link);
	prog = load((struct program){ .name = "owners/pin", .type = RAW_TRACEPOINT });
	link = prog < 0 ? -1 : raw_tracepoint_open(prog, "task_rename");
	if (link >= 0 && pin(link, HOME "/more/link"))
		link = close_keeping_errno(link);
	settle((struct row){ "owners/pin", "task_rename", NO_OFFSET, NULL, prog, link, link >= 0, { getpid() }, HOME "/more/link", "pinned in another bpffs" });
	close_keeping_errno(prog);
}

// ---------------------------------------------------------------- attaching and detaching in a loop

// Eight are there at any moment. Each program's name tells where it is attached, so that every row that is seen meanwhile
// can be judged.
static int churn(long turns)
{
	int kprobe = load((struct program){ .name = "churn/kprobe", .type = KPROBE });
	int uprobe = load((struct program){ .name = "churn/uprobe", .type = KPROBE });
	int raw = load((struct program){ .name = "churn/raw_tp", .type = RAW_TRACEPOINT });
	int tp[4];
	int held[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };

	for (int i = 0; i < 4; i++) // an event takes each program once
		tp[i] = load((struct program){ .name = "churn/tp", .type = TRACEPOINT });
	for (long i = 0; i < turns; i++) {
		int fd = -1, which = i % 16, status;

		if (which == 0)
			fd = perf_probe(0, 0, "vfs_iter_read", 0);
		else if (which == 4)
			fd = perf_probe(1, 0, HOME "/target", file_offset(planted_one));
		else if (which % 4 == 3)
			fd = event_open("sched/sched_process_hang");
		else
			fd = raw_tracepoint_open(raw, "sched_process_hang");
		if (fd < 0)
			return 1;
		if (which == 0 || which == 4 || which % 4 == 3)
			if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, which == 0 ? kprobe : which == 4 ? uprobe : tp[which / 4]) &&
			    errno != EEXIST) // whoever looks at a descriptor delays its end
				return 1;
		if (which == 8) { // a process that holds it, and vanishes
			int pid = fork();

			if (pid == 0)
				_exit(0);
			waitpid(pid, &status, 0);
		}
		close_keeping_errno(held[i % 8]);
		held[i % 8] = fd;
	}
	say("churned\t%ld\n", turns);
	return 0;
}

// ---------------------------------------------------------------- many

static int crowd_link(long i, const char *function, int *program) // a fifth of each: the link's descriptor, or -1
{
	static const char *const events[] = { "sched_process_hang", "tcp_probe", "tcp_retransmit_skb", "tcp_receive_reset", "udp_fail_queue_rcv_skb" };
	static const char *const tracepoints[] = { "sched/sched_process_hang", "tcp/tcp_probe", "tcp/tcp_retransmit_skb" };
	struct btf *b = btf_of(NULL);
	uint32_t id = 0;
	int event = -1, link = -1;

	if (i % 5 < 2) {
		id = b ? btf_find(b, function, BTF_FUNC, NULL) : 0;
		*program = id ? load((struct program){ "crowd/tracing", TRACING, i % 5 ? ON_FEXIT : ON_FENTRY, 0, b->fd, id, NULL }) : -1;
		return *program < 0 ? -1 : raw_tracepoint_open(*program, NULL);
	}
	if (i % 5 == 2) {
		*program = load((struct program){ .name = "crowd/raw", .type = RAW_TRACEPOINT });
		return *program < 0 ? -1 : raw_tracepoint_open(*program, events[i / 5 % 5]);
	}
	*program = load((struct program){ .name = "crowd/perf", .type = i % 5 == 3 ? KPROBE : TRACEPOINT });
	event = *program < 0 ? -1 : i % 5 == 3 ? perf_probe(0, 0, function, 0) : event_open(tracepoints[i / 5 % 3]);
	if (event >= 0)
		link = link_create((struct link){ *program, event, ON_PERF_EVENT, 0, { 0 } }, 1);
	return link;
}

// On the first functions of TCP and its neighbours that the kernel takes. Nothing here runs in a guest without a network: what is
// measured is the looking, not the programs.
static int crowd(long links, long processes)
{
	char line[512], symbol[256], letter, byte;
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned long address;
	long n = 0;

	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 65536, 65536 });
	while (f && n < links && fgets(line, sizeof(line), f)) {
		int program = -1;

		if (sscanf(line, "%lx %c %255s", &address, &letter, symbol) != 3 || letter != 'T' || strchr(symbol, '.') || strchr(line, '[') ||
		    (strncmp(symbol, "udp_", 4) && strncmp(symbol, "tcp_", 4) && strncmp(symbol, "inet_", 5) && strncmp(symbol, "ip6_", 4)))
			continue;
		if (crowd_link(n, symbol, &program) >= 0)
			n++;
		else
			close_keeping_errno(program);
	}
	if (n < links)
		return 1;
	for (long i = 0; i < processes; i++) {
		int pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			for (int fd = 3; fd < 65536; fd++) // before 5.9 there is no close_range
				if (close(fd) && fd > 2048)
					break;
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int fd = 3; fd < 20; fd++)
				open("/dev/null", O_RDONLY);
			for (;;)
				pause();
		}
	}
	say("ready\n");
	while (read(0, &byte, 1) > 0)
		;
	say("gone\n");
	return 0;
}

// ---------------------------------------------------------------- one function with as many as it takes; calls that are missed

static int full(const char *target, long free) // `free` places are left
{
	struct btf *b = btf_of(NULL);
	uint32_t id = b ? btf_find(b, target, BTF_FUNC, NULL) : 0;
	int links[128], n = 0;
	char byte;

	while (id && n < 128) {
		int prog = load((struct program){ "full", TRACING, ON_FENTRY, 0, b->fd, id, NULL });

		if (prog < 0 || (links[n] = raw_tracepoint_open(prog, NULL)) < 0) {
			close_keeping_errno(prog);
			break;
		}
		close(prog);
		n++;
	}
	say("full\t%s\t%d\t%s\n", target, n, strerrorname_np(errno));
	for (long i = 0; i < free && i < n; i++)
		close(links[i]);
	say("ready\n");
	while (read(0, &byte, 1) > 0)
		;
	say("gone\n");
	return 0;
}

static int missing(long sleepers) // a return probe on what so many processes sleep in: it has room for fewer
{
	int event = perf_probe(0, 1, "hrtimer_nanosleep", 0), prog = load((struct program){ .name = "missing", .type = KPROBE });
	int link = event < 0 || prog < 0 ? -1 : attach_event(event, prog, BY_LINK, 0);
	char byte;

	for (long i = 0; i < sleepers; i++)
		if (fork() == 0) {
			close(event);
			close(prog);
			close(link);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sleep(1000);
			_exit(0);
		}
	usleep(500000);
	say("missing\t%u\n", link < 0 ? 0 : id_of(link));
	say("ready\n");
	while (read(0, &byte, 1) > 0)
		;
	say("gone\n");
	return 0;
}

// ---------------------------------------------------------------- the whole

static void start_children(void)
{
	char text[32];

	mkdir(CGROUP, 0755);
	second = start(NULL, NULL);
	snprintf(text, sizeof(text), "%d", second.pid);
	write_text(CGROUP "/cgroup.procs", 0, text);
	copy_of("/proc/self/exe", HOME "/gone");
	gone = start(NULL, HOME "/gone");
	unlink(HOME "/gone");
	elsewhere = start(enter_new_network, NULL);
	say("children\tsecond=%d\tgone=%d\telsewhere=%d\n", second.pid, gone.pid, elsewhere.pid);
}

static void end(struct child c)
{
	close(c.socket);
	waitpid(c.pid, NULL, 0);
}

static void take_away(void)
{
	static const int key = 0;

	end(second);
	end(gone);
	end(elsewhere);
	end(box);
	if (struct_ops_without_link >= 0)
		map_delete(struct_ops_without_link, &key);
	for (int fd = 3; fd < 1024; fd++) // own_network too: nothing below leaves this network
		close(fd);
	umount2("/run/netns/holder", MNT_DETACH);
	unlink("/run/netns/holder");
	unlink(PINS "/prog");
	unlink(PINS "/link");
	unlink(PINS "/unseen");
	rmdir(PINS);
	unlink(HOME "/more/link");
	umount2(HOME "/more", MNT_DETACH);
	set_xdp("lo", -1, 1 << 1);
	change_qdisc(RTM_DELQDISC, "lo", "clsact", TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT);
	delete_device("holder0");
	delete_device("holderk");
	remove_tracefs();
	rmdir(CGROUP "/inner");
	rmdir(CGROUP);
	umount2(BOX, MNT_DETACH);
}

int main(int argc, char **argv)
{
	char byte;

	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }); // before 5.11 programs count
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "--keep")) {
		byte = 'r';
		if (write(atoi(argv[2]), &byte, 1) == 1)
			keep(atoi(argv[2]));
		return 7;
	}
	read_pmus();
	mkdir(HOME, 0755);
	mkdir(BOX, 0755);
	if (argc == 3 && !strcmp(argv[1], "--churn")) {
		if (access(HOME "/target", F_OK))
			copy_of("/proc/self/exe", HOME "/target");
		return churn(atol(argv[2]));
	}
	if (argc == 4 && !strcmp(argv[1], "--full"))
		return full(argv[2], atol(argv[3]));
	if (argc == 3 && !strcmp(argv[1], "--missing"))
		return missing(atol(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "--crowd"))
		return crowd(atol(argv[2]), atol(argv[3]));
	if (argc != 1) {
		fputs("usage: holder | --churn N | --crowd LINKS PROCESSES | --full FUNCTION FREE | --missing SLEEPERS\n", stderr);
		return 2;
	}
	mkdir(PINS, 0700);
	if (copy_of("/proc/self/exe", HOME "/target")) {
		perror("holder: " HOME);
		return 2;
	}
	own_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	start_children();
	box = start(plant_in_the_box, NULL);
	plant_kprobes();
	plant_tracefs();
	plant_uprobes();
	plant_tracepoints();
	plant_perf_events();
	plant_tracing();
	plant_multi();
	plant_cgroups();
	plant_here();
	plant_elsewhere();
	plant_in_a_named_network();
	plant_sockets();
	plant_unattached();
	plant_struct_ops("struct_ops/link", "holder_link", 1);
	plant_struct_ops("struct_ops/map", "holder_map", 0);
	plant_owners();
	say("ready\n");
	while (read(0, &byte, 1) > 0)
		;
	take_away();
	say("gone\n");
	return 0;
}
