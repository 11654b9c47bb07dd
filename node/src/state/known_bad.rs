//! Engines that are known to let guests out, or to let them stop the node: each with the advisory and the versions that
//! fixed it. A node does not send work to such an engine and does not lend one. The owner may add to the list.
//!
//! Only what a guest, a module or a job can reach from inside this sandbox is listed: Cranelift on the architectures we
//! build for, WASI preview 1 and 2, the component model. Winch, the pooling allocator, C++ and embedder-only faults are
//! not ours, and a panic of a guest's own worker process ends that job alone.

use std::fmt;
use std::str::FromStr;

/// A version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// One entry of the built-in list.
#[derive(Debug)]
pub struct Advisory {
    /// Its name, as it can be looked up.
    pub id: &'static str,
    /// When it was published.
    pub date: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Versions it holds for: from the first of a pair up to, and without, the second.
    pub affected: &'static [(Version, Version)],
}

/// The built-in list, oldest first. Dates and versions are those of the advisories and of the releases that name them; a
/// line of releases without a fix counts up to the first line that has one.
pub const ADVISORIES: &[Advisory] = &[
    Advisory {
        id: "GHSA-vc8c-j3xm-xj73",
        date: "2026-01-27",
        what: "code for f64.copysign reads outside of the sandbox on x86-64",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 5)),
            (Version(37, 0, 0), Version(40, 0, 3)),
            (Version(41, 0, 0), Version(41, 0, 1)),
        ],
    },
    Advisory {
        id: "GHSA-jhxm-h53p-jm7w",
        date: "2026-04-09",
        what: "miscompiled memory access lets a guest out of the sandbox on aarch64",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 7)),
            (Version(37, 0, 0), Version(42, 0, 2)),
            (Version(43, 0, 0), Version(43, 0, 1)),
        ],
    },
    Advisory {
        id: "GHSA-394w-hwhg-8vgm",
        date: "2026-04-09",
        what: "transcoding a component's strings writes out of bounds",
        affected: &[
            (Version(0, 0, 0), Version(24, 0, 7)),
            (Version(25, 0, 0), Version(36, 0, 7)),
            (Version(37, 0, 0), Version(42, 0, 2)),
            (Version(43, 0, 0), Version(43, 0, 1)),
        ],
    },
    Advisory {
        id: "GHSA-4ch3-9j33-3pmj",
        date: "2026-06-24",
        what: "hard links and renames ignore the permissions of their destination",
        affected: &[
            (Version(0, 0, 0), Version(24, 0, 11)),
            (Version(25, 0, 0), Version(36, 0, 12)),
            (Version(37, 0, 0), Version(45, 0, 3)),
            (Version(46, 0, 0), Version(46, 0, 1)),
        ],
    },
    Advisory {
        id: "GHSA-2hw9-mc66-jc2q",
        date: "2026-07-31",
        what: "preemption during bulk operations breaks the engine's own state",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 13)),
            (Version(37, 0, 0), Version(46, 0, 2)),
            (Version(47, 0, 0), Version(47, 0, 3)),
        ],
    },
    Advisory {
        id: "GHSA-vqjp-4c8c-hfgg",
        date: "2026-08-20",
        what: "paths with trailing slashes lead out of a guest's directories",
        affected: &[
            (Version(0, 0, 0), Version(24, 0, 13)),
            (Version(25, 0, 0), Version(36, 0, 14)),
            (Version(37, 0, 0), Version(46, 0, 3)),
            (Version(47, 0, 0), Version(47, 0, 4)),
        ],
    },
    Advisory {
        id: "GHSA-j366-h8gg-77pm",
        date: "2026-10-02",
        what: "poll_oneoff waits past its fuel",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 17)),
            (Version(37, 0, 0), Version(48, 0, 4)),
            (Version(49, 0, 0), Version(49, 0, 2)),
        ],
    },
    Advisory {
        id: "GHSA-96f6-r43r-8c24",
        date: "2026-10-02",
        what: "fd_readdir copies memory of the host to the guest",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 17)),
            (Version(37, 0, 0), Version(48, 0, 4)),
            (Version(49, 0, 0), Version(49, 0, 2)),
        ],
    },
    Advisory {
        id: "GHSA-cfhf-m2cr-62wj",
        date: "2026-10-02",
        what: "mis-typed tag imports corrupt the heap of collected values",
        affected: &[(Version(37, 0, 0), Version(48, 0, 4)), (Version(49, 0, 0), Version(49, 0, 2))],
    },
    Advisory {
        id: "GHSA-hw8m-q44c-ggrf",
        date: "2026-10-02",
        what: "exception handlers corrupt the heap of collected values",
        affected: &[(Version(37, 0, 0), Version(48, 0, 4)), (Version(49, 0, 0), Version(49, 0, 2))],
    },
    Advisory {
        id: "GHSA-m9f7-9w4p-gv38",
        date: "2026-10-14",
        what: "renaming links with trailing slashes leads out of a guest's directories",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 18)),
            (Version(37, 0, 0), Version(48, 0, 6)),
            (Version(49, 0, 0), Version(49, 0, 3)),
        ],
    },
    Advisory {
        id: "GHSA-q554-3cjc-rx7p",
        date: "2026-10-14",
        what: "handle tables of components are charged to no limit",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 18)),
            (Version(37, 0, 0), Version(48, 0, 6)),
            (Version(49, 0, 0), Version(49, 0, 3)),
        ],
    },
    Advisory {
        id: "GHSA-897f-g5gm-fmxm",
        date: "2026-10-19",
        what: "an overflow in the compiler miscompiles guests",
        affected: &[(Version(0, 0, 0), Version(36, 0, 19))],
    },
    Advisory {
        id: "GHSA-mghf-wjfp-p5xm",
        date: "2026-10-19",
        what: "a large br_table jumps to a wrong place on aarch64",
        affected: &[
            (Version(0, 0, 0), Version(36, 0, 19)),
            (Version(37, 0, 0), Version(48, 0, 7)),
            (Version(49, 0, 0), Version(49, 0, 4)),
        ],
    },
    Advisory {
        id: "GHSA-6fr9-xmw9-5352",
        date: "2026-10-29",
        what: "borrowed resources passed between components take unchecked memory",
        affected: &[(Version(37, 0, 0), Version(48, 0, 8))],
    },
];

