/* What the objects of this folder share: attributes and helpers, without vmlinux.h. */
#pragma once
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name)))
#define RELOCATED __attribute__((preserve_access_index))
#define EXISTS(access) __builtin_preserve_field_info(access, 2)
#define TYPE(type) (*(type *)0)
static void *(*get_current_task)(void) = (void *)35;
static long (*probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
#define READ(to, from) probe_read_kernel(&(to), sizeof(to), __builtin_preserve_access_index(from))
char terms[] SEC("license") = "GPL";
int sink;
