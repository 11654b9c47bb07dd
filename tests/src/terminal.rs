//! A terminal with somebody at it: what is typed arrives as from a keyboard, Ctrl-C included, and what is waited for is what
//! comes on the screen after what was waited for before.

use crate::process::{Finished, Invocation, Running};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::Write;
use std::process::Command;

const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// A process that has a terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    running: Running,
    keyboard: File,
    /// How much of the screen was seen, in bytes.
    seen: usize,
}

impl Invocation {
    /// Starts it in a terminal, in whose foreground it is.
    ///
    /// # Panics
    /// When there is no terminal, or it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn start_in_terminal(mut self) -> Terminal {
        // Only the leader of a session can take a terminal for its own, and only between fork and exec.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("TERM", "xterm");
        if let Some(directory) = self.command.get_current_dir() {
            command.current_dir(directory);
        }
        self.command = command;
        let (keyboard, device) = pair();
        let screen = keyboard.try_clone().expect("a terminal's descriptor can be doubled");
        Terminal { running: self.start_at(&device, screen), keyboard, seen: 0 }
    }
}

/// Both ends of a new terminal: the person's and the process's.
fn pair() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = openpt(flags).expect("there is a terminal");
    grantpt(&person).expect("a terminal can be had");
    unlockpt(&person).expect("a terminal can be used");
    let name = ptsname(&person, Vec::new()).expect("a terminal has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let device = open(name, flags, Mode::empty()).expect("a terminal can be opened");
    tcsetwinsize(&device, SIZE).expect("a terminal has a size");
    (person.into(), device.into())
}

impl Terminal {
    /// Types this.
    ///
    /// # Panics
    /// When the terminal is gone.
    #[track_caller]
    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Waits until `text` comes on the screen, after everything that was waited for before.
    ///
    /// # Panics
    /// When the process ends without, or passes its deadline.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let end = self.running.end;
        match self.running.stdout.wait_for(text, self.seen, end) {
            Ok(seen) => self.seen = seen,
            Err(why) => panic!("{why} on the screen, all of which is:\n{}", self.running.stdout.text()),
        }
    }

    /// How it edits and echoes what is typed now.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn modes(&self) -> String {
        let modes = tcgetattr(&self.keyboard).expect("the terminal is there");
        format!("{:?} {:?} {:?}", modes.local_modes, modes.input_modes, modes.output_modes)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Waits for the end of the process; its stdout is all that came on the screen.
    ///
    /// # Panics
    /// When it passes its deadline.
    #[track_caller]
    #[must_use]
    pub fn finish(self) -> Finished {
        self.running.finish_with_stdin_open()
    }
}