/// Versions the owner has added, each with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    entries: Vec<AddedEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct AddedEntry {
    from: Version,
    fixed: Version,
    id: String,
}

/// The engine of a node is on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEngine {
    engine: String,
    advisory: String,
    fixed: Version,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl FromStr for Version {
    type Err = ();

    /// Takes one to three numbers; what follows a `-` or `+` is not looked at.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = text.split('.').map(|part| part.parse::<u32>().map_err(|_| ()));
        let mut next = |needed: bool| numbers.next().unwrap_or(if needed { Err(()) } else { Ok(0) });
        let version = Self(next(true)?, next(false)?, next(false)?);
        if numbers.next().is_some() { Err(()) } else { Ok(version) }
    }
}

impl fmt::Display for BadEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its engine, {}, is known to be unsafe ({}); {} has that fixed",
            self.engine, self.advisory, self.fixed
        )
    }
}

impl FromStr for Added {
    type Err = String;

    /// Entries such as `48.0.0..48.0.9 GHSA-xxxx`, with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let entry = |text: &str| {
            let wanted = || format!("{text:?} is no FROM..FIXED NAME, such as 48.0.0..48.0.9 GHSA-1234");
            let (range, id) = text.split_once(char::is_whitespace).ok_or_else(wanted)?;
            let (from, fixed) = range.split_once("..").ok_or_else(wanted)?;
            let parse = |text: &str| text.parse::<Version>().map_err(|()| wanted());
            Ok::<_, String>(AddedEntry { from: parse(from)?, fixed: parse(fixed)?, id: id.trim().to_owned() })
        };
        let entries =
            text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(entry).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }
}

