//! Where this process can make control groups, from what the system says of its mounts and of this process.

use rustix::fs::{Access, access};
use std::path::{Path, PathBuf};

/// A directory in which a group can be made, and the files by which it bounds its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// A bound, and the name of the file that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Memory(&'static str),
    Threads(&'static str),
}

const CONTROLLERS: &str = "cgroup.controllers";
const FOR_CHILDREN: &str = "cgroup.subtree_control";
/// Where a service that has its group to itself goes, so that groups for others can be made beside it.
const OWN_LEAF: &str = "potluck-node";

/// The places that together bound memory and threads; none where something is lacking.
pub(super) fn find() -> Option<Vec<Place>> {
    let read = |file: &str| std::fs::read_to_string(file).ok();
    let (mounts, groups) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    in_second(&mounts, &groups).map(|place| vec![place]).or_else(|| in_first(&mounts, &groups))
}

/// Version 1: each controller has a tree of its own, in which a group is made below this process's.
fn in_first(mounts: &str, groups: &str) -> Option<Vec<Place>> {
    let wanted = [("memory", Controller::Memory("memory.limit_in_bytes")), ("pids", Controller::Threads("pids.max"))];
    let place = |(name, controller): (&str, Controller)| {
        let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.is_first_with(name))?;
        let own = groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|controller| controller == name).then_some(path)
        })?;
        let dir = mount.dir_of(own)?;
        is_writable(&dir).then_some(Place { dir, controllers: vec![controller] })
    };
    wanted.into_iter().map(place).collect()
}

/// Version 2: one tree. A group that has members gives no controllers to groups below it, so a place is looked for upwards,
/// where a user's service manager leaves it to the user; and a service that is alone in its group makes one.
fn in_second(mounts: &str, groups: &str) -> Option<Place> {
    let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2")?;
    let own = mount.dir_of(groups.lines().find_map(|line| line.strip_prefix("0::"))?)?;
    let below = |dir: &&Path| dir.starts_with(&mount.dir);
    let found = own.ancestors().take_while(below).find(|dir| gives_controllers(dir) && takes_members(dir));
    let dir = found.map(Path::to_owned).or_else(|| settle(&own))?;
    Some(Place { dir, controllers: vec![Controller::Memory("memory.max"), Controller::Threads("pids.max")] })
}

fn gives_controllers(dir: &Path) -> bool {
    has_both(&dir.join(FOR_CHILDREN))
}

fn has_both(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    ["memory", "pids"].iter().all(|wanted| text.split_whitespace().any(|controller| controller == *wanted))
}

/// Whether this process can make groups there, and move whoever is below into them.
fn takes_members(dir: &Path) -> bool {
    is_writable(dir) && access(dir.join(super::MEMBERS), Access::WRITE_OK).is_ok()
}

/// A process that is alone in a group of its own (a service whose group was delegated to it) goes one level down and makes
/// room beside itself.
fn settle(own: &Path) -> Option<PathBuf> {
    let alone = std::fs::read_to_string(own.join(super::MEMBERS)).ok()?.trim() == std::process::id().to_string();
    if !alone || !has_both(&own.join(CONTROLLERS)) || !takes_members(own) {
        return None;
    }
    let leaf = own.join(OWN_LEAF);
    std::fs::create_dir(&leaf).ok()?;
    super::enter(std::slice::from_ref(&leaf)).ok()?;
    std::fs::write(own.join(FOR_CHILDREN), "+memory +pids").ok()?;
    Some(own.to_owned())
}

fn is_writable(dir: &Path) -> bool {
    access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// A mount of control groups.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'a> {
    /// What of the tree is mounted.
    root: &'a str,
    dir: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// A line of `/proc/self/mountinfo` (proc(5)).
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, dir) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
        // A place with an odd name, which would be escaped, is none for us.
        (kind.starts_with("cgroup") && !dir.contains('\\')).then_some(Self { root, dir: dir.into(), kind, options })
    }

    fn is_first_with(&self, controller: &str) -> bool {
        self.kind == "cgroup" && self.options.split(',').any(|option| option == controller)
    }

    /// Where a group lies in this mount.
    fn dir_of(&self, group: &str) -> Option<PathBuf> {
        let below = match self.root {
            "/" => group,
            root => group.strip_prefix(root)?,
        };
        let below = below.trim_start_matches('/');
        let is_inside = !below.split('/').any(|part| part == "..");
        is_inside.then(|| if below.is_empty() { self.dir.clone() } else { self.dir.join(below) })
    }
}

#[cfg(test)]
mod tests;
