"""Files of proc, sysfs, tracefs and /lib/modules, as the kernel and depmod write them."""
