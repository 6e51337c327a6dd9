// SPDX-License-Identifier: GPL-2.0-only
#include "hidden.h"

static opaque int klp_test_hidden_which(void)
{
	int which = 2;

	/* Clang would have the caller take it for that. */
	OPTIMIZER_HIDE_VAR(which);
	return which;
}

int klp_test_hidden_other(void)
{
	return klp_test_hidden_which();
}
