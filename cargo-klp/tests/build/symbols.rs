//! Symbols that a patch needs, and those that it declares.

use std::fs;

use super::{LIVEPATCH, Probe, assert_refused, result};

#[test]
fn a_symbol_that_the_kernel_does_not_export() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn no_kernel_has_this(); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ unsafe {{ no_kernel_has_this() }}; 0 }}
"
    ));
    let why = "src/lib.rs:7: `no_kernel_has_this` does not exist as a symbol, and no header of the kernel defines it";
    assert_refused(patch.build(), 1, &[why]);
}

/// What the compiler calls by itself, and what C's headers have: each with its place and what to write.
#[test]
fn symbols_that_no_kernel_has() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn cmdline_proc_show(m: *mut seq_file, v: *mut c_void) -> c_int; fn spin_lock();
    fn sock_put(); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, v: *mut c_void) -> c_int {{
    let float = v.addr() as f64 * 1.5;
    let large = (v.addr() as u128) << 64 | 7;
    let half = (large / (m.addr() as u128 | 1)) as c_int;
    unsafe {{ spin_lock(); sock_put() }};
    float as c_int + half + unsafe {{ cmdline_proc_show(m, v) }}
}}
"
    ));
    let texts = [
        "src/lib.rs:9: `__floatundidf` is called for floating-point numbers",
        "src/lib.rs:11: `__udivti3` is called to multiply, divide or shift 128-bit numbers",
        "src/lib.rs:12: `spin_lock` has no symbol: use `klp_runtime::sync::kernel::spin_lock`",
        "src/lib.rs:12: `sock_put` has no symbol: it is an inline function of `net/sock.h`: write `use \"net/sock.h\"; \
         inline fn sock_put;` in `kernel_types!`",
        "src/lib.rs:13: `cmdline_proc_show` exists but is not exported: write `#[klp_symbols]` above",
    ];
    assert_refused(patch.build(), 1, &texts);
}

/// A crate that declares symbols. They are looked up though nothing uses them.
fn symbols(declared: &str) -> Probe {
    Probe::new(&format!("{LIVEPATCH}{declared}\n"))
}

#[test]
fn symbols_that_are_exported() {
    let patch =
        symbols("#[klp_symbols]\nunsafe extern \"C\" { fn seq_printf(); static system_state: c_int; }");
    let said =
        |name| format!("`{name}` is exported by vmlinux: declare it in a plain `unsafe extern \"C\"` block");
    assert_refused(patch.build(), 1, &[&said("seq_printf"), &said("system_state")]);
}

#[test]
fn symbols_that_do_not_exist() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" {
             fn cmdline_proc_shaw();
             fn sock_put();
             static qqqqqqqqqqqqqqqqqqqq: c_int;
             #[klp(static_of = \"do_coredumq\")] static core_dump_count: c_int;
             #[klp(static_of = \"do_coredump\")] static core_dump_coun: c_int;
             #[klp(static_of = \"version_proc_show\", symbol = \"core_dump_count\")] static other: c_int;
         }",
    );
    assert_refused(
        patch.build(),
        1,
        &[
            "`cmdline_proc_shaw` does not exist in vmlinux: the nearest name there is cmdline_proc_show",
            "`sock_put` does not exist in vmlinux: it is an inline function of `net/sock.h`",
            "`qqqqqqqqqqqqqqqqqqqq` does not exist in vmlinux: nothing there has a similar name",
            "`do_coredumq` does not exist in vmlinux, so `core_dump_count` can't be found by it: the nearest name there is \
             do_coredump",
            "`core_dump_coun` of `do_coredump` does not exist in vmlinux: no variable there has that name and a number after it",
            "`core_dump_count` of `version_proc_show` is not found in vmlinux: the function's code refers to none of these",
            "6.12.",
        ],
    );
}

#[test]
fn symbols_that_are_not_unique() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" {
             fn c_start();
             #[klp(sympos = 9, symbol = \"c_start\")] fn ninth();
             #[klp(sympos = 3, symbol = \"c_start\")] fn third();
         }",
    );
    assert_refused(
        patch.build(),
        1,
        &[
            "`c_start` is not unique in vmlinux: write `#[klp(sympos = …)]` with the position of the one you mean:",
            "sympos = 1: `t` at 0xffffffff8",
            "sympos = 2: `t` at 0xffffffff8",
            "sympos = 3: `t` at 0xffffffff8",
            ", between ",
            "`c_start` has no position 9 in vmlinux: write `#[klp(sympos = …)]` with one of these positions:",
        ],
    );
}

