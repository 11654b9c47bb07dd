//! How far a program is: said by itself, or by an iterator that counts what is taken from it.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::abi;
use crate::job::Job;
use crate::log::cut;

/// [`Track`] speaks no more often, since the host would pass no more on.
const PAUSE: Duration = Duration::from_millis(1000 / abi::PROGRESS_PER_SECOND as u64);

/// Says that `done` of `total` is done, if the total is known, and with what the program is busy, if `message` is not empty.
/// Ten a second reach whoever looks, and the last one always.
///
/// ```
/// potluck_guest::progress(3, Some(10), "reading");
/// potluck_guest::progress(4, None, "");
/// ```
pub fn progress(done: u64, total: Option<u64>, message: &str) {
    say(Job::of_process(), done, total, message);
}

/// Goes through `items` and says how far it is, which costs a look at the clock for each. The total is what the iterator
/// says of itself, if it knows; [`Track::of`] says it otherwise.
///
/// ```
/// use potluck_guest::track;
///
/// let sum: u32 = track([1, 2, 3]).message("adding").sum();
/// assert_eq!(sum, 6);
/// for line in track("a\nb\nc".lines()).of(3) {
///     assert_eq!(line.len(), 1);
/// }
/// ```
pub fn track<I: IntoIterator>(items: I) -> Track<I::IntoIter> {
    Track::new(Job::of_process(), items.into_iter())
}

/// An iterator that says how far it is; made by [`track`].
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is gone through"]
pub struct Track<I> {
    job: &'static Job,
    items: I,
    total: Option<u64>,
    message: String,
    /// How many were taken and are dealt with: all but the one that is being dealt with.
    done: u64,
    is_at_one: bool,
    said: Option<(u64, Instant)>,
}

impl<I: Iterator> Track<I> {
    fn new(job: &'static Job, items: I) -> Self {
        let total = match items.size_hint() {
            (least, Some(most)) if least == most => u64::try_from(most).ok(),
            _ => None,
        };
        Self { job, items, total, message: String::new(), done: 0, is_at_one: false, said: None }
    }

    /// With how many there are, where the iterator itself does not know.
    pub fn of(mut self, total: u64) -> Self {
        self.total = Some(total);
        self
    }

    /// With what is being done.
    pub fn message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }
}

impl<I> Track<I> {
    fn say_now(&mut self) {
        say(self.job, self.done, self.total, &self.message);
        self.said = Some((self.done, Instant::now()));
    }
}

impl<I: Iterator> Iterator for Track<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.done += u64::from(self.is_at_one);
        let item = self.items.next();
        self.is_at_one = item.is_some();
        if self.job.events.is_some() && item.is_some() && self.said.is_none_or(|(_, at)| at.elapsed() >= PAUSE) {
            self.say_now();
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl<I> Drop for Track<I> {
    /// The last word, also of a loop that was left.
    fn drop(&mut self) {
        if self.job.events.is_some() && self.said.is_none_or(|(done, _)| done != self.done) {
            self.say_now();
        }
    }
}

/// Progress is a courtesy: what cannot be written is left out.
fn say(job: &Job, done: u64, total: Option<u64>, message: &str) {
    if job.events.is_none() {
        return;
    }
    let mut progress = Map::from_iter([("done".to_owned(), Value::from(done))]);
    progress.extend(total.map(|total| ("total".to_owned(), Value::from(total))));
    if !message.is_empty() {
        progress.insert("message".to_owned(), cut(message).into());
    }
    let _left_out = job.say(&json!({ "progress": progress }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::Scene;

    /// A scene, and its job as one of the whole process.
    fn lasting() -> (Scene, &'static Job) {
        let scene = Scene::new();
        let job = Box::leak(Box::new(scene.job.clone()));
        (scene, job)
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let scene = Scene::new();
        say(&scene.job, 3, Some(10), "read\u{1}ing \"x\"");
        say(&scene.job, 4, None, "");
        let full = json!({"progress": {"done": 3, "total": 10, "message": "read\u{1}ing \"x\""}});
        assert_eq!(scene.said(), [full, json!({"progress": {"done": 4}})]);
    }

    #[test]
    fn a_loop_says_its_beginning_and_its_end_and_little_between() {
        let (scene, job) = lasting();
        assert_eq!(Track::new(job, 0..100_000).message("counting").count(), 100_000);
        let said = scene.said();
        assert_eq!(said[0], json!({"progress": {"done": 0, "total": 100_000, "message": "counting"}}));
        assert_eq!(said[said.len() - 1]["progress"]["done"], 100_000);
        assert!(said.len() < 10_000, "{} lines for a loop that does nothing", said.len());
    }

    #[test]
    fn a_loop_that_is_left_says_what_it_has_done() {
        let (scene, job) = lasting();
        for number in Track::new(job, std::iter::repeat(1).enumerate()).of(50) {
            if number.0 == 7 {
                break;
            }
        }
        let last = scene.said().pop().unwrap();
        assert_eq!(last, json!({"progress": {"done": 7, "total": 50}}), "the one it was left at is not done");
    }

    #[test]
    fn an_empty_loop_is_done() {
        let (scene, job) = lasting();
        assert_eq!(Track::new(job, std::iter::empty::<u8>()).count(), 0);
        assert_eq!(scene.said(), [json!({"progress": {"done": 0, "total": 0}})]);
    }
}
