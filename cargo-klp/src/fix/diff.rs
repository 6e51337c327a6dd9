//! The fix: a unified diff, as `git format-patch`, `git diff` and `diff -ru` write it.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use diffy::{DiffOptions, Patch};

use crate::error::{Error, Result};

/// How far a hunk may stand from where the diff says, in lines.
const MOST_DISTANCE: usize = 4000;

/// What a diff does to one file.
#[derive(Clone, Debug)]
pub struct FileDiff {
    /// The file, relative to the root of the source; its name starts with that of the root's parent (`a/`) in the diff.
    pub path: PathBuf,
    /// What becomes of the file.
    pub change: Change,
    /// The line of the diff that says so.
    pub line: usize,
    /// What each commit of the diff does to it, in their order.
    steps: Vec<String>,
    hunks: Vec<Hunk>,
    /// The lines that it removes or adds, each with its line of the diff.
    pub changed: Vec<(usize, String)>,
}

/// What a diff does to a file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It changes the text.
    Edit,
    /// The file is new.
    New,
    /// The file goes.
    Removal,
    /// The file has, or had, another name.
    Move,
    /// The file is no text.
    Binary,
}

/// A hunk, as the diff has it.
#[derive(Clone, Debug)]
struct Hunk {
    /// Its first line in the fixed file, as the diff says.
    start: usize,
    /// Its lines but those that are removed, and for each the line of the diff if it is added or stands at a removal.
    fixed: Vec<(String, Option<usize>)>,
}

/// The files that a diff changes.
///
/// # Errors
///
/// It is no unified diff.
pub fn parse(name: &Path, text: &str) -> Result<Vec<FileDiff>> {
    let refuse = |line: usize, what: &str| Error::Request {
        message: format!("{}:{line}: {what}", name.display()),
        help: "give a unified diff of the kernel's source: `git format-patch -1`, `git diff` or `diff -ru`"
            .into(),
    };
    // As programs for mail write it.
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut files: Vec<FileDiff> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if let Some((path, change)) = without_hunks(&lines, at) {
            if !files.iter().any(|file| file.path == path) {
                files.push(FileDiff::new(path, change, at + 1));
            }
            at += 1;
            continue;
        }
        let (Some(old), Some(new)) =
            (line.strip_prefix("--- "), lines.get(at + 1).and_then(|next| next.strip_prefix("+++ ")))
        else {
            at += 1;
            continue;
        };
        let (name, change) = match (file_name(old), file_name(new)) {
            ("/dev/null", new) => (new, Change::New),
            (old, "/dev/null") => (old, Change::Removal),
            (_, new) => (new, Change::Edit),
        };
        let start = at;
        at += 2;
        let (mut hunks, mut changed) = (Vec::new(), Vec::new());
        while let Some(counts) = lines.get(at).and_then(|line| hunk_header(line)) {
            let (mut old_left, start, mut new_left) = counts;
            let mut hunk = Hunk { start, fixed: Vec::new() };
            let mut is_removal = None;
            at += 1;
            while old_left + new_left > 0 {
                let line = lines.get(at).ok_or_else(|| refuse(at, "the diff ends within a hunk"))?;
                let rest = line.get(1..).unwrap_or_default().trim_end_matches('\n').to_owned();
                if line.starts_with(['-', '+']) {
                    changed.push((at + 1, rest.clone()));
                }
                match line.as_bytes().first() {
                    Some(b'-') => {
                        old_left = old_left.saturating_sub(1);
                        is_removal = is_removal.or(Some(at + 1));
                    }
                    Some(b'+') => {
                        new_left = new_left.saturating_sub(1);
                        hunk.fixed.push((rest, is_removal.take().or(Some(at + 1))));
                    }
                    Some(b' ' | b'\n' | b'\t') => {
                        (old_left, new_left) = (old_left.saturating_sub(1), new_left.saturating_sub(1));
                        hunk.fixed.push((rest, is_removal.take()));
                    }
                    Some(b'\\') => {}
                    _ => return Err(refuse(at + 1, "the hunk has fewer lines than its head says")),
                }
                at += 1;
            }
            if lines.get(at).is_some_and(|line| line.starts_with('\\')) {
                at += 1;
            }
            hunks.push(hunk);
        }
        if hunks.is_empty() {
            return Err(refuse(at, "no hunk follows the names of the files"));
        }
        let path = path_of(name);
        let file = match files.iter().position(|file| file.path == path) {
            Some(known) => &mut files[known],
            None => files.push_mut(FileDiff::new(path, change, start + 1)),
        };
        file.steps.push(lines[start..at].concat());
        file.hunks.extend(hunks);
        file.changed.extend(changed);
    }
    if files.is_empty() {
        return Err(refuse(1, "there is no diff in this file"));
    }
    Ok(files)
}

