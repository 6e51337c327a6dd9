//! The report, for people.

use std::fmt::Write;

use anstyle::Style;

use crate::kernel::arch::X86_64;
use crate::patch::inspect::report::{Language, Memory, Parameter, Patch, Report, Symbols};

const HEADING: Style = Style::new().bold();

/// The maximum length of a line of symbols.
const WIDTH: usize = 100;

/// The report as text, with headings in bold.
pub fn text(report: &Report) -> String {
    let mut text = Text(String::new());
    text.about(report);
    match (&report.patch, &report.unknown) {
        (Some(patch), _) => text.patch(patch),
        (None, unknown) => text.section("What it does", &[row([unknown.as_deref().unwrap_or("unknown")])]),
    }
    let parameter = |p: &Parameter| {
        row([&*p.name, p.kind.as_deref().unwrap_or("-"), p.description.as_deref().unwrap_or("")])
    };
    text.section("Parameters", &report.parameters.iter().map(parameter).collect::<Vec<_>>());
    text.symbols(&report.symbols);
    text.memory(&report.memory);
    text.section("Wrong with it", &report.faults.iter().map(|fault| row([fault])).collect::<Vec<_>>());
    text.0
}

/// A line of a table.
type Row = Vec<String>;

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).to_vec()
}

struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// A heading and the rows under it, if there are any.
    fn section(&mut self, heading: &str, rows: &[Row]) {
        if !rows.is_empty() {
            self.line("");
            self.line(&format!("{HEADING}{heading}{HEADING:#}"));
            self.table(rows);
        }
    }

    /// Rows with their columns aligned. A module's own texts may contain line breaks or control characters.
    fn table(&mut self, rows: &[Row]) {
        let clean = |cell: &String| cell.replace(char::is_control, " ");
        let rows: Vec<Row> = rows.iter().map(|row| row.iter().map(clean).collect()).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell_width = |row: &Row, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let widths: Vec<_> = (0..columns)
            .map(|column| rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0))
            .collect();
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                write!(line, "  {cell:width$}").expect("a string takes everything");
            }
            self.line(&line);
        }
    }

    fn about(&mut self, report: &Report) {
        let written = match report.language {
            Language::Klp if report.patch.as_ref().is_some_and(|patch| !patch.enable) => {
                "a module in Rust, not enabled as a livepatch"
            }
            Language::Klp => "a livepatch in Rust",
            Language::C => "a livepatch in C",
        };
        self.line(&format!("{HEADING}{}{HEADING:#}, {written}", report.name));
        let (release, options) = match report.vermagic.as_deref() {
            Some(vermagic) => vermagic.split_once(' ').unwrap_or((vermagic, "")),
            None => ("not said", ""),
        };
        let replace = report.patch.as_ref().map(|patch| match patch.replace {
            true => "all other patches",
            false => "no other patch",
        });
        let flags = [
            if report.signed { "signed" } else { "not signed" },
            if report.intree { "in the kernel's tree" } else { "out of tree" },
            match (report.machine, report.retpoline) {
                (Some(other), _) if other != X86_64.machine => other,
                (_, true) => "retpoline",
                (_, false) => "no retpoline",
            },
        ];
        let mut rows = Vec::new();
        let mut add = |key: &str, value: &str| {
            if !value.is_empty() {
                rows.push(row([key, value]));
            }
        };
        add("what", report.description.as_deref().unwrap_or_default());
        add("kernel", release);
        add("", options);
        add("replaces", replace.unwrap_or_default());
        let series = report.patch.as_ref().and_then(|patch| patch.series.as_ref());
        let series = series.map(|series| format!("{}, revision {}", series.name, series.revision));
        add("series", &series.unwrap_or_default());
        add("fixes", &report.fixes.join(", "));
        let hooks = report.patch.as_ref().map(|patch| patch.hooks.join(", "));
        add("hooks", &hooks.unwrap_or_default());
        for (index, author) in report.authors.iter().enumerate() {
            add(if index == 0 { "author" } else { "" }, author);
        }
        add("license", report.license.as_deref().unwrap_or("none"));
        add("version", report.version.as_deref().unwrap_or_default());
        let with_crate = |rustc: &String| format!("the `kernel` crate, by {rustc}");
        add("uses", &report.kernel_crate.as_ref().map(with_crate).unwrap_or_default());
        add("depends", &report.depends.join(", "));
        add("imports", &report.imports.join(", "));
        add("module", &flags.join(", "));
        add("signer", &signer(report));
        self.table(&rows);
    }

    fn patch(&mut self, patch: &Patch) {
        let mut redirects = Vec::new();
        for object in objects(patch) {
            redirects.push(row([object]));
            for redirect in patch.redirects.iter().filter(|redirect| redirect.object == object) {
                redirects.push(vec![
                    format!("  {}", symbol(&redirect.symbol, redirect.sympos)),
                    "->".into(),
                    redirect.replacement.clone().unwrap_or_else(|| "(no symbol)".into()),
                    if redirect.calls_original { "calls the original".into() } else { String::new() },
                ]);
            }
        }
        self.section("Redirects", &redirects);

        let callbacks = patch.callbacks.iter().map(|callback| {
            row([&*callback.object, &*callback.callback, callback.function.as_deref().unwrap_or_default()])
        });
        self.section("Callbacks", &callbacks.collect::<Vec<_>>());

        let states = patch.states.iter().map(|state| {
            vec![
                Id(state.id).to_string(),
                format!("version {}", state.version),
                state.name.clone().unwrap_or_default(),
                // Patches in C have callbacks of objects only.
                state.name.as_ref().map(|_| list(&state.callbacks)).unwrap_or_default(),
                state.flags.join(", "),
            ]
        });
        self.section("States", &states.collect::<Vec<_>>());

        let shadows = patch.shadows.iter().map(|shadow| {
            // A shadow variable without a state in the source has a state of its own, with the same id.
            let owner = patch.states.iter().find(|state| state.id == shadow.state);
            let owner =
                owner.and_then(|state| state.name.clone()).unwrap_or_else(|| Id(shadow.state).to_string());
            vec![
                Id(shadow.id).to_string(),
                format!("{}.{}", shadow.of, shadow.name),
                format!("of state {owner}"),
                shadow.object.as_ref().map(|object| format!("goes with {object}")).unwrap_or_default(),
                if shadow.sleepable { "sleepable".into() } else { String::new() },
            ]
        });
        self.section("Shadow variables", &shadows.collect::<Vec<_>>());
    }

    fn symbols(&mut self, symbols: &Symbols) {
        let livepatch = symbols.livepatch.iter().map(|needed| {
            vec![
                needed.object.clone(),
                symbol(&needed.symbol, needed.sympos),
                if needed.resolved { String::new() } else { "NOT MARKED: it would be NULL".into() },
            ]
        });
        self.section("Needs, though not exported", &livepatch.collect::<Vec<_>>());
        self.section("Needs", &wrapped(&symbols.exported));
    }

    fn memory(&mut self, memory: &Memory) {
        let line = |name: &str, cells: [&str; 4]| {
            let [text, rodata, data, total] = cells;
            row([&format!("{name:4}  {text:>7}  {rodata:>7}  {data:>7}  {total:>7}")])
        };
        let mut rows = vec![line("", ["text", "rodata", "data", "bytes"])];
        for (name, sizes) in [("core", memory.core), ("init", memory.init)] {
            let sizes = [sizes.text, sizes.rodata, sizes.data, sizes.total()].map(|size| size.to_string());
            rows.push(line(name, sizes.each_ref().map(String::as_str)));
        }
        self.section("Memory", &rows);
    }
}

