//! What a program could do, said for people: read off what it imports, because a sandboxed program reaches nothing that it does
//! not import. A program that imports something need not use it, and gets no more than its job was given. What is imported of
//! WASI and stands in no row is said, too: that there is nothing to say of a program means that it imports nothing.

use super::{Inspection, ProgramKind};
use serde::{Deserialize, Serialize};

/// Something that a program could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// What, as the rest of a sentence that begins with "it can".
    pub what: &'static str,
    /// Why nothing comes of it here, if so.
    pub denied: Option<&'static str>,
}

/// What no program can do, whatever it imports.
pub const NEVER: &str = "use the network; see other files than its own and those it is given; start programs or threads; see this \
     machine's environment variables";

/// What is said of programs that reach for the network.
const NO_NETWORK: &str = "refused here: jobs have no network; send the data along with -f";

/// The rows that a program's imports reach, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach(u32);

/// Who imports one of these can do this. A name that ends in `*` stands for all that begin so.
struct Row {
    /// Of a module: functions of preview 1.
    functions: &'static [&'static str],
    /// Of a component: interfaces of preview 2, without `wasi:` and without their version.
    interfaces: &'static [&'static str],
    ability: Ability,
}

const fn row(functions: &'static [&'static str], interfaces: &'static [&'static str], what: &'static str) -> Row {
    Row { functions, interfaces, ability: Ability { what, denied: None } }
}

/// In the order in which people want to know.
const ROWS: &[Row] = &[
    row(&["fd_read", "fd_pread"], &["cli/stdin"], "read its standard input"),
    row(&["fd_write", "fd_pwrite"], &["cli/stdout", "cli/stderr"], "print"),
    row(&["args_get"], &["cli/environment"], "see its arguments"),
    row(&["environ_get"], &["cli/environment"], "see the environment variables it is given with -e"),
    row(&["path_open"], &["filesystem/preopens"], "read and write files of its working directory and /tmp"),
    row(
        &["fd_readdir", "fd_filestat_get", "path_filestat_get", "path_readlink"],
        &[],
        "see the names, sizes and times of files there",
    ),
    row(
        &["fd_allocate", "fd_filestat_set_size", "fd_filestat_set_times", "path_filestat_set_times"],
        &[],
        "change the sizes and times of files there",
    ),
    row(
        &[
            "path_create_directory",
            "path_unlink_file",
            "path_remove_directory",
            "path_rename",
            "path_link",
            "path_symlink",
        ],
        &[],
        "make, rename and remove files and folders there",
    ),
    row(&["clock_*"], &["clocks/*"], "ask the time"),
    row(&["poll_oneoff"], &["io/poll"], "wait"),
    row(&["random_get"], &["random/*"], "draw random numbers"),
    Row {
        functions: &["sock_*"],
        interfaces: &["sockets/*", "http/*", "tls/*"],
        ability: Ability { what: "open sockets", denied: Some(NO_NETWORK) },
    },
];

/// What says nothing of a program: its own end, and what is done with files that it has by other means.
const PLAIN: Row = row(
    &[
        "args_sizes_get",
        "environ_sizes_get",
        "fd_advise",
        "fd_close",
        "fd_datasync",
        "fd_fdstat_*",
        "fd_prestat_*",
        "fd_renumber",
        "fd_seek",
        "fd_sync",
        "fd_tell",
        "proc_exit",
        "proc_raise",
        "sched_yield",
    ],
    &["cli/exit", "cli/terminal-*", "filesystem/types", "io/*"],
    "end",
);
/// Of who imports something of WASI that stands in no row.
const OTHER: Ability = Ability { what: "call functions of WASI that are not described here", denied: None };
/// The bit of [`OTHER`].
const OTHER_BIT: usize = 31;

impl Inspection {
    /// What it could do.
    #[must_use]
    pub fn abilities(&self) -> Vec<Ability> {
        let rows = ROWS.iter().enumerate().map(|(bit, row)| (bit, row.ability));
        rows.chain([(OTHER_BIT, OTHER)])
            .filter(|&(bit, _)| self.reach.0 & (1 << bit) != 0)
            .map(|(_, what)| what)
            .collect()
    }
}

impl Reach {
    /// What all these imports reach, each with the module or interface it is from.
    pub(crate) fn of<'a>(kind: ProgramKind, imports: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(imports.fold(0, |reach, (from, name)| reach | bits(kind, from, name)))
    }
}

