//! What a job goes on from when it is run again.

use super::*;

fn checkpoint(number: u8) -> Input {
    Input { digest: Digest::from_bytes([number; 32]), size: number.into() }
}

fn gives(bench: &mut Bench, place: Place, run: RunId, number: Option<u8>) {
    bench.hears(Event::Checkpointed { place, run, checkpoint: number.map(checkpoint) });
}

/// How often something of a checkpoint was to be written down after the last event.
fn records(bench: &Bench) -> usize {
    let is_record = |effect: &&Effect| matches!(effect, Effect::Persist(Record::Checkpointed { .. }));
    bench.effects.iter().filter(is_record).count()
}

#[test]
fn the_next_run_goes_on_from_the_last_checkpoint_of_one_that_was_wanted() {
    let mut bench = Bench::new(&[(peer(1), 1), (peer(2), 1)]);
    bench.submit(vec![job(1)]);
    let (place, first) = bench.started().pop().unwrap();
    assert_eq!(bench.restored, [], "there is nothing to go on from");
    bench.hears(Event::RunStarted { place, run: first });
    gives(&mut bench, place, first, Some(1));
    gives(&mut bench, place, first, Some(2));
    assert_eq!(records(&bench), 1);
    gives(&mut bench, place, first, Some(2));
    assert_eq!(records(&bench), 0, "it is known");
    bench.hears(Event::RunLost { place, run: first, why: "killed".into() });
    let (elsewhere, second) = bench.started().pop().unwrap();
    assert_eq!(bench.restored, [(second, Some(checkpoint(2)))]);
    // What the one before says too late changes nothing, and what the second says does.
    gives(&mut bench, place, first, Some(3));
    assert_eq!(records(&bench), 0);
    bench.hears(Event::RunStarted { place: elsewhere, run: second });
    gives(&mut bench, elsewhere, second, Some(4));
    bench.hears(Event::RunEvicted { place: elsewhere, run: second, retry_after_ms: 1 });
    let third = bench.started().pop().unwrap().1;
    assert_eq!(bench.restored.last(), Some(&(third, Some(checkpoint(4)))));
}

#[test]
fn a_checkpoint_is_known_after_a_restart_and_not_when_it_was_forgotten() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit(vec![job(1)]);
    let (place, first) = bench.started().pop().unwrap();
    bench.hears(Event::RunStarted { place, run: first });
    gives(&mut bench, place, first, Some(1));
    bench.restart();
    bench.joins(facts(peer(1), 1));
    bench.hears(Event::RunLost { place, run: first, why: "killed".into() });
    bench.passes(60_000, &[peer(1)]);
    let second = bench.started().pop().unwrap().1;
    assert_eq!(bench.restored, [(second, Some(checkpoint(1)))]);
    bench.hears(Event::RunStarted { place, run: second });
    gives(&mut bench, place, second, None);
    bench.hears(Event::RunEvicted { place, run: second, retry_after_ms: 1 });
    bench.passes(60_000, &[peer(1)]);
    assert_eq!(bench.started().len(), 1);
    assert_eq!(bench.restored.len(), 1, "it begins anew");
}

#[test]
fn what_an_ended_job_kept_is_of_no_use_to_anybody() {
    let mut bench = Bench::new(&[(peer(1), 1)]);
    bench.submit(vec![job(1)]);
    let (place, first) = bench.started().pop().unwrap();
    gives(&mut bench, place, first, Some(1));
    bench.ends(place, first, 0, 5);
    gives(&mut bench, place, first, Some(2));
    assert_eq!((records(&bench), bench.home.is_empty()), (0, true));
}
