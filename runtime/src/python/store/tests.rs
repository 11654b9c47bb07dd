use super::*;
use crate::watch::SilentWatch;
use std::io::Write;
use zip::write::SimpleFileOptions;

/// `hello\n` and its SHA-256 stand for an artifact, so that no test needs 100 MB.
const CONTENT: &[u8] = b"hello\n";
static SMALL: EnvironmentSpec = EnvironmentSpec {
    artifacts: &[Artifact {
        name: "hello.txt",
        sha256: [
            0x58, 0x91, 0xb5, 0xb5, 0x22, 0xd5, 0xdf, 0x08, 0x6d, 0x0f, 0xf0, 0xb1, 0x10, 0xfb, 0xd9, 0xd2, 0x1b, 0xb4,
            0xfc, 0x71, 0x63, 0xaf, 0x34, 0xd0, 0x82, 0x86, 0xa2, 0xe8, 0x46, 0xf6, 0xbe, 0x03,
        ],
        size: 6,
        member: "pkg/hello.txt",
        place: "lib/hello.txt",
    }],
    ..PYTHON
};
static SPECS_SMALL: &[&EnvironmentSpec] = &[&SMALL];

struct Home {
    directory: tempfile::TempDir,
    environments: Environments,
}

fn home() -> Home {
    let directory = tempfile::tempdir().unwrap();
    let environments = Environments::with_specs(directory.path(), SPECS_SMALL);
    Home { directory, environments }
}

