//! The worker process of this crate's own tests: what `potluck worker` is to the program.

fn main() -> std::process::ExitCode {
    potluck_runtime::worker_main()
}
