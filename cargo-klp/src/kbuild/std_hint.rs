//! What to use instead of the standard library, which a patch can't have.

/// What a patch has instead of items of the standard library.
const INSTEAD: [(&[&str], &str); 5] = [
    (&["println", "print", "eprintln", "eprint", "dbg"], "`pr_info!` or `pr_err!`"),
    (&["Vec", "vec", "VecDeque"], "an array, or `klp_runtime::list::List`"),
    (&["Box", "Rc", "Arc"], "`KBox`, or a state's data"),
    (
        &["String", "format", "ToString", "to_string"],
        "`pr_info!` with its arguments, or bytes in a `[u8; N]`",
    ),
    (&["HashMap", "BTreeMap", "HashSet"], "a shadow variable on the object that is the key"),
];

/// A note after rustc's errors, whose own hints lead to crates that do not exist for a kernel.
#[derive(Debug, Default)]
pub(super) struct StdHint {
    is_missed: bool,
    instead: Vec<String>,
}

impl StdHint {
    /// Examines one message of rustc.
    pub(super) fn look_at(&mut self, message: &str) {
        if message.starts_with("can't find crate for `std`") {
            self.is_missed = true;
            self.instead.push("write `#![no_std]` at the top of src/lib.rs".into());
        }
        if !(message.starts_with("cannot find") || message.starts_with("no method named")) {
            return;
        }
        let Some(name) = message.split('`').nth(1) else { return };
        self.is_missed |= ["std", "alloc"].contains(&name);
        for (names, instead) in INSTEAD {
            if names.contains(&name) {
                self.is_missed = true;
                let hint = format!("for `{name}` write {instead}");
                if !self.instead.contains(&hint) {
                    self.instead.push(hint);
                }
            }
        }
    }

    /// The note, if the crate uses something of the standard library.
    pub(super) fn note(&self) -> Option<String> {
        let instead = self.instead.iter().map(|hint| format!("; {hint}")).collect::<String>();
        self.is_missed.then(|| {
            format!("a patch runs in the kernel and has `core`, not `std` or `alloc`; `klp_runtime` has what the kernel offers{instead}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(messages: &[&str]) -> Option<String> {
        let mut hint = StdHint::default();
        messages.iter().for_each(|message| hint.look_at(message));
        hint.note()
    }

    #[test]
    fn each_name_is_said_once() {
        let note = note(&[
            "cannot find module or crate `std` in this scope",
            "cannot find macro `println` in this scope",
            "cannot find macro `println` in this scope",
            "cannot find type `Vec` in this scope",
        ])
        .unwrap();
        assert_eq!(note.matches("for `println` write `pr_info!`").count(), 1, "{note}");
        assert!(note.contains("has `core`, not `std`") && note.contains("for `Vec` write"), "{note}");
    }

    #[test]
    fn a_crate_that_is_not_no_std() {
        let note = note(&["can't find crate for `std`", "cannot resolve a prelude import"]).unwrap();
        assert!(note.contains("write `#![no_std]`"), "{note}");
    }

    #[test]
    fn other_errors_need_no_note() {
        assert_eq!(
            note(&["cannot find type `sock` in this scope", "mismatched types", "unused: `Vec`"]),
            None
        );
    }
}
