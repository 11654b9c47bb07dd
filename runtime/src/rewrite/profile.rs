//! What a function does on an average pass: for its body outside of loops, and for one turn of each loop outside of inner
//! loops, how many operators run and which functions are called how often.
//!
//! It is an estimate made from the text alone, and deterministic: a conditional branch is taken once in four times, the
//! arms of an `if` share evenly, so do the targets of a `br_table`, and a loop is left in the proportions in which one of
//! its turns branches out of it. Nothing that must hold depends on it; it decides only how much is charged where.

use super::RewriteError;
use wasmparser::{FunctionBody, Operator};

/// How often a conditional branch is taken.
const TAKEN: f64 = 0.25;

/// Part of a function: its body outside of loops, or one turn of a loop outside of inner loops.
#[derive(Default)]
pub(super) struct Region {
    /// Operators run on an average pass.
    pub(super) operators: f64,
    /// Operators written there: no pass runs more.
    pub(super) operators_max: u64,
    /// The functions it calls directly, and how often on an average pass.
    pub(super) calls: Vec<(u32, f32)>,
    /// How often it calls what a table or a reference holds, on an average pass.
    pub(super) calls_indirect: f64,
    /// Whether it, or a loop inside it, calls anything at all.
    pub(super) leaves: bool,
    /// The loop around it, if it is a loop in a loop.
    pub(super) outer: Option<usize>,
}

/// What a function does.
#[derive(Default)]
pub(super) struct Profile {
    /// Its body outside of loops.
    pub(super) body: Region,
    /// Its loops, in the order of their `loop` operators.
    pub(super) loops: Vec<Region>,
    /// Whether it calls, outside of loops, what a table or a reference holds.
    pub(super) indirect: bool,
}

impl Profile {
    /// Reads a function.
    ///
    /// # Errors
    /// The function is damaged, or uses what the engine does not run.
    pub(super) fn read(body: &FunctionBody<'_>) -> Result<Self, RewriteError> {
        let labels = vec![Label::new(Kind::Block, 0.0)];
        let mut reader = Reader { labels, loops: Vec::new(), mass: 1.0, profile: Self::default() };
        for operator in body.get_operators_reader()? {
            reader.read(&operator?)?;
        }
        Ok(reader.profile)
    }
}

/// What opened a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    If,
    Loop,
}

/// A block that is open.
struct Label {
    kind: Kind,
    /// How often it is entered; of an `if`, how often its other arm is.
    entered: f64,
    /// How often a branch leads to its end.
    reached: f64,
}

impl Label {
    fn new(kind: Kind, entered: f64) -> Self {
        Self { kind, entered, reached: 0.0 }
    }
}

/// A loop that is open.
struct OpenLoop {
    /// Its place among the labels.
    label: usize,
    /// Its place among the loops.
    place: usize,
    /// How often one of its turns branches to which label outside of it.
    escapes: Vec<(usize, f64)>,
}

/// Reads operators one by one.
struct Reader {
    labels: Vec<Label>,
    loops: Vec<OpenLoop>,
    /// How often the next operator runs, on one pass of the region.
    mass: f64,
    profile: Profile,
}

impl Reader {
    fn read(&mut self, operator: &Operator<'_>) -> Result<(), RewriteError> {
        self.count(operator);
        match operator {
            Operator::Block { .. } | Operator::TryTable { .. } => self.labels.push(Label::new(Kind::Block, self.mass)),
            Operator::If { .. } => {
                self.mass /= 2.0;
                self.labels.push(Label::new(Kind::If, self.mass));
            }
            Operator::Else => self.other_arm()?,
            Operator::Loop { .. } => self.open_loop(),
            Operator::End => self.close()?,
            Operator::Br { relative_depth } => self.leave(*relative_depth, 1.0)?,
            Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => self.leave(*relative_depth, TAKEN)?,
            Operator::BrTable { targets } => {
                let share = self.mass / (f64::from(targets.len()) + 1.0);
                self.branch(targets.default(), share)?;
                for target in targets.targets() {
                    self.branch(target?, share)?;
                }
                self.mass = 0.0;
            }
            Operator::Return | Operator::Unreachable | Operator::Throw { .. } | Operator::ThrowRef => self.end(),
            Operator::Call { function_index } => self.call(*function_index),
            Operator::ReturnCall { function_index } => {
                self.call(*function_index);
                self.end();
            }
            Operator::CallIndirect { .. } | Operator::CallRef { .. } => self.call_any(),
            Operator::ReturnCallIndirect { .. } | Operator::ReturnCallRef { .. } => {
                self.call_any();
                self.end();
            }
            Operator::Try { .. } | Operator::Catch { .. } | Operator::CatchAll | Operator::Delegate { .. } => {
                return Err(RewriteError::Unwritable("it uses exceptions of the older kind"));
            }
            _ => {}
        }
        Ok(())
    }

