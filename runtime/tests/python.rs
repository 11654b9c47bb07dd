//! What a Python script sees and does: each file of `tests/python` is run on the pinned interpreter as the environment
//! plans it, and compared with the expectations written at its top:
//! `#! args: A B`, `#! stdin: TEXT`, `#! with: FILE` (laid beside it), `#! exit: N`, `#! out: LINE` (all of stdout, in
//! order), `#! err: TEXT` (part of stderr), `#! not: TEXT` (part of neither).
//!
//! The artifacts come from the wheel named by `POTLUCK_TEST_WHEEL`, or from pip; they and the compiled interpreter are
//! kept below the target directory. Machines with neither fail here, and the message says what is needed.
#![expect(
    unsafe_code,
    reason = "the compiled interpreter is kept in the target directory, which only this test writes"
)]

use potluck_runtime::{Environments, GuestPath, ScriptBoot, SilentWatch};
use std::fs;
use std::path::{Path, PathBuf};
use wasmtime::{Config, Engine, Linker, Module, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// The scripts that are tests of their own; the other files are their neighbours.
const SCRIPTS: &[&str] = &[
    "arguments.py",
    "neighbour.py",
    "tool/__main__.py",
    "stdin.py",
    "traceback_of_an_exception.py",
    "syntax_error.py",
    "exit_number.py",
    "exit_large.py",
    "exit_text.py",
    "exit_at_once.py",
    "objects_at_the_end.py",
    "asyncio_works.py",
    "refusals.py",
    "locks_time_out.py",
    "files_and_databases.py",
    "missing_module.py",
    "science.py",
];

#[derive(Default)]
struct Expectation {
    args: Vec<String>,
    stdin: String,
    with: Vec<String>,
    exit: i32,
    out: Vec<String>,
    err: Vec<String>,
    not: Vec<String>,
}

impl Expectation {
    fn read(source: &str) -> Self {
        let mut expected = Self::default();
        for line in source.lines().map_while(|line| line.strip_prefix("#! ")) {
            let (key, value) = line.split_once(": ").expect("an expectation is `#! key: value`");
            let value = value.replace("\\n", "\n");
            match key {
                "args" => expected.args = value.split(' ').map(str::to_owned).collect(),
                "stdin" => expected.stdin = value,
                "with" => expected.with.push(value),
                "exit" => expected.exit = value.parse().expect("an exit status is a number"),
                "out" => expected.out.push(value),
                "err" => expected.err.push(value),
                "not" => expected.not.push(value),
                _ => panic!("no expectation is called {key:?}"),
            }
        }
        expected
    }
}

struct Bench {
    engine: Engine,
    module: Module,
    environments: Environments,
}

impl Bench {
    async fn open() -> Self {
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python");
        let environments = Environments::new(&kept);
        if !environments.missing("python").unwrap().is_empty() {
            let added = match std::env::var_os("POTLUCK_TEST_WHEEL") {
                Some(wheel) => environments.add_wheel("python", Path::new(&wheel), &SilentWatch).await,
                None => environments.add_by_pip("python", &SilentWatch).await,
            };
            added.expect("this test needs the environment: set POTLUCK_TEST_WHEEL or install pip");
        }
        let mut config = Config::new();
        config.consume_fuel(true).wasm_exceptions(true).async_stack_size(10 << 20).max_wasm_stack(8 << 20);
        let engine = Engine::new(&config).unwrap();
        let plan = environments.plan("python", &GuestPath::parse("a.py").unwrap()).unwrap();
        let compiled = kept.join(format!("{}.cwasm", plan.module_digest.short()));
        // SAFETY: the file was written by this function, below, in a directory of this build alone.
        let known = unsafe { Module::deserialize_file(&engine, &compiled) };
        let module = known.unwrap_or_else(|_absent_or_of_another_engine| {
            let module = Module::from_file(&engine, &plan.module).unwrap();
            fs::write(&compiled, module.serialize().unwrap()).unwrap();
            module
        });
        Self { engine, module, environments }
    }

    /// Runs a script; answers its status, stdout and stderr.
    async fn run(&self, script: &str, expected: &Expectation) -> (i32, String, String) {
        let (work, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for file in expected.with.iter().map(String::as_str).chain([script]) {
            let place = work.path().join(file);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(scripts().join(file), place).unwrap();
        }
        let plan = self.environments.plan("python", &GuestPath::parse(script).unwrap()).unwrap();
        assert_eq!(plan.boot, ScriptBoot::Run);
        let (stdout, stderr) = (MemoryOutputPipe::new(OUTPUT_BYTES_MAX), MemoryOutputPipe::new(OUTPUT_BYTES_MAX));
        let mut builder = WasiCtxBuilder::new();
        builder.args(&plan.argv).args(&expected.args).env("HOME", "/tmp").env("TMPDIR", "/tmp").envs(&plan.env);
        builder.stdin(MemoryInputPipe::new(expected.stdin.clone())).stdout(stdout.clone()).stderr(stderr.clone());
        builder.preopened_dir(work.path(), "/", FsPerms::ReadWrite).unwrap();
        builder.preopened_dir(temporary.path(), "/tmp", FsPerms::ReadWrite).unwrap();
        for (host, guest) in &plan.preopens {
            builder.preopened_dir(host, guest, FsPerms::ReadOnly).unwrap();
        }
        let mut linker: Linker<WasiP1Ctx> = Linker::new(&self.engine);
        p1::add_to_linker_async(&mut linker, |context| context).unwrap();
        linker.define_unknown_imports_as_traps(&self.module).unwrap();
        let mut store = Store::new(&self.engine, builder.build_p1());
        store.set_fuel(u64::MAX).unwrap();
        let instance = linker.instantiate_async(&mut store, &self.module).await.unwrap();
        let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
        let status = match run.call_async(&mut store, ()).await {
            Ok(status) => status,
            Err(trap) => trap.downcast_ref::<I32Exit>().unwrap_or_else(|| panic!("{script}: {trap:?}")).0,
        };
        let text = |pipe: &MemoryOutputPipe| String::from_utf8(pipe.contents().to_vec()).unwrap();
        (status, text(&stdout), text(&stderr))
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

#[tokio::test]
async fn scripts_behave_as_under_python() {
    let bench = Bench::open().await;
    for script in SCRIPTS {
        let expected = Expectation::read(&fs::read_to_string(scripts().join(script)).unwrap());
        let (status, stdout, stderr) = bench.run(script, &expected).await;
        let shown = format!("{script} ended with {status}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        assert_eq!(status, expected.exit, "{shown}");
        assert_eq!(stdout.lines().collect::<Vec<_>>(), expected.out, "{shown}");
        for part in &expected.err {
            assert!(stderr.contains(part), "no {part:?}: {shown}");
        }
        for part in &expected.not {
            assert!(!stdout.contains(part) && !stderr.contains(part), "{part:?}: {shown}");
        }
    }
}

#[test]
fn every_script_that_expects_something_is_run() {
    for entry in fs::read_dir(scripts()).unwrap() {
        let path = entry.unwrap().path();
        let Ok(source) = fs::read_to_string(&path) else { continue };
        let name = path.file_name().unwrap().to_str().unwrap();
        if source.starts_with("#! ") && !source.starts_with("#! neighbour") {
            assert!(SCRIPTS.contains(&name), "{name} is not in the list");
        }
    }
}
