//! What a program could do, said for people: read off what it imports, because a sandboxed program reaches nothing that it does
//! not import. A program that imports something need not use it, and gets no more than its job was given.

use super::{Inspection, ProgramImport, ProgramKind};

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
        &["path_create_directory", "path_unlink_file", "path_remove_directory", "path_rename", "path_*link"],
        &[],
        "make, rename and remove files and folders there",
    ),
    row(&["clock_*"], &["clocks/wall-clock", "clocks/monotonic-clock"], "ask the time"),
    row(&["poll_oneoff"], &["io/poll"], "wait"),
    row(&["random_get"], &["random/*"], "draw random numbers"),
    Row {
        functions: &["sock_*"],
        interfaces: &["sockets/*", "http/*", "tls/*"],
        ability: Ability { what: "open sockets", denied: Some(NO_NETWORK) },
    },
];

impl Inspection {
    /// What it could do.
    #[must_use]
    pub fn abilities(&self) -> Vec<Ability> {
        let has = |row: &&Row| self.imports.iter().any(|import| row.is_reached_by(self.kind, import));
        ROWS.iter().filter(has).map(|row| row.ability).collect()
    }
}

impl Row {
    fn is_reached_by(&self, kind: ProgramKind, import: &ProgramImport) -> bool {
        match kind {
            ProgramKind::Module => {
                import.from.starts_with("wasi_") && self.functions.iter().any(|name| is_named(&import.name, name))
            }
            ProgramKind::Component => {
                let interface = import.from.strip_prefix("wasi:").and_then(|rest| rest.split('@').next());
                interface.is_some_and(|interface| self.interfaces.iter().any(|name| is_named(interface, name)))
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
        let import =
            |(from, name): &(&str, &str)| ProgramImport { from: (*from).into(), name: (*name).into(), refused: None };
        let inspection = Inspection {
            kind,
            bytes: 8,
            imports: imports.iter().map(import).collect(),
            imports_count: imports.len() as u64,
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
