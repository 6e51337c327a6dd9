//! C files of a patch: part of the module by both ways of building, and held to what the kernel has.

use std::fs;
use std::path::PathBuf;

use super::{LIVEPATCH, Probe, assert_refused, name_of_this_test, result};

/// A replacement whose body is C.
const BODY: &str = "
#[klp_func(symbol = \"cmdline_proc_show\", original = original_show)]
unsafe extern \"C\" fn show(m: *mut seq_file, v: *mut c_void) -> c_int;
";

impl Probe {
    fn with_c(source: &str, c: &str) -> Self {
        let patch = Self::new(&format!("{LIVEPATCH}{source}"));
        patch.write("src/show.c", c);
        patch
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.path().join(path), text).unwrap();
    }
}

/// A body that uses what the kernel does not export, a symbol that Rust declares, the original, and another file.
fn show(text: &str) -> String {
    format!(
        "#include <linux/init.h>\n#include <linux/sched/stat.h>\n#include <linux/seq_file.h>\n#include \"klp_patch.h\"\n\
         #include \"own.h\"\nvoid *second_start(struct seq_file *m, loff_t *position);\n\
         int show(struct seq_file *m, void *v)\n{{\n\tloff_t position = 0;\n\n\tpr_info(\"{text}\\n\");\n\
         \tif (!m)\n\t\tsecond_start(m, &position);\n\tseq_printf(m, \"%s %d\\n\", saved_command_line, nr_processes());\n\
         \treturn help(position) + original_show(m, v);\n}}\n"
    )
}

/// Both ways of building make the same module of C files and their headers, and again where one changes.
#[test]
fn c_files_are_part_of_the_module() {
    let second_start = "
#[klp_symbols]
unsafe extern \"C\" {
    #[klp(symbol = \"c_start\", sympos = 2)]
    pub fn second_start(m: *mut seq_file, position: *mut i64) -> *mut c_void;
}
";
    let patch = Probe::with_c(&format!("{BODY}{second_start}"), &show("first"));
    patch.write("src/own.h", "int help(long position);\n");
    let help =
        "#include <linux/types.h>\n#include \"own.h\"\nint help(long position)\n{\n\treturn position;\n}\n";
    patch.write("src/help.c", help);
    patch.write_kbuild();
    let by_cargo = || {
        let output = patch.build().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())).unwrap()
    };
    let ko = patch.0.path().join(format!("{}.ko", name_of_this_test()));
    let by_make = || {
        let (code, said) = result(&mut patch.make(&[]));
        assert_eq!(code, 0, "{said}");
        fs::read(&ko).unwrap()
    };
    let first = by_cargo();
    assert!(first == by_make(), "the two ways of building make two modules");
    let needs = cargo_klp::patch::inspect::inspect(&ko).unwrap().symbols.livepatch;
    let needs: Vec<_> = needs.iter().map(|symbol| (&*symbol.symbol, symbol.sympos)).collect();
    assert_eq!(
        needs,
        [("c_start", 2), ("cmdline_proc_show", 0), ("nr_processes", 0), ("saved_command_line", 0)]
    );
    let path = patch.0.path().to_str().unwrap().as_bytes();
    assert!(!first.windows(path.len()).any(|bytes| bytes == path), "the path of the crate is in the module");

    patch.write("src/show.c", &show("second"));
    let second = by_cargo();
    assert!(first != second && second == by_make(), "another C file");
    patch.write("src/own.h", "static inline int help(long position)\n{\n\treturn 7;\n}\n");
    fs::remove_file(patch.0.path().join("src/help.c")).unwrap();
    let third = by_cargo();
    assert!(second != third && third == by_make(), "another header, and a C file less");
}

/// What a C file leaves undefined is found, or its line says what to write.
#[test]
fn symbols_that_c_can_not_have() {
    let c = "#include <linux/seq_file.h>\n#include \"klp_patch.h\"\n\
             void c_stop(struct seq_file *m, void *v);\nint nft_chain_del(void *);\nint none_of_this_name(void);\n\
             int show(struct seq_file *m, void *v)\n{\n\tc_stop(m, v);\n\treturn nft_chain_del(v)\n\
             \t\t+ none_of_this_name();\n}\n";
    let patch = Probe::with_c(BODY, c);
    let texts = [
        "src/show.c:8: `c_stop` is not unique in vmlinux",
        "`#[klp_symbols] unsafe extern \"C\" { #[klp(symbol = \"c_stop\", sympos = …)] fn my_c_stop(…); }`",
        "sympos = 2: `t` at",
        "src/show.c:9: `nft_chain_del` is a symbol of the module nf_tables, which the patch does not name",
        "src/show.c:10: `none_of_this_name` does not exist as a symbol",
    ];
    assert_refused(patch.build(), 1, &texts);
    patch.write_kbuild();
    assert_refused(patch.make(&[]), 2, &texts);
}

/// A body is defined by one of the files, for all of the module, and has the prototype of what it replaces.
#[test]
fn bodies_that_no_c_file_has() {
    let patch = Probe::new(&format!("{LIVEPATCH}{BODY}"));
    assert_refused(
        patch.build(),
        1,
        &["src/lib.rs:5:21: the body of `show` is C, and the patch has no C file"],
    );
    patch.write("src/show.c", "#include <linux/types.h>\nint other;\n");
    assert_refused(
        patch.build(),
        1,
        &["src/lib.rs:5:21: the body of `show` is C, and src/show.c does not define it"],
    );
    let body =
        "#include <linux/seq_file.h>\nstatic int __used show(struct seq_file *m, void *v) { return 0; }\n";
    patch.write("src/show.c", body);
    assert_refused(
        patch.build(),
        1,
        &["src/lib.rs:5:21: `show` of src/show.c is `static`: leave `static` out"],
    );
    let body = "#include <linux/seq_file.h>\n#include \"klp_patch.h\"\nlong show(struct seq_file *m) { return 0; }\n";
    patch.write("src/show.c", body);
    assert_refused(patch.build(), 1, &["src/show.c:3:", "conflicting types for"]);
}

/// Structures that only a C file of the kernel has are taken from BTF, and held to their layout by the compiler.
#[test]
fn structures_that_no_header_has() {
    let asked = |names: &[&str]| -> String {
        let item = |name| format!("#[klp_c(object = \"sch_netem\")]\npub struct {name};\n");
        names.iter().map(item).collect()
    };
    let names = ["crndstate", "prng", "clgstate", "slotstate", "disttable", "netem_sched_data"];
    let c = "#include <linux/seq_file.h>\n#include <net/sch_generic.h>\n#include <net/pkt_sched.h>\n\
             #include <linux/prandom.h>\n#include <linux/reciprocal_div.h>\n#include \"klp_patch.h\"\n\
             int show(struct seq_file *m, void *v)\n{\n\tstruct netem_sched_data *q = v;\n\n\
             \treturn q->latency + q->delay_dist->size + q->clg.a1;\n}\n";
    let patch = Probe::with_c(&format!("{BODY}{}", asked(&names)), c);
    let (code, said) = result(&mut patch.build());
    assert_eq!(code, 0, "{said}");
    let patch = Probe::with_c(&format!("{BODY}{}", asked(&["netem_shed_data"])), c);
    assert_refused(
        patch.build(),
        1,
        &["src/lib.rs:8:12: sch_netem has no structure `netem_shed_data` in its BTF"],
    );
}
