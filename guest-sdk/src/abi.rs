//! The world a guest wakes up in, as constants that host and guest read from one place.
//!
//! Changing a value here changes the contract with every compiled guest. Nothing here allocates or decides.

/// The working directory: the job's input files lie here, and what the job makes or changes here can be brought
/// back. It is private to one run and starts with the inputs only. A relative path means a path below it.
pub const WORK_DIR: &str = "/";

/// Where temporary files go. It is private to one run, counts towards the disk limit like [`WORK_DIR`], and is
/// thrown away with the run: nothing in it is ever brought back.
pub const TEMP_DIR: &str = "/tmp";

/// The environment variable that names [`TEMP_DIR`] for programs which look it up. It is set unless the submitter
/// gives it another value.
pub const TEMP_DIR_VARIABLE: &str = "TMPDIR";

/// The environment variable that names the user's home, which is [`TEMP_DIR`] unless the submitter gives it
/// another value: programs may keep settings there while they run.
pub const HOME_VARIABLE: &str = "HOME";

/// What every guest finds when its submitter gave none, beside what the contract below adds where somebody listens. Nothing
/// is inherited from the host.
pub const ENVIRONMENT: [(&str, &str); 2] = [(HOME_VARIABLE, TEMP_DIR), (TEMP_DIR_VARIABLE, TEMP_DIR)];

/// The version of the contract that [`ENV_VERSION`] names. What is added to it keeps the number; what no longer means
/// what it meant takes the next.
pub const VERSION: u32 = 1;

/// Tells a program that it runs inside Potluck, by which [`VERSION`] of the contract. Where it is missing, nothing of
/// the contract holds, and a program works without.
pub const ENV_VERSION: &str = "POTLUCK";

/// Names the file that events are appended to: [`EVENTS_PATH`].
pub const ENV_EVENTS: &str = "POTLUCK_EVENTS";

/// Where a program says what it is doing: one JSON object a line, at most [`EVENT_LEN_MAX`] bytes with its newline. What
/// is written takes no room on the disk and cannot be read again.
pub const EVENTS_PATH: &str = "/tmp/.potluck-events";

/// Names the file in which the host speaks: [`CONTROL_PATH`].
pub const ENV_CONTROL: &str = "POTLUCK_CONTROL";

/// Where the host speaks to the program: empty until it has something to say, then lines, of which unknown ones are to
/// be passed over.
pub const CONTROL_PATH: &str = "/tmp/.potluck-control";

/// The line of [`CONTROL_PATH`] that asks the program to end.
pub const CONTROL_CANCEL: &str = "cancel";

/// How long a program that has opened [`CONTROL_PATH`] may take to end by itself after [`CONTROL_CANCEL`], in
/// milliseconds. A program that never opened it is ended at once.
pub const CANCEL_GRACE_MS: u64 = 5_000;

/// Names the file of the checkpoint to go on from, where there is one: [`RESTORE_PATH`].
pub const ENV_RESTORE: &str = "POTLUCK_RESTORE";

/// The bytes that an earlier run of this job gave as its checkpoint.
pub const RESTORE_PATH: &str = "/tmp/.potluck-restore";

/// In a map: which of its tasks this is, from 0.
pub const ENV_TASK: &str = "POTLUCK_TASK";

/// In a map: how many tasks it has.
pub const ENV_TASKS: &str = "POTLUCK_TASKS";

/// The most bytes in one line of events, with its newline.
pub const EVENT_LEN_MAX: usize = 64 << 10;

/// The most logs and results of one run that are passed on. Of those that follow the last result gets through.
pub const EVENTS_MAX: u64 = 10_000;

/// The most bytes in their lines together.
pub const EVENTS_LEN_MAX: usize = 8 << 20;

/// How many times in a second progress is passed on; in a run of more than a hundred seconds, a thousandth of its time so
/// far lies between two. What comes faster is thinned, and the last of a run always gets through.
pub const PROGRESS_PER_SECOND: u32 = 10;

/// The most bytes in one checkpoint.
pub const CHECKPOINT_LEN_MAX: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scratch_directory_is_not_the_working_directory() {
        assert!(WORK_DIR.starts_with('/') && TEMP_DIR.starts_with('/'));
        assert_ne!(WORK_DIR, TEMP_DIR);
    }

    #[test]
    fn no_variable_is_named_twice() {
        let [first, second] = ENVIRONMENT.map(|(name, _)| name);
        assert_ne!(first, second);
    }

    #[test]
    fn what_is_said_in_files_is_said_where_nothing_is_brought_back() {
        for path in [EVENTS_PATH, CONTROL_PATH, RESTORE_PATH] {
            let name = path.strip_prefix(TEMP_DIR).and_then(|rest| rest.strip_prefix('/'));
            assert!(name.is_some_and(|name| !name.contains('/')), "{path}");
        }
    }
}
