/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/compiler.h>

/* Not inlined, and its callers know nothing of its body. Clang has no single attribute for that. */
#if __has_attribute(noipa)
#define opaque __attribute__((noipa))
#else
#define opaque noinline __used
#endif

int klp_test_hidden_other(void);
