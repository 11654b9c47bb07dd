//! Writes Ruby's module again as a command: what is not named here comes out as it went in, at its new place.

use super::outline::{Fate, Outline, fate};
use super::{RubyError, entry};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection, Module, TypeSection,
    ValType,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, ExportSectionReader, FunctionSectionReader, ImportSectionReader, Parser,
    TypeSectionReader,
};

/// Writes one module.
pub(super) struct Encoder<'a> {
    outline: &'a Outline,
    /// Where each of its functions stands in the command.
    places: Vec<u32>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(outline: &'a Outline) -> Self {
        let places = (0..).map_while(|function| outline.place(function)).collect();
        Self { outline, places }
    }

    /// The command.
    ///
    /// # Errors
    /// The program is damaged, or none of Ruby's.
    pub(super) fn encode(mut self, program: &[u8]) -> Result<Vec<u8>, RubyError> {
        let mut module = Module::new();
        self.parse_core_module(&mut module, Parser::new(0), program).map_err(|error| match error {
            Error::UserError(error) => error,
            Error::ParseError(error) => RubyError::Damaged(error),
            _ => RubyError::Unwritable("it is no core module"),
        })?;
        Ok(module.finish())
    }

    fn gone(&self) -> impl Iterator<Item = (Fate, u32)> {
        let gone = self.outline.imports.iter().filter(|import| import.fate != Fate::Kept);
        gone.map(|import| (import.fate, import.ty))
    }
}

impl Reencode for Encoder<'_> {
    type Error = RubyError;

    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: CustomSectionReader<'_>,
    ) -> Result<(), Error<RubyError>> {
        Ok(())
    }

    fn function_index(&mut self, function: u32) -> Result<u32, Error<RubyError>> {
        let place = usize::try_from(function).ok().and_then(|function| self.places.get(function));
        place.copied().ok_or(Error::UserError(RubyError::Unwritable("it names a function that it does not have")))
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<RubyError>> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        types.ty().function([], []);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<RubyError>> {
        for import in section.into_imports() {
            let import = import?;
            if fate(import.module, import.name) == Fate::Kept {
                imports.import(import.module, import.name, self.entity_type(import.ty)?);
            }
        }
        for name in ["args_sizes_get", "args_get"] {
            imports.import("wasi_snapshot_preview1", name, EntityType::Function(self.outline.types_len));
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<RubyError>> {
        utils::parse_function_section(self, functions, section)?;
        for (_, ty) in self.gone() {
            functions.function(ty);
        }
        functions.function(self.outline.types_len + 1);
        Ok(())
    }

    /// A command has its memory and its start, and nobody needs more of it.
    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        _section: ExportSectionReader<'_>,
    ) -> Result<(), Error<RubyError>> {
        exports.export("memory", ExportKind::Memory, 0);
        exports.export("_start", ExportKind::Func, self.outline.start());
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<RubyError>> {
        utils::parse_code_section(self, code, section)?;
        for (fate, _) in self.gone() {
            let mut function = Function::new([]);
            if fate == Fate::Same {
                function.instructions().local_get(0).end();
            } else {
                function.instructions().unreachable().end();
            }
            code.function(&function);
        }
        code.function(&entry::start(self.outline).map_err(Error::UserError)?);
        Ok(())
    }
}
