//! The examples a user can copy: each runs here and on a second node, and what comes back is compared with what lies in
//! `examples/expected`.

use potluck_tests::{Home, Node, example, guest, join, png_size};
use std::fs;
use std::path::PathBuf;

/// One way to run one example, as its own first lines tell it.
struct Case {
    /// The files it is given.
    inputs: &'static [&'static str],
    program: PathBuf,
    args: &'static [&'static str],
    /// What stdin holds: a file of `examples/`.
    stdin: Option<&'static str>,
    /// What lies in `examples/expected` as `NAME.stdout.txt`.
    name: &'static str,
    /// A file that comes back, and the expected one it is equal to.
    output: Option<(&'static str, &'static str)>,
}

fn expected(name: &str) -> String {
    fs::read_to_string(example("expected").join(name)).expect("what is expected is text")
}

/// Runs the example on the embedded node, then on a second node. The home is returned with what came back in `local`
/// and `attic`.
#[track_caller]
fn here_and_there(case: &Case) -> Home {
    let lender_home = Home::with_python().named("attic");
    let home = Home::with_python();
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    let input = case.stdin.map(|name| fs::read(example(name)).expect("the input is there")).unwrap_or_default();
    for on in ["local", "attic"] {
        let mut run = home.run(["--on", on, "-o", on]);
        for file in case.inputs {
            run = run.arg("-f").arg(example(file));
        }
        let finished = run.arg(&case.program).args(case.args).input(input.clone()).finish();
        assert_eq!(finished.expect(0).out(), expected(&format!("{}.stdout.txt", case.name)), "on {on}");
        if let Some((came_back, as_expected)) = case.output {
            let back = fs::read_to_string(home.work().join(on).join(came_back)).expect("the file came back");
            assert_eq!(back, expected(as_expected), "on {on}");
        }
    }
    home
}

#[test]
pub(crate) fn hello() {
    let program = example("hello.py");
    here_and_there(&Case { inputs: &[], program, args: &["Ada"], stdin: None, name: "hello", output: None });
}

#[test]
pub(crate) fn hello_in_other_languages() {
    for (file, name) in [("hello.lua", "hello-lua"), ("hello.js", "hello-js")] {
        here_and_there(&Case { inputs: &[], program: example(file), args: &["Ada"], stdin: None, name, output: None });
    }
}

#[test]
pub(crate) fn wordcount() {
    let program = example("wordcount.py");
    let stdin = Some("wordcount.txt");
    here_and_there(&Case { inputs: &[], program, args: &["5"], stdin, name: "wordcount", output: None });
}

#[test]
pub(crate) fn sales() {
    here_and_there(&Case {
        inputs: &["sales/sales.csv"],
        program: example("sales/report.py"),
        args: &[],
        stdin: None,
        name: "report",
        output: Some(("by_region.csv", "report.by_region.csv")),
    });
}

#[test]
pub(crate) fn mandelbrot() {
    let program = example("mandelbrot.py");
    let home = here_and_there(&Case { inputs: &[], program, args: &[], stdin: None, name: "mandelbrot", output: None });
    for on in ["local", "attic"] {
        let picture = fs::read(home.work().join(on).join("mandelbrot.png")).expect("the picture came back");
        assert_eq!(png_size(&picture), Ok((480, 360)), "on {on}");
    }
}

#[test]
pub(crate) fn montecarlo() {
    let program = example("montecarlo.py");
    here_and_there(&Case { inputs: &[], program, args: &[], stdin: None, name: "montecarlo", output: None });
}

#[test]
pub(crate) fn rust_tally() {
    for program in ["rust-tally", "rust-tally-component"] {
        here_and_there(&Case {
            inputs: &["rust-tally/prices.txt"],
            program: guest(program),
            args: &["prices.txt", "receipt.txt"],
            stdin: Some("rust-tally/orders.txt"),
            name: "rust-tally",
            output: Some(("receipt.txt", "rust-tally.receipt.txt")),
        });
    }
}

#[test]
fn an_exit_code_of_the_rust_example_is_passed_on() {
    let home = Home::new();
    let run = home.run(["-f"]).arg(example("rust-tally/prices.txt")).arg(guest("rust-tally"));
    run.args(["prices.txt", "receipt.txt"]).input("1 unicorn\n").finish().expect(3).says(&["no price for unicorn"]);
}

#[test]
pub(crate) fn c_columns() {
    here_and_there(&Case {
        inputs: &["c-columns/keep.txt"],
        program: guest("c-columns"),
        args: &["keep.txt", "table.txt"],
        stdin: Some("sales/sales.csv"),
        name: "c-columns",
        output: Some(("table.txt", "c-columns.table.txt")),
    });
}

#[test]
pub(crate) fn primes() {
    let program = example("primes.py");
    here_and_there(&Case { inputs: &[], program, args: &[], stdin: None, name: "primes", output: None });
}

#[test]
pub(crate) fn rust_primes() {
    for program in ["rust-primes", "rust-primes-component"] {
        let program = guest(program);
        here_and_there(&Case { inputs: &[], program, args: &[], stdin: None, name: "rust-primes", output: None });
    }
}

#[test]
pub(crate) fn go_primes() {
    let program = guest("go-primes");
    here_and_there(&Case { inputs: &[], program, args: &["1000000"], stdin: None, name: "primes", output: None });
}

#[test]
pub(crate) fn assemblyscript_primes() {
    let program = guest("assemblyscript-primes");
    here_and_there(&Case { inputs: &[], program, args: &["1000000"], stdin: None, name: "primes", output: None });
}

#[test]
pub(crate) fn c_primes() {
    let program = guest("c-primes");
    here_and_there(&Case { inputs: &[], program, args: &["1000000"], stdin: None, name: "c-primes", output: None });
}
