"""Which program types may call a kfunc, where no image of the kernel is at hand: what recorded kernels agree on.

Sets of kfuncs are registered in init functions and filtered by functions (kernel/bpf/btf.c), which no file shows. What
kallsyms shows is which sets hold a kfunc, and BTF which hooks the kernel has (enum btf_kfunc_hook). The table holds
what the images of 6.12, 6.16, 6.18, 7.2 and 7.3 say of a kfunc in the same sets, where two of them or more have it and
all agree. Left out are kernels with other hooks. RAW_TRACEPOINT and SOCK_OPS, whose hooks moved without a trace, are
told of what is registered for all types, and of nothing else.
That the sets are registered on this kernel as on those is assumed, and every answer says so. With each of the five in
turn foretold from the other four, 52 of 27,545 answers were wrong: 29 of bpf_arena_reserve_pages, whose KF_SLEEPABLE
changed, and 23 of SOCK_OPS. Neither is in the table. Made by `python -m tests.tools.kfunc_table`.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_HOOKS = frozenset(
    (
        *("COMMON", "XDP", "TC", "STRUCT_OPS", "TRACING", "SYSCALL", "FMODRET", "CGROUP", "SCHED_ACT", "SK_SKB"),
        *("SOCKET_FILTER", "LWT", "NETFILTER", "KPROBE", "MAX"),
    )
)
_PREFIX = "BTF_KFUNC_HOOK_"
# Types whose hook moved, and types without one. What these may call is registered for all (BTF_KFUNC_HOOK_COMMON),
# which btf_kfunc_is_allowed asks first: so may those, whichever hook they have.
_MOVED = frozenset(("RAW_TRACEPOINT", "SOCK_OPS"))
_WITHOUT_HOOK = frozenset(("FLOW_DISSECTOR", "LIRC_MODE2"))
ASSUMED = "its sets are registered for the same program types as on the recorded kernels 6.12 to 7.3"


class Recorded(NamedTuple):
    """What recorded kernels agree on about one kfunc for one program type. `may_sleep`: KF_SLEEPABLE."""

    allowed: bool
    may_sleep: bool


def fits(hooks: Iterable[str]) -> bool:
    """Whether a kernel with these enumerators of btf_kfunc_hook is one that the table speaks of."""
    return {name.removeprefix(_PREFIX) for name in hooks} == _HOOKS


def recorded(name: str, sets: frozenset[str], program: str) -> Recorded | None:
    """Of a kfunc that is in these sets; `program` without BPF_PROG_TYPE_. None where the table says nothing."""
    row = _rows().get((name, sets))
    if row is not None and program in _MOVED and row[0] >= _WITHOUT_HOOK:
        return Recorded(True, row[2])
    if row is None or program not in _TYPES.split() or program in row[1]:
        return None
    return Recorded(program in row[0], row[2])


_kept: dict[tuple[str, frozenset[str]], tuple[frozenset[str], frozenset[str], bool]] = {}


def _rows() -> dict[tuple[str, frozenset[str]], tuple[frozenset[str], frozenset[str], bool]]:
    if not _kept:
        for sets, allowed, untold, kfuncs in _TABLE:
            types = frozenset(allowed.split()), frozenset(untold.split())
            for name in kfuncs.split():
                _kept[name.rstrip("!"), frozenset(sets.split())] = (*types, name.endswith("!"))
    return _kept


# Sets; types that may call; types of which nothing is said; kfuncs, those that may sleep with "!".
_TYPES = (
    "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL FLOW_DISSECTOR KPROBE "
    "LIRC_MODE2 LSM LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT RAW_TRACEPOINT_WRITABLE "
    "SCHED_ACT SCHED_CLS SK_LOOKUP SK_MSG SK_REUSEPORT SK_SKB SOCKET_FILTER STRUCT_OPS SYSCALL TRACEPOINT "
    "TRACING XDP"
)
_TABLE: tuple[tuple[str, str, str, str], ...] = (
    (
        ("bpf_fs_kfunc_set_ids"),
        ("LSM"),
        (""),
        (
            "bpf_get_dentry_xattr! bpf_get_file_xattr! bpf_get_task_exe_file bpf_path_d_path bpf_put_file "
            "bpf_real_data_inode! bpf_remove_dentry_xattr! bpf_set_dentry_xattr!"
        ),
    ),
    (
        ("bpf_kfunc_check_set_skb"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL LSM LWT_IN LWT_OUT "
            "LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT SCHED_ACT SCHED_CLS SK_SKB SOCKET_FILTER TRACEPOINT TRACING"
        ),
        (""),
        ("bpf_dynptr_from_skb"),
    ),
    (
        ("bpf_kfunc_check_set_skb qdisc_kfunc_ids"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL LSM LWT_IN LWT_OUT "
            "LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT SCHED_ACT SCHED_CLS SK_SKB SOCKET_FILTER TRACEPOINT TRACING"
        ),
        ("STRUCT_OPS"),
        ("bpf_dynptr_from_skb"),
    ),
    (("bpf_kfunc_check_set_skb_meta"), ("SCHED_ACT SCHED_CLS"), (""), ("bpf_dynptr_from_skb_meta")),
    (
        ("bpf_kfunc_check_set_sock_addr"),
        ("CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL"),
        (""),
        ("bpf_sock_addr_set_sun_path"),
    ),
    (
        ("bpf_kfunc_check_set_sock_ops"),
        ("CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL"),
        (""),
        ("bpf_sock_ops_enable_tx_tstamp"),
    ),
    (("bpf_kfunc_check_set_tcp_reqsk"), ("SCHED_CLS"), (""), ("bpf_sk_assign_tcp_reqsk")),
    (("bpf_kfunc_check_set_xdp"), ("XDP"), (""), ("bpf_dynptr_from_xdp bpf_xdp_pull_data")),
    (
        ("bpf_map_iter_kfunc_ids"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL FLOW_DISSECTOR KPROBE "
            "LIRC_MODE2 LSM LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT RAW_TRACEPOINT_WRITABLE "
            "SCHED_ACT SCHED_CLS SK_LOOKUP SK_MSG SK_REUSEPORT SK_SKB SOCKET_FILTER STRUCT_OPS SYSCALL TRACEPOINT "
            "TRACING XDP"
        ),
        (""),
        ("bpf_map_sum_elem_count"),
    ),
    (
        ("bpf_memcontrol_kfuncs"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL FLOW_DISSECTOR KPROBE "
            "LIRC_MODE2 LSM LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT RAW_TRACEPOINT_WRITABLE "
            "SCHED_ACT SCHED_CLS SK_LOOKUP SK_MSG SK_REUSEPORT SK_SKB SOCKET_FILTER STRUCT_OPS SYSCALL TRACEPOINT "
            "TRACING XDP"
        ),
        (""),
        (
            "bpf_get_mem_cgroup bpf_get_root_mem_cgroup bpf_mem_cgroup_flush_stats! bpf_mem_cgroup_memory_events "
            "bpf_mem_cgroup_page_state bpf_mem_cgroup_usage bpf_mem_cgroup_vm_events bpf_put_mem_cgroup"
        ),
    ),
    (("bpf_rstat_kfunc_ids"), ("LSM PERF_EVENT TRACEPOINT TRACING"), (""), ("css_rstat_flush! css_rstat_updated")),
    (("bpf_sk_iter_kfunc_ids"), (""), ("LSM PERF_EVENT TRACEPOINT TRACING"), ("bpf_sock_destroy")),
    (
        ("bpf_tcp_ca_check_kfunc_ids"),
        ("STRUCT_OPS"),
        (""),
        ("tcp_cong_avoid_ai tcp_reno_cong_avoid tcp_reno_ssthresh tcp_reno_undo_cwnd tcp_slow_start"),
    ),
    (
        ("bpf_test_modify_return_ids common_btf_ids"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL FLOW_DISSECTOR KPROBE "
            "LIRC_MODE2 LSM LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT RAW_TRACEPOINT_WRITABLE "
            "SCHED_ACT SCHED_CLS SK_LOOKUP SK_MSG SK_REUSEPORT SK_SKB SOCKET_FILTER STRUCT_OPS SYSCALL TRACEPOINT "
            "TRACING XDP"
        ),
        (""),
        ("bpf_modify_return_test_tp"),
    ),
    (
        ("common_btf_ids"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL FLOW_DISSECTOR KPROBE "
            "LIRC_MODE2 LSM LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT RAW_TRACEPOINT_WRITABLE "
            "SCHED_ACT SCHED_CLS SK_LOOKUP SK_MSG SK_REUSEPORT SK_SKB SOCKET_FILTER STRUCT_OPS SYSCALL TRACEPOINT "
            "TRACING XDP"
        ),
        (""),
        (
            "__bpf_trap bpf_cast_to_kern_ctx bpf_cgroup_read_xattr bpf_copy_from_user_dynptr! bpf_copy_from_user_str! "
            "bpf_copy_from_user_str_dynptr! bpf_copy_from_user_task_dynptr! bpf_copy_from_user_task_str! "
            "bpf_copy_from_user_task_str_dynptr! bpf_dynptr_adjust bpf_dynptr_clone bpf_dynptr_copy "
            "bpf_dynptr_file_discard bpf_dynptr_from_file bpf_dynptr_is_null bpf_dynptr_is_rdonly bpf_dynptr_memset "
            "bpf_dynptr_size bpf_dynptr_slice bpf_dynptr_slice_rdwr bpf_get_kmem_cache bpf_iter_bits_destroy "
            "bpf_iter_bits_new bpf_iter_bits_next bpf_iter_css_destroy bpf_iter_css_new bpf_iter_css_next "
            "bpf_iter_css_task_destroy bpf_iter_css_task_new bpf_iter_css_task_next bpf_iter_dmabuf_destroy! "
            "bpf_iter_dmabuf_new! bpf_iter_dmabuf_next! bpf_iter_kmem_cache_destroy! bpf_iter_kmem_cache_new! "
            "bpf_iter_kmem_cache_next! bpf_iter_num_destroy bpf_iter_num_new bpf_iter_num_next bpf_iter_task_destroy "
            "bpf_iter_task_new bpf_iter_task_next bpf_iter_task_vma_destroy bpf_iter_task_vma_new "
            "bpf_iter_task_vma_next bpf_local_irq_restore bpf_local_irq_save bpf_preempt_disable bpf_preempt_enable "
            "bpf_probe_read_kernel_dynptr bpf_probe_read_kernel_str_dynptr bpf_probe_read_user_dynptr "
            "bpf_probe_read_user_str_dynptr bpf_rcu_read_lock bpf_rcu_read_unlock bpf_rdonly_cast bpf_strcasecmp "
            "bpf_strcasestr bpf_strchr bpf_strchrnul bpf_strcmp bpf_strcspn bpf_stream_print_stack bpf_stream_vprintk "
            "bpf_strlen bpf_strncasecmp bpf_strncasestr bpf_strnchr bpf_strnlen bpf_strnstr bpf_strrchr bpf_strspn "
            "bpf_strstr bpf_task_work_schedule_resume bpf_task_work_schedule_signal bpf_timer_cancel_async "
            "bpf_wq_init bpf_wq_set_callback bpf_wq_set_callback_impl bpf_wq_start"
        ),
    ),
    (
        ("cpumask_kfunc_btf_ids"),
        ("LSM PERF_EVENT STRUCT_OPS SYSCALL TRACEPOINT TRACING"),
        (""),
        (
            "bpf_cpumask_acquire bpf_cpumask_and bpf_cpumask_any_and_distribute bpf_cpumask_any_distribute "
            "bpf_cpumask_clear bpf_cpumask_clear_cpu bpf_cpumask_copy bpf_cpumask_create bpf_cpumask_empty "
            "bpf_cpumask_equal bpf_cpumask_first bpf_cpumask_first_and bpf_cpumask_first_zero bpf_cpumask_full "
            "bpf_cpumask_intersects bpf_cpumask_or bpf_cpumask_populate bpf_cpumask_release bpf_cpumask_set_cpu "
            "bpf_cpumask_setall bpf_cpumask_subset bpf_cpumask_test_and_clear_cpu bpf_cpumask_test_and_set_cpu "
            "bpf_cpumask_test_cpu bpf_cpumask_weight bpf_cpumask_xor"
        ),
    ),
    (
        ("crypt_init_kfunc_btf_ids"),
        ("SYSCALL"),
        (""),
        ("bpf_crypto_ctx_acquire bpf_crypto_ctx_create! bpf_crypto_ctx_release"),
    ),
    (("crypt_kfunc_btf_ids"), ("SCHED_ACT SCHED_CLS XDP"), (""), ("bpf_crypto_decrypt bpf_crypto_encrypt")),
    (("fsverity_set_ids"), ("LSM"), (""), ("bpf_get_fsverity_digest")),
    (
        ("generic_btf_ids"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL LSM PERF_EVENT "
            "SCHED_CLS STRUCT_OPS SYSCALL TRACEPOINT TRACING XDP"
        ),
        (""),
        (
            "bpf_cgroup_acquire bpf_cgroup_ancestor bpf_cgroup_from_id bpf_cgroup_release bpf_key_put bpf_list_add "
            "bpf_list_back bpf_list_del bpf_list_empty bpf_list_front bpf_list_is_first bpf_list_is_last "
            "bpf_list_pop_back bpf_list_pop_front bpf_list_push_back bpf_list_push_back_impl bpf_list_push_front "
            "bpf_list_push_front_impl bpf_lookup_system_key bpf_lookup_user_key! bpf_obj_drop bpf_obj_drop_impl "
            "bpf_obj_new bpf_obj_new_impl bpf_percpu_obj_drop bpf_percpu_obj_drop_impl bpf_percpu_obj_new "
            "bpf_percpu_obj_new_impl bpf_rbtree_add bpf_rbtree_add_impl bpf_rbtree_first bpf_rbtree_left "
            "bpf_rbtree_remove bpf_rbtree_right bpf_rbtree_root bpf_refcount_acquire bpf_refcount_acquire_impl "
            "bpf_send_signal_task bpf_task_acquire bpf_task_from_pid bpf_task_from_vpid bpf_task_get_cgroup1 "
            "bpf_task_release bpf_task_under_cgroup bpf_throw bpf_verify_pkcs7_signature!"
        ),
    ),
    (("hid_bpf_kfunc_ids"), ("STRUCT_OPS"), (""), ("hid_bpf_get_data hid_bpf_try_input_report")),
    (
        ("hid_bpf_kfunc_ids hid_bpf_syscall_kfunc_ids"),
        ("STRUCT_OPS SYSCALL"),
        (""),
        (
            "hid_bpf_allocate_context! hid_bpf_hw_output_report! hid_bpf_hw_request! hid_bpf_input_report! "
            "hid_bpf_release_context!"
        ),
    ),
    (("io_uring_kfunc_set"), ("STRUCT_OPS"), (""), ("bpf_io_uring_get_region bpf_io_uring_submit_sqes!")),
    (
        ("key_sig_kfunc_set"),
        ("LSM PERF_EVENT TRACEPOINT TRACING"),
        (""),
        ("bpf_key_put bpf_lookup_system_key bpf_lookup_user_key! bpf_verify_pkcs7_signature!"),
    ),
    (("kprobe_multi_kfunc_set_ids"), (""), ("KPROBE"), ("bpf_session_cookie bpf_session_is_return")),
    (
        ("qdisc_kfunc_ids"),
        (""),
        ("STRUCT_OPS"),
        (
            "bpf_kfree_skb bpf_qdisc_bstats_update bpf_qdisc_init_prologue bpf_qdisc_reset_destroy_epilogue "
            "bpf_qdisc_skb_drop bpf_qdisc_watchdog_schedule bpf_skb_get_hash"
        ),
    ),
    (
        ("rqspinlock_kfunc_ids"),
        (
            "CGROUP_DEVICE CGROUP_SKB CGROUP_SOCK CGROUP_SOCKOPT CGROUP_SOCK_ADDR CGROUP_SYSCTL FLOW_DISSECTOR KPROBE "
            "LIRC_MODE2 LSM LWT_IN LWT_OUT LWT_SEG6LOCAL LWT_XMIT NETFILTER PERF_EVENT RAW_TRACEPOINT_WRITABLE "
            "SCHED_ACT SCHED_CLS SK_LOOKUP SK_MSG SK_REUSEPORT SK_SKB SOCKET_FILTER STRUCT_OPS SYSCALL TRACEPOINT "
            "TRACING XDP"
        ),
        (""),
        ("bpf_res_spin_lock bpf_res_spin_lock_irqsave bpf_res_spin_unlock bpf_res_spin_unlock_irqrestore"),
    ),
    (
        ("scx_kfunc_ids_any"),
        ("LSM PERF_EVENT STRUCT_OPS SYSCALL TRACEPOINT TRACING"),
        (""),
        (
            "scx_bpf_cpu_rq scx_bpf_cpuperf_cap scx_bpf_cpuperf_cur scx_bpf_cpuperf_set scx_bpf_get_online_cpumask "
            "scx_bpf_get_possible_cpumask scx_bpf_kick_cpu scx_bpf_put_cpumask scx_bpf_task_cpu"
        ),
    ),
    (
        ("scx_kfunc_ids_any"),
        ("LSM PERF_EVENT SYSCALL TRACEPOINT TRACING"),
        ("STRUCT_OPS"),
        (
            "bpf_iter_scx_dsq_destroy bpf_iter_scx_dsq_new bpf_iter_scx_dsq_next scx_bpf_cid_curr scx_bpf_cidperf_cap "
            "scx_bpf_cidperf_cur scx_bpf_cidperf_set scx_bpf_destroy_dsq scx_bpf_dsq_nr_queued scx_bpf_dsq_peek "
            "scx_bpf_dsq_reenq scx_bpf_dump_bstr scx_bpf_error_bstr scx_bpf_events scx_bpf_exit_bstr scx_bpf_kick_cid "
            "scx_bpf_locked_rq scx_bpf_now scx_bpf_nr_cids scx_bpf_nr_cpu_ids scx_bpf_nr_node_ids "
            "scx_bpf_nr_online_cids scx_bpf_reenqueue_local___v2 scx_bpf_task_cgroup scx_bpf_task_cid "
            "scx_bpf_task_running scx_bpf_task_set_dsq_vtime scx_bpf_task_set_slice scx_bpf_this_cid "
            "scx_bpf_tid_to_task"
        ),
    ),
    (
        ("scx_kfunc_ids_any scx_kfunc_ids_cpu_only"),
        ("LSM PERF_EVENT SYSCALL TRACEPOINT TRACING"),
        ("STRUCT_OPS"),
        (
            "scx_bpf_cpu_curr scx_bpf_cpuperf_cap scx_bpf_cpuperf_cur scx_bpf_cpuperf_set scx_bpf_get_online_cpumask "
            "scx_bpf_get_possible_cpumask scx_bpf_kick_cpu scx_bpf_put_cpumask scx_bpf_task_cpu"
        ),
    ),
    (
        ("scx_kfunc_ids_cid"),
        ("LSM PERF_EVENT SYSCALL TRACEPOINT TRACING"),
        ("STRUCT_OPS"),
        ("scx_bpf_cid_to_cpu scx_bpf_cid_topo scx_bpf_cpu_to_cid"),
    ),
    (
        ("scx_kfunc_ids_cpu_only scx_kfunc_ids_idle"),
        ("LSM PERF_EVENT SYSCALL TRACEPOINT TRACING"),
        ("STRUCT_OPS"),
        (
            "scx_bpf_cpu_node scx_bpf_get_idle_cpumask scx_bpf_get_idle_cpumask_node scx_bpf_get_idle_smtmask "
            "scx_bpf_get_idle_smtmask_node scx_bpf_pick_any_cpu scx_bpf_pick_any_cpu_node scx_bpf_pick_idle_cpu "
            "scx_bpf_pick_idle_cpu_node scx_bpf_put_idle_cpumask scx_bpf_test_and_clear_cpu_idle"
        ),
    ),
    (
        ("scx_kfunc_ids_cpu_only scx_kfunc_ids_select_cpu scx_kfunc_ids_unlocked"),
        ("SYSCALL"),
        ("STRUCT_OPS"),
        ("__scx_bpf_select_cpu_and scx_bpf_select_cpu_and scx_bpf_select_cpu_dfl"),
    ),
    (("scx_kfunc_ids_cpu_release"), (""), ("STRUCT_OPS"), ("scx_bpf_reenqueue_local")),
    (
        ("scx_kfunc_ids_dispatch"),
        (""),
        ("STRUCT_OPS"),
        (
            "scx_bpf_dispatch_cancel scx_bpf_dispatch_nr_slots scx_bpf_dsq_move_to_local "
            "scx_bpf_dsq_move_to_local___v2 scx_bpf_sub_dispatch"
        ),
    ),
    (
        ("scx_kfunc_ids_dispatch scx_kfunc_ids_unlocked"),
        ("SYSCALL"),
        ("STRUCT_OPS"),
        ("scx_bpf_dsq_move scx_bpf_dsq_move_set_slice scx_bpf_dsq_move_set_vtime scx_bpf_dsq_move_vtime"),
    ),
    (
        ("scx_kfunc_ids_enqueue_dispatch"),
        (""),
        ("STRUCT_OPS"),
        ("__scx_bpf_dsq_insert_vtime scx_bpf_dsq_insert scx_bpf_dsq_insert___v2 scx_bpf_dsq_insert_vtime"),
    ),
    (
        ("scx_kfunc_ids_idle"),
        ("LSM PERF_EVENT STRUCT_OPS SYSCALL TRACEPOINT TRACING"),
        (""),
        (
            "scx_bpf_cpu_node scx_bpf_get_idle_cpumask scx_bpf_get_idle_cpumask_node scx_bpf_get_idle_smtmask "
            "scx_bpf_get_idle_smtmask_node scx_bpf_pick_any_cpu scx_bpf_pick_any_cpu_node scx_bpf_pick_idle_cpu "
            "scx_bpf_pick_idle_cpu_node scx_bpf_put_idle_cpumask scx_bpf_select_cpu_and scx_bpf_select_cpu_dfl "
            "scx_bpf_test_and_clear_cpu_idle"
        ),
    ),
    (("scx_kfunc_ids_unlocked"), ("SYSCALL"), ("STRUCT_OPS"), ("scx_bpf_create_dsq!")),
    (
        ("session_kfunc_set_ids"),
        (""),
        ("KPROBE LSM PERF_EVENT TRACEPOINT TRACING"),
        ("bpf_session_cookie bpf_session_is_return"),
    ),
    (
        ("tcp_cubic_check_kfunc_ids"),
        ("STRUCT_OPS"),
        (""),
        (
            "cubictcp_acked cubictcp_cong_avoid cubictcp_cwnd_event cubictcp_cwnd_event_tx_start cubictcp_init "
            "cubictcp_recalc_ssthresh cubictcp_state"
        ),
    ),
    (
        ("test_sk_check_kfunc_ids"),
        ("LSM PERF_EVENT SCHED_CLS SYSCALL TRACEPOINT TRACING"),
        (""),
        ("bpf_kfunc_call_memb_release bpf_kfunc_call_test_release"),
    ),
    (
        ("wakeup_source_kfunc_ids"),
        ("SYSCALL"),
        (""),
        ("bpf_wakeup_sources_get_head bpf_wakeup_sources_read_lock bpf_wakeup_sources_read_unlock"),
    ),
    (
        ("xdp_metadata_kfunc_ids"),
        ("XDP"),
        (""),
        ("bpf_xdp_metadata_rx_hash bpf_xdp_metadata_rx_timestamp bpf_xdp_metadata_rx_vlan_tag"),
    ),
    (("xfrm_state_kfunc_set"), ("XDP"), (""), ("bpf_xdp_get_xfrm_state bpf_xdp_xfrm_state_release")),
)
