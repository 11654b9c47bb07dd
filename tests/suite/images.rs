//! Memory images: a script started from one does what it does without, only sooner.

use crate::sight::until_no_run_is_left;
use potluck_tests::{Finished, Home, Node, compiled_code, pair, shared_cache, until, write_script};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// Scripts with the arguments, the input and the options they are run with. What they print is the same in every run.
struct Case {
    name: &'static str,
    options: &'static [&'static str],
    args: &'static [&'static str],
    input: &'static str,
    lines: &'static [&'static str],
}

const PLAIN: Case = Case { name: "", options: &[], args: &[], input: "", lines: &[] };

const CASES: &[Case] = &[
    Case { name: "nothing", ..PLAIN },
    Case { name: "prints", lines: &["print('a', 1, 2.5)", "print('b', end='')"], ..PLAIN },
    Case {
        name: "argv",
        args: &["x", "y z", "é", "--on", "'\"\\"],
        lines: &["import sys", "print(sys.argv, sys.orig_argv)"],
        ..PLAIN
    },
    Case {
        name: "main",
        lines: &["print(__name__, __file__, __package__, __spec__, __doc__, sorted(globals()))"],
        ..PLAIN
    },
    Case {
        name: "environ",
        options: &["-e", "A=b c", "-e", "HOME=/elsewhere"],
        lines: &["import os", "print(sorted(os.environ.items()))"],
        ..PLAIN
    },
    Case {
        name: "getenv",
        options: &["-e", "COLUMNS=33"],
        lines: &["import os, shutil", "print(os.getenv('COLUMNS'), shutil.get_terminal_size())"],
        ..PLAIN
    },
    Case {
        name: "cwd",
        lines: &["import os", "print(os.getcwd(), sorted(os.listdir('.')), os.path.abspath('x'))"],
        ..PLAIN
    },
    Case {
        name: "sys_path",
        lines: &["import sys", "print(sys.path, sys.flags, sys.prefix, sys.executable)"],
        ..PLAIN
    },
    Case { name: "stdin", input: "one\ntwo\n", lines: &["import sys", "print([line for line in sys.stdin])"], ..PLAIN },
    Case { name: "input", input: "Ada\n", lines: &["print('hello', input('who? '))", "input()"], ..PLAIN },
    Case { name: "exit_number", lines: &["import sys", "print('before')", "sys.exit(3)"], ..PLAIN },
    Case { name: "exit_text", lines: &["import sys", "sys.exit('no good')"], ..PLAIN },
    Case { name: "exit_none", lines: &["exit()"], ..PLAIN },
    Case { name: "exit_large", lines: &["import sys", "sys.exit(200)"], ..PLAIN },
    Case { name: "exit_at_once", lines: &["import os", "print('lost?', flush=True)", "os._exit(4)"], ..PLAIN },
    Case { name: "raises", lines: &["def f(x):", "    return 1 / x", "f(0)"], ..PLAIN },
    Case {
        name: "raises_chained",
        lines: &["try:", "    {}['a']", "except KeyError as e:", "    raise ValueError('bad') from e"],
        ..PLAIN
    },
    Case { name: "syntax_error", lines: &["x = 1", "def f(:"], ..PLAIN },
    Case { name: "missing_at_run_time", lines: &["__import__('no_such_module')"], ..PLAIN },
    Case {
        name: "atexit",
        lines: &["import atexit", "atexit.register(print, 'at the end')", "print('first')"],
        ..PLAIN
    },
    Case {
        name: "destructors",
        lines: &["class A:", "    def __del__(self): print('gone')", "a = A()", "print('here')"],
        ..PLAIN
    },
    Case {
        name: "excepthook",
        lines: &["import sys", "sys.excepthook = lambda *a: print('hook', a[0].__name__)", "raise KeyError"],
        ..PLAIN
    },
    Case { name: "threads", lines: &["import threading", "threading.Thread(target=print).start()"], ..PLAIN },
    Case { name: "processes", lines: &["import subprocess", "subprocess.run(['ls'])"], ..PLAIN },
    Case { name: "sockets", lines: &["import socket", "socket.create_connection(('127.0.0.1', 1))"], ..PLAIN },
    Case {
        name: "asyncio",
        lines: &[
            "import asyncio",
            "async def f():",
            "    await asyncio.sleep(0.01)",
            "    return 5",
            "print(asyncio.run(f()))",
        ],
        ..PLAIN
    },
    Case {
        name: "files",
        lines: &[
            "open('a.txt', 'w').write('hi')",
            "print(open('a.txt').read())",
            "import os",
            "print(os.listdir('/'))",
        ],
        ..PLAIN
    },
    Case {
        name: "tempfile",
        lines: &[
            "import tempfile",
            "with tempfile.NamedTemporaryFile('w+') as f:",
            "    f.write('x'); f.seek(0); print(f.read(), f.name[:5])",
        ],
        ..PLAIN
    },
    Case {
        name: "sqlite",
        lines: &["import sqlite3", "print(sqlite3.connect(':memory:').execute('select 1+1').fetchall())"],
        ..PLAIN
    },
    Case {
        name: "json_re",
        lines: &["import json, re", "print(json.dumps({'a': [1, None]}), re.findall('[a-c]+', 'abcxbc'))"],
        ..PLAIN
    },
    Case {
        name: "datetime",
        lines: &[
            "import datetime, zoneinfo",
            "print(datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset())",
        ],
        ..PLAIN
    },
    Case {
        name: "warnings",
        lines: &["import warnings", "warnings.warn('careful')", "warnings.warn('careful')"],
        ..PLAIN
    },
    Case {
        name: "logging",
        lines: &["import logging", "logging.warning('w'); logging.info('i')", "logging.getLogger('x').error('e')"],
        ..PLAIN
    },
    Case {
        name: "recursion",
        lines: &["def f(n): return f(n + 1)", "try: f(0)", "except RecursionError as e: print(type(e).__name__)"],
        ..PLAIN
    },
    Case {
        name: "pickle_main",
        lines: &["import pickle", "class A: pass", "print(type(pickle.loads(pickle.dumps(A()))), A.__module__)"],
        ..PLAIN
    },
    Case {
        name: "dataclass",
        lines: &[
            "from dataclasses import dataclass",
            "@dataclass",
            "class P:",
            "    x: int = 1",
            "print(P(), P(2) == P(2))",
        ],
        ..PLAIN
    },
    Case {
        name: "numpy",
        lines: &[
            "import numpy as np",
            "print(np.arange(6).reshape(2, 3) @ np.ones(3), np.float64(1) / 3, np.__version__)",
        ],
        ..PLAIN
    },
    Case {
        name: "numpy_error",
        lines: &["import numpy as np", "print(np.array([1]) / 0)", "np.zeros(3) @ np.zeros(2)"],
        ..PLAIN
    },
    Case {
        name: "numpy_seeded",
        lines: &[
            "import numpy as np, random",
            "np.random.seed(1); random.seed(1)",
            "print(np.random.rand(2), random.random(), np.random.default_rng(3).normal())",
        ],
        ..PLAIN
    },
    Case {
        name: "pandas",
        lines: &[
            "import pandas as pd",
            "d = pd.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3.5]})",
            "print(d.groupby('k').sum()); print(d.describe()); d.info()",
        ],
        ..PLAIN
    },
    Case { name: "pandas_error", lines: &["import pandas as pd", "pd.DataFrame({'a': [1]})['b']"], ..PLAIN },
    Case {
        name: "pandas_options",
        options: &["-e", "PANDAS_COPY_ON_WRITE=1"],
        lines: &["import pandas as pd", "print(pd.DataFrame({'a': range(100)}), pd.get_option('display.max_rows'))"],
        ..PLAIN
    },
    Case {
        name: "matplotlib",
        lines: &[
            "import matplotlib.pyplot as plt",
            "plt.plot([1, 2]); plt.savefig('p.png')",
            "print(open('p.png', 'rb').read()[:8], plt.get_fignums(), plt.get_backend())",
        ],
        ..PLAIN
    },
    Case {
        name: "backend",
        options: &["-e", "MPLBACKEND=svg"],
        lines: &["import matplotlib.pyplot as plt", "print(plt.get_backend())"],
        ..PLAIN
    },
    Case {
        name: "sklearn",
        lines: &[
            "from sklearn.cluster import KMeans",
            "print(KMeans(2, n_init=1, random_state=0).fit_predict([[0.0], [1.0], [9.0], [10.0]]))",
        ],
        ..PLAIN
    },
    Case {
        name: "scipy",
        lines: &[
            "from scipy import stats, linalg",
            "print(round(stats.norm.cdf(1.0), 6), linalg.det([[1, 2], [3, 4]]))",
        ],
        ..PLAIN
    },
];

