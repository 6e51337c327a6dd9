/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c behind klp_runtime::{sync, work, time, task, sysfs, syscall}: only
 * what the Rust half of this patch uses. A Rust function comes as a pointer, with another
 * one that calls it.
 */
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#if defined(KLP_USES_klp_glue_mutex_lock) || defined(KLP_USES_klp_glue_spin_lock)

/*
 * Where a lock is: it is made where it is used for the first time, and again
 * where it was moved since, which nobody does who may still use it.
 */
struct klp_glue_place {
	void *made_at;
};

/* Whether this caller is to make the lock, with interrupts off: the others wait. */
static bool klp_glue_is_to_make(struct klp_glue_place *place, unsigned long *flags)
{
	static const char making;
	void *made_at = smp_load_acquire(&place->made_at);

	while (made_at != place) {
		local_irq_save(*flags);
		if (made_at != &making && cmpxchg(&place->made_at, made_at, (void *)&making) == made_at)
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

#endif

#ifdef KLP_USES_klp_glue_mutex_lock

/* klp_runtime::module::sys::RawMutex: zeroed before it is used. */
struct klp_glue_mutex {
	struct klp_glue_place place;
	struct lock_class_key key;
	struct mutex mutex;
};
static_assert(sizeof(struct klp_glue_mutex) <= 256, "klp_runtime::module::sys::RawMutex is too small for this kernel");

void klp_glue_mutex_lock(struct klp_glue_mutex *mutex);
void klp_glue_mutex_lock(struct klp_glue_mutex *mutex)
{
	unsigned long flags;

	if (klp_glue_is_to_make(&mutex->place, &flags)) {
		__mutex_init(&mutex->mutex, KBUILD_MODNAME, &mutex->key);
		/* Data outlive the module, which the lock validator can't know. */
		if (!within_module((unsigned long)mutex, THIS_MODULE))
			lockdep_set_novalidate_class(&mutex->mutex);
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
static_assert(sizeof(struct klp_glue_spinlock) <= 256,
	      "klp_runtime::module::sys::RawSpinLock is too small for this kernel");

unsigned long klp_glue_spin_lock(struct klp_glue_spinlock *lock);
unsigned long klp_glue_spin_lock(struct klp_glue_spinlock *lock)
{
	unsigned long flags;

	if (klp_glue_is_to_make(&lock->place, &flags)) {
		spin_lock_init(&lock->lock);
		lockdep_set_class_and_name(&lock->lock, &lock->key, KBUILD_MODNAME);
		if (!within_module((unsigned long)lock, THIS_MODULE))
			lockdep_set_novalidate_class(&lock->lock);
		klp_glue_is_made(&lock->place, flags);
	}
	spin_lock_irqsave(&lock->lock, flags);
	return flags;
}

void klp_glue_spin_unlock(struct klp_glue_spinlock *lock, unsigned long flags);
void klp_glue_spin_unlock(struct klp_glue_spinlock *lock, unsigned long flags)
{
	spin_unlock_irqrestore(&lock->lock, flags);
}

#endif

#if defined(KLP_USES_klp_glue_work_schedule) || defined(KLP_USES_klp_glue_work_cancel_sync)

/* klp_runtime::module::sys::RawWork: zeroed when the module is loaded. */
struct klp_glue_work {
	struct klp_glue_work *next;
	void (*call)(const void *function);
	const void *function;
	struct delayed_work work;
};
static_assert(sizeof(struct klp_glue_work) <= 384, "klp_runtime::module::sys::RawWork is too small for this kernel");

/* All that were ever scheduled; the lock is also that of their making. */
static DEFINE_RAW_SPINLOCK(klp_glue_works_lock);
static struct klp_glue_work *klp_glue_works;
static bool klp_glue_works_stopped;

static void klp_glue_work_run(struct work_struct *inner)
{
	struct klp_glue_work *work = container_of(to_delayed_work(inner), struct klp_glue_work, work);

	work->call(work->function);
}

bool klp_glue_work_schedule(struct klp_glue_work *work, void (*call)(const void *), const void *function,
			    unsigned int msecs);
bool klp_glue_work_schedule(struct klp_glue_work *work, void (*call)(const void *), const void *function,
			    unsigned int msecs)
{
	bool scheduled = false;
	unsigned long flags;

	raw_spin_lock_irqsave(&klp_glue_works_lock, flags);
	if (!work->call) {
		INIT_DELAYED_WORK(&work->work, klp_glue_work_run);
		work->function = function;
		work->call = call;
		work->next = klp_glue_works;
		klp_glue_works = work;
	}
	if (!klp_glue_works_stopped)
		scheduled = schedule_delayed_work(&work->work, msecs_to_jiffies(msecs));
	raw_spin_unlock_irqrestore(&klp_glue_works_lock, flags);
	return scheduled;
}

bool klp_glue_work_cancel_sync(struct klp_glue_work *work);
bool klp_glue_work_cancel_sync(struct klp_glue_work *work)
{
	unsigned long flags;
	bool is_made;

	raw_spin_lock_irqsave(&klp_glue_works_lock, flags);
	is_made = work->call;
	raw_spin_unlock_irqrestore(&klp_glue_works_lock, flags);
	return is_made && cancel_delayed_work_sync(&work->work);
}

/* None is on the queue or runs from now on. */
static void klp_glue_stop_works(void)
{
	struct klp_glue_work *work;
	unsigned long flags;

	raw_spin_lock_irqsave(&klp_glue_works_lock, flags);
	klp_glue_works_stopped = true;
	raw_spin_unlock_irqrestore(&klp_glue_works_lock, flags);
	for (work = klp_glue_works; work; work = work->next)
		cancel_delayed_work_sync(&work->work);
}

#else
static inline void klp_glue_stop_works(void) { }
#endif

#ifdef KLP_USES_klp_glue_jiffies
unsigned long klp_glue_jiffies(void);
unsigned long klp_glue_jiffies(void)
{
	return jiffies;
}
#endif

#ifdef KLP_USES_klp_glue_msecs_to_jiffies
unsigned long klp_glue_msecs_to_jiffies(unsigned int msecs);
unsigned long klp_glue_msecs_to_jiffies(unsigned int msecs)
{
	return msecs_to_jiffies(msecs);
}
#endif

#ifdef KLP_USES_klp_glue_directory_new

struct klp_glue_file {
	struct kobj_attribute attribute;
	struct klp_glue_file *next;
	ssize_t (*call_show)(const void *show, char *page, size_t size);
	const void *show;
	ssize_t (*call_store)(const void *store, const char *text, size_t len);
	const void *store;
};

struct klp_glue_directory {
	struct list_head list;
	struct kobject *kobj;
	struct klp_glue_file *files;
};

static LIST_HEAD(klp_glue_directories);
static DEFINE_MUTEX(klp_glue_directories_lock);

static ssize_t klp_glue_file_show(struct kobject *kobj, struct kobj_attribute *attribute, char *page)
{
	struct klp_glue_file *file = container_of(attribute, struct klp_glue_file, attribute);

	return file->call_show(file->show, page, PAGE_SIZE);
}

static ssize_t klp_glue_file_store(struct kobject *kobj, struct kobj_attribute *attribute, const char *text,
				   size_t len)
{
	struct klp_glue_file *file = container_of(attribute, struct klp_glue_file, attribute);

	return file->call_store(file->store, text, len) ?: len;
}

struct klp_glue_directory *klp_glue_directory_new(const char *name);
struct klp_glue_directory *klp_glue_directory_new(const char *name)
{
	struct klp_glue_directory *directory = kzalloc(sizeof(*directory), GFP_KERNEL);

	if (!directory)
		return NULL;
	directory->kobj = kobject_create_and_add(name, kernel_kobj);
	if (!directory->kobj) {
		kfree(directory);
		return NULL;
	}
	mutex_lock(&klp_glue_directories_lock);
	list_add(&directory->list, &klp_glue_directories);
	mutex_unlock(&klp_glue_directories_lock);
	return directory;
}

/* `directory` is its owner's alone; `name` lives as long as the module. */
int klp_glue_directory_add(struct klp_glue_directory *directory, const char *name,
			ssize_t (*call_show)(const void *, char *, size_t), const void *show,
			ssize_t (*call_store)(const void *, const char *, size_t), const void *store);
int klp_glue_directory_add(struct klp_glue_directory *directory, const char *name,
			ssize_t (*call_show)(const void *, char *, size_t), const void *show,
			ssize_t (*call_store)(const void *, const char *, size_t), const void *store)
{
	struct klp_glue_file *file = kzalloc(sizeof(*file), GFP_KERNEL);
	int ret;

	if (!file)
		return -ENOMEM;
	sysfs_attr_init(&file->attribute.attr);
	file->attribute.attr.name = name;
	file->attribute.attr.mode = store ? 0644 : 0444;
	file->attribute.show = klp_glue_file_show;
	file->attribute.store = store ? klp_glue_file_store : NULL;
	file->call_show = call_show;
	file->show = show;
	file->call_store = call_store;
	file->store = store;
	ret = sysfs_create_file(directory->kobj, &file->attribute.attr);
	if (ret) {
		kfree(file);
		return ret;
	}
	file->next = directory->files;
	directory->files = file;
	return 0;
}

static void klp_glue_directory_free(struct klp_glue_directory *directory)
{
	struct klp_glue_file *file;

	/* Waits for readers and writers: whoever else has the object, the files are gone. */
	kobject_del(directory->kobj);
	kobject_put(directory->kobj);
	while ((file = directory->files)) {
		directory->files = file->next;
		kfree(file);
	}
	kfree(directory);
}

void klp_glue_directory_remove(struct klp_glue_directory *directory);
void klp_glue_directory_remove(struct klp_glue_directory *directory)
{
	mutex_lock(&klp_glue_directories_lock);
	list_del(&directory->list);
	mutex_unlock(&klp_glue_directories_lock);
	klp_glue_directory_free(directory);
}

static void klp_glue_remove_directories(void)
{
	struct klp_glue_directory *directory;

	/* One that is made meanwhile, by who reads a file, comes after. */
	for (;;) {
		mutex_lock(&klp_glue_directories_lock);
		directory = list_first_entry_or_null(&klp_glue_directories, struct klp_glue_directory, list);
		if (directory)
			list_del(&directory->list);
		mutex_unlock(&klp_glue_directories_lock);
		if (!directory)
			return;
		klp_glue_directory_free(directory);
	}
}

#else
static inline void klp_glue_remove_directories(void) { }
#endif

/*
 * Takes back what would call the module once it is gone: where it is unloaded,
 * behind what else the patch does there, and where its loading fails.
 */
static void klp_glue_stop(void)
{
	klp_glue_stop_works();
	klp_glue_remove_directories();
}

#ifdef KLP_USES_klp_glue_current
struct task_struct *klp_glue_current(void);
struct task_struct *klp_glue_current(void)
{
	return current;
}
#endif

#ifdef KLP_USES_klp_glue_task_pid
pid_t klp_glue_task_pid(struct task_struct *task);
pid_t klp_glue_task_pid(struct task_struct *task)
{
	return task_pid_nr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_tgid
pid_t klp_glue_task_tgid(struct task_struct *task);
pid_t klp_glue_task_tgid(struct task_struct *task)
{
	return task_tgid_nr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_pid_vnr
pid_t klp_glue_task_pid_vnr(struct task_struct *task);
pid_t klp_glue_task_pid_vnr(struct task_struct *task)
{
	return task_pid_vnr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_tgid_vnr
pid_t klp_glue_task_tgid_vnr(struct task_struct *task);
pid_t klp_glue_task_tgid_vnr(struct task_struct *task)
{
	return task_tgid_vnr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_comm
static_assert(TASK_COMM_LEN == 16, "klp_runtime::task::TASK_COMM_LEN is another one");
void klp_glue_task_comm(struct task_struct *task, char *comm);
void klp_glue_task_comm(struct task_struct *task, char *comm)
{
	/* Without the task's lock, as get_task_comm() since 6.13: any context. */
	memcpy(comm, task->comm, TASK_COMM_LEN);
	comm[TASK_COMM_LEN - 1] = '\0';
}
#endif

#ifdef KLP_USES_klp_glue_task_is_kthread
bool klp_glue_task_is_kthread(struct task_struct *task);
bool klp_glue_task_is_kthread(struct task_struct *task)
{
	return task->flags & PF_KTHREAD;
}
#endif

#ifdef KLP_USES_klp_glue_task_is_group_leader
bool klp_glue_task_is_group_leader(struct task_struct *task);
bool klp_glue_task_is_group_leader(struct task_struct *task)
{
	return thread_group_leader(task);
}
#endif

/* Arguments of system calls, in the registers of asm/syscall_wrapper.h. */

#ifdef KLP_USES_klp_glue_syscall_native
void klp_glue_syscall_native(const struct pt_regs *regs, u64 args[6]);
void klp_glue_syscall_native(const struct pt_regs *regs, u64 args[6])
{
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
	args[4] = regs->r8;
	args[5] = regs->r9;
}
#endif

#ifdef KLP_USES_klp_glue_syscall_compat
void klp_glue_syscall_compat(const struct pt_regs *regs, u32 args[6]);
void klp_glue_syscall_compat(const struct pt_regs *regs, u32 args[6])
{
	args[0] = regs->bx;
	args[1] = regs->cx;
	args[2] = regs->dx;
	args[3] = regs->si;
	args[4] = regs->di;
	args[5] = regs->bp;
}
#endif
