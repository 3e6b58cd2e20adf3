"""What became of functions and events that tracers attach to: renamed, folded, bypassed, replaced.

The table is knowledge, not evidence: it names candidates, and whether one exists and may be attached
is asked of the kernel in hand. No release decides anything; `source` says where a step is known
from. "recorded" means seen in /proc/kallsyms and available_events of Debian amd64 kernels 5.10, 6.1,
6.12 and 7.3: a name is in one of them and gone in the next. The order of candidates is the order of
advice: closest meaning first.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple

ENTRY: tuple[str, ...] = ("fentry", "kprobe")
EVENT: tuple[str, ...] = ("tp",)
CALL: tuple[str, ...] = ("ksyscall",)

# What a step did to the name. `specialised`: the compiler added a suffix. `bypassed`: the symbol stays, but
# where its first function candidate exists most calls no longer pass through it.
RENAMED, SPECIALISED, INLINED, REPLACED = "renamed", "specialised", "inlined", "replaced"
BYPASSED, NOT_PROBED = "bypassed", "not_probed"


class Candidate(NamedTuple):
    """Another point that sees the same thing, or nearly. `sees` ends a sentence: what it gives, what it misses."""

    target: str
    attaches: tuple[str, ...]
    sees: str


class KnownChange(NamedTuple):
    """One step. `asked` is a function name or `tp:category:name`; `says` is a whole sentence about it.

    `machine`: the only architecture (machine word) on which this happened; "" for all.
    """

    asked: str
    change: str
    says: str
    candidates: tuple[Candidate, ...]
    source: str
    machine: str = ""


def _fn(name: str, sees: str = "") -> Candidate:
    return Candidate(name, ENTRY, sees)


def _tp(event: str, sees: str = "") -> Candidate:
    return Candidate("tp:" + event, EVENT, sees)


def _call(name: str, sees: str = "the arguments as user space gave them") -> Candidate:
    return Candidate("syscall:" + name, CALL, sees)


_BPRM = _fn("bprm_execve", "every execve and execveat before the new image is loaded")
_EXEC = Candidate(
    "tp:sched:sched_process_exec", ("tp", "tp_btf"), "each execve that succeeded: filename, pid and old_pid"
)
_EXECS = (_BPRM, _EXEC, _call("execve"), _tp("syscalls:sys_enter_execve", "filename, argv and envp, failed calls too"))
_SWITCH = Candidate("tp:sched:sched_switch", ("tp", "tp_btf"), "previous and next task at every switch")
_IO_START = _tp("block:block_io_start", "device, sector and size of each request that is accounted")
_IO_DONE = _tp("block:block_io_done", "device, sector and size of each accounted request at its end")
_ISSUE = _tp("block:block_rq_issue", "each request as it is sent to the driver")
_COMPLETE = _tp("block:block_rq_complete", "each completion, with the error")
_DIRTY = (
    _tp("writeback:writeback_dirty_folio", "each page-cache folio that becomes dirty"),
    _tp("writeback:writeback_dirty_page", "each page-cache page that becomes dirty"),
)
_OPENAT2 = _fn("do_sys_openat2", "every open, openat and openat2: directory fd, user path, flags and mode")
_FAULTS = (
    _tp("exceptions:page_fault_user", "faults taken in user mode: address, ip, error code"),
    _tp("exceptions:page_fault_kernel", "faults taken in kernel mode: address, ip, error code"),
    _fn("handle_mm_fault", "faults that reach a mapping: vma, address and flags"),
)
_DROP = (
    _tp("skb:kfree_skb", "each dropped packet, with the drop reason where the event has the field"),
    _fn("sk_skb_reason_drop", "each dropped packet with its socket and reason"),
    _fn("kfree_skb_reason", "each dropped packet with its reason"),
)
_WAKE = (_tp("sched:sched_wakeup", "each wakeup: task, priority and target cpu"), _fn("ttwu_do_activate"))
_BLK_INLINED = (
    "Since blk-mq.c has its own static {0} (5.17), builds fold it into its callers or leave a copy without ftrace "
    "entry."
)
_BLK_SOURCE = "kernel commits 450b7879e345 and 5a80bd075f3b; iovisor/bcc#4261, #4691; bpftrace#3622"
_TAGGED = "Memory allocation profiling gave {0} the suffix _noprof and made the plain name a macro."
_TAGGED_SOURCE = "kernel commit b951aaff5035 and its series (6.10); iovisor/bcc#5083, #5115; recorded"
_FOLIO = "The page cache works on folios: {0} was replaced by {1}."
_BALANCE = "The load balancer's functions were renamed together: {0} became {1}."
_BALANCE_SOURCE = "kernel series sched/balancing (6.10); recorded: the old name up to 6.1, the new one in 6.12"
_STRUCT_FILENAME = "The do_*at helpers of fs/namei.c were renamed: {0} became {1}, with the same parameters."
_STRUCT_SOURCE = "kernel 7.0, fs/namei.c; elastic/quark#322; recorded: the old name up to 6.12, the new one in 7.3"


def _renamed(old: str, new: str, says: str, source: str, *more: Candidate, sees: str = "") -> KnownChange:
    return KnownChange(old, RENAMED, says.format(old, new), (_fn(new, sees or f"what {old} became"), *more), source)


# Old name, new name, which recorded kernels have the old one, which the new: found by comparing them with each other.
_PAIRS: tuple[tuple[str, str, str, str], ...] = (
    ("generic_file_splice_read", "filemap_splice_read", "up to 6.1", "6.12"),
    ("user_path_at_empty", "user_path_at", "up to 6.1", "6.12"),
    ("lookup_one_len", "lookup_noperm", "up to 6.12", "7.3"),
    ("lookup_one_len_unlocked", "lookup_noperm_unlocked", "up to 6.12", "7.3"),
    ("lookup_positive_unlocked", "lookup_noperm_positive_unlocked", "up to 6.12", "7.3"),
    ("hrtimer_init", "hrtimer_setup", "up to 6.12", "7.3"),
    ("security_task_getsecid", "security_task_getsecid_obj", "in 5.10", "6.1 and 6.12"),
    ("security_task_getsecid_obj", "security_task_getlsmprop_obj", "in 6.1 and 6.12", "7.3"),
    ("security_inode_getsecid", "security_inode_getlsmprop", "up to 6.12", "7.3"),
    ("security_ipc_getsecid", "security_ipc_getlsmprop", "up to 6.12", "7.3"),
    ("del_timer", "timer_delete", "in 5.10", "6.1"),
    ("try_to_del_timer_sync", "timer_delete_sync_try", "up to 6.12", "7.3"),
    ("init_timer_key", "timer_init_key", "up to 6.12", "7.3"),
    ("__set_page_dirty", "__folio_mark_dirty", "in 5.10", "6.1"),
    ("strscpy", "sized_strscpy", "up to 6.1", "6.12"),
    ("page_mkclean", "folio_mkclean", "in 5.10", "6.1"),
    ("__put_page", "__folio_put", "in 5.10", "6.1"),
    ("__lock_page", "__folio_lock", "in 5.10", "6.1"),
    ("migrate_page", "migrate_folio", "in 5.10", "6.1"),
    ("__do_munmap", "do_vmi_align_munmap", "in 5.10", "6.12"),
    ("wake_up_page_bit", "folio_wake_bit", "in 5.10", "6.1"),
    ("blkdev_get_by_dev", "bdev_file_open_by_dev", "up to 6.1", "6.12"),
    ("blkdev_get_by_path", "bdev_file_open_by_path", "up to 6.1", "6.12"),
    ("generic_splice_sendpage", "splice_to_socket", "up to 6.1", "6.12"),
    ("kthread_create_worker", "kthread_create_worker_on_node", "up to 6.12", "7.3"),
    ("find_get_entry", "filemap_get_entry", "in 5.10", "6.12"),
    ("find_get_pages_range_tag", "filemap_get_folios_tag", "up to 6.1", "6.12"),
    ("find_get_pages_contig", "filemap_get_folios_contig", "in 5.10", "6.1"),
    ("__delete_from_page_cache", "__filemap_remove_folio", "in 5.10", "6.1"),
    ("replace_page_cache_page", "replace_page_cache_folio", "up to 6.1", "6.12"),
    ("iov_iter_copy_from_user_atomic", "copy_page_from_iter_atomic", "in 5.10", "6.1"),
    ("check_preempt_curr", "wakeup_preempt", "up to 6.1", "6.12"),
    ("check_preempt_wakeup", "check_preempt_wakeup_fair", "up to 6.1", "6.12"),
    ("do_splice_to", "vfs_splice_read", "up to 6.1", "6.12"),
    ("debugfs_create_file", "debugfs_create_file_full", "up to 6.12", "7.3"),
    ("elf_map", "elf_load", "up to 6.1", "6.12"),
    ("sk_stream_alloc_skb", "tcp_stream_alloc_skb", "in 5.10", "6.1"),
    ("krealloc", "krealloc_noprof", "up to 6.1", "6.12"),
    ("krealloc_noprof", "krealloc_node_align_noprof", "in 6.12", "7.3"),
    ("mempool_alloc", "mempool_alloc_noprof", "up to 6.1", "6.12"),
    ("free_unref_page", "free_frozen_pages", "up to 6.12", "7.3"),
    ("free_unref_page_list", "free_unref_folios", "up to 6.1", "6.12"),
    ("zap_page_range", "zap_page_range_single", "up to 6.1", "6.12"),
    ("deactivate_file_page", "deactivate_file_folio", "in 5.10", "6.1"),
    ("mark_page_lazyfree", "folio_mark_lazyfree", "up to 6.1", "6.12"),
    ("rotate_reclaimable_page", "folio_rotate_reclaimable", "in 5.10", "6.1"),
    ("isolate_lru_page", "folio_isolate_lru", "up to 6.1", "6.12"),
    ("putback_lru_page", "folio_putback_lru", "up to 6.1", "6.12"),
    ("page_mapping", "folio_mapping", "up to 6.1", "6.12"),
    ("try_to_release_page", "filemap_release_folio", "up to 6.1", "6.12"),
    ("invalidate_inode_page", "mapping_evict_folio", "up to 6.1", "6.12"),
    ("account_page_cleaned", "folio_account_cleaned", "in 5.10", "6.1"),
    ("test_clear_page_writeback", "__folio_end_writeback", "in 5.10", "6.1"),
    ("__test_set_page_writeback", "__folio_start_writeback", "in 5.10", "6.1"),
    ("mem_cgroup_uncharge", "__mem_cgroup_uncharge", "in 5.10", "6.1"),
    ("mpage_readpage", "mpage_read_folio", "in 5.10", "6.1"),
    ("ext4_readpage", "ext4_read_folio", "in 5.10", "6.1"),
    ("btrfs_readpage", "btrfs_read_folio", "in 5.10", "6.1"),
    ("block_write_full_page", "block_write_full_folio", "up to 6.1", "6.12"),
    ("__block_write_full_page", "__block_write_full_folio", "up to 6.1", "6.12"),
    ("submit_bh", "bh_submit", "up to 6.12", "7.3"),
    ("__blk_mq_alloc_request", "__blk_mq_alloc_requests", "in 5.10", "6.1"),
    ("blk_throtl_bio", "__blk_throtl_bio", "in 5.10", "6.1"),
    ("blk_flush_plug_list", "__blk_flush_plug", "in 5.10", "6.1"),
    ("disk_start_io_acct", "bdev_start_io_acct", "in 5.10", "6.1"),
    ("disk_end_io_acct", "bdev_end_io_acct", "in 5.10", "6.1"),
    ("blk_mq_freeze_queue", "blk_mq_freeze_queue_nomemsave", "up to 6.12", "7.3"),
    ("alloc_pages_vma", "vma_alloc_folio", "in 5.10", "6.1"),
    ("alloc_pages_current", "alloc_pages", "in 5.10", "6.1"),
    ("update_blocked_averages", "sched_balance_update_blocked_averages", "up to 6.1", "6.12"),
    ("find_busiest_group", "sched_balance_find_src_group", "up to 6.1", "6.12"),
    ("find_idlest_group", "sched_balance_find_dst_group", "up to 6.1", "6.12"),
    ("run_rebalance_domains", "sched_balance_softirq", "up to 6.1", "6.12"),
)

# Old name, new name, and where it is known from: names that public tools try one after the other, or whose old one no
# recorded kernel has.
_FALLBACKS: tuple[tuple[str, str, str], ...] = (
    (
        "security_bpf_map_alloc",
        "security_bpf_map_create",
        "kernel commit a2431c7eabcf (6.9); DataDog/datadog-agent#31121",
    ),
    ("security_bpf_prog_alloc", "security_bpf_prog_load", "kernel commit 1b67772e4e3f (6.9)"),
    ("dev_new_index", "dev_index_reserve", "net/core/dev.c; DataDog/datadog-agent tries both"),
    (
        "cgroup_rstat_flush",
        "css_rstat_flush",
        "cgroup_rstat_* became css_rstat_* (6.16); cloudflare/ebpf_exporter traces it",
    ),
    ("cgroup_rstat_updated", "css_rstat_updated", "cgroup_rstat_* became css_rstat_* (6.16)"),
    ("cgroup_tasks_write", "cgroup1_tasks_write", "kernel/cgroup/cgroup-v1.c (4.14); DataDog/datadog-agent tries both"),
    ("kfree_skb_list", "kfree_skb_list_reason", "the drop reason came (5.19); in 5.10 alone"),
    ("inotify_handle_event", "inotify_handle_inode_event", "fs/notify/inotify; no recorded kernel has the old name"),
    ("flush_old_exec", "begin_new_exec", "kernel commit 2388777a0a59 (5.8)"),
    ("utimes_common", "vfs_utimes", "kernel commit fd5ad30c7823 (5.9); aquasecurity/tracee, DataDog/datadog-agent"),
    ("kzfree", "kfree_sensitive", "kernel commit 453431a54934 (5.9)"),
)

# Functions that went, and what does their work: it was there before.
_TAKEN_OVER: tuple[tuple[str, str, str], ...] = (
    ("tcp_sendpage", "tcp_sendmsg", "sendpage went with MSG_SPLICE_PAGES (6.5); DataDog/datadog-agent#20449; recorded"),
    ("udp_sendpage", "udp_sendmsg", "sendpage went with MSG_SPLICE_PAGES (6.5); DataDog/datadog-agent#20449; recorded"),
    ("inet_sendpage", "inet_sendmsg", "sendpage went with MSG_SPLICE_PAGES (6.5); recorded"),
    ("kernel_sendpage", "sock_sendmsg", "sendpage went with MSG_SPLICE_PAGES (6.5); recorded"),
    ("write_cache_pages", "writeback_iter", "recorded: both in 6.12, the new one alone in 7.3"),
    ("netif_rx_ni", "netif_rx", "netif_rx may be called from every context since 5.18; recorded: in 5.10 alone"),
)

# Functions that stay as wrappers for old callers, and what the others call.
_WRAPPED: tuple[tuple[str, str, str], ...] = (
    *(
        (old, new, "mm/folio-compat.c (5.16)")
        for old, new in (
            ("end_page_writeback", "folio_end_writeback"),
            ("wait_on_page_writeback", "folio_wait_writeback"),
            ("wait_for_stable_page", "folio_wait_stable"),
            ("unlock_page", "folio_unlock"),
            ("set_page_dirty", "folio_mark_dirty"),
            ("clear_page_dirty_for_io", "folio_clear_dirty_for_io"),
            ("redirty_page_for_writepage", "folio_redirty_for_writepage"),
            ("pagecache_get_page", "__filemap_get_folio"),
        )
    ),
    *(
        (old, new, "net/core/dev_api.c: ioctl calls the old name, rtnetlink the new one (6.16)")
        for old, new in (
            ("dev_set_mtu", "netif_set_mtu"),
            ("dev_change_flags", "netif_change_flags"),
            ("dev_set_mac_address", "netif_set_mac_address"),
            ("dev_change_name", "netif_change_name"),
        )
    ),
)


KNOWN_CHANGES: tuple[KnownChange, ...] = (
    # exec
    KnownChange(
        "do_execve",
        INLINED,
        "do_execve is a small static function: builds fold it into the execve system calls, and 7.2 no longer has it.",
        _EXECS,
        "DWARF of Debian 6.1 and 6.12 (inlined into __x64_sys_execve), no entry in 7.2; lizrice/learning-ebpf#16",
    ),
    KnownChange(
        "do_execveat",
        INLINED,
        "do_execveat is a small static function that builds fold into the execveat system call.",
        (_BPRM, _EXEC, _call("execveat"), _tp("syscalls:sys_enter_execveat", "fd, filename, argv, envp and flags")),
        "recorded: no symbol in 5.10, 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "do_execveat_common",
        SPECIALISED,
        "GCC gives do_execveat_common changed parameters and the name do_execveat_common.isra.0.",
        (_BPRM, _EXEC, _call("execve")),
        "recorded: .isra.0 in 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "exec_binprm",
        INLINED,
        "exec_binprm has one caller and is folded into bprm_execve.",
        (_BPRM, _EXEC),
        "aquasecurity/tracee#3356; recorded: no symbol in 5.10, 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "search_binary_handler",
        INLINED,
        "search_binary_handler has one caller and is folded into bprm_execve.",
        (_fn("security_bprm_check", "each binary format tried: the linux_binprm"), _BPRM, _EXEC),
        "fs/exec.c since bprm_execve (5.9); recorded: no symbol in 5.10, 6.1, 6.12, 7.3",
    ),
    # block layer
    KnownChange(
        "blk_account_io_start",
        INLINED,
        _BLK_INLINED.format("blk_account_io_start"),
        (_IO_START, _fn("__blk_account_io_start", "the out-of-line part of 5.16"), _ISSUE),
        _BLK_SOURCE,
    ),
    KnownChange(
        "blk_account_io_done",
        INLINED,
        _BLK_INLINED.format("blk_account_io_done"),
        (_IO_DONE, _fn("__blk_account_io_done", "the out-of-line part of 5.16"), _COMPLETE),
        _BLK_SOURCE,
    ),
    KnownChange(
        "__blk_account_io_start",
        REPLACED,
        "__blk_account_io_start existed from 5.16 until it was merged back into blk_account_io_start.",
        (_IO_START, _fn("blk_account_io_start"), _ISSUE),
        "kernel commit e165fb4dd698; bpftrace#3622, iovisor/bcc#4478",
    ),
    KnownChange(
        "__blk_account_io_done",
        REPLACED,
        "__blk_account_io_done existed from 5.16 until it was merged back into blk_account_io_done.",
        (_IO_DONE, _fn("blk_account_io_done"), _COMPLETE),
        "kernel commit 06965037ce94; bpftrace#3622",
    ),
    KnownChange(
        "blk_account_io_completion",
        INLINED,
        "The head of blk_account_io_completion is folded into blk_update_request; .part.0 holds the rest.",
        (_fn("blk_update_request", "request, status and bytes done"), _COMPLETE),
        "recorded: only .part.0 in 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "blk_start_request",
        REPLACED,
        "blk_start_request went with the single-queue block layer (5.0).",
        (_fn("blk_mq_start_request", "each request as the driver starts it"), _ISSUE),
        "removal of the legacy request path, 5.0; iovisor/bcc tools/biolatency.py falls back the same way",
    ),
    _renamed(
        "generic_make_request",
        "submit_bio_noacct",
        "{0} was renamed to {1} (5.9).",
        "kernel commit ed00aabd5eb9",
        _tp("block:block_bio_queue", "each bio that is queued"),
    ),
    KnownChange(
        "direct_make_request",
        REPLACED,
        "direct_make_request was merged into submit_bio_noacct (5.9).",
        (_fn("submit_bio_noacct"), _tp("block:block_bio_queue", "each bio that is queued")),
        "kernel series around commit ed00aabd5eb9; recorded: no symbol from 5.10 on",
    ),
    _renamed(
        "blk_mq_make_request",
        "blk_mq_submit_bio",
        "{0} became {1} when make_request_fn was removed (5.9).",
        "kernel series around commit ed00aabd5eb9; recorded: no symbol from 5.10 on",
        _tp("block:block_getrq", "each bio that gets a request"),
    ),
    _renamed(
        "blk_mq_sched_insert_request",
        "blk_mq_insert_request",
        "{0} was replaced by {1} (6.4).",
        "recorded: the old name up to 6.1, the new one in 6.12",
        _tp("block:block_rq_insert", "each request put into a scheduler or hardware queue"),
    ),
    _renamed("dm_make_request", "dm_submit_bio", "{0} became {1} when make_request_fn was removed (5.9).", "recorded"),
    # opening, reading, naming files
    KnownChange(
        "do_sys_open",
        BYPASSED,
        "open and openat call do_sys_openat2 directly since 5.6, so do_sys_open is hardly ever entered.",
        (_OPENAT2, _tp("syscalls:sys_enter_openat", "path, flags and mode from user space")),
        "kernel commit fddb5d430ad9; netdata/kernel-collector#185; relocations of 6.1: no call left",
    ),
    KnownChange(
        "ksys_open", REPLACED, "ksys_open was replaced by do_sys_open and do_sys_openat2.", (_OPENAT2,), "recorded"
    ),
    _renamed(
        "do_filp_open",
        "do_file_open",
        "{0} was renamed to {1} (7.0).",
        "kernel commit 541003b576c3; bpftrace#5171, elastic/quark#322; recorded",
    ),
    _renamed("do_unlinkat", "filename_unlinkat", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_unlink")),
    _renamed("do_renameat2", "filename_renameat2", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_rename")),
    _renamed("do_mkdirat", "filename_mkdirat", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_mkdir")),
    _renamed("do_rmdir", "filename_rmdir", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_rmdir")),
    _renamed("do_linkat", "filename_linkat", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_link")),
    _renamed("do_symlinkat", "filename_symlinkat", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_symlink")),
    _renamed("do_mknodat", "filename_mknodat", _STRUCT_FILENAME, _STRUCT_SOURCE, _fn("vfs_mknod")),
    KnownChange(
        "__vfs_read",
        INLINED,
        "__vfs_read was folded into vfs_read (5.8).",
        (_fn("vfs_read", "file, user buffer, count and position"),),
        "iovisor/bcc#3045, #3047",
    ),
    KnownChange(
        "__vfs_write",
        INLINED,
        "__vfs_write was folded into vfs_write (5.8).",
        (_fn("vfs_write", "file, user buffer, count and position"),),
        "iovisor/bcc#3045, #3047",
    ),
    _renamed("do_sys_truncate", "ksys_truncate", "{0} was renamed to {1}.", "recorded: the new name in 7.3"),
    KnownChange(
        "__fget_light", REPLACED, "__fget_light was replaced by fdget.", (_fn("fdget"),), "recorded: fdget in 6.12"
    ),
    _renamed("__close_fd", "close_fd", "{0} was replaced by {1} (5.11).", "recorded"),
    KnownChange(
        "do_umount",
        INLINED,
        "do_umount is static with one caller and is folded into path_umount.",
        (_fn("path_umount", "path and flags"), _call("umount")),
        "recorded: no symbol in 5.10, 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "ksys_mount",
        REPLACED,
        "ksys_mount was removed (5.9); the mount system call ends in path_mount.",
        (_fn("path_mount", "device name, path, type and flags"), _call("mount")),
        "recorded: no symbol from 5.10 on",
    ),
    # page cache and memory
    KnownChange(
        "add_to_page_cache_lru",
        BYPASSED,
        "add_to_page_cache_lru is a compatibility wrapper since 5.16; the page cache calls filemap_add_folio.",
        (_fn("filemap_add_folio", "mapping, folio, index and gfp flags"),),
        "iovisor/bcc#5144",
    ),
    KnownChange(
        "mark_page_accessed",
        BYPASSED,
        "mark_page_accessed is a compatibility wrapper since 5.16; reads call folio_mark_accessed.",
        (_fn("folio_mark_accessed", "the folio"),),
        "kernel commit 76580b65; iovisor/bcc#5257, #5266",
    ),
    KnownChange(
        "account_page_dirtied",
        REPLACED,
        "account_page_dirtied became the static folio_account_dirtied (5.15), which builds fold into its caller.",
        (_fn("folio_account_dirtied"), *_DIRTY),
        "kernel commits 6e1cae881a06 and 203a31516616; iovisor/bcc#3687, #4484",
    ),
    KnownChange(
        "folio_account_dirtied",
        INLINED,
        "folio_account_dirtied is static with one caller and is folded into it.",
        (*_DIRTY, _fn("account_page_dirtied")),
        "iovisor/bcc#4484; recorded: no symbol in 6.1, 6.12, 7.3",
    ),
    _renamed("__set_page_dirty_buffers", "block_dirty_folio", _FOLIO, "recorded: the new name from 6.1 on", *_DIRTY),
    _renamed("__set_page_dirty_nobuffers", "filemap_dirty_folio", _FOLIO, "recorded: the old name up to 6.1", *_DIRTY),
    _renamed(
        "delete_from_page_cache",
        "filemap_remove_folio",
        _FOLIO,
        "recorded: the old name up to 6.1",
        _tp("filemap:mm_filemap_delete_from_page_cache", "device, inode and index"),
    ),
    _renamed(
        "__add_to_page_cache_locked",
        "__filemap_add_folio",
        _FOLIO,
        "recorded: the new name from 6.1 on",
        _tp("filemap:mm_filemap_add_to_page_cache", "device, inode and index"),
    ),
    _renamed("wait_on_page_bit", "folio_wait_bit", _FOLIO, "recorded: the new name from 6.1 on"),
    _renamed("lru_cache_add", "folio_add_lru", _FOLIO, "recorded: the old name up to 6.1"),
    _renamed("page_referenced", "folio_referenced", _FOLIO, "recorded: the new name from 6.1 on"),
    _renamed("shrink_page_list", "shrink_folio_list", _FOLIO, "recorded: the new name from 6.1 on"),
    _renamed("isolate_lru_pages", "isolate_lru_folios", _FOLIO, "recorded: the new name from 6.1 on"),
    _renamed("migrate_misplaced_page", "migrate_misplaced_folio", _FOLIO, "recorded: the new name in 6.12"),
    _renamed("page_add_new_anon_rmap", "folio_add_new_anon_rmap", _FOLIO, "recorded: the new name in 6.12"),
    _renamed(
        "generic_file_buffered_read",
        "filemap_read",
        "{0} was renamed to {1} (5.12).",
        "kernel commit 87fa0f3eb267; recorded",
    ),
    _renamed(
        "swap_readpage",
        "swap_read_folio",
        "{0} was converted to {1} (6.8).",
        "kernel commit c9bdf768dd93; iovisor/bcc#5020, bpftrace#3209; recorded",
    ),
    _renamed(
        "swap_writepage",
        "swap_writeout",
        "{0} was replaced by {1}.",
        "recorded: the old name up to 6.12, the new one in 7.3",
        _fn("__swap_writepage"),
    ),
    _renamed(
        "__page_cache_alloc",
        "filemap_alloc_folio",
        "{0} is an inline wrapper of {1} since 5.16.",
        "kernel commit bb3c579e25e5; iovisor/bcc#4700, #5086",
    ),
    _renamed("filemap_alloc_folio", "filemap_alloc_folio_noprof", _TAGGED, _TAGGED_SOURCE),
    _renamed(
        "__do_page_cache_readahead",
        "do_page_cache_ra",
        "{0} was renamed to {1} (5.10).",
        "kernel commit 8238287eadb2; iovisor/bcc#5086",
    ),
    KnownChange(
        "do_page_cache_ra",
        INLINED,
        "do_page_cache_ra is a small static function that some builds fold into its callers.",
        (_fn("page_cache_ra_unbounded", "each readahead, after its size is limited"), _fn("page_cache_ra_order")),
        "iovisor/bcc#4700, #5086; recorded: no symbol in 6.1 and 6.12",
    ),
    KnownChange(
        "ondemand_readahead",
        REPLACED,
        "ondemand_readahead was split into page_cache_sync_ra and page_cache_async_ra.",
        (_fn("page_cache_sync_ra"), _fn("page_cache_async_ra")),
        "recorded: the old name up to 6.1, gone in 6.12",
    ),
    KnownChange(
        "do_page_fault",
        NOT_PROBED,
        "x86 handles page faults in exc_page_fault and do_user_addr_fault, which no kprobe may enter.",
        _FAULTS,
        "linuxkerneltravel/lmp#207; recorded: exc_page_fault is in kprobes/blacklist of 5.10 to 7.3",
        "x86_64",
    ),
    KnownChange(
        "__do_page_fault",
        NOT_PROBED,
        "x86 handles page faults in exc_page_fault and do_user_addr_fault, which no kprobe may enter.",
        _FAULTS,
        "recorded: no symbol in 5.10 to 7.3",
        "x86_64",
    ),
    KnownChange(
        "exc_page_fault", NOT_PROBED, "exc_page_fault is entry code, closed to probes.", _FAULTS, "recorded", "x86_64"
    ),
    KnownChange(
        "do_user_addr_fault", NOT_PROBED, "do_user_addr_fault is closed to probes.", _FAULTS, "recorded", "x86_64"
    ),
    _renamed(
        "kmem_cache_alloc",
        "kmem_cache_alloc_noprof",
        _TAGGED,
        _TAGGED_SOURCE,
        _tp("kmem:kmem_cache_alloc", "call site, pointer and sizes, not the cache's name on older kernels"),
        sees="the cache and the gfp flags",
    ),
    _renamed(
        "kmem_cache_alloc_node",
        "kmem_cache_alloc_node_noprof",
        _TAGGED,
        _TAGGED_SOURCE,
        _tp("kmem:kmem_cache_alloc", "call site, pointer, sizes and node"),
    ),
    _renamed(
        "__kmalloc",
        "__kmalloc_noprof",
        _TAGGED,
        _TAGGED_SOURCE,
        _tp("kmem:kmalloc", "call site, pointer and sizes of every kmalloc"),
        sees="sizes not known when the kernel was compiled",
    ),
    _renamed("__kmalloc_node", "__kmalloc_node_noprof", _TAGGED, _TAGGED_SOURCE, _tp("kmem:kmalloc")),
    _renamed(
        "kmem_cache_alloc_trace", "kmalloc_trace", "{0} was renamed to {1} (6.1).", "recorded", _tp("kmem:kmalloc")
    ),
    _renamed("kmalloc_trace", "__kmalloc_cache_noprof", "{0} became {1}.", "recorded", _tp("kmem:kmalloc")),
    _renamed("kmalloc_large", "__kmalloc_large_noprof", "{0} became {1}.", "recorded", _tp("kmem:kmalloc")),
    _renamed("vmalloc", "vmalloc_noprof", _TAGGED, _TAGGED_SOURCE),
    _renamed("__vmalloc", "__vmalloc_noprof", _TAGGED, _TAGGED_SOURCE),
    _renamed("kvmalloc_node", "__kvmalloc_node_noprof", "{0} became {1}.", "recorded: the new name in 6.12"),
    _renamed("get_zeroed_page", "get_zeroed_page_noprof", _TAGGED, _TAGGED_SOURCE),
    _renamed("__get_free_pages", "get_free_pages_noprof", "{0} became {1}.", "recorded: the new name in 6.12"),
    _renamed("alloc_pages", "alloc_pages_noprof", _TAGGED, _TAGGED_SOURCE, _tp("kmem:mm_page_alloc")),
    _renamed("vma_alloc_folio", "vma_alloc_folio_noprof", _TAGGED, _TAGGED_SOURCE),
    _renamed(
        "__alloc_pages_nodemask",
        "__alloc_pages",
        "{0} was merged into {1} (5.13).",
        "kernel commit 84172f4bb752; recorded",
        _tp("kmem:mm_page_alloc", "page, order, gfp flags and migrate type"),
    ),
    _renamed(
        "__alloc_pages",
        "__alloc_pages_noprof",
        _TAGGED,
        _TAGGED_SOURCE,
        _tp("kmem:mm_page_alloc", "page, order, gfp flags and migrate type"),
    ),
    _renamed(
        "pcpu_alloc",
        "pcpu_alloc_noprof",
        _TAGGED,
        _TAGGED_SOURCE,
        _tp("percpu:percpu_alloc_percpu", "size, alignment and pointer"),
    ),
    _renamed("__alloc_percpu", "pcpu_alloc_noprof", "{0} became a macro around {1}.", _TAGGED_SOURCE),
    _renamed("try_charge", "try_charge_memcg", "{0} was replaced by {1}.", "recorded: the new name from 6.1 on"),
    _renamed("mem_cgroup_charge", "__mem_cgroup_charge", "{0} became an inline wrapper of {1}.", "recorded"),
    # scheduling, processes, signals, locks
    KnownChange(
        "finish_task_switch",
        SPECIALISED,
        "GCC gives finish_task_switch changed parameters and the name finish_task_switch.isra.0.",
        (_SWITCH,),
        "sustainable-computing-io/kepler#847, #848; recorded: .isra.0 in 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "context_switch", INLINED, "context_switch is folded into __schedule.", (_SWITCH,), "recorded: no symbol"
    ),
    KnownChange(
        "prepare_task_switch", INLINED, "prepare_task_switch is folded into __schedule.", (_SWITCH,), "recorded"
    ),
    KnownChange(
        "__schedule",
        NOT_PROBED,
        "__schedule is marked notrace.",
        (_SWITCH, _fn("schedule", "calls of schedule only, not preemption")),
        "recorded: no ftrace record in 5.10 to 7.3",
    ),
    _renamed(
        "_do_fork",
        "kernel_clone",
        "{0} was renamed to {1} (5.10).",
        "kernel commit cad6967ac108; netdata/kernel-collector#185",
        _tp("sched:sched_process_fork", "parent and child, once the child exists"),
        sees="fork, vfork, clone, clone3 and kernel threads: the kernel_clone_args",
    ),
    KnownChange(
        "do_fork",
        REPLACED,
        "do_fork became _do_fork and then kernel_clone.",
        (
            _fn("kernel_clone", "fork, vfork, clone, clone3 and kernel threads: the kernel_clone_args"),
            _fn("_do_fork"),
            _tp("sched:sched_process_fork", "parent and child, once the child exists"),
        ),
        "kernel commit cad6967ac108; netdata/kernel-collector#185",
    ),
    _renamed("scheduler_tick", "sched_tick", "{0} was renamed to {1} (6.10).", _BALANCE_SOURCE),
    _renamed("load_balance", "sched_balance_rq", _BALANCE, _BALANCE_SOURCE),
    _renamed("rebalance_domains", "sched_balance_domains", _BALANCE, _BALANCE_SOURCE),
    _renamed("newidle_balance", "sched_balance_newidle", _BALANCE, _BALANCE_SOURCE),
    _renamed("trigger_load_balance", "sched_balance_trigger", _BALANCE, _BALANCE_SOURCE),
    KnownChange(
        "ttwu_do_wakeup",
        INLINED,
        "ttwu_do_wakeup is a small static function that newer builds fold into its callers.",
        _WAKE,
        "cloudflare/ebpf_exporter#71; recorded: no symbol in 6.12 and 7.3",
    ),
    _renamed("tick_sched_timer", "tick_nohz_handler", "{0} was merged into {1}.", "recorded: gone in 6.12"),
    KnownChange(
        "__do_softirq",
        BYPASSED,
        "ksoftirqd runs handle_softirqs without passing through __do_softirq on kernels that have both.",
        (
            _tp("irq:softirq_entry", "the softirq number at its start"),
            _tp("irq:softirq_exit", "the softirq number at its end"),
            _fn("handle_softirqs"),
        ),
        "kernel/softirq.c; recorded: handle_softirqs in 6.1, 6.12, 7.3",
    ),
    _renamed(
        "send_signal",
        "send_signal_locked",
        "{0} was renamed to {1} (5.19).",
        "kernel commit 157cc18122b4; recorded",
        _tp("signal:signal_generate", "signal, code, target task and result"),
    ),
    _renamed(
        "__send_signal",
        "__send_signal_locked",
        "{0} was renamed to {1} (5.19).",
        "recorded",
        _tp("signal:signal_generate", "signal, code, target task and result"),
    ),
    _renamed("futex_wait_queue_me", "futex_wait_queue", "{0} was renamed to {1} (5.16).", "recorded"),
    KnownChange(
        "queued_spin_lock_slowpath",
        INLINED,
        "On x86 with paravirt queued_spin_lock_slowpath is an inline that calls the native or the pv version.",
        (
            _tp("lock:contention_begin", "lock address and flags of every contended lock"),
            _fn("native_queued_spin_lock_slowpath", "the lock word, on bare metal"),
            _fn("__pv_queued_spin_lock_slowpath", "the lock word, in guests"),
        ),
        "arch/x86/include/asm/qspinlock.h; recorded",
        "x86_64",
    ),
    KnownChange(
        "__mutex_lock",
        SPECIALISED,
        "GCC specialises __mutex_lock and gives it the name __mutex_lock.constprop.0.",
        (_fn("mutex_lock", "every mutex_lock"), _tp("lock:contention_begin", "contended locks only")),
        "recorded: .constprop.0 in 5.10 to 7.3",
    ),
    _renamed("do_coredump", "vfs_coredump", "{0} was renamed to {1}.", "recorded: the new name in 7.3"),
    # network
    KnownChange(
        "tcp_drop",
        INLINED,
        "tcp_drop was folded into its callers by most builds and removed when tcp_drop_reason came (5.18, 5.19).",
        (*_DROP, _fn("tcp_drop_reason")),
        "kernel commit 8fbf195798b5; iovisor/bcc#4050, #5250; bpftrace#2379, #2448",
    ),
    KnownChange(
        "kfree_skb",
        REPLACED,
        "kfree_skb is an inline wrapper of a function that also takes the drop reason (5.17).",
        _DROP,
        "kernel commit c504e5c2f964; recorded: kfree_skb_reason in 6.1, sk_skb_reason_drop in 6.12",
    ),
    KnownChange(
        "kfree_skb_reason",
        REPLACED,
        "kfree_skb_reason is an inline wrapper of sk_skb_reason_drop where that exists (6.11).",
        (_fn("sk_skb_reason_drop", "socket, packet and reason"), _DROP[0], _fn("kfree_skb")),
        "recorded: kfree_skb_reason in 6.1, sk_skb_reason_drop in 6.12",
    ),
    KnownChange(
        "tcp_probe",
        REPLACED,
        "The tcp_probe module was replaced by a tracepoint (4.16).",
        (_tp("tcp:tcp_probe", "addresses, congestion window and rtt of received data"),),
        "recorded: tcp:tcp_probe in 5.10 to 7.3",
    ),
    KnownChange(
        "tcp_transmit_skb",
        INLINED,
        "tcp_transmit_skb is a small static function folded into its callers.",
        (_fn("__tcp_transmit_skb", "each segment sent: socket and packet"),),
        "recorded: no symbol in 5.10 to 7.3",
    ),
    _renamed("inet_rtx_syn_ack", "tcp_rtx_synack", "{0} was folded into {1}.", "recorded: gone in 7.3"),
    KnownChange(
        "dev_queue_xmit",
        INLINED,
        "dev_queue_xmit is an inline wrapper of __dev_queue_xmit (5.19).",
        (
            _fn("__dev_queue_xmit", "each packet given to a device"),
            _tp("net:net_dev_queue", "packet, length and device"),
        ),
        "recorded: only an untraced copy in 6.1, none in 6.12",
    ),
    KnownChange(
        "__netif_receive_skb_core",
        SPECIALISED,
        "GCC specialises __netif_receive_skb_core and gives it the name __netif_receive_skb_core.constprop.0.",
        (_tp("net:netif_receive_skb", "each packet received: packet, length and device"), _fn("__netif_receive_skb")),
        "recorded: .constprop.0 in 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "icmp_send",
        INLINED,
        "icmp_send is an inline wrapper of __icmp_send.",
        (_fn("__icmp_send", "the packet answered, type, code and info"),),
        "recorded: no symbol in 5.10 to 7.3",
    ),
    _renamed(
        "napi_gro_receive",
        "gro_receive_skb",
        "{0} became an inline wrapper of {1}.",
        "recorded: the old name up to 6.12, the new one in 7.3",
        _tp("net:napi_gro_receive_entry", "each packet handed to GRO"),
    ),
    # the rest
    KnownChange(
        "layout_and_allocate",
        INLINED,
        "layout_and_allocate is static with one caller and is folded into load_module.",
        (_tp("module:module_load", "name and taint of each module, once it is laid out"), _fn("load_module")),
        "aquasecurity/tracee#3356; recorded: no symbol in 5.10 to 7.3",
    ),
    _renamed(
        "printk",
        "_printk",
        "{0} is a macro around {1} (5.15).",
        "kernel commit 337015573718; recorded",
        _tp("printk:console", "each message as it is logged"),
    ),
    _renamed("urandom_read", "urandom_read_iter", "{0} was replaced by {1} (5.19).", "recorded"),
    KnownChange(
        "asm_sysvec_reschedule_ipi",
        NOT_PROBED,
        "asm_sysvec_reschedule_ipi is interrupt entry code, closed to probes.",
        (_tp("irq_vectors:reschedule_entry", "each rescheduling interrupt"),),
        "bpftrace#1818; recorded: in kprobes/blacklist of 5.10 to 7.3",
    ),
    KnownChange(
        "cpuidle_enter_state",
        NOT_PROBED,
        "cpuidle_enter_state became noinstr on newer kernels.",
        (_tp("power:cpu_idle", "cpu and idle state, at entry and at exit"),),
        "recorded: in kprobes/blacklist of 6.12 and 7.3",
    ),
    # events
    KnownChange(
        "tp:io_uring:io_uring_submit_sqe",
        RENAMED,
        "io_uring_submit_sqe was renamed to io_uring_submit_req (6.3).",
        (_tp("io_uring:io_uring_submit_req", "the request as it is submitted"),),
        "libbpf/libbpf#835; recorded",
    ),
    KnownChange(
        "tp:writeback:writeback_dirty_page",
        RENAMED,
        "writeback_dirty_page was converted to writeback_dirty_folio.",
        (_tp("writeback:writeback_dirty_folio", "each page-cache folio that becomes dirty"),),
        "kernel commit b9b0ff61eef5; iovisor/bcc#4484; recorded",
    ),
    KnownChange(
        "tp:kmem:kmalloc_node",
        REPLACED,
        "kmem:kmalloc_node was merged into kmem:kmalloc (6.1), which carries the node.",
        (_tp("kmem:kmalloc", "call site, pointer, sizes and node"),),
        "iovisor/bcc#4393; recorded: only in 5.10",
    ),
    KnownChange(
        "tp:kmem:kmem_cache_alloc_node",
        REPLACED,
        "kmem:kmem_cache_alloc_node was merged into kmem:kmem_cache_alloc (6.1), which carries the node.",
        (_tp("kmem:kmem_cache_alloc", "call site, pointer, sizes and node"),),
        "iovisor/bcc#4393; recorded: only in 5.10",
    ),
    KnownChange(
        "tp:block:block_io_start",
        REPLACED,
        "block:block_io_start came with 6.5; before it the same moment was blk_account_io_start.",
        (_fn("blk_account_io_start"), _fn("__blk_account_io_start"), _ISSUE),
        "kernel commit 5a80bd075f3b; iovisor/bcc#4659",
    ),
    KnownChange(
        "tp:block:block_io_done",
        REPLACED,
        "block:block_io_done came with 6.5; before it the same moment was blk_account_io_done.",
        (_fn("blk_account_io_done"), _fn("__blk_account_io_done"), _COMPLETE),
        "kernel commit 5a80bd075f3b; iovisor/bcc#4659",
    ),
    *(
        _renamed(
            old, new, "{0} was renamed or replaced: newer kernels have {1}.", f"recorded: {had}; {has} has the new"
        )
        for old, new, had, has in _PAIRS
    ),
    *(
        _renamed(old, new, "{0} was renamed or replaced: newer kernels have {1}.", source)
        for old, new, source in _FALLBACKS
    ),
    *(
        KnownChange(
            old, REPLACED, f"{old} was removed; {new} does its work, and was there before.", (_fn(new),), source
        )
        for old, new, source in _TAKEN_OVER
    ),
    *(
        KnownChange(
            old, BYPASSED, f"{old} is a wrapper where {new} exists; most callers use {new}.", (_fn(new),), source
        )
        for old, new, source in _WRAPPED
    ),
    KnownChange(
        "attach_recursive_mnt",
        SPECIALISED,
        "GCC gives attach_recursive_mnt changed parameters and the name attach_recursive_mnt.isra.0 on newer kernels.",
        (_fn("mnt_set_mountpoint", "each mount that is put below another"), _fn("propagate_mnt")),
        "DataDog/datadog-agent#50926; recorded: .isra.0 in 7.3",
    ),
    KnownChange(
        "do_move_mount",
        SPECIALISED,
        "GCC gives do_move_mount changed parameters and the name do_move_mount.isra.0 on newer kernels.",
        (_fn("mnt_set_mountpoint", "each mount that is put below another"), _call("move_mount")),
        "recorded: .isra.0 in 6.18, 7.2 and 7.3",
    ),
    KnownChange(
        "attach_mnt",
        INLINED,
        "attach_mnt was folded into its callers or removed on newer kernels.",
        (_fn("mnt_set_mountpoint", "each mount that is put below another"),),
        "DataDog/datadog-agent hooks it; recorded: the symbol up to 6.12, none in 7.3",
    ),
    KnownChange(
        "new_sync_read",
        INLINED,
        "new_sync_read is folded into vfs_read.",
        (_fn("vfs_read", "file, user buffer, count and position"),),
        "recorded: the symbol in 5.10, none in 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "new_sync_write",
        INLINED,
        "new_sync_write is folded into vfs_write.",
        (_fn("vfs_write", "file, user buffer, count and position"),),
        "recorded: the symbol in 5.10, none in 6.1, 6.12, 7.3",
    ),
    KnownChange(
        "do_iter_write",
        REPLACED,
        "do_iter_write was folded into vfs_iter_write and vfs_writev.",
        (_fn("do_iter_readv_writev", "file, iterator and position of reads and writes"), _fn("vfs_writev")),
        "recorded: up to 6.1, gone in 6.12",
    ),
    KnownChange(
        "do_iter_read",
        REPLACED,
        "do_iter_read was folded into vfs_iter_read and vfs_readv.",
        (_fn("do_iter_readv_writev", "file, iterator and position of reads and writes"), _fn("vfs_readv")),
        "recorded: up to 6.1, gone in 6.12",
    ),
    KnownChange(
        "cgroup_rstat_flush_locked",
        REPLACED,
        "cgroup_rstat_flush_locked was split up when cgroup_rstat_flush became css_rstat_flush (6.16).",
        (_fn("css_rstat_flush"), _fn("cgroup_rstat_flush")),
        "recorded: up to 6.12, gone in 7.3",
    ),
    KnownChange(
        "icmpv6_send",
        INLINED,
        "icmpv6_send is an inline wrapper of icmp6_send.",
        (_fn("icmp6_send", "the packet answered, type, code and info"),),
        "recorded: no symbol in 5.10 to 7.3",
    ),
    KnownChange(
        "prepare_binprm",
        INLINED,
        "prepare_binprm has one caller and is folded into it.",
        (_BPRM, _EXEC),
        "fs/exec.c (5.8); recorded: no symbol in 5.10 to 7.3",
    ),
    KnownChange(
        "netif_receive_skb_internal",
        INLINED,
        "netif_receive_skb_internal is folded into netif_receive_skb.",
        (_tp("net:netif_receive_skb", "each packet received: packet, length and device"), _fn("netif_receive_skb")),
        "recorded: no symbol in 5.10 to 7.3",
    ),
)

_by_name: dict[str, KnownChange] = {}


def known_change(name: str, machine: str) -> KnownChange | None:
    """What is known of a function (`do_execve`) or event (`tp:kmem:kmalloc_node`); None if nothing is.

    `machine`: the kernel's machine word; what is known of another architecture alone is left out.

    A new name that an older kernel lacks leads back: for `kernel_clone` the old name is a candidate.
    """
    if not _by_name:
        _by_name.update(_index())
    found = _by_name.get(name)
    return None if found is not None and found.machine not in ("", machine) else found


def _index() -> dict[str, KnownChange]:
    """Every rung by its name, and behind them the way back from each renamed function's new name."""
    table = {step.asked: step for step in KNOWN_CHANGES}
    olds: dict[str, list[KnownChange]] = {}
    for step in KNOWN_CHANGES:
        if (
            step.change in (RENAMED, BYPASSED)
            and step.candidates[0].attaches == ENTRY
            and not step.asked.startswith("tp:")
        ):
            olds.setdefault(step.candidates[0].target, []).append(step)
    for new, steps in olds.items():
        known = table.get(new)
        older = tuple(Candidate(step.asked, ENTRY, f"the older name of {new}") for step in steps)
        if known is not None:
            table[new] = known._replace(candidates=known.candidates + older)
            continue
        says = f"{new} is the newer name of {' or '.join(step.asked for step in steps)}."
        events = tuple(c for c in steps[0].candidates if c.attaches != ENTRY)
        table[new] = KnownChange(new, RENAMED, says, older + events, steps[0].source)
    return table
