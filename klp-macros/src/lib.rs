//! The macros of klp: how a patch says what it is made of.
//!
//! Patches use them through `klp_runtime::prelude`, where the types that they
//! name are documented.
//!
//! | macro | on | declares |
//! | --- | --- | --- |
//! | [`livepatch!`] | the crate root | the patch: once, and before all else |
//! | [`#[klp_func]`](macro@klp_func) | `unsafe extern "C" fn` | a function that is redirected |
//! | [`#[klp_syscall]`](macro@klp_syscall) | `unsafe extern "C" fn` | a system call that is redirected |
//! | [`#[klp_symbols]`](macro@klp_symbols) | `unsafe extern "C" { … }` | functions and variables that the kernel does not export |
//! | [`#[klp_state]`](macro@klp_state) | `impl State for …` | a change of the system, with callbacks |
//! | [`#[klp_object]`](macro@klp_object) | `impl Object for …` | the kernel's own callbacks of an object |
//! | [`#[klp_param]`](macro@klp_param) | `static …: Param<…>` | a module parameter |
//! | [`#[klp_init]`](macro@klp_init), [`#[klp_exit]`](macro@klp_exit) | `fn` | what is done before the patch is enabled, and before the module goes |
//! | [`#[shadow]`](macro@shadow) | `#[repr(C)] struct` | a field added to a kernel type |
//! | [`#[derive(KlpData)]`](macro@KlpData) | `#[repr(C)] struct` | data that one patch hands to the next |
//!
//! Items may stand in any module and any file of the crate, but not in a
//! function or an `impl`: each leaves one entry in a table that the
//! linker puts together, and one line in a manifest that goes another way,
//! which the build and the load compare with the tables.
//!
//! # What they have in common
//!
//! * Where a number is meant, any constant expression may stand.
//! * All errors of an item are reported at once, each where it is, with what to
//!   write instead; the item itself is kept, so that one mistake hides no other.
//! * The item's `#[cfg]` holds for all that belongs to it.
//! * The same function, state or shadow variable twice is an error of `cargo
//!   check`, at both places, also across files: "conflicting implementations of
//!   trait `DuplicateFunc`", `DuplicateStateId` or `DuplicateShadowId`.
//! * "cannot find type `livepatch_macro_at_the_crate_root` in the crate root"
//!   means that [`livepatch!`] is missing there.
//! * On the host an item is checked, and can be tested, without a kernel: the
//!   table of functions has no address there, so nothing need be linked.
//!
//! # How they are built
//!
//! Each macro is a file of stages, *parse*, *check* and *emit*: darling fills a
//! struct of arguments (`args`), the check collects what is wrong
//! (`diagnostics`), and only the last makes tokens (`emit`).

mod args;
mod callback;
mod description;
mod diagnostics;
mod emit;
mod hook;
mod item;
mod kernel_types;
mod klp_data;
mod klp_func;
mod klp_object;
mod klp_param;
mod klp_state;
mod klp_symbols;
mod klp_syscall;
mod livepatch;
mod place;
mod shadow;

use proc_macro::TokenStream;

/// Declares the patch. Once, at the crate root.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `license` | a string | one that the kernel takes for GPL-compatible: `GPL`, `GPL v2`, `GPL and additional rights`, `Dual BSD/GPL`, `Dual MIT/GPL` or `Dual MPL/GPL` |
/// | `authors` | a list of strings | who to ask |
/// | `description` | a string | what is fixed |
/// | `replace` | a boolean, or a constant expression of one | optional, `false`: the patch replaces all others once it is enabled (a cumulative patch), and provides every state that is to stay |
/// | `enable` | `true` or `false` | optional, `true`; with `false` the module is no livepatch for the kernel: its hooks are called, and nothing is patched |
/// | `version` | a string | optional: of the module, for people |
///
/// All but `replace` is what `modinfo` shows, each one line.
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
///
/// livepatch! {
///     license: "GPL",
///     authors: ["A. Author <a@example.org>"],
///     description: "Raises the console log level while a fix is in place",
///     replace: true,
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// A key that is missing, unknown (the nearest known one is named) or written
/// twice, a value of another type, a licence that the kernel does not take, an
/// empty text or one of several lines; `livepatch!` in a module, or twice.
#[proc_macro]
pub fn livepatch(input: TokenStream) -> TokenStream {
    livepatch::expand(input.into()).into()
}

