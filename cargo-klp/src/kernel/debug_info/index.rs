//! The index of an object's debug information: a text that is searched, not parsed.
//!
//! First comes a line with the lengths; then a line `address name` for each piece of code that belongs to one function
//! only; then a line `name copies inlined place` for each function of the source, sorted by name. `copies` lists
//! offsets of lines of code; `inlined` lists such offsets for the code that the function was inlined into, each with
//! the number of places.

use std::collections::HashMap;
use std::fmt::Write;

use gimli::Dwarf;

use super::dwarf::{self, Function, Program, Slice};
use super::sections::{self, Sections};
use super::{Code, Source};
use crate::host::sorted;

/// Makes the index of an ELF file, or returns the reason why that is impossible.
pub(super) fn make(data: &[u8]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let file = object::File::parse(data)?;
    let sections = Sections::load(&file)?;
    let dwarf: Dwarf<Slice<'_>> = sections.dwarf();
    let program = dwarf::read(&dwarf)?;
    Ok(text(&file, &program))
}

fn text(file: &object::File<'_>, program: &Program<'_>) -> String {
    let names = sections::code(file);
    let mut code = String::new();
    let mut lines = Vec::with_capacity(program.copies.len());
    let mut of_function = HashMap::<_, Vec<_>>::new();
    for copy in &program.copies {
        let function = &program.functions[copy.function];
        let known = names.get(&copy.address).map_or(&[][..], Vec::as_slice);
        let Some(name) = name(function, known) else {
            lines.push(None);
            continue;
        };
        lines.push(Some(code.len()));
        of_function.entry(copy.function).or_default().push(code.len());
        writeln!(code, "{:x} {name}", sections::offset(file, copy.address))
            .expect("a string takes everything");
    }
    let mut order: Vec<usize> = (0..program.functions.len()).collect();
    let key = |&number: &usize| (program.functions[number].name, &program.functions[number].place);
    order.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    let mut functions = String::new();
    for number in order {
        let function = &program.functions[number];
        let copies = of_function.get(&number).into_iter().flatten().map(|at| format!("{at:x}"));
        let mut inlined: Vec<_> =
            function.inlined.iter().filter_map(|(&copy, &places)| Some((lines[copy]?, places))).collect();
        inlined.sort_unstable();
        let inlined = inlined.into_iter().map(|(at, places)| match places {
            1 => format!("{at:x}"),
            _ => format!("{at:x}*{places}"),
        });
        let Function { name, place, .. } = function;
        let (copies, inlined) = (list(copies), list(inlined));
        writeln!(functions, "{name} {copies} {inlined} {place}").expect("a string takes everything");
    }
    format!("{}\n{code}{functions}", code.len())
}

/// The symbol of a function's code, among those at its address.
fn name<'a>(function: &Function<'_>, known: &[&'a str]) -> Option<&'a str> {
    let own = |name: &&&str| super::stem(name) == function.name;
    known.iter().find(own).or_else(|| known.first()).copied()
}

fn list(items: impl Iterator<Item = String>) -> String {
    let text = items.collect::<Vec<_>>().join(",");
    if text.is_empty() { "-".into() } else { text }
}

/// The functions with a name in an index.
pub(super) fn named(index: &str, name: &str) -> Option<Vec<Source>> {
    let (length, rest) = index.split_once('\n')?;
    let (code, functions) = rest.split_at_checked(length.parse().ok()?)?;
    let line = |line: &str| {
        let mut fields = line.splitn(4, ' ');
        let found = fields.next()?;
        let copies = items(fields.next()?).map(|item| code_at(code, item)).collect::<Option<_>>()?;
        let inlined = items(fields.next()?)
            .map(|item| {
                let (at, places) = item.split_once('*').unwrap_or((item, "1"));
                Some((code_at(code, at)?, places.parse().ok()?))
            })
            .collect::<Option<_>>()?;
        Some(Source { name: found.into(), place: fields.next()?.into(), copies, inlined })
    };
    let lines = sorted::starting_with(functions, name);
    let lines = lines.filter(|line| line.split(' ').next() == Some(name));
    lines.map(line).collect()
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|item| *item != "-")
}

fn code_at(code: &str, at: &str) -> Option<Code> {
    let line = code.get(usize::from_str_radix(at, 16).ok()?..)?.lines().next()?;
    let (address, name) = line.split_once(' ')?;
    Some(Code { name: name.into(), address: u64::from_str_radix(address, 16).ok()? })
}
