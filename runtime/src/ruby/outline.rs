//! What of Ruby's module its start needs: where its own functions stand, what becomes of those it imports, and where they all
//! stand in the command.

use super::RubyError;
use wasmparser::{ExportSectionReader, ExternalKind, ImportSectionReader, Parser, Payload, TypeRef};

/// What stays an import.
const WASI: &str = "wasi_snapshot_preview1";
/// What makes a handle of a value, and a value of a handle.
const HANDLES: [&str; 2] = ["resource_new_rb-abi-value", "resource_get_rb-abi-value"];
/// How many imports are added: the sizes of the arguments, and the arguments.
const ADDED: u32 = 2;

/// What becomes of a function that the module imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is imported still.
    Kept,
    /// It gives back what it is given.
    Same,
    /// It traps.
    Trap,
}

/// A function that the module imports.
pub(super) struct Import {
    pub(super) fate: Fate,
    /// Its type's index.
    pub(super) ty: u32,
}

/// What of the module its start needs.
#[derive(Default)]
pub(super) struct Outline {
    /// The number of its types.
    pub(super) types_len: u32,
    /// The functions it imports, in their order.
    pub(super) imports: Vec<Import>,
    /// The number of its functions with a body.
    functions_len: u32,
    exports: Vec<(String, u32)>,
}

impl Outline {
    /// Reads the outline of a module.
    ///
    /// # Errors
    /// The module is damaged, or imports more than functions.
    pub(super) fn read(program: &[u8]) -> Result<Self, RubyError> {
        let mut outline = Self::default();
        for payload in Parser::new(0).parse_all(program) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        outline.types_len += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                    }
                }
                Payload::ImportSection(section) => outline.imports(section)?,
                Payload::FunctionSection(section) => outline.functions_len = section.count(),
                Payload::ExportSection(section) => outline.exports(section)?,
                _ => {}
            }
        }
        Ok(outline)
    }

    fn imports(&mut self, section: ImportSectionReader<'_>) -> Result<(), RubyError> {
        for import in section.into_imports() {
            let import = import?;
            let TypeRef::Func(ty) = import.ty else {
                return Err(RubyError::Imports(format!("{}.{}", import.module, import.name)));
            };
            self.imports.push(Import { fate: fate(import.module, import.name), ty });
        }
        Ok(())
    }

    fn exports(&mut self, section: ExportSectionReader<'_>) -> Result<(), RubyError> {
        for export in section {
            let export = export?;
            if export.kind == ExternalKind::Func {
                self.exports.push((export.name.to_owned(), export.index));
            }
        }
        Ok(())
    }

    /// Where the function with this name, which a signature may follow, stands in the command.
    pub(super) fn exported(&self, name: &'static str) -> Result<u32, RubyError> {
        let is_it = |export: &&(String, u32)| export.0.split(':').next() == Some(name);
        let found = self.exports.iter().find(is_it).and_then(|(_, index)| self.place(*index));
        found.ok_or(RubyError::Lacks(name))
    }

    /// Where a function of the module stands in the command: what is imported first, then the module's own, then what stands
    /// for imports that are gone, and the start last.
    pub(super) fn place(&self, function: u32) -> Option<u32> {
        let index = usize::try_from(function).ok()?;
        let Some(import) = self.imports.get(index) else {
            let own = function.checked_sub(self.imports_len())?;
            return (own < self.functions_len).then(|| self.kept() + ADDED + own);
        };
        let before = &self.imports[..index];
        let is_kept = import.fate == Fate::Kept;
        let alike = before.iter().filter(|other| (other.fate == Fate::Kept) == is_kept).count();
        let alike = u32::try_from(alike).ok()?;
        Some(if is_kept { alike } else { self.kept() + ADDED + self.functions_len + alike })
    }

    /// Where the two imports stand that are added.
    pub(super) fn arguments(&self) -> (u32, u32) {
        (self.kept(), self.kept() + 1)
    }

    /// Where the start stands.
    pub(super) fn start(&self) -> u32 {
        ADDED + self.functions_len + self.imports_len()
    }

    fn kept(&self) -> u32 {
        let kept = self.imports.iter().filter(|import| import.fate == Fate::Kept).count();
        u32::try_from(kept).unwrap_or(u32::MAX)
    }

    fn imports_len(&self) -> u32 {
        u32::try_from(self.imports.len()).unwrap_or(u32::MAX)
    }
}

pub(super) fn fate(module: &str, name: &str) -> Fate {
    match module {
        WASI => Fate::Kept,
        "canonical_abi" if HANDLES.contains(&name) => Fate::Same,
        _ => Fate::Trap,
    }
}