/// Redirects a function of the kernel, or of a module, to the one below.
///
/// The replacement has the types of the original: the build compares their number,
/// sizes and kinds with the kernel's BTF, where it has the function. It is called
/// in the original's place from the moment on that the kernel's transition has
/// switched a task, and gets the same arguments.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `symbol` | a string | the function's name, as in `/proc/kallsyms` |
/// | `object` | a string | optional, `vmlinux`: the module that has it, as in `/proc/modules` |
/// | `sympos` | a constant expression, `c_ulong` | optional, `0`: which of the functions of that name, from 1, in the order of `/proc/kallsyms`; 0 where the name is unique |
/// | `unchecked` | stands alone | optional: the build does not look whether the kernel has the function and can redirect it, nor at its types |
///
/// | `original` | a name | optional: makes an `unsafe fn` of that name, with the types of the replacement, which calls the original |
///
/// The attribute may stand on one function more than once.
///
/// # Calling the original
///
/// Most fixes are a check before the old code, or a correction after it. With `original = …` they
/// need no copy of it: the call goes to the original's own code, past the place where ftrace would
/// redirect it to the replacement again. The build looks at the function's first bytes on the target,
/// and refuses one that does not start so.
///
/// * A task in the original that the replacement has called is a task in the replacement: the patch
///   can't be disabled or replaced while one sleeps there, and what waits for that finishes once it
///   has returned.
/// * The original is what the kernel came with: where two patches redirect one function, the newer one
///   skips the older. So a patch that is loaded besides others repeats what they fix in that function,
///   or is a cumulative one (`replace: true`), which has all fixes itself and calls the original where
///   it would have done so without the older patch.
/// * ftrace and kprobes on the function's entry see no such call.
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// /// Always as if there were no command line.
/// #[klp_func(symbol = "cmdline_proc_show")]
/// unsafe extern "C" fn livepatch_cmdline_proc_show(_m: *mut seq_file, _v: *mut c_void) -> c_int {
///     0
/// }
///
/// unsafe extern "C" {
///     fn capable(capability: c_int) -> bool;
/// }
///
/// /// A check before the kernel's own code.
/// #[klp_func(symbol = "fifo_open", original = original_fifo_open)]
/// unsafe extern "C" fn fifo_open(inode: *mut inode, file: *mut file) -> c_int {
///     // SAFETY: it asks about the current task.
///     if !unsafe { capable(21) } {
///         return EPERM.to_errno();
///     }
///     // SAFETY: the arguments are those that the kernel gave for it.
///     unsafe { original_fifo_open(inode, file) }
/// }
///
/// const SECOND: u64 = 2;
///
/// #[klp_func(symbol = "nft_do_chain", object = "nf_tables", sympos = SECOND)]
/// unsafe extern "C" fn livepatch_nft_do_chain(_pkt: *mut c_void, _priv: *mut c_void) -> c_uint {
///     1
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// A function that is not `unsafe extern "C"`, is generic over types or
/// constants, `async` or variadic, or is a method; a symbol or an object that
/// is empty, too long (511 and 55 bytes) or has a character that none has, `-`
/// and `.ko` in an object among them; a negative position; the same object,
/// symbol and position twice; an `original` that is no name. With `original`, by the build: a symbol
/// that does not exist, is not unique or is no function that ftrace can redirect.
#[proc_macro_attribute]
pub fn klp_func(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_func::expand(args.into(), item.into()).into()
}

