// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The C half of a livepatch written with klp: what only the target kernel's
 * own headers know. It turns the tables that the macros left into the kernel's
 * structures, forwards the kernel's callbacks to the engine, and wraps what is
 * a macro or inline in C. Which callbacks are run, and when, is decided in
 * Rust (klp-runtime/src/engine).
 *
 * Compiled once for each patch, with the header that `cargo klp` writes:
 * KLP_NR_… as the macros counted the entries of each table and the symbols
 * that are not exported, the sizes of those entries that only Rust knows,
 * KLP_ENGINE where the patch may need the engine, KLP_SERIES where it belongs
 * to a series, KLP_PARAMS for its parameters, KLP_NOTE for tools, and KLP_USES_…
 * for each function of the last part of this file that the Rust half calls.
 */
#include <linux/elfnote.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#if !IS_ENABLED(CONFIG_LIVEPATCH)
#error "this kernel is built without CONFIG_LIVEPATCH"
#endif

/* What a command of another version writes: the callbacks of the states would never run. */
#if (KLP_NR_STATES || KLP_NR_SHADOWS) && !__is_defined(KLP_ENGINE)
#error "the build does not say that the patch needs the engine: build it with the cargo-klp of its klp-runtime"
#endif

/* klp_runtime::module::abi::FuncEntry */
struct klp_glue_func {
	const char *object;
	const char *symbol;
	void *replacement;
	unsigned long sympos;
};

/* klp_runtime::object::ObjectEntry */
struct klp_glue_object {
	const char *name;
	int (*pre_patch)(struct klp_object *obj);
	void (*post_patch)(struct klp_object *obj);
	void (*pre_unpatch)(struct klp_object *obj);
	void (*post_unpatch)(struct klp_object *obj);
};

/* klp_runtime::native::NativeEntry */
struct klp_glue_native {
	unsigned long id;
	unsigned int version;
};

/* klp_runtime::module::abi::ShadowEntry */
struct klp_glue_shadow {
	u64 id;
	u64 state;
	u32 flags;
	const char *name;
	const char *of;
	const char *object;
	size_t layout[2];
	u64 fingerprint;
	void *destroy;
};

/* klp_runtime::module::selection::HookEntry */
struct klp_glue_hook {
	int (*init)(void *tables);
	void (*exit)(void);
};

/* klp_runtime::module::abi::PatchEntry */
struct klp_glue_patch_entry {
	u32 abi_version;
	u32 flags;
#define KLP_GLUE_IDLE			1
#define KLP_GLUE_ALLOW_DOWNGRADE	2
	u32 replace;
#define KLP_GLUE_REPLACE_NONE	0
	const char *series;
	u64 revision;
};

/* klp_runtime::module::selection::PatchTables */
struct klp_glue_tables {
	u32 flags;
	u32 replace;
	const char *series;
	u64 revision;
	const struct klp_glue_func *funcs;
	size_t nr_funcs;
	const struct klp_glue_object *objects;
	size_t nr_objects;
	const struct klp_glue_native *natives;
	size_t nr_natives;
	const void *states;
	size_t nr_states;
	const struct klp_glue_shadow *shadows;
	size_t nr_shadows;
	void *block;
};

extern const struct klp_glue_patch_entry __start_klp_patch[], __stop_klp_patch[];
extern const struct klp_glue_func __start_klp_funcs[], __stop_klp_funcs[];
extern const struct klp_glue_object __start_klp_objects[], __stop_klp_objects[];
extern const struct klp_glue_native __start_klp_natives[], __stop_klp_natives[];
extern const struct klp_glue_shadow __start_klp_shadows[], __stop_klp_shadows[];
extern const struct klp_glue_hook __start_klp_hooks[], __stop_klp_hooks[];
extern const char __start_klp_states[], __stop_klp_states[];

