//! Compares the bytes of modules: klp's and C's.

use std::fs;
use std::path::Path;

use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;
use object::{Object, ObjectSection, SectionFlags, elf};
use serde_json::Value;

use super::measure::{Figures, Goal, Measurement};
use super::sources::Spec;
use super::workshop::Workshop;

/// Number of states in the larger patches.
const MANY: usize = 10;

/// Sizes of a module, in bytes.
struct Sizes {
    text: f64,
    rodata: f64,
    data: f64,
    /// Memory that the module has as long as it is loaded.
    core: f64,
    relocations: f64,
    file: f64,
}

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let spec = |states, shadows| Spec { cmdline: true, states, shadows, ..Spec::default() };
    let kinds = [
        ("function", "function only", spec(0, false)),
        ("state", "one state", spec(1, false)),
        ("states", "ten states", spec(MANY, false)),
        ("shadows", "ten states with shadow variables", spec(MANY, true)),
    ];
    let (mut measurements, mut loaded) = (Vec::new(), Vec::new());
    for (file, name, spec) in kinds {
        let [ours, c] = workshop.build_both(&format!("size_{file}"), &spec)?;
        let (ours, c) = (sizes(workshop, &ours)?, sizes(workshop, &c)?);
        let mut add = |what: &str, of: fn(&Sizes) -> f64| {
            measurements.push(Measurement::new(format!("{name}: {what}"), "bytes", of(&ours), Some(of(&c))));
        };
        add("loaded", |sizes| sizes.core);
        add("text", |sizes| sizes.text);
        add("read-only data", |sizes| sizes.rodata);
        add("data", |sizes| sizes.data);
        add("relocations", |sizes| sizes.relocations);
        add(".ko", |sizes| sizes.file);
        if spec.states == 0 {
            let first = &mut measurements[0];
            *first = first.clone().goal(Goal::AboveC(256.0));
        }
        loaded.push((ours.core, c.core));
    }
    // Loaded bytes of the four patches of `kinds`.
    type Loaded = [f64; 4];
    let state: fn(&Loaded) -> f64 = |[_, one, many, _]| (many - one) / (MANY - 1) as f64;
    let shadow: fn(&Loaded) -> f64 = |[_, _, many, shadows]| (shadows - many) / MANY as f64;
    let engine: fn(&Loaded) -> f64 =
        |[function, one, many, _]| one - function - (many - one) / (MANY - 1) as f64;
    let side = |of: fn(&(f64, f64)) -> f64| std::array::from_fn(|kind| of(&loaded[kind]));
    let (ours, c) = (side(|pair| pair.0), side(|pair| pair.1));
    let each = |name: &str, of: fn(&Loaded) -> f64| Measurement::new(name, "bytes", of(&ours), Some(of(&c)));
    measurements.push(each("each state more: loaded", state).goal(Goal::AtMost(400.0)));
    measurements.push(each("each shadow variable more: loaded", shadow));
    let engine = each("the engine, where there is a state: loaded", engine);
    measurements.push(engine.goal(Goal::AtMost(f64::from(12 << 10))));
    Ok(Figures { measurements, charts: Vec::new() })
}

fn sizes(workshop: &Workshop, ko: &Path) -> Result<Sizes> {
    let mut inspect = std::process::Command::new(workshop.command());
    let output = run_tool(inspect.args(["klp", "inspect", "--message-format", "json"]).arg(ko))?;
    let report: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    let core = |part: &str| report["memory"]["core"][part].as_f64().expect("a number of bytes");
    let (text, rodata, data) = (core("text"), core("rodata"), core("data"));
    let file = fs::read(ko).map_err(Error::io("read", ko))?;
    let relocations = relocations(&file).map_err(Error::elf("read the module"))?;
    Ok(Sizes { text, rodata, data, core: text + rodata + data, relocations, file: file.len() as f64 })
}

/// Bytes of the relocations of the sections that are loaded.
fn relocations(file: &[u8]) -> object::Result<f64> {
    const ENTRY: usize = 24;
    let file = object::File::parse(file)?;
    let is_loaded = |section: &object::Section<'_, '_>| match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_ALLOC),
        _ => false,
    };
    let number: usize = file.sections().filter(is_loaded).map(|section| section.relocations().count()).sum();
    Ok((number * ENTRY) as f64)
}
