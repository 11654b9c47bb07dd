//! Which functions are charged when they are entered, so that no program recurs for ever without being charged.
//!
//! A program that recurs goes around a cycle of calls. A call from within a loop is charged with the loop, and a call
//! through a table or a reference is charged itself, so a cycle that is not charged consists of direct calls outside of
//! loops. A search in depth finds in each such cycle a call back to a function that is still open: that one is charged.

use super::profile::Profile;

/// The functions of a module that have bodies, by their place among them.
pub(super) struct Calls {
    /// The functions each calls directly and outside of loops, each once.
    callees: Vec<Vec<u32>>,
    /// Whether each is charged when it is entered.
    pub(super) charged: Vec<bool>,
    /// All functions; each comes after those it calls directly and outside of loops that are not charged.
    pub(super) order: Vec<usize>,
}

impl Calls {
    /// Finds them. `imported` is the number of imported functions, which come before all others.
    pub(super) fn new(profiles: &[Profile], imported: u32) -> Self {
        let callees: Vec<_> = profiles.iter().map(|profile| callees(profile, imported)).collect();
        let mut calls = Self { charged: vec![false; callees.len()], order: Vec::with_capacity(callees.len()), callees };
        let mut states = vec![State::New; profiles.len()];
        for start in 0..states.len() {
            if states[start] == State::New {
                calls.search_from(start, &mut states);
            }
        }
        calls
    }

    fn search_from(&mut self, start: usize, states: &mut [State]) {
        states[start] = State::Open;
        // The functions that are open, and how many of its callees each has looked at.
        let mut path = vec![(start, 0)];
        while let Some((function, next)) = path.last_mut() {
            let Some(callee) = self.callees[*function].get(*next).copied().map(place) else {
                states[*function] = State::Done;
                self.order.push(*function);
                path.pop();
                continue;
            };
            *next += 1;
            match states.get(callee) {
                Some(State::New) => {
                    states[callee] = State::Open;
                    path.push((callee, 0));
                }
                Some(State::Open) => self.charged[callee] = true,
                Some(State::Done) | None => {}
            }
        }
    }
}

/// How far the search has come with a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

fn callees(profile: &Profile, imported: u32) -> Vec<u32> {
    let mut callees: Vec<_> =
        profile.body.calls.iter().filter_map(|(callee, _)| callee.checked_sub(imported)).collect();
    callees.sort_unstable();
    callees.dedup();
    callees
}

/// An index as a place in memory; no supported machine has smaller ones.
fn place(index: u32) -> usize {
    index as usize
}
