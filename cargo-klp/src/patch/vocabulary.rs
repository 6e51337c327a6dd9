//! What `klp-runtime` has for functions and macros of the kernel's C that have no symbol.

use crate::kernel::Kernel;
use crate::kernel::headers::definition;

/// The names in C, and below `klp_runtime` the items that do the same.
const WRAPPERS: &[(&str, &str)] = &[
    ("ERR_CAST", "error::from_err_ptr"),
    ("ERR_PTR", "error::Error"),
    ("IS_ERR", "error::from_err_ptr"),
    ("PTR_ERR", "error::from_err_ptr"),
    ("READ_ONCE", "sync::read_once"),
    ("WARN_ON", "warn_on"),
    ("WARN_ON_ONCE", "warn_on_once"),
    ("WRITE_ONCE", "sync::write_once"),
    ("clear_bit", "bits::clear_bit"),
    ("container_of", "container_of"),
    ("copy_from_user", "uaccess::UserSlice"),
    ("copy_to_user", "uaccess::UserSlice"),
    ("dev_err", "dev_err"),
    ("dev_info", "dev_info"),
    ("dev_warn", "dev_warn"),
    ("down_read", "sync::kernel::down_read"),
    ("down_read_trylock", "sync::kernel::down_read_trylock"),
    ("down_write", "sync::kernel::down_write"),
    ("down_write_trylock", "sync::kernel::down_write_trylock"),
    ("get_unaligned", "byteorder::get_unaligned"),
    ("get_user", "uaccess::UserSlice"),
    ("hlist_add_head", "interop::list::hlist_add_head"),
    ("hlist_add_head_rcu", "interop::list::hlist_add_head_rcu"),
    ("hlist_del", "interop::list::hlist_del"),
    ("hlist_del_init", "interop::list::hlist_del_init"),
    ("hlist_del_rcu", "interop::list::hlist_del_rcu"),
    ("hlist_for_each_entry", "chlist_create"),
    ("hlist_for_each_entry_rcu", "chlist_create"),
    ("hlist_for_each_entry_safe", "chlist_create"),
    ("hlist_nulls_for_each_entry", "chlist_nulls_create"),
    ("hlist_nulls_for_each_entry_rcu", "chlist_nulls_create"),
    ("kfree_rcu", "kfree_rcu"),
    ("kref_get", "sync::Refcount"),
    ("kref_get_unless_zero", "sync::Refcount"),
    ("kref_put", "sync::Refcount"),
    ("kref_read", "sync::Refcount"),
    ("kvfree_rcu", "kfree_rcu"),
    ("list_add", "interop::list::list_add"),
    ("list_add_rcu", "interop::list::list_add_rcu"),
    ("list_add_tail", "interop::list::list_add_tail"),
    ("list_add_tail_rcu", "interop::list::list_add_tail_rcu"),
    ("list_del", "interop::list::list_del"),
    ("list_del_init", "interop::list::list_del_init"),
    ("list_del_rcu", "interop::list::list_del_rcu"),
    ("list_empty", "interop::list::list_empty"),
    ("list_for_each_entry", "clist_create"),
    ("list_for_each_entry_rcu", "clist_create"),
    ("list_for_each_entry_reverse", "clist_create"),
    ("list_for_each_entry_safe", "clist_create"),
    ("local_bh_disable", "sync::kernel::local_bh_disable"),
    ("local_bh_enable", "sync::kernel::local_bh_disable"),
    ("local_irq_restore", "sync::kernel::local_irq_save"),
    ("local_irq_save", "sync::kernel::local_irq_save"),
    ("lock_sock", "sync::kernel::lock_sock"),
    ("memdup_user", "uaccess::UserSlice"),
    ("mutex_lock", "sync::kernel::mutex_lock"),
    ("mutex_lock_interruptible", "sync::kernel::mutex_lock_interruptible"),
    ("mutex_lock_killable", "sync::kernel::mutex_lock_killable"),
    ("mutex_trylock", "sync::kernel::mutex_trylock"),
    ("mutex_unlock", "sync::kernel::mutex_lock"),
    ("netdev_err", "netdev_err"),
    ("netdev_info", "netdev_info"),
    ("netdev_warn", "netdev_warn"),
    ("pr_err", "pr_err"),
    ("pr_info", "pr_info"),
    ("pr_warn", "pr_warn"),
    ("pr_warn_once", "pr_warn_once"),
    ("pr_warn_ratelimited", "pr_warn_ratelimited"),
    ("preempt_disable", "sync::kernel::preempt_disable"),
    ("preempt_enable", "sync::kernel::preempt_disable"),
    ("put_unaligned", "byteorder::put_unaligned"),
    ("put_user", "uaccess::UserSlice"),
    ("raw_spin_lock", "sync::kernel::raw_spin_lock"),
    ("raw_spin_lock_irqsave", "sync::kernel::raw_spin_lock_irqsave"),
    ("raw_spin_unlock", "sync::kernel::raw_spin_lock"),
    ("raw_spin_unlock_irqrestore", "sync::kernel::raw_spin_lock_irqsave"),
    ("rcu_assign_pointer", "sync::rcu::assign_pointer"),
    ("rcu_dereference", "sync::rcu::Guard"),
    ("rcu_read_lock", "sync::rcu::read_lock"),
    ("rcu_read_unlock", "sync::rcu::read_lock"),
    ("read_lock", "sync::kernel::read_lock"),
    ("read_lock_bh", "sync::kernel::read_lock_bh"),
    ("read_lock_irqsave", "sync::kernel::read_lock_irqsave"),
    ("read_unlock", "sync::kernel::read_lock"),
    ("read_unlock_bh", "sync::kernel::read_lock_bh"),
    ("read_unlock_irqrestore", "sync::kernel::read_lock_irqsave"),
    ("refcount_add", "sync::Refcount"),
    ("refcount_dec", "sync::Refcount"),
    ("refcount_dec_and_test", "sync::Refcount"),
    ("refcount_inc", "sync::Refcount"),
    ("refcount_inc_not_zero", "sync::Refcount"),
    ("refcount_read", "sync::Refcount"),
    ("refcount_set", "sync::Refcount"),
    ("refcount_sub_and_test", "sync::Refcount"),
    ("release_sock", "sync::kernel::lock_sock"),
    ("set_bit", "bits::set_bit"),
    ("spin_lock", "sync::kernel::spin_lock"),
    ("spin_lock_bh", "sync::kernel::spin_lock_bh"),
    ("spin_lock_irqsave", "sync::kernel::spin_lock_irqsave"),
    ("spin_trylock", "sync::kernel::spin_trylock"),
    ("spin_unlock", "sync::kernel::spin_lock"),
    ("spin_unlock_bh", "sync::kernel::spin_lock_bh"),
    ("spin_unlock_irqrestore", "sync::kernel::spin_lock_irqsave"),
    ("static_branch_likely", "jump_label::static_key_enabled"),
    ("static_branch_unlikely", "jump_label::static_key_enabled"),
    ("static_key_enabled", "jump_label::static_key_enabled"),
    ("strncpy_from_user", "uaccess::UserSlice"),
    ("synchronize_rcu", "sync::rcu::synchronize_rcu"),
    ("test_and_clear_bit", "bits::test_and_clear_bit"),
    ("test_and_set_bit", "bits::test_and_set_bit"),
    ("test_bit", "bits::test_bit"),
    ("up_read", "sync::kernel::down_read"),
    ("up_write", "sync::kernel::down_write"),
    ("write_lock", "sync::kernel::write_lock"),
    ("write_lock_bh", "sync::kernel::write_lock_bh"),
    ("write_lock_irqsave", "sync::kernel::write_lock_irqsave"),
    ("write_unlock", "sync::kernel::write_lock"),
    ("write_unlock_bh", "sync::kernel::write_lock_bh"),
    ("write_unlock_irqrestore", "sync::kernel::write_lock_irqsave"),
];

/// The path of what does the same as a name of C.
#[must_use]
pub fn wrapper(name: &str) -> Option<String> {
    let (_, path) = WRAPPERS.iter().find(|(known, _)| *known == name)?;
    Some(format!("klp_runtime::{path}"))
}

/// The paths of all of these.
#[must_use]
pub fn wrappers() -> Vec<String> {
    WRAPPERS.iter().map(|(_, path)| format!("klp_runtime::{path}")).collect()
}

/// What to write for a name that is no symbol, where a header or the runtime has it.
#[must_use]
pub fn advice(kernel: &Kernel, name: &str) -> Option<String> {
    let of_header = definition(&kernel.kdir, kernel.arch(), name).map(|found| found.to_string());
    match (wrapper(name), of_header) {
        (Some(path), _) => Some(format!("use `{path}`")),
        (None, of_header) => of_header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(WRAPPERS.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
