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

/// Every variable a guest finds when its submitter gave none. Nothing is inherited from the host.
pub const ENVIRONMENT: [(&str, &str); 2] = [(HOME_VARIABLE, TEMP_DIR), (TEMP_DIR_VARIABLE, TEMP_DIR)];

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
}
