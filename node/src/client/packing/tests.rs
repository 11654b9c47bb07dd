//! What a submission becomes, and what is said about one that cannot be sent.

use super::super::failure::FailureKind;
use super::*;

fn packed(submission: Submission) -> Result<Packed, SubmitError> {
    pack(&submission, JobId([1; 16]), MountsBy::Content)
}

fn refusal(submission: Submission) -> (FailureKind, String) {
    let error = packed(submission).unwrap_err();
    (error.kind(), error.to_string())
}

fn paths(packed: &Packed) -> Vec<&str> {
    packed.job.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn a_script_is_an_input_and_folders_keep_their_last_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("x.py"), "print(1)").unwrap();
    fs::create_dir_all(at("data/empty")).unwrap();
    fs::write(at("data/a.csv"), "1,2").unwrap();
    let packed = packed(Submission::new(at("x.py")).file(at("data"))).unwrap();
    assert_eq!(paths(&packed), ["x.py", "data/a.csv"]);
    assert_eq!(packed.job.directories, [GuestPath::parse("data/empty").unwrap()]);
    let entry = GuestPath::parse("x.py").unwrap();
    assert_eq!(
        packed.job.program,
        JobProgram::Script {
            environment: "python".into(),
            entry,
            image: ImageChoice::Auto(std::collections::BTreeSet::new()),
            interpreter: None,
        }
    );
    assert_eq!(packed.sources.len(), 2);
}

#[test]
fn a_directory_program_brings_its_tree_and_needs_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("tool");
    fs::create_dir_all(tool.join("sub")).unwrap();
    fs::write(tool.join("sub/m.py"), "").unwrap();
    let (kind, text) = refusal(Submission::new(&tool));
    assert_eq!(kind, FailureKind::BadProgram);
    assert!(text.contains("__main__.py"), "{text}");
    fs::write(tool.join("__main__.py"), "import sub.m").unwrap();
    let packed = packed(Submission::new(&tool)).unwrap();
    assert_eq!(paths(&packed), ["tool/__main__.py", "tool/sub/m.py"]);
}

#[test]
fn what_is_not_there_or_no_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (kind, text) = refusal(Submission::new(at("gone.py")));
    assert_eq!(kind, FailureKind::NotFound);
    assert!(text.contains("gone.py"), "{text}");
    fs::write(at("empty.wasm"), "").unwrap();
    assert_eq!(refusal(Submission::new(at("empty.wasm"))).0, FailureKind::BadProgram);
    fs::write(at("x.txt"), "x").unwrap();
    assert_eq!(refusal(Submission::new(at("x.txt"))).0, FailureKind::BadProgram);
    fs::write(at("x.py"), "").unwrap();
    let (kind, text) = refusal(Submission::new(at("x.py")).file(at("lost.csv")));
    assert_eq!(kind, FailureKind::BadInput);
    assert!(text.contains("lost.csv"), "{text}");
}

#[test]
fn two_files_for_one_place_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for sub in ["a", "b"] {
        fs::create_dir(at(sub)).unwrap();
        fs::write(at(sub).join("data.csv"), sub).unwrap();
    }
    fs::write(at("x.py"), "").unwrap();
    let twice = Submission::new(at("x.py")).file(at("a/data.csv")).file(at("b/data.csv"));
    let (kind, text) = refusal(twice);
    assert_eq!(kind, FailureKind::BadInput);
    assert!(text.contains("data.csv"), "{text}");
}

#[test]
fn a_folder_travels_by_path_here_and_by_content_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("data")).unwrap();
    fs::write(at("data/a"), "1").unwrap();
    fs::write(at("x.py"), "").unwrap();
    let submission = Submission::new(at("x.py")).mount(at("data"), "/data");
    let by_path = pack(&submission, JobId([1; 16]), MountsBy::Path).unwrap().job.mounts;
    assert_eq!(by_path[0].local.as_deref(), Some(fs::canonicalize(at("data")).unwrap().as_path()));
    assert!(by_path[0].files.is_empty());
    let by_content = packed(submission).unwrap().job.mounts;
    assert_eq!((by_content[0].files.len(), by_content[0].local.as_ref()), (1, None));
    let (kind, _) = refusal(Submission::new(at("x.py")).mount(at("data"), "data"));
    assert_eq!(kind, FailureKind::BadInput);
}

