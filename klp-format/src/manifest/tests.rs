use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::ClassKind;

/// The text that the assembler makes of a line.
fn text(line: Line) -> String {
    let column = |column: Column<u64>| match column {
        Column::Text(text) => text,
        Column::Number(number) => number.to_string(),
    };
    write(line).into_iter().map(column).collect::<Vec<_>>().join("\t")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// One line of each kind, with each column other than all others, and with nothing in those that may be empty.
fn lines() -> Vec<Line> {
    let int = Class::new(ClassKind::Signed, 4).encode();
    vec![
        Line::Patch(Patch {
            krate: "fix".into(),
            replace: 1,
            enable: true,
            abi_version: 2,
            series: Some("fixes".into()),
            revision: 9,
            entry_sizes: [3, 4, 5, 6, 7, 8],
        }),
        Line::Patch(Patch::default()),
        Line::Func(Func {
            object: "xfs".into(),
            symbol: "f".into(),
            sympos: 2,
            c_body: Some("livepatch_f".into()),
            place: Some("src/lib.rs:3:1".into()),
            signature: vec![
                Passed { place: None, class: int },
                Passed { place: Some("4:9".into()), class: int + 256 },
            ],
        }),
        Line::Func(Func { object: "vmlinux".into(), ..Func::default() }),
        Line::State(State {
            id: 1 << 40,
            version: 2,
            name: "a {quiet} \"öne\" \\".into(),
            flags: 1,
            callbacks: names(&["pre_patch", "take_over"]),
        }),
        Line::State(State::default()),
        Line::Shadow(Shadow {
            id: 9,
            state: 7,
            name: "Mark".into(),
            of: "nft_chain".into(),
            sleepable: true,
            object: Some("nf_tables".into()),
            place: Some("a.rs:1:1".into()),
        }),
        Line::Shadow(Shadow::default()),
        Line::Object(Object { name: "nf_tables".into(), callbacks: names(&["pre_patch"]) }),
        Line::Native(Native { id: 1, version: 3 }),
        Line::Hook(Hook::Init),
        Line::Hook(Hook::Exit),
        Line::Param(Param {
            name: "tries".into(),
            kind: 3,
            len: 16,
            permissions: 0o644,
            description: "How often".into(),
        }),
        Line::Symbol(Symbol {
            object: "vmlinux".into(),
            symbol: "count".into(),
            sympos: 1,
            kind: SymbolKind::StaticOf("f".into()),
            name: "counter".into(),
            placeholder: "p".into(),
            place: Some("a.rs:4:1".into()),
        }),
        Line::Symbol(Symbol { kind: SymbolKind::Original, ..Symbol::default() }),
        Line::Symbol(Symbol { kind: SymbolKind::Variable, ..Symbol::default() }),
        Line::Binding(Binding { name: "sock".into(), object: "vmlinux".into(), btf: "/btf".into() }),
        Line::CStruct(CStruct {
            name: "Looks".into(),
            size: 24,
            fields: vec![
                CField { name: "count".into(), c_type: "atomic_t".into(), len: 0, offset: 1 },
                CField { name: "names".into(), c_type: "char".into(), len: 16, offset: 8 },
            ],
        }),
        Line::CFunc(CFunc { name: "looks".into(), declaration: "int looks(void)".into() }),
        Line::CType(CType { object: "xfs".into(), name: "xfs_mru".into(), place: Some("a.rs:2:1".into()) }),
        Line::Wrapper(Wrapper {
            symbol: "s".into(),
            headers: names(&["net/sock.h", "linux/list.h"]),
            text: "int s(void) { return 1; }".into(),
            place: Some("a.rs:3:1".into()),
        }),
        Line::Headers(Headers { answer: "/cache".into() }),
        Line::Fix(Fix { name: "CVE-2026-12345".into() }),
        Line::Kernel(Kernel { build_id: "12ab".into() }),
    ]
}

#[test]
fn what_is_written_is_read() {
    for line in lines() {
        let text = text(line.clone());
        assert_eq!(read(&text), Ok(line), "{text}");
    }
}

#[test]
fn a_line_ends_where_it_ends() {
    for line in lines() {
        let text = text(line) + "\textra\textra";
        assert!(read(&text).is_err(), "{text}");
    }
}

#[test]
fn control_characters_do_not_end_a_column() {
    let line = Line::Native(Native::default());
    let name = Line::Object(Object { name: "a\tb\0c".into(), ..Object::default() });
    assert_eq!(text(line), "native\t0\t0");
    assert_eq!(text(name), "object\ta b c\t-");
}

#[test]
fn a_bad_line_says_what_is_wrong() {
    for (line, fault) in [
        ("other\t1", "unknown kind of line `other`"),
        ("", "unknown kind of line ``"),
        ("func\tvmlinux", "column `symbol` of `func` is missing"),
        ("state\tx\t1\tA\t0\t-", "expected a number in column `id` of `state`, found `x`"),
        ("state\t1\t-1\tA\t0\t-", "expected a number of 32 bits in column `version` of `state`, found `-1`"),
        (
            "state\t1\t4294967296\tA\t0\t-",
            "expected a number of 32 bits in column `version` of `state`, found `4294967296`",
        ),
        (
            "patch\tfix\t2\t1\t1\t-\t0\t1\t1\t1\t1\t1\t1",
            "expected 0 or 1 in column `replace` of `patch`, found `2`",
        ),
        (
            "patch\tfix\t1\tx\t1\t-\t0\t1\t1\t1\t1\t1\t1",
            "expected 0 or 1 in column `enable` of `patch`, found `x`",
        ),
        (
            "param\tx\t11\t0\t0\t",
            "expected the number of a type of parameters in column `kind` of `param`, found `11`",
        ),
        ("func\ta\tb\t0\t-\t-\t1:1", "column `class` of `func` is missing"),
        (
            "func\ta\tb\t0\t-\t-\t1:1\t120",
            "expected the number of a class in column `class` of `func`, found `120`",
        ),
        ("shadow\t9\t7\tC\tt\t0\t-", "column `place` of `shadow` is missing"),
        ("hook\tother", "expected `init` or `exit` in column `hook` of `hook`, found `other`"),
        ("hook\tinit\tmore", "expected the end of `hook`, found `more`"),
    ] {
        let said = read(line).unwrap_err().to_string();
        assert!(said.starts_with(fault), "{line}: {said}");
    }
    assert_eq!(
        read("hook\tx").unwrap_err().to_string(),
        "expected `init` or `exit` in column `hook` of `hook`, found `x` in the line \"hook\\tx\""
    );
}