/// Redirects a system call to the function below.
///
/// The kernel enters a system call by a wrapper of the architecture, which has the caller's registers
/// for its only argument; that is what is redirected, to a wrapper that takes the arguments out of them
/// and calls the function. The function has the arguments as the call's manual has them: integers and
/// pointers (`klp_runtime::syscall::Argument`), and returns `c_long`, a negative errno for an error.
/// Pointers are the caller's, not to be followed but with `copy_from_user` and its like.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `name` | a string | the call's name, as in `SYSCALL_DEFINE1(name, …)`: its 64-bit wrapper, `__x64_sys_NAME` |
/// | `compat` | stands alone, or a string | optional: 32-bit programs, too; their entry is `__ia32_sys_NAME`, or `__ia32_` and this string |
///
/// Which entry 32-bit programs use is in the last columns of the kernel's `syscall_32.tbl`: `compat =
/// "compat_sys_ioctl"` for `ioctl`, `"sys_getuid16"` for what they call `getuid`. The arguments of such an
/// entry come extended to 64 bits as the kernel does it.
///
/// A call without arguments has one wrapper of two names for both kinds of programs: it is redirected
/// for both, with `compat` or without.
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// use klp_runtime::task;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// #[klp_syscall(name = "getpid", compat)]
/// unsafe extern "C" fn livepatch_getpid() -> c_long {
///     task::current().tgid_vnr().into()
/// }
///
/// #[klp_syscall(name = "sysinfo", compat = "compat_sys_sysinfo")]
/// unsafe extern "C" fn livepatch_sysinfo(_info: *mut c_void) -> c_long {
///     EPERM.to_errno().into()
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// Those of [`#[klp_func]`](macro@klp_func) for the function, and for two functions of one call; more than
/// six arguments, one that is neither integer nor pointer, no `c_long`; a name with a prefix that the macro
/// writes (`sys_`, `__x64_sys_`), an entry without the one that it needs.
#[proc_macro_attribute]
pub fn klp_syscall(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_syscall::expand(args.into(), item.into()).into()
}

#[doc = include_str!("kernel_types.md")]
#[proc_macro]
pub fn kernel_types(input: TokenStream) -> TokenStream {
    kernel_types::expand(input.into()).into()
}

/// Declares functions and variables that the kernel, or a module, has but does not export.
///
/// The build finds each in the target kernel's own files and leaves the rest to the kernel's
/// livepatch relocations: those of vmlinux are there when the patch is loaded, those of a module once
/// that module is, now or later. What is exported by vmlinux belongs in a plain `extern` block.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `object` | a string | optional, `vmlinux`: the module that has them, as in `/proc/modules` |
///
/// and of each item, in `#[klp(…)]`:
///
/// | key | value | |
/// | --- | --- | --- |
/// | `symbol` | a string | optional, the item's name: the symbol, as in `/proc/kallsyms` |
/// | `sympos` | a constant expression, `c_ulong` | optional, `0`: which of that name, from 1, in the order of `/proc/kallsyms`; 0 where the name is unique |
/// | `static_of` | a string | for a `static` variable in a function: that function. The variable's symbol is its name with a suffix that differs from build to build (`count.12`): the build takes the one that the function's code names |
///
/// # What the author answers for
///
/// Nothing checks the types. What belongs to a module may be used only while that module is loaded:
/// in what replaces its functions, and in what they call. The symbol of a per-CPU variable is its
/// offset in each processor's own memory, and no address.
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// #[klp_symbols]
/// unsafe extern "C" {
///     /// `init/main.c`.
///     static mut saved_command_line: *mut c_char;
///     /// The second of that name.
///     #[klp(symbol = "c_start", sympos = 2)]
///     fn second_c_start(m: *mut seq_file, position: *mut i64) -> *mut c_void;
///     /// `fs/coredump.c`: how many dumps are being made, a `static` in `do_coredump`.
///     #[klp(static_of = "do_coredump")]
///     static core_dump_count: c_int;
/// }
///
/// #[klp_symbols(object = "nf_tables")]
/// unsafe extern "C" {
///     fn nft_chain_del(chain: *mut c_void);
/// }
/// # fn main() {}
/// ```
///
/// # On the host
///
/// A test that uses none of them need not link them; one that does may define them, under the
/// symbols' own names.
///
/// # Errors
///
/// An item that is neither function nor variable, or is `safe`; a name that no symbol has; another
/// calling convention than C; `sympos` or a function with `static_of`. By the build: a symbol that is
/// exported, does not exist (the nearest are named), or is not unique (each is shown with its
/// position), a function declared as a variable or the other way round, and what is gone once the
/// kernel is booted.
#[proc_macro_attribute]
pub fn klp_symbols(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_symbols::expand(args.into(), item.into()).into()
}

