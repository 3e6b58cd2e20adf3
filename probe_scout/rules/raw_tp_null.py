"""Arguments of raw tracepoints that the verifier takes for possibly NULL, or for error pointers.

The kernel's own table raw_tp_null_args (kernel/bpf/btf.c, asked by btf_ctx_access): four bits for each argument, 1 for
may be NULL, 2 for may be an error pointer, which makes it a plain number. The table is not exported. Known here: the
tables of 6.12.107, 6.12.117, 6.18.15, 7.2.12 and 7.3.4, from Debian's images and sources. Which of them a kernel has
shows in the size of the symbol, as their numbers of entries differ; where it is none of these, an entry counts that
all have.
"""

from __future__ import annotations

ENTRY_BYTES = 16  # struct bpf_raw_tp_null_args: const char *func, u64 mask
_SLACK_BYTES = 32  # the next symbol of kallsyms may stand on the next boundary

MAY_BE_NULL, MAY_BE_ERROR = 1, 2

# Mask to the tracepoints that have it.
_ALWAYS = {
    0x0: "bpf_testmod_test_read",
    0x1: (
        "afs_protocol_error cachefiles_io_error cachefiles_mark_active cachefiles_mark_failed "
        "cachefiles_mark_inactive cachefiles_prep_read cachefiles_rename cachefiles_unlink "
        "cachefiles_vfs_error mm_collapse_huge_page_isolate mm_page_alloc mm_page_alloc_zone_locked "
        "mm_page_pcpu_drain rxrpc_recvdata tmigr_update_events xs_stream_read_data"
    ),
    0x10: (
        "afs_flock_ev afs_make_fs_call afs_make_fs_call1 afs_make_fs_call2 afs_make_fs_calli "
        "break_lease_block break_lease_noblock break_lease_unblock device_pm_callback_start "
        "ext4_mballoc_discard ext4_mballoc_free fcntl_setlk flock_lock_inode folio_wait_writeback "
        "generic_delete_lease locks_remove_posix mm_khugepaged_collapse_file mm_khugepaged_scan_file "
        "mm_khugepaged_scan_pmd netfs_failure posix_lock_inode rxrpc_resend sched_pi_setprio time_out_leases "
        "writeback_dirty_folio xprt_get_cong xprt_put_cong xprt_release_cong xprt_reserve_cong"
    ),
    0x11: "tcp_send_reset",
    0x100: "fib_table_lookup sched_stick_numa sched_swap_numa tegra_dma_tx_status",
    0x201: "cachefiles_lookup",
    0x1000: "kfree_skb qdisc_dequeue",
    0x2000: "mr_integ_alloc",
    0x10000: "host1x_cdma_push_gather",
}
_ON_DEMAND = {  # until 7.2
    0x1: (
        "cachefiles_ondemand_close cachefiles_ondemand_copen cachefiles_ondemand_cread "
        "cachefiles_ondemand_fd_release cachefiles_ondemand_fd_write cachefiles_ondemand_open "
        "cachefiles_ondemand_read"
    ),
}
_WAITING = {  # 6.12.117, and from 7.2 on
    0x1: "sched_process_wait",
    0x20: "signal_deliver signal_generate",
}
_LATER = {  # from 6.18 on
    0x1: (
        "amdgpu_vm_bo_map amdgpu_vm_bo_unmap netfs_folioq nfs4_setup_sequence nfsd_dirent nfsd_file_cons_err "
        "nfsd_file_insert_err rxrpc_client xfs_blockgc_flush_all xfs_blockgc_start xfs_blockgc_stop "
        "xfs_blockgc_worker xfs_defer_add_item xfs_defer_cancel_item xfs_defer_cancel_list "
        "xfs_defer_create_intent xfs_defer_finish_item xfs_defer_isolate_paused xfs_defer_item_pause "
        "xfs_defer_item_unpause xfs_defer_pending_abort xfs_defer_pending_finish xfs_defer_relog_intent "
        "xfs_fs_sync_fs xfs_inodegc_flush xfs_inodegc_push xfs_inodegc_queue xfs_inodegc_start "
        "xfs_inodegc_stop xfs_inodegc_throttle"
    ),
    0x10: (
        "coda_dec_pic_done coda_dec_pic_run hugetlbfs_alloc_inode neigh_update rdev_set_coalesce rxrpc_tq "
        "spufs_context wiphy_work_cancel wiphy_work_flush wiphy_work_queue wiphy_work_run "
        "xchk_nlinks_live_update xfs_blockgc_free_space xfs_ioc_free_eofblocks"
    ),
    0x11: "cfg80211_scan_done",
    0x100: (
        "amdtp_packet binder_transaction btree_path_free cfg80211_inform_bss_frame "
        "cfg80211_report_wowlan_wakeup dpu_crtc_setup_mixer kvm_page_fault_enter tcp_sendmsg_locked "
        "xchk_metapath_lookup xfs_btree_overlapped_query_range xfs_btree_updkeys"
    ),
    0x200: "nfs4_inode_callback_event nfs4_inode_stateid_callback_event",
    0x1000: "hfi1_sdma_progress iptfs_ingress_postq_event xfs_iomap_alloc xfs_iomap_found",
    0x1001: "nfsd_file_acquire",
    0x10000: (
        "cfg80211_michael_mic_failure pnfs_mds_fallback_pg_get_mirror_count pnfs_mds_fallback_pg_init_read "
        "pnfs_mds_fallback_pg_init_write pnfs_mds_fallback_read_done pnfs_mds_fallback_read_pagelist "
        "pnfs_mds_fallback_write_done pnfs_mds_fallback_write_pagelist pnfs_update_layout "
        "xfs_map_blocks_alloc xfs_map_blocks_found"
    ),
}


def _masks(*parts: dict[int, str]) -> dict[str, int]:
    return {name: mask for part in parts for mask, names in part.items() for name in names.split()}


_tables: list[dict[str, int]] = []


def tables() -> list[dict[str, int]]:
    """The known tables, tracepoint to mask, the oldest first."""
    if not _tables:
        _tables.append(_masks(_ALWAYS, _ON_DEMAND))
        _tables.append(_masks(_ALWAYS, _ON_DEMAND, _WAITING))
        _tables.append(_masks(_ALWAYS, _ON_DEMAND, _LATER))
        _tables.append(_masks(_ALWAYS, _ON_DEMAND, _LATER, _WAITING))
        _tables.append(_masks(_ALWAYS, _LATER, _WAITING))
    return _tables


def bits(tracepoint: str, argument: int, table_bytes: int | None, is_of_module: bool) -> int | None:
    """MAY_BE_NULL and MAY_BE_ERROR of ctx[argument], 0 for neither; None where this kernel's table decides it.

    `table_bytes`: the extent of raw_tp_null_args in kallsyms, None if hidden. A module's tracepoint without an
    entry has every pointer marked.
    """
    known = tables()
    exact = [] if table_bytes is None else [t for t in known if 0 <= table_bytes - ENTRY_BYTES * len(t) < _SLACK_BYTES]
    if not exact and not any(tracepoint in table for table in known):
        largest = ENTRY_BYTES * max(map(len, known)) + _SLACK_BYTES
        if table_bytes is None or table_bytes >= largest:
            return MAY_BE_NULL if is_of_module else None
    unlisted = MAY_BE_NULL if is_of_module else 0
    found = set()
    for table in exact or known:
        mask = table.get(tracepoint)
        found.add(unlisted if mask is None else mask >> 4 * argument & (MAY_BE_NULL | MAY_BE_ERROR))
    return found.pop() if len(found) == 1 else None
