//! What is known of a program, in words for people. Names come from the program, so none may steer the terminal.

use super::object::{About, Outline, Report};
use crate::quantity::ByteSize;
use crate::render::tame;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Width of the words at the beginning of lines.
const WORD_WIDTH: usize = 10;
/// Names in one line.
const NAMES_MAX: usize = 12;
/// Exports that say what it is; others are counted.
const TELLING: [&str; 3] = ["_start", "_initialize", "memory"];

/// All of it.
pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    let size = report.bytes.map(|bytes| format!(", {}", ByteSize(bytes))).unwrap_or_default();
    line(&mut text, &report.name, &format!("{}{size}", kind(report)));
    if let Some(job) = &report.job {
        let whose = if report.is_of_a_peer() { "kept here for a peer" } else { "given from here" };
        line(&mut text, "job", &format!("{job}, {whose}"));
    }
    match &report.about {
        Some(About::Module(outline)) => program(&mut text, outline, report.memory_bytes, "functions"),
        Some(About::Component(outline)) => program(&mut text, outline, report.memory_bytes, "interfaces"),
        Some(About::Script { environment, environment_here, interpreter_comes_along, modules, image }) => {
            let here = match (interpreter_comes_along, environment_here) {
                (true, _) => "whose interpreter goes along with it",
                (false, true) => "on this machine",
                (false, false) => "fetched when it first runs here",
            };
            line(&mut text, "runs in", &format!("{environment}, {here}"));
            if !modules.is_empty() {
                let by_word = if report.is_of_a_peer() { " (its sender says)" } else { "" };
                line(&mut text, "imports", &format!("{}{by_word}", names(modules.iter().map(String::as_str))));
            }
            if let Some(image) = image {
                line(&mut text, "starts", &format!("from the memory image {image}"));
            }
            let can = "what its language can with its files, arguments and input; it has no network, no threads, no processes";
            line(&mut text, "it can", can);
        }
        Some(About::Container { docker_image, command, reaches, gpus, .. }) => {
            line(&mut text, "runs", &command.join(" "));
            line(&mut text, "image", docker_image);
            line(&mut text, "reaches", reaches);
            if *gpus > 0 {
                line(&mut text, "and", &format!("graphics processors of the machine: {gpus}"));
            }
        }
        None => {}
    }
    if !report.files.is_empty() {
        line(&mut text, "files", &names(report.files.iter().map(String::as_str)));
    }
    if !report.packages.is_empty() {
        line(&mut text, "brings", &names(report.packages.iter().map(String::as_str)));
    }
    verdict(&mut text, report);
    text
}

fn kind(report: &Report) -> String {
    match &report.about {
        Some(About::Module(_)) => "a module of WASI preview 1".to_owned(),
        Some(About::Component(_)) => "a component of WASI preview 2".to_owned(),
        Some(About::Script { environment, .. }) => format!("a script for {environment}"),
        Some(About::Container { docker_image, .. }) => format!("a command in a container of {docker_image}"),
        None => "no program that is known here".to_owned(),
    }
}

fn program(text: &mut String, outline: &Outline, memory_bytes: u64, what: &str) {
    let mut from: BTreeMap<&str, usize> = BTreeMap::new();
    outline.imports.iter().for_each(|import| *from.entry(&import.from).or_default() += 1);
    let imports = match outline.imports_count {
        0 => "nothing".to_owned(),
        count if what == "functions" => {
            format!("{count} {what} of {}", names(from.keys().copied()))
        }
        count => format!("{count} {what}: {}", names(from.keys().copied())),
    };
    line(text, "imports", &imports);
    line(text, "exports", &exports(outline));
    let maximum = match outline.memory_maximum_bytes {
        Some(0) => String::new(),
        Some(most) => format!(", at most {} of its own", ByteSize(most)),
        None => ", unbounded by itself".to_owned(),
    };
    let begins = ByteSize(outline.memory_initial_bytes);
    line(text, "memory", &format!("{begins} at first{maximum}; a job gets {}", ByteSize(memory_bytes)));
    let can = if outline.can.is_empty() { "compute, and nothing else".to_owned() } else { outline.can.join("; ") };
    line(text, "it can", &can);
    for denied in &outline.denied {
        line(text, "it asks to", &format!("{}: {}", denied.what, denied.why));
    }
    line(text, "it cannot", outline.cannot);
    let refused = outline.imports.iter().filter_map(|import| Some((import, import.refused.as_ref()?)));
    for (import, why) in refused.take(NAMES_MAX) {
        let dot = if import.name.is_empty() { "" } else { "." };
        line(text, "refused", &format!("{}{dot}{}: {why}", import.from, import.name));
    }
}

fn exports(outline: &Outline) -> String {
    let is_telling = |name: &&str| TELLING.contains(name) || name.starts_with("wasi:");
    let telling: Vec<&str> = outline.exports.iter().map(String::as_str).filter(is_telling).collect();
    let more = outline.exports_count.saturating_sub(telling.len() as u64);
    match (telling.is_empty(), more) {
        (true, 0) => "nothing".to_owned(),
        (true, more) => format!("nothing that starts it, {more} others"),
        (false, 0) => telling.join(", "),
        (false, more) => format!("{}, {more} more", telling.join(", ")),
    }
}

fn verdict(text: &mut String, report: &Report) {
    match &report.why {
        Some(why) if why.starts_with("cannot") => line(text, "here", why),
        Some(why) => line(text, "here", &format!("cannot run: {why}")),
        None => line(text, "here", "can run"),
    }
    // A container runs where its image is offered, whatever this machine does.
    let runs = report.runs_here || matches!(report.about, Some(About::Container { .. }));
    if let Some(place) = report.place.as_ref().filter(|_| runs) {
        line(text, "with -d", &format!("would go to {place} now"));
    }
    for machine in report.machines.iter().filter(|_| runs) {
        line(text, "not at", &machine.to_string());
    }
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let shown = all.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn line(text: &mut String, word: &str, rest: &str) {
    for (at, part) in rest.lines().enumerate() {
        let word = if at == 0 { tame(word) } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{word:<WORD_WIDTH$}  {}", tame(part));
    }
}
