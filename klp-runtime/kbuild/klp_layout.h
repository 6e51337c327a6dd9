/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The structures that Rust and C both define: the size of each and the offset of each
 * field, in bytes. klp_glue.c asserts them of its structures,
 * klp-runtime/src/module/mirror.rs of the Rust half's.
 *
 * KLP_ROOM is the size of a type in Rust that has room for a structure of the glue.
 */
KLP_ROOM(klp_glue_mutex, 256)
KLP_ROOM(klp_glue_spinlock, 256)
KLP_ROOM(klp_glue_work, 384)
KLP_ROOM(klp_glue_ratelimit, 256)

KLP_SIZE(klp_glue_patch_entry, 32)
KLP_OFFSET(klp_glue_patch_entry, abi_version, 0)
KLP_OFFSET(klp_glue_patch_entry, flags, 4)
KLP_OFFSET(klp_glue_patch_entry, replace, 8)
KLP_OFFSET(klp_glue_patch_entry, series, 16)
KLP_OFFSET(klp_glue_patch_entry, revision, 24)

KLP_SIZE(klp_glue_func, 32)
KLP_OFFSET(klp_glue_func, object, 0)
KLP_OFFSET(klp_glue_func, symbol, 8)
KLP_OFFSET(klp_glue_func, replacement, 16)
KLP_OFFSET(klp_glue_func, sympos, 24)

KLP_SIZE(klp_glue_object, 40)
KLP_OFFSET(klp_glue_object, name, 0)
KLP_OFFSET(klp_glue_object, pre_patch, 8)
KLP_OFFSET(klp_glue_object, post_patch, 16)
KLP_OFFSET(klp_glue_object, pre_unpatch, 24)
KLP_OFFSET(klp_glue_object, post_unpatch, 32)

KLP_SIZE(klp_glue_native, 16)
KLP_OFFSET(klp_glue_native, id, 0)
KLP_OFFSET(klp_glue_native, version, 8)

KLP_SIZE(klp_glue_shadow, 80)
KLP_OFFSET(klp_glue_shadow, id, 0)
KLP_OFFSET(klp_glue_shadow, state, 8)
KLP_OFFSET(klp_glue_shadow, flags, 16)
KLP_OFFSET(klp_glue_shadow, name, 24)
KLP_OFFSET(klp_glue_shadow, of, 32)
KLP_OFFSET(klp_glue_shadow, object, 40)
KLP_OFFSET(klp_glue_shadow, layout, 48)
KLP_OFFSET(klp_glue_shadow, destroy, 72)

KLP_SIZE(klp_glue_hook, 16)
KLP_OFFSET(klp_glue_hook, init, 0)
KLP_OFFSET(klp_glue_hook, exit, 8)

KLP_SIZE(klp_glue_tables, 112)
KLP_OFFSET(klp_glue_tables, flags, 0)
KLP_OFFSET(klp_glue_tables, replace, 4)
KLP_OFFSET(klp_glue_tables, series, 8)
KLP_OFFSET(klp_glue_tables, revision, 16)
KLP_OFFSET(klp_glue_tables, funcs, 24)
KLP_OFFSET(klp_glue_tables, nr_funcs, 32)
KLP_OFFSET(klp_glue_tables, objects, 40)
KLP_OFFSET(klp_glue_tables, nr_objects, 48)
KLP_OFFSET(klp_glue_tables, natives, 56)
KLP_OFFSET(klp_glue_tables, nr_natives, 64)
KLP_OFFSET(klp_glue_tables, states, 72)
KLP_OFFSET(klp_glue_tables, nr_states, 80)
KLP_OFFSET(klp_glue_tables, shadows, 88)
KLP_OFFSET(klp_glue_tables, nr_shadows, 96)
KLP_OFFSET(klp_glue_tables, block, 104)
