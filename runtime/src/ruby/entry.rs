//! The command's start: begins the interpreter with the arguments of the command, and gives it `start.rb`.
//!
//! What it says to the interpreter are the words of a command line and one text, which it writes into memory that it asks the
//! interpreter's own allocator for; the interpreter may keep them, so they stay.

use super::RubyError;
use super::outline::Outline;
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

/// What the interpreter is started with, before the script and its arguments: texts are UTF-8, nothing looks for a cause of an
/// error in syntax (which needs threads), and an empty program ends at once.
const WORDS: [&str; 6] = ["ruby", "-EUTF-8", "--disable=syntax_suggest", "-e", "", "--"];
/// Runs the script.
const START: &str = include_str!("../../ruby/start.rb");

/// The start's variables, by their numbers.
const COUNT: u32 = 0;
const LIST: u32 = 1;
const POINTERS: u32 = 2;
const BYTES: u32 = 3;
const TEXT: u32 = 4;
const AT: u32 = 5;

/// The bytes of one entry of a list: where a text is, and how long.
const ENTRY: i32 = 8;

/// The function.
///
/// # Errors
/// The module lacks what the interpreter is started by.
pub(super) fn start(outline: &Outline) -> Result<Function, RubyError> {
    let realloc = outline.exported("cabi_realloc")?;
    let (sizes, arguments) = outline.arguments();
    let mut function = Function::new([(6, ValType::I32)]);
    let mut code = function.instructions();
    code.call(outline.exported("_initialize")?);
    // The sizes of the arguments, which an entry of a list has room for.
    room(&mut code).i32_const(ENTRY).call(realloc).local_set(LIST);
    code.local_get(LIST).local_get(LIST).i32_const(4).i32_add().call(sizes);
    end_unless_zero(&mut code);
    code.local_get(LIST).i32_load(word(0)).local_set(COUNT);
    room(&mut code).local_get(COUNT).i32_const(4).i32_mul().call(realloc).local_set(POINTERS);
    room(&mut code).local_get(LIST).i32_load(word(4)).call(realloc).local_set(BYTES);
    code.local_get(POINTERS).local_get(BYTES).call(arguments);
    end_unless_zero(&mut code);
    let (text, script) = text();
    room(&mut code).i32_const(length(text.len())).call(realloc).local_set(TEXT);
    put(&mut code, &text);
    let fixed = length(WORDS.len());
    room(&mut code)
        .local_get(COUNT)
        .i32_const(fixed)
        .i32_add()
        .i32_const(ENTRY)
        .i32_mul()
        .call(realloc)
        .local_set(LIST);
    words(&mut code);
    rest(&mut code);
    code.local_get(LIST).local_get(COUNT).i32_const(fixed - 1).i32_add().call(outline.exported("ruby-init")?);
    code.local_get(TEXT).i32_const(length(script)).i32_add().i32_const(length(START.len()));
    code.call(outline.exported("rb-eval-string-protect")?);
    // The text ends the command by itself.
    code.drop().unreachable().end();
    Ok(function)
}

/// The words and the script, each with a zero at its end, and where the script begins.
fn text() -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    for word in WORDS {
        text.extend_from_slice(word.as_bytes());
        text.push(0);
    }
    let script = text.len();
    text.extend_from_slice(START.as_bytes());
    text.push(0);
    text.resize(text.len().next_multiple_of(8), 0);
    (text, script)
}

/// Asks for new memory; how many bytes, and whom, comes next.
fn room<'a, 'b>(code: &'a mut InstructionSink<'b>) -> &'a mut InstructionSink<'b> {
    code.i32_const(0).i32_const(0).i32_const(8)
}

/// Ends the command when what was asked for was not given.
fn end_unless_zero(code: &mut InstructionSink<'_>) {
    code.if_(BlockType::Empty).unreachable().end();
}

/// Writes the text, eight bytes at once.
fn put(code: &mut InstructionSink<'_>, text: &[u8]) {
    for (number, eight) in text.as_chunks().0.iter().enumerate() {
        let place = MemArg { offset: 8 * number as u64, align: 0, memory_index: 0 };
        code.local_get(TEXT).i64_const(i64::from_le_bytes(*eight)).i64_store(place);
    }
}

/// Begins the list with the words.
fn words(code: &mut InstructionSink<'_>) {
    let mut at = 0;
    for (number, text) in WORDS.iter().enumerate() {
        let entry = 8 * number as u64;
        code.local_get(LIST).local_get(TEXT).i32_const(length(at)).i32_add().i32_store(word(entry));
        code.local_get(LIST).i32_const(length(text.len())).i32_store(word(entry + 4));
        at += text.len() + 1;
    }
}

/// Goes on with the arguments after the first, which is the command itself. How long each is, its zero tells.
fn rest(code: &mut InstructionSink<'_>) {
    let entry = 8 * (WORDS.len() as u64 - 1);
    code.i32_const(1).local_set(AT).block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(AT).local_get(COUNT).i32_ge_u().br_if(1);
    code.local_get(LIST).local_get(AT).i32_const(ENTRY).i32_mul().i32_add();
    code.local_get(POINTERS).local_get(AT).i32_const(4).i32_mul().i32_add().i32_load(word(0)).i32_store(word(entry));
    code.local_get(LIST).local_get(AT).i32_const(ENTRY).i32_mul().i32_add().i32_const(0).i32_store(word(entry + 4));
    code.local_get(AT).i32_const(1).i32_add().local_set(AT).br(0).end().end();
}

/// Where a word of memory is, from an address on.
const fn word(offset: u64) -> MemArg {
    MemArg { offset, align: 2, memory_index: 0 }
}

/// A length of this file's own, which are all short.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("what this file writes is short")
}
