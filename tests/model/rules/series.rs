//! S20: revisions of a series.

use klp_runtime::error::EINVAL;
use klp_runtime::sim::Patch;

use crate::{NOTHING, enabled, end, events, patch};

#[test]
fn s20_l27_a_higher_revision_is_not_replaced() {
    let sim = enabled([Patch::new("a").series("s", 2)]);
    let lower = || patch("b", [1]).series("s", 1).replace();
    let before = sim.snapshot().unwrap();
    assert_eq!(sim.insmod(lower()), Err(EINVAL));
    assert_eq!(
        sim.take_log(),
        ["b: refused: revision 1 of series s is lower than 2, that of a (klp_allow_downgrade=1 lets it in)"]
    );
    assert_eq!(events(&sim), NOTHING);
    assert_eq!(sim.snapshot().unwrap(), before);

    sim.insmod(lower().allow_downgrade()).unwrap();
    assert_eq!(sim.take_log(), ["b: revision 1 of series s replaces 2, that of a, by klp_allow_downgrade"]);
    assert_eq!(sim.is_enabled("a"), None);
    end(&sim, "b");
}

#[test]
fn s20_other_revisions_are_replaced() {
    let of = |name, series, revision| Patch::new(name).series(series, revision);
    let sim = enabled([of("a", "s", 2), of("b", "other", 9), Patch::new("c").series("s", 2)]);
    assert_eq!(sim.insmod(of("d", "s", 1).replace()), Err(EINVAL));
    // One that does not replace loses nothing.
    sim.insmod(of("e", "s", 1)).unwrap();
    sim.take_log();
    sim.insmod(of("f", "s", 2).allow_downgrade().replace()).unwrap();
    assert_eq!(sim.take_log(), NOTHING, "there is nothing to insist on");
    sim.insmod(Patch::new("g").replace()).unwrap();
    end(&sim, "g");
}
