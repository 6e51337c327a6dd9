//! The tables that the macros leave, walked as the module's C glue walks them.

use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, Ordering};

use klp_runtime::__private::DeclaredState;
use klp_runtime::abi::{
    ABI_VERSION, DataLayout, FuncEntry, Replace, STATE_BLOCK_DISABLE, ShadowEntry, StateEntry,
};
use klp_runtime::native::NativeEntry;
use klp_runtime::object::ObjectEntry;
use klp_runtime::prelude::*;
use klp_runtime::selection::HookEntry;

const REPLACE: bool = true;
const BASE: u64 = 40;
const SECOND: u64 = 2;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>", "B. Author <b@example.org>"],
    description: "Tries the tables",
    replace: REPLACE,
    version: "1.0",
}

unsafe extern "C" {
    /// A function that only the kernel has: what names it is not linked on the host.
    fn no_such_function_on_the_host(m: *mut seq_file) -> c_int;
}

/// A replacement in vmlinux.
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: Never called here.
    unsafe { no_such_function_on_the_host(m) }
}

/// Everything also works away from the crate root.
mod module {
    use super::*;

    /// A replacement in a module, by a constant position.
    #[klp_func(object = "nf_tables", symbol = "nft_do_chain", sympos = SECOND)]
    #[klp_func(object = "vmlinux", symbol = "other")]
    unsafe extern "C" fn chain() {}

    /// Left out by its `cfg`, with all that belongs to it.
    #[klp_func(symbol = "absent")]
    #[cfg(target_os = "none")]
    unsafe extern "C" fn absent() {
        there_is_no_such_thing()
    }

    /// Left out too.
    #[klp_state(id = BASE, version = 1)]
    #[cfg(target_os = "none")]
    impl State for Absent {}

    #[shadow(id = BASE, of = task_struct)]
    #[cfg(target_os = "none")]
    #[repr(C)]
    struct AbsentShadow {}

    pub(super) mod deeper {
        use super::super::*;

        /// A state without callbacks.
        pub(crate) struct Quiet;

        #[klp_state(id = BASE + 1, version = { 1 + 1 }, name = "a {quiet} \"öne\" \\", block_disable)]
        impl State for Quiet {}
    }
}

/// How many there may be
///
/// at once.
#[klp_param(permissions = 0o644)]
static LIMIT: Param<c_int> = Param::new(3);

#[klp_param(name = "pids")]
static PROCESSES: ParamArray<u32, 16> = ParamArray::new([0; 16]);

/// One of the kernel's own table.
#[klp_state(id = BASE, version = 3, native)]
struct Shared;

struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {}

struct NfTables;

#[klp_object(name = "nf_tables")]
impl Object for NfTables {
    fn post_unpatch(_object: &ObjectContext<'_>) {}

    fn pre_patch(_object: &ObjectContext<'_>) -> Result {
        Err(ENODEV)
    }
}

#[klp_init]
fn init(patch: &mut PatchSelection<'_>) -> Result {
    assert!(patch.replace());
    Err(EBUSY)
}

#[klp_exit]
fn exit() {}

/// Objects, native states, hooks and parameters.
#[test]
fn objects_natives_hooks_and_parameters() {
    let tables = livepatch();
    let [vmlinux, nf_tables] = tables.objects else { panic!("{:?}", tables.objects) };
    let (vmlinux, nf_tables) =
        if vmlinux.name.is_null() { (vmlinux, nf_tables) } else { (nf_tables, vmlinux) };
    assert!(vmlinux.name.is_null() && vmlinux.pre_patch.is_none());
    // SAFETY: The name is a constant.
    assert_eq!(unsafe { CStr::from_ptr(nf_tables.name) }, c"nf_tables");
    // SAFETY: The callback does not look at its object.
    let errno = unsafe { nf_tables.pre_patch.unwrap()(std::ptr::null_mut()) };
    assert_eq!((errno, nf_tables.post_patch.is_none()), (ENODEV.to_errno(), true));
    assert_eq!(tables.natives.iter().map(|state| (state.id, state.version)).collect::<Vec<_>>(), [(BASE, 3)]);
    assert_eq!((Shared::ID, tables.hooks.len()), (BASE, 2));
    assert_eq!(tables.hooks.iter().filter(|hook| hook.init.is_some()).count(), 1);
    assert_eq!(tables.hooks.iter().filter(|hook| hook.exit.is_some()).count(), 1);

    LIMIT.set(LIMIT.get() + 1);
    assert_eq!(LIMIT.get(), 4);
    assert!(PROCESSES.is_empty() && PROCESSES.get(0).is_none() && !PROCESSES.set(0, 1));
}

/// Data of a state.
#[derive(KlpData)]
#[repr(C)]
pub struct Saved {
    level: AtomicI32,
    // SAFETY: It holds no pointer.
    #[klp(unsafe(opaque))]
    pair: (u8, u16),
}

/// A state with some of the callbacks, not in their order.
struct Level;

/// Data of an earlier version of the state.
#[derive(KlpData)]
#[repr(C)]
pub struct OldSaved {
    level: i32,
}

#[klp_state(id = 7, version = 3, from(version = 2, data = OldSaved))]
impl State for Level {
    type Data = Saved;

