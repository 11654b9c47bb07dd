//! What a guest of Potluck can rely on, and the words to use it.
//!
//! [`abi`] is what host and guest share: names, paths and numbers, without a dependency. The rest is the feature `sdk`, on unless
//! switched off: what a program says while it runs and what it is told. Everything goes through environment variables and
//! plain files (`CONTRACT.md`), so nothing here needs the sandbox: **outside Potluck each word does nothing** and a program runs
//! as it would without.
//!
//! ```
//! # #[cfg(feature = "sdk")]
//! fn main() -> std::io::Result<()> {
//!     use potluck_guest::{cancelled, checkpoint, log, progress, restore, result};
//!
//!     let mut sum: u64 = restore()?.unwrap_or(0); // what an earlier run of this job has come to
//!     for number in sum..5 {
//!         if cancelled() {
//!             break;
//!         }
//!         sum += number;
//!         log!(Info, "added"; number = number);
//!         progress(number, Some(5), "adding");
//!         checkpoint(&sum)?; // if this machine vanishes, the job goes on from here on another one
//!     }
//!     result(&sum)
//! }
//! # #[cfg(not(feature = "sdk"))]
//! # fn main() {}
//! ```
//!
//! Inputs and outputs need no words: they are files of the working directory, read and written with `std::fs`.

#![cfg_attr(not(feature = "sdk"), no_std)]

pub mod abi;

#[cfg(feature = "sdk")]
mod progress;

#[cfg(feature = "sdk")]
mod log;

#[cfg(feature = "sdk")]
mod outcome;

#[cfg(feature = "sdk")]
mod checkpoint;

#[cfg(feature = "sdk")]
mod job;

#[cfg(feature = "sdk")]
pub use checkpoint::{checkpoint, checkpoint_bytes, forget, restore, restore_bytes};
#[cfg(feature = "sdk")]
pub use job::{Task, cancelled, inside, task};
#[cfg(feature = "sdk")]
pub use log::{Entry, Level, log};
#[cfg(feature = "sdk")]
pub use outcome::result;
#[cfg(feature = "sdk")]
pub use progress::{Track, progress, track};
