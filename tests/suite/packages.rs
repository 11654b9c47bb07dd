//! A package that is not in the environment is named before the job is sent; an import that need not succeed is none
//! of that.

use potluck_tests::{Home, Node, join, write_script};

#[test]
fn a_missing_package_is_named_with_what_is_there() {
    let home = Home::with_python();
    let script = write_script(&home, "script.py", &["print('started')", "import requests"]);
    let finished = home.run([&script]).finish();
    finished.expect(126).says(&["requests", "numpy", "pandas"]);
    assert_eq!(finished.out(), "", "the script was not started");
}

#[test]
fn every_form_of_import_is_looked_at() {
    let home = Home::with_python();
    for line in ["from torch.nn import Linear", "import os, torch as t", "import torch.nn.functional as F"] {
        let script = write_script(&home, "script.py", &[line]);
        home.run([&script]).finish().expect(126).says(&["torch"]);
    }
}

#[test]
fn an_import_that_may_fail_may_fail() {
    let home = Home::with_python();
    let lines = [
        "from typing import TYPE_CHECKING",
        "if TYPE_CHECKING:",
        "    import pydantic",
        "try:",
        "    import requests",
        "except ImportError:",
        "    requests = None",
        "text = '''",
        "import torch",
        "'''",
        "# import torch",
        "print(requests)",
    ];
    let script = write_script(&home, "script.py", &lines);
    assert_eq!(home.run([&script]).finish().expect(0).out(), "None\n");
}

#[test]
fn a_missing_package_of_a_neighbour_is_found_as_well_or_fails_as_in_python() {
    let home = Home::with_python();
    home.write("helper.py", "import requests\n");
    home.write("script.py", "import helper\n");
    let finished = home.run(["-f", "helper.py", "script.py"]).finish();
    assert!(matches!(finished.code(), 126 | 1), "{finished}");
    finished.says(&["requests"]);
}

#[test]
fn a_missing_package_is_noticed_here_and_not_by_the_peer() {
    let lender_home = Home::new().named("lender");
    let lender = Node::start(&lender_home);
    let home = Home::with_python();
    join(&lender, &home);
    lender.die();
    let script = write_script(&home, "script.py", &["import requests"]);
    // The peer is gone; the answer is about the package all the same.
    home.run(["--on", "lender", &script]).finish().expect(126).says(&["requests"]);
}

#[test]
fn standard_library_modules_that_cannot_work_explain_themselves() {
    let home = Home::with_python();
    let script = write_script(&home, "script.py", &["import tkinter"]);
    let finished = home.run([&script]).finish();
    assert!(matches!(finished.code(), 126 | 1), "{finished}");
    finished.says(&["tkinter"]);
}
