//! Kernel types in Rust: on structures that are picked at random, the same each time, and on the largest.
//!
//! Needs kernels 6.12 and 6.1: `cargo klp doctor --fix --kernel 6.12` gets them.

mod support;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use cargo_klp::host::report::Silent;
use klp_btf::{Layout, Types, Writer, identifier};
use klp_format::env;
use support::{kernel, klp, shuffle, succeed, target, target_directory, write_crate};
use tempfile::TempDir;

/// So many structures of each kernel, and so many of the largest.
const COUNT: usize = 100;
const LARGEST: usize = 20;

/// Modules with structures of their own, and so many of each.
const MODULES: [&str; 4] = ["nf_tables", "xfs", "ext4", "loop"];
const COUNT_OF_MODULE: usize = 5;

/// A patch crate with some items.
fn patch(name: &str, items: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), name, items);
    directory
}

/// It, checked as cargo and editors do it.
fn check(name: &str, items: &str, btf: Option<&Path>) -> Output {
    let (_directory, mut cargo) = cargo_check(name, items);
    if let Some(btf) = btf {
        cargo.env(env::BTF, btf);
    }
    cargo.output().unwrap()
}

/// Its directory, and `cargo check` there, without a kernel that is named.
fn cargo_check(name: &str, items: &str) -> (TempDir, Command) {
    let directory = patch(name, items);
    let mut cargo = Command::new("cargo");
    cargo.arg("check").current_dir(&directory).env("RUSTFLAGS", "");
    cargo.env_remove(env::BTF).env_remove(env::TYPES);
    cargo.env("CARGO_TARGET_DIR", target_directory());
    (directory, cargo)
}