/// Whether this engine, such as `wasmtime 48.0.8`, is on the list. An engine that is no wasmtime, or says no version, is
/// not known to be bad.
///
/// # Errors
/// [`BadEngine`], with the advisory.
pub fn check(engine: &str, added: &Added) -> Result<(), BadEngine> {
    let Some(version) = engine.strip_prefix("wasmtime ").and_then(|text| text.parse::<Version>().ok()) else {
        return Ok(());
    };
    let within = |(from, fixed): &(Version, Version)| *from <= version && version < *fixed;
    let bad = |advisory: String, fixed: Version| BadEngine { engine: engine.to_owned(), advisory, fixed };
    for entry in &added.entries {
        if within(&(entry.from, entry.fixed)) {
            return Err(bad(entry.id.clone(), entry.fixed));
        }
    }
    for advisory in ADVISORIES {
        if let Some((_, fixed)) = advisory.affected.iter().find(|range| within(range)) {
            return Err(bad(format!("{}: {}", advisory.id, advisory.what), *fixed));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(engine: &str, added: &str) -> Option<String> {
        check(engine, &added.parse().unwrap()).err().map(|bad| bad.to_string())
    }

    #[test]
    fn the_engine_of_this_build_is_not_on_the_list() {
        let lock = include_str!("../../../Cargo.lock");
        let after = lock.split("name = \"wasmtime\"\nversion = \"").nth(1).unwrap();
        let engine = format!("wasmtime {}", after.split('"').next().unwrap());
        assert_eq!(says(&engine, ""), None);
    }

    #[test]
    fn a_version_is_bad_from_the_first_that_has_the_fault_up_to_the_fix() {
        assert!(says("wasmtime 48.0.3", "").unwrap().contains("GHSA-j366-h8gg-77pm"));
        assert!(says("wasmtime 48.0.6", "").unwrap().contains("GHSA-mghf-wjfp-p5xm"));
        assert_eq!(says("wasmtime 48.0.8", ""), None);
        assert_eq!(says("wasmtime 36.0.19", ""), None);
        let text = says("wasmtime 42.0.1", "").unwrap();
        assert!(text.contains("wasmtime 42.0.1") && text.contains("42.0.2"), "{text}");
    }

    #[test]
    fn the_owner_adds_versions_of_their_own() {
        let text = says("wasmtime 48.0.8", "48.0.0..48.0.9 GHSA-mine, 50..51 other").unwrap();
        assert!(text.contains("GHSA-mine") && text.contains("48.0.9"), "{text}");
        assert_eq!(says("wasmtime 48.0.9", "48.0.0..48.0.9 GHSA-mine"), None);
        for wrong in ["48", "48..x A", "48.0.0..48.0.9", "1.2.3.4..5 A"] {
            assert!(wrong.parse::<Added>().unwrap_err().contains("FROM..FIXED"), "{wrong}");
        }
    }

    #[test]
    fn what_says_no_version_of_wasmtime_is_not_known_to_be_bad() {
        for engine in ["", "echo 1", "wasmtime", "wasmtime x", "v8 1.0.0"] {
            assert_eq!(says(engine, ""), None, "{engine}");
        }
        assert!(says("wasmtime 48.0.3-patched", "").is_some());
    }

    #[test]
    fn every_entry_is_dated_and_its_ranges_are_ascending() {
        for advisory in ADVISORIES {
            assert!(advisory.id.starts_with("GHSA-") && advisory.date.starts_with("202"), "{}", advisory.id);
            let ends = advisory.affected.iter().flat_map(|(from, fixed)| [*from, *fixed]);
            assert!(ends.is_sorted(), "{}", advisory.id);
        }
        assert!(ADVISORIES.iter().map(|advisory| advisory.date).is_sorted());
    }
}
