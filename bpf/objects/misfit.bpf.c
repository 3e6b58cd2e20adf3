/* CONFIG_HZ is 250 and does not fit a signed char. */
#include "small.h"
extern char CONFIG_HZ SEC(".kconfig");
SEC("raw_tp/sched_switch") int p(void *c) { sink = CONFIG_HZ; return 0; }