/// Declares a state: a change of the system that is introduced and removed with its patches.
///
/// On an implementation of `klp_runtime::state::State`, of which it writes
/// `ID`, `VERSION` and `NAME`. Only the methods that are written become
/// callbacks; `type Data` is `()` where it is left out, and then `pre_patch` is
/// optional as well.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `id` | a constant expression, `u64` | from 1 to below 1 << 63, the state's own in the whole system: the same number in two patches is the same state |
/// | `version` | a constant expression, `u32` | grows when what the state means does; a patch with a lower one is refused |
/// | `name` | a string | optional, the type's: the same id under another name is refused |
/// | `block_disable` | stands alone | optional: the change can't be taken back, so no patch may remove the state |
/// | `native` | stands alone | on a struct instead: the state is listed in the kernel's own table; see below |
///
/// With `native` the attribute stands on a struct, `#[klp_state(id = 1, version = 1, native)] struct Shared;`,
/// and implements `klp_runtime::native::NativeState` for it. The state is then one of the kernel's own
/// (`klp_patch.states`), shared with patches in C by the kernel's rules: versions are compared, and
/// nothing is called. Its ids are the kernel's, apart from those of other states.
///
/// # Example
///
/// ```standalone_crate
/// use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// /// What is given back in the end.
/// #[derive(KlpData)]
/// #[repr(C)]
/// struct SavedLevel {
///     level: AtomicI32,
/// }
///
/// struct ConsoleLoglevel;
///
/// #[klp_state(id = 1, version = 1)]
/// impl State for ConsoleLoglevel {
///     type Data = SavedLevel;
///
///     fn pre_patch(_cx: &StateContext<'_>) -> Result<SavedLevel> {
///         Ok(SavedLevel { level: AtomicI32::new(4) })
///     }
///
///     fn pre_unpatch(cx: &StateContext<'_>, data: &SavedLevel) {
///         pr_info!("{:?} gives back {}\n", cx.state_name(), data.level.load(Relaxed));
///     }
/// }
///
/// /// One that marks a change, and has nothing to do.
/// struct Marker;
///
/// #[klp_state(id = 2, version = 1, block_disable)]
/// impl State for Marker {}
/// # fn main() {}
/// ```
///
/// # Errors
///
/// An id that is missing, 0, reserved or used twice, also by a
/// [`#[shadow]`](macro@shadow); a version that is missing; a method that is no
/// callback (the nearest one is named) or has another signature (the right one
/// is shown), or a `#[cfg]` of its own; `Data` without `pre_patch`, which makes
/// them; `Data` that lack [`KlpData`](macro@KlpData); an item that is no
/// implementation of `State`, or a generic one.
#[proc_macro_attribute]
pub fn klp_state(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_state::expand(args.into(), item.into()).into()
}

/// Declares callbacks of an object: vmlinux or a module, with the kernel's own meaning.
///
/// On an implementation of `klp_runtime::object::Object`, of which it writes `NAME`. Only the methods
/// that are written become callbacks. The object takes part in the patch even where none of its
/// functions is redirected.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `name` | a string | the module, as in `/proc/modules`, or `vmlinux` |
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// struct NfTables;
///
/// #[klp_object(name = "nf_tables")]
/// impl Object for NfTables {
///     fn pre_patch(object: &ObjectContext<'_>) -> Result {
///         pr_info!("{:?} is {:?}\n", object.name(), object.module_state());
///         Ok(())
///     }
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// A name that is missing or is none of an object; a method that is no callback (the nearest one is
/// named) or has another signature; the same object twice; an item that is no implementation of
/// `Object`, or a generic one.
#[proc_macro_attribute]
pub fn klp_object(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_object::expand(args.into(), item.into()).into()
}

