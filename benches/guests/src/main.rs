//! Prints one line: what is left of a run when the program does nothing.

fn main() {
    println!("hello");
}
