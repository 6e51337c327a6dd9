/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c behind klp_runtime::{work, sysfs}: code of the patch
 * that runs on its own, and how it is stopped (S17). A Rust function comes as a
 * pointer, with another one that calls it.
 *
 * klp_glue_stop() is called under the livepatch mutex, so nothing here may wait
 * for that mutex. It first lets nothing be started any more, then waits for
 * works, which may make directories, then for the users of files.
 */
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/* Whether the patch may have code that runs on its own. */
#if defined(KLP_USES_klp_glue_work_schedule) || defined(KLP_USES_klp_glue_directory_new)
#define KLP_GLUE_RUNS	1
#else
#define KLP_GLUE_RUNS	0
#endif

#ifdef KLP_USES_klp_glue_work_schedule

/* klp_runtime::module::sys::RawWork: zeroed when the module is loaded. */
struct klp_glue_work {
	struct klp_glue_work *next;
	void (*call)(const void *function);
	const void *function;
	struct lock_class_key key;
	struct delayed_work work;
};
static_assert(sizeof(struct klp_glue_work) <= klp_glue_work_room,
	      "klp_runtime::module::sys::RawWork is too small for this kernel");

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
	if (!klp_glue_works_stopped) {
		if (!work->call) {
			INIT_DELAYED_WORK(&work->work, klp_glue_work_run);
			/* A class of its own to the lock validator: one work may wait for another. */
			lockdep_init_map(&work->work.work.lockdep_map, KBUILD_MODNAME, &work->key, 0);
			work->function = function;
			work->call = call;
			work->next = klp_glue_works;
			klp_glue_works = work;
		}
		scheduled = schedule_delayed_work(&work->work, msecs_to_jiffies(msecs));
	}
	raw_spin_unlock_irqrestore(&klp_glue_works_lock, flags);
	return scheduled;
}

#ifdef KLP_USES_klp_glue_work_cancel_sync
bool klp_glue_work_cancel_sync(struct klp_glue_work *work);
bool klp_glue_work_cancel_sync(struct klp_glue_work *work)
{
	unsigned long flags;
	bool is_made;

	raw_spin_lock_irqsave(&klp_glue_works_lock, flags);
	is_made = work->call;
	raw_spin_unlock_irqrestore(&klp_glue_works_lock, flags);
	if (!is_made)
		return false;
	/* Its own function would wait for itself. */
	if (current_work() == &work->work.work)
		return cancel_delayed_work(&work->work);
	return cancel_delayed_work_sync(&work->work);
}
#endif

static void klp_glue_stop_works(void)
{
	struct klp_glue_work *work;
	unsigned long flags;

	raw_spin_lock_irqsave(&klp_glue_works_lock, flags);
	klp_glue_works_stopped = true;
	raw_spin_unlock_irqrestore(&klp_glue_works_lock, flags);
	/* None is added any more. */
	for (work = klp_glue_works; work; work = work->next)
		cancel_delayed_work_sync(&work->work);
}

#else

#ifdef KLP_USES_klp_glue_work_cancel_sync
/* The patch schedules none. */
bool klp_glue_work_cancel_sync(void *work);
bool klp_glue_work_cancel_sync(void *work)
{
	return false;
}
#endif

static inline void klp_glue_stop_works(void) { }

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

/*
 * Its owner in Rust gives it up once, or never; it is removed from sysfs when
 * that happens or the patch is stopped, whichever is first.
 */
struct klp_glue_directory {
	struct list_head list;
	struct kobject *kobj;
	struct klp_glue_file *files;
};

/* Those that their owners have not given up. Once stopped none comes or goes. */
static LIST_HEAD(klp_glue_directories);
/* How many are being removed by their owners. */
static unsigned int klp_glue_removals;
static bool klp_glue_directories_stopped;
static DEFINE_MUTEX(klp_glue_directories_lock);
static DECLARE_WAIT_QUEUE_HEAD(klp_glue_directory_removed);

/* A call of a file's function. Not on the stack, which a BUG in the function would take away. */
struct klp_glue_call {
	struct list_head list;
	struct task_struct *task;
	struct kobject *kobj;
};

static LIST_HEAD(klp_glue_calls);
static DEFINE_SPINLOCK(klp_glue_calls_lock);

static struct klp_glue_call *klp_glue_call_begin(struct kobject *kobj)
{
	struct klp_glue_call *call = kmalloc(sizeof(*call), GFP_KERNEL);

	if (!call)
		return NULL;
	call->task = current;
	call->kobj = kobj;
	spin_lock(&klp_glue_calls_lock);
	list_add(&call->list, &klp_glue_calls);
	spin_unlock(&klp_glue_calls_lock);
	return call;
}

static void klp_glue_call_end(struct klp_glue_call *call)
{
	spin_lock(&klp_glue_calls_lock);
	list_del(&call->list);
	spin_unlock(&klp_glue_calls_lock);
	kfree(call);
}

/* Whether this task is in a function of one of the directory's files. */
static bool klp_glue_calls_itself(struct klp_glue_directory *directory)
{
	struct klp_glue_call *call;
	bool found = false;

	spin_lock(&klp_glue_calls_lock);
	list_for_each_entry(call, &klp_glue_calls, list)
		found |= call->task == current && call->kobj == directory->kobj;
	spin_unlock(&klp_glue_calls_lock);
	return found;
}

