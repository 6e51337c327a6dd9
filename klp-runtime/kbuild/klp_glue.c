// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The C half of a livepatch written with klp: what only the target kernel's
 * own headers know. It turns the table of functions into the kernel's
 * structures, forwards the kernel's callbacks to the engine, and wraps what is
 * a macro or inline in C. Which callbacks are run, and when, is decided in
 * Rust (klp-runtime/src/engine).
 *
 * Compiled once for each patch, with the header that `cargo klp` writes:
 * KLP_NR_FUNCS, KLP_NR_STATES, KLP_NR_SHADOWS as the macros counted them, and
 * KLP_ENGINE where the patch needs the engine, KLP_NR_SYMBOLS where it needs
 * symbols that are not exported, KLP_SHADOW_OBJECTS where shadow
 * variables go with modules, KLP_USES_… for each function of the last part of
 * this file that the Rust half calls.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#if !IS_ENABLED(CONFIG_LIVEPATCH)
#error "this kernel is built without CONFIG_LIVEPATCH"
#endif

/* klp_runtime::abi::FuncEntry */
struct klp_glue_func {
	const char *object;
	const char *symbol;
	void *replacement;
	unsigned long sympos;
};

/* klp_runtime::abi::PatchEntry */
struct klp_glue_patch_entry {
	u32 abi_version;
	u32 flags;
#define KLP_GLUE_REPLACE 1
};

extern const struct klp_glue_func __start_klp_funcs[], __stop_klp_funcs[];
extern const struct klp_glue_patch_entry __start_klp_patch[], __stop_klp_patch[];
extern const char __start_klp_states[], __stop_klp_states[];
extern const char __start_klp_shadows[], __stop_klp_shadows[];

static struct klp_patch klp_glue_patch = { .mod = THIS_MODULE };

/* One block: the objects and a terminator, then each object's functions and one. */
static void *klp_glue_block;

#ifdef KLP_ENGINE

/* klp_runtime::entry */
void klp_rt_init(struct module *mod, const char *name, size_t nr_states, size_t nr_shadows);
int klp_rt_pre_patch(void);
void klp_rt_post_patch(void);
void klp_rt_pre_unpatch(void);
void klp_rt_post_unpatch(void);
void klp_rt_object_gone(const char *object);

static int klp_glue_pre_patch(struct klp_object *obj)
{
	return klp_rt_pre_patch();
}

static void klp_glue_post_patch(struct klp_object *obj)
{
	klp_rt_post_patch();
}

static void klp_glue_pre_unpatch(struct klp_object *obj)
{
	klp_rt_pre_unpatch();
}

static void klp_glue_post_unpatch(struct klp_object *obj)
{
	klp_rt_post_unpatch();
}

static const struct klp_callbacks klp_glue_callbacks __initconst = {
	.pre_patch = klp_glue_pre_patch,
	.post_patch = klp_glue_post_patch,
	.pre_unpatch = klp_glue_pre_unpatch,
	.post_unpatch = klp_glue_post_unpatch,
};

/* Of each module's object: klp_runtime::engine::object. */
static void klp_glue_object_gone(struct klp_object *obj)
{
	klp_rt_object_gone(obj->name);
}

/*
 * What makes the kernel refuse a cumulative patch that knows nothing of our
 * states (S14): klp_runtime::abi::RESERVED_STATE_ID.
 */
static struct klp_state klp_glue_states[] = {
	{ .id = 1UL << 63 },
	{ },
};

static void __init klp_glue_add_engine(struct klp_object *vmlinux)
{
	vmlinux->callbacks = klp_glue_callbacks;
	klp_glue_states[0].version = __start_klp_patch->abi_version;
	klp_glue_patch.states = klp_glue_states;
	klp_rt_init(THIS_MODULE, klp_glue_patch.mod->name, KLP_NR_STATES, KLP_NR_SHADOWS);
}

#define KLP_GLUE_ENGINE 1
#else
#define klp_glue_object_gone NULL
static inline void klp_glue_add_engine(struct klp_object *vmlinux) { }
#define KLP_GLUE_ENGINE 0
#endif

/* The modules that shadow variables go with, each once. */
#ifndef KLP_SHADOW_OBJECTS
#define KLP_SHADOW_OBJECTS
#endif
static const char *const klp_glue_shadow_objects[] __initconst = { KLP_SHADOW_OBJECTS NULL };

/* A table that a linker dropped must not go unnoticed. */
static int __init klp_glue_check(void)
{
	size_t nr_funcs = __stop_klp_funcs - __start_klp_funcs;
	size_t nr_states = (__stop_klp_states - __start_klp_states) / KLP_STATE_SIZE;
	size_t nr_shadows = (__stop_klp_shadows - __start_klp_shadows) / KLP_SHADOW_SIZE;

	if (nr_funcs == KLP_NR_FUNCS && nr_states == KLP_NR_STATES &&
	    nr_shadows == KLP_NR_SHADOWS && __stop_klp_patch - __start_klp_patch == 1)
		return 0;
	pr_err("refused: the module has lost entries: %zu of %d functions, %zu of %d states, %zu of %d shadow variables\n",
	       nr_funcs, KLP_NR_FUNCS, nr_states, KLP_NR_STATES, nr_shadows, KLP_NR_SHADOWS);
	return -EINVAL;
}