/// Declares a module parameter, set by `insmod` and by sysfs.
///
/// On a `static` of type `klp_runtime::param::Param` or `ParamArray`, where the types of its values
/// are listed: those of the kernel's `module_param`.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `name` | a string | optional: the static's name in lower case |
/// | `permissions` | a constant expression, `u32` | optional, `0`: of the file `/sys/module/PATCH/parameters/NAME`; 0 for no file |
/// | `description` | a string | optional, the first paragraph of the static's documentation: what `modinfo` shows |
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// /// How many times it is tried.
/// #[klp_param(permissions = 0o644)]
/// static TRIES: Param<u32> = Param::new(3);
///
/// /// The processes that are looked at.
/// #[klp_param]
/// static PIDS: ParamArray<i32, 16> = ParamArray::new([0; 16]);
/// # fn main() {}
/// ```
///
/// # Errors
///
/// A type that the kernel has no parameters of, permissions that sysfs does not allow, a string that
/// sysfs may write to, two parameters of one name, a `static mut`, what is no static.
#[proc_macro_attribute]
pub fn klp_param(args: TokenStream, item: TokenStream) -> TokenStream {
    klp_param::expand(args.into(), item.into()).into()
}

/// Marks the function that is called when the module is loaded, before the patch is enabled.
///
/// It gets a `klp_runtime::builder::PatchBuilder`, with which it chooses what takes part: whether the
/// patch replaces others, which functions, objects and states. Process context; it may sleep. An error
/// refuses the module: `insmod` fails with it, and nothing of the patch was called. What it makes is
/// given back in [`#[klp_exit]`](macro@klp_exit), which is called also where the patch could not be enabled.
///
/// # Example
///
/// ```standalone_crate
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// #[klp_init]
/// fn init(patch: &mut PatchBuilder<'_>) -> Result {
///     patch.set_replace(true);
///     Ok(())
/// }
///
/// #[klp_exit]
/// fn exit() {
///     pr_info!("gone\n");
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// Another signature, what is no function, a second one: "conflicting implementations of trait `Init`".
#[proc_macro_attribute]
pub fn klp_init(args: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(&hook::INIT, args.into(), item.into()).into()
}

/// Marks the function that is called before the module goes.
///
/// Once for each module whose [`#[klp_init]`](macro@klp_init) has succeeded or that has none: when it is
/// unloaded, after the patch was disabled or replaced, or where the patch could not be enabled. Process
/// context; it may sleep. No function of the patch is running any more, and no state of it is live but
/// those that other patches provide.
///
/// # Errors
///
/// Another signature, what is no function, a second one.
#[proc_macro_attribute]
pub fn klp_exit(args: TokenStream, item: TokenStream) -> TokenStream {
    hook::expand(&hook::EXIT, args.into(), item.into()).into()
}

