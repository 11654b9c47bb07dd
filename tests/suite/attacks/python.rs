//! Hostile scripts.

use super::arena::attack_python;

/// Runs a script in which all of these must fail; the texts are what it prints of them.
#[track_caller]
fn fails(attempts: &[&str]) {
    let attempts: String = attempts.iter().map(|attempt| format!("    {attempt:?},\n")).collect();
    let script = format!(
        "for attempt in [\n{attempts}]:\n    try: exec(attempt, {{}})\n    except Exception as error: continue\n    \
         print('this worked:', attempt)\n    raise SystemExit(9)\n"
    );
    attack_python(&script, &[]).exited(0);
}

#[test]
fn no_process_is_started() {
    fails(&[
        "import os; os.fork()",
        "import os\nif os.system('id') == 0: pass\nelse: raise OSError",
        "import os; os.execv('/bin/sh', ['sh'])",
        "import os; os.posix_spawn('/bin/sh', ['sh'], {})",
        "import os; os.popen('id').read()",
        "import subprocess; subprocess.run(['id'])",
        "import multiprocessing; p = multiprocessing.Process(target=print); p.start()",
        "import os; os.kill(1, 9)",
        "import pty; pty.spawn('/bin/sh')",
    ]);
}

#[test]
fn a_fork_bomb_makes_one_process() {
    attack_python("import os\nwhile True:\n    os.fork()\n", &[]).exited(1);
}

#[test]
fn no_socket_is_opened() {
    fails(&[
        "import socket; socket.create_connection(('127.0.0.1', 22), 1)",
        "import socket; socket.socket().connect(('127.0.0.1', 22))",
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1')",
        "import socket; socket.getaddrinfo('example.org', 80)",
    ]);
}

#[test]
fn no_native_code_is_loaded() {
    fails(&[
        "import ctypes; ctypes.CDLL('libc.so.6')",
        "import ctypes; ctypes.string_at(0)",
        "import importlib.machinery as m; m.ExtensionFileLoader('x', '/lib/libc.so.6').load_module()",
        "import mmap; mmap.mmap(-1, 1 << 40)",
    ]);
}

#[test]
fn no_thread_is_started() {
    fails(&[
        "import threading; threading.Thread(target=print).start()",
        "import _thread; _thread.start_new_thread(print, ())",
        "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor(4).submit(print).result()",
    ]);
}

#[test]
fn nothing_of_the_host_is_read() {
    fails(&[
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "open('/proc/self/maps').read()",
        "open('/proc/1/cmdline').read()",
        "open('/dev/zero', 'rb').read(1)",
        "open('/dev/mem', 'rb').read(1)",
        "open('/sys/kernel/notes', 'rb').read()",
        "import os; os.listdir('/proc')",
        "import os; os.listdir('/home')",
        "import os; os.stat('/root/.ssh')",
        "import os; os.chdir('/etc'); open('passwd').read()",
        "import pathlib; next(pathlib.Path('/').glob('etc/*'))",
        "import os; os.readlink('/proc/self/exe')",
    ]);
}

#[test]
fn the_standard_library_is_not_written_to() {
    fails(&[
        "open('/usr/local/lib/python315.zip', 'r+b').write(b'x')",
        "open('/usr/local/lib/python315.zip', 'ab')",
        "open('/usr/local/lib/new.py', 'w')",
        "import os; os.unlink('/usr/local/lib/python315.zip')",
        "import os; os.rename('/usr/local/lib/python315.zip', '/tmp/x')",
        "import os; os.mkdir('/usr/local/lib/evil')",
        "import os; os.truncate('/usr/local/lib/python315.zip', 0)",
    ]);
}

#[test]
fn nothing_of_the_nodes_environment_is_seen() {
    // The contract's own names no file of the node.
    let script = "import os\nown = ('POTLUCK', 'POTLUCK_EVENTS', 'POTLUCK_CONTROL')\n\
        found = [name for name in os.environ if 'POTLUCK' in name and name not in own or name in ('PATH', 'USER')]\n\
        raise SystemExit(9 if found else 0)\n";
    attack_python(script, &[]).exited(0);
}

#[test]
fn a_regular_expression_that_never_ends_meets_its_wall_time() {
    let script = "import re\nre.match('(a+)+$', 'a' * 60 + 'b')\n";
    attack_python(script, &["--timeout", "2s"]).wall_time(2000);
}

#[test]
fn a_regular_expression_that_never_ends_meets_its_fuel() {
    let script = "import re\nre.match('(a+)+$', 'a' * 60 + 'b')\n";
    attack_python(script, &["--fuel", "3G"]).limit("fuel", 3_000_000_000);
}

#[test]
fn a_number_too_large_to_be_reckoned_meets_a_limit() {
    attack_python("print(len(str(9 ** 9 ** 9 ** 9)))\n", &["--timeout", "2s"]).wall_time(2000);
}

#[test]
fn swallowing_every_exception_does_not_help() {
    let script = "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n";
    attack_python(script, &["--timeout", "1s"]).wall_time(1000);
}

#[test]
fn refusing_to_end_does_not_help() {
    let script = "import atexit, signal\natexit.register(lambda: [0 for _ in iter(int, 1)])\n\
        class Undead:\n    def __del__(self):\n        while True: pass\nx = Undead()\n";
    attack_python(script, &["--timeout", "1s"]).wall_time(1000);
}

#[test]
fn a_pickle_that_is_a_program_gets_no_further() {
    let script = "import pickle, os\nclass Evil:\n    def __reduce__(self): return os.system, ('id > /tmp/x; id',)\n\
        try: code = pickle.loads(pickle.dumps(Evil()))\nexcept Exception: code = 1\nraise SystemExit(9 if code == 0 else 0)\n";
    attack_python(script, &[]).exited(0);
}

#[test]
fn an_archive_that_leads_out_stays_in() {
    let script = "import io, zipfile, tarfile, os\n\
        buffer = io.BytesIO()\n\
        with tarfile.open(fileobj=buffer, mode='w') as tar:\n    \
            info = tarfile.TarInfo('../../../escaped'); info.size = 1; tar.addfile(info, io.BytesIO(b'x'))\n\
        buffer.seek(0)\n\
        try: tarfile.open(fileobj=buffer).extractall('.', filter='fully_trusted')\n\
        except OSError: raise SystemExit(0)\n\
        raise SystemExit(0 if os.path.exists('escaped') else 9)\n";
    attack_python(script, &[]).exited(0);
}

#[test]
fn a_list_of_all_there_is_meets_the_memory_limit() {
    attack_python("list(range(10 ** 8))\n", &["--memory", "150M"]).limit("memory", 150 << 20);
}

#[test]
fn a_list_longer_than_any_address_is_an_error_of_the_scripts() {
    attack_python("list(range(10 ** 12))\n", &["--memory", "150M"]).exited(1).complained("OverflowError");
}

#[test]
fn evaluating_what_nests_deeply_ends_by_name() {
    let script = "import ast\ntry: eval('(' * 100_000 + ')' * 100_000)\nexcept (MemoryError, RecursionError, SyntaxError): pass\n";
    attack_python(script, &["--timeout", "10s"]).exited(0);
}
