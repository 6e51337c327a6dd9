//! What `#[cfg(…)]` may ask about the kernel that a patch is built for.
//!
//! The command finds the conditions in the patch crate, answers them for the kernel, and passes those that hold to rustc.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The name of a condition on the release.
pub const SINCE: &str = "kernel_since";

/// The name of a condition on what the kernel has.
pub const HAS: &str = "kernel_has";

/// How the names of conditions on the configuration begin.
pub const CONFIG: &str = "CONFIG_";

/// What separates the answers in [`crate::env::CONDITIONS`].
const SEPARATOR: char = '\x1f';

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// `kernel_since = "6.12"`: the kernel is of this release or a later one.
    Since(Release),
    /// `kernel_has = "struct sock.sk_refcnt"`: the kernel, or a module, has this.
    Has(Item),
    /// `CONFIG_SMP`: the option is `y` or `m`; with a value: it has that value.
    Config {
        /// The option, with `CONFIG_`.
        option: String,
        /// The value.
        value: Option<String>,
    },
}

impl Condition {
    /// Reads what stands in a `#[cfg]`; `None` if it does not ask about the kernel.
    ///
    /// # Errors
    ///
    /// What is expected in its place.
    #[must_use]
    pub fn parse(name: &str, value: Option<&str>) -> Option<Result<Self, String>> {
        let value_or =
            |example: &str| value.ok_or_else(|| format!("expected a value: write `{name} = \"{example}\"`"));
        match name {
            SINCE => Some(value_or("6.12").and_then(|value| Release::parse(value).map(Self::Since))),
            HAS => {
                Some(value_or("struct sock.sk_refcnt").and_then(|value| Item::parse(value).map(Self::Has)))
            }
            _ if name.starts_with(CONFIG) => {
                Some(Ok(Self::Config { option: name.to_owned(), value: value.map(str::to_owned) }))
            }
            _ => None,
        }
    }

    /// The condition as rustc's `--cfg` has it.
    #[must_use]
    pub fn cfg(&self) -> String {
        let (name, value) = self.parts();
        value.map_or_else(|| name.to_owned(), |value| format!("{name}={value:?}"))
    }

    /// What rustc's `--check-cfg` has, so that the condition is expected.
    #[must_use]
    pub fn check_cfg(&self) -> String {
        let (name, value) = self.parts();
        let value = value.map_or_else(|| "none()".to_owned(), |value| format!("{value:?}"));
        format!("cfg({name}, values({value}))")
    }

    fn parts(&self) -> (&str, Option<String>) {
        match self {
            Self::Since(release) => (SINCE, Some(release.to_string())),
            Self::Has(item) => (HAS, Some(item.to_string())),
            Self::Config { option, value } => (option, value.clone()),
        }
    }
}

impl fmt::Display for Condition {
    /// As it stands in a `#[cfg]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (name, Some(value)) => write!(f, "{name} = {value:?}"),
            (name, None) => f.write_str(name),
        }
    }
}

/// A release of the kernel, without what a distribution adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Version, patch level and sublevel: 6, 12 and 0.
    pub numbers: [u32; 3],
    /// The number of a release candidate, which is before the release itself.
    pub candidate: Option<u32>,
}

impl Release {
    /// Reads `6.12`, `6.12.30` or `6.12-rc3`.
    ///
    /// # Errors
    ///
    /// What is expected in its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parse = || {
            let (numbers, candidate) = match text.split_once("-rc") {
                Some((numbers, candidate)) => (numbers, Some(number(candidate)?)),
                None => (text, None),
            };
            let parts = numbers.split('.').map(number).collect::<Option<Vec<_>>>()?;
            let numbers = match (&*parts, candidate) {
                (&[version, level], _) => [version, level, 0],
                (&[version, level, sublevel], None) if sublevel > 0 => [version, level, sublevel],
                _ => return None,
            };
            Some(Self { numbers, candidate })
        };
        parse().ok_or_else(|| {
            format!("expected a release such as `6.12`, `6.12.30` or `6.12-rc3`, found `{text}`")
        })
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let key = |release: &Self| (release.numbers, release.candidate.unwrap_or(u32::MAX));
        key(self).cmp(&key(other))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [version, level, sublevel] = self.numbers;
        write!(f, "{version}.{level}")?;
        match (sublevel, self.candidate) {
            (_, Some(candidate)) => write!(f, "-rc{candidate}"),
            (0, None) => Ok(()),
            (_, None) => write!(f, ".{sublevel}"),
        }
    }
}

