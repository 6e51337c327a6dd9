//! What a module is made of.

/// What decides what a module is: a small number for each thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// What the crate declares.
    body: u8,
    /// A file that the source includes.
    text: u8,
    /// The source of a dependency.
    part: u8,
    /// Features of the dependency.
    part_feature: u8,
    /// Features of the crate.
    feature: u8,
    /// The crate's version.
    version: u8,
    /// The runtime's glue.
    glue: u8,
    /// The module with a symbol that the patch needs; 0 is none.
    pub module: u8,
    /// What the build is refused for; 0 is nothing.
    fault: u8,
    /// The checksum of an export of 6.12.
    pub checksum: u8,
    /// The kernel: 6.12 or 6.1.
    pub kernel: u8,
    /// A variable that the source reads.
    pub words: u8,
    /// Flags for the C compiler.
    pub flags: u8,
}

impl State {
    /// All of it, and how many values each has.
    fn values(&mut self) -> [(&mut u8, u8); 13] {
        [
            (&mut self.body, 4),
            (&mut self.text, 2),
            (&mut self.part, 2),
            (&mut self.part_feature, 2),
            (&mut self.feature, 2),
            (&mut self.version, 2),
            (&mut self.glue, 2),
            (&mut self.module, 3),
            (&mut self.fault, 5),
            (&mut self.checksum, 2),
            (&mut self.kernel, 2),
            (&mut self.words, 2),
            (&mut self.flags, 2),
        ]
    }

    /// Another one that differs in one thing. It has no fault if this one has.
    pub fn changed(mut self, random: &mut fastrand::Rng) -> Self {
        if self.fault != 0 {
            return Self { fault: 0, ..self };
        }
        let mut values = self.values();
        let at = random.usize(..values.len());
        let (value, count) = &mut values[at];
        **value = (**value + random.u8(1..*count)) % *count;
        self
    }

    /// The same files, and perhaps another kernel, variable or flag.
    pub fn with_other_circumstances(mut self, random: &mut fastrand::Rng) -> Self {
        (self.kernel, self.words, self.flags) = (random.u8(..2), random.u8(..2), random.u8(..2));
        self
    }

    /// Has the kernel, the variable and the flags of another one.
    pub fn take_circumstances(&mut self, other: &Self) {
        let Self { kernel, words, flags, .. } = *other;
        (self.kernel, self.words, self.flags) = (kernel, words, flags);
    }

    /// Whether a build is refused.
    pub fn is_refused(&self) -> bool {
        self.fault != 0
    }

    /// The series of the kernel.
    pub fn series(&self) -> &'static str {
        ["6.12", "6.1"][usize::from(self.kernel)]
    }

    /// The crate's files, by their paths in it.
    pub fn files(&self) -> [(&'static str, String); 5] {
        [
            ("Cargo.toml", self.manifest()),
            ("src/lib.rs", self.source()),
            ("src/text.txt", format!("text {}\n", self.text)),
            ("part/Cargo.toml", PART_MANIFEST.into()),
            (
                "part/src/lib.rs",
                format!(
                    "#![no_std]\npub const PART: &str = concat!(\"part {}\", \" loud\");\n\
                     pub const IS_LOUD: bool = cfg!(feature = \"loud\");\n",
                    self.part
                ),
            ),
        ]
    }

    /// What is added to the glue.
    pub fn glue(&self) -> String {
        format!(
            "\n#include <linux/module.h>\nMODULE_INFO(walk, \"glue {}\");\n#ifdef KLP_WALK\nMODULE_INFO(flags, \"KLP_WALK\");\n#endif\n",
            self.glue
        )
    }

    fn manifest(&self) -> String {
        let of = |value: u8, feature: &'static str| if value == 0 { "" } else { feature };
        format!(
            "[package]\nname = \"walk\"\nversion = \"0.{}.0\"\nedition = \"2024\"\n[workspace]\n\
             [features]\ndefault = [{}]\nextra = []\n\
             [dependencies]\nklp-runtime = {{ path = \"../klp-runtime\" }}\n\
             walk-part = {{ path = \"part\", features = [{}] }}\n",
            self.version,
            of(self.feature, "\"extra\""),
            of(self.part_feature, "\"loud\"")
        )
    }

    fn source(&self) -> String {
        let module = if self.module == 0 { "" } else { OF_A_MODULE };
        [START, BODIES[usize::from(self.body)], module, FAULTS[usize::from(self.fault)]].concat()
    }
}

