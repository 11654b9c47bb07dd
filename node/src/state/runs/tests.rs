use super::*;
use crate::identity::NodeId;
use crate::state::now::Mono;
use crate::wire::JobId;

const ANN: Place = Place::Peer(NodeId::from_bytes([1; 32]));
const BOB: Place = Place::Peer(NodeId::from_bytes([2; 32]));

fn key(home: Place, job: u16) -> Key {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&job.to_be_bytes());
    Key { home, run: RunId { job: JobId(bytes), attempt: 1 } }
}

fn at(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_000_000 + ms) }
}

fn records(effects: &[Effect]) -> Vec<Record> {
    let record = |effect: &Effect| if let Effect::Persist(record) = effect { Some(*record) } else { None };
    effects.iter().filter_map(record).collect()
}

#[test]
fn the_same_request_twice_gives_one_run_and_the_same_answer() {
    let mut runs = Runs::default();
    let one = key(ANN, 1);
    let is = |kept| Effect::Persist(Record::Is { key: one, kept, at: at(0).wall });
    let first = [is(Kept::Waiting), Effect::Accept(one), Effect::Queue(one)];
    assert_eq!(runs.handle(at(0), Event::Asked(one)), first);
    assert_eq!(runs.handle(at(0), Event::Asked(one)), [Effect::Accept(one)]);
    let starts = [is(Kept::Running), Effect::Start(one), Effect::Tell(one, Kept::Running)];
    assert_eq!(runs.handle(at(0), Event::Starting(one)), starts);
    assert_eq!(runs.handle(at(0), Event::Starting(one)), []);
    assert_eq!(runs.handle(at(0), Event::Asked(one)), [Effect::Tell(one, Kept::Running)]);
    assert_eq!(runs.handle(at(0), Event::Ended(one)), [is(Kept::Ended), Effect::Tell(one, Kept::Ended)]);
    assert_eq!(runs.handle(at(0), Event::Asked(one)), [Effect::Tell(one, Kept::Ended)]);
    // Another home's job of the same id is another run.
    assert_eq!(runs.handle(at(0), Event::Asked(key(BOB, 1))).len(), 3);
}

#[test]
fn what_is_released_stops_goes_and_does_not_begin_again() {
    let mut runs = Runs::default();
    let (waits, runs_now, ended) = (key(ANN, 1), key(ANN, 2), key(ANN, 3));
    for key in [waits, runs_now, ended] {
        let _ = runs.handle(at(0), Event::Asked(key));
    }
    let _ = runs.handle(at(0), Event::Starting(runs_now));
    let _ = runs.handle(at(0), Event::Starting(ended));
    let _ = runs.handle(at(0), Event::Ended(ended));
    let gone = |key| Effect::Persist(Record::Gone(key));
    let cases = [
        (waits, vec![Effect::Unqueue(waits), gone(waits), Effect::Discard(waits)]),
        (runs_now, vec![Effect::Stop(runs_now), gone(runs_now), Effect::Discard(runs_now)]),
        (ended, vec![gone(ended), Effect::Discard(ended)]),
    ];
    for (key, effects) in cases {
        assert_eq!(runs.handle(at(0), Event::Released(key)), effects);
        assert_eq!(runs.handle(at(0), Event::Released(key)), []);
        assert_eq!(runs.handle(at(0), Event::Asked(key)), [Effect::Refuse(key, Refusal::Withdrawn)]);
        // Its worker may say something yet.
        assert_eq!(runs.handle(at(0), Event::Ended(key)), []);
    }
    assert!(runs.is_empty() && runs.of_home.is_empty() && runs.ended.is_empty());
    // A release that overtakes its request holds, too.
    let late = key(ANN, 4);
    assert_eq!(runs.handle(at(0), Event::Released(late)), []);
    assert_eq!(runs.handle(at(0), Event::Asked(late)), [Effect::Refuse(late, Refusal::Withdrawn)]);
}

#[test]
fn only_what_has_not_started_is_given_back() {
    let mut runs = Runs::default();
    let (waits, started) = (key(ANN, 1), key(ANN, 2));
    for key in [waits, started] {
        let _ = runs.handle(at(0), Event::Asked(key));
    }
    let _ = runs.handle(at(0), Event::Starting(started));
    assert_eq!(runs.handle(at(0), Event::Withdrawn(started)), []);
    let given = [
        Effect::Unqueue(waits),
        Effect::Persist(Record::Gone(waits)),
        Effect::Discard(waits),
        Effect::Refuse(waits, Refusal::Withdrawn),
    ];
    assert_eq!(runs.handle(at(0), Event::Withdrawn(waits)), given);
    assert_eq!(runs.handle(at(0), Event::Starting(waits)), []);
}