    fn region(&mut self) -> &mut Region {
        match self.loops.last() {
            Some(open) => &mut self.profile.loops[open.place],
            None => &mut self.profile.body,
        }
    }

    /// Counts an operator as wasmtime's fuel does: what only marks structure is free.
    fn count(&mut self, operator: &Operator<'_>) {
        let mass = self.mass;
        let region = self.region();
        region.operators_max += 1;
        match operator {
            Operator::Nop
            | Operator::Drop
            | Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::Unreachable
            | Operator::Return
            | Operator::Else
            | Operator::End => {}
            _ => region.operators += mass,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "an estimate, halved in size: there are a million of them")]
    fn call(&mut self, function: u32) {
        let mass = self.mass as f32;
        let region = self.region();
        region.calls.push((function, mass));
        region.leaves = true;
    }

    fn call_any(&mut self) {
        self.profile.indirect |= self.loops.is_empty();
        let mass = self.mass;
        let region = self.region();
        region.calls_indirect += mass;
        region.leaves = true;
    }

    fn open_loop(&mut self) {
        self.labels.push(Label::new(Kind::Loop, self.mass));
        let outer = self.loops.last().map(|open| open.place);
        let (label, place) = (self.labels.len() - 1, self.profile.loops.len());
        self.loops.push(OpenLoop { label, place, escapes: Vec::new() });
        self.profile.loops.push(Region { outer, ..Region::default() });
        self.mass = 1.0;
    }

    fn other_arm(&mut self) -> Result<(), RewriteError> {
        let mass = self.mass;
        let label = self.labels.last_mut().ok_or(UNBALANCED)?;
        label.reached += mass;
        label.kind = Kind::Block;
        self.mass = label.entered;
        Ok(())
    }

    fn close(&mut self) -> Result<(), RewriteError> {
        let label = self.labels.pop().ok_or(UNBALANCED)?;
        match label.kind {
            Kind::Block => self.mass += label.reached,
            Kind::If => self.mass += label.reached + label.entered,
            Kind::Loop => self.close_loop(label.entered)?,
        }
        Ok(())
    }

    /// What entered the loop leaves it, in the proportions in which one turn does.
    fn close_loop(&mut self, entered: f64) -> Result<(), RewriteError> {
        let open = self.loops.pop().ok_or(UNBALANCED)?;
        if self.profile.loops[open.place].leaves {
            self.region().leaves = true;
        }
        let left = self.mass + open.escapes.iter().map(|(_, mass)| mass).sum::<f64>();
        let scale = if left > 0.0 { entered / left } else { 0.0 };
        self.mass *= scale;
        for (label, mass) in open.escapes {
            self.branch_to(label, mass * scale);
        }
        Ok(())
    }

    /// Part of what comes here branches away.
    fn leave(&mut self, depth: u32, part: f64) -> Result<(), RewriteError> {
        let leaving = self.mass * part;
        self.mass -= leaving;
        self.branch(depth, leaving)
    }

    /// The function ends here, whatever is around.
    fn end(&mut self) {
        self.branch_to(0, self.mass);
        self.mass = 0.0;
    }

    fn branch(&mut self, depth: u32, mass: f64) -> Result<(), RewriteError> {
        let above = usize::try_from(depth).ok().and_then(|depth| depth.checked_add(1)).ok_or(UNBALANCED)?;
        let label = self.labels.len().checked_sub(above).ok_or(UNBALANCED)?;
        self.branch_to(label, mass);
        Ok(())
    }

    fn branch_to(&mut self, label: usize, mass: f64) {
        if mass == 0.0 {
            return;
        }
        match self.loops.last_mut() {
            Some(open) if label < open.label => open.escapes.push((label, mass)),
            // One more turn, which is counted by itself.
            Some(open) if label == open.label => {}
            Some(_) | None => self.labels[label].reached += mass,
        }
    }
}

const UNBALANCED: RewriteError = RewriteError::Unwritable("its blocks do not match");