impl Home {
    fn wheel(&self, member: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join("x.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        writer.start_file(member, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        path
    }

    /// Adds only the artifacts: this wheel has no library from which more could be laid out.
    fn extract(&self, wheel: &Path) -> Result<(), EnvironmentError> {
        let root = self.environments.root(&SMALL);
        layout::directories(&root, &SMALL)?;
        let absent = self.environments.absent(&SMALL);
        let open = |artifact| ArtifactWriter::create(&root, artifact);
        wheel::extract(wheel, &absent, &Progress::default(), open, ArtifactWriter::commit)
    }

    fn nothing_is_left(&self) {
        let root = self.environments.root(&SMALL);
        assert_eq!(fs::read_dir(root.join("partial")).unwrap().count(), 0);
        assert_eq!(self.environments.missing("python").unwrap().len(), 1);
    }
}

#[test]
fn a_wheel_with_the_pinned_artifact_makes_the_environment_ready() {
    let home = home();
    assert!(!home.environments.list()[0].ready);
    home.extract(&home.wheel("pkg/hello.txt", CONTENT)).unwrap();
    let status = &home.environments.list()[0];
    assert!(status.ready && status.bytes == 6, "{status:?}");
    let place = home.environments.artifact(&SMALL.artifacts[0].sha256).unwrap();
    assert_eq!(fs::read(place).unwrap(), CONTENT);
    assert_eq!(home.environments.remove("python").unwrap(), 6);
    assert_eq!(home.environments.remove("python").unwrap(), 0);
}

#[test]
fn a_wheel_with_other_bytes_is_refused_and_leaves_nothing() {
    let home = home();
    let error = home.extract(&home.wheel("pkg/hello.txt", b"jello\n")).unwrap_err();
    assert!(matches!(error, EnvironmentError::Damaged { name: "hello.txt", .. }), "{error}");
    home.nothing_is_left();
}

#[test]
fn a_wheel_with_another_size_or_member_is_refused() {
    for (member, bytes) in [("pkg/hello.txt", &b"hello, world\n"[..]), ("../../pkg/hello.txt", CONTENT)] {
        let home = home();
        let error = home.extract(&home.wheel(member, bytes)).unwrap_err();
        assert!(matches!(error, EnvironmentError::Wheel { .. }), "{error}");
        home.nothing_is_left();
    }
}

#[test]
fn a_truncated_or_foreign_file_is_no_wheel() {
    let home = home();
    let wheel = home.wheel("pkg/hello.txt", CONTENT);
    let bytes = fs::read(&wheel).unwrap();
    for content in [&bytes[..bytes.len() / 2], b"", b"not a zip"] {
        fs::write(&wheel, content).unwrap();
        let error = home.extract(&wheel).unwrap_err();
        assert!(matches!(error, EnvironmentError::Wheel { .. }), "{error}");
    }
    home.nothing_is_left();
}

#[test]
fn a_member_whose_bytes_are_damaged_is_refused() {
    let home = home();
    let wheel = home.wheel("pkg/hello.txt", CONTENT);
    let mut bytes = fs::read(&wheel).unwrap();
    let data = 30 + "pkg/hello.txt".len();
    bytes[data + 2] ^= 0x40;
    fs::write(&wheel, bytes).unwrap();
    home.extract(&wheel).unwrap_err();
    home.nothing_is_left();
}

#[test]
fn an_artifact_from_a_peer_is_committed_only_when_whole() {
    let home = home();
    let artifact = &SMALL.artifacts[0];
    let mut writer = home.environments.receive(artifact).unwrap();
    writer.write_all(b"hel").unwrap();
    assert!(matches!(writer.commit(), Err(EnvironmentError::Damaged { .. })));
    let mut writer = home.environments.receive(artifact).unwrap();
    assert!(writer.write_all(b"much more than six bytes").is_err());
    drop(writer);
    home.nothing_is_left();
    let mut writer = home.environments.receive(artifact).unwrap();
    writer.write_all(CONTENT).unwrap();
    writer.commit().unwrap();
    assert!(home.environments.missing("python").unwrap().is_empty());
}

#[test]
fn two_writers_of_one_artifact_both_succeed() {
    let home = home();
    let artifact = &SMALL.artifacts[0];
    let mut writers: Vec<_> = (0..2).map(|_| home.environments.receive(artifact).unwrap()).collect();
    for writer in &mut writers {
        writer.write_all(CONTENT).unwrap();
    }
    for writer in writers {
        writer.commit().unwrap();
    }
    assert!(home.environments.missing("python").unwrap().is_empty());
}

#[tokio::test]
async fn partial_files_of_the_dead_are_swept_and_those_of_the_living_kept() {
    let home = home();
    let mut living = home.environments.receive(&SMALL.artifacts[0]).unwrap();
    let partial = home.environments.root(&SMALL).join("partial");
    fs::write(partial.join("hello.txt-stale"), b"hel").unwrap();
    fs::create_dir(partial.join("pip-stale")).unwrap();
    let lock = home.environments.lock(&SMALL).await.unwrap();
    assert_eq!(fs::read_dir(&partial).unwrap().count(), 1);
    living.write_all(CONTENT).unwrap();
    living.commit().unwrap();
    drop(lock);
}

#[tokio::test]
async fn the_second_process_waits_for_the_first() {
    let home = home();
    let first = home.environments.lock(&SMALL).await.unwrap();
    let mut second = std::pin::pin!(home.environments.lock(&SMALL));
    assert!(tokio::time::timeout(POLL * 3, &mut second).await.is_err(), "two hold the lock");
    drop(first);
    second.await.unwrap();
}

#[tokio::test]
async fn unknown_and_missing_environments_say_so() {
    let home = home();
    let wheel = Path::new("/nowhere.whl");
    let error = home.environments.add_wheel("ruby", wheel, &SilentWatch).await.unwrap_err();
    assert!(error.to_string().contains("\"ruby\""), "{error}");
    let entry = GuestPath::parse("a.py").unwrap();
    let error = home.environments.plan("python", &entry).unwrap_err();
    for way in ["potluck env add python", "--wheel", "peer"] {
        assert!(error.to_string().contains(way), "{error}");
    }
    let error = home.environments.add_wheel("python", wheel, &SilentWatch).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere.whl"), "{error}");
}
