//! Exports in a symbol namespace: what to write is said wherever one is used, and ends in a module that loads.

use std::fs;

use klp_module::Modinfo;

use super::{Probe, assert_refused};

/// A patch that calls a function, with more keys in `livepatch!`.
fn patch(keys: &str, declaration: &str, called: &str) -> Probe {
    Probe::new(&format!(
        "#![no_std]
use klp_runtime::prelude::*;
livepatch! {{ license: \"GPL\", authors: [\"a\"], description: \"d\"{keys} }}
{declaration}
unsafe extern \"C\" {{ fn {called}(_: *mut c_void); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, v: *mut c_void) -> c_int {{ unsafe {{ {called}(v) }}; 0 }}
"
    ))
}

#[test]
fn a_namespace_that_is_not_imported() {
    let why = "src/lib.rs:7: `dma_buf_put` is exported in the symbol namespace DMA_BUF: write `imports_ns: [\"DMA_BUF\"]` \
               in `livepatch!`";
    assert_refused(patch("", "", "dma_buf_put").build(), 1, &[why]);
    let declared = "`dma_buf_put` is exported by vmlinux: declare it in a plain `unsafe extern \"C\"` block, without \
                    `#[klp_symbols]`, and write `imports_ns: [\"DMA_BUF\"]` in `livepatch!`";
    assert_refused(patch("", "#[klp_symbols]", "dma_buf_put").build(), 1, &[declared]);
}

/// modpost and the kernel find the namespace in the same line of `.modinfo` as that of C's `MODULE_IMPORT_NS`.
#[test]
fn a_namespace_that_is_imported() {
    let output = patch(", imports_ns: [\"DMA_BUF\"]", "", "dma_buf_put").build().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let module = fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    let modinfo = Modinfo::read(&object::File::parse(&*module).unwrap()).unwrap();
    assert_eq!(modinfo.all("import_ns").collect::<Vec<_>>(), ["DMA_BUF"]);
}

/// What is exported for some modules only is a symbol like any other that a patch can't import.
#[test]
fn an_export_for_other_modules() {
    let name = "anon_inode_make_secure_inode";
    let why = format!(
        "`{name}` is exported for some modules only (module:kvm): declare it in an `unsafe extern \"C\"` block"
    );
    assert_refused(patch("", "", name).build(), 1, &[&why]);
    let output = patch("", "#[klp_symbols]", name).build().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