/// Who has signed, and whether that is known.
fn signer(report: &Report) -> String {
    let Some(signature) = &report.signature else { return String::new() };
    let verdict = match report.verified {
        Some(true) => "verified",
        Some(false) => "WRONG",
        None => "not verified: `--cert` takes the certificate",
    };
    format!("{signature} ({verdict})")
}

/// The objects whose functions the patch redirects, in the order in which they first appear.
fn objects(patch: &Patch) -> Vec<&str> {
    let mut objects: Vec<&str> = Vec::new();
    for redirect in &patch.redirects {
        if !objects.contains(&redirect.object.as_str()) {
            objects.push(&redirect.object);
        }
    }
    objects
}

/// A symbol, with its position where there are several of that name.
fn symbol(name: &str, sympos: u64) -> String {
    if sympos == 0 { name.into() } else { format!("{name} (position {sympos})") }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no callbacks".into() } else { names.join(", ") }
}

/// Ids that people choose are small; ids made from a hash are easier to read in hexadecimal.
struct Id(u64);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match u32::try_from(self.0) {
            Ok(id) => write!(f, "{id}"),
            Err(_) => write!(f, "{:#x}", self.0),
        }
    }
}

/// Names separated by spaces, broken into lines of limited length.
fn wrapped(names: &[String]) -> Vec<Row> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + name.len() + 4 < WIDTH => *line = format!("{line}, {name}"),
            _ => lines.push(name.clone()),
        }
    }
    lines.into_iter().map(|line| vec![line]).collect()
}

