# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Included where Kbuild links modules, through .NAME.mod.o.cmd, which `cargo klp
# object` writes: has the command klp-finish finish the modules in klp-kos. It has
# to be the last step, so BTF is made before.
#
# Kbuild's own commands make a module of another name, and only what klp-finish
# has checked, and signed with KLP_SIGN_KEY and KLP_SIGN_CERT, gets the module's
# name: KLP_OUTPUT, by default.

ifndef klp-final
klp-final := y

klp-is-ours = $(filter $(klp-kos),$(abspath $@))
klp-unfinished = $(@D)/.$(@F).unfinished

# Kbuild's commands as they are, and for the unfinished module.
$(eval klp_ld_ko_o = $(value cmd_ld_ko_o))
$(eval klp_ld_unfinished = $(subst $$@,$$(klp-unfinished),$(value cmd_ld_ko_o)))

ifdef CONFIG_DEBUG_INFO_BTF_MODULES
$(eval klp_btf_ko = $(value cmd_btf_ko))
# Several threads of pahole number the types as it happens.
klp-pahole-flags = $(filter-out -j -j%,$(PAHOLE_FLAGS))
$(eval klp_btf_unfinished = $(subst $$@,$$(klp-unfinished),$(subst $$(PAHOLE_FLAGS),$$(klp-pahole-flags),\
	$(value cmd_btf_ko))))
cmd_btf_ko = $(if $(klp-is-ours),true,$(klp_btf_ko))
endif

cmd_ld_ko_o = $(if $(klp-is-ours),$(klp_ld_unfinished); $(klp_btf_unfinished) \
	$(klp-finish) $(klp-signing) $(klp-unfinished) $(or $(KLP_OUTPUT),$@),$(klp_ld_ko_o))

# The command names the key, so that make runs it again where another one is given; and where the certificate is newer.
klp-signing = $(if $(KLP_SIGN_KEY)$(KLP_SIGN_CERT),\
	--kdir $(abspath $(objtree)) --key '$(KLP_SIGN_KEY)' --cert '$(KLP_SIGN_CERT)')
$(modules:%.o=%.ko): $(wildcard $(KLP_SIGN_CERT))

endif
