//! What is lent, in words.

use crate::quantity::{ByteSize, Span};
use potluck_node::client::Sharing;
use potluck_node::state::sharing::rules::{Amounts, GRACE_S, IDLE_AFTER_S, When};
use std::time::Duration;

/// What is lent now and why, what that is decided by, and the rules.
pub(super) fn describe(sharing: &Sharing) -> String {
    let lends = &sharing.now.lends.text;
    let mut text = match lends.strip_prefix("lends ").filter(|_| !sharing.running) {
        Some(what) => format!("{} would lend {what}\n", sharing.name),
        None => format!("{} {lends}\n", sharing.name),
    };
    for (name, line) in seen(sharing).into_iter().chain(rules(sharing)) {
        text.push_str(&format!("{name:<13} {line}\n"));
    }
    for (name, (id, own)) in sharing.peer_names.iter().zip(&sharing.rules.peers) {
        let now = sharing.now.peers.iter().find(|lent| lent.peer == *id).and_then(|lent| lent.closed.as_deref());
        let mut said = vec![own.when.map_or("as all others", when).to_owned()];
        said.extend(own.hours.as_ref().map(|hours| format!("hours {hours}")));
        said.extend(own.job_memory_bytes.map(|bytes| format!("{} of memory for one job", ByteSize(bytes))));
        let now = now.map_or("lent to now".to_owned(), |closed| format!("not now: {}", closed.replace('_', " ")));
        text.push_str(&format!("peer {:<8} {} ({now})\n", crate::render::tame(name), said.join(", ")));
    }
    text
}

fn seen(sharing: &Sharing) -> Vec<(&'static str, String)> {
    let now = &sharing.now;
    let mut lines = Vec::new();
    if sharing.rules.mind_the_owner() {
        let by = now.away_by.join(" and ");
        lines.push((
            "owner",
            match now.away_s {
                Some(seconds) => format!("last active {} ago, as {by} say", Span(Duration::from_secs(seconds))),
                None => "cannot be seen, so counts as active: neither logind nor a terminal tells".to_owned(),
            },
        ));
    }
    if now.on_battery {
        lines.push(("power", "battery".to_owned()));
    }
    if sharing.rules.load_max_milli.is_some() {
        lines.push((
            "others use",
            now.others_milli.map_or("not known yet".to_owned(), |milli| format!("{} cores", cores(milli))),
        ));
    }
    if sharing.rules.temperature_max.is_some() {
        let measured = |degrees| format!("{degrees} °C");
        lines.push((
            "temperature",
            now.temperature.map_or("nothing here measures it, so its bound never holds".to_owned(), measured),
        ));
    }
    lines
}

fn rules(sharing: &Sharing) -> Vec<(&'static str, String)> {
    let (rules, config) = (&sharing.rules, &sharing.config);
    let or_any = |value: Option<String>| value.unwrap_or_else(|| "any".to_owned());
    let bytes = |bytes: Option<u64>| or_any(bytes.map(|bytes| ByteSize(bytes).to_string()));
    let seconds = |seconds: u64| Span(Duration::from_secs(seconds)).to_string();
    let mut lines = vec![
        ("when", when(if config.lend { rules.when } else { When::Never }).to_owned()),
        ("hours", rules.hours.to_string()),
        ("jobs", config.jobs_max.to_string()),
        ("cores", or_any(rules.at_most.cores.map(|cores| cores.to_string()))),
        (
            "memory",
            format!(
                "{} for all jobs, {} for one",
                bytes(rules.at_most.memory_bytes),
                bytes(config.job_memory_bytes_max)
            ),
        ),
        ("disk", bytes(rules.disk_bytes)),
        ("load", or_any(rules.load_max_milli.map(|milli| format!("{} cores of others", cores(milli))))),
        ("heat", or_any(rules.temperature_max.map(|degrees| format!("{degrees} °C")))),
        ("on battery", if rules.battery.is_empty() { "nothing".to_owned() } else { amounts(&rules.battery) }),
    ];
    if !rules.active.is_empty() {
        lines.push(("while active", amounts(&rules.active)));
    }
    if rules.mind_the_owner() {
        lines.push(("away after", seconds(rules.idle_after_s.unwrap_or(IDLE_AFTER_S))));
    }
    lines.extend(super::docker::lines(&sharing.docker));
    lines.push(("grace", seconds(rules.grace_s.unwrap_or(GRACE_S))));
    lines
}

const fn when(when: When) -> &'static str {
    match when {
        When::Always => "always",
        When::Idle => "while the owner is away",
        When::Never => "never",
    }
}

fn amounts(amounts: &Amounts) -> String {
    let parts = [
        amounts.jobs.map(|jobs| counted(jobs, "job")),
        amounts.cores.map(|cores| counted(cores, "core")),
        amounts.memory_bytes.map(|bytes| format!("{} of memory", ByteSize(bytes))),
    ];
    format!("at most {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn counted(count: u32, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn cores(milli: u32) -> String {
    format!("{}.{}", milli / 1000, milli % 1000 / 100)
}
