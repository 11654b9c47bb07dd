use super::*;
use potluck_node::state::home::end::{End, Failure as Failed, LostWhy};
use potluck_runtime::Outcome;
use tempfile::TempDir;

fn account(dir: &TempDir, names: &[&str]) -> Account {
    let task = |name: &&str| Task { name: (*name).to_owned(), inputs: vec![PathBuf::from(name)] };
    Account::new(dir.path(), names.iter().map(task).collect(), Journal::open(dir.path()).unwrap(), true)
}

fn job(number: u8) -> JobId {
    JobId([number; 16])
}

fn request(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn failed(code: i32) -> Ending {
    Ending::from(&End::Failed(Failed::Outcome(Outcome::Exited(code))))
}

/// Gives every task that is wanted under a new map; job ids count from `first`.
fn give(account: &mut Account, map: u8, first: u8) -> Vec<usize> {
    account.begin(BatchId(job(map))).unwrap();
    let mut given = Vec::new();
    for task in 0..account.tasks.len() {
        if account.wants(task, &request("same")) {
            let job = job(first + u8::try_from(task).unwrap());
            account.give(task, Vec::new(), request("same"), job).unwrap();
            given.push(task);
        }
    }
    given
}

#[test]
fn the_counts_come_to_the_number_of_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let mut account = account(&dir, &["a", "b", "c", "d", "e"]);
    assert_eq!(give(&mut account, 1, 10), [0, 1, 2, 3, 4]);
    account.end(job(10), &Ending::from(&End::Done), Some("attic"), Came::default()).unwrap();
    account.end(job(11), &failed(3), Some("attic"), Came { last_line: "boom".into(), ..Came::default() }).unwrap();
    account.end(job(12), &Ending::from(&End::Cancelled), None, Came::default()).unwrap();
    let lost = End::Lost(LostWhy::Vanished { runs: 3, last: "silence".into() });
    account.end(job(13), &Ending::from(&lost), None, Came::default()).unwrap();
    // Said twice, it counts once; what is not ours counts nothing.
    account.end(job(10), &failed(1), None, Came::default()).unwrap();
    account.end(job(99), &failed(1), None, Came::default()).unwrap();
    let counts = account.counts();
    let expected =
        Counts { total: 5, given: 5, done: 1, failed: 1, cancelled: 1, lost: 1, running: 1, ..Counts::default() };
    assert_eq!(counts, expected);
    assert_eq!(account.places, BTreeMap::from([("attic".to_owned(), 1)]));
    let lines: Vec<&str> = account.failures().map(|failure| failure.last_line.as_str()).collect();
    assert_eq!(lines[0], "boom");
    assert!(lines[2].contains("3 runs vanished"), "{lines:?}");
}

#[test]
fn the_same_command_again_gives_what_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = account(&dir, &["a", "b", "c"]);
    give(&mut first, 1, 10);
    std::fs::write(dir.path().join("a.out"), "").unwrap();
    first.end(job(10), &Ending::from(&End::Done), None, Came::default()).unwrap();
    first.end(job(11), &failed(3), None, Came::default()).unwrap();
    first.flush().unwrap();
    drop(first);

    let mut again = account(&dir, &["a", "b", "c"]);
    let mut before = again.resume(|_| Ok(true)).unwrap();
    again.take_up(before.remove(&BatchId(job(1))).unwrap().given);
    assert!(before.is_empty(), "c is the node's still, and nothing else");
    assert_eq!(again.task_of(job(12)), Some(2));
    again.end(job(12), &failed(4), None, Came::default()).unwrap();
    assert_eq!(give(&mut again, 2, 20), [1], "a is done, and c has failed just now");
    assert_eq!((again.counts().skipped, again.counts().failed, again.counts().running), (1, 1, 1));
}

#[test]
fn a_task_whose_inputs_or_results_changed_is_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = account(&dir, &["a", "b"]);
    give(&mut first, 1, 10);
    std::fs::write(dir.path().join("a.out"), "").unwrap();
    for number in [10, 11] {
        first.end(job(number), &Ending::from(&End::Done), None, Came::default()).unwrap();
    }
    drop(first);
    let mut again = account(&dir, &["a", "b"]);
    assert!(again.resume(|_| Ok(true)).unwrap().is_empty());
    assert!(again.wants(0, &request("other")), "its input is another");
    assert!(!again.wants(0, &request("same")));
    assert!(again.wants(1, &request("same")), "its result is gone");
}

#[test]
fn what_the_node_knows_nothing_of_is_given_again_as_the_same_job_unless_it_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = account(&dir, &["a"]);
    give(&mut first, 1, 10);
    drop(first);
    let mut again = account(&dir, &["a"]);
    let before = again.resume(|_| Ok(false)).unwrap();
    assert_eq!(before[&BatchId(job(1))].unsure, [(job(10), 0)]);
    assert!(!again.wants_again(0, &request("other")));
    assert!(again.wants_again(0, &request("same")));
    assert_eq!(give(&mut again, 2, 20), [0]);
    assert!(!again.wants_again(0, &request("same")), "it is given");
}

#[test]
fn a_failure_stops_the_rest_unless_they_are_to_go_on() {
    for keep_going in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut account = Account { keep_going, ..account(&dir, &["a"]) };
        give(&mut account, 1, 10);
        account.end(job(10), &failed(3), None, Came::default()).unwrap();
        assert_eq!(account.stopped, !keep_going);
    }
}

#[test]
fn a_task_that_cannot_be_read_is_a_failure_that_was_not_given() {
    for keep_going in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut account = Account { keep_going, ..account(&dir, &["a", "b"]) };
        account.unreadable(0, &Ending::from(&End::Failed(Failed::Refused("no such file".into())))).unwrap();
        assert_eq!(account.stopped, !keep_going);
        let counts = Counts { total: 2, open: 1, unreadable: 1, ..Counts::default() };
        assert_eq!(account.counts(), counts);
        assert!(account.failures().next().unwrap().last_line.contains("no such file"));
        account.flush().unwrap();
        let journal = std::fs::read_to_string(dir.path().join(super::super::journal::NAME)).unwrap();
        assert!(journal.contains("unreadable") && journal.contains("no such file"), "{journal}");
    }
}

#[test]
fn what_was_not_brought_back_is_counted_and_the_first_of_it_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut account = account(&dir, &["a", "b"]);
    give(&mut account, 1, 10);
    let left_behind = (0..9).map(|number| format!("{number}.bin")).collect();
    account.end(job(10), &Ending::from(&End::Done), None, Came { left_behind, ..Came::default() }).unwrap();
    account.end(job(11), &Ending::from(&End::Done), None, Came::default()).unwrap();
    let (first, count) = account.left_behind();
    assert_eq!((first.len(), count), (1, 1));
    assert_eq!((first[0].task.as_str(), first[0].count, first[0].paths.len()), ("a", 9, LEFT_NAMES_MAX));
}