fn run(home: &Home, case: &Case, image: &[&str]) -> Finished {
    let script = write_script(home, &format!("case_{}.py", case.name), case.lines);
    let invocation = home.run(image).args(case.options).arg(&script).args(case.args);
    invocation.input(case.input).finish()
}

#[test]
fn a_script_does_from_an_image_what_it_does_without() {
    let home = Home::with_python();
    assert!(CASES.len() >= 40);
    let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len(), "two scripts of one name");
    for case in CASES {
        let without = run(&home, case, &["--image", "none"]);
        for image in [&[][..], &["--image", "interpreter"], &["--image", "science"]] {
            let with = run(&home, case, image);
            assert_eq!(with.code(), without.code(), "{}, {image:?}: {with}\nwithout: {without}", case.name);
            assert_eq!(with.out(), without.out(), "{}, {image:?}", case.name);
            assert_eq!(with.err(), without.err(), "{}, {image:?}", case.name);
        }
    }
}

#[test]
fn the_image_that_covers_the_imports_is_used_and_can_be_seen_to_be() {
    let home = Home::with_python();
    let script = write_script(
        &home,
        "loaded.py",
        &["import sys", "print('numpy' in sys.modules, 'pandas' in sys.modules)", "if 0: import pandas"],
    );
    let loaded = |image: &[&str]| home.run(image).arg(&script).finish().expect(0).out();
    assert_eq!(loaded(&["--image", "none"]), "False False\n");
    assert_eq!(loaded(&[]), "False False\n", "an import that is not reached asks for no image");
    assert_eq!(loaded(&["--image", "data"]), "True True\n");
    let script =
        write_script(&home, "numpy_first.py", &["import sys", "print('numpy' in sys.modules)", "import numpy"]);
    assert_eq!(home.run([&script]).finish().expect(0).out(), "True\n");
}

