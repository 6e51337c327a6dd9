//! The corpus: real fixes, and what is expected of each.

/// What two releases of a series differ in.
pub(crate) struct Corpus {
    /// The series; the fixes are for its kernel.
    pub(crate) series: &'static str,
    /// The version of the package with the other release's source.
    pub(crate) other: &'static str,
    pub(crate) fixes: &'static [Fix],
}

/// A fix: what two releases differ in.
pub(crate) struct Fix {
    /// The file.
    pub(crate) file: &'static str,
    /// The functions that it changes; all of the file, if there are none.
    pub(crate) functions: &'static [&'static str],
    pub(crate) expected: Expected,
}

/// What `cargo klp new --diff` does with a fix.
#[derive(Debug)]
pub(crate) enum Expected {
    /// It makes a patch that builds and loads without a line by hand. These functions are replaced.
    Enough(&'static [&'static str]),
    /// It says why it can't be patched, in these words.
    Refused(&'static str),
}

use Expected::{Enough, Refused};

impl Fix {
    /// The name of its patch.
    pub(crate) fn name(&self) -> String {
        let of = self.functions.first().copied().unwrap_or_default();
        let text = format!("fix_{}_{of}", self.file.trim_end_matches(".c"));
        text.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    }
}

const fn fix(file: &'static str, expected: Expected) -> Fix {
    Fix { file, functions: &[], expected }
}

/// Of 6.12.
pub(crate) const OF_6_12: Corpus =
    Corpus { series: "6.12", other: "6.12.115-2~deb12u1", fixes: FIXES_OF_6_12 };

const FIXES_OF_6_12: &[Fix] = &[
    fix("crypto/algif_skcipher.c", Enough(&["algif_skcipher:skcipher_recvmsg"])),
    fix("drivers/block/loop.c", Enough(&["loop:lo_compat_ioctl"])),
    fix("drivers/char/virtio_console.c", Enough(&["in_intr", "out_intr"])),
    fix("drivers/net/tun.c", Enough(&["tun:__tun_chr_ioctl"])),
    fix("drivers/net/veth.c", Enough(&["veth:veth_xdp"])),
    fix("fs/ext4/namei.c", Enough(&["ext4:ext4_rmdir"])),
    fix("fs/ext4/super.c", Enough(&["ext4:ext4_fill_super", "ext4:ext4_load_and_init_journal"])),
    fix("fs/f2fs/data.c", Enough(&["f2fs:f2fs_mpage_readpages", "f2fs:f2fs_should_update_outplace"])),
    fix("fs/dcache.c", Enough(&["__dentry_kill", "dentry_unlink_inode"])),
    fix("fs/dlm/lowcomms.c", Enough(&["dlm:lowcomms_write_space", "dlm:send_to_sock"])),
    fix("fs/isofs/rock.c", Enough(&["isofs:rock_continue"])),
    fix("fs/namei.c", Enough(&["step_into"])),
    fix(
        "fs/nfsd/nfs4xdr.c",
        Enough(&[
            "nfsd:nfs4svc_encode_compoundres",
            "nfsd:nfsd4_decode_setxattr",
            "nfsd:nfsd4_encode_getxattr",
        ]),
    ),
    fix("fs/ntfs3/fslog.c", Enough(&["ntfs3:find_log_rec", "ntfs3:log_replay"])),
    fix(
        "fs/ocfs2/quota_local.c",
        Enough(&["ocfs2:ocfs2_local_free_info", "ocfs2:ocfs2_local_quota_add_chunk"]),
    ),
    fix(
        "fs/overlayfs/readdir.c",
        Enough(&[
            "overlay:ovl_cache_update",
            "overlay:ovl_dir_open",
            "overlay:ovl_iterate",
            "overlay:ovl_iterate_real",
        ]),
    ),
    fix("fs/romfs/super.c", Enough(&["romfs:romfs_iget", "romfs:romfs_lookup"])),
    fix("fs/signalfd.c", Enough(&["signalfd_poll", "signalfd_read_iter"])),
    fix("fs/smb/client/cifssmb.c", Enough(&["cifs:CIFSFindFirst", "cifs:CIFSFindNext", "cifs:CIFSSMBSetEA"])),
    fix("fs/splice.c", Enough(&["do_splice"])),
    fix("fs/stat.c", Enough(&["vfs_getattr_nosec"])),
    fix("io_uring/io-wq.c", Enough(&["io_queue_worker_create", "io_wq_exit_start", "io_wq_put_and_exit"])),
    fix("ipc/msgutil.c", Enough(&["load_msg"])),
    fix("ipc/shm.c", Enough(&["shmctl_shm_info", "sysvipc_shm_proc_show"])),
    fix("kernel/futex/core.c", Enough(&["futex_exec_release", "futex_exit_release"])),
    fix("kernel/reboot.c", Enough(&["emergency_restart", "hw_failure_emergency_poweroff_func"])),
    fix("kernel/sys.c", Enough(&["__ia32_compat_sys_times", "__x64_compat_sys_times"])),
    fix("mm/madvise.c", Enough(&["madvise_cold_or_pageout_pte_range"])),
    fix("mm/shmem.c", Enough(&["shmem_undo_range"])),
    fix("net/ipv4/metrics.c", Enough(&["ip_fib_metrics_init"])),
    fix("net/netfilter/nft_meta.c", Enough(&["nf_tables:nft_meta_get_eval"])),
    fix("net/netfilter/nf_conntrack_expect.c", Enough(&["nf_conntrack:nf_ct_expect_related_report"])),
    fix("net/sched/act_ct.c", Enough(&["act_ct:tcf_ct_act"])),
    fix("net/sched/cls_bpf.c", Enough(&["cls_bpf:cls_bpf_change"])),
    fix("security/landlock/fs.c", Enough(&["release_inode"])),
    fix("sound/core/compress_offload.c", Enough(&["snd_compress:snd_compr_ioctl"])),
    fix("drivers/net/bonding/bond_main.c", Refused("has run when the patch is loaded")),
    fix("drivers/net/usb/qmi_wwan.c", Refused("`products` gets another value")),
    fix("fs/xfs/scrub/symlink.c", Refused("its configuration leaves it out")),
    fix("lib/klist.c", Refused("it has no ftrace entry")),
    fix("net/mac80211/ibss.c", Refused("changes nothing in the code")),
];

