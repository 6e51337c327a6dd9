// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Runs the engine of two patches in a process: a patch, and the one that replaces it. Their Rust halves are
 * linked in as the kernel gets them; this file imitates the kernel. callgrind counts the instructions between
 * start() and stop() that are not in an imitated function.
 *
 * Arguments: the number of states that take part, and the step to count.
 */
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

/* klp_runtime::module::selection::PatchTables */
struct table {
	const void *entries;
	size_t nr;
};
struct tables {
	uint32_t flags, replace;
	const char *series;
	uint64_t revision;
	struct table funcs, objects, natives, states, shadows;
	void *block;
};

/* klp_runtime::abi::Replace::ALL */
#define REPLACE 1

/* klp_runtime::module::entry, in each of the two patches */
#define SIDE(side)								\
	extern const char side##__start_klp_states[], side##__stop_klp_states[];	\
	extern const char side##__start_klp_shadows[];				\
	void side##klp_rt_init(void *module, const char *name, const bool *forced,	\
			       void (*stop)(void *node), const struct tables *tables);	\
	int side##klp_rt_pre_patch(void *object);				\
	void side##klp_rt_post_patch(void *object);				\
	void side##klp_rt_pre_unpatch(void *object);				\
	void side##klp_rt_post_unpatch(void *object);				\
	static void side##load(uint32_t replace, size_t states)			\
	{									\
		static struct tables tables;					\
										\
		tables.replace = replace;					\
		tables.states = (struct table){ side##__start_klp_states, states };	\
		tables.shadows = (struct table){ side##__start_klp_shadows, states };	\
		side##klp_rt_init(&tables, #side "patch", NULL, NULL, &tables);	\
	}

SIDE(first_)
SIDE(next_)

/* The store of shadow variables: one bucket for each object, as there are few. */
#define BUCKETS 65536
static struct variable {
	struct variable *next;
	void *object;
	unsigned long id;
	uint64_t data[];
} *store[BUCKETS];

static struct variable **bucket(void *object)
{
	return &store[((uintptr_t)object >> 3) % BUCKETS];
}

void *klp_shadow_get(void *object, unsigned long id)
{
	struct variable *variable;

	for (variable = *bucket(object); variable; variable = variable->next)
		if (variable->object == object && variable->id == id)
			return variable->data;
	return NULL;
}

void *klp_shadow_alloc(void *object, unsigned long id, size_t size, unsigned int gfp,
		       int (*constructor)(void *, void *, void *), void *argument)
{
	struct variable *variable = calloc(1, sizeof(*variable) + size);

	if (constructor && constructor(object, variable->data, argument))
		abort();
	variable->object = object;
	variable->id = id;
	variable->next = *bucket(object);
	*bucket(object) = variable;
	return variable->data;
}

void *klp_shadow_get_or_alloc(void *object, unsigned long id, size_t size, unsigned int gfp,
			      int (*constructor)(void *, void *, void *), void *argument)
{
	void *data = klp_shadow_get(object, id);

	return data ?: klp_shadow_alloc(object, id, size, gfp, constructor, argument);
}

/* Calls no destructor: these variables have none. */
static void take_out(struct variable **at, void *object, unsigned long id)
{
	struct variable *variable;

	while ((variable = *at)) {
		if (variable->id != id || (object && variable->object != object)) {
			at = &variable->next;
			continue;
		}
		*at = variable->next;
		free(variable);
	}
}

void klp_shadow_free(void *object, unsigned long id, void *destructor)
{
	take_out(bucket(object), object, id);
}

void klp_shadow_free_all(unsigned long id, void *destructor)
{
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		take_out(&store[i], NULL, id);
}

const unsigned int klp_glue_gfp[5];

void *klp_glue_kmalloc(size_t size, unsigned int gfp)
{
	return calloc(1, size);
}

void kfree(void *memory)
{
	free(memory);
}

void klp_glue_module_get(void *module)
{
}

void klp_glue_module_put(void *module)
{
}

void klp_glue_drop_reserved_state(void)
{
}

void klp_glue_watch(const char *name)
{
}

/* The engine logs only when it refuses something, which must not happen here. */
int _printk(const char *format, ...)
{
	abort();
}

void klp_glue_bug(const char *text, int len)
{
	abort();
}

/* The compiler calls these in place of indirect jumps and returns; the kernel patches the calls away. */
#define THUNK(register) \
	asm(".globl __x86_indirect_thunk_" #register "\n__x86_indirect_thunk_" #register ": jmp *%" #register)
THUNK(rax); THUNK(rbx); THUNK(rcx); THUNK(rdx); THUNK(rsi); THUNK(rdi); THUNK(rbp); THUNK(r8);
THUNK(r9); THUNK(r10); THUNK(r11); THUNK(r12); THUNK(r13); THUNK(r14); THUNK(r15);
asm(".globl __x86_return_thunk\n__x86_return_thunk: ret");

static const char *counted;

static void start(const char *step)
{
	if (!strcmp(counted, step))
		CALLGRIND_START_INSTRUMENTATION;
}

static void stop(void)
{
	CALLGRIND_STOP_INSTRUMENTATION;
}

int main(int argc, char **argv)
{
	size_t states = strtoul(argv[1], NULL, 10);

	counted = argv[2];
	first_load(0, states);
	start("enable");
	if (first_klp_rt_pre_patch(NULL))
		abort();
	first_klp_rt_post_patch(NULL);
	stop();

	next_load(REPLACE, states);
	start("replace");
	if (next_klp_rt_pre_patch(NULL))
		abort();
	next_klp_rt_post_patch(NULL);
	stop();

	start("disable");
	next_klp_rt_pre_unpatch(NULL);
	next_klp_rt_post_unpatch(NULL);
	stop();
	return 0;
}
