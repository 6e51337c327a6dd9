//! What an editor gets: `cargo klp check --message-format cargo`, as `cargo check --message-format=json` prints it.
//!
//! Needs kernels 6.12 and 6.1: `cargo klp doctor --fix --kernel 6.12` gets them.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{klp, target_directory, write_crate};

/// A patch with a function that has an array of so many bytes.
fn with_frame(bytes: usize) -> String {
    format!(
        "#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn shows(_m: *mut seq_file, _v: *mut c_void) -> c_int {{
    let large = core::hint::black_box([0u8; {bytes}]);
    large[1].into()
}}
"
    )
}

/// The command for rust-analyzer, as the guide has it.
fn override_command() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/src/editors.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, json) = page.split_once("```json\n").unwrap();
    let (json, _) = json.split_once("```").unwrap();
    let settings: Value = serde_json::from_str(json).unwrap();
    serde_json::from_value(settings["rust-analyzer.check.overrideCommand"].clone()).unwrap()
}

/// The lines for a crate, checked against two kernels.
fn lines(crate_dir: &Path) -> (Option<i32>, Vec<Value>) {
    let words = override_command();
    assert_eq!(words[..2], ["cargo", "klp"]);
    lines_of(crate_dir, klp().args(&words[2..]).args(["--kernel", "6.12", "--kernel", "6.1"]))
}

/// The lines that a command prints for a crate.
fn lines_of(crate_dir: &Path, command: &mut Command) -> (Option<i32>, Vec<Value>) {
    let Output { status, stdout, .. } =
        command.current_dir(crate_dir).env("CARGO_TARGET_DIR", target_directory()).output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    (status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The level of a message, what the source has at its first span, and its text.
fn shown(line: &Value, crate_dir: &Path) -> (String, String, String) {
    assert_eq!(line["reason"], "compiler-message");
    // What rust-analyzer reads, too.
    let message: cargo_metadata::CompilerMessage = serde_json::from_value(line.clone()).unwrap();
    let message = message.message;
    let text = |span: &cargo_metadata::diagnostic::DiagnosticSpan| {
        let source = fs::read_to_string(crate_dir.join(&span.file_name)).unwrap();
        let bytes = source[span.byte_start as usize..span.byte_end as usize].to_owned();
        let line = source.lines().nth(span.line_start - 1).unwrap();
        let columns: String =
            line.chars().skip(span.column_start - 1).take(span.column_end - span.column_start).collect();
        assert_eq!(bytes, columns);
        bytes
    };
    let place = message.spans.iter().find(|span| span.is_primary).map(text).unwrap_or_default();
    (serde_json::to_value(message.level).unwrap().as_str().unwrap().to_owned(), place, message.message)
}

#[test]
fn what_is_wrong_with_a_patch_is_shown_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let name = "what_is_wrong_with_a_patch_is_shown_in_place";
    write_crate(
        directory.path(),
        name,
        "#[klp_symbols]
unsafe extern \"C\" {
    fn no_such_function_anywhere();
}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn shows(_m: *mut seq_file) -> c_int {
    unsafe { no_such_function_anywhere() };
    0
}
#[klp_func(symbol = \"cmdline_proc_shown\")]
unsafe extern \"C\" fn absent(_m: *mut seq_file, _v: *mut c_void) -> c_int { 0 }
",
    );
    let source = directory.path().join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("#![deny(warnings)]", "") + "fn unused() {}\n").unwrap();

    let (code, lines) = lines(directory.path());
    assert_eq!(code, Some(1));
    let (last, messages) = lines.split_last().unwrap();
    assert_eq!(*last, serde_json::json!({ "reason": "build-finished", "success": false }));
    let shown: Vec<_> = messages.iter().map(|line| shown(line, directory.path())).collect();
    let of = |place: &str| {
        let found: Vec<_> = shown.iter().filter(|(_, at, _)| at == place).collect();
        assert_eq!(found.len(), 1, "{place}: {shown:#?}");
        (&*found[0].0, &*found[0].2)
    };
    assert_eq!(of("unused"), ("warning", "function `unused` is never used"));
    for (place, part) in [
        ("no_such_function_anywhere", "`no_such_function_anywhere` does not exist"),
        ("\"cmdline_proc_shown\"", "`cmdline_proc_shown` does not exist"),
        ("c_int", "`cmdline_proc_show`: expected 2 parameters, found 1"),
    ] {
        let (level, message) = of(place);
        assert!(level == "error" && message.contains(part), "{message}");
        assert!(message.contains("6.1.") && message.contains("6.12."), "{message}");
    }
}

