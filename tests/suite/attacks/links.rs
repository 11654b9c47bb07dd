//! Guests that make links, and move what links lead through, to get out of their directory or to have somebody else follow
//! them out.

use super::arena::{Arena, attack_python};
use super::guest::guest;
use std::fs;
use std::path::Path;

/// Runs a script whose outputs are asked for, beside a secret that it wants.
#[track_caller]
fn leak(script: &str) -> Arena {
    let arena = Arena::with_python();
    let secret = arena.home.write("secret.txt", "s3cret");
    arena.home.write("attack.py", script.replace("SECRET", secret.to_str().expect("the path is text")));
    let attacked = arena.attack(&["-o", "out", "attack.py"]);
    attacked.exited(0);
    assert!(!attacked.finished.out().contains("s3cret"), "{}", attacked.finished);
    assert_no_secret(&arena.home.work().join("out"));
    arena
}

fn assert_no_secret(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).expect("it was just listed");
        assert!(!metadata.is_symlink(), "{} is a link", path.display());
        if metadata.is_dir() {
            assert_no_secret(&path);
        } else {
            let text = fs::read(&path).expect("it came back");
            assert!(!text.windows(6).any(|window| window == b"s3cret"), "{} holds the secret", path.display());
        }
    }
}

/// Does all of these, each of which must fail, and prints which did not.
fn all_fail(attempts: &[&str]) -> String {
    let attempts: String = attempts.iter().map(|attempt| format!("    lambda: {attempt},\n")).collect();
    format!(
        "import os\nfor n, attempt in enumerate([\n{attempts}]):\n    try: got = attempt()\n    \
         except (OSError, ValueError): continue\n    print('attempt', n, 'worked:', got)\n    raise SystemExit(9)\n"
    )
}

#[test]
fn a_link_out_of_the_directory_is_not_made_or_not_followed() {
    let script = r"
import os
for n, to in enumerate(['SECRET', '/', '/etc/passwd', '../..', '../secret.txt']):
    try:
        os.symlink(to, f'link{n}')
    except OSError:
        continue
    for name in (f'link{n}', f'link{n}/etc/passwd', f'link{n}/secret.txt'):
        try:
            print(open(name).read())
        except OSError:
            continue
        raise SystemExit(9)
";
    leak(script);
}

#[test]
fn outputs_that_are_links_stay_behind() {
    let arena =
        leak("import os\nopen('mine', 'w').write('mine')\nos.symlink('mine', 'soft')\nos.link('mine', 'hard')\n");
    // A file of two names is left behind with both: which of them is somebody else's cannot be told.
    assert!(!arena.home.work().join("out/soft").exists() && !arena.home.work().join("out/hard").exists());
}

#[test]
fn a_directory_that_moves_up_takes_nobody_out() {
    // What is reached from a directory by `..` is looked at again after the directory has moved.
    let script = r"
import os
os.makedirs('a/b/c')
fd = os.open('a/b/c', os.O_RDONLY)
os.rename('a/b/c', 'c')
for path in ('..', '../..', '../../..', '../../../etc/passwd', '../../../../../../etc/passwd', '../secret.txt'):
    try:
        os.open(path, os.O_RDONLY, dir_fd=fd)
    except OSError:
        continue
    raise SystemExit(9)
";
    leak(script);
}

#[test]
fn a_link_put_in_the_place_of_a_directory_takes_nobody_out() {
    let script = r"
import os
os.makedirs('real/sub')
open('real/sub/file', 'w').write('x')
for round in range(200):
    os.rename('real', 'kept')
    try:
        os.symlink('../../../../../../..', 'real')
    except OSError:
        pass
    for path in ('real/etc/passwd', 'real/sub/../../etc/passwd', 'real/proc/self/environ'):
        try:
            open(path)
        except OSError:
            continue
        raise SystemExit(9)
    try:
        os.unlink('real')
    except OSError:
        pass
    os.rename('kept', 'real')
";
    leak(script);
}

