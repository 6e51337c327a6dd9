//! Fixes of stable kernels, made to patches by `cargo klp new --diff`.
//!
//! The corpus ([`corpus`]) is what two point releases of one series differ in: its diffs lead from the source of the
//! kernel that is patched to another release's, so they are often reversed. Nothing of the kernel's text is in this
//! repository. `cargo xtask soak` runs the corpus; the fixes of our own making ([`own`]) run with every test, and show
//! what must be refused.
//!
//! Needs the kernels 6.12 and, for the corpus, 6.1 with their sources: `cargo klp doctor --fix --source --kernel 6.12
//! --kernel 6.1` gets them. The corpus fetches the other releases' sources.

mod bodies;
mod corpus;
mod guest;
mod line;
mod own;
mod source;
mod workshop;

use corpus::{Corpus, Expected};
use workshop::{Made, Workshop};

#[test]
#[ignore = "it takes half an hour: `cargo xtask soak` runs it"]
fn real_fixes_of_6_12_become_patches_or_are_refused_for_the_right_reason() {
    assert_expected(&corpus::OF_6_12);
}

#[test]
#[ignore = "it takes minutes: `cargo xtask soak` runs it"]
fn real_fixes_of_6_1_become_patches_or_are_refused_for_the_right_reason() {
    assert_expected(&corpus::OF_6_1);
}

/// Makes patches of the fixes of a corpus, and loads and unloads each.
fn assert_expected(corpus: &Corpus) {
    let workshop = Workshop::new(corpus.series);
    let other = source::other(corpus);
    let (mut modules, mut wrong) = (Vec::new(), Vec::new());
    for fix in corpus.fixes {
        let diff = source::difference(&workshop.source, other.path(), fix);
        let made = workshop.make(&fix.name(), &diff);
        let shown = format!("{} {} {:?}", corpus.series, fix.file, fix.functions);
        match (&fix.expected, made) {
            (Expected::Enough(functions), Ok(made)) if made.functions == *functions => {
                let Made { build, new, c_lines, .. } = made;
                println!(
                    "{shown}: {c_lines} lines of C, built in {build:.1} s, after {new:.1} s for the crate"
                );
                modules.push(made.module);
            }
            (Expected::Refused(why), Err(said)) if said.contains(why) => println!("{shown}: {why}"),
            (expected, found) => wrong.push(format!("{shown}: expected {expected:?}, found {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.fixes.len(), wrong.join("\n"));
    guest::cycle(&workshop.kernel, &modules);
}
