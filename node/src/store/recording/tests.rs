use super::*;
use crate::wire::{Frame, FrameReader, FrameWriter};
use bytes::Bytes;

fn stdout(bytes: &[u8]) -> Frame {
    Frame { tag: Tag::STDOUT, payload: Bytes::copy_from_slice(bytes) }
}

async fn write(writer: &mut FrameWriter, frames: &[Frame]) {
    for frame in frames {
        writer.send(frame.clone()).await.unwrap();
    }
}

fn recorder(path: &Path) -> (Recorder, FrameWriter) {
    let recorder = Recorder::new(path);
    let writer = FrameWriter::new(recorder.writer());
    (recorder, writer)
}

async fn all(follower: Follower) -> Vec<Frame> {
    let mut reader = FrameReader::new(follower);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().await.unwrap() {
        frames.push(frame);
    }
    frames
}

#[tokio::test]
async fn who_comes_before_while_and_after_hears_the_same() {
    let dir = tempfile::tempdir().unwrap();
    // Short ones stay in memory, long ones become a file on the way.
    for (name, piece) in [("short", 10), ("long", INLINE_LEN_MAX / 2)] {
        let path = dir.path().join(name);
        let frames: Vec<Frame> = (0..6u8).map(|number| stdout(&vec![number; piece])).collect();
        let (recorder, mut writer) = recorder(&path);
        let before = tokio::spawn(all(recorder.follow(0)));
        write(&mut writer, &frames[..3]).await;
        let while_it_runs = tokio::spawn(all(recorder.follow(0)));
        let middle = recorder.len();
        write(&mut writer, &frames[3..]).await;
        let recorded = recorder.finish().unwrap();
        assert_eq!(matches!(recorded, Recorded::File { .. }), name == "long");
        assert_eq!(path.exists(), name == "long");
        assert_eq!(before.await.unwrap(), frames);
        assert_eq!(while_it_runs.await.unwrap(), frames);
        drop((recorder, writer));
        assert_eq!(all(Follower::of(recorded.clone(), &path, 0).unwrap()).await, frames);
        assert_eq!(all(Follower::of(recorded, &path, middle).unwrap()).await, frames[3..]);
    }
}

#[tokio::test]
async fn after_a_crash_it_goes_on_after_the_last_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let frames: Vec<Frame> = (0..4u8).map(|number| stdout(&vec![number; INLINE_LEN_MAX / 2])).collect();
    let (recorder, mut writer) = recorder(&path);
    write(&mut writer, &frames).await;
    drop((recorder, writer));
    let whole = fs::metadata(&path).unwrap().len();
    for cut in [1, 7, 20_000] {
        File::options().write(true).open(&path).unwrap().set_len(whole - cut).unwrap();
        let reopened = Recorder::reopen(&path).unwrap();
        let left = if cut < 16_000 { 3 } else { 2 };
        assert_eq!(reopened.len(), (left * (INLINE_LEN_MAX / 2 + HEADER_LEN)) as u64);
        let mut writer = FrameWriter::new(reopened.writer());
        write(&mut writer, &frames[left..]).await;
        let recorded = reopened.finish().unwrap();
        assert_eq!(all(Follower::of(recorded, &path, 0).unwrap()).await, frames);
    }
}

#[tokio::test]
async fn after_a_crash_at_its_end_the_end_is_heard_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    for last in [Tag::ENDED, Tag::FAULT] {
        let frames = [stdout(&vec![1; INLINE_LEN_MAX]), Frame { tag: last, payload: Bytes::from_static(b"so") }];
        let (recorder, mut writer) = recorder(&path);
        write(&mut writer, &frames).await;
        let whole = recorder.len();
        drop((recorder, writer));
        let reopened = Recorder::reopen(&path).unwrap();
        assert_eq!(reopened.len(), (INLINE_LEN_MAX + HEADER_LEN) as u64);
        write(&mut FrameWriter::new(reopened.writer()), &frames[1..]).await;
        let recorded = reopened.finish().unwrap();
        assert_eq!(recorded, Recorded::File { len: whole });
        assert_eq!(all(Follower::of(recorded, &path, 0).unwrap()).await, frames);
        remove(&path).unwrap();
    }
}

#[tokio::test]
async fn one_that_was_cut_off_before_its_head_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    for cut in 0..HEAD.len() {
        fs::write(&path, &HEAD[..cut]).unwrap();
        let reopened = Recorder::reopen(&path).unwrap();
        assert!(reopened.is_empty());
        let frames = [stdout(b"a")];
        write(&mut FrameWriter::new(reopened.writer()), &frames).await;
        let recorded = reopened.finish().unwrap();
        assert_eq!(all(Follower::of(recorded, &path, 0).unwrap()).await, frames);
    }
}

#[tokio::test]
async fn one_that_was_given_up_ends_for_those_who_follow_it() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, mut writer) = recorder(&dir.path().join("run"));
    write(&mut writer, &[stdout(b"a")]).await;
    let follower = tokio::spawn(all(recorder.follow(0)));
    drop((recorder, writer));
    assert_eq!(follower.await.unwrap(), [stdout(b"a")]);
}

#[tokio::test]
async fn one_that_nobody_wants_makes_no_file_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let (recorder, mut writer) = recorder(&path);
    write(&mut writer, &[stdout(b"a")]).await;
    recorder.give_up();
    remove(&path).unwrap();
    assert!(writer.send(stdout(&[b'b'; INLINE_LEN_MAX])).await.is_err());
    assert!(!path.exists());
    assert_eq!(all(recorder.follow(0)).await, [stdout(b"a")]);
}

#[tokio::test]
async fn recordings_of_one_room_take_no_more_than_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let room = Arc::new(Room::default());
    let [one, two] = ["one", "two"].map(|name| Recorder::new(&dir.path().join(name)));
    let writer = |recorder: &Recorder| FrameWriter::new(recorder.writer_within(room.clone(), 100));
    write(&mut writer(&one), &[stdout(&[b'a'; 60])]).await;
    assert_eq!(room.taken(), one.len());
    assert!(writer(&two).send(stdout(&[b'b'; 60])).await.is_err());
    assert!(two.lacked_room() && !one.lacked_room());
    assert_eq!((room.taken(), two.len()), (one.len(), 0));
    room.give_back(one.len());
    write(&mut writer(&two), &[stdout(&[b'b'; 60])]).await;
    // What cannot be written takes none.
    let lost = Recorder::new(&dir.path().join("no such folder/run"));
    let mut writer = FrameWriter::new(lost.writer_within(room.clone(), u64::MAX));
    assert!(writer.send(stdout(&[b'c'; INLINE_LEN_MAX])).await.is_err());
    assert_eq!((room.taken(), lost.lacked_room()), (two.len() + lost.len(), false));
}

#[test]
fn what_is_no_recording_or_is_cut_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    assert!(Recorder::reopen(&path).unwrap().is_empty());
    fs::write(&path, "something else altogether").unwrap();
    assert!(Recorder::reopen(&path).is_err());
    fs::write(&path, HEAD).unwrap();
    assert!(Follower::of(Recorded::File { len: 5 }, &path, 0).is_err());
    remove(&path).unwrap();
    remove(&path).unwrap();
}
