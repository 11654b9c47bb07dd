//! A script behaves as under `python3 script.py`.

use crate::sight::until_no_run_is_left;
use potluck_tests::{Finished, Home, write_script};
use rustix::process::Signal;

/// Runs these lines as `script.py` with `args` and returns the end.
#[track_caller]
fn run(home: &Home, lines: &[&str], args: &[&str]) -> Finished {
    let script = write_script(home, "script.py", lines);
    home.run([&script]).args(args).finish()
}

#[test]
fn argv_main_and_file_are_those_of_a_script() {
    let home = Home::with_python();
    let lines = [
        "import sys, os",
        "print(sys.argv)",
        "print(__name__)",
        "print(os.path.basename(__file__), os.path.exists(__file__))",
        "import __main__; print(__main__.__file__ == __file__)",
        "print(os.path.samefile(sys.path[0] or '.', os.path.dirname(os.path.abspath(__file__))))",
        "if __name__ == '__main__': print('main')",
    ];
    let finished = run(&home, &lines, &["a b", "-c", "--", "ü"]);
    let expected = "['script.py', 'a b', '-c', '--', 'ü']\n__main__\nscript.py True\nTrue\nTrue\nmain\n";
    assert_eq!(finished.expect(0).out(), expected);
}

#[test]
fn a_script_reads_its_own_source() {
    let home = Home::with_python();
    let lines = ["import inspect", "def f(): return 1", "print(inspect.getsource(f), end='')"];
    assert_eq!(run(&home, &lines, &[]).expect(0).out(), "def f(): return 1\n");
}

#[test]
fn neighbours_given_with_f_can_be_imported() {
    let home = Home::with_python();
    home.write("helper.py", "NAME = 'helper'\n");
    home.write("pack/__init__.py", "from .inner import WORD\n");
    home.write("pack/inner.py", "WORD = 'inner'\n");
    home.write("script.py", "import helper\nfrom pack import WORD\nprint(helper.NAME, WORD)\n");
    let finished = home.run(["-f", "helper.py", "-f", "pack", "script.py"]).finish();
    assert_eq!(finished.expect(0).out(), "helper inner\n");
}

#[test]
fn a_neighbour_that_was_not_given_is_named_before_anything_runs() {
    let home = Home::with_python();
    home.write("helper.py", "NAME = 'helper'\n");
    home.write("script.py", "print('started')\nimport helper\n");
    let finished = home.run(["script.py"]).finish();
    assert_eq!(finished.expect(126).says(&["helper", "-f"]).out(), "");
}

#[test]
fn a_directory_with_a_main_is_a_program() {
    let home = Home::with_python();
    home.write("tool/__main__.py", "import sys\nfrom parts import text\nprint(text.word, sys.argv[1:], __name__)\nprint(open('table.txt').read() if __import__('os').path.exists('table.txt') else open(__import__('os').path.join(__import__('os').path.dirname(__file__), 'table.txt')).read())\n");
    home.write("tool/parts/__init__.py", "");
    home.write("tool/parts/text.py", "word = 'word'\n");
    home.write("tool/table.txt", "42");
    let finished = home.run(["tool", "x", "y"]).finish();
    assert_eq!(finished.expect(0).out(), "word ['x', 'y'] __main__\n42\n");
}

#[test]
fn a_script_in_another_directory_keeps_its_name() {
    let home = Home::with_python();
    home.write(
        "deep/down/script.py",
        "import sys\nprint(sys.argv[0].endswith('script.py'), __file__.endswith('script.py'))\n",
    );
    assert_eq!(home.run(["deep/down/script.py"]).finish().expect(0).out(), "True True\n");
    let absolute = home.work().join("deep/down/script.py");
    assert_eq!(home.run([absolute]).finish().expect(0).out(), "True True\n");
}

#[test]
fn input_and_piped_stdin_are_read() {
    let home = Home::with_python();
    let lines = ["import sys", "first = input()", "rest = sys.stdin.read().split()", "print(first, rest)"];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run([&script]).input("one\ntwo three\nfour").finish();
    assert_eq!(finished.expect(0).out(), "one ['two', 'three', 'four']\n");
}

#[test]
fn an_input_that_has_ended_is_an_eof_error() {
    let home = Home::with_python();
    let finished = run(&home, &["input()"], &[]);
    finished.expect(1).says(&["EOFError"]);
}

#[test]
fn bytes_on_stdin_are_read_as_bytes() {
    let home = Home::with_python();
    let lines =
        ["import sys", "data = sys.stdin.buffer.read()", "sys.stdout.buffer.write(bytes(255 - b for b in data))"];
    let script = write_script(&home, "script.py", &lines);
    let bytes: Vec<u8> = (0..=255).collect();
    let finished = home.run([&script]).input(bytes.clone()).finish();
    assert_eq!(finished.expect(0).stdout, bytes.iter().rev().copied().collect::<Vec<u8>>());
}