#[test]
fn a_pipe_and_a_link_round_in_a_circle_are_refused_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("x.py"), "").unwrap();
    fs::create_dir(at("loop")).unwrap();
    std::os::unix::fs::symlink(at("loop"), at("loop/again")).unwrap();
    assert_eq!(refusal(Submission::new(at("x.py")).file(at("loop"))).0, FailureKind::BadInput);
    let fifo = at("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(refusal(Submission::new(at("x.py")).file(fifo)).0, FailureKind::BadInput);
}

#[test]
fn version_control_environments_and_caches_stay_behind_unless_all_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("x.py"), "print(1)").unwrap();
    let left =
        [".git/HEAD", "sub/__pycache__/a.pyc", ".venv/a", "node_modules/a", "venv/pyvenv.cfg", "target/CACHEDIR.TAG"];
    // Names that may mean something else, without what would say so, and a file that is called as a cache is.
    let taken = ["a.csv", "deep/target/goal.txt", "deep/venv/a", "deep/.git"];
    for name in left.iter().chain(&taken) {
        let path = at("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "1").unwrap();
    }
    let count = |submission: Submission| packed(submission).unwrap().job.files.len();
    let submission = Submission::new(at("x.py")).file(at("data"));
    assert_eq!(count(submission.clone()), 1 + taken.len());
    assert_eq!(count(submission.all_files()), 1 + taken.len() + left.len());
    let mounted = packed(Submission::new(at("x.py")).mount(at("data"), "/data")).unwrap();
    assert_eq!(mounted.job.mounts[0].files.len(), taken.len() + left.len(), "a folder that is read is read whole");
}

#[test]
fn what_ignore_files_name_stays_behind_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let files = [
        ("x.py", "print(1)"),
        ("data/.gitignore", "*.log\n/build/\n# a comment\n!kept.log\nraw/*\n"),
        ("data/.potluckignore", "!big.log\nsecret\n"),
        ("data/a.csv", ""),
        ("data/a.log", ""),
        ("data/kept.log", ""),
        ("data/big.log", ""),
        ("data/secret", ""),
        ("data/build/out", ""),
        ("data/deep/build/out", ""),
        ("data/deep/.gitignore", "*.csv\n!c.log\n"),
        ("data/deep/b.csv", ""),
        ("data/deep/b.log", ""),
        ("data/deep/c.log", ""),
        ("data/raw/one", ""),
    ];
    for (name, text) in files {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), text).unwrap();
    }
    let submission = Submission::new(at("x.py")).file(at("data"));
    let sent = packed(submission.clone()).unwrap();
    let taken = ["a.csv", "big.log", "deep/.gitignore", "deep/build/out", "deep/c.log", "kept.log"];
    let taken = taken.map(|name| format!("data/{name}"));
    let dots = ["x.py", "data/.gitignore", "data/.potluckignore"];
    assert_eq!(paths(&sent), dots.into_iter().chain(taken.iter().map(String::as_str)).collect::<Vec<_>>());
    let left = ["a.log", "build", "deep/b.csv", "deep/b.log", "raw/one", "secret"].map(|name| format!("data/{name}"));
    assert_eq!((sent.left_out.places.as_slice(), sent.left_out.count), (left.as_slice(), 6));
    let whole = packed(submission.all_files()).unwrap();
    assert_eq!((whole.job.files.len(), whole.left_out.count), (files.len(), 0));
    // What is named itself goes along, whatever is said of it.
    assert!(paths(&packed(Submission::new(at("x.py")).file(at("data/a.log"))).unwrap()).contains(&"a.log"));
    fs::write(at("data/__main__.py"), "").unwrap();
    fs::write(at("data/.gitignore"), "__main__.py").unwrap();
    assert!(refusal(Submission::new(at("data"))).1.contains("--all-files"));
}

