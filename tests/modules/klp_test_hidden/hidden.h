/* SPDX-License-Identifier: GPL-2.0-only */
int klp_test_hidden_other(void);
