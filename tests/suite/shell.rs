//! `potluck shell`, from a pipe and with somebody at a terminal.

use crate::sessions::{listed, said};
use potluck_tests::{Home, Node, Terminal, until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
/// How a terminal brackets what is pasted.
const PASTE: [&str; 2] = ["\x1b[200~", "\x1b[201~"];
/// Prints `on`, and never ends.
const FOREVER: &str = "print('o' + 'n'); all(x == 0 for x in iter(int, 1))";
const FIRST: &str = ">>> ";
const FURTHER: &str = "... ";

/// Types a line at a prompt.
#[track_caller]
fn enter(shell: &mut Terminal, prompt: &str, line: &str) {
    shell.shows(prompt);
    shell.types(&format!("{line}\r"));
}

#[test]
fn a_pipe_is_one_turn_and_the_exit_code_is_pythons() {
    let home = Home::with_python();
    let shell = |input: &str| home.potluck(["shell"]).input(input).finish();
    assert_eq!(shell("def f(x):\n    return x + 1\n\nf(41)\n").expect(0).out(), "42\n");
    shell("print('before')\n1 / 0\nprint('after')").expect(1).says(&["ZeroDivisionError"]);
    shell("import sys\nsys.exit(3)").expect(3);
    shell("exit(4)").expect(4);
    shell("input()").expect(1).says(&["EOFError"]);
    shell("def").expect(1).says(&["SyntaxError"]);
    shell("").expect(0);
    let options = ["shell", "--fuel", "1G", "--image", "none", "-e", "A=b", "-f", "data.txt"];
    home.write("data.txt", "words");
    let ended = home.potluck(options).input("import os\nos.environ['A'], open('data.txt').read()").finish();
    assert_eq!(ended.expect(0).out(), "('b', 'words')\n");
    home.potluck(options).input("while True: pass").finish().expect(137).says(&["fuel limit", "--fuel"]);
}

#[test]
fn a_person_types_lines_blocks_and_answers() {
    let home = Home::with_python();
    let mut shell = home.potluck(["shell"]).start_in_terminal();
    shell.shows("python on this machine");
    enter(&mut shell, FIRST, "1+1");
    shell.shows("2\r\n");
    enter(&mut shell, FIRST, "for i in range(2):");
    enter(&mut shell, FURTHER, "    print('row', i)");
    enter(&mut shell, FURTHER, "");
    shell.shows("row 0\r\nrow 1\r\n");
    enter(&mut shell, FIRST, "print('open', end='')");
    shell.shows("open\r\n");
    enter(&mut shell, FIRST, "name = input('wh' + 'o? ')");
    shell.shows("who? ");
    shell.types("Ada\r");
    enter(&mut shell, FIRST, "name * 2");
    shell.shows("'AdaAda'");
    enter(&mut shell, FIRST, "input('mo' + 're? ')");
    shell.shows("more? ");
    shell.types(CTRL_D);
    shell.shows("EOFError");
    shell.shows(FIRST);
    shell.types(&format!("{}def f():\n    return 6\n\nx = f() * 7{}\r", PASTE[0], PASTE[1]));
    enter(&mut shell, FIRST, "x");
    shell.shows("42\r\n");
    enter(&mut shell, FIRST, "exit(3)");
    shell.finish().expect(3);
    let history = home.config().join("data/python_history");
    let text = fs::read_to_string(&history).expect("there is a history");
    assert!(text.contains("1+1") && text.contains("row"), "{text}");
    assert_eq!(fs::metadata(&history).expect("there is a history").permissions().mode() & 0o777, 0o600);
}

#[test]
fn ctrl_c_clears_the_line_or_interrupts_the_turn() {
    let home = Home::with_python();
    let mut shell = home.potluck(["shell", "--timeout", "30s"]).start_in_terminal();
    shell.shows(FIRST);
    shell.types("1 / 0");
    shell.shows("1 / 0");
    shell.types(CTRL_C);
    enter(&mut shell, FIRST, &format!("x = 1; {FOREVER}"));
    shell.shows("on\r\n");
    shell.types(CTRL_C);
    shell.shows("KeyboardInterrupt");
    enter(&mut shell, FIRST, "input('w' + 'ait')");
    shell.shows("wait");
    shell.types(CTRL_C);
    shell.shows("KeyboardInterrupt");
    enter(&mut shell, FIRST, "x + 1");
    shell.shows("2\r\n");
    // As a long calculation of a library, which looks for no interrupt.
    let deaf = "x = 5; import signal; _ = signal.signal(signal.SIGINT, signal.SIG_IGN)";
    enter(&mut shell, FIRST, &format!("{deaf}; {FOREVER}"));
    shell.shows("on\r\n");
    shell.types(CTRL_C);
    shell.shows("undone");
    enter(&mut shell, FIRST, "x + 2");
    shell.shows("3\r\n");
    shell.shows(FIRST);
    shell.types(CTRL_D);
    shell.finish().expect(0);
}

#[test]
fn a_shell_that_is_kept_is_come_back_to() {
    let home = Home::with_python();
    let node = Node::start(&home);
    let mut shell = home.potluck(["shell", "--name", "work"]).start_in_terminal();
    enter(&mut shell, FIRST, "x = 21");
    shell.shows(FIRST);
    shell.types(CTRL_D);
    shell.shows("potluck session attach work");
    shell.finish().expect(0);
    let attached = home.potluck(["session", "attach", "work"]).input("x * 2").finish();
    assert_eq!(attached.expect(0).says(&["goes on", "session attach work"]).out(), "42\n");
    assert_eq!(said(&home, "work", "x"), "21\n");
    home.potluck(["shell", "--keep"]).input("y = 1").finish().expect(0).says(&["session attach"]);
    home.potluck(["shell"]).input("y = 1").finish().expect(0);
    assert_eq!(listed(&home).len(), 2);
    let mut shell = home.potluck(["session", "attach", "work"]).start_in_terminal();
    enter(&mut shell, FIRST, "exit()");
    shell.finish().expect(0);
    assert_eq!(listed(&home).len(), 1);
    drop(node);
}

#[test]
fn a_shell_that_is_told_to_end_takes_its_session_along_and_gives_the_terminal_back() {
    let home = Home::with_python();
    let node = Node::start(&home);
    for at_prompt in [true, false] {
        let mut shell = home.potluck(["shell"]).start_in_terminal();
        let modes = shell.modes();
        shell.shows(FIRST);
        if !at_prompt {
            shell.types(&format!("{FOREVER}\r"));
            shell.shows("on\r\n");
        }
        assert_eq!(listed(&home).len(), 1);
        shell.process().signal(Signal::TERM);
        until("the shell has ended", || (!shell.process().is_running()).then_some(()));
        assert_eq!(shell.modes(), modes, "at the prompt: {at_prompt}");
        shell.finish().expect(130);
        assert!(listed(&home).is_empty());
    }
    drop(node);
}

#[test]
fn a_shell_whose_node_is_lost_says_how_to_go_on() {
    let home = Home::with_python();
    let node = Node::start(&home);
    let mut shell = home.potluck(["shell", "--name", "work"]).start_in_terminal();
    enter(&mut shell, FIRST, "x = 1");
    enter(&mut shell, FIRST, FOREVER);
    shell.shows("on\r\n");
    node.down();
    shell.shows("potluck session attach work");
    shell.finish().expect(125);
    let node = Node::start(&home);
    assert_eq!(said(&home, "work", "x"), "1\n");
    home.potluck(["session", "stop", "work"]).finish().expect(0);
    drop(node);
}
