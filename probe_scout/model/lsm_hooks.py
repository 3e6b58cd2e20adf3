"""The kernel's lists of LSM hooks, for kernels whose kallsyms hides them: what recorded kernels of 5.10 to 7.3 hold.

kernel/bpf/bpf_lsm.c sleepable_lsm_hooks, bpf_lsm_disabled_hooks; before 5.11 kernel/bpf/verifier.c
btf_sleepable_lsm_hooks. Names are without bpf_lsm_.
"""

from __future__ import annotations

# Sleepable wherever the hook is there.
SLEEPABLE = frozenset(
    """
        bpf bpf_map bpf_map_alloc_security bpf_map_create bpf_map_free bpf_map_free_security bpf_prog
        bpf_prog_load bpf_token_capable bpf_token_cmd bpf_token_create bpf_token_free
        bprm_check_security bprm_committed_creds bprm_committing_creds bprm_creds_for_exec
        bprm_creds_from_file capget capset cred_prepare current_getsecid_subj file_ioctl file_lock
        file_open file_post_open file_receive inode_create inode_free_security inode_getattr
        inode_getxattr inode_mknod inode_need_killpriv inode_post_setxattr inode_readlink inode_rename
        inode_rmdir inode_setattr inode_setxattr inode_symlink inode_unlink kernel_module_request
        kernel_read_file kernfs_init_security key_free mmap_file netlink_send path_notify release_secctx
        sb_alloc_security sb_eat_lsm_opts sb_kern_mount sb_mount sb_remount sb_set_mnt_opts
        sb_show_options sb_statfs sb_umount settime socket_accept socket_bind socket_connect
        socket_create socket_getpeername socket_getpeersec_dgram socket_getsockname socket_getsockopt
        socket_listen socket_post_create socket_recvmsg socket_sendmsg socket_shutdown socket_socketpair
        syslog task_alloc task_getsecid_obj task_prctl task_setscheduler userns_create
    """.split()
)
# In the list of some kernels and not of others.
DOUBTFUL = frozenset(
    """
        bdev_alloc_security bdev_setintegrity bpf_prog_free inet_conn_established inode_post_removexattr
        inode_removexattr path_chmod path_chown path_link path_mkdir path_rename path_rmdir path_symlink
        path_truncate path_unlink task_to_inode
    """.split()
)
# The whole list of kernels without bpf_lsm_is_sleepable_hook.
SLEEPABLE_FIRST = frozenset(("bprm_committed_creds",))
# Closed to BPF by some kernel that has bpf_lsm_get_retval_range, which came with the list.
DISABLED = frozenset(
    """
        audit_rule_match file_alloc_security getprocattr getselfattr inode_copy_up_xattr
        inode_getsecurity inode_listsecurity inode_need_killpriv ismaclabel key_getsecurity setprocattr
        vm_enough_memory xfrm_decode_session
    """.split()
)
