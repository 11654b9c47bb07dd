//! Memory images that jobs would have started from and that are not there yet. They are made in the background, one at a
//! time, where a node goes on running; elsewhere they are only noted, for whoever may make them.

use potluck_runtime::{BuiltIn, Prepared, Runtime, SilentWatch};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Notes what is missing, and makes it if it is to.
#[derive(Clone)]
pub(super) struct ImageMaker {
    inner: Arc<Inner>,
}

struct Inner {
    runtime: Runtime,
    makes: bool,
    /// Whether nothing is to be made for now.
    held: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wanted: Vec<(String, &'static BuiltIn)>,
    /// Those that could not be made, which is not tried again before the node starts anew.
    failed: Vec<&'static str>,
    at_work: bool,
}

impl ImageMaker {
    pub(super) fn new(runtime: Runtime, makes: bool) -> Self {
        Self { inner: Arc::new(Inner { runtime, makes, held: watch::Sender::new(false), state: Mutex::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes nothing while it is held; what was being made is given up and begun anew later.
    pub(super) fn hold(&self, held: bool) {
        self.inner.held.send_if_modified(|before| std::mem::replace(before, held) != held);
    }

    /// Notes the images a job would have started from.
    pub(super) fn note(&self, environment: &str, prepared: &Prepared) {
        let mut state = self.state();
        for image in prepared.missing_images() {
            let known = state.wanted.iter().any(|(of, wanted)| of == environment && wanted.name == image.name);
            if !known && !state.failed.contains(&image.name) {
                state.wanted.push((environment.to_owned(), image));
            }
        }
        if self.inner.makes && !state.wanted.is_empty() && !state.at_work {
            state.at_work = true;
            tokio::spawn(self.clone().work());
        }
    }

    /// Built-in images that were missing so far.
    pub(super) fn wanted(&self) -> Vec<&'static str> {
        self.state().wanted.iter().map(|(_, image)| image.name).collect()
    }

    /// What is to be made next; when nothing is, the work has ended.
    fn next(&self) -> Option<(String, &'static BuiltIn)> {
        let mut state = self.state();
        let next = state.wanted.first().cloned();
        state.at_work = next.is_some();
        next
    }

    async fn work(self) {
        loop {
            let mut held = self.inner.held.subscribe();
            // The sender lives in `self`, so this cannot fail while we borrow it.
            let _ = held.wait_for(|held| !*held).await;
            let Some((environment, image)) = self.next() else { return };
            let recipe = image.recipe();
            let made = tokio::select! {
                made = self.inner.runtime.make_image(&environment, &recipe, &SilentWatch) => made,
                _ = held.wait_for(|held| *held) => continue,
            };
            let mut state = self.state();
            state.wanted.retain(|(of, wanted)| *of != environment || wanted.name != image.name);
            match made {
                Ok(()) => tracing::debug!(image = image.name, "image made"),
                Err(error) => {
                    tracing::warn!(image = image.name, error = %super::chain(&error), "image could not be made");
                    state.failed.push(image.name);
                }
            }
        }
    }
}
