//! Workers that wait: whom they serve again, whom never, that nothing stays in them of a run, and when they end.

use crate::endings::{children, is_running, signal};
use crate::guests::{self, command};
use crate::kit::{Kit, Test, block_on, both_forms, collect, config, request, until};
use potluck_runtime::{
    InputFile, LimitKind, Limits, Outcome, Program, Ready, Run, RunRequest, Runtime, RuntimeConfig, Tenant,
};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("a_tenant_gets_its_worker_again_and_no_other_does", tenants),
    ("runs_at_once_have_a_worker_each", at_once),
    ("a_worker_that_was_killed_serves_nobody_again", killed),
    ("a_worker_that_died_while_it_waited_costs_no_run", died),
    ("cancelling_a_run_that_is_over_leaves_the_next_alone", late_cancel),
    ("nothing_of_a_run_is_seen_by_the_next", no_leak),
    ("limits_hold_anew_for_each_run", limits_anew),
    ("input_nobody_read_does_not_reach_the_next_run", leftover_input),
    ("spares_are_made_up_for", spares),
    ("all_workers_but_one_go_when_nothing_is_to_do", idle),
    ("directories_left_empty_serve_their_tenant_again", directories),
    ("directories_go_when_nothing_is_to_do", idle_directories),
    ("workers_that_wait_end_with_their_parent", parent_dies),
    ("no_worker_waits_where_none_is_to", none_waits),
];

const ANN: Tenant = Tenant::new([1; 32]);
const BEN: Tenant = Tenant::new([2; 32]);

fn kept(count: usize) -> Ready {
    Ready { spares_max: 0, kept_max: count, idle: Duration::from_secs(600) }
}

fn kit(ready: Ready) -> Kit {
    let mut kit = Kit::new();
    kit.runtime = Runtime::open(RuntimeConfig { ready, ..config(kit.home.path()) }).unwrap();
    kit
}

fn workers() -> Vec<u32> {
    let mut pids: Vec<u32> = children(std::process::id()).into_iter().filter(|pid| is_running(*pid)).collect();
    pids.sort_unstable();
    pids
}

fn exiting(kit: &Kit) -> Program {
    kit.program(&command(guests::PROC_EXIT, "(call $proc_exit (i32.const 7))"))
}

async fn runs_for(kit: &Kit, tenant: Tenant) {
    let ended = kit.run(RunRequest { tenant, ..request(exiting(kit)) }, b"").await;
    assert_eq!(ended.report.outcome, Outcome::Exited(7));
}

fn tenants() {
    let kit = kit(kept(4));
    block_on(async {
        runs_for(&kit, ANN).await;
        let [anns] = workers().try_into().unwrap();
        runs_for(&kit, ANN).await;
        assert_eq!(workers(), [anns]);
        runs_for(&kit, BEN).await;
        let both = workers();
        assert!(both.len() == 2 && both.contains(&anns), "{both:?}");
        for tenant in [BEN, ANN, BEN] {
            runs_for(&kit, tenant).await;
            assert_eq!(workers(), both);
        }
    });
}

fn at_once() {
    let kit = kit(kept(2));
    let program = kit.program(&guests::copier());
    block_on(async {
        let mut runs = Vec::new();
        for _ in 0..3 {
            runs.push(kit.start(RunRequest { tenant: ANN, ..request(program.clone()) }).await);
        }
        assert_eq!(workers().len(), 3);
        for run in runs {
            drop(run.stdin);
            assert_eq!(collect(run.events).await.report.outcome, Outcome::Exited(0));
        }
        until("the one too many is gone", || workers().len() == 2).await;
    });
}

fn killed() {
    let kit = kit(kept(4));
    block_on(async {
        runs_for(&kit, ANN).await;
        let first = workers();
        let busy = RunRequest { tenant: ANN, ..request(kit.program(&command("", guests::BUSY))) };
        let Run { stdin: _stdin, events, canceller } = kit.start(busy.clone()).await;
        assert_eq!(workers(), first);
        canceller.cancel();
        assert_eq!(collect(events).await.report.outcome, Outcome::Cancelled);
        assert!(workers().is_empty());
        runs_for(&kit, ANN).await;
        let second = workers();
        assert_ne!(first, second);
        let limits = Limits { wall_ms: 100, ..Limits::default() };
        let outcome = kit.run(RunRequest { limits, ..busy }, b"").await.report.outcome;
        assert!(matches!(outcome, Outcome::Limit(_)), "{outcome:?}");
        assert!(workers().is_empty());
    });
}

