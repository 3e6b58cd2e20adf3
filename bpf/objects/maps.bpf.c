/* Maps that a kernel refuses whatever it is, and sizes that are left to the loader. */
#include "small.h"
#define UINT(name, value) int (*name)[value]
struct { UINT(type, 1); UINT(key_size, 4); UINT(value_size, 8); UINT(max_entries, 0); } unsized SEC(".maps");
SEC("socket") int p(void *c) { return 0; }