/// What `cargo klp check` makes of it.
fn klp_check(directory: &TempDir, arguments: &[&str]) -> Output {
    let mut check = klp();
    check.arg("check").args(arguments).arg("--manifest-path").arg(directory.path().join("Cargo.toml"));
    check.env("CARGO_TARGET_DIR", target_directory()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The path and the place of each field of a structure, also of its parts without a name.
fn places(types: &Types, layout: &Layout, path: &str, start: u64, places: &mut Vec<(String, u64)>) {
    for (number, field) in layout.fields.iter().enumerate().filter(|(_, field)| field.bits.is_none()) {
        let offset = start + field.offset / 8;
        if !field.name.is_empty() {
            places.push((format!("{path}{}", identifier(&field.name)), offset));
        } else if let Some(inner) = types.layout(field.id).unwrap() {
            self::places(types, &inner, &format!("{path}__anonymous_{number}."), offset, places);
        }
    }
}

/// The structures that have a name of their own, the largest first.
fn structures(types: &Types) -> Vec<(Layout, String, u32)> {
    let mut by_name = BTreeMap::<_, Vec<_>>::new();
    for (name, id) in types.structures().unwrap() {
        by_name.entry(name).or_default().push(id);
    }
    // Of several of one name, which is meant can't be said.
    let unique = by_name.into_iter().filter(|(_, ids)| ids.len() == 1).map(|(name, ids)| (name, ids[0]));
    let mut all: Vec<_> = unique.map(|(name, id)| (types.layout(id).unwrap().unwrap(), name, id)).collect();
    all.sort_by_key(|(layout, name, _)| (std::cmp::Reverse(layout.size), name.clone()));
    all
}

/// Their declarations, and assertions of their sizes and of where each field is, with how many fields there are.
fn declared(types: &Types, chosen: &[(Layout, String, u32)]) -> (String, String, usize) {
    let mut writer = Writer::new(types, "::core::ffi::", [], "");
    let (mut asserts, mut count) = (String::new(), 0);
    for (layout, name, id) in chosen {
        let ty = writer.whole(name, *id, "").unwrap();
        asserts.push_str(&format!("const _: () = assert!(size_of::<{ty}>() == {});\n", layout.size));
        // An author may declare functions of C that take it: no warning is allowed in these crates.
        asserts.push_str(&format!(
            "#[allow(dead_code)]\nunsafe extern \"C\" {{ fn takes_{id}(_: *mut {ty}); }}\n"
        ));
        let mut fields = Vec::new();
        places(types, layout, "", 0, &mut fields);
        for (path, offset) in fields {
            asserts.push_str(&format!(
                "const _: () = assert!(core::mem::offset_of!({ty}, {path}) == {offset});\n"
            ));
            count += 1;
        }
    }
    (writer.finish(), asserts, count)
}

fn structures_at_random(series: &str, seed: u64) {
    let target = target(series);
    let types = cargo_klp::kernel::btf::of_kernel(&target.kernel).unwrap().unwrap();
    let (empty, mut all): (Vec<_>, Vec<_>) =
        structures(&types).into_iter().partition(|(layout, ..)| layout.fields.is_empty());
    assert!(all.len() > 5_000, "{}", all.len());
    assert!(!empty.is_empty(), "C has them, such as `struct netns_tracker`");
    let mut chosen: Vec<_> = all.drain(..LARGEST).chain(empty).collect();
    shuffle(&mut all, seed);
    chosen.extend(all.into_iter().take(COUNT));
    let (mut text, mut asserts, mut count) = declared(&types, &chosen);

    for module in MODULES {
        let file = cargo_klp::kernel::btf::file_of(&target, module).unwrap().unwrap();
        let own = types.open_module(&file).unwrap();
        let mut all = structures(&own);
        all.retain(|(layout, ..)| !layout.fields.is_empty());
        shuffle(&mut all, seed);
        all.truncate(COUNT_OF_MODULE);
        assert_eq!(all.len(), COUNT_OF_MODULE);
        let (declarations, own_asserts, own_count) = declared(&own, &all);
        // Names of one may be those of another one.
        text.push_str(&format!(
            "/// Of a module.\npub mod {} {{\n{declarations}{own_asserts}}}\n",
            identifier(module)
        ));
        count += own_count;
        chosen.extend(all);
    }
    println!("{series}: {} structures with {count} fields", chosen.len());
    let name = format!("structures-{}", series.replace('.', "-"));
    let output = check(&name, &format!("{text}{asserts}"), None);
    assert!(output.status.success(), "{}", said(&output));
    // The assertions are looked at, those of modules too.
    let wrong =
        text.rsplit_once(") == ").map(|(start, end)| format!("{start}) == 1 + {end}{asserts}")).unwrap();
    let output = check(&name, &wrong, None);
    assert!(said(&output).contains("evaluation panicked"), "{}", said(&output));
    asserts = asserts.replacen(" == ", " == 1 + ", 1);
    let output = check(&name, &format!("{text}{asserts}"), None);
    assert!(said(&output).contains("evaluation panicked"), "{}", said(&output));
}

#[test]
fn structures_of_6_12_at_random() {
    structures_at_random("6.12", 1);
}

#[test]
fn structures_of_6_1_at_random() {
    structures_at_random("6.1", 2);
}

/// One source for two kernels, by the macro.
#[test]
fn one_source_for_two_kernels() {
    let files = ["6.12", "6.1"].map(|series| cargo_klp::kernel::btf::file(&kernel(series)).unwrap().unwrap());
    let offset = |file: &Path| {
        let types = Types::open(file).unwrap();
        let id = types.find("task_struct").unwrap().unwrap();
        types.fields(id).unwrap().into_iter().find(|field| field.name == "pid").unwrap().offset / 8
    };
    let offsets: HashSet<_> = files.iter().map(|file| offset(file)).collect();
    assert_eq!(offsets.len(), 2, "the field is elsewhere in the other kernel");
    let source = |offset| {
        format!(
            "kernel_types! {{
                 struct task_struct {{ pid, comm, sched_reset_on_fork, tasks }}
                 struct list_head;
                 enum pid_type;
                 const PIDTYPE_SID;
                 fn seq_write;
                 #[klp_symbols] fn cmdline_proc_show;
             }}
             const _: () = assert!(core::mem::offset_of!(task_struct, pid) == {offset});
             /// # Safety
             /// The task is there.
             pub unsafe fn read(task: *const task_struct) -> (c_int, *mut list_head, u64, pid_type) {{
                 // SAFETY: The caller has the task.
                 unsafe {{ ((*task).pid, (*task).tasks.next, (*task).sched_reset_on_fork(), PIDTYPE_SID) }}
             }}"
        )
    };
    for file in &files {
        let output = check("two-kernels", &source(offset(file)), Some(file));
        assert!(output.status.success(), "{}", said(&output));
    }
    // Where these two are all that the cache has, and no kernel is named.
    let cache = tempfile::tempdir().unwrap();
    fs::create_dir(cache.path().join("btf")).unwrap();
    for file in &files {
        let kernel = file.parent().unwrap();
        symlink(kernel, cache.path().join("btf").join(kernel.file_name().unwrap())).unwrap();
    }
    let (_directory, mut cargo) = cargo_check("two-kernels", &source(offset(&files[0])));
    let output = cargo.env(env::CACHE, cache.path()).output().unwrap();
    assert!(output.status.success(), "the newest kernel is meant: {}", said(&output));
    let output = check("two-kernels", &source(offset(&files[0])), Some("".as_ref()));
    assert!(
        said(&output).contains("the kernel's types are unknown: this machine has no image of it"),
        "{}",
        said(&output)
    );
}