const PART_MANIFEST: &str =
    "[package]\nname = \"walk-part\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nloud = []\n";

const START: &str = r#"#![no_std]
use klp_runtime::prelude::*;
livepatch! { license: "GPL", authors: ["a"], description: "walk" }
unsafe extern "C" { fn seq_printf(m: *mut seq_file, format: *const c_char, ...); }
const WORDS: &str = match option_env!("KLP_WALK_WORDS") { Some(words) => words, None => "none" };
static TEXTS: [&str; 4] = [include_str!("text.txt"), env!("CARGO_PKG_VERSION"), walk_part::PART, WORDS];
#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    let extra = c_int::from(cfg!(feature = "extra")) + 2 * c_int::from(walk_part::IS_LOUD);
    for text in &TEXTS {
        unsafe { seq_printf(m, c"%.*s %d\n".as_ptr(), text.len() as c_int, text.as_ptr(), extra) };
    }
    0
}
"#;

const BODIES: [&str; 4] = [
    "",
    r#"
struct Counted;
#[klp_state(id = 1, version = 1)]
impl State for Counted {
    type Data = u64;
    fn pre_patch(_cx: &StateContext<'_>) -> Result<u64> { Ok(1) }
}
"#,
    r#"
#[klp_func(symbol = "version_proc_show", original = original_version)]
unsafe extern "C" fn version(m: *mut seq_file, v: *mut c_void) -> c_int { unsafe { original_version(m, v) } }
"#,
    r#"
#[klp_symbols]
unsafe extern "C" { static saved_command_line: *const c_char; }
#[klp_func(symbol = "version_proc_show")]
unsafe extern "C" fn version(_m: *mut seq_file, _v: *mut c_void) -> c_int {
    unsafe { (saved_command_line.addr() % 2) as c_int }
}
"#,
];

const OF_A_MODULE: &str = r#"
#[klp_symbols(object = "my_mod")]
unsafe extern "C" {
    #[klp(static_of = "secret")]
    static limit: c_int;
}
#[klp_func(symbol = "secret", object = "my_mod")]
unsafe extern "C" fn secret(_m: *mut seq_file, _v: c_int) -> c_int {
    unsafe { (&raw const limit).read_volatile() }
}
"#;

/// Nothing; then what rustc, objtool, modpost and this project refuse.
const FAULTS: [&str; 5] = [
    "",
    "const WRONG: u32 = \"text\";\n",
    r#"
unsafe extern "C" { fn by_asm(); }
core::arch::global_asm!(
    ".pushsection .text", ".globl by_asm", ".type by_asm,@function", "by_asm:", "ret", ".size by_asm, .-by_asm",
    ".popsection"
);
#[used]
static mut TABLE: [unsafe extern "C" fn(); 1] = [by_asm];
"#,
    r#"
#[inline(never)]
#[unsafe(link_section = ".init.text")]
fn gone(number: usize) -> c_int { core::hint::black_box(number) as c_int }
#[klp_func(symbol = "loadavg_proc_show")]
unsafe extern "C" fn calls(m: *mut seq_file, _v: *mut c_void) -> c_int { gone(m.addr()) }
"#,
    "#[klp_symbols]\nunsafe extern \"C\" { static no_kernel_has_this: c_int; }\n",
];

/// A module by the number that a state has: one or two functions with a static of the same name, of which gcc numbers
/// that of the last function first.
pub fn module_source(module: u8) -> String {
    let functions = &["secret", "extra"][..usize::from(module)];
    let function = |name: &&str| {
        format!(
            "noinline int {name}(struct seq_file *m, int v);\n\
             noinline int {name}(struct seq_file *m, int v)\n\
             {{ static int limit = 10; limit += v; seq_printf(m, \"{name} %d\\n\", limit); return 0; }}\n"
        )
    };
    format!(
        "#include <linux/module.h>\n#include <linux/seq_file.h>\n{}\
         MODULE_LICENSE(\"GPL\"); MODULE_DESCRIPTION(\"test\");\n",
        functions.iter().map(function).collect::<String>()
    )
}
