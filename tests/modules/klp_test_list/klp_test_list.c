// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes klp's list of patches, as parameters say: what another version of its
 * runtime, or a stray write, could leave there.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

static unsigned long id;
module_param(id, ulong, 0);
MODULE_PARM_DESC(id, "of the shadow variable that is the list");

static unsigned long magic;
module_param(magic, ulong, 0);
static unsigned int version;
module_param(version, uint, 0);
MODULE_PARM_DESC(magic, "of the list");
MODULE_PARM_DESC(version, "of the list");

static unsigned long patch_magic;
module_param(patch_magic, ulong, 0);
static unsigned int patch_version;
module_param(patch_version, uint, 0);
static unsigned int patch_flags;
module_param(patch_flags, uint, 0);
MODULE_PARM_DESC(patch_magic, "of the patch on the list; without it the list points to nowhere");
MODULE_PARM_DESC(patch_version, "of the patch on the list");
MODULE_PARM_DESC(patch_flags, "of the patch on the list");

/* klp_runtime::abi::PatchNode */
static struct PatchNode {
	u64 magic;
	u32 abi_version;
	u32 size;
	u32 state_size;
	u32 shadow_size;
	u32 claim_size;
	u32 flags;
	u32 replace;
	u32 phase;
	struct PatchNode *older;
	struct PatchNode *newer;
	struct module *module;
	const char *name;
	const char *series;
	u64 revision;
	const void *states;
	size_t nr_states;
	const void *shadows;
	size_t nr_shadows;
	void *claims;
	void *registry;
	const bool *forced;
	void (*stop)(struct PatchNode *patch);
} patch = { .size = sizeof(patch), .phase = 2, .module = THIS_MODULE, .name = KBUILD_MODNAME };

/* klp_runtime::abi::Registry */
struct klp_test_list {
	u64 magic;
	u32 abi_version;
	u32 size;
	struct PatchNode *newest;
	void *buckets;
	size_t nr_buckets;
	size_t nr_live;
};

static int __init klp_test_list_init(void)
{
	struct klp_test_list *list;

	list = klp_shadow_alloc(NULL, id, sizeof(*list), GFP_KERNEL, NULL, NULL);
	if (!list)
		return -ENOMEM;
	list->magic = magic;
	list->abi_version = version;
	list->size = sizeof(*list);
	list->newest = patch_magic ? &patch : (void *)8;
	patch.magic = patch_magic;
	patch.abi_version = patch_version;
	patch.flags = patch_flags;
	return 0;
}
module_init(klp_test_list_init);

static void __exit klp_test_list_exit(void)
{
	struct klp_test_list *list = klp_shadow_get(NULL, id);

	/* Made by a patch that was there beside this one. */
	if (list)
		kfree(list->buckets);
	klp_shadow_free(NULL, id, NULL);
}
module_exit(klp_test_list_exit);

MODULE_DESCRIPTION("Makes klp's list of patches for klp's tests");
MODULE_LICENSE("GPL");