#[test]
fn a_file_of_the_job_comes_before_a_module_of_an_image() {
    let home = Home::with_python();
    home.write("random.py", "print('mine')\n");
    let script = write_script(&home, "script.py", &["import random", "print(random.__file__)"]);
    for image in [&[][..], &["--image", "none"], &["--image", "interpreter"]] {
        let finished = home.run(image).args(["-f", "random.py"]).arg(&script).finish();
        assert_eq!(finished.expect(0).out(), "mine\n/random.py\n", "{image:?}");
    }
}

#[test]
fn what_one_run_changes_no_other_run_sees() {
    let home = Home::with_python();
    let script = write_script(
        &home,
        "spoil.py",
        &[
            "import sys, builtins, os, numpy, pandas",
            "print(hasattr(builtins, 'spoiled'), hasattr(numpy, 'spoiled'), os.path.exists('/tmp/spoiled'), os.environ.get('SPOILED'))",
            "builtins.spoiled = numpy.spoiled = True; os.environ['SPOILED'] = '1'; open('/tmp/spoiled', 'w').close()",
            "pandas.set_option('display.max_rows', 1); print(pandas.get_option('display.width'))",
        ],
    );
    let first = home.run([&script]).finish().expect(0).out();
    assert!(first.starts_with("False False False None\n"), "{first}");
    for _ in 0..3 {
        assert_eq!(home.run([&script]).finish().expect(0).out(), first);
    }
}

#[test]
fn random_numbers_and_names_are_fresh_in_every_run() {
    let home = Home::with_python();
    let lines = [
        "import random, uuid, os, tempfile, numpy",
        "print(random.random(), uuid.uuid4(), os.urandom(4).hex(), tempfile.mktemp(), numpy.random.rand(), numpy.random.default_rng().random())",
    ];
    let script = write_script(&home, "fresh.py", &lines);
    let mut seen = BTreeSet::new();
    for image in ["none", "numpy", "science", "numpy"] {
        let out = home.run(["--image", image]).arg(&script).finish().expect(0).out();
        for (column, word) in out.split_whitespace().enumerate() {
            assert!(seen.insert((column, word.to_owned())), "{word} came twice, the second time from {image}");
        }
    }
}

