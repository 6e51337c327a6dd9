/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The part of klp_glue_helpers.h behind klp_runtime::syscall, for x86. */

#ifdef KLP_USES_klp_glue_syscall_native
void klp_glue_syscall_native(const struct pt_regs *regs, u64 args[6])
{
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
	args[4] = regs->r8;
	args[5] = regs->r9;
}
#endif

#ifdef KLP_USES_klp_glue_syscall_compat
void klp_glue_syscall_compat(const struct pt_regs *regs, u32 args[6])
{
	args[0] = regs->bx;
	args[1] = regs->cx;
	args[2] = regs->dx;
	args[3] = regs->si;
	args[4] = regs->di;
	args[5] = regs->bp;
}
#endif

#ifdef KLP_USES_klp_glue_syscall_registers
bool klp_glue_syscall_registers(const u64 args[6], struct pt_regs *regs)
{
	/* The room that Rust has for them. */
	BUILD_BUG_ON(sizeof(*regs) > 21 * sizeof(u64));

	*regs = *current_pt_regs();
	if (in_ia32_syscall()) {
		regs->bx = (u32)args[0];
		regs->cx = (u32)args[1];
		regs->dx = (u32)args[2];
		regs->si = (u32)args[3];
		regs->di = (u32)args[4];
		regs->bp = (u32)args[5];
		return true;
	}
	regs->di = args[0];
	regs->si = args[1];
	regs->dx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
	return false;
}
#endif