#ifdef KLP_NR_SYMBOLS
/*
 * Its address is the number of symbols that the last step of the build has
 * marked for the kernel to find; 0 without that step. They would be NULL.
 */
extern const char klp_glue_symbols[] __weak;

static int __init klp_glue_check_symbols(void)
{
	unsigned long nr_symbols = (unsigned long)klp_glue_symbols;

	if (nr_symbols == KLP_NR_SYMBOLS)
		return 0;
	pr_err("refused: the build did not finish the module: %lu of %d symbols are those of a livepatch\n",
	       nr_symbols, KLP_NR_SYMBOLS);
	return -EINVAL;
}
#else
static inline int klp_glue_check_symbols(void)
{
	return 0;
}
#endif

static bool __init klp_glue_same_object(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Whether the function is the first of the table that is in its object. */
static bool __init klp_glue_first(const struct klp_glue_func *func)
{
	const struct klp_glue_func *other = __start_klp_funcs;

	while (!klp_glue_same_object(other->object, func->object))
		other++;
	return other == func;
}

static bool __init klp_glue_has_funcs(const char *object)
{
	const struct klp_glue_func *func;

	for (func = __start_klp_funcs; func < __stop_klp_funcs; func++)
		if (klp_glue_same_object(func->object, object))
			return true;
	return false;
}

/* Fills an object with its functions; returns where the next object's go. */
static struct klp_func * __init klp_glue_fill(struct klp_object *obj, const char *name, struct klp_func *next)
{
	const struct klp_glue_func *func;

	obj->name = name;
	obj->funcs = next;
	if (name)
		obj->callbacks.post_unpatch = klp_glue_object_gone;
	for (func = __start_klp_funcs; func < __stop_klp_funcs; func++) {
		if (!klp_glue_same_object(func->object, name))
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
 * Groups the table by object, in the order in which objects are first named.
 * Where the engine is needed, vmlinux comes first, if only for its callbacks;
 * modules that are there for shadow variables alone come last.
 */
static int __init klp_glue_build(void)
{
	const struct klp_glue_func *func;
	size_t nr_objs = KLP_GLUE_ENGINE;
	const char *const *name;
	struct klp_object *obj;
	struct klp_func *next;

	for (func = __start_klp_funcs; func < __stop_klp_funcs; func++)
		nr_objs += klp_glue_first(func) && !(KLP_GLUE_ENGINE && !func->object);
	for (name = klp_glue_shadow_objects; *name; name++)
		nr_objs += !klp_glue_has_funcs(*name);

	klp_glue_block = kzalloc((nr_objs + 1) * sizeof(*obj) +
				 (KLP_NR_FUNCS + nr_objs) * sizeof(*next), GFP_KERNEL);
	if (!klp_glue_block)
		return -ENOMEM;
	obj = klp_glue_block;
	next = (struct klp_func *)(obj + nr_objs + 1);

	klp_glue_patch.objs = obj;
	klp_glue_patch.replace = __start_klp_patch->flags & KLP_GLUE_REPLACE;
	if (KLP_GLUE_ENGINE) {
		klp_glue_add_engine(obj);
		next = klp_glue_fill(obj++, NULL, next);
	}
	for (func = __start_klp_funcs; func < __stop_klp_funcs; func++)
		if (klp_glue_first(func) && !(KLP_GLUE_ENGINE && !func->object))
			next = klp_glue_fill(obj++, func->object, next);
	for (name = klp_glue_shadow_objects; *name; name++)
		if (!klp_glue_has_funcs(*name))
			next = klp_glue_fill(obj++, *name, next);
	return 0;
}

static int __init klp_glue_init(void)
{
	int ret;

	ret = klp_glue_check();
	if (ret)
		return ret;
	ret = klp_glue_check_symbols();
	if (ret)
		return ret;
	ret = klp_glue_build();
	if (ret)
		return ret;
	ret = klp_enable_patch(&klp_glue_patch);
	if (ret)
		kfree(klp_glue_block);
	return ret;
}
module_init(klp_glue_init);

/* The kernel keeps the module until the patch is disabled or replaced. */
static void __exit klp_glue_exit(void)
{
	kfree(klp_glue_block);
}
module_exit(klp_glue_exit);

/* For klp_runtime::sys: only what the Rust half of this patch uses. */

#ifdef KLP_USES_klp_glue_gfp
const unsigned int klp_glue_gfp[] = {
	GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_NOFS, GFP_NOIO,
};
#endif

#ifdef KLP_USES_klp_glue_kmalloc
void *klp_glue_kmalloc(size_t size, unsigned int gfp);
void *klp_glue_kmalloc(size_t size, unsigned int gfp)
{
	return kzalloc(size, (__force gfp_t)gfp);
}
#endif

#ifdef KLP_USES_klp_glue_kfree
void klp_glue_kfree(void *memory);
void klp_glue_kfree(void *memory)
{
	kfree(memory);
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