/// Declares a shadow variable: a field added to each object of a kernel type.
///
/// On a `#[repr(C)]` struct, which gets [`KlpData`](macro@KlpData), with
/// `#[klp(opaque)]` on its fields, and `klp_runtime::shadow::Shadow`, with
/// `get`, `alloc`, `get_or_alloc`, `free` and `free_all`. The struct's `Drop`
/// is its destructor.
///
/// # Arguments
///
/// | key | value | |
/// | --- | --- | --- |
/// | `of` | a type | the objects' |
/// | `state` | a type | the state that the variable lives as long as |
/// | `id` | a constant expression, `u64` | instead of `state`, to give it a state of its own; as the `id` of a [`#[klp_state]`](macro@klp_state) |
/// | `version` | a constant expression, `u32` | optional, `1`: of that state |
/// | `name` | a string | optional, the struct's; see below |
/// | `object` | a string | optional, the objects' module: the variables are freed also when it goes |
/// | `sleepable` | stands alone | optional: `Drop` may sleep |
///
/// A module that is unloaded takes its objects with it, and the same module loaded again may have
/// others at the same addresses. With `object = "nf_tables"` the variables of the module's objects
/// are freed when it goes, after its own exit function, also where loading it fails after its init
/// function has made some: none of its objects then meets the variable of another.
///
/// With `state`, the kernel's id of the variable is made of the state's id and
/// of the name: to rename the struct in a later patch is to declare another
/// variable. Write `name = "…"`, the old one, to keep it. With `id`, the name
/// is that of the state, and another one is refused.
///
/// # Example
///
/// ```standalone_crate
/// use core::sync::atomic::{AtomicI32, Ordering::Relaxed};
/// use klp_runtime::prelude::*;
/// # livepatch! { license: "GPL", authors: ["A. Author"], description: "An example" }
///
/// struct Accounting;
///
/// #[klp_state(id = 1, version = 1)]
/// impl State for Accounting {}
///
/// /// Of each task that the new code has seen.
/// #[shadow(state = Accounting, of = task_struct)]
/// #[repr(C)]
/// struct NewPid {
///     counter: AtomicI32,
/// }
///
/// /// Of files, without a state to declare.
/// #[shadow(id = 2, of = file, sleepable)]
/// #[repr(C)]
/// struct Reads {
///     count: u64,
/// }
///
/// fn seen(task: &task_struct) -> Result<i32> {
///     let pid = NewPid::get_or_alloc(task, GFP_KERNEL, || Ok(NewPid { counter: AtomicI32::new(0) }))?;
///     Ok(pid.counter.fetch_add(1, Relaxed))
/// }
/// # fn main() {}
/// ```
///
/// # Errors
///
/// No `of`, both or neither of `id` and `state`, an id that is 0, reserved or
/// in use, a `state` that is none, two variables of one name in one state, an
/// `object` that is not the name of a module;
/// generics or lifetimes, an alignment over 8, what is no struct, and what the
/// derive refuses.
#[proc_macro_attribute]
pub fn shadow(args: TokenStream, item: TokenStream) -> TokenStream {
    shadow::expand(args.into(), item.into()).into()
}

/// Computes the fingerprint of a struct's layout, for data that outlive the patch that made them.
///
/// Two patches may come from two compilers. The second reads what the first
/// has left only where both fingerprints are the same: a hash of the fields'
/// names, offsets and types, and of the size and alignment of the whole. The
/// struct's own name is no part of it.
///
/// For `#[repr(C)]` structs, also with `align(…)`, all of whose fields are
/// `klp_runtime::layout::KlpData` themselves: integers, `bool`, atomics,
/// arrays, `KernelPtr`, and structs with this derive. A field that is none of
/// these can be `#[klp(opaque)]`: then only its size and alignment count, and
/// the author answers for the rest. It must be `Send`, `Sync` and `'static` as
/// well; the derive implements the first two for the struct.
///
/// # Example
///
/// ```
/// use klp_runtime::prelude::*;
///
/// #[derive(KlpData)]
/// #[repr(C)]
/// struct Limits {
///     soft: u32,
///     hard: u32,
///     table: KernelPtr,
///     #[klp(opaque)]
///     range: core::ops::Range<u16>,
/// }
///
/// assert_ne!(Limits::FINGERPRINT, <[u32; 2]>::FINGERPRINT);
/// ```
///
/// # Errors
///
/// An enum or a union, generics or lifetimes, another representation than C,
/// `packed`, a field whose type lacks `KlpData`, at the field.
#[proc_macro_derive(KlpData, attributes(klp))]
pub fn derive_klp_data(item: TokenStream) -> TokenStream {
    klp_data::expand(item.into()).into()
}
