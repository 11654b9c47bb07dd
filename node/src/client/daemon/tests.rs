use super::*;
use crate::client::Submission;
use crate::client::packing::{MountsBy, pack};
use crate::net::socket::OwnerSocket;
use crate::wire::JobId;
use std::path::Path;

fn job(dir: &Path) -> Packed {
    let program = dir.join("p.wasm");
    std::fs::write(&program, b"\0asm\x01\0\0\0").unwrap();
    pack(&Submission::new(&program), JobId([1; 16]), MountsBy::Path).unwrap()
}

/// What the client makes of a daemon of this version, and what that daemon hears after the greeting.
async fn meet(version: &str) -> (bool, Vec<Tag>) {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::under(home.path());
    std::fs::create_dir_all(&paths.data_dir).unwrap();
    let socket = OwnerSocket::listen(&paths.data_dir).unwrap();
    let packed = job(home.path());
    let daemon = async {
        let (reader, writer) = socket.accept().await.unwrap().into_split();
        let mut stream = FrameStream::new(reader, writer);
        let theirs: OwnerHello = stream.reader.expect_message(Tag::OWNER_HELLO).await.unwrap();
        assert_eq!(theirs, OwnerHello::ours());
        let hello = OwnerHello { version: version.to_owned() };
        stream.writer.send_message(Tag::OWNER_HELLO, &hello).await.unwrap();
        let mut heard = Vec::new();
        for _ in 0..2 {
            heard.push(stream.reader.next().await.unwrap().unwrap().tag);
        }
        heard
    };
    let (taken, heard) = tokio::join!(submit(&paths, &packed), daemon);
    (taken.is_some(), heard)
}

#[tokio::test]
async fn a_job_is_given_to_a_daemon_of_the_same_version_alone() {
    assert_eq!(meet(env!("CARGO_PKG_VERSION")).await, (true, vec![Tag::SUBMIT, Tag::OWNER_SOURCES]));
    assert!(!meet("0.0.0-other").await.0);
}

#[tokio::test]
async fn without_a_daemon_nothing_is_given_away() {
    let home = tempfile::tempdir().unwrap();
    assert!(submit(&Paths::under(home.path()), &job(home.path())).await.is_none());
}
