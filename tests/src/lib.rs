//! The kit: drives the `potluck` binary as a user would, and knows nothing of its insides.
//!
//! A test makes a [`Home`] (its own configuration, data and temporary directory), runs commands in it, starts a
//! [`Node`] in it, and may put it on a host of a [`Lab`]. Nothing here sleeps for a result: every wait is for a condition, has a
//! deadline and says what it waited for. When a [`Home`] is dropped, whatever ran in it must be gone without a trace,
//! or the test fails.

mod capture;
mod home;
mod node;
mod process;
mod terminal;
mod wait;

mod artifacts;
mod compilers;
mod contract;
mod engine;
mod forge;
mod lab;
mod leak;
mod outside;
mod png;
mod python;
mod rogue;
mod stranger;

pub use artifacts::{binary, compiled_code, example, guest, python_lite_wheel, ruby_package, wheel, workspace};
pub use capture::Capture;
pub use compilers::{guest_cargo, lasting, native_cargo, succeed, wasi_sdk};
pub use contract::Contract;
pub use engine::{BUSYBOX, Engine, with_engine};
pub use forge::{TicketPart, forge};
pub use home::{Home, write_script};
pub use lab::{Lab, in_lab};
pub use leak::{Process, busy_processes_of, children_of, processes_of};
pub use node::{Node, join, online_peers, pair};
pub use outside::Outside;
pub use png::png_size;
pub use process::{Finished, Invocation, Running};
pub use python::shared_cache;
pub use rogue::{Line, Rogue, Stream, frame};
pub use stranger::Stranger;
pub use terminal::Terminal;
pub use wait::{DEADLINE, holds_within, until, until_within};