/// A number that is written in one way only.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// What a kernel, a module or a header of the kernel may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Where it is looked for.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// For a structure or union: a field, a field of that one, and so on.
    pub fields: Vec<String>,
}

/// Where an [`Item`] is looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In vmlinux; headers are looked for where `#include` does.
    Kernel,
    /// In a module.
    Module(String),
    /// Behind a header, named as `#include` does.
    Header(String),
}

/// A kind of [`Item`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A structure.
    Struct,
    /// A union.
    Union,
    /// An enumeration.
    Enum,
    /// A constant of an enumeration.
    Const,
    /// A function with a symbol, exported or not.
    Fn,
    /// A variable with a symbol, exported or not.
    Static,
    /// A function or a variable that the kernel or a module exports.
    Export,
    /// A function that a header declares, inline or not.
    InlineFn,
    /// A macro that a header defines.
    Macro,
    /// A header.
    Header,
}

impl Kind {
    /// All, as they are written.
    const ALL: [(&str, Self); 10] = [
        ("struct", Self::Struct),
        ("union", Self::Union),
        ("enum", Self::Enum),
        ("const", Self::Const),
        ("fn", Self::Fn),
        ("static", Self::Static),
        ("export", Self::Export),
        ("inline fn", Self::InlineFn),
        ("macro", Self::Macro),
        ("header", Self::Header),
    ];

    /// Whether it may be looked for there.
    const fn may_be_in(self, place: &Place) -> bool {
        match place {
            Place::Kernel => !matches!(self, Self::InlineFn | Self::Macro),
            Place::Module(_) => !matches!(self, Self::Export | Self::InlineFn | Self::Macro | Self::Header),
            Place::Header(_) => matches!(self, Self::InlineFn | Self::Macro),
        }
    }
}

impl Item {
    /// Reads `struct NAME`, `struct NAME.FIELD`, `fn NAME` and the like, behind `MODULE: ` for a module, and
    /// `HEADER.h: inline fn NAME` and the like.
    ///
    /// # Errors
    ///
    /// What is expected in its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let is_name = |name: &str| !name.is_empty() && name.chars().all(is_letter);
        let is_header = |path: &str| {
            path.ends_with(".h") && path.chars().all(|letter| is_letter(letter) || "/.-".contains(letter))
        };
        let parse = || {
            let (place, item) = match text.split_once(": ") {
                Some((header, item)) if is_header(header) => (Place::Header(header.to_owned()), item),
                Some((module, item)) => (Place::Module(is_name(module).then(|| module.to_owned())?), item),
                None => (Place::Kernel, text),
            };
            let named =
                |(word, kind): &(&str, Kind)| Some((*kind, item.strip_prefix(word)?.strip_prefix(' ')?));
            let (kind, path) = Kind::ALL.iter().find_map(named)?;
            if kind == Kind::Header {
                let is_it = place == Place::Kernel && is_header(path);
                return is_it.then(|| Self { place, kind, name: path.to_owned(), fields: Vec::new() });
            }
            let mut names = path.split('.');
            let name = names.next()?.to_owned();
            let fields: Vec<String> = names.map(str::to_owned).collect();
            let has_fields = matches!(kind, Kind::Struct | Kind::Union);
            let is_whole = path.split('.').all(is_name) && (has_fields || fields.is_empty());
            (is_whole && kind.may_be_in(&place)).then_some(Self { place, kind, name, fields })
        };
        parse().ok_or_else(|| {
            format!(
                "expected `struct NAME`, `struct NAME.FIELD`, `union …`, `enum NAME`, `const NAME`, `fn NAME` or `static \
                 NAME`, behind `MODULE: ` for what a module has; `export NAME`; or `a/header.h: inline fn NAME`, `a/header.h: macro NAME` or \
                 `header a/header.h`; found `{text}`"
            )
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Kernel => {}
            Place::Module(place) | Place::Header(place) => write!(f, "{place}: ")?,
        }
        let word = Kind::ALL.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(word, _)| word);
        write!(f, "{word} {}", self.name)?;
        self.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

/// The answers to conditions, for [`crate::env::CONDITIONS`].
#[must_use]
pub fn write_answers<'a>(answers: impl IntoIterator<Item = (&'a Condition, bool)>) -> String {
    let answer = |(condition, holds): (&Condition, bool)| format!("{holds} {}", condition.cfg());
    answers.into_iter().map(answer).collect::<Vec<_>>().join(&SEPARATOR.to_string())
}

