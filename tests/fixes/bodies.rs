//! Long bodies as C: functions that authors of livepatches have to copy whole. Each gets one line more, and is made to run.

use cargo_klp::kernel::DEFAULT_SERIES;

use crate::guest;
use crate::line::{Line, log};
use crate::workshop::Workshop;

/// The functions.
const BODIES: [Line; 6] = [
    log("net/unix/af_unix.c", "unix_stream_read_generic"),
    log("net/sched/sch_netem.c", "netem_enqueue"),
    log("net/ipv4/ip_tunnel.c", "ip_tunnel_xmit"),
    log("net/sched/sch_taprio.c", "taprio_change"),
    log("net/bridge/br_mst.c", "br_mst_set_state"),
    log("net/ipv4/tcp_ipv4.c", "tcp_twsk_unique"),
];

#[test]
#[ignore = "it takes minutes: `cargo xtask soak` runs it"]
fn long_bodies_run_as_c() {
    let workshop = Workshop::new(DEFAULT_SERIES);
    let modules = BODIES.map(|body| {
        let made = workshop.make(body.within, &body.diff(&workshop));
        let made = made.unwrap_or_else(|said| panic!("{}: {said}", body.within));
        let replaced: Vec<&str> =
            made.functions.iter().map(|function| function.rsplit(':').next().unwrap()).collect();
        assert_eq!(replaced, [body.within]);
        made.module
    });
    let log = guest::load_all(&workshop.kernel, &modules, include_str!("bodies.sh"));
    for body in BODIES {
        assert!(log.contains(&format!("{} is patched", body.within)), "{} did not run:\n{log}", body.within);
    }
}
