//! Trees of control groups, laid out as the kernel shows them.

use super::*;
use std::fs;

/// A machine: its mounts as the kernel would tell them, below a directory of the test's own.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn mount(&self, path: &str, kind: &str, options: &str) -> String {
        format!("36 25 0:31 / {} rw,nosuid shared:9 - {kind} {kind} {options}\n", self.dir(path).display())
    }

    /// A group of version 2.
    fn second(&self, path: &str, offered: &str, given: &str, members: &str) {
        let dir = self.dir(path);
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in [(CONTROLLERS, offered), (FOR_CHILDREN, given), (super::super::MEMBERS, members)] {
            fs::write(dir.join(file), text).unwrap();
        }
    }
}

const BOTH: &str = "cpu memory pids\n";

#[test]
fn in_version_1_each_controller_has_its_tree() {
    let machine = Machine::new();
    let mounts = machine.mount("memory", "cgroup", "rw,memory") + &machine.mount("pids", "cgroup", "rw,cpu,pids");
    let groups = "9:name=systemd:/\n8:cpu,pids:/\n4:memory:/box/1\n0::/\n";
    fs::create_dir_all(machine.dir("memory/box/1")).unwrap();
    assert_eq!(in_first(&mounts, groups), None);
    fs::create_dir_all(machine.dir("pids")).unwrap();
    let places = in_first(&mounts, groups).unwrap();
    let dirs: Vec<_> = places.iter().map(|place| place.dir.clone()).collect();
    assert_eq!(dirs, [machine.dir("memory/box/1"), machine.dir("pids")]);
    assert_eq!(places[1].controllers, [Controller::Threads("pids.max")]);
}

#[test]
fn in_version_2_the_nearest_group_that_gives_controllers_is_taken() {
    let machine = Machine::new();
    let mounts = machine.mount("g", "cgroup2", "rw,nsdelegate");
    machine.second("g", BOTH, BOTH, "");
    machine.second("g/user", BOTH, BOTH, "");
    machine.second("g/user/app", BOTH, BOTH, "");
    machine.second("g/user/app/terminal", BOTH, "", "1\n2\n");
    let place = in_second(&mounts, "0::/user/app/terminal\n").unwrap();
    assert_eq!(place.dir, machine.dir("g/user/app"));
    assert_eq!(place.controllers, [Controller::Memory("memory.max"), Controller::Threads("pids.max")]);
}

#[test]
fn a_group_that_only_counts_some_of_it_is_none() {
    let machine = Machine::new();
    let mounts = machine.mount("g", "cgroup2", "rw");
    machine.second("g", "hugetlb\n", "hugetlb\n", "1\n");
    assert_eq!(in_second(&mounts, "0::/\n"), None);
    machine.second("g", "memory\n", "memory\n", "1\n");
    assert_eq!(in_second(&mounts, "0::/\n"), None);
}

#[test]
fn a_service_that_is_alone_in_its_group_makes_room_beside_itself() {
    let machine = Machine::new();
    let mounts = machine.mount("g", "cgroup2", "rw");
    machine.second("g", "", "", "");
    machine.second("g/shared", BOTH, "", "1\n2\n");
    assert_eq!(in_second(&mounts, "0::/shared\n"), None);
    machine.second("g/service", BOTH, "", &format!("{}\n", std::process::id()));
    // The kernel makes a group's files with it; here the one that is written to must be there before.
    let leaf = machine.dir("g/service").join(OWN_LEAF);
    assert_eq!(in_second(&mounts, "0::/service\n").unwrap().dir, machine.dir("g/service"));
    assert_eq!(fs::read_to_string(leaf.join(super::super::MEMBERS)).unwrap(), "0");
    assert_eq!(fs::read_to_string(machine.dir("g/service").join(FOR_CHILDREN)).unwrap(), "+memory +pids");
}

#[test]
fn only_what_is_mounted_is_a_place() {
    let line = "36 25 0:31 /box /sys/fs/cgroup rw shared:9 master:1 - cgroup2 cgroup2 rw\n";
    let mount = Mount::parse(line).unwrap();
    assert_eq!(mount.dir_of("/box/a"), Some("/sys/fs/cgroup/a".into()));
    assert_eq!(mount.dir_of("/box"), Some("/sys/fs/cgroup".into()));
    assert_eq!(mount.dir_of("/other"), None);
    assert_eq!(Mount { root: "/", ..mount }.dir_of("/../host"), None);
    assert_eq!(Mount::parse("36 25 0:31 / /home rw - ext4 /dev/sda rw"), None);
    assert_eq!(Mount::parse("36 25 0:31 / /a\\040b rw - cgroup2 x rw"), None);
    assert_eq!(Mount::parse(""), None);
}
