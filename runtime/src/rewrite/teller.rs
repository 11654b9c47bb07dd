//! Writes the charges of one function between its operators. What is on the stack stays there.

use super::RewriteError;
use super::meter::{Charges, FuelPlace, INDIRECT_WEIGHT, LoopCharge};
use std::slice;
use wasm_encoder::{BlockType, BranchHint, Function, Instruction};
use wasmparser::Operator;

/// The indices the charges use.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// The global with the fuel.
    pub(super) fuel: u32,
    /// The global with the mark below which to pause.
    pub(super) mark: u32,
    /// The function to call for a pause.
    pub(super) pause: u32,
    /// A local of the function that nothing else uses, an `i64`.
    pub(super) local: u32,
}

/// Writes the charges of one function.
pub(super) struct Teller<'a> {
    places: Places,
    /// What the loops to come are charged.
    loops: slice::Iter<'a, LoopCharge>,
    /// What the loop is charged whose `loop` was met last.
    met: Option<LoopCharge>,
    /// The open blocks: whether each is a loop.
    blocks: Vec<bool>,
    /// How many loops are open.
    loops_open: u32,
    hints: Vec<BranchHint>,
}

impl<'a> Teller<'a> {
    /// Begins with a function, and charges its entry.
    ///
    /// # Errors
    /// The function is too long.
    pub(super) fn enter(function: &mut Function, charges: Charges<'a>, places: Places) -> Result<Self, RewriteError> {
        let (loops, blocks) = (charges.loops.iter(), Vec::new());
        let mut teller = Self { places, loops, met: None, blocks, loops_open: 0, hints: Vec::new() };
        if let Some(weight) = charges.entry {
            teller.charge_call(function, weight)?;
        }
        Ok(teller)
    }

    /// Goes in front of an operator.
    ///
    /// # Errors
    /// The function is too long, or has more loops than charges.
    pub(super) fn before(&mut self, function: &mut Function, operator: &Operator<'_>) -> Result<(), RewriteError> {
        match operator {
            Operator::Loop { .. } => {
                let charge = *self.loops.next().ok_or(RewriteError::Unwritable("its loops do not match"))?;
                self.met = Some(charge);
                if charge.place == FuelPlace::LocalFilled {
                    function.instruction(&Instruction::GlobalGet(self.places.fuel));
                    function.instruction(&Instruction::LocalSet(self.places.local));
                }
                self.blocks.push(true);
                self.loops_open += 1;
            }
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => self.blocks.push(false),
            Operator::End => self.loops_open -= u32::from(self.blocks.pop() == Some(true)),
            Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
                if self.loops_open == 0 =>
            {
                self.charge_call(function, INDIRECT_WEIGHT.into())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Goes behind the operator.
    ///
    /// # Errors
    /// The function is too long.
    pub(super) fn after(&mut self, function: &mut Function) -> Result<(), RewriteError> {
        match self.met.take() {
            Some(charge) => self.charge_turn(function, charge),
            None => Ok(()),
        }
    }

    /// Where the branches stand that are hardly ever taken.
    pub(super) fn into_hints(self) -> Vec<BranchHint> {
        self.hints
    }

    fn charge_call(&mut self, function: &mut Function, weight: i64) -> Result<(), RewriteError> {
        function.instruction(&Instruction::GlobalGet(self.places.fuel));
        self.take(function, weight);
        function.instruction(&Instruction::GlobalGet(self.places.mark));
        self.if_less(function, &Instruction::Call(self.places.pause))
    }

    fn charge_turn(&mut self, function: &mut Function, charge: LoopCharge) -> Result<(), RewriteError> {
        function.instruction(&match charge.place {
            FuelPlace::Global => Instruction::GlobalGet(self.places.fuel),
            FuelPlace::LocalFilled | FuelPlace::Local => Instruction::LocalGet(self.places.local),
        });
        self.take(function, charge.weight);
        function.instruction(&Instruction::I64Const(0));
        self.if_less(function, &Instruction::Unreachable)
    }

    /// Takes the weight from the fuel on the stack, and stores what is left in the global and in the local, and puts it
    /// on the stack.
    fn take(&self, function: &mut Function, weight: i64) {
        function
            .instruction(&Instruction::I64Const(weight))
            .instruction(&Instruction::I64Sub)
            .instruction(&Instruction::LocalTee(self.places.local))
            .instruction(&Instruction::GlobalSet(self.places.fuel))
            .instruction(&Instruction::LocalGet(self.places.local));
    }

    /// Does something if, of the two numbers on the stack, the first is less; that is rare.
    fn if_less(&mut self, function: &mut Function, then: &Instruction<'_>) -> Result<(), RewriteError> {
        function.instruction(&Instruction::I64LtS);
        let at = u32::try_from(function.byte_len()).map_err(|_| RewriteError::Unwritable("a function is too long"))?;
        self.hints.push(BranchHint { branch_func_offset: at, branch_hint_value: 0 });
        function.instruction(&Instruction::If(BlockType::Empty)).instruction(then).instruction(&Instruction::End);
        Ok(())
    }
}
