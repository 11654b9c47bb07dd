use super::*;
use potluck_node::state::home::end::{End, Failure};
use potluck_runtime::{JsonText, Outcome};
use std::path::PathBuf;

fn task(name: &str) -> Task {
    Task { name: name.to_owned(), inputs: vec![PathBuf::from(format!("{name}.txt"))] }
}

fn job(number: u8) -> JobId {
    JobId([number; 16])
}

fn json(text: &str) -> OwnJson {
    OwnJson::from(&JsonText::parse(text.to_owned()).unwrap())
}

fn map(number: u8) -> BatchId {
    BatchId(job(number))
}

/// A journal in which `a` is done and `b` was given.
fn begun(dir: &Path) -> Journal {
    let mut journal = Journal::open(dir).unwrap();
    journal.begin(map(1)).unwrap();
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let number = u8::try_from(index).unwrap();
        journal.task((index, &task(name)), Vec::new(), Digest::of(name.as_bytes()), job(number)).unwrap();
    }
    journal.end("a", job(0), &Ending::from(&End::Done), (Some(vec!["made.txt".into()]), Some(json("[1]")))).unwrap();
    journal.flush().unwrap();
    journal
}

#[test]
fn what_was_given_and_how_it_ended_is_known_again() {
    let dir = tempfile::tempdir().unwrap();
    let before = begun(dir.path());
    let known = before.known.clone();
    drop(before);
    let again = Journal::open(dir.path()).unwrap();
    assert_eq!(again.known, known);
    assert_eq!(again.known("a").unwrap().end, Some(EndKind::Done));
    let unended: Vec<_> = again.unended().map(|(task, known)| (task, known.job, known.map)).collect();
    assert_eq!(unended, [("b", job(1), map(1))]);
    assert_eq!(again.known("c"), None);
}

/// The results that are told, in their order.
fn results(journal: &mut Journal) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let told = journal.each_result(|task, result| {
        all.push((task.to_owned(), result.get().to_owned()));
        Ok(())
    });
    told.unwrap();
    all
}

#[test]
fn a_result_is_that_of_the_job_that_ended_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = begun(dir.path());
    assert_eq!(results(&mut journal), [("a".to_owned(), "[1]".to_owned())]);
    journal.begin(map(2)).unwrap();
    journal.task((0, &task("a")), Vec::new(), Digest::of(b"other"), job(7)).unwrap();
    assert_eq!(results(&mut journal), [], "the job that came to it is not the task's any more");
    journal.end("a", job(7), &Ending::from(&End::Done), (None, Some(json("123456789012345678901234567890")))).unwrap();
    drop(journal);
    assert_eq!(
        results(&mut Journal::open(dir.path()).unwrap()),
        [("a".to_owned(), "123456789012345678901234567890".to_owned())]
    );
}

#[test]
fn a_task_that_is_given_again_is_that_of_its_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = begun(dir.path());
    journal.begin(map(2)).unwrap();
    journal.task((0, &task("a")), Vec::new(), Digest::of(b"other"), job(7)).unwrap();
    // What an earlier job of the task came to does not count any more.
    let failed = Ending::from(&End::Failed(Failure::Outcome(Outcome::Exited(3))));
    journal.end("a", job(0), &failed, (Some(Vec::new()), None)).unwrap();
    drop(journal);
    let mut journal = Journal::open(dir.path()).unwrap();
    let files = vec!["made.txt".to_owned()];
    let known = Known { request: Digest::of(b"other"), job: job(7), map: map(2), end: None, files: files.clone() };
    assert_eq!(journal.known("a"), Some(&known));
    // Of a job of which nothing came, what the one before left is still there.
    journal.end("a", job(7), &Ending::from(&End::Cancelled), (None, None)).unwrap();
    drop(journal);
    let known = Known { end: Some(EndKind::Cancelled), ..known };
    assert_eq!(Journal::open(dir.path()).unwrap().known("a"), Some(&known));
}

#[test]
fn a_line_that_a_crash_cut_off_means_nothing_and_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    drop(begun(dir.path()));
    let path = dir.path().join(NAME);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"line\":\"end\",\"task\":\"b\",");
    std::fs::write(&path, bytes).unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.known("b").unwrap().end, None);
    journal.end("b", job(1), &Ending::lost("silence".into()), (None, None)).unwrap();
    drop(journal);
    assert_eq!(Journal::open(dir.path()).unwrap().known("b").unwrap().end, Some(EndKind::Lost));
}

#[test]
fn two_maps_in_one_folder_and_journals_of_later_versions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = begun(dir.path());
    let refused = Journal::open(dir.path()).err().unwrap().to_string();
    assert!(refused.contains("another `potluck map`"), "{refused}");
    drop(journal);
    let later = format!("{{\"line\":\"map\",\"version\":2,\"map\":\"{}\"}}\n", job(3));
    std::fs::write(dir.path().join(NAME), later).unwrap();
    assert!(format!("{:#}", Journal::open(dir.path()).err().unwrap()).contains("later version"));
}