/// Items in any order, under conditions, with bit-fields that are written and structures of zeros: run on the host.
#[test]
fn items_in_any_order() {
    let file = cargo_klp::kernel::btf::file(&kernel("6.12")).unwrap().unwrap();
    let items = "kernel_types! {
    struct inet_sock { sk }
    struct sock { sk_err, sk_no_check_tx, sk_no_check_rx }
    struct iphdr { ihl, version, tos }
    struct inode { i_lock }
    struct raw_spinlock {}
    struct pipe_inode_info { bufs }
    struct net_device { pcpu_refcnt: __percpu }
    struct task_struct { real_parent: __rcu, parent }
    struct iovec { iov_base: __user }
    #[cfg(any())] fn no_such_function;
    #[cfg(any())] struct no_such_type { field }
    #[cfg(any())] struct cred { no_such_field }
    #[cfg(not(any()))] struct cred { uid }
}
/// A part of another one is the structure that was asked for.
#[must_use]
pub fn error(of: &inet_sock) -> c_int { of.sk.sk_err }

#[test]
fn bit_fields() {
    let mut sock = sock { sk_err: 1, ..Default::default() };
    let mut header = iphdr { tos: 7, ..Default::default() };
    // SAFETY: Nobody else has them.
    unsafe {
        sock::set_sk_no_check_tx(&raw mut sock, 1);
        sock::set_sk_no_check_rx(&raw mut sock, 1);
        sock::set_sk_no_check_tx(&raw mut sock, 2);
        iphdr::set_ihl(&raw mut header, 0xf);
        iphdr::set_version(&raw mut header, 0xf4);
        iphdr::set_ihl(&raw mut header, 5);
    }
    assert_eq!((sock.sk_no_check_tx(), sock.sk_no_check_rx(), sock.sk_err), (0, 1, 1));
    assert_eq!((header.ihl(), header.version(), header.tos), (5, 4, 7));
    // SAFETY: The header is here.
    assert_eq!(unsafe { (iphdr::get_ihl(&raw const header), iphdr::get_version(&raw const header)) }, (5, 4));
    assert_eq!(cred::default().uid.val, 0);
}

/// Pointers that are no addresses here, or not for long, by the author's word.
#[must_use]
pub fn pointers(device: &net_device, task: &task_struct, memory: &iovec) -> bool {
    use klp_runtime::{percpu::PerCpuPtr, sync::rcu::Rcu, uaccess::UserPtr};
    let count: PerCpuPtr<*mut c_int> = device.pcpu_refcnt;
    let (parent, base): (Rcu<*mut task_struct>, UserPtr) = (task.real_parent, memory.iov_base);
    parent.protected() == task.parent && count == PerCpuPtr::from_raw(core::ptr::null_mut()) && base == UserPtr::from_addr(0)
}

