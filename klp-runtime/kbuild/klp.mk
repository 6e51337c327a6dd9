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

klp-name := $(basename $(firstword $(obj-m)))
klp-dir := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

KLP_CRATE ?= $(src)
CARGO_KLP ?= cargo klp

$(klp-name)-y := $(klp-name)_rust.o $(klp-name)_glue.o

# cargo knows whether the object is up to date: it is asked every time, and
# leaves the file alone if so. The kernel's Makefile exports RUSTC_BOOTSTRAP, with
# which cargo would build an alias for `cargo klp` anew, and its libraries in place.
# objtool sees a module as a whole where the kernel asks for that (delay-objtool),
# else the object here.
# modpost makes a module's srcversion of the sources that the .cmd files name. For the Rust half that is a
# file with the digest of its object.
$(obj)/$(klp-name)_rust.o: private objtool-enabled = $(if $(delay-objtool),,y)
$(obj)/$(klp-name)_rust.o: FORCE
	+$(Q)env -u RUSTC_BOOTSTRAP $(CARGO_KLP) object --manifest-path $(KLP_CRATE)/Cargo.toml --kdir $(abspath $(objtree)) \
		--kbuild $(klp-dir) --kbuild-rustflags="$(KBUILD_RUSTFLAGS)" --header $(obj)/$(klp-name)_klp.h \
		$(addprefix --module ,$(abspath $(KLP_MODULES))) \
		$(addprefix --debug-info ,$(abspath $(KLP_DEBUG_INFO))) \
		$(addprefix --unknown-module ,$(KLP_UNKNOWN_MODULES)) --ko $(abspath $(obj)/$(klp-name).ko) \
		--objtool "$(if $(objtool-enabled),$(objtool) $(objtool-args))" --output $@
	@echo 'source_$@ := $(@:.o=.id)' > $(obj)/.$(klp-name)_rust.o.cmd

# A warning of objtool is an error, each time: otherwise make would go on, and take the object for good
# the next time.
$(obj)/$(klp-name).o $(obj)/$(klp-name)_glue.o: private cmd_objtool = $(if $(objtool-enabled), ; \
	$(CARGO_KLP) objtool -- $(objtool) $(objtool-args) $@)

$(obj)/$(klp-name)_klp.h: $(obj)/$(klp-name)_rust.o ;

filechk_klp_glue = echo '\#include "klp_glue.c"'
$(obj)/$(klp-name)_glue.c: FORCE
	$(call filechk,klp_glue)

$(obj)/$(klp-name)_glue.o: $(obj)/$(klp-name)_klp.h $(klp-dir)/klp_glue.c
# No path of this machine in the names of files that the glue itself has.
CFLAGS_$(klp-name)_glue.o := -I $(klp-dir) -include $(obj)/$(klp-name)_klp.h -fmacro-prefix-map=$(klp-dir)/= \
	-fmacro-prefix-map=$(obj)/=

clean-files := $(klp-name)_rust.o $(klp-name)_rust.id $(klp-name)_rust.warnings $(klp-name)_glue.c $(klp-name)_klp.h \
	.$(klp-name).ko.unfinished $(addprefix .$(klp-name).klp_,record begun previous)
