/* The command that the environment `javascript` is: `qjs SCRIPT [ARGUMENT]...`, with the globals of the standalone
 * interpreter: `console`, `print`, `scriptArgs`, and its modules `std`, `os` and `bjson`, which are globals and can be
 * imported as `qjs:std` and so on; the timers of `os` are globals too, as elsewhere. A script is a module when it is called `.mjs` or imports or exports anything; what it
 * imports lies beside it. An error that nobody catches, and a promise that nobody waits for and that fails, goes to stderr
 * and ends with 1. There is no prompt and no option. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs-libc.h"
#include "quickjs.h"

/* Frames of JavaScript's functions lie on the machine's own stack too, which is shorter; beyond this an error is thrown. */
#define STACK_BYTES_MAX (768 * 1024)

/* No signal ever comes to a guest, so `os.signal` has nothing to do. */
void __SIG_IGN(int number) { (void)number; }

void (*signal(int number, void (*handler)(int)))(int) {
    (void)number, (void)handler;
    return SIG_DFL;
}

static const char GLOBALS[] =
    "import * as bjson from 'qjs:bjson';\n"
    "import * as std from 'qjs:std';\n"
    "import * as os from 'qjs:os';\n"
    "const { setTimeout, clearTimeout, setInterval, clearInterval } = os;\n"
    "Object.assign(globalThis, { bjson, std, os, setTimeout, clearTimeout, setInterval, clearInterval });\n";

static JSContext *new_context(JSRuntime *runtime) {
    JSContext *context = JS_NewContext(runtime);
    if (context == NULL) return NULL;
    js_init_module_std(context, "qjs:std");
    js_init_module_os(context, "qjs:os");
    js_init_module_bjson(context, "qjs:bjson");
    return context;
}

static int evaluate(JSContext *context, const char *text, size_t length, const char *name, int flags) {
    JSValue value;
    if ((flags & JS_EVAL_TYPE_MASK) == JS_EVAL_TYPE_MODULE) {
        value = JS_Eval(context, text, length, name, flags | JS_EVAL_FLAG_COMPILE_ONLY);
        if (!JS_IsException(value) && js_module_set_import_meta(context, value, *name != '<', 1) == 0)
            value = js_std_await(context, JS_EvalFunction(context, value));
    } else {
        value = JS_Eval(context, text, length, name, flags);
    }
    int failed = JS_IsException(value);
    if (failed) js_std_dump_error(context);
    JS_FreeValue(context, value);
    return failed;
}

static int run(JSContext *context, const char *name) {
    size_t length;
    char *text = (char *)js_load_file(context, &length, name);
    if (text == NULL) {
        perror(name);
        return 1;
    }
    size_t end = strlen(name);
    int is_module = (end > 4 && strcmp(name + end - 4, ".mjs") == 0) || JS_DetectModule(text, length);
    int failed = evaluate(context, text, length, name, is_module ? JS_EVAL_TYPE_MODULE : JS_EVAL_TYPE_GLOBAL);
    js_free(context, text);
    if (failed) return 1;
    if (js_std_loop(context) != 0) {
        js_std_dump_error(context);
        return 1;
    }
    return 0;
}

int main(int count, char **words) {
    if (count < 2) {
        fputs("qjs: no script; the first argument names it\n", stderr);
        return 1;
    }
    JSRuntime *runtime = JS_NewRuntime();
    if (runtime == NULL) {
        fputs("qjs: not enough memory\n", stderr);
        return 1;
    }
    JS_SetMaxStackSize(runtime, STACK_BYTES_MAX);
    js_std_init_handlers(runtime);
    JSContext *context = new_context(runtime);
    if (context == NULL) {
        fputs("qjs: not enough memory\n", stderr);
        return 1;
    }
    JS_SetModuleLoaderFunc2(runtime, NULL, js_module_loader, js_module_check_attributes, NULL);
    JS_SetHostPromiseRejectionTracker(runtime, js_std_promise_rejection_tracker, NULL);
    js_std_add_helpers(context, count - 1, words + 1);
    int failed = evaluate(context, GLOBALS, sizeof GLOBALS - 1, "<globals>", JS_EVAL_TYPE_MODULE);
    if (!failed) failed = run(context, words[1]);
    fflush(stdout);
    /* All memory goes with the process; taking it apart would only cost time. */
    exit(failed);
}
