//! The lasting cache in which Python is compiled and its images are made. Compiling takes minutes on two cores, so it is done once for all tests
//! and all runs of the suite: whoever comes first does it under a lock, the others wait.

use crate::artifacts::{binary, lasting_cache, wheel};
use crate::home::Home;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// The built-in images.
const IMAGES: [&str; 5] = ["interpreter", "numpy", "data", "plot", "science"];
/// A cold compile on a machine that does other things as well.
const FIRST_USE_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The cache directory, with Python in it and compiled by the binary under test.
///
/// # Panics
/// When Python cannot be made ready.
#[must_use]
pub fn shared_cache() -> PathBuf {
    let cache = lasting_cache();
    fs::create_dir_all(&cache).expect("the lasting cache can be made");
    let beside = |suffix: &str| {
        let mut name = cache.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let lock = File::create(beside(".lock")).expect("the lasting cache can be locked");
    flock(&lock, FlockOperation::LockExclusive).expect("the lasting cache can be locked");
    let marker = beside(".warm");
    let made_by = fs::metadata(binary()).expect("the binary is there");
    let made_by = format!("{} {} {}", made_by.ino(), made_by.len(), made_by.mtime());
    if fs::read_to_string(&marker).is_ok_and(|text| text == made_by) {
        return cache;
    }
    let home = Home::new().with_cache(&cache);
    home.potluck(["env", "add", "python", "--wheel"]).arg(wheel()).deadline(FIRST_USE_WITHIN).finish().expect(0);
    home.write("first.py", "print('ready')\n");
    let first = home.run(["--on", "local", "first.py"]).deadline(FIRST_USE_WITHIN).finish();
    assert_eq!(first.expect(0).out(), "ready\n");
    for image in IMAGES {
        home.potluck(["env", "warm", image]).deadline(FIRST_USE_WITHIN).finish().expect(0);
    }
    fs::write(marker, made_by).expect("the marker can be written");
    cache
}