#[test]
fn a_traceback_names_the_script_and_the_line_and_nothing_of_ours() {
    let home = Home::with_python();
    let lines = ["def inner():", "    raise ValueError('too bad')", "", "inner()"];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run(["--quiet", &script]).finish();
    finished.expect(1);
    let err = finished.err();
    let frames: Vec<&str> = err.lines().filter(|line| line.trim_start().starts_with("File ")).map(str::trim).collect();
    assert_eq!(frames.len(), 2, "frames that are not the script's own: {err}");
    assert!(frames[0].contains("script.py\", line 4, in <module>"), "{err}");
    assert!(frames[1].contains("script.py\", line 2, in inner"), "{err}");
    for line in ["Traceback (most recent call last):", "raise ValueError('too bad')", "ValueError: too bad"] {
        assert!(err.contains(line), "no {line:?}: {err}");
    }
    assert!(err.trim_end().ends_with("ValueError: too bad"), "{err}");
}

#[test]
fn a_syntax_error_names_the_script_and_the_line() {
    let home = Home::with_python();
    let finished = run(&home, &["x = 1", "def broken(:", "    pass"], &[]);
    finished.expect(1).says(&["script.py", "line 2", "SyntaxError"]);
}

#[test]
fn ways_to_exit_have_their_codes() {
    let home = Home::with_python();
    for (line, code, err) in [
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit(77)", 77, ""),
        ("raise SystemExit('no good')", 1, "no good\n"),
        ("import os; print('before', flush=True); os._exit(4)", 4, ""),
        ("exit(5)", 5, ""),
        ("import sys; sys.exit(None)", 0, ""),
        ("import sys; sys.exit(256 + 9)", 9, ""),
        ("raise KeyError('lost')", 1, "KeyError: 'lost'"),
    ] {
        let script = write_script(&home, "script.py", &[line]);
        let finished = home.run(["--quiet", &script]).finish();
        finished.expect(code);
        assert!(finished.err().contains(err) && (!err.is_empty() || finished.err().is_empty()), "{line}: {finished}");
    }
}

#[test]
fn what_was_registered_for_the_exit_runs_and_output_is_flushed() {
    let home = Home::with_python();
    let lines = ["import atexit, sys", "atexit.register(print, 'last')", "sys.stdout.write('first ')", "sys.exit(2)"];
    assert_eq!(run(&home, &lines, &[]).expect(2).out(), "first last\n");
}

#[test]
fn asyncio_runs_timers_tasks_and_queues() {
    let home = Home::with_python();
    let lines = [
        "import asyncio",
        "async def produce(queue):",
        "    for n in range(3):",
        "        await asyncio.sleep(0.01)",
        "        await queue.put(n)",
        "    await queue.put(None)",
        "async def main():",
        "    queue = asyncio.Queue(1)",
        "    task = asyncio.create_task(produce(queue))",
        "    seen = []",
        "    while (item := await queue.get()) is not None:",
        "        seen.append(item)",
        "    await task",
        "    both = await asyncio.gather(asyncio.sleep(0.02, 'late'), asyncio.sleep(0.01, 'soon'))",
        "    try:",
        "        async with asyncio.timeout(0.01):",
        "            await asyncio.Event().wait()",
        "    except TimeoutError:",
        "        both.append('timeout')",
        "    print(seen, both)",
        "asyncio.run(main())",
        "asyncio.run(asyncio.sleep(0))",
    ];
    assert_eq!(run(&home, &lines, &[]).expect(0).out(), "[0, 1, 2] ['late', 'soon', 'timeout']\n");
}

#[test]
fn temporary_files_and_databases_work() {
    let home = Home::with_python();
    let lines = [
        "import os, sqlite3, tempfile",
        "with tempfile.TemporaryDirectory() as folder:",
        "    path = os.path.join(folder, 'x')",
        "    open(path, 'w').write('t')",
        "    print(open(path).read(), os.path.exists('x'))",
        "with tempfile.NamedTemporaryFile('w+') as file:",
        "    file.write('named'); file.flush(); print(open(file.name).read())",
        "with tempfile.TemporaryFile() as file:",
        "    file.write(b'b'); file.seek(0); print(file.read())",
        "for place in (':memory:', 'data.db'):",
        "    with sqlite3.connect(place) as db:",
        "        db.execute('create table t (n int)')",
        "        db.executemany('insert into t values (?)', [(1,), (2,)])",
        "        print(db.execute('select sum(n) from t').fetchone())",
    ];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run(["-o", "out", &script]).finish();
    assert_eq!(finished.expect(0).out(), "t False\nnamed\nb'b'\n(3,)\n(3,)\n");
    let database = std::fs::read(home.work().join("out/data.db")).expect("the database came back");
    assert!(database.starts_with(b"SQLite format 3\0"));
    let back: Vec<_> = std::fs::read_dir(home.work().join("out")).expect("it is there").flatten().collect();
    assert_eq!(back.len(), 1, "temporary files are not brought back: {back:?}");
}