/// Of 6.1.
pub(crate) const OF_6_1: Corpus = Corpus { series: "6.1", other: "6.1.170-3", fixes: FIXES_OF_6_1 };

const FIXES_OF_6_1: &[Fix] = &[
    fix("drivers/block/loop.c", Enough(&["loop:lo_ioctl"])),
    fix("drivers/net/tun.c", Enough(&["tun:tun_get_user", "tun:tun_sendmsg", "tun:tun_set_headroom"])),
    fix("fs/ext4/namei.c", Enough(&["ext4:ext4_search_dir"])),
    fix(
        "fs/isofs/rock.c",
        Enough(&[
            "isofs:get_rock_ridge_filename",
            "isofs:parse_rock_ridge_inode_internal",
            "isofs:rock_continue",
            "isofs:rock_ridge_symlink_read_folio",
        ]),
    ),
    fix(
        "fs/nfsd/nfs4xdr.c",
        Enough(&[
            "nfsd:nfsd4_decode_create",
            "nfsd:nfsd4_decode_nl4_server",
            "nfsd:nfsd4_decode_secinfo_no_name",
        ]),
    ),
    fix(
        "fs/ocfs2/quota_local.c",
        Enough(&["ocfs2:ocfs2_begin_quota_recovery", "ocfs2:ocfs2_local_read_info"]),
    ),
    fix("ipc/shm.c", Enough(&["shm_try_destroy_orphaned"])),
    fix(
        "mm/madvise.c",
        Enough(&["__ia32_sys_process_madvise", "__x64_sys_process_madvise", "madvise_pageout"]),
    ),
    fix("mm/shmem.c", Enough(&["shmem_get_folio_gfp", "shmem_getattr", "shmem_is_huge"])),
    fix(
        "net/mac80211/ibss.c",
        Enough(&[
            "mac80211:ieee80211_csa_connection_drop_work",
            "mac80211:ieee80211_ibss_disconnect",
            "mac80211:ieee80211_ibss_leave",
        ]),
    ),
    fix("drivers/net/usb/qmi_wwan.c", Refused("`products` gets another value")),
    fix("fs/dcache.c", Refused("has run when the patch is loaded")),
    fix("sound/core/compress_offload.c", Refused("changes nothing in the code")),
];