#define KLP_SIZE(structure, bytes)							\
	static_assert(sizeof(struct structure) == (bytes),				\
		      "klp_layout.h has another size of " #structure);
#define KLP_OFFSET(structure, field, bytes)						\
	static_assert(offsetof(struct structure, field) == (bytes),			\
		      "klp_layout.h has another offset of " #field " in " #structure);
#define KLP_ROOM(structure, bytes) enum { structure##_room = (bytes) };
#include "klp_layout.h"
#undef KLP_ROOM
#undef KLP_SIZE
#undef KLP_OFFSET

#include "klp_glue_checks.h"
#include "klp_glue_own.h"

/* What /sys/module/NAME/notes/.note.klp shows as long as the module is loaded. */
KLP_NOTE;

static struct klp_patch klp_glue_patch = { .mod = THIS_MODULE };

/*
 * One block: the objects and a terminator, then each object's functions and
 * one, then the kernel's own table of states.
 */
static void *klp_glue_block;

/* The copies of the tables that an init hook has looked at. */
static void *klp_glue_copies;

#ifdef KLP_SERIES
/* The administrator's word against S20. */
static bool klp_allow_downgrade;
module_param(klp_allow_downgrade, bool, 0444);
MODULE_PARM_DESC(klp_allow_downgrade, "Replace a higher revision of the same series");
#else
#define klp_allow_downgrade	false
#endif

#ifdef KLP_PARAMS

typedef char *klp_glue_charp;
typedef unsigned char klp_glue_byte;
typedef short klp_glue_short;
typedef unsigned short klp_glue_ushort;
typedef int klp_glue_int;
typedef unsigned int klp_glue_uint;
typedef long klp_glue_long;
typedef unsigned long klp_glue_ulong;
typedef bool klp_glue_bool;
typedef bool klp_glue_invbool;
typedef unsigned int klp_glue_hexint;

/* klp_runtime::param::Param */
#define KLP_PARAM(name, type, permissions)				\
	extern klp_glue_##type klp_param_##name;			\
	module_param_named(name, klp_param_##name, type, permissions);

/* klp_runtime::param::ParamArray */
#define KLP_PARAM_ARRAY(name, type, nr, permissions)			\
	extern struct {							\
		unsigned int len;					\
		klp_glue_##type values[nr];				\
	} klp_param_##name;						\
	module_param_array_named(name, klp_param_##name.values, type,	\
				 &klp_param_##name.len, permissions);

#define KLP_PARAM_DESC(name, text) MODULE_PARM_DESC(name, text);

KLP_PARAMS

#endif

/* klp_runtime::module::entry */
int klp_rt_choose(struct klp_glue_tables *tables, const struct klp_glue_hook *hooks, size_t nr_hooks);

#ifdef KLP_ENGINE

/* klp_runtime::module::entry */
void klp_rt_init(struct module *mod, const char *name, const bool *forced, void (*stop)(struct PatchNode *node),
		 const struct klp_glue_tables *tables);
int klp_rt_pre_patch(struct klp_object *obj);
void klp_rt_post_patch(struct klp_object *obj);
void klp_rt_pre_unpatch(struct klp_object *obj);
void klp_rt_post_unpatch(struct klp_object *obj);
void klp_rt_object_gone(struct klp_object *obj, const char *name);

/* Of the object vmlinux. */
static const struct klp_callbacks klp_glue_engine __initconst = {
	.pre_patch = klp_rt_pre_patch,
	.post_patch = klp_rt_post_patch,
	.pre_unpatch = klp_rt_pre_unpatch,
	.post_unpatch = klp_rt_post_unpatch,
};

/*
 * Of each module's object: shadow variables go with the module, those of a patch
 * that is held and not called too (S9, S13): klp_runtime::engine::object.
 */
static void klp_glue_object_gone(struct klp_object *obj)
{
	klp_rt_object_gone(obj, obj->name);
}

#else
#define klp_glue_object_gone NULL
static const struct klp_callbacks klp_glue_engine __initconst;
static inline void klp_rt_init(struct module *mod, const char *name, const bool *forced, void (*stop)(struct PatchNode *node),
			       const struct klp_glue_tables *tables) { }
#endif

/*
 * The functions that follow are inlined into module init: where there is no
 * init hook the tables are constants there, and what a patch does not have
 * costs it nothing.
 */

/* What the engine runs for; cargo-klp decides by the same whether it is linked in. */
static __always_inline bool __init klp_glue_needs_engine(const struct klp_glue_tables *tables)
{
	if (!__is_defined(KLP_ENGINE))
		return false;
	return tables->nr_states || tables->nr_shadows || tables->series || KLP_GLUE_RUNS ||
	       tables->replace != KLP_GLUE_REPLACE_NONE;
}

static bool __init klp_glue_same_object(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Adds the name of an object, null for vmlinux, if it is not there. */
static void __init klp_glue_name(const char **names, size_t *nr, const char *name)
{
	size_t i;

	for (i = 0; i < *nr; i++)
		if (klp_glue_same_object(names[i], name))
			return;
	names[(*nr)++] = name;
}

/*
 * The names of the patch's objects: vmlinux where the engine is needed, if only
 * for its callbacks; then those with callbacks, as they stand in the source;
 * then those of functions; then modules that only shadow variables go with.
 */
static __always_inline size_t __init klp_glue_names(const struct klp_glue_tables *tables, const char **names)
{
	size_t i, nr = 0;

	if (klp_glue_needs_engine(tables))
		klp_glue_name(names, &nr, NULL);
	for (i = 0; i < tables->nr_objects; i++)
		klp_glue_name(names, &nr, tables->objects[i].name);
	for (i = 0; i < tables->nr_funcs; i++)
		klp_glue_name(names, &nr, tables->funcs[i].object);
	for (i = 0; i < tables->nr_shadows; i++)
		if (tables->shadows[i].object)
			klp_glue_name(names, &nr, tables->shadows[i].object);
	return nr;
}

static __always_inline void __init klp_glue_callbacks(const struct klp_glue_tables *tables, struct klp_object *obj)
{
	size_t i;

	for (i = 0; i < tables->nr_objects; i++) {
		if (!klp_glue_same_object(tables->objects[i].name, obj->name))
			continue;
		obj->callbacks.pre_patch = tables->objects[i].pre_patch;
		obj->callbacks.post_patch = tables->objects[i].post_patch;
		obj->callbacks.pre_unpatch = tables->objects[i].pre_unpatch;
		obj->callbacks.post_unpatch = tables->objects[i].post_unpatch;
	}
	/* The engine's call those of the patch itself. */
	if (!klp_glue_needs_engine(tables))
		return;
	if (obj->name)
		obj->callbacks.post_unpatch = klp_glue_object_gone;
	else
		obj->callbacks = klp_glue_engine;
}

/* Fills an object with its functions; returns where the next object's go. */
static __always_inline struct klp_func * __init klp_glue_funcs(const struct klp_glue_tables *tables,
					       struct klp_object *obj, struct klp_func *next)
{
	const struct klp_glue_func *func;

	obj->funcs = next;
	for (func = tables->funcs; func < tables->funcs + tables->nr_funcs; func++) {
		if (!klp_glue_same_object(func->object, obj->name))
			continue;
		next->old_name = func->symbol;
		next->new_func = func->replacement;
		next->old_sympos = func->sympos;
		next++;
	}
	/* Leaves the empty entry that ends the list. */
	return next + 1;
}

/*
 * Fills the kernel's own table of states. The first entry makes the kernel
 * refuse a cumulative patch that knows nothing of our states (S14):
 * klp_runtime::module::abi::RESERVED_STATE_ID.
 */
static __always_inline void __init klp_glue_states(const struct klp_glue_tables *tables, struct klp_state *next)
{
	size_t i;

	klp_glue_patch.states = next;
	if (klp_glue_needs_engine(tables)) {
		next->id = 1UL << 63;
		next->version = __start_klp_patch->abi_version;
		next++;
	}
	for (i = 0; i < tables->nr_natives; i++, next++) {
		next->id = tables->natives[i].id;
		next->version = tables->natives[i].version;
	}
}

static __always_inline int __init klp_glue_build(const struct klp_glue_tables *tables)
{
	size_t i, nr_objs, nr_states;
	struct klp_func *next;
	struct klp_object *obj;
	const char **names;

	names = kcalloc(tables->nr_objects + tables->nr_funcs + tables->nr_shadows + 1,
			sizeof(*names), GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	nr_objs = klp_glue_names(tables, names);
	nr_states = klp_glue_needs_engine(tables) + tables->nr_natives;
	klp_glue_block = kzalloc((nr_objs + 1) * sizeof(*obj) +
				 (tables->nr_funcs + nr_objs) * sizeof(*next) +
				 (nr_states + 1) * sizeof(struct klp_state), GFP_KERNEL);
	if (!klp_glue_block) {
		kfree(names);
		return -ENOMEM;
	}
	obj = klp_glue_block;
	next = (struct klp_func *)(obj + nr_objs + 1);

	klp_glue_patch.objs = obj;
	klp_glue_patch.replace = tables->replace != KLP_GLUE_REPLACE_NONE;
	for (i = 0; i < nr_objs; i++, obj++) {
		obj->name = names[i];
		next = klp_glue_funcs(tables, obj, next);
		klp_glue_callbacks(tables, obj);
	}
	if (nr_states)
		klp_glue_states(tables, (struct klp_state *)next);
	if (klp_glue_needs_engine(tables))
		klp_rt_init(THIS_MODULE, klp_glue_patch.mod->name, &klp_glue_patch.forced,
			    KLP_GLUE_RUNS ? klp_glue_stop : NULL, tables);
	kfree(names);
	return 0;
}

static void klp_glue_free(void)
{
	klp_glue_stop(NULL);
	klp_glue_free_directories();
	kfree(klp_glue_block);
	kfree(klp_glue_copies);
}

/* The kernel keeps the module until the patch is disabled or replaced. */
static void klp_glue_exit(void)
{
#if KLP_NR_HOOKS
	const struct klp_glue_hook *hook;

	for (hook = __start_klp_hooks; hook < __stop_klp_hooks; hook++)
		if (hook->exit)
			hook->exit();
#endif
	klp_glue_free();
}
module_exit(klp_glue_exit);

static int __init klp_glue_init(void)
{
	struct klp_glue_tables tables = {
		.flags = __start_klp_patch->flags, .replace = __start_klp_patch->replace,
		.series = __start_klp_patch->series, .revision = __start_klp_patch->revision,
		.funcs = __start_klp_funcs, .nr_funcs = KLP_NR_FUNCS,
		.objects = __start_klp_objects, .nr_objects = KLP_NR_OBJECTS,
		.natives = __start_klp_natives, .nr_natives = KLP_NR_NATIVES,
		.states = __start_klp_states, .nr_states = KLP_NR_STATES,
		.shadows = __start_klp_shadows, .nr_shadows = KLP_NR_SHADOWS,
	};
	int ret;

	ret = klp_glue_check();
	if (ret)
		return ret;
#if KLP_NR_HOOKS
	ret = klp_rt_choose(&tables, __start_klp_hooks, KLP_NR_HOOKS);
	klp_glue_copies = tables.block;
	if (ret) {
		klp_glue_free();
		return ret;
	}
#endif
	if (tables.flags & KLP_GLUE_IDLE)
		return 0;
	if (klp_allow_downgrade)
		tables.flags |= KLP_GLUE_ALLOW_DOWNGRADE;
	ret = klp_glue_build(&tables);
	if (!ret)
		ret = klp_enable_patch(&klp_glue_patch);
	if (ret)
		klp_glue_exit();
	return ret;
}
module_init(klp_glue_init);

/* For klp_runtime::module::sys: only what the Rust half of this patch uses. */

#include "klp_glue_locks.h"
#include "klp_glue_watch.h"
#include "klp_glue_helpers.h"
#include "klp_glue_wrappers.h"

#ifdef KLP_USES_klp_glue_gfp
const unsigned int klp_glue_gfp[] = {
	GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_NOFS, GFP_NOIO, GFP_KERNEL_ACCOUNT,
};
#endif

#ifdef KLP_USES_klp_glue_kmalloc
void *klp_glue_kmalloc(size_t size, unsigned int gfp);
void *klp_glue_kmalloc(size_t size, unsigned int gfp)
{
	return kzalloc(size, (__force gfp_t)gfp);
}
#endif

#ifdef KLP_USES_klp_glue_module_get
void klp_glue_module_get(struct module *mod);
void klp_glue_module_get(struct module *mod)
{
	__module_get(mod);
}
#endif

#ifdef KLP_USES_klp_glue_module_put
void klp_glue_module_put(struct module *mod);
void klp_glue_module_put(struct module *mod)
{
	module_put(mod);
}
#endif

#ifdef KLP_USES_klp_glue_drop_reserved_state
/* The kernel reads the tables of enabled patches when the next one comes, under the livepatch mutex. */
void klp_glue_drop_reserved_state(void);
void klp_glue_drop_reserved_state(void)
{
	klp_glue_patch.states++;
}
#endif

#ifdef KLP_USES_klp_glue_object_name
const char *klp_glue_object_name(struct klp_object *obj);
const char *klp_glue_object_name(struct klp_object *obj)
{
	return obj->name;
}
#endif

#ifdef KLP_USES_klp_glue_object_state
/* By the numbers of klp_runtime::object::ModuleState; -1 for vmlinux. */
int klp_glue_object_state(struct klp_object *obj);
int klp_glue_object_state(struct klp_object *obj)
{
	if (!obj->mod)
		return -1;
	switch (obj->mod->state) {
	case MODULE_STATE_LIVE:
		return 0;
	case MODULE_STATE_COMING:
		return 1;
	case MODULE_STATE_GOING:
		return 2;
	default:
		return 3;
	}
}
#endif

#ifdef KLP_USES_klp_glue_get_state
struct klp_state *klp_glue_get_state(unsigned long id);
struct klp_state *klp_glue_get_state(unsigned long id)
{
	return klp_get_state(&klp_glue_patch, id);
}
#endif

#ifdef KLP_USES_klp_glue_state_version
unsigned int klp_glue_state_version(const struct klp_state *state);
unsigned int klp_glue_state_version(const struct klp_state *state)
{
	return state->version;
}
#endif

#ifdef KLP_USES_klp_glue_state_data
void **klp_glue_state_data(struct klp_state *state);
void **klp_glue_state_data(struct klp_state *state)
{
	return &state->data;
}
#endif

#ifdef KLP_USES_klp_glue_bug
void klp_glue_bug(const char *text, int len);
void klp_glue_bug(const char *text, int len)
{
	pr_emerg("%.*s\n", len, text);
	/*
	 * Always. A plain BUG() would make this a noreturn function, which
	 * objtool wants declared where it sees the Rust half alone (6.1) and
	 * accepts from a list of its own only where it sees both (6.12).
	 */
	BUG_ON(text);
}
#endif
