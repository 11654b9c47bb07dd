//! The contract of backends: one list of what every one of them does, and the guests it is shown with in the form each runs.
//! The guests of WebAssembly are programs of `tests/guests`; those of containers do the same as shell scripts.

#[path = "contract/cases.rs"]
mod cases;
#[path = "contract/scripts.rs"]
mod scripts;

use crate::engine::{IMAGE, TestEngine, with_engine};
use crate::guests::{PROC_EXIT, command};
use crate::kit::{Kit, Test, block_on, both_forms, request, until};
use potluck_runtime::{ContainerConfig, Limits, Program, RunRequest};
use std::path::PathBuf;

pub(crate) const TESTS: &[Test] =
    &[("workers_keep_the_contract_of_backends", workers), ("containers_keep_the_contract_of_backends", containers)];

/// What a guest does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guest {
    /// Ends with this code.
    Exit(i32),
    /// Copies stdin to stdout.
    Cat,
    /// Tells what it sees, as `look.rs` says.
    Look,
    /// Changes its working directory, as `edit.rs` says.
    Edit,
    /// Takes without end, as `hog.rs` says.
    Hog,
}

/// A runtime with one of its backends.
pub(crate) struct Bench<'a> {
    pub(crate) kit: Kit,
    engine: Option<&'a TestEngine>,
}

impl<'a> Bench<'a> {
    /// Workers run the guests.
    fn of_workers() -> Self {
        Self { kit: Kit::new(), engine: None }
    }

    /// Containers run the guests.
    pub(crate) fn of_containers(engine: &'a TestEngine) -> Self {
        let kit = Kit::new();
        let config = engine.config(kit.home.path());
        let offer = async { kit.runtime.offer_containers(Some(config)) };
        block_on(offer);
        Self { kit, engine: Some(engine) }
    }

    pub(crate) fn config(&self) -> Option<ContainerConfig> {
        self.kit.runtime.containers().map(|offer| offer.config().clone())
    }

    /// A request for this guest with nothing else.
    pub(crate) fn request(&self, guest: Guest) -> RunRequest {
        let program = if self.engine.is_some() { script(guest) } else { self.module(guest) };
        request(program)
    }

    fn module(&self, guest: Guest) -> Program {
        let name = match guest {
            Guest::Exit(code) => {
                let body = format!("(call $proc_exit (i32.const {code}))");
                return self.kit.program(&command(PROC_EXIT, &body));
            }
            Guest::Cat => "cat",
            Guest::Look => "look",
            Guest::Edit => "edit",
            Guest::Hog => "hog",
        };
        let [module, _component] = both_forms(name);
        module
    }

    /// Limits that end a test soon which no other limit ends.
    pub(crate) fn limits() -> Limits {
        Limits { wall_ms: 120_000, ..Limits::default() }
    }

    /// Waits until nothing of any run is left.
    pub(crate) async fn leaves_nothing(&self) {
        until("the directories are gone", || self.kit.left_behind().is_empty()).await;
        if let (Some(engine), Some(config)) = (self.engine, self.config()) {
            engine.until_nothing_belongs_to(&config.owner).await;
        }
        assert_eq!(self.kit.left_behind(), Vec::<PathBuf>::new());
    }
}

/// A guest as a program of the shell.
fn script(guest: Guest) -> Program {
    let script = match guest {
        Guest::Exit(code) => format!("exit {code}"),
        Guest::Cat => scripts::CAT.to_owned(),
        Guest::Look => scripts::LOOK.to_owned(),
        Guest::Edit => scripts::EDIT.to_owned(),
        Guest::Hog => scripts::HOG.to_owned(),
    };
    shell(&script)
}

/// A script of the shell; the arguments of the run are its own.
pub(crate) fn shell(script: &str) -> Program {
    let command = ["sh", "-c", script, "guest"].map(str::to_owned).to_vec();
    Program::Container { image: IMAGE.to_owned(), command }
}

fn workers() {
    all(|case| case(&Bench::of_workers()));
}

fn containers() {
    with_engine(|engine| all(|case| case(&Bench::of_containers(engine))));
}

/// Tries every case, and says which do not hold.
fn all(check: impl Fn(cases::Case)) {
    let mut failed = Vec::new();
    for (name, case) in cases::CASES {
        let started = std::time::Instant::now();
        let holds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(*case))).is_ok();
        println!("  {name}: {} ({} ms)", if holds { "holds" } else { "DOES NOT HOLD" }, started.elapsed().as_millis());
        if !holds {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "the contract is broken: {failed:?}");
}
