// Programs whose writers counted on other arguments than some kernels pass, as clang and libbpf bring them.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct task_struct;
struct linux_binprm;
struct request;
struct request_queue;
typedef int pid_t;

int out;

SEC("raw_tp/sched_process_exec")
int BPF_PROG(same_exec, struct task_struct *p, pid_t old, struct linux_binprm *bprm)
{
	out = old;
	return 0;
}

// bool preempt comes first; the line goes on.
SEC("tp_btf/sched_switch")
int BPF_PROG(other_switch, struct task_struct *prev,
	     struct task_struct *next)
{
	out = next != 0;
	return 0;
}

// The queue went away in 5.11, and in later 5.10.
struct old_issue {
	struct request_queue *queue;
	struct request *request;
};

SEC("raw_tp/block_rq_issue")
int other_issue(struct old_issue *ctx)
{
	out = ctx->queue != 0;
	return 0;
}

SEC("raw_tp/task_rename")
int same_any(struct bpf_raw_tracepoint_args *ctx)
{
	out = ctx->args[0] != 0;
	return 0;
}

char _license[] SEC("license") = "GPL";