    fn migrate(_: &StateContext<'_>, old: &OldSaved) -> Result<Self::Data> {
        Ok(Saved { level: AtomicI32::new(old.level), pair: (2, 3) })
    }

    fn pre_unpatch(_: &StateContext<'_>, data: &Saved) {
        data.level.store(0, Ordering::Relaxed);
    }

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Saved> {
        Ok(Saved { level: AtomicI32::new(1), pair: (2, 3) })
    }
}

/// A shadow variable that lives with a state.
#[shadow(state = Level, of = task_struct)]
#[repr(C)]
struct NewPid {
    counter: AtomicI32,
}

/// One with a state of its own.
// There are no objects.
#[shadow(id = BASE, version = 5, of = file, sleepable, unsafe(object = "nf_tables"), name = "of a file")]
#[repr(C)]
struct OfFile {
    dropped: AtomicI32,
}

impl Drop for OfFile {
    fn drop(&mut self) {
        self.dropped.store(1, Ordering::Relaxed);
    }
}

/// The text at `pointer`, empty for null.
fn text(pointer: *const c_char) -> &'static str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: The entries point to C strings that are constants.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
}

#[test]
fn patch() {
    assert_eq!(livepatch().name, c"tables");
    assert_eq!(livepatch().patch.replace, Replace::ALL);
}

#[test]
fn funcs() {
    let table = livepatch().funcs;
    let mut found: Vec<_> =
        table.iter().map(|func| (text(func.object), text(func.symbol), func.sympos)).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [("", "cmdline_proc_show", 0), ("", "other", 0), ("nf_tables", "nft_do_chain", SECOND)]
    );
    assert!(table.iter().all(|func| func.replacement.is_null()));
}

#[test]
fn states() {
    let table = livepatch().states;
    let find = |id| table.iter().find(|state| state.id == id).unwrap();
    assert_eq!(table.len(), 3);

    let level = find(7);
    assert_eq!((text(level.name), level.version, level.flags), ("Level", 3, 0));
    assert_eq!(level.layout.size, size_of::<Saved>());
    assert_eq!(level.layout.fingerprint, Saved::FINGERPRINT);
    assert_eq!(level.slot, <Level as DeclaredState>::__SLOT);
    assert!(level.pre_patch.is_some() && level.pre_unpatch.is_some());
    assert!(level.post_patch.is_none() && level.post_unpatch.is_none() && level.take_over.is_none());

    assert_eq!((level.from.version, level.from.layout), (2, DataLayout::of::<OldSaved>()));
    assert!(level.from.migrate.is_some());

    let quiet = find(BASE + 1);
    assert!(quiet.from.migrate.is_none());
    assert_eq!(
        (text(quiet.name), quiet.version, quiet.flags),
        ("a {quiet} \"öne\" \\", 2, STATE_BLOCK_DISABLE)
    );
    assert!(quiet.pre_patch.is_none());
    assert_eq!(quiet.slot, <module::deeper::Quiet as DeclaredState>::__SLOT);
    assert_ne!(quiet.slot, level.slot);

    let own = find(BASE);
    assert_eq!((text(own.name), own.version, own.flags), ("of a file", 5, 0));
}

