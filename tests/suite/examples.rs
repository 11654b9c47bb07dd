//! The examples a user can copy: each runs here and on a second node, and what it prints and makes is checked.

use potluck_tests::{Home, Node, example, guest, join, png_size};
use std::fs;
use std::path::Path;

/// One way to run one example.
#[derive(Clone, Copy)]
struct Case<'a> {
    /// Options before the program.
    options: &'a [&'a str],
    program: &'a Path,
    args: &'a [&'a str],
    input: &'a str,
    /// Runs after each run: what was printed, and the directory of what came back.
    check: &'a dyn Fn(&str, &Path),
}

/// Runs the example on the embedded node, then on a second node.
#[track_caller]
fn here_and_there(case: Case<'_>) {
    let (lender_home, home) = (Home::with_python().named("attic"), Home::with_python());
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    for on in ["local", "attic"] {
        let run = home.run(["--on", on, "-o", on]).args(case.options).arg(case.program).args(case.args);
        let finished = run.input(case.input).finish();
        (case.check)(&finished.expect(0).out(), &home.work().join(on));
    }
}

#[test]
pub(crate) fn hello() {
    here_and_there(Case {
        options: &[],
        program: &example("hello.py"),
        args: &["Ada"],
        input: "",
        check: &|out, _| assert_eq!(out, "Hello, Ada! This is Python 3.15 on wasi.\n"),
    });
}

#[test]
pub(crate) fn wordcount() {
    here_and_there(Case {
        options: &[],
        program: &example("wordcount.py"),
        args: &["2"],
        input: "the cat and the hat\nand the bat\n",
        check: &|out, _| assert_eq!(out, "2 lines, 8 words, 5 different\n     3  the\n     2  and\n"),
    });
}

#[test]
pub(crate) fn sales() {
    let table = example("sales/sales.csv");
    let (regions, revenue) = totals(&fs::read_to_string(&table).expect("the table is text"));
    here_and_there(Case {
        options: &["-f", table.to_str().expect("the path is text")],
        program: &example("sales/report.py"),
        args: &[],
        input: "",
        check: &|out, back| {
            assert!(out.contains("orders from") && out.contains("best product:"), "{out}");
            let report = fs::read_to_string(back.join("by_region.csv")).expect("the report came back");
            let mut lines = report.lines();
            assert_eq!(lines.next(), Some("region,orders,units,revenue"));
            let sums: Vec<f64> = lines.filter_map(|line| line.rsplit(',').next()?.parse().ok()).collect();
            assert_eq!(sums.len(), regions, "{report}");
            assert!((sums.iter().sum::<f64>() - revenue).abs() < 0.1, "{report} against {revenue}");
        },
    });
}

/// How many regions the table of sales names and what all sales came to, counted without pandas.
fn totals(table: &str) -> (usize, f64) {
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().expect("a table has a head").split(',').collect();
    let column = |name: &str| head.iter().position(|h| *h == name).unwrap_or_else(|| panic!("no column {name}"));
    let (region, units, price) = (column("region"), column("units"), column("price"));
    let mut regions = std::collections::BTreeSet::new();
    let mut revenue = 0.0;
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        regions.insert(cells[region].to_owned());
        let number = |column: usize| cells[column].parse::<f64>().expect("a number");
        revenue += number(units) * number(price);
    }
    (regions.len(), revenue)
}

#[test]
pub(crate) fn mandelbrot() {
    here_and_there(Case {
        options: &[],
        program: &example("mandelbrot.py"),
        args: &["320", "200"],
        input: "",
        check: &|out, back| {
            assert!(out.starts_with("mandelbrot.png: 320 x 200 pixels, "), "{out}");
            let picture = fs::read(back.join("mandelbrot.png")).expect("the picture came back");
            assert_eq!(png_size(&picture), Ok((320, 200)));
        },
    });
}

#[test]
pub(crate) fn montecarlo() {
    here_and_there(Case {
        options: &[],
        program: &example("montecarlo.py"),
        args: &["200000", "7"],
        input: "",
        check: &|out, _| {
            let estimate = out.split("pi is ").nth(1).and_then(|rest| rest.split(' ').next());
            let estimate: f64 = estimate.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no estimate: {out}"));
            assert!((estimate - std::f64::consts::PI).abs() < 0.03, "{out}");
            assert!(out.starts_with("200000 darts, seed 7: "), "{out}");
        },
    });
}

#[test]
pub(crate) fn rust_tally() {
    for name in ["rust-tally", "rust-tally-component"] {
        let prices = example("rust-tally/prices.txt");
        let orders = fs::read_to_string(example("rust-tally/orders.txt")).expect("the orders are text");
        here_and_there(Case {
            options: &["-f", prices.to_str().expect("the path is text")],
            program: &guest(name),
            args: &["prices.txt"],
            input: &orders,
            check: &|out, back| {
                assert!(!out.is_empty());
                assert_eq!(fs::read_dir(back).expect("something came back").count(), 1);
            },
        });
    }
}

#[test]
pub(crate) fn c_columns() {
    let keep = example("c-columns/keep.txt");
    here_and_there(Case {
        options: &["-f", keep.to_str().expect("the path is text")],
        program: &guest("c-columns"),
        args: &["keep.txt"],
        input: "name,age,city\nann,31,rome\nbob,25,oslo\n",
        check: &|out, back| {
            assert!(!out.is_empty());
            assert_eq!(fs::read_dir(back).expect("something came back").count(), 1);
        },
    });
}