#[test]
fn renaming_a_link_does_not_make_it_lead_elsewhere() {
    // A link that leads to a place inside leads outside once it lies higher.
    let script = r"
import os
os.makedirs('a/b/c/d')
os.symlink('../../..', 'a/b/c/up')
os.rename('a/b/c/up', 'up')
for path in ('up', 'up/etc/passwd', 'up/..', 'up/scratch'):
    for attempt in (
        lambda: os.listdir(path),
        lambda: open(path).read(),
        lambda: os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=os.open(path, os.O_RDONLY)),
    ):
        try:
            print(attempt())
        except OSError:
            continue
        raise SystemExit(9)
";
    leak(script);
}

#[test]
fn a_hard_link_to_what_lies_outside_is_not_made() {
    let script = all_fail(&[
        "os.link('SECRET', 'leak')",
        "os.link('../secret.txt', 'leak')",
        "os.link('/etc/passwd', 'leak')",
        "os.link('/proc/self/environ', 'leak')",
        "os.link('/usr/local/lib/python315.zip', 'leak')",
    ]);
    leak(&script);
}

#[test]
fn links_in_a_circle_end_in_an_error() {
    let script = r"
import os
os.symlink('b', 'a')
os.symlink('a', 'b')
os.symlink('self/self', 'self')
for path in ('a', 'b/x', 'self', 'self/self/self'):
    try:
        open(path)
    except OSError:
        continue
    raise SystemExit(9)
";
    leak(script);
}

#[test]
fn an_input_that_was_replaced_by_a_link_is_not_followed_on_the_way_back() {
    let arena = Arena::with_python();
    arena.home.write("secret.txt", "s3cret");
    arena.home.write("given/in.txt", "mine");
    let script = "import os, shutil\nos.unlink('given/in.txt')\nos.rmdir('given')\n\
        os.mkdir('other')\nopen('other/in.txt', 'w').write('other')\nos.symlink('other', 'given')\n";
    arena.home.write("attack.py", script);
    let attacked = arena.attack(&["-f", "given", "-o", "out", "attack.py"]);
    attacked.exited(0);
    attacked.finished.says(&["given", "symbolic link"]);
    assert!(!arena.home.work().join("out/given").exists());
    assert_eq!(fs::read_to_string(arena.home.work().join("given/in.txt")).expect("it is still there"), "mine");
}

#[test]
fn the_inputs_of_the_submitter_are_not_changed_through_copies() {
    let arena = Arena::with_python();
    let given = arena.home.write("in.txt", "mine");
    let script =
        "import os\nos.truncate('in.txt', 0)\nopen('in.txt', 'w').write('changed')\nos.utime('in.txt', (0, 0))\n";
    arena.home.write("attack.py", script);
    arena.attack(&["-f", "in.txt", "attack.py"]).exited(0);
    assert_eq!(fs::read_to_string(given).expect("it is still there"), "mine");
}

#[test]
fn the_text_of_a_link_may_be_long_and_leads_nowhere() {
    let target = "../".repeat(1000);
    let texts = [(1024, target.as_str()), (8192, "l"), (8200, "l/etc/passwd")];
    let body =
        "(drop (call $path_symlink (i32.const 1024) (i32.const 3000) (i32.const 3) (i32.const 8192) (i32.const 1)))
        (call $deny (call $try_open (i32.const 3) (i32.const 8192) (i32.const 1) (i32.const 0)) (i32.const 1))
        (call $deny (call $try_open (i32.const 3) (i32.const 8200) (i32.const 12) (i32.const 0)) (i32.const 2))
        (call $deny (call $try_open (i32.const 3) (i32.const 8200) (i32.const 12) (i32.const 1)) (i32.const 3))";
    super::arena::attack(&guest(1, &texts, body), &[]).exited(0);
}

#[test]
fn what_is_left_in_a_directory_of_odd_names_is_removed() {
    // The arena looks whether it is.
    let script = "import os\nfor name in ('-rf', '--help', '*', '$HOME', ' ', '~', 'a\\nb', 'ü' * 100):\n    os.mkdir(name)\n    \
        open(name + '/' + name, 'w').close()\n";
    attack_python(script, &[]).exited(0);
}
