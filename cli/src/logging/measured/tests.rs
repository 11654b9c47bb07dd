use super::*;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;

fn gone(paces: &mut Paces, peer: Option<&str>, lines: usize, now: Instant) -> usize {
    (0..lines).filter(|_| paces.judge(peer, now) != Verdict::LeftOut).count()
}

#[test]
fn a_flood_is_cut_and_counted_and_what_comes_later_goes() {
    let start = Instant::now();
    let mut paces = Paces::new(start);
    assert_eq!(gone(&mut paces, None, 1_000, start), 400);
    let later = start + Duration::from_secs(1);
    assert_eq!(paces.judge(None, later), Verdict::Goes { left_out: 600 });
    assert_eq!(gone(&mut paces, None, 100, later), 9);
    let much_later = later + Duration::from_secs(3600);
    assert_eq!(gone(&mut paces, None, 1_000, much_later), 400);
}

#[test]
fn one_peers_flood_leaves_the_lines_about_others_and_about_nobody_alone() {
    let start = Instant::now();
    let mut paces = Paces::new(start);
    assert_eq!(gone(&mut paces, Some("eve"), 100_000, start), 50);
    assert_eq!(gone(&mut paces, Some("bob"), 50, start), 50);
    assert_eq!(gone(&mut paces, None, 400, start), 400);
    let later = start + Duration::from_secs(1);
    assert_eq!(paces.judge(Some("eve"), later), Verdict::Goes { left_out: 99_950 });
    assert_eq!(paces.judge(Some("eve"), later), Verdict::LeftOut);
}

#[test]
fn many_peers_together_have_a_bound_as_well_and_take_bounded_memory() {
    let start = Instant::now();
    let mut paces = Paces::new(start);
    let lines: usize = (0..5_000).map(|peer| gone(&mut paces, Some(&peer.to_string()), 10, start)).sum();
    assert_eq!((lines, paces.each.len()), (400, PEERS_MAX));
    // What was left out for want of room of all is told of each that is still known.
    let later = start + Duration::from_secs(60);
    assert_eq!(paces.judge(Some("4999"), later), Verdict::Goes { left_out: 10 });
}

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_is_about_the_peer_of_its_span_or_the_one_it_names() {
    let kept = Kept::default();
    let writer = {
        let kept = kept.clone();
        move || kept.clone()
    };
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer.clone());
    let subscriber = tracing_subscriber::registry().with(lines).with(Measured::new(writer));
    tracing::subscriber::with_default(subscriber, || {
        let of_eve = tracing::info_span!("link", peer = "eve".to_owned(), link = 1);
        let inner = of_eve.in_scope(|| tracing::info_span!("request"));
        for _ in 0..30 {
            of_eve.in_scope(|| tracing::warn!("in her span"));
            inner.in_scope(|| tracing::warn!("below her span"));
            tracing::warn!(peer = "eve", "by her name");
            tracing::info_span!("link", peer = "bob").in_scope(|| tracing::warn!("about bob"));
            tracing::warn!("about nobody");
        }
    });
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("her span") + count("by her name"), 50, "{log}");
    assert_eq!((count("about bob"), count("about nobody")), (30, 30), "{log}");
}
