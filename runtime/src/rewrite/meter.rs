//! What is charged where. A charge takes its weight from the global `potluck_fuel`.
//!
//! Charged are each turn of each loop, each call through a table or a reference outside of loops, and the entry of the
//! functions that `calls` names: so a program that does not end is charged for ever. What a charge weighs is what runs on
//! an average pass until the next one, the functions called on the way included: about one for each operator executed.
//! Straight-line code costs nothing at run time; whoever is charged before it has paid. A loop that finds less than zero
//! left ends the program with `unreachable`. The other charges, behind which a call comes anyway, call `potluck.pause` when
//! the fuel has fallen below the global `potluck_pause`.
//!
//! Why loops do not call: no register survives a call, so one call in a loop, be it never made, has the compiler keep the
//! loop's values on the stack; that makes short loops two and a half times slower, where this costs one part in twenty.
//! And a loop without calls keeps the fuel in a local, since nothing else changes it meanwhile: a load that waits for the
//! last turn's store would be slow as well.

#[cfg(test)]
mod tests;

use super::RewriteError;
use super::calls::Calls;
use super::outline::Outline;
use super::profile::{Profile, Region};
use wasmparser::{Parser, Payload};

/// The most functions, as in wasmparser's own limits.
const FUNCTIONS_MAX: usize = 1_000_000;
/// What a call through a table or a reference is charged for what it calls, which is not known.
pub(super) const INDIRECT_WEIGHT: i32 = 40;
/// The most a single charge weighs.
const WEIGHT_MAX: f64 = 1e6;
/// A function that could run more operators than this without being charged is charged when it is entered.
const UNCHARGED_MAX: u64 = 1 << 24;

/// What a loop is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoopCharge {
    /// The fuel of one turn.
    pub(super) weight: i64,
    /// Where the loop finds the fuel that is left.
    pub(super) place: FuelPlace,
}

/// Where a loop finds the fuel that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FuelPlace {
    /// In the global: what the loop calls may change it.
    Global,
    /// In the local, which is filled before the loop.
    LocalFilled,
    /// In the local, which is filled before a loop around it.
    Local,
}

/// The charges of a module.
pub(super) struct Plan {
    /// The charges of each function with a body; of its loops the number.
    functions: Vec<(Option<i64>, bool, usize)>,
    /// What the loops are charged, in the order of their `loop` operators.
    loops: Vec<LoopCharge>,
}

impl Plan {
    /// Plans the charges of a program.
    ///
    /// # Errors
    /// A function is damaged, or uses what the engine does not run.
    pub(super) fn new(program: &[u8], outline: &Outline) -> Result<Self, RewriteError> {
        let mut profiles = Vec::new();
        for payload in Parser::new(0).parse_all(program) {
            if let Payload::CodeSectionEntry(body) = payload? {
                if profiles.len() == FUNCTIONS_MAX {
                    return Err(RewriteError::TooMany(FUNCTIONS_MAX, "functions"));
                }
                profiles.push(Profile::read(&body)?);
            }
        }
        let mut calls = Calls::new(&profiles, outline.functions_imported);
        let weights = Weights::new(&profiles, outline.functions_imported, &mut calls);
        let mut plan = Self { functions: Vec::with_capacity(profiles.len()), loops: Vec::new() };
        for (profile, charged) in profiles.iter().zip(&calls.charged) {
            let entry = charged.then(|| weights.charge_body(&profile.body));
            plan.functions.push((entry, profile.indirect, profile.loops.len()));
            plan.loops.extend(profile.loops.iter().map(|region| {
                let around = region.outer.and_then(|outer| profile.loops.get(outer));
                let place = match (region.leaves, around.is_some_and(|around| !around.leaves)) {
                    (true, _) => FuelPlace::Global,
                    (false, false) => FuelPlace::LocalFilled,
                    (false, true) => FuelPlace::Local,
                };
                LoopCharge { weight: weights.charge_loop(region), place }
            }));
        }
        Ok(plan)
    }

    /// The charges of all functions, in their order.
    pub(super) fn functions(&self) -> impl Iterator<Item = Charges<'_>> {
        let mut loops = &self.loops[..];
        self.functions.iter().map(move |(entry, indirect, count)| {
            let (own, rest) = loops.split_at(*count);
            loops = rest;
            Charges { entry: *entry, indirect: *indirect, loops: own }
        })
    }
}

/// The charges of one function.
#[derive(Clone, Copy)]
pub(super) struct Charges<'a> {
    /// What it is charged when it is entered.
    pub(super) entry: Option<i64>,
    /// Whether it calls, outside of loops, what a table or a reference holds.
    pub(super) indirect: bool,
    /// What its loops are charged, in the order of their `loop` operators.
    pub(super) loops: &'a [LoopCharge],
}

impl Charges<'_> {
    /// Whether nothing is charged at all.
    pub(super) fn is_empty(&self) -> bool {
        self.entry.is_none() && !self.indirect && self.loops.is_empty()
    }
}

/// What functions weigh to their callers.
struct Weights {
    imported: u32,
    /// Operators run on an average call, until the next charge; nothing for a function that is charged itself.
    average: Vec<f64>,
}

impl Weights {
    fn new(profiles: &[Profile], imported: u32, calls: &mut Calls) -> Self {
        let mut weights = Self { imported, average: vec![0.0; profiles.len()] };
        let mut most = vec![0_u64; profiles.len()];
        for place in &calls.order {
            let body = &profiles[*place].body;
            let callees = body.calls.iter().filter_map(|(callee, _)| most.get(weights.place(*callee)?));
            let longest = callees.fold(body.operators_max, |sum, callee| sum.saturating_add(*callee));
            if longest > UNCHARGED_MAX {
                calls.charged[*place] = true;
            }
            if !calls.charged[*place] {
                most[*place] = longest;
                weights.average[*place] = weights.weigh(body);
            }
        }
        weights
    }

    fn place(&self, function: u32) -> Option<usize> {
        function.checked_sub(self.imported).and_then(|place| usize::try_from(place).ok())
    }

    /// Operators run on an average pass, until the next charge.
    fn weigh(&self, region: &Region) -> f64 {
        let callee = |function: u32| self.place(function).and_then(|place| self.average.get(place)).copied();
        let called = region.calls.iter().map(|(function, often)| f64::from(*often) * callee(*function).unwrap_or(0.0));
        (region.operators + called.sum::<f64>()).min(WEIGHT_MAX)
    }

    fn charge_body(&self, region: &Region) -> i64 {
        charge(self.weigh(region))
    }

    /// A turn pays for what it calls through tables, too.
    fn charge_loop(&self, region: &Region) -> i64 {
        charge(self.weigh(region) + region.calls_indirect * f64::from(INDIRECT_WEIGHT))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "between one and a million")]
fn charge(weight: f64) -> i64 {
    weight.round().clamp(1.0, WEIGHT_MAX) as i64
}
