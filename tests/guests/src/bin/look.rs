//! Tells what it sees: its arguments, its environment, every file below `.`, the text of each file it is asked for with
//! `--read PATH`, and whether it may write where it is asked to with `--write PATH`.

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    for arg in &args {
        println!("arg {arg}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (key, value) in variables {
        println!("env {key}={value}");
    }
    list(Path::new("."))?;
    for pair in args.windows(2) {
        match pair[0].as_str() {
            "--read" => match fs::read_to_string(&pair[1]) {
                Ok(text) => println!("read {}: {}", pair[1], text.trim_end()),
                Err(error) => println!("cannot read {}: {:?}", pair[1], error.kind()),
            },
            "--write" => match fs::write(&pair[1], "changed") {
                Ok(()) => println!("wrote {}", pair[1]),
                Err(error) => println!("cannot write {}: {:?}", pair[1], error.kind()),
            },
            _ => {}
        }
    }
    Ok(())
}

fn list(directory: &Path) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(directory)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        if entry.file_type()?.is_dir() {
            println!("dir {shown}");
            list(&path)?;
        } else {
            println!("file {shown} {}", entry.metadata()?.len());
        }
    }
    Ok(())
}
