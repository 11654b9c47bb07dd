//! Tells the crate which target it is compiled for; nothing else knows the whole triple.

fn main() {
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=POTLUCK_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
}
