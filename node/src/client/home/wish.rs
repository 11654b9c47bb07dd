//! What a job wants of its home and of machines, as whoever gives it says it.

use crate::state::home::spec::RETRIES_DEFAULT;
use crate::state::needs::{Needs, WhoText};
use std::time::Duration;

/// What a job wants of its home and of machines.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Whose it is, among those who share this home.
    pub submitter: String,
    /// Its place among its submitter's jobs; the greater goes first.
    pub priority: i8,
    /// What the machine must have.
    pub needs: Needs,
    /// The only machines that may run it, by name or id; any, where none is named.
    pub on: Vec<String>,
    /// Where it runs rather.
    pub prefer: Vec<WhoText>,
    /// Where it runs only when no other machine fits.
    pub avoid: Vec<WhoText>,
    /// Runs after the first that it may have when machines vanish with it.
    pub retries: u32,
    /// How long it may wait for a machine that fits.
    pub queue_timeout: Option<Duration>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            submitter: String::new(),
            priority: 0,
            needs: Needs::default(),
            on: Vec::new(),
            prefer: Vec::new(),
            avoid: Vec::new(),
            retries: RETRIES_DEFAULT,
            queue_timeout: None,
        }
    }
}