fn died() {
    let kit = kit(kept(4));
    block_on(async {
        for name in ["KILL", "ABRT"] {
            runs_for(&kit, ANN).await;
            let [pid] = workers().try_into().unwrap();
            signal(pid, name);
            runs_for(&kit, ANN).await;
            until("the dead one is buried", || !Path::new(&format!("/proc/{pid}")).exists()).await;
        }
    });
}

fn late_cancel() {
    let kit = kit(kept(4));
    block_on(async {
        let Run { stdin: _stdin, events, canceller } =
            kit.start(RunRequest { tenant: ANN, ..request(exiting(&kit)) }).await;
        assert_eq!(collect(events).await.report.outcome, Outcome::Exited(7));
        let worker = workers();
        let next = kit.start(RunRequest { tenant: ANN, ..request(kit.program(&guests::copier())) }).await;
        assert_eq!(workers(), worker);
        canceller.cancel();
        drop(next.stdin);
        assert_eq!(collect(next.events).await.report.outcome, Outcome::Exited(0));
    });
}

/// What a guest sees is the same in a fresh worker and in one that has served before.
fn no_leak() {
    for program in both_forms("look") {
        let kit = kit(kept(4));
        let input = kit.home.path().join("input");
        std::fs::write(&input, b"mine").unwrap();
        let plain = RunRequest {
            tenant: ANN,
            args: ["--read", "secret.txt", "--read", "/tmp/left", "--write", "new"].map(str::to_owned).to_vec(),
            ..request(program)
        };
        let mut full = plain.clone();
        full.args.extend(["--write", "/tmp/left", "--write", "left"].map(str::to_owned));
        full.env = vec![("SECRET".to_owned(), "word".to_owned())];
        full.directories = vec![potluck_runtime::GuestPath::parse("a/b").unwrap()];
        full.inputs = vec![InputFile {
            guest: potluck_runtime::GuestPath::parse("secret.txt").unwrap(),
            source: input,
            executable: false,
        }];
        block_on(async {
            let fresh = kit.run(RunRequest { tenant: BEN, ..plain.clone() }, b"").await;
            let told = kit.run(full.clone(), b"").await;
            for what in ["env SECRET=word", "read secret.txt: mine", "wrote left"] {
                assert!(told.stdout.contains(what), "{what}: {}", told.stdout);
            }
            let before = workers();
            let again = kit.run(plain, b"").await;
            assert_eq!(workers(), before);
            assert_eq!((fresh.stdout, fresh.stderr), (again.stdout, again.stderr));
            assert_eq!(fresh.report.outcome, again.report.outcome);
            assert_eq!(fresh.report.fuel_used, again.report.fuel_used);
            assert_eq!(fresh.report.memory_peak_bytes, again.report.memory_peak_bytes);
        });
    }
}

fn limits_anew() {
    let kit = kit(kept(4));
    let [program, _] = both_forms("hog");
    block_on(async {
        runs_for(&kit, ANN).await;
        let with = |what: &str, limits| RunRequest {
            tenant: ANN,
            args: vec![what.to_owned()],
            limits,
            ..request(program.clone())
        };
        for (what, limits, kind) in [
            ("memory", Limits { memory_bytes: 8 << 20, ..Limits::default() }, LimitKind::Memory),
            ("disk", Limits { disk_bytes: 1 << 20, ..Limits::default() }, LimitKind::Disk),
            ("open-files", Limits { open_files: 50, ..Limits::default() }, LimitKind::OpenFiles),
        ] {
            runs_for(&kit, ANN).await;
            let outcome = kit.run(with(what, limits), b"").await.report.outcome;
            assert!(matches!(&outcome, Outcome::Limit(hit) if hit.kind == kind), "{outcome:?}");
        }
        // Fuel is counted from nothing each time: what is enough for one run is enough for many.
        let first = kit.run(RunRequest { tenant: ANN, ..request(exiting(&kit)) }, b"").await.report.fuel_used;
        for _ in 0..3 {
            let limits = Limits { fuel: first, ..Limits::default() };
            let again = kit.run(RunRequest { tenant: ANN, limits, ..request(exiting(&kit)) }, b"").await;
            assert_eq!((again.report.outcome, again.report.fuel_used), (Outcome::Exited(7), first));
        }
    });
}

/// More input than the pipes and both ends hold, to a guest that reads none of it.
fn leftover_input() {
    static INPUT: [u8; 8 << 20] = [b'x'; 8 << 20];
    let kit = kit(kept(4));
    block_on(async {
        runs_for(&kit, ANN).await;
        let worker = workers();
        for _ in 0..3 {
            let deaf = RunRequest { tenant: ANN, ..request(exiting(&kit)) };
            assert_eq!(kit.run(deaf, &INPUT).await.report.outcome, Outcome::Exited(7));
            // The worker comes back once it has let go of what nobody read.
            let copier = RunRequest { tenant: ANN, ..request(kit.program(&guests::copier())) };
            let ended = kit.run(copier, b"mine").await;
            assert_eq!((ended.report.outcome, ended.stdout.as_str()), (Outcome::Exited(0), "mine"));
        }
        assert!(workers().iter().any(|pid| worker.contains(pid)), "the worker was not kept");
    });
}