/// An error of the compiler and a condition that can't be read are messages, too; a crate that fits has none.
#[test]
fn messages_end_as_those_of_cargo_do() {
    let directory = tempfile::tempdir().unwrap();
    let name = "messages_end_as_those_of_cargo_do";
    for (items, place, success) in [
        ("", None, true),
        ("const X: u8 = \"text\";", Some("\"text\""), false),
        ("#[cfg(kernel_since = \"new\")] fn f() {}", Some("kernel_since"), false),
    ] {
        write_crate(directory.path(), name, items);
        let (code, lines) = lines(directory.path());
        assert_eq!(code, Some(if success { 0 } else { 1 }));
        let (last, messages) = lines.split_last().unwrap();
        assert_eq!(*last, serde_json::json!({ "reason": "build-finished", "success": success }));
        let shown: Vec<_> = messages.iter().map(|line| shown(line, directory.path())).collect();
        let errors: Vec<_> = shown.iter().filter(|(level, ..)| level == "error").collect();
        match place {
            None => assert!(errors.is_empty(), "{shown:#?}"),
            Some(place) => assert!(errors.iter().any(|(_, at, _)| at == place), "{shown:#?}"),
        }
    }
}

/// What is found in machine code or by the C compiler stands in its place, and a module is printed as cargo prints a library.
#[test]
fn what_a_build_finds_is_shown_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let name = "what_a_build_finds_is_shown_in_place";
    let build = |format: &str| {
        lines_of(directory.path(), klp().args(["build", "--kernel", "6.12", "--message-format", format]))
    };
    let in_c = "#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn shows(m: *mut seq_file, v: *mut c_void) -> c_int;
";
    let c = |line: &str| {
        format!(
            "#include <linux/seq_file.h>\n#include \"klp_patch.h\"\nint shows(struct seq_file *m, void *v)\n{{\n{line}\n\treturn 0;\n}}\n"
        )
    };
    // No kernel has a global offset table; it is found in the finished object, and said of the line in the source.
    let by_table =
        "    unsafe { core::arch::asm!(\"mov {}, [rip + {}@GOTPCREL]\", out(reg) address, sym seq_printf) };";
    let of_table = format!(
        "unsafe extern \"C\" {{ fn seq_printf(); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn shows(_m: *mut seq_file, _v: *mut c_void) -> c_int {{
    let address: usize;
{by_table}
    address as c_int
}}
"
    );
    // The place of the function's first instruction.
    let redirected = "#[klp_func(symbol = \"cmdline_proc_show\")]";
    for (items, in_c_file, level, place, part) in [
        (with_frame(3000), None, "warning", redirected, "::shows` takes 3"),
        (with_frame(12_000), None, "error", redirected, "a task has 16384 bytes in all"),
        (in_c.into(), Some(c("\tnot_declared(m);")), "error", "not_declared", "implicit declaration"),
        (in_c.into(), Some(c("\tint unused;")), "warning", "unused", "unused variable"),
        (of_table, None, "error", by_table.trim(), "`seq_printf` is read from a global offset table"),
        ("const X: u8 = \"text\";".into(), None, "error", "\"text\"", "mismatched types"),
    ] {
        write_crate(directory.path(), name, &items);
        let c_file = directory.path().join("src/shows.c");
        match in_c_file {
            Some(text) => fs::write(c_file, text).unwrap(),
            None => drop(fs::remove_file(c_file)),
        }
        let is_good = items == with_frame(3000);
        let (code, mut lines) = build("cargo");
        assert_eq!(code, Some(if is_good { 0 } else { 1 }), "{lines:#?}");
        assert_eq!(
            lines.pop().unwrap(),
            serde_json::json!({ "reason": "build-finished", "success": is_good })
        );
        if is_good {
            let artifact: cargo_metadata::Artifact = serde_json::from_value(lines.pop().unwrap()).unwrap();
            assert!(artifact.filenames[0].as_str().ends_with(&format!("{name}.ko")), "{artifact:?}");
        }
        let shown: Vec<_> = lines.iter().map(|line| shown(line, directory.path())).collect();
        let is_it = |(of, at, message): &&(String, String, String)| {
            of == level && at == place && message.contains(part)
        };
        assert_eq!(shown.iter().filter(is_it).count(), 1, "{part}: {shown:#?}");
        if is_good {
            // Again, where nothing has changed.
            assert!(build("cargo").1.iter().any(|line| line["message"]["level"] == "warning"));
        } else {
            // Programs get the cause too.
            let (_, failure) = build("json");
            let [failure] = &failure[..] else { panic!("{failure:#?}") };
            assert!(failure["causes"][0].as_str().unwrap().contains(part), "{failure}");
        }
    }
}
