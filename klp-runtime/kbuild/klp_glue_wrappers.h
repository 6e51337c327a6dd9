/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c behind klp_runtime::{alloc, bug, interop, log, percpu, sync, uaccess}: what is a macro
 * or inline in C, and differs by release and configuration. Only what the Rust half
 * of this patch uses.
 */
#include <linux/bottom_half.h>
#include <linux/bug.h>
#include <linux/irqflags.h>
#include <linux/jump_label.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/list_nulls.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/ratelimit.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/version.h>

/* Called directly, and often: no place for ftrace, none for an indirect call. */
#ifdef __noendbr
#define klp_glue_wrapper	notrace __noendbr
#else
#define klp_glue_wrapper	notrace
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_lock
klp_glue_wrapper void klp_glue_kernel_spin_lock(spinlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_spin_lock(spinlock_t *lock)
{
	spin_lock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_trylock
klp_glue_wrapper bool klp_glue_kernel_spin_trylock(spinlock_t *lock);
klp_glue_wrapper bool klp_glue_kernel_spin_trylock(spinlock_t *lock)
{
	return spin_trylock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_unlock
klp_glue_wrapper void klp_glue_kernel_spin_unlock(spinlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_spin_unlock(spinlock_t *lock)
{
	spin_unlock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_lock_bh
klp_glue_wrapper void klp_glue_kernel_spin_lock_bh(spinlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_unlock_bh
klp_glue_wrapper void klp_glue_kernel_spin_unlock_bh(spinlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_lock_irqsave
klp_glue_wrapper unsigned long klp_glue_kernel_spin_lock_irqsave(spinlock_t *lock);
klp_glue_wrapper unsigned long klp_glue_kernel_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}
#endif

#ifdef KLP_USES_klp_glue_kernel_spin_unlock_irqrestore
klp_glue_wrapper void klp_glue_kernel_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
klp_glue_wrapper void klp_glue_kernel_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_raw_spin_lock
klp_glue_wrapper void klp_glue_kernel_raw_spin_lock(raw_spinlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_raw_spin_lock(raw_spinlock_t *lock)
{
	raw_spin_lock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_raw_spin_unlock
klp_glue_wrapper void klp_glue_kernel_raw_spin_unlock(raw_spinlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_raw_spin_unlock(raw_spinlock_t *lock)
{
	raw_spin_unlock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_raw_spin_lock_irqsave
klp_glue_wrapper unsigned long klp_glue_kernel_raw_spin_lock_irqsave(raw_spinlock_t *lock);
klp_glue_wrapper unsigned long klp_glue_kernel_raw_spin_lock_irqsave(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}
#endif

#ifdef KLP_USES_klp_glue_kernel_raw_spin_unlock_irqrestore
klp_glue_wrapper void klp_glue_kernel_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags);
klp_glue_wrapper void klp_glue_kernel_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_read_lock
klp_glue_wrapper void klp_glue_kernel_read_lock(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_read_lock(rwlock_t *lock)
{
	read_lock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_read_unlock
klp_glue_wrapper void klp_glue_kernel_read_unlock(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_read_unlock(rwlock_t *lock)
{
	read_unlock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_read_lock_bh
klp_glue_wrapper void klp_glue_kernel_read_lock_bh(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_read_lock_bh(rwlock_t *lock)
{
	read_lock_bh(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_read_unlock_bh
klp_glue_wrapper void klp_glue_kernel_read_unlock_bh(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_read_unlock_bh(rwlock_t *lock)
{
	read_unlock_bh(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_read_lock_irqsave
klp_glue_wrapper unsigned long klp_glue_kernel_read_lock_irqsave(rwlock_t *lock);
klp_glue_wrapper unsigned long klp_glue_kernel_read_lock_irqsave(rwlock_t *lock)
{
	unsigned long flags;

	read_lock_irqsave(lock, flags);
	return flags;
}
#endif

#ifdef KLP_USES_klp_glue_kernel_read_unlock_irqrestore
klp_glue_wrapper void klp_glue_kernel_read_unlock_irqrestore(rwlock_t *lock, unsigned long flags);
klp_glue_wrapper void klp_glue_kernel_read_unlock_irqrestore(rwlock_t *lock, unsigned long flags)
{
	read_unlock_irqrestore(lock, flags);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_write_lock
klp_glue_wrapper void klp_glue_kernel_write_lock(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_write_lock(rwlock_t *lock)
{
	write_lock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_write_unlock
klp_glue_wrapper void klp_glue_kernel_write_unlock(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_write_unlock(rwlock_t *lock)
{
	write_unlock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_write_lock_bh
klp_glue_wrapper void klp_glue_kernel_write_lock_bh(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_write_lock_bh(rwlock_t *lock)
{
	write_lock_bh(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_write_unlock_bh
klp_glue_wrapper void klp_glue_kernel_write_unlock_bh(rwlock_t *lock);
klp_glue_wrapper void klp_glue_kernel_write_unlock_bh(rwlock_t *lock)
{
	write_unlock_bh(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_write_lock_irqsave
klp_glue_wrapper unsigned long klp_glue_kernel_write_lock_irqsave(rwlock_t *lock);
klp_glue_wrapper unsigned long klp_glue_kernel_write_lock_irqsave(rwlock_t *lock)
{
	unsigned long flags;

	write_lock_irqsave(lock, flags);
	return flags;
}
#endif

#ifdef KLP_USES_klp_glue_kernel_write_unlock_irqrestore
klp_glue_wrapper void klp_glue_kernel_write_unlock_irqrestore(rwlock_t *lock, unsigned long flags);
klp_glue_wrapper void klp_glue_kernel_write_unlock_irqrestore(rwlock_t *lock, unsigned long flags)
{
	write_unlock_irqrestore(lock, flags);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_mutex_lock
klp_glue_wrapper void klp_glue_kernel_mutex_lock(struct mutex *lock);
klp_glue_wrapper void klp_glue_kernel_mutex_lock(struct mutex *lock)
{
	mutex_lock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_mutex_lock_interruptible
klp_glue_wrapper int klp_glue_kernel_mutex_lock_interruptible(struct mutex *lock);
klp_glue_wrapper int klp_glue_kernel_mutex_lock_interruptible(struct mutex *lock)
{
	return mutex_lock_interruptible(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_mutex_lock_killable
klp_glue_wrapper int klp_glue_kernel_mutex_lock_killable(struct mutex *lock);
klp_glue_wrapper int klp_glue_kernel_mutex_lock_killable(struct mutex *lock)
{
	return mutex_lock_killable(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_mutex_trylock
klp_glue_wrapper bool klp_glue_kernel_mutex_trylock(struct mutex *lock);
klp_glue_wrapper bool klp_glue_kernel_mutex_trylock(struct mutex *lock)
{
	return mutex_trylock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_kernel_mutex_unlock
klp_glue_wrapper void klp_glue_kernel_mutex_unlock(struct mutex *lock);
klp_glue_wrapper void klp_glue_kernel_mutex_unlock(struct mutex *lock)
{
	mutex_unlock(lock);
}
#endif

#ifdef KLP_USES_klp_glue_preempt_disable
klp_glue_wrapper void klp_glue_preempt_disable(void);
klp_glue_wrapper void klp_glue_preempt_disable(void)
{
	preempt_disable();
}
#endif

#ifdef KLP_USES_klp_glue_preempt_enable
klp_glue_wrapper void klp_glue_preempt_enable(void);
klp_glue_wrapper void klp_glue_preempt_enable(void)
{
	preempt_enable();
}
#endif

#ifdef KLP_USES_klp_glue_local_bh_disable
klp_glue_wrapper void klp_glue_local_bh_disable(void);
klp_glue_wrapper void klp_glue_local_bh_disable(void)
{
	local_bh_disable();
}
#endif

#ifdef KLP_USES_klp_glue_local_bh_enable
klp_glue_wrapper void klp_glue_local_bh_enable(void);
klp_glue_wrapper void klp_glue_local_bh_enable(void)
{
	local_bh_enable();
}
#endif

#ifdef KLP_USES_klp_glue_local_irq_save
klp_glue_wrapper unsigned long klp_glue_local_irq_save(void);
klp_glue_wrapper unsigned long klp_glue_local_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return flags;
}
#endif

#ifdef KLP_USES_klp_glue_local_irq_restore
klp_glue_wrapper void klp_glue_local_irq_restore(unsigned long flags);
klp_glue_wrapper void klp_glue_local_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}
#endif

#ifdef KLP_USES_klp_glue_rcu_read_lock
klp_glue_wrapper void klp_glue_rcu_read_lock(void);
klp_glue_wrapper void klp_glue_rcu_read_lock(void)
{
	rcu_read_lock();
}
#endif

#ifdef KLP_USES_klp_glue_rcu_read_unlock
klp_glue_wrapper void klp_glue_rcu_read_unlock(void);
klp_glue_wrapper void klp_glue_rcu_read_unlock(void)
{
	rcu_read_unlock();
}
#endif

#ifdef KLP_USES_klp_glue_synchronize_rcu
void klp_glue_synchronize_rcu(void);
void klp_glue_synchronize_rcu(void)
{
	synchronize_rcu();
}
#endif

#ifdef KLP_USES_klp_glue_kfree_rcu
void klp_glue_kfree_rcu(struct rcu_head *head, void *object);
void klp_glue_kfree_rcu(struct rcu_head *head, void *object)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	/* Of either type: 7.x has struct kvfree_rcu_head, which begins as rcu_head does. */
	kvfree_call_rcu((void *)head, object);
#else
	kvfree_call_rcu(head, (rcu_callback_t)((unsigned long)head - (unsigned long)object));
#endif
}
#endif

#ifdef KLP_USES_klp_glue_ratelimit

/* klp_runtime::module::wrappers::RawRatelimit: zeroed before it is used. */
struct klp_glue_ratelimit {
	bool is_made;
	struct ratelimit_state state;
};
static_assert(sizeof(struct klp_glue_ratelimit) <= klp_glue_ratelimit_room,
	      "klp_runtime::module::wrappers::RawRatelimit is too small for this kernel");

static DEFINE_RAW_SPINLOCK(klp_glue_ratelimit_lock);

bool klp_glue_ratelimit(struct klp_glue_ratelimit *limit, const char *name);
bool klp_glue_ratelimit(struct klp_glue_ratelimit *limit, const char *name)
{
	unsigned long flags;

	if (!smp_load_acquire(&limit->is_made)) {
		raw_spin_lock_irqsave(&klp_glue_ratelimit_lock, flags);
		if (!limit->is_made)
			ratelimit_default_init(&limit->state);
		smp_store_release(&limit->is_made, true);
		raw_spin_unlock_irqrestore(&klp_glue_ratelimit_lock, flags);
	}
	return ___ratelimit(&limit->state, name);
}

#endif

#ifdef KLP_USES_klp_glue_list_add
klp_glue_wrapper void klp_glue_list_add(struct list_head *new, struct list_head *head);
klp_glue_wrapper void klp_glue_list_add(struct list_head *new, struct list_head *head)
{
	list_add(new, head);
}
#endif

#ifdef KLP_USES_klp_glue_list_add_tail
klp_glue_wrapper void klp_glue_list_add_tail(struct list_head *new, struct list_head *head);
klp_glue_wrapper void klp_glue_list_add_tail(struct list_head *new, struct list_head *head)
{
	list_add_tail(new, head);
}
#endif

#ifdef KLP_USES_klp_glue_list_add_rcu
klp_glue_wrapper void klp_glue_list_add_rcu(struct list_head *new, struct list_head *head);
klp_glue_wrapper void klp_glue_list_add_rcu(struct list_head *new, struct list_head *head)
{
	list_add_rcu(new, head);
}
#endif

#ifdef KLP_USES_klp_glue_list_add_tail_rcu
klp_glue_wrapper void klp_glue_list_add_tail_rcu(struct list_head *new, struct list_head *head);
klp_glue_wrapper void klp_glue_list_add_tail_rcu(struct list_head *new, struct list_head *head)
{
	list_add_tail_rcu(new, head);
}
#endif

#ifdef KLP_USES_klp_glue_hlist_add_head
klp_glue_wrapper void klp_glue_hlist_add_head(struct hlist_node *new, struct hlist_head *head);
klp_glue_wrapper void klp_glue_hlist_add_head(struct hlist_node *new, struct hlist_head *head)
{
	hlist_add_head(new, head);
}
#endif

#ifdef KLP_USES_klp_glue_hlist_add_head_rcu
klp_glue_wrapper void klp_glue_hlist_add_head_rcu(struct hlist_node *new, struct hlist_head *head);
klp_glue_wrapper void klp_glue_hlist_add_head_rcu(struct hlist_node *new, struct hlist_head *head)
{
	hlist_add_head_rcu(new, head);
}
#endif

#ifdef KLP_USES_klp_glue_list_del
klp_glue_wrapper void klp_glue_list_del(struct list_head *entry);
klp_glue_wrapper void klp_glue_list_del(struct list_head *entry)
{
	list_del(entry);
}
#endif

#ifdef KLP_USES_klp_glue_list_del_init
klp_glue_wrapper void klp_glue_list_del_init(struct list_head *entry);
klp_glue_wrapper void klp_glue_list_del_init(struct list_head *entry)
{
	list_del_init(entry);
}
#endif

#ifdef KLP_USES_klp_glue_list_del_rcu
klp_glue_wrapper void klp_glue_list_del_rcu(struct list_head *entry);
klp_glue_wrapper void klp_glue_list_del_rcu(struct list_head *entry)
{
	list_del_rcu(entry);
}
#endif

#ifdef KLP_USES_klp_glue_hlist_del
klp_glue_wrapper void klp_glue_hlist_del(struct hlist_node *entry);
klp_glue_wrapper void klp_glue_hlist_del(struct hlist_node *entry)
{
	hlist_del(entry);
}
#endif

#ifdef KLP_USES_klp_glue_hlist_del_init
klp_glue_wrapper void klp_glue_hlist_del_init(struct hlist_node *entry);
klp_glue_wrapper void klp_glue_hlist_del_init(struct hlist_node *entry)
{
	hlist_del_init(entry);
}
#endif

#ifdef KLP_USES_klp_glue_hlist_del_rcu
klp_glue_wrapper void klp_glue_hlist_del_rcu(struct hlist_node *entry);
klp_glue_wrapper void klp_glue_hlist_del_rcu(struct hlist_node *entry)
{
	hlist_del_rcu(entry);
}
#endif

#ifdef KLP_USES_klp_glue_warn
void klp_glue_warn(const char *place, const char *condition);
void klp_glue_warn(const char *place, const char *condition)
{
	WARN(1, "%s: %s: %s\n", KBUILD_MODNAME, place, condition);
}
#endif

#ifdef KLP_USES_klp_glue_this_cpu_ptr
klp_glue_wrapper void *klp_glue_this_cpu_ptr(char __percpu *pointer);
klp_glue_wrapper void *klp_glue_this_cpu_ptr(char __percpu *pointer)
{
	return this_cpu_ptr(pointer);
}
#endif

#ifdef KLP_USES_klp_glue_per_cpu_ptr
klp_glue_wrapper void *klp_glue_per_cpu_ptr(char __percpu *pointer, unsigned int cpu);
klp_glue_wrapper void *klp_glue_per_cpu_ptr(char __percpu *pointer, unsigned int cpu)
{
	return per_cpu_ptr(pointer, cpu);
}
#endif

#ifdef KLP_USES_klp_glue_kvmalloc
void *klp_glue_kvmalloc(size_t size, unsigned int gfp);
void *klp_glue_kvmalloc(size_t size, unsigned int gfp)
{
	return kvzalloc(size, (__force gfp_t)gfp);
}
#endif

/* A value of Rust, so that its bounds need no check of the kernel's. */
#ifdef KLP_USES_klp_glue_get_user
klp_glue_wrapper bool klp_glue_get_user(void *to, const void __user *from, unsigned long size);
klp_glue_wrapper bool klp_glue_get_user(void *to, const void __user *from, unsigned long size)
{
	switch (size) {
	case 1:
		return get_user(*(u8 *)to, (const u8 __user *)from) == 0;
	case 2:
		return get_user(*(u16 *)to, (const u16 __user *)from) == 0;
	case 4:
		return get_user(*(u32 *)to, (const u32 __user *)from) == 0;
	case 8:
		return get_user(*(u64 *)to, (const u64 __user *)from) == 0;
	default:
		return _copy_from_user(to, from, size) == 0;
	}
}
#endif

#ifdef KLP_USES_klp_glue_put_user
klp_glue_wrapper bool klp_glue_put_user(void __user *to, const void *from, unsigned long size);
klp_glue_wrapper bool klp_glue_put_user(void __user *to, const void *from, unsigned long size)
{
	switch (size) {
	case 1:
		return put_user(*(const u8 *)from, (u8 __user *)to) == 0;
	case 2:
		return put_user(*(const u16 *)from, (u16 __user *)to) == 0;
	case 4:
		return put_user(*(const u32 *)from, (u32 __user *)to) == 0;
	case 8:
		return put_user(*(const u64 *)from, (u64 __user *)to) == 0;
	default:
		return _copy_to_user(to, from, size) == 0;
	}
}
#endif

#ifdef KLP_USES_klp_glue_copy_from_user
klp_glue_wrapper unsigned long klp_glue_copy_from_user(void *to, const void __user *from, unsigned long len);
klp_glue_wrapper unsigned long klp_glue_copy_from_user(void *to, const void __user *from, unsigned long len)
{
	return copy_from_user(to, from, len);
}
#endif

#ifdef KLP_USES_klp_glue_copy_to_user
klp_glue_wrapper unsigned long klp_glue_copy_to_user(void __user *to, const void *from, unsigned long len);
klp_glue_wrapper unsigned long klp_glue_copy_to_user(void __user *to, const void *from, unsigned long len)
{
	return copy_to_user(to, from, len);
}
#endif

/* What klp_runtime knows of these by itself. */
static_assert(sizeof(struct list_head) == 16 && offsetof(struct list_head, next) == 0);
static_assert(sizeof(struct hlist_head) == 8 && sizeof(struct hlist_node) == 16 &&
	      offsetof(struct hlist_node, next) == 0);
static_assert(sizeof(struct hlist_nulls_head) == 8 && sizeof(struct hlist_nulls_node) == 16 &&
	      offsetof(struct hlist_nulls_node, next) == 0);
static_assert(sizeof(atomic_t) == 4 && sizeof(atomic64_t) == 8);
static_assert(sizeof(refcount_t) == 4 && sizeof(struct kref) == 4);
static_assert(offsetof(struct static_key, enabled) == 0 && sizeof_field(struct static_key, enabled) == 4);
static_assert(KMALLOC_MAX_SIZE >= 4 << 20);