/// A file that a line tells of without hunks: `git diff` does of those that it moves, and every program of those that are no
/// text.
fn without_hunks(lines: &[&str], at: usize) -> Option<(PathBuf, Change)> {
    let line = lines[at].trim_end();
    for (from, to) in [("rename from ", "rename to "), ("copy from ", "copy to ")] {
        if line.starts_with(from) {
            let to = lines.get(at + 1)?.strip_prefix(to)?;
            return Some((to.trim_end().into(), Change::Move));
        }
    }
    let name = match line {
        "GIT binary patch" => {
            let head = lines[..at].iter().rev().find_map(|line| line.strip_prefix("diff --git "))?;
            head.trim_end().rsplit_once(' ')?.1
        }
        _ => line.strip_prefix("Binary files ")?.strip_suffix(" differ")?.rsplit_once(" and ")?.1,
    };
    Some((path_of(name), Change::Binary))
}

/// The path of a file without the first directory, `a` or `b`.
fn path_of(name: &str) -> PathBuf {
    name.split_once('/').map_or(name, |(_, rest)| rest).into()
}

/// The name in a line of a diff, which a time may follow.
fn file_name(line: &str) -> &str {
    line.split('\t').next().unwrap_or_default().trim_end()
}

/// The lines of the old side, the first line of the new side and its lines: `@@ -12,7 +12,8 @@`.
fn hunk_header(line: &str) -> Option<(usize, usize, usize)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let new = rest.split_once(" @@")?.0;
    let parse = |range: &str| {
        let (start, count) = range.split_once(',').unwrap_or((range, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let ((_, old_count), (start, new_count)): ((usize, _), _) = (parse(old)?, parse(new)?);
    Some((old_count, start, new_count))
}

impl FileDiff {
    fn new(path: PathBuf, change: Change, line: usize) -> Self {
        Self { path, change, line, steps: Vec::new(), hunks: Vec::new(), changed: Vec::new() }
    }

    /// Whether the diff makes the file.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.change == Change::New
    }

    /// The fixed file.
    ///
    /// # Errors
    ///
    /// A hunk does not apply.
    pub fn apply(&self, original: &str) -> Result<String> {
        let refuse = |why: String| Error::Request {
            message: format!("the diff does not apply to `{}`: {why}", self.path.display()),
            help: "adapt it to the target kernel's source, as for a stable kernel of its own".into(),
        };
        let mut text = original.to_owned();
        for step in &self.steps {
            let patch = Patch::from_str(step).map_err(|error| refuse(error.to_string()))?;
            text =
                diffy::apply(&text, &patch).map_err(|error| match diffy::apply(&text, &patch.reverse()) {
                    Ok(_) => Error::Request {
                        message: format!("`{}` has the change of the diff already", self.path.display()),
                        help: "the kernel needs no patch for it; if the diff is to be taken back, reverse it"
                            .into(),
                    },
                    Err(_) => refuse(error.to_string()),
                })?;
        }
        Ok(text)
    }

    /// The line of the diff that changes lines of the fixed file first.
    #[must_use]
    pub fn place(&self, fixed: &str, lines: &RangeInclusive<usize>) -> Option<usize> {
        let all: Vec<&str> = fixed.lines().collect();
        let changed = self.hunks.iter().filter_map(|hunk| Some((hunk.position(&all)?, hunk)));
        changed
            .flat_map(|(start, hunk)| (start..).zip(&hunk.fixed))
            .find_map(|(line, (_, place))| place.filter(|_| lines.contains(&line)))
    }

    /// The first changed line of the diff that has a word.
    #[must_use]
    pub fn first_line(&self) -> Option<usize> {
        self.hunks.iter().flat_map(|hunk| &hunk.fixed).find_map(|(_, place)| *place)
    }
}

impl Hunk {
    /// Its first line in the fixed file.
    fn position(&self, fixed: &[&str]) -> Option<usize> {
        let is_at = |start: usize| {
            start > 0
                && fixed.get(start - 1..).is_some_and(|rest| {
                    rest.len() >= self.fixed.len()
                        && self.fixed.iter().zip(rest).all(|((own, _), line)| own == line)
                })
        };
        let near = (0..MOST_DISTANCE).flat_map(|by| [self.start + by, self.start.saturating_sub(by)]);
        near.into_iter().find(|&start| is_at(start))
    }
}

/// The fixed file, with the numbers of lines that the original has, so that what is unchanged compiles to the same
/// code although `__LINE__` is in it: `#line` stands behind each change, at the next empty line.
#[must_use]
pub fn numbered_as(original: &str, fixed: &str) -> String {
    let patch = DiffOptions::new().set_context_len(0).create_patch(original, fixed).to_string();
    let hunks = patch.lines().filter_map(|line| {
        let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
        Some((end(old)?, end(rest.split_once(" @@")?.0)?))
    });
    let mut hunks: Vec<(usize, usize)> = hunks.collect();
    hunks.reverse();
    let mut text = String::with_capacity(fixed.len());
    // How many lines fewer the original has up to here, if that is not what the compiler counts.
    let mut shift = None;
    for (number, line) in (1..).zip(fixed.lines()) {
        text.push_str(line);
        text.push('\n');
        while let Some((old_end, new_end)) = hunks.pop_if(|(_, new_end)| *new_end <= number) {
            shift = Some((new_end, old_end));
        }
        if line.is_empty()
            && let Some((new_end, old_end)) = shift.take()
        {
            text.push_str(&format!("#line {}\n", number + 1 + old_end - new_end));
        }
    }
    text
}

/// The line behind a range of a hunk's head without context: of `5,0` that behind line 5.
fn end(range: &str) -> Option<usize> {
    let (start, count) = range.split_once(',').unwrap_or((range, "1"));
    let (start, count): (usize, usize) = (start.parse().ok()?, count.parse().ok()?);
    Some(if count == 0 { start + 1 } else { start + count })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = "int a;\n\nint f(void)\n{\n\treturn 1;\n}\n\nint g(void)\n{\n\treturn 2;\n}\n";
    const MAIL: &str = "From x\nSubject: y\n\n---\n a.c | 1 +\n\ndiff --git a/d/a.c b/d/a.c\n--- a/d/a.c\n+++ b/d/a.c\n\
                        @@ -13,5 +13,6 @@ int x\n int f(void)\n {\n-\treturn 1;\n+\tg();\n+\treturn 3;\n }\n \n-- \n2.39\n";

    #[test]
    fn a_diff_in_a_mail_is_applied_where_its_lines_are() {
        let [file] = &*parse("x.patch".as_ref(), MAIL).unwrap() else { panic!() };
        assert_eq!((&*file.path, file.change, file.line), (Path::new("d/a.c"), Change::Edit, 8));
        let fixed = file.apply(ORIGINAL).unwrap();
        assert!(fixed.contains("\tg();\n\treturn 3;\n"), "{fixed}");
        // `g();` is the fifth line of the fixed file, and what it replaces stands in line 13 of the mail.
        assert_eq!(file.place(&fixed, &(3..=7)), Some(13));
        assert_eq!(file.place(&fixed, &(6..=6)), Some(15));
        assert_eq!(file.place(&fixed, &(9..=12)), None);
    }

    #[test]
    fn a_diff_whose_lines_end_as_in_mails_is_the_same() {
        let [file] = &*parse("x.patch".as_ref(), &MAIL.replace('\n', "\r\n")).unwrap() else { panic!() };
        assert!(file.apply(ORIGINAL).unwrap().contains("\tg();\n\treturn 3;\n"));
    }

    /// As a series in one mailbox has it.
    #[test]
    fn commits_that_change_one_file_are_applied_in_their_order() {
        let next = MAIL
            .replace("-\treturn 1;\n+\tg();\n+\treturn 3;", "-\tg();\n+\tg(5);\n \treturn 3;")
            .replace("@@ -13,5 +13,6 @@", "@@ -13,6 +13,6 @@");
        let [file] = &*parse("x.patch".as_ref(), &(MAIL.to_owned() + &next)).unwrap() else { panic!() };
        let fixed = file.apply(ORIGINAL).unwrap();
        assert!(fixed.contains("\tg(5);\n\treturn 3;\n") && !fixed.contains("\tg();\n"), "{fixed}");
        assert!(file.place(&fixed, &(3..=7)).is_some_and(|line| line > 20));
    }

    #[test]
    fn what_is_no_diff_is_refused_at_its_line() {
        for (text, why) in [
            ("nothing", "x.patch:1: there is no diff in this file"),
            ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n x\n", "the diff ends within a hunk"),
        ] {
            let error = parse("x.patch".as_ref(), text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let [file] = &*parse("x.patch".as_ref(), MAIL).unwrap() else { panic!() };
        assert!(file.apply("int other;\n").unwrap_err().to_string().contains("does not apply to `d/a.c`"));
        let again = file.apply(&file.apply(ORIGINAL).unwrap()).unwrap_err();
        assert_eq!(again.to_string(), "`d/a.c` has the change of the diff already");
    }

    #[test]
    fn files_that_go_come_move_or_are_no_text_are_told_from_others() {
        let text = "diff --git a/gone.c b/gone.c\ndeleted file mode 100644\n--- a/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
                    diff --git a/old.c b/d/moved.c\nsimilarity index 90%\nrename from old.c\nrename to d/moved.c\n\
                    --- a/old.c\n+++ b/d/moved.c\n@@ -1 +1 @@\n-x\n+y\n\
                    diff --git a/i.png b/i.png\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\
                    Binary files a/j.png and b/j.png differ\n--- /dev/null\n+++ b/new.h\n@@ -0,0 +1 @@\n+x\n";
        let files = parse("x.patch".as_ref(), text).unwrap();
        let found: Vec<_> =
            files.iter().map(|file| (file.path.to_str().unwrap(), file.change, file.line)).collect();
        let expected = [
            ("gone.c", Change::Removal, 3),
            ("d/moved.c", Change::Move, 9),
            ("i.png", Change::Binary, 17),
            ("j.png", Change::Binary, 20),
            ("new.h", Change::New, 21),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_behind_a_change_keep_their_numbers() {
        let [file] = &*parse("x.patch".as_ref(), MAIL).unwrap() else { panic!() };
        let fixed = file.apply(ORIGINAL).unwrap();
        let numbered = numbered_as(ORIGINAL, &fixed);
        assert!(numbered.contains("}\n\n#line 8\nint g(void)\n"), "{numbered}");
        assert_eq!(numbered.matches("#line").count(), 1);
        assert_eq!(numbered_as(ORIGINAL, ORIGINAL), ORIGINAL);
    }
}