/// Whether a condition holds by these answers; `None` if they do not say.
#[must_use]
pub fn read_answer(answers: &str, condition: &Condition) -> Option<bool> {
    let cfg = condition.cfg();
    let mut answers = answers.split(SEPARATOR).filter_map(|answer| answer.split_once(' '));
    answers.find(|(_, asked)| *asked == cfg).and_then(|(holds, _)| holds.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str) -> Result<Condition, String> {
        Condition::parse(HAS, Some(value)).unwrap()
    }

    #[test]
    fn a_candidate_is_before_its_release() {
        let ordered = ["6.1", "6.1.9", "6.1.10", "6.12-rc2", "6.12-rc10", "6.12", "6.12.1", "7.0-rc1"];
        let releases: Vec<_> = ordered.iter().map(|text| Release::parse(text).unwrap()).collect();
        assert!(releases.is_sorted_by(|a, b| a < b));
        let written: Vec<_> = releases.iter().map(ToString::to_string).collect();
        assert_eq!(written, ordered);
    }

    #[test]
    fn a_release_is_written_in_one_way() {
        for wrong in
            ["", "6", "6.12.0", "06.12", "6.12.x", "v6.12", "6.12.3-rc1", "6.12-rc", "6.12.117+deb12-amd64"]
        {
            let error = Release::parse(wrong).unwrap_err();
            assert!(error.ends_with(&format!("found `{wrong}`")), "{error}");
        }
    }

    #[test]
    fn what_a_kernel_has_is_written_in_one_way() {
        for text in [
            "struct sock",
            "struct sock.a.b",
            "union u.f",
            "enum e",
            "const C",
            "fn f",
            "static s",
            "nf_tables: fn f",
            "export f",
            "net/sock.h: inline fn sock_put",
            "linux/list_nulls.h: macro NULLS_MARKER",
            "header asm-generic/rwonce.h",
        ] {
            assert_eq!(has(text).unwrap().to_string(), format!("kernel_has = \"{text}\""));
        }
        for wrong in [
            "",
            "sock",
            "struct  sock",
            "struct sock.",
            "fn f.g",
            "struct a b",
            "nf_tables:fn f",
            "inline f",
            "inline fn f",
            "macro M",
            "nf_tables: macro M",
            "net/sock.h: fn f",
            "header net/sock",
            "a.h: header b.h",
        ] {
            assert!(has(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_are_as_in_the_kernels_own_code() {
        let parse = |value| Condition::parse("CONFIG_NET", value).unwrap().unwrap();
        assert_eq!(
            (parse(None).cfg(), parse(Some("m")).cfg()),
            ("CONFIG_NET".into(), "CONFIG_NET=\"m\"".into())
        );
        assert_eq!(parse(None).check_cfg(), "cfg(CONFIG_NET, values(none()))");
        assert!(Condition::parse("feature", Some("sim")).is_none());
        assert!(Condition::parse(SINCE, None).unwrap().is_err());
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        let (first, second) = (has("fn a").unwrap(), has("fn b").unwrap());
        let text = write_answers([(&first, true), (&second, false)]);
        assert_eq!(read_answer(&text, &first), Some(true));
        assert_eq!(read_answer(&text, &second), Some(false));
        assert_eq!(read_answer(&text, &has("fn c").unwrap()), None);
        assert_eq!(read_answer("", &first), None);
    }
}
