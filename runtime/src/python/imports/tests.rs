use super::*;
use std::collections::BTreeMap;

fn check(files: &[(&str, &str)]) -> Vec<String> {
    let texts: BTreeMap<GuestPath, String> =
        files.iter().map(|(name, text)| (GuestPath::parse(name).unwrap(), (*text).to_owned())).collect();
    let all: Vec<GuestPath> = texts.keys().cloned().collect();
    let entry = GuestPath::parse(files[0].0).unwrap();
    script_imports(&entry, &all, &|path| texts.get(path).cloned())
        .missing
        .into_iter()
        .map(|missing| format!("{}:{} {}", missing.file, missing.line, missing.module))
        .collect()
}

fn missing(source: &str) -> Vec<String> {
    check(&[("a.py", source)]).into_iter().map(|found| found["a.py:".len()..].to_owned()).collect()
}

#[test]
fn imports_every_run_reaches_are_found() {
    let cases = [
        ("import requests", "1 requests"),
        ("import os, requests as r, sys", "1 requests"),
        ("import os; import requests.sessions", "1 requests"),
        ("from requests.auth import (\n    x,\n    y)", "1 requests"),
        ("'''import no'''\n# import no\nx = f'{d['import no']}'\nimport requests # yes", "4 requests"),
        ("class A:\n    import requests", "2 requests"),
        ("with open(\"x\") as f:\n    import requests", "2 requests"),
        ("if __name__ == '__main__':\n    import requests", "2 requests"),
        ("try:\n    import requests\nfinally:\n    pass", "2 requests"),
        ("try:\n    import requests\nexcept ValueError:\n    pass", "2 requests"),
        ("try:\n    pass\nexcept ImportError:\n    pass\nimport requests", "5 requests"),
        ("try:\n    import a1\nexcept ImportError:\n    a1 = None\nelse:\n    x = 1\nimport requests", "7 requests"),
        ("def f():\n    import no\nimport requests", "3 requests"),
        ("import \\\n  requests", "1 requests"),
    ];
    for (source, expected) in cases {
        assert_eq!(missing(source), [expected], "{source}");
    }
}

#[test]
fn imports_that_may_not_matter_are_not_refused() {
    for source in [
        "try:\n    import no\nexcept ImportError:\n    no = None",
        "try:\n    import no\nexcept (ValueError, ModuleNotFoundError) as e:\n    no = None",
        "try:\n    import no\nexcept:\n    no = None",
        "try:\n    import no\nexcept ValueError:\n    pass\nexcept ImportError:\n    pass",
        "try: import no\nexcept Exception: pass",
        "try:\n    import no\nexcept ImportError:\n    import nope",
        "def f():\n    import no",
        "async def f():\n    import no",
        "if TYPE_CHECKING:\n    import no",
        "if sys.platform == \"win32\":\n    import winreg\nelse:\n    import no",
        "for x in y:\n    import no",
        "with contextlib.suppress(ImportError):\n    import no",
        "lazy import no",
        "from . import no",
        "from .no import x",
        "import sys\nsys.path.insert(0, \"vendor\")\nimport no",
        "import socket, ssl, threading, subprocess, multiprocessing, asyncio, ctypes",
        "import numpy as np, pandas, scipy.stats, sklearn.cluster, matplotlib.pyplot, PIL.Image, yaml, bs4, dateutil",
        "from __future__ import annotations\nimport sys, os.path, _thread, zlib, tomllib",
        "import",
        "from x",
        "important = 1",
        "importlib.import_module('no')",
    ] {
        assert!(missing(source).is_empty(), "{source}");
    }
}

#[test]
fn files_sent_along_are_found_and_followed() {
    assert!(check(&[("a.py", "import helper, pkg.sub"), ("helper.py", ""), ("pkg/sub.py", "")]).is_empty());
    assert_eq!(
        check(&[("a.py", "import helper"), ("helper.py", "\nimport pkg.sub"), ("pkg/__init__.py", "import requests")]),
        ["pkg/__init__.py:1 requests"]
    );
    assert_eq!(check(&[("a.py", "import b"), ("b.py", "import a, c, no"), ("c.py", "import b")]), ["b.py:1 no"]);
    assert_eq!(check(&[("tool/__main__.py", "import helper, no"), ("tool/helper.py", "")]), ["tool/__main__.py:1 no"]);
    assert!(check(&[("a.py", "import deep"), ("lib/deep/x.py", "")]).is_empty());
    assert!(check(&[("a.py", "x"), ("never_imported.py", "import no")]).is_empty());
}

#[test]
fn the_message_names_place_help_and_what_is_there() {
    let says = |module: &str| {
        let missing = MissingPackage { module: module.to_owned(), file: "a.py".to_owned(), line: 7 };
        missing.to_string()
    };
    assert!(says("requests").starts_with("a.py:7 imports \"requests\""));
    assert!(says("requests").contains("no network") && says("requests").contains("pandas"));
    assert!(says("cv2").contains("PIL"));
    assert!(says("pandsa").contains("did you mean \"pandas\"?"));
    assert!(says("Pillow").contains("imported as \"PIL\""));
    assert!(says("tkinter").contains("screen"));
    assert!(says("entirely_other").contains("--with"));
}

#[test]
fn the_tables_are_sorted() {
    assert!(MODULES.is_sorted() && ABSENT_STANDARD.is_sorted());
    assert!(PACKAGES.is_sorted_by_key(|package| package.import));
    for package in PACKAGES {
        assert!(is_there(package.import), "{}", package.import);
    }
}

/// Compares the tables with the real archive when `POTLUCK_TEST_STDLIB` names it.
#[test]
fn the_tables_hold_every_module_of_the_archive() {
    let Ok(path) = std::env::var("POTLUCK_TEST_STDLIB") else { return };
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    for index in 0..archive.len() {
        let name = String::from_utf8(archive.by_index(index).unwrap().name_raw().to_vec()).unwrap();
        let top = name.split('/').next().unwrap().split('.').next().unwrap();
        let internal = ["host", "isympy", "reportlab_mods", "reportlab_settings"].contains(&top);
        if name.ends_with(".pyc") && !name.contains(".dist-info/") && !internal {
            assert!(is_there(top), "{name} is not in the table");
        }
    }
}

#[test]
fn only_what_can_be_imported_takes_a_modules_place() {
    let takes = |path: &str| takes_a_modules_place(&[GuestPath::parse(path).unwrap()]);
    for path in ["random.py", "tool/json.py", "numpy/__init__.py", "lib/csv/__init__.py", "random.pyc"] {
        assert!(takes(path), "{path}");
    }
    for path in
        ["report.py", "statistics.csv", "test/data.txt", "csv/sales.csv", "json", "random.py.txt", "mine/__init__.py"]
    {
        assert!(!takes(path), "{path}");
    }
}
