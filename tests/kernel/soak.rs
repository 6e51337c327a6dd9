//! A thousand cycles of load, replace, disable and unload: not in an ordinary run.

use crate::faults::cycle;
use crate::memory;

crate::tests![a_thousand_cycles];

fn a_thousand_cycles() {
    assert_eq!(memory::growth(1000, cycle), [""; 0]);
}
