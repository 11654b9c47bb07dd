//! What a machine is to a job, as `why` and a rehearsal say it: the one reason that decides, and what would change it.

use crate::render::tame;
use potluck_node::wire::WhyLine;
use serde::Serialize;
use std::fmt;

/// A machine, for programs; for people as it is displayed.
#[derive(Serialize)]
pub(crate) struct MachineObject<'a> {
    name: &'a str,
    reason: &'a str,
    change: Option<&'a str>,
}

impl<'a> From<&'a WhyLine> for MachineObject<'a> {
    fn from(WhyLine { name, reason, change }: &'a WhyLine) -> Self {
        Self { name, reason, change: change.as_deref() }
    }
}

/// The same, kept.
#[derive(Serialize)]
pub(crate) struct OwnedMachineObject {
    name: String,
    reason: String,
    change: Option<String>,
}

impl From<&WhyLine> for OwnedMachineObject {
    fn from(WhyLine { name, reason, change }: &WhyLine) -> Self {
        Self { name: name.clone(), reason: reason.clone(), change: change.clone() }
    }
}

impl fmt::Display for OwnedMachineObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MachineObject { name: &self.name, reason: &self.reason, change: self.change.as_deref() }.fmt(f)
    }
}

impl fmt::Display for MachineObject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = self.change.map(|change| format!(" ({change})")).unwrap_or_default();
        f.write_str(&tame(&format!("{}: {}{change}", self.name, self.reason)))
    }
}
