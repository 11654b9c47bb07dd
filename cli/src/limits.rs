//! The limits as flags: those of a whole job or session and those of one turn, which have the
//! session's.

use crate::quantity::{ByteSize, Fuel, Span};
use clap::Args;
use potluck_runtime::{Limits, TurnLimits};

// The limits of a job, or of a session and each of its turns.
// No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LimitArgs {
    /// Most instructions it may execute; a busy core takes about 8G a second [default: 10T]
    #[arg(long, value_name = "AMOUNT")]
    fuel: Option<Fuel>,
    /// Most memory it may hold [default: 1G]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Longest it may take [default: 10m]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Most bytes it may keep on disk, inputs not counted [default: 1G]
    #[arg(long, value_name = "SIZE")]
    disk: Option<ByteSize>,
    /// Most bytes it may print [default: 64M]
    #[arg(long, value_name = "SIZE")]
    output: Option<ByteSize>,
    /// Most files, directories and links it may make [default: 100000]
    #[arg(long, value_name = "COUNT")]
    file_count: Option<u64>,
    /// Most files and directories it may hold open at once [default: 1024]
    #[arg(long, value_name = "COUNT")]
    open_files: Option<u32>,
    /// Most bytes of randomness it may draw [default: 1G]
    #[arg(long, value_name = "SIZE")]
    random: Option<ByteSize>,
}

impl LimitArgs {
    /// What was typed, and the defaults of the rest.
    pub(crate) fn limits(self) -> Limits {
        let turn = TurnLimitArgs { fuel: self.fuel, timeout: self.timeout, output: self.output };
        let default = Limits::default();
        let TurnLimits { fuel, wall_ms, output_bytes } = turn.within(&default);
        Limits {
            fuel,
            wall_ms,
            output_bytes,
            memory_bytes: self.memory.map_or(default.memory_bytes, |memory| memory.0),
            disk_bytes: self.disk.map_or(default.disk_bytes, |disk| disk.0),
            open_files: self.open_files.unwrap_or(default.open_files),
            files: self.file_count.unwrap_or(default.files),
            random_bytes: self.random.map_or(default.random_bytes, |random| random.0),
            ..default
        }
    }

    /// The limits, if one was typed at all.
    pub(crate) fn typed(self) -> Option<Limits> {
        let Self { fuel, memory, timeout, disk, output, file_count, open_files, random } = self;
        let sizes = [memory, disk, output, random].iter().any(Option::is_some);
        let typed = sizes || fuel.is_some() || timeout.is_some() || file_count.is_some() || open_files.is_some();
        typed.then(|| self.limits())
    }
}

// The limits of one turn, where they differ from the session's.
// No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TurnLimitArgs {
    /// Most instructions a turn may execute [default: as the session was opened with]
    #[arg(long, value_name = "AMOUNT")]
    fuel: Option<Fuel>,
    /// Longest a turn may take [default: as the session was opened with]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// Most bytes a turn may print [default: as the session was opened with]
    #[arg(long, value_name = "SIZE")]
    output: Option<ByteSize>,
}

impl TurnLimitArgs {
    /// The limits of a turn of a session with these.
    pub(crate) fn within(self, session: &Limits) -> TurnLimits {
        let limits = TurnLimits::from(session);
        TurnLimits {
            fuel: self.fuel.map_or(limits.fuel, |fuel| fuel.0),
            wall_ms: self.timeout.map_or(limits.wall_ms, Span::milliseconds),
            output_bytes: self.output.map_or(limits.output_bytes, |output| output.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_defaults_that_the_help_names_are_those_that_hold() {
        let mut cli = Cli::command();
        cli.build();
        let run = cli.find_subcommand("run").unwrap().clone();
        let named = |flag: &str| {
            let arg = run.get_arguments().find(|arg| arg.get_long() == Some(flag)).unwrap();
            let help = arg.get_help().unwrap().to_string();
            help.rsplit("[default: ").next().unwrap().trim_end_matches(']').to_owned()
        };
        let default = Limits::default();
        assert_eq!(named("fuel").parse(), Ok(Fuel(default.fuel)));
        assert_eq!(named("memory").parse(), Ok(ByteSize(default.memory_bytes)));
        assert_eq!(named("timeout").parse::<Span>().map(Span::milliseconds), Ok(default.wall_ms));
        assert_eq!(named("disk").parse(), Ok(ByteSize(default.disk_bytes)));
        assert_eq!(named("output").parse(), Ok(ByteSize(default.output_bytes)));
        assert_eq!(named("file-count").parse(), Ok(default.files));
        assert_eq!(named("open-files").parse(), Ok(default.open_files));
        assert_eq!(named("random").parse(), Ok(ByteSize(default.random_bytes)));
    }

    #[test]
    fn a_turn_has_the_limits_of_its_session_but_for_what_was_typed() {
        let session = Limits { fuel: 7, wall_ms: 8, output_bytes: 9, ..Limits::default() };
        let typed = TurnLimitArgs { fuel: None, timeout: Some("2s".parse().unwrap()), output: None };
        assert_eq!(typed.within(&session), TurnLimits { fuel: 7, wall_ms: 2000, output_bytes: 9 });
    }
}
