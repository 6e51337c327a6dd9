//! Fixes of stable kernels, made to patches by `cargo klp new --diff`.
//!
//! The corpus ([`corpus::FIXES`]) is what two point releases of one series differ in: its diffs lead from the source of
//! the kernel that is patched to another release's, so they are often reversed. Nothing of the kernel's text is in this
//! repository. `cargo xtask soak` runs the corpus; the fixes of our own making ([`own`]) run with every test, and show
//! what must be refused.
//!
//! Needs a kernel 6.12 with its source: `cargo klp doctor --fix --source --kernel 6.12` gets them. The corpus fetches the
//! other release's source into the cache.

mod bodies;
mod corpus;
mod guest;
mod line;
mod own;
mod source;
mod workshop;

use corpus::{Expected, FIXES};
use workshop::Workshop;

#[test]
#[ignore = "it takes half an hour: `cargo xtask soak` runs it"]
fn real_fixes_become_patches_or_are_refused_for_the_right_reason() {
    let workshop = Workshop::new();
    let other = source::other();
    let (mut modules, mut wrong) = (Vec::new(), Vec::new());
    for fix in FIXES {
        let diff = source::difference(&workshop.source, other.path(), fix);
        let made = workshop.make(&fix.name(), &diff);
        let shown = format!("{} {:?}", fix.file, fix.functions);
        match (&fix.expected, made) {
            (Expected::Enough(functions), Ok(made)) if made.functions == *functions => {
                println!("{shown}: built in {:.1} s, after {:.1} s for the crate", made.build, made.new);
                modules.push(made.module);
            }
            (Expected::Refused(why) | Expected::Fails(why), Err(said)) if said.contains(why) => {
                println!("{shown}: {why}");
            }
            (expected, found) => wrong.push(format!("{shown}: expected {expected:?}, found {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), FIXES.len(), wrong.join("\n"));
    guest::cycle(&workshop.kernel, &modules);
}
