//! A plain host for WASI commands, which knows nothing of Potluck: what runs here runs elsewhere.

use std::path::Path;
use wasmtime::{Config, Engine, InstancePre, Linker, Module, OptLevel, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

/// What one run may print.
const OUTPUT_LEN_MAX: usize = 1 << 20;

/// A command, compiled.
#[expect(missing_debug_implementations, reason = "the engine's instance has none")]
pub struct Outside {
    command: InstancePre<WasiP1Ctx>,
}

impl Outside {
    /// Compiles a module.
    ///
    /// # Panics
    /// When it is no command of WASI alone.
    #[must_use]
    pub fn of(module: &Path) -> Self {
        let mut config = Config::new();
        config.wasm_exceptions(true).cranelift_opt_level(OptLevel::None).max_wasm_stack(1 << 20);
        let engine = Engine::new(&config).expect("the engine starts");
        let module = Module::from_file(&engine, module).expect("the module can be compiled");
        let mut linker = Linker::new(&engine);
        p1::add_to_linker_sync(&mut linker, |context| context).expect("WASI can be provided");
        Self { command: linker.instantiate_pre(&module).expect("it needs nothing but WASI") }
    }

    /// Runs it with all files of this machine and these variables; what it printed.
    ///
    /// # Panics
    /// When it ends with anything but 0.
    #[must_use]
    #[track_caller]
    pub fn run(&self, args: &[&str], variables: &[(String, String)]) -> String {
        let (out, err) = (MemoryOutputPipe::new(OUTPUT_LEN_MAX), MemoryOutputPipe::new(OUTPUT_LEN_MAX));
        let mut builder = WasiCtxBuilder::new();
        builder.args(args).envs(variables).stdout(out.clone()).stderr(err.clone());
        builder.preopened_dir("/", "/", FsPerms::ReadWrite).expect("the root can be opened");
        let mut store = Store::new(self.command.module().engine(), builder.build_p1());
        let instance = self.command.instantiate(&mut store).expect("it can be instantiated");
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start").expect("it is a command");
        let ended = start.call(&mut store, ());
        let text = |pipe: &MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
        if let Err(error) = ended {
            let code = error.downcast_ref::<I32Exit>().map(|exit| exit.0);
            assert_eq!(code, Some(0), "{args:?}: {error:?}\nstdout:\n{}\nstderr:\n{}", text(&out), text(&err));
        }
        text(&out)
    }
}
