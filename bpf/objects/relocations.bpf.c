/* One program for each thing that CO-RE relocation may find or miss, guarded and not. */
#include "small.h"
struct task_struct___gone { int no_such_field; } RELOCATED;
struct task_struct___fl { int pid; int tgid; } RELOCATED;
struct task_struct___kind { struct { int a; } pid; } RELOCATED;
struct task_struct___uni { long long comm; } RELOCATED;
struct task_struct___arr { char comm[400]; } RELOCATED;
struct task_struct___wide { long long pid; } RELOCATED;
struct task_struct___uwide { u64 flags; } RELOCATED;
struct task_struct___st { u32 __state; } RELOCATED;
struct task_struct___old { long state; } RELOCATED;
struct no_such_type { int x; } RELOCATED;
struct xfs_mount___m { void *m_sb_bp; } RELOCATED;
struct ext4_inode_info___m { u32 i_flags_none; } RELOCATED;
#define TASK(type) struct type *t = get_current_task()
#define PROGRAM(name) SEC("raw_tp/sched_switch") int name(u64 *c)
PROGRAM(field_missing_unguarded) { TASK(task_struct___gone); int x; READ(x, &t->no_such_field); sink = x; return 0; }
PROGRAM(field_missing_guarded) { TASK(task_struct___gone); int x = 0; if (EXISTS(t->no_such_field)) READ(x, &t->no_such_field); sink = x; return 0; }
PROGRAM(type_missing_unguarded) { TASK(no_such_type); int x; READ(x, &t->x); sink = x; return 0; }
PROGRAM(type_missing_guarded) { TASK(no_such_type); int x = 0; if (__builtin_preserve_type_info(TYPE(struct no_such_type), 0)) READ(x, &t->x); sink = x; return 0; }
PROGRAM(type_missing_size_is_zero) { sink = __builtin_preserve_type_info(TYPE(struct no_such_type), 1); return 0; }
PROGRAM(flavor_ok) { TASK(task_struct___fl); int x; READ(x, &t->tgid); sink = x; return 0; }
PROGRAM(field_kind_mismatch) { TASK(task_struct___kind); int x; READ(x, &t->pid.a); sink = x; return 0; }
PROGRAM(field_array_vs_int) { TASK(task_struct___uni); long long x; READ(x, &t->comm); sink = x; return 0; }
PROGRAM(array_index_outside) { TASK(task_struct___arr); char x; READ(x, &t->comm[300]); sink = x; return 0; }
PROGRAM(array_index_inside) { TASK(task_struct___arr); char x; READ(x, &t->comm[7]); sink = x; return 0; }
SEC("tp_btf/sched_switch") int signed_resized_direct(u64 *c) { struct task_struct___wide *t = (void *)c[1]; sink = t->pid; return 0; }
PROGRAM(signed_resized_probe) { TASK(task_struct___wide); long long x; READ(x, &t->pid); sink = x; return 0; }
SEC("tp_btf/sched_switch") int unsigned_resized_direct(u64 *c) { struct task_struct___uwide *t = (void *)c[1]; sink = t->flags; return 0; }
PROGRAM(type_in_module_xfs_field_there) { TASK(xfs_mount___m); void *x; READ(x, &t->m_sb_bp); sink = (long)x; return 0; }
PROGRAM(type_in_module_ext4_field_missing) { TASK(ext4_inode_info___m); int x; READ(x, &t->i_flags_none); sink = x; return 0; }
PROGRAM(task_state_both)
{
	void *task = get_current_task();
	struct task_struct___st *new = task;
	u32 x = 0;
	long y = 0;
	if (EXISTS(new->__state)) { READ(x, &new->__state); } else { READ(y, &((struct task_struct___old *)task)->state); }
	sink = x + y;
	return 0;
}
PROGRAM(task_state_new_only) { TASK(task_struct___st); u32 x; READ(x, &t->__state); sink = x; return 0; }
PROGRAM(task_state_old_only) { TASK(task_struct___old); long x; READ(x, &t->state); sink = x; return 0; }