fn spares() {
    let kit = kit(Ready { spares_max: 2, kept_max: 4, idle: Duration::from_secs(600) });
    block_on(async {
        kit.runtime.make_ready();
        until("one waits", || workers().len() == 1).await;
        let spare = workers();
        let copier = kit.program(&guests::copier());
        let prepared = kit.prepare(&copier).await;
        until("the compiler is gone", || workers() == spare).await;
        let start = |tenant| kit.runtime.start(&prepared, RunRequest { tenant, ..request(copier.clone()) });
        let anns = start(ANN).await.unwrap();
        // Two more wait beside the one that serves.
        until("spares are made up for", || workers().len() == 3).await;
        let many = workers();
        assert!(many.contains(&spare[0]), "{many:?}");
        let bens = start(BEN).await.unwrap();
        assert!(many.iter().all(|pid| workers().contains(pid)), "a spare ended although it was taken");
        for run in [anns, bens] {
            drop(run.stdin);
            assert_eq!(collect(run.events).await.report.outcome, Outcome::Exited(0));
        }
    });
}

fn idle() {
    let kit = kit(Ready { spares_max: 2, kept_max: 4, idle: Duration::from_millis(400) });
    block_on(async {
        kit.runtime.make_ready();
        until("one waits", || workers().len() == 1).await;
        let spare = workers();
        runs_for(&kit, ANN).await;
        runs_for(&kit, BEN).await;
        until("one waits again", || workers().len() == 1).await;
        assert_ne!(workers(), spare, "a worker that has served waits for others");
    });
}

fn directories() {
    let kit = kit(kept(2));
    block_on(async {
        runs_for(&kit, ANN).await;
        let anns = kit.left_behind();
        assert_eq!(anns.len(), 1);
        runs_for(&kit, ANN).await;
        assert_eq!(kit.left_behind(), anns);
        runs_for(&kit, BEN).await;
        let both = kit.left_behind();
        assert!(both.len() == 2 && both.contains(&anns[0]), "{both:?}");
        // A run that writes takes its directories along, however it got them.
        let writer = RunRequest { tenant: ANN, ..request(kit.program(&guests::writer(1))) };
        assert_eq!(kit.run(writer, b"").await.report.outcome, Outcome::Exited(0));
        assert!(!kit.left_behind().contains(&anns[0]));
        kit.runtime.stand_down();
        assert!(kit.left_behind().is_empty());
        until("no worker waits", || workers().is_empty()).await;
    });
}

fn idle_directories() {
    let kit = kit(Ready { spares_max: 0, kept_max: 2, idle: Duration::from_millis(400) });
    block_on(async {
        runs_for(&kit, ANN).await;
        until("they go with their worker", || kit.left_behind().is_empty() && workers().is_empty()).await;
    });
}

fn none_waits() {
    let kit = kit(Ready::none());
    block_on(async {
        kit.runtime.make_ready();
        runs_for(&kit, ANN).await;
        until("no worker is left", || workers().is_empty()).await;
    });
}

fn parent_dies() {
    let home = tempfile::tempdir().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg("waiting-parent")
        .arg(home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "waiting\n");
    let waiting = children(parent.id());
    let scratch = home.path().join("scratch");
    let owners = || std::fs::read_dir(&scratch).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(owners(), 1);
    assert!(waiting.len() >= 3, "{waiting:?}");
    parent.kill().unwrap();
    parent.wait().unwrap();
    block_on(async {
        until("the workers are gone", || waiting.iter().all(|pid| !is_running(*pid))).await;
        until("what runs left to each other is gone", || owners() == 0).await;
    });
}

/// The life of a process with workers that wait, which only waits to be killed.
pub(crate) fn parent(arguments: &[String]) -> ExitCode {
    let [home] = arguments else { return ExitCode::FAILURE };
    let mut kit = Kit::new();
    let ready = Ready { spares_max: 1, kept_max: 4, idle: Duration::from_secs(600) };
    kit.runtime = Runtime::open(RuntimeConfig { ready, ..config(Path::new(home)) }).unwrap();
    block_on(async {
        kit.runtime.make_ready();
        runs_for(&kit, ANN).await;
        runs_for(&kit, BEN).await;
        until("all wait", || workers().len() == 3).await;
        println!("waiting");
        std::future::pending::<ExitCode>().await
    })
}
