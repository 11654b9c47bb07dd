//! Which names a worker can open: what lies in its own directory, to read and to change, and what it was told, to read.
//! Everything else comes to it as a descriptor. Landlock also keeps it from TCP, from sockets without names, and from signalling
//! anyone but itself, where the kernel is new enough.

use crate::worker_role::WorkerRole;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};
use std::io;
use std::path::Path;

/// The newest version whose rights we know; on an older kernel those it has are taken.
const NEWEST: ABI = ABI::V6;

/// What a guest's host does in its own directory. No program, device, pipe or socket comes to lie there.
fn own() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
    })
}

/// Confines this thread and all that it starts.
pub(super) fn confine(role: &WorkerRole) -> io::Result<()> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    rules = rules.add_rule(PathBeneath::new(open(&role.cell)?, own())).map_err(io::Error::other)?;
    for read in &role.reads {
        let access = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        rules = rules.add_rule(PathBeneath::new(open(read)?, access)).map_err(io::Error::other)?;
    }
    let status = rules.restrict_self().map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced && crate::walls::landlock_version().is_some() {
        return Err(io::Error::other("the kernel has Landlock and does not enforce it"));
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<PathFd> {
    PathFd::new(path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}
