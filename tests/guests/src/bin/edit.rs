//! Leaves its working directory changed: `keep.txt` stays as it was, `change.txt` gets another text of the same length,
//! `drop.txt` goes away, `made.txt` and `deep/er/made.txt` are new, `link` points at a file, and something is left in
//! the temporary directory.

use std::fs;
use std::io;

fn main() -> io::Result<()> {
    let kept = fs::read_to_string("keep.txt")?;
    let length = fs::metadata("change.txt")?.len() as usize;
    fs::write("change.txt", "c".repeat(length))?;
    fs::remove_file("drop.txt")?;
    fs::write("made.txt", format!("made beside {kept}"))?;
    fs::create_dir_all("deep/er")?;
    fs::write("deep/er/made.txt", "made deep down")?;
    fs::write("/tmp/passing.txt", "not to be brought back")?;
    #[expect(deprecated, reason = "std has no other portable way to make a symbolic link")]
    fs::soft_link("made.txt", "link")?;
    println!("edited");
    Ok(())
}
