// SPDX-License-Identifier: GPL-2.0-only
#include "hidden.h"

static __attribute__((noipa)) int klp_test_hidden_which(void)
{
	return 2;
}

int klp_test_hidden_other(void)
{
	return klp_test_hidden_which();
}
