/* One strong extern that no kernel has keeps every program from loading. */
#include "small.h"
extern const void no_such_symbol SEC(".ksyms");
SEC("raw_tp/sched_switch") int p(void *c) { sink = (long)&no_such_symbol; return 0; }
SEC("raw_tp/sched_switch") int bystander(void *c) { return 0; }