#[test]
fn shadows() {
    let table = livepatch().shadows;
    let find = |name| table.iter().find(|shadow| text(shadow.name) == name).unwrap();
    assert_eq!(table.len(), 2);

    let pid = find("NewPid");
    assert_eq!((pid.id, pid.state, text(pid.of), pid.flags), (NewPid::ID, 7, "task_struct", 0));
    assert_eq!(pid.id >> 62, 3);
    assert!(pid.destroy.is_none());

    let file = find("of a file");
    assert_eq!((file.id, file.state, text(file.of)), (OfFile::ID, BASE, "file"));
    assert_eq!(file.id >> 62, 3, "no C patch has such an id");
    assert_ne!(file.id, pid.id);
    assert_eq!((text(file.object), pid.object.is_null()), ("nf_tables", true));
    assert_ne!(file.flags, 0);
    assert!(file.destroy.is_some());
}

#[test]
fn values_are_used() {
    // Called from outside of their modules, the items are as they were written.
    let saved = Level::with_data(|data| data.level.load(Ordering::Relaxed));
    assert_eq!(saved, None);
    let _ = Saved { level: AtomicI32::new(0), pair: (0, 0) }.pair;
    let _ = NewPid { counter: AtomicI32::new(0) }.counter;
}

/// A line of the manifest with `@` for the places in this file, which any change of it moves.
fn without_places(line: &str) -> String {
    let is_place = |part: &str| {
        let part = part.strip_prefix("tests/compile/tables.rs:").unwrap_or(part);
        part.split_once(':')
            .is_some_and(|(line, column)| line.parse::<u32>().and(column.parse::<u32>()).is_ok())
    };
    let place_or = |field| if is_place(field) { "@" } else { field };
    line.split('\t').map(place_or).collect::<Vec<_>>().join("\t")
}

/// The manifest, another way than the tables, has one line for each entry.
#[test]
fn manifest() {
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let file = object::File::parse(&*file).unwrap();
    use object::{Object, ObjectSection};
    let manifest = file.section_by_name(klp_format::manifest::SECTION).unwrap().data().unwrap();
    let manifest = std::str::from_utf8(manifest).unwrap();
    let mut lines: Vec<String> = manifest.split_terminator('\0').map(without_places).collect();
    lines.sort_unstable();
    let sizes = [
        size_of::<FuncEntry>(),
        size_of::<StateEntry>(),
        size_of::<ShadowEntry>(),
        size_of::<ObjectEntry>(),
        size_of::<NativeEntry>(),
        size_of::<HookEntry>(),
    ];
    let sizes = sizes.map(|size| size.to_string()).join("\t");
    let patch = format!("patch\ttables\t1\t1\t{ABI_VERSION}\t-\t0\t{sizes}");
    let pid = format!("shadow\t{}\t7\tNewPid\ttask_struct\t0\t-\t@", NewPid::ID);
    let file = format!("shadow\t{}\t40\tof a file\tfile\t1\tnf_tables\t@", OfFile::ID);
    let mut expected = [
        "func\tnf_tables\tnft_do_chain\t2\t-\t@\t@\t118",
        "func\tvmlinux\tcmdline_proc_show\t0\t-\t@\t@\t1129\t@\t2160\t@\t2160",
        "func\tvmlinux\tother\t0\t-\t@\t@\t118",
        "hook\texit",
        "hook\tinit",
        "native\t40\t3",
        "object\tnf_tables\tpre_patch,post_unpatch",
        "object\tvmlinux\t-",
        "param\tlimit\t3\t0\t420\tHow many there may be",
        "param\tpids\t4\t16\t0\t",
        &patch,
        &pid,
        &file,
        "state\t40\t5\tof a file\t0\t-",
        "state\t41\t2\ta {quiet} \"öne\" \\\t1\t-",
        "state\t7\t3\tLevel\t0\tpre_patch,pre_unpatch,migrate",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}