#[test]
fn an_image_of_ones_own_is_made_used_listed_and_removed() {
    let home = Home::with_python();
    home.write("setup.py", "import json\njson.prepared = 'yes'\n");
    let warm = home.potluck(["env", "warm", "mine", "--import", "json,csv", "--run", "setup.py"]).finish();
    warm.expect(0).says(&["mine", "ready"]);
    let script = write_script(
        &home,
        "prepared.py",
        &["import sys", "print('csv' in sys.modules)", "import json", "print(json.prepared)"],
    );
    assert_eq!(home.run(["--image", "mine"]).arg(&script).finish().expect(0).out(), "True\nyes\n");
    let listing = home.potluck(["env", "ls", "--json"]).finish().expect(0).json();
    let images = listing["images"].as_array().expect("images are listed").clone();
    let mine = images.iter().find(|image| image["name"] == "mine").expect("it is listed");
    assert!(
        mine["ready"] == true && mine["bytes"].as_u64() > Some(0) && mine["start_ms"].as_f64() > Some(0.0),
        "{mine}"
    );
    home.potluck(["env", "rm", "mine"]).finish().expect(0);
    home.run(["--image", "mine"]).arg(&script).finish().expect(125).says(&["mine", "env warm"]);
}

#[test]
fn a_program_that_is_no_script_has_no_image() {
    let home = Home::new();
    let program = potluck_tests::guest("hello");
    home.run(["--image", "none"]).arg(&program).finish().expect(126).says(&["--image", "script"]);
}

#[test]
fn an_image_that_cannot_be_made_says_what_python_said() {
    let home = Home::with_python();
    let failed = home.potluck(["env", "warm", "bad", "--import", "no_such_module"]).finish();
    assert_ne!(failed.code(), 0);
    failed.says(&["bad", "no_such_module"]);
    home.write("setup.py", "1 / 0\n");
    home.potluck(["env", "warm", "bad", "--run", "setup.py"]).finish().says(&["ZeroDivisionError"]);
    home.write("setup.py", "import builtins\nbuiltins.held = open('/usr/local/lib/python315.zip')\n");
    home.potluck(["env", "warm", "bad", "--run", "setup.py"]).finish().says(&["open"]);
    home.potluck(["env", "warm", "bad", "--import", "a-b"]).finish().says(&["a-b", "module"]);
    home.potluck(["env", "warm", "data2"]).finish().says(&["--import"]);
    home.potluck(["env", "warm", "none", "--import", "json"]).finish().says(&["none"]);
}

#[test]
fn a_job_on_a_peer_names_its_image_and_the_peer_makes_it() {
    let here = Home::with_python().named("here");
    let there = Home::with_python().named("there");
    let (_here, _there) = (Node::start(&here), Node::start(&there));
    pair(&_here, &_there);
    here.potluck(["env", "warm", "mine", "--import", "colorsys"]).finish().expect(0);
    let script = write_script(&here, "loaded.py", &["import sys", "print('colorsys' in sys.modules)"]);
    let from = |image: &str| here.run(["--on", "there", "--image", image]).arg(&script).finish().expect(0).out();
    assert_eq!(from("mine"), "True\n");
    assert_eq!(from("none"), "False\n");
}

/// Gives a cache Python and its compiled code and none of the images beside it, which are far smaller.
fn share_python_without_images(from: &Path, to: &Path) {
    let linked = Command::new("cp").arg("-al").arg(from.join("environments")).arg(to).status();
    assert!(linked.expect("cp can be started").success());
    let (from, to) = (compiled_code(from), compiled_code(to));
    fs::create_dir_all(&to).expect("a directory can be made");
    let is_large = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.blocks() * 512 > 128 << 20);
    for entry in fs::read_dir(&from).expect("the shared cache holds compiled code").flatten() {
        if is_large(&entry.path().with_extension("code")) {
            fs::hard_link(entry.path(), to.join(entry.file_name())).expect("a file can be linked");
        }
    }
}

#[test]
fn images_that_scripts_would_start_from_are_made_by_themselves() {
    for with_node in [false, true] {
        let home = Home::new();
        share_python_without_images(&shared_cache(), home.cache());
        home.potluck(["config", "set", "images", "true"]).finish().expect(0);
        let node = with_node.then(|| Node::start(&home));
        let script = write_script(&home, "script.py", &["import numpy", "print(numpy.arange(3).sum())"]);
        let on = if with_node { "any" } else { "local" };
        assert_eq!(home.run(["--on", on, &script]).finish().expect(0).out(), "3\n");
        until("the images are there", || {
            let listing = home.potluck(["env", "ls", "--json"]).finish().expect(0).json();
            let ready = |name: &str| {
                let images = listing["images"].as_array().expect("images are listed");
                images.iter().any(|image| image["name"] == name && image["ready"] == true)
            };
            (ready("numpy") && ready("interpreter")).then_some(())
        });
        drop(node);
        until_no_run_is_left(&home, 0);
    }
}
