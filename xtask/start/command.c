/* The start-up object that clang links into a WASI command (crt1-command.o): constructors, main, destructors, exit
 * code. A module that was started once cannot be started again. */
extern void __wasm_call_ctors(void);
extern int __main_void(void);
extern void __wasm_call_dtors(void);

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn)) void start_exit(int code);

__attribute__((export_name("_start"))) void _start(void) {
    static volatile int started;
    if (started) __builtin_trap();
    started = 1;
    __wasm_call_ctors();
    int code = __main_void();
    __wasm_call_dtors();
    if (code) start_exit(code);
}
