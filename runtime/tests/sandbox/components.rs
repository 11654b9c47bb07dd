//! What holds for modules holds for components: each limit bites, in the guests that `cargo xtask guests` compiles.

use crate::kit::{Ended, Kit, Test, block_on, both_forms, request};
use potluck_runtime::{LimitKind, Limits, Outcome, RunRequest};
use std::path::PathBuf;

pub(crate) const TESTS: &[Test] = &[
    ("a_component_reads_and_prints", cat),
    ("fuel_ends_a_component", || bites("fuel", Limits { fuel: 50_000_000, ..limits() }, LimitKind::Fuel)),
    ("wall_time_ends_a_component_that_sleeps", || {
        bites("sleep", Limits { wall_ms: 300, ..limits() }, LimitKind::WallTime)
    }),
    ("memory_ends_a_component", || bites("memory", Limits { memory_bytes: 8 << 20, ..limits() }, LimitKind::Memory)),
    ("output_ends_a_component", || bites("output", Limits { output_bytes: 1 << 20, ..limits() }, LimitKind::Output)),
    ("disk_ends_a_component", || bites("disk", Limits { disk_bytes: 1 << 20, ..limits() }, LimitKind::Disk)),
    ("the_temporary_directory_counts", || bites("tmp", Limits { disk_bytes: 1 << 20, ..limits() }, LimitKind::Disk)),
    ("many_files_count", || bites("many-files", Limits { disk_bytes: 1 << 20, ..limits() }, LimitKind::Disk)),
    ("open_files_end_a_component", || bites("open-files", Limits { open_files: 50, ..limits() }, LimitKind::OpenFiles)),
];

fn limits() -> Limits {
    Limits { wall_ms: 60_000, ..Limits::default() }
}

fn cat() {
    for program in both_forms("cat") {
        let ended = block_on(Kit::new().run(request(program), b"one\ntwo\n"));
        assert_eq!((ended.report.outcome, ended.stdout.as_str()), (Outcome::Exited(0), "one\ntwo\n"));
    }
}

fn bites(what: &str, limits: Limits, kind: LimitKind) {
    for program in both_forms("hog") {
        let kit = Kit::new();
        let request = RunRequest { limits: limits.clone(), args: vec![what.to_owned()], ..request(program) };
        let Ended { report, stdout, stderr } = block_on(kit.run(request, b""));
        assert!(stdout.starts_with(&format!("taking {what}\n")), "{stdout:.80} {stderr:.80}");
        assert!(
            matches!(&report.outcome, Outcome::Limit(hit) if hit.kind == kind),
            "{:?} {stderr:.300}",
            report.outcome
        );
        assert_eq!(kit.left_behind(), Vec::<PathBuf>::new());
    }
}
