# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# Included by a patch's Kbuild behind `obj-m := NAME.o`: makes NAME.ko of the
# patch crate and the C glue.
#
#   KLP_CRATE   the directory of the patch crate; by default that of the Kbuild
#   CARGO_KLP   the command; by default `cargo klp`
#   KLP_MODULES modules that are not the kernel's own and that the patch needs
#               symbols of: the paths of their .ko files
#   KLP_DEBUG_INFO files with debug information of the kernel or of modules
#   KLP_UNKNOWN_MODULES names of modules that this machine lacks
#   KLP_SIGN_KEY, KLP_SIGN_CERT the key (an absolute path, or a PKCS#11 URI) and the
#               certificate that sign the module

klp-name := $(basename $(firstword $(obj-m)))
klp-dir := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

# Kbuild's own steps would fail one after the other, and not say what to do.
ifeq ($(shell test -w $(obj) && echo yes),)
$(error cannot write to $(obj): copy the patch to another directory, or use `cargo klp build` with CARGO_TARGET_DIR)
endif

KLP_CRATE ?= $(src)
CARGO_KLP ?= cargo klp

# A reference to what is gone after init is an error, also where the kernel's configuration has modpost only warn of it.
CONFIG_SECTION_MISMATCH_WARN_ONLY :=

# The C files of the patch: src/*.c of the crate.
klp-c := $(notdir $(basename $(wildcard $(KLP_CRATE)/src/*.c)))
klp-c-objects := $(patsubst %,$(obj)/$(klp-name)_c_%.o,$(klp-c))

$(klp-name)-y := $(klp-name)_rust.o $(if $(klp-c),$(klp-name)_c.o) $(klp-name)_glue.o

# What the module is built for.
klp-target = --kdir $(abspath $(objtree)) \
	$(addprefix --module ,$(abspath $(KLP_MODULES))) \
	$(addprefix --debug-info ,$(abspath $(KLP_DEBUG_INFO))) \
	$(addprefix --unknown-module ,$(KLP_UNKNOWN_MODULES)) \
	$(if $(KLP_SIGN_KEY)$(KLP_SIGN_CERT),--key '$(KLP_SIGN_KEY)' --cert '$(KLP_SIGN_CERT)')

# cargo knows whether the object is up to date: it is asked every time, and
# leaves the file alone if so. The kernel's Makefile exports RUSTC_BOOTSTRAP, with
# which cargo would build an alias for `cargo klp` anew, and its libraries in place.
# objtool sees a module as a whole where the kernel asks for that (delay-objtool),
# else the object here.
# modpost makes a module's srcversion of the sources that the .cmd files name. For the Rust half that is a
# file with the digest of its object.
$(obj)/$(klp-name)_rust.o: private objtool-enabled = $(if $(delay-objtool),,y)
$(obj)/$(klp-name)_rust.o: FORCE
	+$(Q)env -u RUSTC_BOOTSTRAP $(CARGO_KLP) object --manifest-path $(KLP_CRATE)/Cargo.toml $(klp-target) \
		--kbuild $(klp-dir) --kbuild-rustflags="$(KBUILD_RUSTFLAGS)" --header $(obj)/klp_patch.h \
		--ko $(abspath $(obj)/$(klp-name).ko) --objtool "$(if $(objtool-enabled),$(objtool) $(objtool-args))" --output $@
	@echo 'source_$@ := $(@:.o=.id)' > $(obj)/.$(klp-name)_rust.o.cmd

# A warning of objtool is an error, each time: otherwise make would go on, and take the object for good
# the next time.
$(obj)/$(klp-name).o $(obj)/$(klp-name)_glue.o $(klp-c-objects): private cmd_objtool = $(if $(objtool-enabled), ; \
	$(CARGO_KLP) objtool -- $(objtool) $(objtool-args) $@)

# The patch's C files, compiled as a part of the module. They see what the patch has for them in klp_patch.h.
$(obj)/klp_patch.h: $(obj)/$(klp-name)_rust.o ;

targets += $(notdir $(klp-c-objects))
$(foreach file,$(klp-c),$(eval CFLAGS_$(klp-name)_c_$(file).o := -I $(obj) -fmacro-prefix-map=$(KLP_CRATE)/=))
$(klp-c-objects): private part-of-module := y
$(klp-c-objects): private __modname := $(klp-name)
$(klp-c-objects): $(obj)/$(klp-name)_c_%.o: $(KLP_CRATE)/src/%.c $(obj)/klp_patch.h FORCE
	$(call if_changed_rule,cc_o_c)

# Once all parts are compiled, what each leaves undefined can be found: it is looked up every time, and the files
# are left alone where nothing is new. modpost makes the srcversion of these sources.
$(obj)/$(klp-name)_klp.h: $(obj)/$(klp-name)_rust.o $(klp-c-objects) FORCE
	+$(Q)env -u RUSTC_BOOTSTRAP $(CARGO_KLP) symbols --manifest-path $(KLP_CRATE)/Cargo.toml $(klp-target) \
		--rust $(obj)/$(klp-name)_rust.o --c-output $(obj)/$(klp-name)_c.o --header $@ $(klp-c-objects)
	$(if $(klp-c),@printf 'source_$(obj)/$(klp-name)_c.o := %s\n' $(wildcard $(KLP_CRATE)/src/*.[ch]) \
		> $(obj)/.$(klp-name)_c.o.cmd)

$(obj)/$(klp-name)_c.o: $(obj)/$(klp-name)_klp.h ;

filechk_klp_glue = echo '\#include "klp_glue.c"'
$(obj)/$(klp-name)_glue.c: FORCE
	$(call filechk,klp_glue)

$(obj)/$(klp-name)_glue.o: $(obj)/$(klp-name)_klp.h $(klp-dir)/klp_glue.c
# No path of this machine in the names of files that the glue itself has.
CFLAGS_$(klp-name)_glue.o := -I $(klp-dir) -include $(obj)/$(klp-name)_klp.h -fmacro-prefix-map=$(klp-dir)/= \
	-fmacro-prefix-map=$(obj)/=

clean-files := $(klp-name)_rust.o $(klp-name)_rust.id $(klp-name)_rust.warnings $(klp-name)_rust.notes $(klp-name)_glue.c $(klp-name)_klp.h klp_patch.h \
	.$(klp-name).ko.unfinished $(addprefix .$(klp-name).klp_,record begun previous make)
