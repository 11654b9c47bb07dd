//! Writes a module again from its outline: what is not named here comes out as it went in.

use super::RewriteError;
use super::outline::Outline;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{ConstExpr, DataSection, ExportKind, ExportSection, Instruction, Module};
use wasmparser::{CustomSectionReader, Data, DataKind, ExportSectionReader, Operator, Parser};

/// Writes one module.
pub(super) struct Encoder<'a> {
    outline: &'a Outline,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(outline: &'a Outline) -> Self {
        Self { outline }
    }

    /// The module, rewritten.
    ///
    /// # Errors
    /// The program is damaged, or changes its tables.
    pub(super) fn encode(mut self, program: &[u8]) -> Result<Vec<u8>, RewriteError> {
        let mut module = Module::new();
        self.parse_core_module(&mut module, Parser::new(0), program).map_err(|error| match error {
            Error::UserError(error) => error,
            Error::ParseError(error) => RewriteError::Damaged(error),
            Error::CanonicalizedHeapTypeReference => RewriteError::Unwritable("a type has lost its index"),
            Error::InvalidConstExpr => RewriteError::Unwritable("an expression is not constant"),
            Error::InvalidCodeSectionSize => RewriteError::Unwritable("the size of its code is wrong"),
            Error::UnexpectedNonCoreModuleSection
            | Error::UnexpectedNonComponentSection
            | Error::UnsupportedCoreTypeInComponent => RewriteError::Unwritable("it is a component"),
        })?;
        Ok(module.finish())
    }
}

impl Reencode for Encoder<'_> {
    type Error = RewriteError;

    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: CustomSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        utils::parse_export_section(self, exports, section)?;
        for global in &self.outline.globals {
            exports.export(&global.name, ExportKind::Global, global.index);
        }
        Ok(())
    }

    fn instruction<'b>(&mut self, operator: Operator<'b>) -> Result<Instruction<'b>, Error<RewriteError>> {
        if let Some(name) = table_change(&operator) {
            return Err(Error::UserError(RewriteError::TableChanged(name)));
        }
        utils::instruction(self, operator)
    }

    fn parse_data(&mut self, data: &mut DataSection, datum: Data<'_>) -> Result<(), Error<RewriteError>> {
        match datum.kind {
            DataKind::Active { memory_index, .. } => data.active(memory_index, &ConstExpr::i32_const(0), []),
            DataKind::Passive => data.passive([]),
        };
        Ok(())
    }
}

/// The name of an operator that changes a table. Elements laid out at the start are not such a change: they are the same
/// in every instance.
fn table_change(operator: &Operator<'_>) -> Option<&'static str> {
    match operator {
        Operator::TableSet { .. } => Some("table.set"),
        Operator::TableGrow { .. } => Some("table.grow"),
        Operator::TableFill { .. } => Some("table.fill"),
        Operator::TableCopy { .. } => Some("table.copy"),
        Operator::TableInit { .. } => Some("table.init"),
        _ => None,
    }
}
