//! The limits on how deep and how far from the working directory a guest may make something. Whoever removes a tree, or
//! walks through it, needs a descriptor and some stack for each of its levels.
//!
//! What a call makes is placed by the directory it names and the text of its path. That is exact, or more than the truth, as
//! long as no link leads elsewhere and nothing is moved to a deeper place. Once a guest has done one of these, the tree is
//! twisted: then what is made is added to the deepest place there can be, and when that passes a limit the tree is measured.

use crate::limits::{LimitHit, LimitKind, Limits};
use std::collections::HashMap;

/// How far something lies below a directory that was given to the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    depth: u64,
    /// Of its path, with a slash after each component.
    bytes: u64,
}

impl Place {
    pub(super) const FARTHEST: Self = Self { depth: u64::MAX, bytes: u64::MAX };

    /// Where `path` leads from here if no part of it is a link, or farther.
    pub(super) fn below(self, path: &[u8]) -> Self {
        let mut names = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                // What is above this place is not known; staying is farther.
                b".." => drop(names.pop()),
                name => names.push(name.len()),
            }
        }
        names.into_iter().fold(self, Self::child)
    }

    /// Something here whose name has so many bytes.
    pub(super) fn child(self, name: usize) -> Self {
        self.and(Self { depth: 1, bytes: name as u64 + 1 })
    }

    /// The greater in each respect.
    pub(super) fn most(self, other: Self) -> Self {
        Self { depth: self.depth.max(other.depth), bytes: self.bytes.max(other.bytes) }
    }

    /// This far and as far again as the other.
    fn and(self, other: Self) -> Self {
        Self { depth: self.depth.saturating_add(other.depth), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// How far a guest has gone, and which directories it holds.
pub(super) struct PathGauge {
    depth_allowed: u64,
    bytes_allowed: u64,
    /// What the guest has opened, by the number it knows it by.
    open: HashMap<u32, Place>,
    /// No nearer than the farthest thing there is, once the tree is twisted; unknown until it is needed.
    twisted: Option<Option<Place>>,
}

impl PathGauge {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            depth_allowed: limits.path_depth.into(),
            bytes_allowed: limits.path_bytes.into(),
            open: HashMap::new(),
            twisted: None,
        }
    }

    pub(super) fn open_count(&self) -> u64 {
        self.open.len() as u64
    }

    pub(super) fn opened(&mut self, handle: u32, place: Place) {
        self.open.insert(handle, place);
    }

    pub(super) fn closed(&mut self, handle: u32) {
        self.open.remove(&handle);
    }

    /// What `from` was is `to` now.
    pub(super) fn renumbered(&mut self, from: u32, to: u32) {
        match self.open.remove(&from) {
            Some(place) => self.open.insert(to, place),
            None => self.open.remove(&to),
        };
    }

    /// Where `path` leads from what the guest knows by this number.
    pub(super) fn place(&self, handle: u32, path: &[u8]) -> Place {
        self.open.get(&handle).copied().unwrap_or_default().below(path)
    }

    /// Checks that something may lie there.
    pub(super) fn check(&self, place: Place) -> Result<(), LimitHit> {
        let hit = |kind, used, allowed| Err(LimitHit { kind, used, allowed });
        let bytes = place.bytes.saturating_sub(1);
        if place.depth > self.depth_allowed {
            hit(LimitKind::PathDepth, place.depth, self.depth_allowed)
        } else if bytes > self.bytes_allowed {
            hit(LimitKind::PathLength, bytes, self.bytes_allowed)
        } else {
            Ok(())
        }
    }

    /// A link was made.
    pub(super) fn linked(&mut self) {
        self.twisted.get_or_insert(None);
    }

    /// Something with a name of so many bytes was made; `measure` tells the farthest thing there is.
    pub(super) fn made(&mut self, name: usize, measure: impl FnOnce() -> Place) -> Result<(), LimitHit> {
        let Some(farthest) = self.twisted else { return Ok(()) };
        self.go(farthest.map(|farthest| farthest.child(name)), measure)
    }

    /// Something was moved.
    pub(super) fn moved(&mut self, from: Place, to: Place, measure: impl FnOnce() -> Place) -> Result<(), LimitHit> {
        if self.twisted.is_none() && from.most(to) == from {
            return Ok(());
        }
        let farthest = self.twisted.flatten();
        self.go(farthest.map(|farthest| farthest.and(farthest)), measure)
    }

    fn go(&mut self, farthest: Option<Place>, measure: impl FnOnce() -> Place) -> Result<(), LimitHit> {
        let farthest = match farthest {
            Some(farthest) if self.check(farthest).is_ok() => farthest,
            _ => measure(),
        };
        self.twisted = Some(Some(farthest));
        self.check(farthest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge() -> PathGauge {
        PathGauge::new(&Limits { path_depth: 4, path_bytes: 20, ..Limits::default() })
    }

    fn place(depth: u64, bytes: u64) -> Place {
        Place { depth, bytes }
    }

    #[test]
    fn a_place_is_no_nearer_than_its_path() {
        let gauge = gauge();
        for (path, expected) in [
            ("a", place(1, 2)),
            ("a/bc/d", place(3, 7)),
            ("./a//b/", place(2, 4)),
            ("a/b/../c", place(2, 4)),
            ("../..", place(0, 0)),
        ] {
            assert_eq!(gauge.place(3, path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn a_descriptor_carries_its_place() {
        let mut gauge = gauge();
        gauge.opened(7, gauge.place(3, b"a/b"));
        assert_eq!(gauge.place(7, b"c"), place(3, 6));
        gauge.renumbered(7, 9);
        assert_eq!((gauge.place(7, b"c").depth, gauge.place(9, b"c").depth, gauge.open_count()), (1, 3, 1));
        gauge.closed(3);
        gauge.closed(9);
        gauge.closed(9);
        assert_eq!(gauge.open_count(), 0);
    }

    #[test]
    fn each_limit_is_named_with_what_was_used() {
        let hit = gauge().check(gauge().place(3, b"1/2/3/4/5")).unwrap_err();
        assert_eq!((hit.kind, hit.used, hit.allowed), (LimitKind::PathDepth, 5, 4));
        let hit = gauge().check(gauge().place(3, b"0123456789/0123456789")).unwrap_err();
        assert_eq!((hit.kind, hit.used, hit.allowed), (LimitKind::PathLength, 21, 20));
        assert_eq!(gauge().check(gauge().place(3, b"0123456789/012345678")), Ok(()));
    }

    #[test]
    fn a_twisted_tree_is_measured_before_it_can_be_too_deep() {
        let mut gauge = gauge();
        gauge.made(1, || unreachable!("nothing is twisted")).unwrap();
        gauge.moved(place(2, 4), place(1, 2), || unreachable!("it went up")).unwrap();
        gauge.linked();
        gauge.made(1, || place(2, 4)).unwrap();
        gauge.made(1, || unreachable!("it is 3 at most")).unwrap();
        gauge.made(1, || unreachable!("it is 4 at most")).unwrap();
        gauge.made(1, || place(4, 8)).unwrap();
        assert_eq!(gauge.made(1, || place(5, 10)).unwrap_err().kind, LimitKind::PathDepth);
    }
}
