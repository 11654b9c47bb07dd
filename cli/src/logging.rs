//! Where log lines go: stderr, as much as `POTLUCK_LOG` asks for. A daemon's lines carry the time; every other
//! command's look like what Potluck says.

mod measured;

use anyhow::Context;
use measured::Measured;
use std::fmt;
use std::io::IsTerminal;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable that says what is logged, such as `debug` or `potluck_node=trace`.
const FILTER_VARIABLE: &str = "POTLUCK_LOG";

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Someone at a terminal who asked for something else: warnings only.
    Command,
    /// Someone who watches a daemon: milestones too.
    Daemon,
}

/// Sends the log to stderr for the rest of the process.
pub(crate) fn start(audience: Audience) -> anyhow::Result<()> {
    let default = match audience {
        Audience::Command => "warn",
        Audience::Daemon => "warn,potluck=info,potluck_node=info,potluck_runtime=info",
    };
    let asked = std::env::var(FILTER_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(asked.as_deref().unwrap_or(default))
        .with_context(|| format!("cannot understand {FILTER_VARIABLE}; use a level such as `info` or `debug`"))?;
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let log = tracing_subscriber::registry().with(filter);
    match audience {
        Audience::Command => log.with(lines.event_format(Sentence)).init(),
        Audience::Daemon => {
            // Whoever asks for more wants all of it.
            let measured = asked.is_none().then(|| Measured::new(std::io::stderr));
            log.with(lines.with_target(false)).with(measured).init();
        }
    }
    Ok(())
}

/// `potluck: warning: …`, without time or place.
struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        write!(writer, "potluck: {level}: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
