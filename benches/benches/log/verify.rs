//! Verification beside hashing alone.

use crate::Bench;
use crate::bare::Pieces;
use crate::figure::{Figure, Goal, Run, Runs};
use crate::machine;
use crate::reads::fill_batches;
use std::time::Instant;

const HASHES: &str = "SHA-256 + CRC-32 alone over the same bytes in pieces of a frame, as many threads";

pub(crate) fn run(bench: &mut Bench) {
    for batch in [100, 1] {
        let name = format!("verify, {batch} a commit, 256 B");
        let per_core = format!("{name}: per core");
        if !bench.wants(&name) && !bench.wants(&per_core) {
            continue;
        }
        let events: u64 = match (batch, bench.quick) {
            (100, quick) => {
                if quick {
                    400_000
                } else {
                    2_000_000
                }
            }
            (_, quick) => {
                if quick {
                    200_000
                } else {
                    1_000_000
                }
            }
        };
        let scratch = machine::scratch(&bench.dir);
        let frame = fill_batches(scratch.path(), events, batch);
        let pieces = Pieces::of(scratch.path(), frame);
        let mut by_cpu = Runs::default();
        let (mut ceiling_cpu, mut our_cpu) = (Vec::new(), Vec::new());
        let timed = |work: &mut dyn FnMut() -> u64, by_cpu: &mut Vec<Run>| {
            let (began, cpu) = (Instant::now(), machine::cpu_ns());
            let bytes = work();
            let seconds = began.elapsed().as_secs_f64();
            let cpu_seconds = (machine::cpu_ns() - cpu) as f64 / 1e9;
            by_cpu.push(Run { value: events as f64 / cpu_seconds, bytes, device_bytes: None });
            Run { value: events as f64 / seconds, bytes, device_bytes: None }
        };
        let runs = Runs::alternate(
            bench.runs,
            || {
                timed(
                    &mut || {
                        pieces.sha_and_crc(machine::cores());
                        pieces.bytes()
                    },
                    &mut ceiling_cpu,
                )
            },
            || {
                timed(
                    &mut || {
                        let report = eventstore::verify(scratch.path(), &mut |_| {}).unwrap();
                        assert!(report.is_intact(), "{:?}", report.findings);
                        assert_eq!(report.events, events);
                        // What the report counts are whole files; what is hashed is what is used of them.
                        pieces.bytes()
                    },
                    &mut our_cpu,
                )
            },
        );
        by_cpu.ceiling = ceiling_cpu;
        by_cpu.ours = our_cpu;
        bench.print(
            Figure::new(name, "events/s", runs)
                .ceiling_is(HASHES)
                .goals(&[Goal::RatioAtLeast(0.8)])
                .with("events", events)
                .with("threads", machine::cores()),
        );
        bench.print(
            Figure::new(per_core, "events/s", by_cpu)
                .ceiling_is("the same, per second of processor time")
                .goals(&[Goal::AtLeast(2_000_000.0)])
                .with("events", events),
        );
    }
}
