/* A name that several structs of vmlinux have: a question they answer differently costs the whole object. */
#include "small.h"
struct irq_info___a { int x; } RELOCATED;
SEC("raw_tp/sched_switch") int ambiguous_id(void *c) { sink = __builtin_btf_type_id(TYPE(struct irq_info___a), 1); return 0; }