static ssize_t klp_glue_file_show(struct kobject *kobj, struct kobj_attribute *attribute, char *page)
{
	struct klp_glue_file *file = container_of(attribute, struct klp_glue_file, attribute);
	struct klp_glue_call *call = klp_glue_call_begin(kobj);
	ssize_t ret;

	if (!call)
		return -ENOMEM;
	/* Of a whole page sysfs cuts the last byte, and complains. */
	ret = file->call_show(file->show, page, PAGE_SIZE - 1);
	klp_glue_call_end(call);
	return ret;
}

static ssize_t klp_glue_file_store(struct kobject *kobj, struct kobj_attribute *attribute, const char *text,
				   size_t len)
{
	struct klp_glue_file *file = container_of(attribute, struct klp_glue_file, attribute);
	struct klp_glue_call *call = klp_glue_call_begin(kobj);
	ssize_t ret;

	if (!call)
		return -ENOMEM;
	ret = file->call_store(file->store, text, len) ?: len;
	klp_glue_call_end(call);
	return ret;
}

static void klp_glue_directory_free(struct klp_glue_directory *directory)
{
	struct klp_glue_file *file;

	kobject_put(directory->kobj);
	while ((file = directory->files)) {
		directory->files = file->next;
		kfree(file);
	}
	kfree(directory);
}

/* 0 or a negative errno. */
int klp_glue_directory_new(const char *name, struct klp_glue_directory **made);
int klp_glue_directory_new(const char *name, struct klp_glue_directory **made)
{
	struct klp_glue_directory *directory;
	int ret = 0;

	directory = kzalloc(sizeof(*directory), GFP_KERNEL);
	if (!directory)
		return -ENOMEM;
	mutex_lock(&klp_glue_directories_lock);
	if (klp_glue_directories_stopped)
		ret = -ENODEV;
	else
		directory->kobj = kobject_create_and_add(name, kernel_kobj);
	if (directory->kobj)
		list_add(&directory->list, &klp_glue_directories);
	else if (!ret)
		ret = -ENOMEM;
	mutex_unlock(&klp_glue_directories_lock);
	if (ret)
		kfree(directory);
	else
		*made = directory;
	return ret;
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
	mutex_lock(&klp_glue_directories_lock);
	if (klp_glue_directories_stopped)
		ret = -ENODEV;
	else
		ret = sysfs_create_file(directory->kobj, &file->attribute.attr);
	if (!ret) {
		file->next = directory->files;
		directory->files = file;
	}
	mutex_unlock(&klp_glue_directories_lock);
	if (ret)
		kfree(file);
	return ret;
}

void klp_glue_directory_remove(struct klp_glue_directory *directory);
void klp_glue_directory_remove(struct klp_glue_directory *directory)
{
	bool is_stopped;

	/* The removal would wait for this very call: it is left to the stop. */
	if (klp_glue_calls_itself(directory)) {
		pr_err("a directory of sysfs was dropped by a function of its own file: it stays until the patch is stopped\n");
		return;
	}
	mutex_lock(&klp_glue_directories_lock);
	is_stopped = klp_glue_directories_stopped;
	if (!is_stopped) {
		list_del(&directory->list);
		klp_glue_removals++;
	}
	mutex_unlock(&klp_glue_directories_lock);
	/* The stop removes it, and may be waiting for this caller: it is freed with the module. */
	if (is_stopped)
		return;
	/* Waits for readers and writers: whoever else has the object, the files are gone. */
	kobject_del(directory->kobj);
	klp_glue_directory_free(directory);
	mutex_lock(&klp_glue_directories_lock);
	if (!--klp_glue_removals)
		wake_up_all(&klp_glue_directory_removed);
	mutex_unlock(&klp_glue_directories_lock);
}

static void klp_glue_stop_directories(void)
{
	struct klp_glue_directory *directory;
	bool was_stopped;

	mutex_lock(&klp_glue_directories_lock);
	was_stopped = klp_glue_directories_stopped;
	klp_glue_directories_stopped = true;
	mutex_unlock(&klp_glue_directories_lock);
	if (was_stopped)
		return;
	/* The list is the stop's alone from here on. */
	list_for_each_entry(directory, &klp_glue_directories, list)
		kobject_del(directory->kobj);
	wait_event(klp_glue_directory_removed, !READ_ONCE(klp_glue_removals));
}

static void klp_glue_free_directories(void)
{
	struct klp_glue_directory *directory, *next;

	list_for_each_entry_safe(directory, next, &klp_glue_directories, list)
		klp_glue_directory_free(directory);
	INIT_LIST_HEAD(&klp_glue_directories);
}

#else
static inline void klp_glue_stop_directories(void) { }
static inline void klp_glue_free_directories(void) { }
#endif

/*
 * Nothing of the patch runs on its own any more when this returns, or is started
 * again. Called when the patch is disabled, replaced or taken back, and when its
 * module goes or could not be loaded. A second call does nothing. `node` is
 * klp_runtime::module::abi::PatchNode, and has its name, by which kCFI compares
 * types.
 */
struct PatchNode;
static void klp_glue_stop(struct PatchNode *node)
{
	klp_glue_stop_works();
	klp_glue_stop_directories();
}