#[test]
fn a_runner_that_was_stopped_knows_all_it_said_and_what_ran_is_lost() {
    let mut runs = Runs::default();
    let (waits, running, ended, evicted, gone) = (key(ANN, 1), key(ANN, 2), key(BOB, 3), key(BOB, 4), key(BOB, 5));
    let mut book = BTreeMap::new();
    let mut all = Vec::new();
    for key in [waits, running, ended, evicted, gone] {
        all.extend(runs.handle(at(0), Event::Asked(key)));
    }
    for key in [running, ended, evicted, gone] {
        all.extend(runs.handle(at(1), Event::Starting(key)));
    }
    all.extend(runs.handle(at(2), Event::Ended(ended)));
    all.extend(runs.handle(at(2), Event::Evicted(evicted)));
    all.extend(runs.handle(at(2), Event::Released(gone)));
    for record in records(&all) {
        let (Record::Is { key, .. } | Record::Gone(key)) = record;
        book.insert(key, record);
    }
    let (mut again, effects) = Runs::restored(book.into_values(), at(3));
    let lost = Record::Is { key: running, kept: Kept::Lost, at: at(3).wall };
    assert_eq!(effects, [Effect::Queue(waits), Effect::Persist(lost)]);
    assert_eq!(again.of(ANN).collect::<Vec<_>>(), [(waits, Kept::Waiting), (running, Kept::Lost)]);
    let answer = again.handle(at(4), Event::AskedForAll { home: BOB, ask: 7 });
    let expected = vec![(ended.run, Kept::Ended), (evicted.run, Kept::Evicted)];
    assert_eq!(answer, [Effect::Inventory { home: BOB, ask: 7, runs: expected }]);
}

#[test]
fn what_nobody_fetches_goes_after_the_keeping_time() {
    let mut runs = Runs::default();
    let one = key(ANN, 1);
    for event in [Event::Asked(one), Event::Starting(one), Event::Ended(one)] {
        let _ = runs.handle(at(0), event);
    }
    assert_eq!(runs.handle(at(KEEP_MS - 1), Event::Tick), []);
    // A clock that is set back keeps it longer, never shorter.
    let set_back = Now { mono: Mono(2), wall: Wall(5) };
    assert_eq!(runs.handle(set_back, Event::Tick), []);
    let gone = [Effect::Persist(Record::Gone(one)), Effect::Discard(one)];
    assert_eq!(runs.handle(Now { wall: at(KEEP_MS).wall, ..set_back }, Event::Tick), gone);
    assert!(runs.is_empty());
}

#[test]
fn a_home_has_so_many_runs_here_and_is_told_when_to_ask_again() {
    let mut runs = Runs::default();
    let most = u16::try_from(RUNS_PER_HOME_MAX).unwrap();
    for job in 0..most {
        let _ = runs.handle(at(0), Event::Asked(key(ANN, job)));
    }
    let [Effect::Refuse(_, Refusal::NotNow { why, retry_after_ms: 1_000 })] =
        &runs.handle(at(0), Event::Asked(key(ANN, most)))[..]
    else {
        panic!("one too many was taken")
    };
    assert!(why.contains("1024 runs of this home"), "{why}");
    assert_eq!(runs.handle(at(0), Event::Asked(key(BOB, 1))).len(), 3, "another home is not in its way");
    for job in 0..20_000 {
        let _ = runs.handle(at(0), Event::Released(key(BOB, job)));
    }
    assert_eq!(runs.over.len(), OVER_MAX);
}

#[test]
fn an_owner_who_takes_the_machine_back_ends_what_waits_and_what_runs() {
    let mut runs = Runs::default();
    let (waits, running) = (key(ANN, 1), key(ANN, 2));
    for key in [waits, running] {
        let _ = runs.handle(at(0), Event::Asked(key));
    }
    let _ = runs.handle(at(0), Event::Starting(running));
    let is = |key| Effect::Persist(Record::Is { key, kept: Kept::Evicted, at: at(9).wall });
    let evicted = [Effect::Unqueue(waits), is(waits), Effect::Tell(waits, Kept::Evicted)];
    assert_eq!(runs.handle(at(9), Event::Evicted(waits)), evicted);
    let stopped = [Effect::Stop(running), is(running), Effect::Tell(running, Kept::Evicted)];
    assert_eq!(runs.handle(at(9), Event::Evicted(running)), stopped);
    assert_eq!(runs.handle(at(9), Event::Evicted(running)), []);
    assert_eq!(runs.handle(at(9), Event::Starting(waits)), []);
}

#[test]
fn only_a_guest_that_runs_is_asked_to_end_and_what_has_not_begun_is_given_back() {
    let mut runs = Runs::default();
    let (waits, running, ended, late) = (key(ANN, 1), key(ANN, 2), key(ANN, 3), key(ANN, 4));
    for key in [waits, running, ended] {
        let _ = runs.handle(at(0), Event::Asked(key));
    }
    let _ = runs.handle(at(0), Event::Starting(running));
    let _ = runs.handle(at(0), Event::Starting(ended));
    let _ = runs.handle(at(0), Event::Ended(ended));
    for _ in 0..2 {
        let asked = [Effect::AskToEnd(running), Effect::Tell(running, Kept::Running)];
        assert_eq!(runs.handle(at(0), Event::AskedToEnd(running)), asked);
    }
    assert_eq!(runs.handle(at(0), Event::AskedToEnd(ended)), [Effect::Tell(ended, Kept::Ended)]);
    let given_back = runs.handle(at(0), Event::AskedToEnd(waits));
    assert_eq!(given_back.first(), Some(&Effect::Unqueue(waits)));
    assert_eq!(given_back.last(), Some(&Effect::Refuse(waits, Refusal::Withdrawn)));
    // It may overtake its request.
    assert_eq!(runs.handle(at(0), Event::AskedToEnd(late)), [Effect::Refuse(late, Refusal::Withdrawn)]);
    assert_eq!(runs.handle(at(0), Event::Asked(late)), [Effect::Refuse(late, Refusal::Withdrawn)]);
    assert_eq!(runs.len(), 2);
}
