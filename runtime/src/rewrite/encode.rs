//! Writes a module again from its outline: what is not named here comes out as it went in.

use super::meter::{Charges, Plan};
use super::outline::Outline;
use super::teller::{Places, Teller};
use super::{FUEL_GLOBAL, PAUSE_GLOBAL, PAUSE_IMPORT, RewriteError};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BranchHints, CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, GlobalSection,
    GlobalType, ImportSection, Instruction, Module, SectionId, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, DataSectionReader, ExportSectionReader, FunctionBody, GlobalSectionReader,
    ImportSectionReader, Operator, Parser, Payload, TypeSectionReader,
};

/// Writes one module.
pub(super) struct Encoder<'a> {
    outline: &'a Outline,
    plan: &'a Plan,
    /// Whether the imports are written; a module may have none of its own.
    imports_written: bool,
    /// Whether the globals are written.
    globals_written: bool,
    /// The code, which is written ahead: the hints are known then, and stand before it.
    code: CodeSection,
    hints: BranchHints,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(outline: &'a Outline, plan: &'a Plan) -> Self {
        Self {
            outline,
            plan,
            imports_written: false,
            globals_written: false,
            code: CodeSection::new(),
            hints: BranchHints::new(),
        }
    }

    /// The module, rewritten.
    ///
    /// # Errors
    /// The program is damaged, or changes its tables.
    pub(super) fn encode(mut self, program: &[u8]) -> Result<Vec<u8>, RewriteError> {
        let mut module = Module::new();
        let written = self.functions(program);
        written.and_then(|()| self.parse_core_module(&mut module, Parser::new(0), program)).map_err(
            |error| match error {
                Error::UserError(error) => error,
                Error::ParseError(error) => RewriteError::Damaged(error),
                Error::CanonicalizedHeapTypeReference => RewriteError::Unwritable("a type has lost its index"),
                Error::InvalidConstExpr => RewriteError::Unwritable("an expression is not constant"),
                Error::InvalidCodeSectionSize => RewriteError::Unwritable("the size of its code is wrong"),
                Error::UnexpectedNonCoreModuleSection
                | Error::UnexpectedNonComponentSection
                | Error::UnsupportedCoreTypeInComponent => RewriteError::Unwritable("it is a component"),
            },
        )?;
        Ok(module.finish())
    }

    /// Writes the code.
    fn functions(&mut self, program: &[u8]) -> Result<(), Error<RewriteError>> {
        let mut charges = self.plan.functions();
        let mut place = 0;
        for payload in Parser::new(0).parse_all(program) {
            if let Payload::CodeSectionEntry(body) = payload? {
                let charges = charges.next().ok_or(UNPLANNED)?;
                self.function(place, &body, charges)?;
                place += 1;
            }
        }
        Ok(())
    }

    /// Writes one function with its charges.
    fn function(
        &mut self,
        place: usize,
        body: &FunctionBody<'_>,
        charges: Charges<'_>,
    ) -> Result<(), Error<RewriteError>> {
        if charges.is_empty() {
            let mut code = std::mem::take(&mut self.code);
            let written = utils::parse_function_body(self, &mut code, body.clone());
            self.code = code;
            return written;
        }
        let mut locals = Vec::new();
        let mut local = self.outline.parameters(place).ok_or(UNPLANNED)?;
        for declared in body.get_locals_reader()? {
            let (count, ty) = declared?;
            locals.push((count, self.val_type(ty)?));
            local = local.checked_add(count).ok_or(UNPLANNED)?;
        }
        locals.push((1, ValType::I64));
        let places = Places {
            fuel: self.outline.globals_len,
            mark: self.outline.globals_len + 1,
            pause: self.outline.functions_imported,
            local,
        };
        let mut function = Function::new(locals);
        let mut teller = Teller::enter(&mut function, charges, places).map_err(Error::UserError)?;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            teller.before(&mut function, &operator).map_err(Error::UserError)?;
            function.instruction(&self.instruction(operator)?);
            teller.after(&mut function).map_err(Error::UserError)?;
        }
        let index = u32::try_from(place).ok().and_then(|place| place.checked_add(self.outline.functions_imported + 1));
        self.hints.function_hints(index.ok_or(UNPLANNED)?, teller.into_hints());
        self.code.function(&function);
        Ok(())
    }

    fn import(&mut self, imports: &mut ImportSection) {
        let (module, name) = PAUSE_IMPORT;
        imports.import(module, name, EntityType::Function(self.outline.types_len));
        self.imports_written = true;
    }

    fn global(&mut self, globals: &mut GlobalSection) {
        let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(ty, &ConstExpr::i64_const(0)).global(ty, &ConstExpr::i64_const(0));
        self.globals_written = true;
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

    fn function_index(&mut self, function: u32) -> Result<u32, Error<RewriteError>> {
        // The import that is added comes after the other ones.
        let shift = u32::from(function >= self.outline.functions_imported);
        function.checked_add(shift).ok_or(UNPLANNED)
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error<RewriteError>> {
        let Some(next) = before.map(order) else { return Ok(()) };
        if !self.imports_written && next > order(SectionId::Import) {
            let mut imports = ImportSection::new();
            self.import(&mut imports);
            module.section(&imports);
        }
        if !self.globals_written && next > order(SectionId::Global) {
            let mut globals = GlobalSection::new();
            self.global(&mut globals);
            module.section(&globals);
        }
        if before == Some(SectionId::Code) {
            module.section(&self.hints);
        }
        Ok(())
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], []);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        utils::parse_import_section(self, imports, section)?;
        self.import(imports);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        utils::parse_global_section(self, globals, section)?;
        self.global(globals);
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
        exports.export(FUEL_GLOBAL, ExportKind::Global, self.outline.globals_len);
        exports.export(PAUSE_GLOBAL, ExportKind::Global, self.outline.globals_len + 1);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        _section: CodeSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        *code = std::mem::take(&mut self.code);
        Ok(())
    }

    fn instruction<'b>(&mut self, operator: Operator<'b>) -> Result<Instruction<'b>, Error<RewriteError>> {
        if let Some(name) = table_change(&operator) {
            return Err(Error::UserError(RewriteError::TableChanged(name)));
        }
        utils::instruction(self, operator)
    }

    fn data_index(&mut self, _segment: u32) -> Result<u32, Error<RewriteError>> {
        Ok(0)
    }

    fn data_count(&mut self, count: u32) -> Result<u32, Error<RewriteError>> {
        Ok(count.min(1))
    }

    /// One empty segment stands for all: by the time an instruction can name one, an active one is as empty as what is left
    /// of the passive ones. Each that is counted would cost every instance a call.
    fn parse_data_section(
        &mut self,
        data: &mut DataSection,
        section: DataSectionReader<'_>,
    ) -> Result<(), Error<RewriteError>> {
        if section.count() > 0 {
            data.passive([]);
        }
        Ok(())
    }
}

/// The code is not what was planned for; the program is the same, so this is damage.
const UNPLANNED: Error<RewriteError> =
    Error::UserError(RewriteError::Unwritable("its functions do not match its types"));

/// Where a section stands among the others.
fn order(section: SectionId) -> u8 {
    match section {
        SectionId::Custom => 0,
        SectionId::Type => 1,
        SectionId::Import => 2,
        SectionId::Function => 3,
        SectionId::Table => 4,
        SectionId::Memory => 5,
        SectionId::Tag => 6,
        SectionId::Global => 7,
        SectionId::Export => 8,
        SectionId::Start => 9,
        SectionId::Element => 10,
        SectionId::DataCount => 11,
        SectionId::Code => 12,
        SectionId::Data => 13,
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
