/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c that refuses a module that is not what was built, or
 * not for this kernel. In init memory, as all that is read once.
 */
#include <linux/elf.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

static const char klp_glue_lost[] __initconst =
	KERN_ERR pr_fmt("refused: the module has lost entries: %zu of %zu %s\n");
static const char klp_glue_entries[][17] __initconst = {
	"patches", "functions", "objects", "native states", "states", "shadow variables", "hooks",
};

/* A table that a linker dropped must not go unnoticed. */
static int __init klp_glue_check_tables(void)
{
	const size_t found[] = {
		__stop_klp_patch - __start_klp_patch,
		__stop_klp_funcs - __start_klp_funcs,
		__stop_klp_objects - __start_klp_objects,
		__stop_klp_natives - __start_klp_natives,
		(__stop_klp_states - __start_klp_states) / KLP_STATE_SIZE,
		__stop_klp_shadows - __start_klp_shadows,
		__stop_klp_hooks - __start_klp_hooks,
	};
	static const size_t emitted[] __initconst = {
		1, KLP_NR_FUNCS, KLP_NR_OBJECTS, KLP_NR_NATIVES, KLP_NR_STATES, KLP_NR_SHADOWS, KLP_NR_HOOKS,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(found); i++) {
		if (found[i] == emitted[i])
			continue;
		_printk(klp_glue_lost, found[i], emitted[i], klp_glue_entries[i]);
		return -EINVAL;
	}
	return 0;
}

#ifdef KLP_NR_SYMBOLS
/*
 * The last step of the build marks the symbols that the kernel must find, and
 * their relocations. The kernel loads a module without the marks as well, such
 * as one that was linked again: nothing would be found, and nothing relocated.
 */
static int __init klp_glue_check_symbols(void)
{
	static const char unmarked[] __initconst = KERN_ERR
		pr_fmt("refused: %u of %d symbols are marked for livepatch: the build did not finish, or it was linked again\n");
	const struct mod_kallsyms *table = &THIS_MODULE->core_kallsyms;
	const struct klp_modinfo *info = THIS_MODULE->klp_info;
	unsigned int i, marked = 0, relocations = 0;

	for (i = 0; i < table->num_symtab; i++)
		marked += table->symtab[i].st_shndx == SHN_LIVEPATCH;
	for (i = 0; info && i < info->hdr.e_shnum; i++)
		relocations += info->sechdrs[i].sh_type == SHT_RELA &&
			       (info->sechdrs[i].sh_flags & SHF_RELA_LIVEPATCH);
	if (marked == KLP_NR_SYMBOLS && relocations)
		return 0;
	_printk(unmarked, marked, KLP_NR_SYMBOLS);
	return -EINVAL;
}
#else
static inline int klp_glue_check_symbols(void)
{
	return 0;
}
#endif

#ifdef KLP_BUILD_ID
/*
 * The build ID among the kernel's notes. They have no symbol that is exported;
 * /sys/kernel/notes shows them, which is read here without a file: sysfs need
 * not be mounted where the module is loaded.
 */
#define KLP_GLUE_NOTE_BUILD_ID	3

static const u8 * __init klp_glue_find_build_id(const void *notes, size_t size, size_t *length)
{
	static const char gnu[] __initconst = "GNU";
	const struct elf_note *note = notes;
	const void *end = notes + size, *name, *desc;

	while ((const void *)(note + 1) <= end) {
		name = note + 1;
		desc = name + ALIGN(note->n_namesz, 4);
		if (desc + note->n_descsz > end)
			break;
		if (note->n_type == KLP_GLUE_NOTE_BUILD_ID && note->n_namesz == sizeof(gnu) && !strcmp(name, gnu)) {
			*length = note->n_descsz;
			return desc;
		}
		note = desc + ALIGN(note->n_descsz, 4);
	}
	return NULL;
}

/*
 * Positions of symbols, addresses and layouts are those of the kernel that the
 * module was built for; another build of the same release has others.
 */
static int __init klp_glue_check_kernel(void)
{
	static const char elsewhere[] __initconst = KERN_ERR
		pr_fmt("refused: built for another build of this kernel: expected build ID %*phN, found %*phN\n");
	static const char file[] __initconst = "notes";
	static const u8 expected[] __initconst = { KLP_BUILD_ID };
	struct bin_attribute *attribute;
	struct kernfs_node *node;
	const u8 *found = NULL;
	ssize_t size = 0;
	size_t length = 0;
	void *notes = NULL;
	int ret = -EINVAL;

	node = kernfs_find_and_get(kernel_kobj->sd, file);
	if (node) {
		attribute = node->priv;
		notes = kmalloc(attribute->size, GFP_KERNEL);
		if (!notes) {
			kernfs_put(node);
			return -ENOMEM;
		}
		size = attribute->read(NULL, kernel_kobj, attribute, notes, 0, attribute->size);
		kernfs_put(node);
	}
	if (size > 0)
		found = klp_glue_find_build_id(notes, size, &length);
	if (found && length == sizeof(expected) && !memcmp(found, expected, length))
		ret = 0;
	else
		_printk(elsewhere, (int)sizeof(expected), expected, (int)length, found);
	kfree(notes);
	return ret;
}
#else
static inline int klp_glue_check_kernel(void)
{
	return 0;
}
#endif

static int __init klp_glue_check(void)
{
	return klp_glue_check_tables() ?: klp_glue_check_symbols() ?: klp_glue_check_kernel();
}
