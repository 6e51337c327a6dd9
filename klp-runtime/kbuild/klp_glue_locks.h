/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c behind klp_runtime::sync.
 */
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#if defined(KLP_USES_klp_glue_mutex_lock) || defined(KLP_USES_klp_glue_spin_lock)

/*
 * Where a lock is: it is made where it is used for the first time, and again
 * where it was moved since, which nobody does who may still use it.
 *
 * A lock in the data of a state is used by several modules at once. What they
 * must agree on is klp_runtime::sync::LOCK_VERSION: the structures that follow
 * and the mark of a lock that is being made, which is no address of a lock.
 */
struct klp_glue_place {
	void *made_at;
};
#define KLP_GLUE_MAKING ((void *)1)

/* Whether this caller is to make the lock, with interrupts off: the others wait. */
static bool klp_glue_is_to_make(struct klp_glue_place *place, unsigned long *flags)
{
	void *made_at = smp_load_acquire(&place->made_at);

	while (made_at != place) {
		local_irq_save(*flags);
		if (made_at != KLP_GLUE_MAKING && cmpxchg(&place->made_at, made_at, KLP_GLUE_MAKING) == made_at)
			return true;
		local_irq_restore(*flags);
		cpu_relax();
		made_at = smp_load_acquire(&place->made_at);
	}
	return false;
}

static void klp_glue_is_made(struct klp_glue_place *place, unsigned long flags)
{
	smp_store_release(&place->made_at, place);
	local_irq_restore(flags);
}

/*
 * A lock in the module's own memory is a class of its own to the lock
 * validator. Any other may outlive the module, or be moved, which the validator
 * can't know: it is left out.
 */
static bool klp_glue_is_static(const void *lock)
{
	return within_module((unsigned long)lock, THIS_MODULE);
}

#endif

#ifdef KLP_USES_klp_glue_mutex_lock

/* klp_runtime::module::sys::RawMutex: zeroed before it is used. */
struct klp_glue_mutex {
	struct klp_glue_place place;
	struct lock_class_key key;
	struct mutex mutex;
};
static_assert(sizeof(struct klp_glue_mutex) <= klp_glue_mutex_room,
	      "klp_runtime::module::sys::RawMutex is too small for this kernel");

static void klp_glue_mutex_make(struct klp_glue_mutex *mutex)
{
	mutex_init(&mutex->mutex);
	if (klp_glue_is_static(mutex))
		lockdep_set_class_and_name(&mutex->mutex, &mutex->key, KBUILD_MODNAME);
	else
		lockdep_set_novalidate_class(&mutex->mutex);
}

void klp_glue_mutex_lock(struct klp_glue_mutex *mutex);
void klp_glue_mutex_lock(struct klp_glue_mutex *mutex)
{
	unsigned long flags;

	if (klp_glue_is_to_make(&mutex->place, &flags)) {
		klp_glue_mutex_make(mutex);
		klp_glue_is_made(&mutex->place, flags);
	}
	mutex_lock(&mutex->mutex);
}

void klp_glue_mutex_unlock(struct klp_glue_mutex *mutex);
void klp_glue_mutex_unlock(struct klp_glue_mutex *mutex)
{
	mutex_unlock(&mutex->mutex);
}

#endif

#ifdef KLP_USES_klp_glue_spin_lock

/* klp_runtime::module::sys::RawSpinLock: zeroed before it is used. */
struct klp_glue_spinlock {
	struct klp_glue_place place;
	struct lock_class_key key;
	spinlock_t lock;
};
static_assert(sizeof(struct klp_glue_spinlock) <= klp_glue_spinlock_room,
	      "klp_runtime::module::sys::RawSpinLock is too small for this kernel");

/*
 * How many of the module's spinlocks a processor holds, and whether interrupts
 * were on before the first: they are on again after the last, in whatever order
 * the locks are given back.
 */
struct klp_glue_held {
	unsigned int locks;
	unsigned long flags;
};
static DEFINE_PER_CPU(struct klp_glue_held, klp_glue_held);

static void klp_glue_spinlock_make(struct klp_glue_spinlock *lock)
{
	spin_lock_init(&lock->lock);
	if (klp_glue_is_static(lock))
		lockdep_set_class_and_name(&lock->lock, &lock->key, KBUILD_MODNAME);
	else
		lockdep_set_novalidate_class(&lock->lock);
}

void klp_glue_spin_lock(struct klp_glue_spinlock *lock);
void klp_glue_spin_lock(struct klp_glue_spinlock *lock)
{
	struct klp_glue_held *held;
	unsigned long flags;

	if (klp_glue_is_to_make(&lock->place, &flags)) {
		klp_glue_spinlock_make(lock);
		klp_glue_is_made(&lock->place, flags);
	}
	local_irq_save(flags);
	held = this_cpu_ptr(&klp_glue_held);
	if (!held->locks++)
		held->flags = flags;
	spin_lock(&lock->lock);
}

void klp_glue_spin_unlock(struct klp_glue_spinlock *lock);
void klp_glue_spin_unlock(struct klp_glue_spinlock *lock)
{
	struct klp_glue_held *held = this_cpu_ptr(&klp_glue_held);

	spin_unlock(&lock->lock);
	if (!--held->locks)
		local_irq_restore(held->flags);
}

#endif
