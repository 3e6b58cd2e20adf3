/* Map definitions as before libbpf 1.0. */
#include "small.h"
struct { u32 type, key, value, entries, flags; } m SEC("maps") = { 1, 4, 8, 1, 0 };
SEC("socket") int p(void *c) { return 0; }
