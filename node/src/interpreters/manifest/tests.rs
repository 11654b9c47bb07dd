//! What a manifest says, and what is said of one that cannot be used.

use super::*;

const SMALL: &str = "name = \"tiny\"\nversion = \"1.0\"\nprogram = \"tiny.wasm\"\n";

fn refusal(text: &str) -> String {
    Manifest::parse(text).unwrap_err().to_string()
}

#[test]
fn three_lines_describe_an_interpreter() {
    let manifest = Manifest::parse(SMALL).unwrap();
    assert_eq!((manifest.title.as_str(), manifest.endings.len()), ("tiny 1.0", 0));
    let entry = GuestPath::parse("a b.tiny").unwrap();
    assert_eq!(manifest.argv(&entry), ["tiny", "a b.tiny"]);
    assert_eq!(
        manifest.program,
        ProgramFile { file: GuestPath::parse("tiny.wasm").unwrap(), sha256: None, size: None }
    );
}

#[test]
fn everything_that_can_be_said_is_read_and_written_again() {
    let text = format!(
        "name = \"tiny\"\nversion = \"1.0\"\ntitle = \"Tiny\"\nlicense = \"MIT\"\nendings = [\"tn\", \"tiny\"]\n\
         args = [\"tiny\", \"--file={{script}}\", \"--\"]\n[program]\nfile = \"bin/tiny.wasm\"\nsha256 = \"{}\"\nsize = 12\n\
         [env]\nTINY_PATH = \"/usr/share/tiny\"\n[files]\n\"/usr/share/tiny\" = \"lib\"\n",
        "0a".repeat(32)
    );
    let manifest = Manifest::parse(&text).unwrap();
    assert_eq!(manifest.argv(&GuestPath::parse("d/x.tn").unwrap()), ["tiny", "--file=d/x.tn", "--"]);
    assert_eq!(manifest.files["/usr/share/tiny"].as_str(), "lib");
    assert_eq!(Manifest::parse(&toml::to_string(&manifest).unwrap()).unwrap(), manifest);
}

#[test]
fn what_cannot_be_used_is_named_with_its_cure() {
    let with = |line: &str| format!("name = \"tiny\"\nversion = \"1\"\n{line}\n");
    let more = |line: &str| format!("{line}\n{SMALL}");
    for (text, words) in [
        ("", &["name"][..]),
        ("name = \"tiny\"\nversion = \"1\"\n", &["program"]),
        (&with("program = \"../x.wasm\""), &["program", "relative"]),
        (&with("program = \"/bin/x.wasm\""), &["program", "relative"]),
        (&with("program = { file = \"x\", sha256 = \"AB\" }"), &["sha256sum"]),
        (&with("program = { file = \"x\", size = 999999999999 }"), &["program.size"]),
        (&more("colour = 1"), &["colour"]),
        (&more("endings = [\".lua\"]"), &[".lua", "without its dot"]),
        (&more("endings = [\"py\"]"), &["py", "--env"]),
        (&more("endings = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"]"), &["the most is 8"]),
        (&more("args = [\"tiny\"]"), &["args", "{script}"]),
        (&more("args = [\"tiny\", \"x\"]"), &["args", "{script}"]),
        (&more("args = [\"{script}\", \"x\"]"), &["args", "{script}"]),
        (&more("args = [\"t\", \"{script}\", \"{script}\"]"), &["args", "{script}"]),
        (&more("title = \"a\\nb\""), &["title"]),
        (&SMALL.replace("1.0", ""), &["version"]),
        (&SMALL.replace("\"tiny\"", "\"Tiny\""), &["Tiny", "a-z"]),
        (&SMALL.replace("\"tiny\"", "\"\""), &["a-z"]),
        (&format!("{SMALL}[env]\n\"A=B\" = \"x\"\n"), &["A=B"]),
        (&format!("{SMALL}[files]\n\"/tmp\" = \"x\"\n"), &["/tmp"]),
        (&format!("{SMALL}[files]\n\"data\" = \"x\"\n"), &["data"]),
        (&format!("{SMALL}[files]\n\"/x\" = \".ssh\"\n"), &[".ssh", "hidden"]),
        (&format!("{SMALL}[files]\n\"/x\" = \"a/.git\"\n"), &["a/.git", "hidden"]),
        (&format!("{SMALL}[files]\n\"/x\" = \"a\"\n\"/x/y\" = \"b\"\n"), &["/x/y", "overlap"]),
        (&with("program = { file = \"x\", sha265 = \"0\" }"), &["program", "sha265", "sha256"]),
        (&with("program = 7"), &["program", "file's name"]),
        (&format!("{SMALL}[files]\n\"/data\" = \"../x\"\n"), &["files", "relative"]),
    ] {
        let said = refusal(text);
        assert!(words.iter().all(|word| said.contains(word)), "{text:?} is refused with {said:?}");
    }
    assert!(refusal(&"#".repeat(MANIFEST_LEN_MAX + 1)).contains("the most is"));
    assert!(refusal(&more(&format!("title = \"{}\"", "x".repeat(300)))).contains("title"));
    let many: String = (0..40).map(|number| format!("K{number} = \"x\"\n")).collect();
    assert!(refusal(&format!("{SMALL}[env]\n{many}")).contains("the most is 32"));
}

#[test]
fn bytes_at_random_and_texts_nested_without_end_are_refused_without_harm() {
    let text = format!("{SMALL}endings = [\"tn\"]\nargs = [\"tiny\", \"{{script}}\"]\n[files]\n\"/share\" = \"lib\"\n");
    for at in 0..text.len() {
        for byte in [b'"', b'[', b'\n', b'.', b'\\', b'=', b'/', 0x7f] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = byte;
            // Another manifest, or none; never a panic.
            if let Ok(manifest) = Manifest::parse(&String::from_utf8(bytes).unwrap()) {
                assert_eq!(Manifest::parse(&toml::to_string(&manifest).unwrap()).unwrap(), manifest);
            }
        }
    }
    for nested in ["[", "{a=", "[{a="] {
        let deep = format!("{SMALL}x = {}", nested.repeat(20_000 / nested.len()));
        assert!(Manifest::parse(&deep).is_err());
    }
    assert!(Manifest::parse(&format!("[a{}]", ".a".repeat(20_000))).is_err());
}
