/* Externs that are there, and weak ones that are not. */
#include "small.h"
extern int LINUX_KERNEL_VERSION SEC(".kconfig");
extern int CONFIG_HZ SEC(".kconfig");
extern int CONFIG_NO_SUCH_OPTION SEC(".kconfig") __attribute__((weak));
extern const void no_such_symbol SEC(".ksyms") __attribute__((weak));
SEC("raw_tp/sched_switch") int p(void *c)
{
	sink = LINUX_KERNEL_VERSION + CONFIG_HZ + CONFIG_NO_SUCH_OPTION + (&no_such_symbol != 0);
	return 0;
}