#[test]
fn a_pointer_to_a_type_without_fields_moves() {
    assert!(pointers(&net_device::default(), &task_struct::default(), &iovec::default()));
    let bufs: *mut pipe_buffer = pipe_inode_info::default().bufs;
    assert_eq!((bufs.wrapping_add(2).addr(), align_of::<pipe_buffer>()), (80, 8));
}";
    let directory = patch("any-order", items);
    let mut cargo = Command::new("cargo");
    cargo.arg("test").arg("--lib").current_dir(&directory).env("RUSTFLAGS", "").env(env::BTF, &file);
    cargo.env("CARGO_TARGET_DIR", target_directory());
    assert_success(&cargo.output().unwrap());
}

/// One error for what is missing, and none for what is there.
#[test]
fn a_field_that_is_missing() {
    let file = cargo_klp::kernel::btf::file(&kernel("6.12")).unwrap().unwrap();
    let items = "kernel_types! { struct task_struct { pid, no_such_field } }
/// # Safety
/// The task is there.
#[must_use]
pub unsafe fn pid(task: *const task_struct) -> c_int {
    // SAFETY: The caller has the task.
    unsafe { (*task).pid }
}";
    let said = said(&check("missing-field", items, Some(&file)));
    assert!(said.contains("has no field `no_such_field`"), "{said}");
    let is_error = |line: &&str| line.starts_with("error") && !line.contains("could not compile");
    assert_eq!(said.lines().filter(is_error).count(), 1, "{said}");
}

/// What errors and `explain` name in place of C's functions and macros.
#[test]
fn what_the_runtime_has_for_names_of_c() {
    let paths: BTreeSet<String> = cargo_klp::patch::vocabulary::wrappers().into_iter().collect();
    let items: String = paths.iter().map(|path| format!("use {path} as _;\n")).collect();
    let items = format!("#[allow(unused_imports)]\nmod names {{\n{items}}}");
    assert_success(&check("names-of-c", &items, None));
}

#[test]
fn what_the_kernel_lacks() {
    let file = cargo_klp::kernel::btf::file(&kernel("6.12")).unwrap().unwrap();
    let items = "kernel_types! {
    struct task_struct { pidd, comm, comm }
    struct task_strct;
    struct u32;
    enum task_struct;
    const NO_SUCH_CONSTANT;
    fn no_such_function;
    struct page { lru, pp_magic }
    struct cred { uid: __rcu }
}
mod kinds {
    use klp_runtime::prelude::*;
    kernel_types! { struct cred { user: *mut user_struct } }
}";
    let said = said(&check("lacking", items, Some(&file)));
    for expected in [
        "`task_struct` of kernel 6.12",
        "has no field `pidd`: did you mean `pid`?",
        "`comm` is written twice",
        "has no type `task_strct`",
        "`u32` of kernel 6.12",
        "is not a structure or union",
        "is not an enumeration",
        "has no enumeration with `NO_SUCH_CONSTANT`",
        "has no prototype of `no_such_function`",
        "`pp_magic` is in a union with `lru`",
        "`uid` is not a pointer",
        "the kernel's BTF has the type: write the name alone, or for a pointer `name: __percpu`",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// The check is for each kernel anew, where a patch has types of the kernel.
#[test]
fn a_structure_that_one_kernel_lacks() {
    let directory = patch("lacks", "kernel_types! { struct eventfs_inode; }");
    let output = klp_check(&directory, &["--kernel", "6.12", "--kernel", "6.1"]);
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["lacks", "fits", "does", "not", "fit"], "{table}\n{}", said(&output));
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("kernel 6.1.0") && said(&output).contains("has no type `eventfs_inode`"));
}

