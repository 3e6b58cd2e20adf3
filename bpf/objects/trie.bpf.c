/* An LPM trie without BPF_F_NO_PREALLOC. */
#include "small.h"
#define UINT(name, value) int (*name)[value]
struct { UINT(type, 11); UINT(key_size, 8); UINT(value_size, 8); UINT(max_entries, 8); } m SEC(".maps");
SEC("socket") int p(void *c) { return 0; }
