//! The guest's standard streams: order, backpressure, and memory that stays flat however much goes through.

use crate::guests::{self, PROC_EXIT};
use crate::kit::{Kit, Test, block_on, request};
use bytes::Bytes;
use potluck_runtime::{Limits, Outcome, Run, RunEvent, RunRequest};
use std::time::Instant;

pub(crate) const TESTS: &[Test] = &[
    ("a_gibibyte_goes_through_with_flat_memory", gibibyte),
    ("stdout_and_stderr_keep_their_order", order),
    ("a_guest_that_never_reads_ends_all_the_same", unread),
    ("the_end_of_stdin_reaches_the_guest", end_of_input),
];

const TOTAL: u64 = 1 << 30;
const CHUNK: usize = 256 << 10;
/// What a process may take more than before; the buffers between the two ends hold a few MiB.
const MEMORY_MORE_MAX: u64 = 48 << 20;

fn gibibyte() {
    let kit = Kit::new();
    let limits = Limits { output_bytes: 2 << 30, ..Limits::default() };
    let request = RunRequest { limits, ..request(kit.program(&guests::copier())) };
    block_on(async {
        let Run { mut stdin, mut events, canceller: _canceller } = kit.start(request).await;
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = peak("self");
        let started = Instant::now();
        let feed = tokio::spawn(async move {
            let chunk = Bytes::from(vec![7u8; CHUNK]);
            for _ in 0..TOTAL / CHUNK as u64 {
                stdin.write(chunk.clone()).await.unwrap();
            }
        });
        let (mut seen, mut worker_peak) = (0u64, 0);
        let outcome = loop {
            match events.next().await {
                RunEvent::Output { bytes, .. } => {
                    assert!(bytes.iter().all(|byte| *byte == 7));
                    seen += bytes.len() as u64;
                    if seen > TOTAL - (64 << 20) && worker_peak == 0 {
                        worker_peak = own_children().iter().map(|pid| peak(pid)).max().unwrap_or(0);
                    }
                }
                RunEvent::Said(_) | RunEvent::Checkpoint(_) => {}
                RunEvent::Ended { report, outputs: _removed } => break report.outcome,
            }
        };
        feed.await.unwrap();
        let (rate, more) = (TOTAL as f64 / 1e6 / started.elapsed().as_secs_f64(), peak("self") - before);
        println!("  {rate:.0} MB/s, parent {} KiB more, worker {} KiB", more >> 10, worker_peak >> 10);
        assert_eq!((outcome, seen), (Outcome::Exited(0), TOTAL));
        assert!(more < MEMORY_MORE_MAX, "{more}");
        assert!(worker_peak > 0 && worker_peak < 128 << 20, "{worker_peak}");
    });
}

fn peak(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn own_children() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn order() {
    let kit = Kit::new();
    let program = kit.program(&guests::printer("one ", "two ", "three "));
    let text = block_on(async {
        let mut run = kit.start(request(program)).await;
        let mut text = Vec::new();
        while let RunEvent::Output { bytes, .. } = run.events.next().await {
            text.extend_from_slice(&bytes);
        }
        text
    });
    assert_eq!(text, b"one two three ");
}

fn unread() {
    let kit = Kit::new();
    let program = kit.program(&guests::command(
        PROC_EXIT,
        "(local $left i32) (local.set $left (i32.const 100000000))
         (loop $again (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br_if $again (local.get $left)))
         (call $proc_exit (i32.const 3))",
    ));
    block_on(async {
        let Run { mut stdin, mut events, canceller: _canceller } = kit.start(request(program)).await;
        let feed = tokio::spawn(async move {
            let chunk = Bytes::from(vec![0u8; CHUNK]);
            loop {
                if let Err(error) = stdin.write(chunk.clone()).await {
                    return error.kind();
                }
            }
        });
        let RunEvent::Ended { report, outputs: _removed } = events.next().await else { panic!("it printed") };
        assert_eq!(report.outcome, Outcome::Exited(3));
        assert_eq!(feed.await.unwrap(), std::io::ErrorKind::BrokenPipe);
    });
}

fn end_of_input() {
    let kit = Kit::new();
    let ended = block_on(kit.run(request(kit.program(&guests::copier())), b"last words"));
    assert_eq!((ended.report.outcome, ended.stdout.as_str()), (Outcome::Exited(0), "last words"));
}