#[cfg(test)]
mod tests {
    use klp_module::Signature;
    use klp_module::signature::Signer;

    use super::*;
    use crate::patch::inspect::report::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn redirect(object: &str, symbol: &str, sympos: u64, replacement: Option<&str>) -> Redirect {
        let replacement = replacement.map(str::to_owned);
        let calls_original = sympos == 2;
        Redirect { object: object.into(), symbol: symbol.into(), sympos, replacement, calls_original }
    }

    fn report() -> Report {
        let state = |id, name: &str, flags: &[&str], callbacks: &[&str]| State {
            id,
            version: 2,
            name: Some(name.into()),
            flags: names(flags),
            callbacks: names(callbacks),
        };
        let shadow = |id, state, name: &str, sleepable, object: Option<&str>| Shadow {
            id,
            state,
            name: name.into(),
            of: "task_struct".into(),
            sleepable,
            object: object.map(str::to_owned),
        };
        let needed = |symbol: &str, sympos, resolved| LivepatchSymbol {
            object: "vmlinux".into(),
            symbol: symbol.into(),
            sympos,
            resolved,
        };
        Report {
            name: "fix_x".into(),
            language: Language::Klp,
            license: None,
            authors: names(&["A. Author <a@example.org>", "B. Author"]),
            description: Some("Two lines,\n\x1b[31mone of them red".into()),
            version: Some("1.0".into()),
            release: Some("6.12.1".into()),
            vermagic: Some("6.12.1 SMP".into()),
            depends: names(&["nf_tables", "nfnetlink"]),
            imports: names(&["CRYPTO_INTERNAL"]),
            kernel_crate: Some("rustc 1.85.1 (4eb161250 2025-03-15)".into()),
            fixes: names(&["CVE-2026-12345", "CVE-2026-12346"]),
            intree: true,
            machine: Some(X86_64.machine),
            retpoline: false,
            signed: true,
            signature: Some(Signature {
                signer: Signer::Key { key_id: "12ab".into() },
                hash: "sha256".into(),
            }),
            verified: Some(false),
            patch: Some(Patch {
                series: Some(Series { name: "example.org: fixes".into(), revision: 3 }),
                replace: true,
                enable: true,
                redirects: vec![
                    redirect("nf_tables", "nft_do_chain", 0, Some("fix_x::nft_do_chain")),
                    redirect("vmlinux", "show", 3, None),
                    redirect("nf_tables", "nft_x", 0, Some("fix_x::nft_x")),
                ],
                callbacks: vec![Callback {
                    object: "nf_tables".into(),
                    callback: "pre_patch".into(),
                    function: None,
                }],
                hooks: names(&["init", "exit"]),
                states: vec![
                    state(1, "Level", &["block_disable"], &["pre_patch", "post_patch"]),
                    state(u64::MAX / 2, "Plain", &[], &[]),
                ],
                shadows: vec![
                    shadow(7, 1, "Counter", false, None),
                    shadow(8, 5, "Buffer", true, Some("nf_tables")),
                ],
            }),
            unknown: None,
            parameters: vec![Parameter { name: "level".into(), kind: Some("int".into()), description: None }],
            symbols: Symbols {
                exported: (0..30).map(|number| format!("symbol_{number}")).collect(),
                livepatch: vec![needed("saved_command_line", 0, true), needed("lost", 2, false)],
            },
            memory: Memory { core: Sizes { text: 12345, rodata: 6, data: 78 }, init: Sizes::default() },
            faults: Vec::new(),
        }
    }

    fn plain(report: &Report) -> String {
        anstream::adapter::strip_str(&text(report)).to_string()
    }

    #[test]
    fn everything_has_its_place() {
        insta::assert_snapshot!(plain(&report()));
    }

    #[test]
    fn what_is_unknown_is_said() {
        let unknown = Some("nobody knows; ask".into());
        let report = Report { patch: None, unknown, ..report() };
        let text = plain(&report);
        assert!(text.contains("\nWhat it does\n  nobody knows; ask\n"), "{text}");
        assert!(!text.contains("replaces") && !text.contains("Redirects"), "{text}");
    }
}
