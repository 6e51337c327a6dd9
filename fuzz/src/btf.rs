//! BTF: every prototype and every layout, in C and in Rust.

use std::cell::RefCell;
use std::io::Write;

use klp_btf::{Result, Types, Writer};
use tempfile::NamedTempFile;

/// Types are looked at this often for each input.
const TYPES: usize = 100;

/// Writes all types; the input continues itself as a module's types continue those of a kernel.
pub fn run(data: &[u8]) {
    thread_local! {
        static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().expect("a file can be made"));
    }
    // Types are mapped from a file.
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).and_then(|()| file.reopen()?.write_all(data)).expect("it can be written");
        let Ok(types) = Types::open(file.path()) else { return };
        let _ = functions(&types);
        let _ = structures(&types);
        if let Ok(module) = types.module(data) {
            let _ = functions(&module);
            let _ = structures(&module);
        }
    });
}

fn functions(types: &Types) -> Result<()> {
    let mut writer = Writer::new(types, "::klp_runtime::ffi::", ["file"], "::klp_runtime::types::");
    for prototype in types.functions()?.iter().take(TYPES) {
        let _ = types.c_prototype(prototype);
        let _ = writer.function(prototype);
        let _ = types.prototypes(&prototype.name);
        let ids = prototype.parameters.iter().map(|(_, id)| *id).chain([prototype.returns]);
        for id in ids {
            let _ = types.class(id);
        }
    }
    let _ = writer.items();
    Ok(())
}

fn structures(types: &Types) -> Result<()> {
    let mut writer = Writer::new(types, "", [], "");
    for (name, id) in types.structures()?.iter().take(TYPES) {
        let _ = types.find(name);
        if let Ok(fields) = types.fields(*id) {
            let _ = writer.reserve_part(name, *id, fields, "");
            let _ = writer.part(*id);
        }
        let _ = writer.whole(name, *id, "");
        let _ = types.align(*id);
        let _ = types.size_of(*id);
    }
    for id in 0..TYPES as u32 {
        if let Ok(Some(enumerators)) = types.enumerators(id) {
            let _ = writer.constants("E", id);
            for (name, _) in enumerators.iter().take(1) {
                let _ = types.enumerator(name);
            }
        }
        let _ = writer.value(id);
        let _ = types.c_declaration(id, "x");
    }
    let _ = writer.finish();
    Ok(())
}
