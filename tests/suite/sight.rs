//! What several modules look at in the same way.

use potluck_tests::{Home, busy_processes_of, until};
use std::path::PathBuf;

/// The two forms of a guest: preview-1 module and preview-2 component.
pub(crate) fn both_forms(name: &str) -> [PathBuf; 2] {
    [potluck_tests::guest(name), potluck_tests::guest(&format!("{name}-component"))]
}

/// A module or component written in the text format, as a file in the working directory.
pub(crate) fn module(home: &Home, name: &str, text: &str) -> String {
    let bytes = wat::parse_str(text).expect("the test's own module is well-formed");
    home.write(name, bytes);
    name.to_owned()
}

/// A preview-1 command whose `_start` has this body.
pub(crate) fn command(home: &Home, name: &str, body: &str) -> String {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (type $nullary (func))
            (table 1 funcref)
            (memory (export "memory") 1)
            (func $forever (call $forever))
            (func (export "_start") {body}))"#
    );
    module(home, name, &text)
}

/// Waits until no run is under way in a home: no working directory, and no process but `daemons` of them and workers that
/// wait.
pub(crate) fn until_no_run_is_left(home: &Home, daemons: usize) {
    until("the run is gone without a trace", || {
        (home.scratch_entries().is_empty() && busy_processes_of(home.root()).len() <= daemons).then_some(())
    });
}

/// Whether nothing is left at a node but its daemon, workers that wait, and directories as empty as they were made, which
/// wait for the next run.
pub(crate) fn is_at_rest(home: &Home) -> bool {
    let is_empty = |directory: PathBuf| std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
    let directories = home.scratch_entries();
    directories.into_iter().all(|run| is_empty(run.join("root")) && is_empty(run.join("tmp")))
        && busy_processes_of(home.root()).len() <= 1
}