/// The rows that one import reaches.
fn bits(kind: ProgramKind, from: &str, name: &str) -> u32 {
    let is_reached = |row: &Row| row.is_reached_by(kind, from, name);
    let rows = ROWS.iter().enumerate().filter(|(_, row)| is_reached(row));
    match rows.fold(0u32, |bits, (bit, _)| bits | (1 << bit)) {
        0 if is_of_wasi(kind, from) && !is_reached(&PLAIN) => 1 << OTHER_BIT,
        bits => bits,
    }
}

fn is_of_wasi(kind: ProgramKind, from: &str) -> bool {
    from.starts_with(match kind {
        ProgramKind::Module => "wasi_",
        ProgramKind::Component => "wasi:",
    })
}

impl Row {
    fn is_reached_by(&self, kind: ProgramKind, from: &str, name: &str) -> bool {
        match kind {
            ProgramKind::Module => is_of_wasi(kind, from) && self.functions.iter().any(|known| is_named(name, known)),
            ProgramKind::Component => {
                let interface = from.strip_prefix("wasi:").and_then(|rest| rest.split('@').next());
                interface.is_some_and(|interface| self.interfaces.iter().any(|known| is_named(interface, known)))
            }
        }
    }
}

fn is_named(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        Some((begins, ends)) => text.starts_with(begins) && text.ends_with(ends),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(kind: ProgramKind, imports: &[(&str, &str)]) -> Vec<&'static str> {
        let inspection = Inspection {
            kind,
            bytes: 8,
            imports: vec![],
            imports_count: imports.len() as u64,
            reach: Reach::of(kind, imports.iter().copied()),
            exports: vec![],
            exports_count: 0,
            memories: vec![],
        };
        inspection.abilities().iter().map(|ability| ability.what).collect()
    }

    #[test]
    fn a_module_can_do_what_its_functions_say_and_nothing_else() {
        let p1 = "wasi_snapshot_preview1";
        let imports = [(p1, "clock_time_get"), (p1, "fd_write"), (p1, "sock_send"), ("env", "random_get")];
        assert_eq!(abilities(ProgramKind::Module, &imports), ["print", "ask the time", "open sockets"]);
        assert_eq!(abilities(ProgramKind::Module, &[]), [""; 0]);
        let links = abilities(ProgramKind::Module, &[(p1, "path_symlink")]);
        assert_eq!(links, ["make, rename and remove files and folders there"]);
    }

    #[test]
    fn whatever_is_imported_of_wasi_is_said_or_is_known_to_be_plain() {
        let said = |name: &str| abilities(ProgramKind::Module, &[("wasi_snapshot_preview1", name)]);
        for name in ["fd_readdir", "fd_filestat_get", "path_filestat_get", "path_readlink"] {
            assert_eq!(said(name), ["see the names, sizes and times of files there"], "{name}");
        }
        for name in ["fd_allocate", "fd_filestat_set_size", "fd_filestat_set_times", "path_filestat_set_times"] {
            assert_eq!(said(name), ["change the sizes and times of files there"], "{name}");
        }
        for name in ["path_unheard_of", "fd_dance", ""] {
            assert_eq!(said(name), [OTHER.what], "{name}");
        }
        for name in PLAIN.functions.iter().map(|name| name.replace('*', "get")) {
            assert_eq!(said(&name), [""; 0], "{name}");
        }
        assert_eq!(abilities(ProgramKind::Component, &[("wasi:dance/floor@0.2.0", "")]), [OTHER.what]);
        assert_eq!(abilities(ProgramKind::Component, &[("wasi:io/streams@0.2.0", "")]), [""; 0]);
    }

    #[test]
    fn every_row_has_a_bit_of_its_own() {
        assert!(ROWS.len() <= OTHER_BIT);
    }

    #[test]
    fn a_component_can_do_what_its_interfaces_say() {
        let imports = [("wasi:random/random@0.2.6", ""), ("wasi:sockets/tcp@0.2.0", ""), ("acme:cli/stdin@0.2.0", "")];
        assert_eq!(abilities(ProgramKind::Component, &imports), ["draw random numbers", "open sockets"]);
    }

    #[test]
    fn the_network_is_denied_whoever_asks() {
        let denied: Vec<_> = ROWS.iter().filter(|row| row.ability.denied.is_some()).collect();
        assert!(denied.len() == 1 && denied[0].ability.what.contains("sockets"));
    }
}
