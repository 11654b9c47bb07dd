//! What of a folder is taken along, and what stays behind: version control, environments and caches by their names, and what
//! the folder's own `.gitignore` and `.potluckignore` say.

use super::Packer;
use super::{Tree, guest_path, input};
use crate::client::failure::SubmitError;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::fs;
use std::io;
use std::path::Path;

/// Files that say in git's words what of their folder stays behind. What a later one says goes before what an earlier one does.
const IGNORE_FILES: [&str; 2] = [".gitignore", ".potluckignore"];
/// Places that are remembered of what stayed behind; the others are counted.
const PLACES_MAX: usize = 1000;

/// What of a folder is not taken along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    Nothing,
    /// What can be made again, or is history ([`is_left`]), and what ignore files name.
    Ignored,
}

/// What stayed behind, each folder as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The first places, as they would be called where the program runs.
    pub places: Vec<String>,
    /// How many there are in all.
    pub count: u64,
}

impl LeftOut {
    fn add(&mut self, place: String) {
        self.count += 1;
        if self.places.len() < PLACES_MAX {
            self.places.push(place);
        }
    }
}

impl Packer {
    /// Everything below `dir`, placed below `place` (or at the top for an empty one). Links are followed to files and
    /// not to directories, which could lead round in a circle.
    pub(super) fn walk(&mut self, dir: &Path, place: &str, tree: &mut Tree) -> Result<(), SubmitError> {
        self.walk_within(dir, place, &mut Vec::new(), tree)
    }

    fn walk_within(
        &mut self,
        dir: &Path,
        place: &str,
        rules: &mut Vec<Gitignore>,
        tree: &mut Tree,
    ) -> Result<(), SubmitError> {
        let mut entries: Vec<_> =
            fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(|source| input(dir, source))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        if entries.is_empty() && !place.is_empty() {
            tree.directories.push(guest_path(place)?);
        }
        if self.leaves == Leaves::Ignored {
            rules.push(rules_in(dir));
        }
        for entry in &entries {
            self.entry(entry, place, rules, tree)?;
        }
        rules.pop();
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &fs::DirEntry,
        place: &str,
        rules: &mut Vec<Gitignore>,
        tree: &mut Tree,
    ) -> Result<(), SubmitError> {
        let (name, path) = (entry.file_name(), entry.path());
        let kind = entry.file_type().map_err(|source| input(&path, source))?;
        let called = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") };
        if self.leaves == Leaves::Ignored && (is_left(&path) || is_ignored(rules, &path, kind.is_dir())) {
            self.left_out.add(called(&name.to_string_lossy()));
            return Ok(());
        }
        let Some(name) = name.to_str() else {
            return Err(SubmitError::BadInput(format!("the name of {} is not UTF-8", path.display())));
        };
        let inside = called(name);
        if kind.is_dir() {
            self.walk_within(&path, &inside, rules, tree)
        } else if kind.is_symlink() && path.is_dir() {
            let text = format!("{} is a link to a directory; give that directory itself", path.display());
            Err(SubmitError::BadInput(text))
        } else {
            tree.files.push(self.file(&path, &inside)?);
            Ok(())
        }
    }
}

/// What the ignore files of a folder say. A line that is no pattern means nothing, as in git.
fn rules_in(dir: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(dir);
    for name in IGNORE_FILES {
        let path = dir.join(name);
        if path.is_file() {
            let _unreadable_lines = builder.add(path);
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Whether the rules of the folders above leave it out: the nearest that says anything decides.
fn is_ignored(rules: &[Gitignore], path: &Path, is_dir: bool) -> bool {
    let said = rules.iter().rev().map(|rules| rules.matched(path, is_dir)).find(|said| !said.is_none());
    said.is_some_and(|said| said.is_ignore())
}

/// Whether a folder within one that is taken along stays behind: version control, environments and caches, by their names,
/// or by the file that says what they are where the name alone could mean something else.
fn is_left(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let is_it = match name {
        ".git" | "__pycache__" | ".mypy_cache" | ".pytest_cache" | ".venv" | "node_modules" => true,
        "venv" => path.join("pyvenv.cfg").is_file(),
        "target" => path.join("CACHEDIR.TAG").is_file(),
        _ => false,
    };
    is_it && path.is_dir()
}