#[test]
fn more_files_are_read_as_if_all_had_been_submitted_together() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["x.py", "always.txt", "in/a.csv", "in/x.py"] {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), "pass").unwrap();
    }
    let submission = Submission::new(at("x.py")).file(at("always.txt"));
    let pattern = packed(submission.clone()).unwrap();
    let (id, args) = (JobId([2; 16]), vec!["a.csv".to_owned()]);
    let more = pack_more(&pattern, &submission, id, (args.clone(), &[at("in/a.csv")])).unwrap();
    let together = pack(&submission.clone().args(args.clone()).file(at("in/a.csv")), id, MountsBy::Content).unwrap();
    assert_eq!(more.job, together.job);
    let clash = pack_more(&pattern, &submission, id, (args, &[at("in/x.py")]));
    assert!(clash.unwrap_err().to_string().contains("cannot lie together"));
}

#[test]
fn an_interpreter_goes_along_by_digest_and_its_variables_yield_to_the_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("lib")).unwrap();
    fs::write(at("lib/a"), "1").unwrap();
    fs::write(at("tiny.wasm"), "bytes").unwrap();
    fs::write(at("x.tiny"), "say").unwrap();
    let manifest = "name = \"tiny\"\nversion = \"1\"\nprogram = \"tiny.wasm\"\nenv = { A = \"of tiny\" }\n\
                    files = { \"/share\" = \"lib\" }\n";
    let interpreter = Interpreter {
        manifest: crate::interpreters::Manifest::parse(manifest).unwrap(),
        program: at("tiny.wasm"),
        folder: dir.path().to_owned(),
        is_bundled: false,
    };
    let plain = Submission::new(at("x.tiny")).args(vec!["more".into()]).env("A", "of the job");
    let submission = Submission { interpreter: Some(interpreter), ..plain };
    let job = packed(submission.clone()).unwrap().job;
    let JobProgram::Script { environment, entry, interpreter: Some(own), .. } = &job.program else {
        panic!("{:?} is no script with its interpreter", job.program);
    };
    assert_eq!((environment.as_str(), entry.as_str(), own.size), ("tiny", "x.tiny", 5));
    assert_eq!(
        (own.argv.as_slice(), job.args.as_slice()),
        (&["tiny".into(), "x.tiny".into()][..], &["more".into()][..])
    );
    assert!(job.blobs().any(|(digest, _)| digest == own.digest) && job.program.environment().is_none());
    assert_eq!(job.env.last().unwrap().1, "of the job", "what comes later wins");
    assert_eq!((job.mounts[0].guest.as_str(), job.mounts[0].files.len()), ("/share", 1));
    assert_eq!(job.requires, [INTERPRETER_FEATURE]);
    let (kind, text) = refusal(submission.image(ImageChoice::None));
    assert_eq!(kind, FailureKind::BadProgram);
    assert!(text.contains("only Python"), "{text}");
}

/// An interpreter that says no more than how it is called.
fn interpreter(dir: &Path, args: &[&str]) -> Interpreter {
    let program = dir.join("tiny.wasm");
    fs::write(&program, b"\0asm").unwrap();
    let text = format!("name = \"tiny\"\nversion = \"1\"\nprogram = \"tiny.wasm\"\nargs = {args:?}");
    let manifest = crate::interpreters::Manifest::parse(&text).unwrap();
    Interpreter { manifest, program, folder: dir.to_owned(), is_bundled: false }
}

#[test]
fn how_an_interpreter_is_called_is_part_of_what_a_result_depends_on() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("x.tiny");
    fs::write(&script, "?").unwrap();
    let fingerprint = |args: &[&str]| {
        let own = Some(interpreter(dir.path(), args));
        let packed = packed(Submission { interpreter: own, ..Submission::new(&script) }).unwrap();
        crate::client::home::parcel::Parcel::sharing(packed, std::sync::Arc::default(), None).fingerprint()
    };
    assert_eq!(fingerprint(&["tiny", "{script}"]), fingerprint(&["tiny", "{script}"]));
    assert_ne!(fingerprint(&["tiny", "{script}"]), fingerprint(&["tiny", "-O", "{script}"]));
}
