# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Included where Kbuild links modules, through .NAME.mod.o.cmd, which `cargo klp
# object` writes: makes the livepatch relocations of the modules in klp-kos,
# with the command klp-finish. It has to be the last step, so BTF is made before.

ifndef klp-final
klp-final := y

klp-is-ours = $(filter $(klp-kos),$(abspath $@))

ifdef CONFIG_DEBUG_INFO_BTF_MODULES
$(eval klp_cmd_btf_ko = $(value cmd_btf_ko))
cmd_btf_ko = $(if $(klp-is-ours),true,$(klp_cmd_btf_ko))
endif

cmd_ld_ko_o += $(if $(klp-is-ours),; $(klp_cmd_btf_ko) $(klp-finish) $@)

endif