#[test]
fn threads_processes_and_sockets_are_refused_with_a_reason() {
    let home = Home::with_python();
    for lines in [
        ["import threading", "threading.Thread(target=print).start()"],
        ["import subprocess", "subprocess.run(['ls'])"],
        ["import os", "os.system('ls')"],
        ["import os", "os.fork()"],
        ["import multiprocessing", "multiprocessing.Process(target=print).start()"],
        ["import socket", "socket.create_connection(('127.0.0.1', 80))"],
        ["import urllib.request", "urllib.request.urlopen('http://127.0.0.1/')"],
        ["from concurrent.futures import ThreadPoolExecutor", "ThreadPoolExecutor().submit(print, 1).result()"],
        ["from concurrent.futures import ProcessPoolExecutor", "ProcessPoolExecutor().submit(print, 1).result()"],
    ] {
        let finished = run(&home, &lines, &[]);
        // A sentence of ours, inside an ordinary exception that a script may catch.
        finished.expect(1).says(&["Traceback", "script.py", "sandbox"]);
    }
}

#[test]
fn a_refusal_is_an_exception_that_a_script_can_catch() {
    let home = Home::with_python();
    let lines = [
        "import socket, subprocess, threading",
        "for attempt in (lambda: socket.socket(), lambda: subprocess.Popen(['ls']), lambda: threading.Thread(target=print).start()):",
        "    try:",
        "        attempt()",
        "    except (OSError, RuntimeError) as error:",
        "        print(len(str(error)) > 20)",
    ];
    assert_eq!(run(&home, &lines, &[]).expect(0).out(), "True\nTrue\nTrue\n");
}

#[test]
fn variables_of_the_job_are_its_environment() {
    let home = Home::with_python();
    home.write(
        "script.py",
        "import os\nprint(os.environ['COLOUR'], 'SECRET' in os.environ, os.path.expanduser('~'))\n",
    );
    let finished = home.run(["-e", "COLOUR=red", "script.py"]).env("SECRET", "x").finish();
    assert_eq!(finished.expect(0).out(), "red False /tmp\n");
}

#[test]
fn the_working_directory_holds_the_inputs() {
    let home = Home::with_python();
    home.write("data/a.csv", "1,2\n");
    home.write("script.py", "import os\nprint(sorted(os.listdir()), open('data/a.csv').read().strip())\nos.chdir('data')\nprint(os.listdir('.'))\n");
    let finished = home.run(["-f", "data", "script.py"]).finish();
    assert_eq!(finished.expect(0).out(), "['data', 'script.py'] 1,2\n['a.csv']\n");
}

#[test]
fn randomness_differs_from_run_to_run() {
    let home = Home::with_python();
    let lines = ["import random, os, uuid", "print(random.random(), os.urandom(8), uuid.uuid4())"];
    let first = run(&home, &lines, &[]).expect(0).out();
    let second = run(&home, &lines, &[]).expect(0).out();
    for (a, b) in first.split(' ').zip(second.split(' ')) {
        assert_ne!(a, b, "two runs share random state: {first}{second}");
    }
}

#[test]
fn the_clock_is_the_machines() {
    let home = Home::with_python();
    let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_secs();
    let out = run(&home, &["import time", "print(int(time.time()))"], &[]).expect(0).out();
    let seen: u64 = out.trim().parse().expect("a number");
    assert!(seen.abs_diff(now) < 120, "{seen} is not near {now}");
}

#[test]
fn output_in_any_language_is_utf_8() {
    let home = Home::with_python();
    assert_eq!(run(&home, &["print('grüße 東京 𝄞')"], &[]).expect(0).out(), "grüße 東京 𝄞\n");
}

#[test]
fn output_and_errors_keep_their_order_in_one_pipe() {
    let home = Home::with_python();
    let lines = ["import sys", "for n in range(100):", "    print(n, file=sys.stderr if n % 3 else sys.stdout)"];
    let script = write_script(&home, "script.py", &lines);
    let finished = home.run(["--quiet", &script]).one_pipe().finish();
    let seen: Vec<u32> = finished.expect(0).out().lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[test]
fn ctrl_c_ends_a_script_in_the_middle() {
    let home = Home::with_python();
    let script = write_script(&home, "script.py", &["print('on')", "while True: pass"]);
    let job = home.run([&script]).start();
    job.wait_for_stdout("on\n");
    job.signal(Signal::INT);
    job.finish_with_stdin_open().expect(130);
    until_no_run_is_left(&home, 0);
}

#[test]
fn deep_recursion_is_pythons_own_error() {
    let home = Home::with_python();
    let finished = run(&home, &["def f(): f()", "f()"], &[]);
    finished.expect(1).says(&["RecursionError"]);
}

#[test]
fn an_empty_script_does_nothing_well() {
    let home = Home::with_python();
    home.write("script.py", "");
    let finished = home.run(["--quiet", "script.py"]).finish();
    finished.expect(0);
    assert_eq!((finished.out(), finished.err()), (String::new(), String::new()));
}
