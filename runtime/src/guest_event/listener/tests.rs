use super::*;
use crate::guest_event::Amount;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn progress(done: u32) -> String {
    format!("{{\"progress\":{{\"done\":{done}}}}}\n")
}

fn log(message: &str) -> String {
    format!("{{\"log\":{{\"level\":\"info\",\"message\":\"{message}\"}}}}\n")
}

/// What was heard, in a few letters each.
fn words(heard: &[Heard]) -> Vec<String> {
    let word = |heard: &Heard| match heard {
        Heard::Event(GuestEvent::Progress(progress)) => format!("p{}", progress.done),
        Heard::Event(GuestEvent::Log(log)) if log.level == LogLevel::Warn => format!("warning: {}", log.message),
        Heard::Event(GuestEvent::Log(log)) => log.message.clone(),
        Heard::Event(GuestEvent::Result(json)) => format!("r{}", json.as_str()),
        Heard::Event(GuestEvent::Checkpoint { .. } | GuestEvent::Restored { .. }) => "of the machine".to_owned(),
        Heard::Checkpoint(file) => format!("c{file:?}"),
    };
    heard.iter().map(word).collect()
}

#[test]
fn lines_are_understood_wherever_the_writes_are_cut() {
    let text = format!("{}\n  \n{}{{\"result\":7}}", log("one"), log("two"));
    for cut in 1..text.len() {
        let mut listener = Listener::default();
        let mut heard = Vec::new();
        for piece in text.as_bytes().chunks(cut) {
            heard.extend(listener.hear(piece, ms(0)));
        }
        heard.extend(listener.finish(ms(0)));
        assert_eq!(words(&heard), ["one", "two", "r7"], "cut every {cut} bytes");
    }
}

#[test]
fn progress_is_thinned_to_its_pace_and_the_last_gets_through() {
    let mut listener = Listener::default();
    let mut heard = Vec::new();
    for at in 0..1000 {
        heard.extend(listener.hear(progress(at).as_bytes(), ms(at.into())));
    }
    assert_eq!(words(&heard), ["p0", "p100", "p200", "p300", "p400", "p500", "p600", "p700", "p800", "p900"]);
    assert_eq!(listener.due(), Some(ms(1000)));
    assert_eq!(listener.take_due(ms(999)), None);
    let last = GuestProgress { done: Amount::new(999.0).unwrap(), total: None, message: String::new() };
    assert_eq!(listener.take_due(ms(1000)), Some(GuestEvent::Progress(last)));
    assert_eq!(listener.due(), None);
    assert!(listener.hear(progress(1000).as_bytes(), ms(1001)).is_empty());
    assert_eq!(words(&listener.finish(ms(1002))), ["p1000"]);
    assert!(listener.finish(ms(1003)).is_empty());
}

#[test]
fn progress_of_a_day_comes_to_a_few_thousand() {
    let mut listener = Listener::default();
    let mut count = 0;
    for at in (0..24 * 3600 * 20).map(|twentieth| ms(twentieth * 50)) {
        count += listener.hear(b"{\"progress\":{\"done\":1}}\n", at).len();
    }
    assert!((5_000..10_000).contains(&count), "{count}");
}

#[test]
fn what_is_no_event_is_told_once() {
    let mut listener = Listener::default();
    let mut heard = listener.hear(b"hello\nworld\n", ms(0));
    heard.extend(listener.hear(log("x").as_bytes(), ms(0)));
    let words = words(&heard);
    assert!(words.len() == 2 && words[0].starts_with("warning: a line") && words[1] == "x", "{words:?}");
}

#[test]
fn a_line_that_is_too_long_is_passed_over_and_takes_no_room() {
    let mut listener = Listener::default();
    let mut heard = Vec::new();
    for _ in 0..1000 {
        heard.extend(listener.hear(&[b'x'; 4096], ms(0)));
        assert!(listener.line.capacity() <= 2 * EVENT_LEN_MAX);
    }
    heard.extend(listener.hear(format!("\n{}", log("after")).as_bytes(), ms(0)));
    let words = words(&heard);
    assert!(words.len() == 2 && words[0].contains("longer than") && words[1] == "after", "{words:?}");
}

#[test]
fn the_longest_line_is_an_event() {
    let frame = log("").len();
    let line = log(&"x".repeat(EVENT_LEN_MAX - frame));
    assert_eq!(line.len(), EVENT_LEN_MAX);
    assert_eq!(Listener::default().hear(line.as_bytes(), ms(0)).len(), 1);
    let line = log(&"x".repeat(EVENT_LEN_MAX - frame + 1));
    assert!(words(&Listener::default().hear(line.as_bytes(), ms(0)))[0].contains("longer than"));
}

#[test]
fn of_too_many_words_the_last_result_and_checkpoints_get_through() {
    let mut listener = Listener::default();
    let mut heard = Vec::new();
    for _ in 0..EVENTS_MAX + 5 {
        heard.extend(listener.hear(log("x").as_bytes(), ms(0)));
    }
    assert_eq!(heard.len() as u64, EVENTS_MAX + 1);
    assert!(words(&heard[heard.len() - 1..])[0].contains("too much"));
    let more = listener.hear(b"{\"result\":1}\n{\"result\":2}\n{\"checkpoint\":{\"file\":\"s\"}}\n", ms(0));
    assert_eq!(words(&more), ["cSome(\"s\")"]);
    assert_eq!(words(&listener.finish(ms(0))), ["r2"]);
}

#[test]
fn words_are_bounded_by_their_length_as_well() {
    let mut listener = Listener::default();
    let line = log(&"x".repeat(60_000));
    let passed: usize = (0..1000).map(|_| listener.hear(line.as_bytes(), ms(0)).len()).sum();
    assert_eq!(passed, EVENTS_LEN_MAX / (line.len() - 1) + 1);
}