/// By the macro, with the types of the kernel that the module's are made of.
#[test]
fn types_of_a_module() {
    for series in ["6.12", "6.1"] {
        let target = target(series);
        let base = cargo_klp::kernel::btf::of_kernel(&target.kernel).unwrap().unwrap();
        let file = cargo_klp::kernel::btf::file_of(&target, "nf_tables").unwrap().unwrap();
        let types = base.open_module(&file).unwrap();
        assert_eq!(base.find("nft_ctx").unwrap(), None, "it is the module's own");
        let (layout, ..) = structures(&types).into_iter().find(|(_, name, _)| name == "nft_ctx").unwrap();
        let offset = layout.fields.iter().find(|field| field.name == "chain").unwrap().offset / 8;
        let source = format!(
            "kernel_types! {{
                 object = \"nf_tables\";
                 struct nft_ctx {{ chain }}
                 struct nft_chain {{ name, list }}
                 struct list_head;
                 struct task_struct {{ pid }}
                 enum nft_chain_types;
                 const PIDTYPE_SID;
                 fn nft_do_chain;
                 fn seq_printf;
                 #[klp_symbols] fn nft_chain_del;
                 #[klp_symbols(object = \"vmlinux\")] fn cmdline_proc_show;
             }}
             const _: () = assert!(core::mem::offset_of!(nft_ctx, chain) == {offset});
             const _: () = assert!(size_of::<nft_ctx>() == {size});
             /// # Safety
             /// The chain is there.
             pub unsafe fn next(context: *const nft_ctx) -> *mut list_head {{
                 // SAFETY: The caller has the chain.
                 unsafe {{ nft_chain_del((*context).chain); (*(*context).chain).list.next }}
             }}",
            size = layout.size
        );
        let directory = patch("types-of-a-module", &source);
        assert_success(&klp_check(&directory, &["--kernel", series]));
        // In an editor they are those of the newest kernel that has been looked at.
        if series == "6.12" {
            assert_success(&check("types-of-a-module-in-an-editor", &source, None));
        }
    }
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[test]
fn what_a_module_lacks() {
    let items = "kernel_types! {
    object = \"nf_tablez\";
    struct nft_chain;
}
kernel_types! {
    object = \"nf_tables\";
    struct nft_chian;
    struct nft_chain { nam }
    fn no_such_function;
    #[klp_symbols] fn cmdline_proc_show;
    #[klp_symbols(object = \"xfs\")] fn xfs_file_open;
}
mod kernel {
    use klp_runtime::prelude::*;
    kernel_types! {
        #[klp_symbols] fn nft_chain_del;
        struct nft_chain;
    }
}";
    let output = klp_check(&patch("module-lacking", items), &["--kernel", "6.12"]);
    let text = said(&output);
    insta::assert_snapshot!(compiler_errors(&text));
}

/// What rustc says and where, without what differs from build to build of the kernel.
fn compiler_errors(text: &str) -> String {
    let release = kernel("6.12").release;
    let lines = text.lines().skip_while(|line| !line.starts_with("error"));
    lines
        .take_while(|line| !line.contains("does not compile"))
        .map(|line| line.replace(&release, "R") + "\n")
        .collect()
}

/// A module that is not the kernel's own, which has other types after it was built anew, and then none
/// that could be read.
#[test]
fn a_module_that_is_built_anew() {
    let target = target("6.12");
    let symbols = cargo_klp::kernel::symbols::Symbols::of(&target, &Silent).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ko = directory.path().join("own-module.ko");
    let build = |module: &str| {
        let packed = fs::read(symbols.object(module).unwrap().file()).unwrap();
        fs::write(&ko, cargo_klp::kernel::image::decompress(&packed).unwrap()).unwrap();
    };
    let items = "kernel_types! { object = \"own_module\"; struct loop_device { lo_offset } }";
    let patch = patch("own-module", items);
    let check = || klp_check(&patch, &["--kernel", "6.12", "--module", ko.to_str().unwrap()]);
    build("loop");
    assert_success(&check());
    build("nf_tables");
    let text = said(&check());
    assert!(
        text.contains("own_module of kernel 6.12") && text.contains("has no type `loop_device`"),
        "{text}"
    );
    // Without BTF, and with BTF whose base is not the kernel's.
    let base = directory.path().join("base");
    fs::write(&base, "base").unwrap();
    let with_base = format!(".BTF.base={}", base.display());
    for change in [["--remove-section", ".BTF"], ["--add-section", &with_base]] {
        build("loop");
        succeed(Command::new("objcopy").args(change).arg(&ko));
        let text = said(&check());
        assert!(
            text.contains("the types of `own_module`") && text.contains("own-module.ko` has no BTF"),
            "{text}"
        );
    }
}