#[test]
fn symbols_that_are_something_else() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" {
             static cmdline_proc_show: c_int;
             fn saved_command_line();
             fn start_kernel();
             static mut runqueues: c_int;
         }",
    );
    assert_refused(
        patch.build(),
        1,
        &[
            "`cmdline_proc_show` of vmlinux is code: declare it as `fn`",
            "`saved_command_line` of vmlinux is data: declare it as `static`",
            "`start_kernel` of vmlinux can't be used: it is `__init`, which the kernel frees after boot",
            "`runqueues` of vmlinux is a per-CPU variable: its address is an offset",
            "declare a function of vmlinux that reads or writes it",
        ],
    );
}

#[test]
fn symbols_of_an_object_that_is_not_there() {
    let refused = |object, texts: &[&str]| {
        let block = format!("#[klp_symbols(object = {object:?})]\nunsafe extern \"C\" {{ fn f(); }}");
        assert_refused(symbols(&block).build(), 1, texts);
    };
    refused("no_such_module", &["has no module `no_such_module`: ", "--module PATH"]);
    refused("amd_uncore", &["has no module `amd_uncore`: it is built in", "leave `object` out"]);
    refused("nf_tables", &["`f` does not exist in nf_tables"]);
}

/// A module's exports are not for a plain block: it may come later.
#[test]
fn symbols_that_a_module_exports() {
    let patch = symbols(
        "#[klp_symbols(object = \"nf_tables\")]\nunsafe extern \"C\" { fn nft_do_chain(); }
         #[klp_func(symbol = \"cmdline_proc_show\")]
         unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int { unsafe { nft_do_chain() }; 0 }",
    );
    let (code, said) = result(&mut patch.build());
    assert_eq!(code, 0, "{said}");
}

/// Plain make does all of it, from a Kbuild as `cargo klp new` writes it.
#[test]
fn symbols_by_plain_make() {
    let patch = symbols(
        "#[klp_symbols]\nunsafe extern \"C\" { static saved_command_line: *const c_char; }
         #[klp_func(symbol = \"cmdline_proc_show\")]
         unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {
             unsafe { (saved_command_line.addr() % 2) as c_int }
         }",
    );
    patch.write_kbuild();
    let make = |arguments: &[&str]| {
        let (code, said) = result(&mut patch.make(arguments));
        assert_eq!(code, 0, "{said}");
    };
    let needs = || {
        cargo_klp::patch::inspect::inspect(&patch.0.path().join("symbols_by_plain_make.ko")).unwrap().symbols
    };
    for _ in 0..2 {
        make(&["modules"]);
        let [symbol] = &*needs().livepatch else { panic!("{:?}", needs()) };
        assert_eq!((&*symbol.symbol, symbol.resolved), ("saved_command_line", true));
    }
    make(&["clean"]);
    let left: Vec<_> =
        fs::read_dir(patch.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".ko")), "{left:?}");
    // Linked without the last step it would load, with NULL for the symbol: the glue refuses it.
    make(&["modules", "klp-finish=mv"]);
    assert!(!needs().livepatch[0].resolved);
}

#[test]
fn originals_that_can_not_be_called() {
    let patch = symbols(
        "macro_rules! redirect { ($($symbol:literal $name:ident $original:ident)*) => { $(
             #[klp_func(symbol = $symbol, original = $original)]
             unsafe extern \"C\" fn $name() { unsafe { $original() } }
         )* } }
         redirect! {
             \"entry_SYSCALL_64\" a original_a
             \"c_start\" b original_b
             \"pipe_max_size\" c original_c
             \"cmdline_proc_shaw\" d original_d
         }",
    );
    let texts = [
        "`entry_SYSCALL_64` of vmlinux can't be redirected: it has no ftrace entry",
        "`c_start` is not unique in vmlinux: write `sympos = …` with the position of the one you mean:",
        "`pipe_max_size` of vmlinux can't be redirected: it is data",
        "`cmdline_proc_shaw` does not exist in vmlinux: the nearest name there is cmdline_proc_show",
    ];
    assert_refused(patch.build(), 1, &texts);
}
