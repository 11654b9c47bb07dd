//! What a module holds outside of its code, read before anything is written. A module whose outline is read keeps its
//! state in one memory of its own and in globals that are numbers; every other is refused here.

use super::{FUEL_GLOBAL, GLOBAL_PREFIX, GlobalValue, PAUSE_GLOBAL, RewriteError, Segment};
use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, DataSectionReader, ExportSectionReader, FunctionSectionReader,
    GlobalSectionReader, ImportSectionReader, MemorySectionReader, MemoryType, Operator, Parser, Payload, TypeRef,
    TypeSectionReader,
};

/// The bytes of a page of memory.
const PAGE_BYTES: u64 = 64 << 10;
/// The most pages a 32-bit memory can have: 4 GiB.
const PAGES_MAX: u64 = 1 << 16;
/// The most data segments, as in wasmparser's own limits.
const SEGMENTS_MAX: usize = 100_000;
/// The most mutable globals; each is an export and a few bytes beside each image.
const MUTABLE_GLOBALS_MAX: usize = 1_000;

/// A mutable global.
pub(super) struct MutableGlobal {
    /// Its index in the module.
    pub(super) index: u32,
    /// The name it is exported under.
    pub(super) name: String,
    /// Its value at the start.
    pub(super) value: GlobalValue,
}

/// What a module holds outside of its code.
#[derive(Default)]
pub(super) struct Outline {
    /// The bytes its memory starts with.
    pub(super) memory_bytes: u64,
    /// Its active segments that are not empty.
    pub(super) segments: Vec<Segment>,
    /// Its mutable globals.
    pub(super) globals: Vec<MutableGlobal>,
    /// The number of all its globals, imported ones included.
    pub(super) globals_len: u32,
    /// The number of its types.
    pub(super) types_len: u32,
    /// The number of functions it imports.
    pub(super) functions_imported: u32,
    /// How many parameters each of its types has, if it is a function's.
    parameters: Vec<Option<u32>>,
    /// The type of each function with a body.
    functions: Vec<u32>,
    exports: Vec<String>,
    memories: usize,
}

impl Outline {
    /// Reads the outline of a program.
    ///
    /// # Errors
    /// The program is damaged, or keeps state where an image does not.
    pub(super) fn read(program: &[u8]) -> Result<Self, RewriteError> {
        let mut outline = Self::default();
        for payload in Parser::new(0).parse_all(program) {
            match payload? {
                Payload::TypeSection(section) => outline.types(section)?,
                Payload::ImportSection(section) => outline.imports(section)?,
                Payload::FunctionSection(section) => outline.functions(section)?,
                Payload::MemorySection(section) => outline.memories(section)?,
                Payload::GlobalSection(section) => outline.globals(section)?,
                Payload::ExportSection(section) => outline.exports(section)?,
                Payload::StartSection { .. } => return Err(RewriteError::Start),
                Payload::DataSection(section) => outline.data(section)?,
                _ => {}
            }
        }
        outline.check()?;
        Ok(outline)
    }

    /// How many parameters a function with a body has.
    pub(super) fn parameters(&self, place: usize) -> Option<u32> {
        let ty = usize::try_from(*self.functions.get(place)?).ok()?;
        *self.parameters.get(ty)?
    }

    fn types(&mut self, section: TypeSectionReader<'_>) -> Result<(), RewriteError> {
        for group in section {
            for ty in group?.types() {
                let parameters = match &ty.composite_type.inner {
                    CompositeInnerType::Func(function) => u32::try_from(function.params().len()).ok(),
                    _ => None,
                };
                self.parameters.push(parameters);
                self.types_len += 1;
            }
        }
        Ok(())
    }

    fn functions(&mut self, section: FunctionSectionReader<'_>) -> Result<(), RewriteError> {
        for ty in section {
            self.functions.push(ty?);
        }
        Ok(())
    }

    fn imports(&mut self, section: ImportSectionReader<'_>) -> Result<(), RewriteError> {
        for import in section.into_imports() {
            let import = import?;
            match import.ty {
                TypeRef::Memory(_) => return Err(RewriteError::MemoryImported),
                TypeRef::Global(ty) if ty.mutable => {
                    return Err(RewriteError::GlobalImported(format!("{}.{}", import.module, import.name)));
                }
                TypeRef::Global(_) => self.globals_len += 1,
                TypeRef::Func(_) | TypeRef::FuncExact(_) => self.functions_imported += 1,
                TypeRef::Table(_) | TypeRef::Tag(_) => {}
            }
        }
        Ok(())
    }

    fn memories(&mut self, section: MemorySectionReader<'_>) -> Result<(), RewriteError> {
        for memory in section {
            self.memories += 1;
            self.memory_bytes = memory_bytes(memory?)?;
        }
        Ok(())
    }

    fn globals(&mut self, section: GlobalSectionReader<'_>) -> Result<(), RewriteError> {
        for global in section {
            let global = global?;
            let index = self.globals_len;
            self.globals_len += 1;
            if !global.ty.mutable {
                continue;
            }
            if self.globals.len() == MUTABLE_GLOBALS_MAX {
                return Err(RewriteError::TooMany(MUTABLE_GLOBALS_MAX, "mutable globals"));
            }
            let value = number(&global.init_expr)?.ok_or(RewriteError::Global(index))?;
            self.globals.push(MutableGlobal { index, name: format!("{GLOBAL_PREFIX}{index}"), value });
        }
        Ok(())
    }

    fn exports(&mut self, section: ExportSectionReader<'_>) -> Result<(), RewriteError> {
        for export in section {
            self.exports.push(export?.name.to_owned());
        }
        Ok(())
    }

    fn data(&mut self, section: DataSectionReader<'_>) -> Result<(), RewriteError> {
        for (index, segment) in section.into_iter().enumerate() {
            if index == SEGMENTS_MAX {
                return Err(RewriteError::TooMany(SEGMENTS_MAX, "data segments"));
            }
            let segment = segment?;
            let offset = match segment.kind {
                DataKind::Passive if segment.data.is_empty() => continue,
                DataKind::Passive => return Err(RewriteError::Passive(index)),
                DataKind::Active { offset_expr, .. } => number(&offset_expr)?,
            };
            let Some(GlobalValue::I32(offset)) = offset else { return Err(RewriteError::Offset(index)) };
            let offset = u64::from(offset.cast_unsigned());
            let end = u64::try_from(segment.data.len()).ok().and_then(|len| offset.checked_add(len));
            if end.is_none_or(|end| end > self.memory_bytes) {
                return Err(RewriteError::OutOfMemory(index));
            }
            if !segment.data.is_empty() {
                // A segment's bytes are the last of it.
                let bytes = segment.range.end - segment.data.len()..segment.range.end;
                self.segments.push(Segment { offset, bytes });
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), RewriteError> {
        if self.memories != 1 {
            return Err(RewriteError::Memories(self.memories));
        }
        if self.exports.is_empty() {
            return Err(RewriteError::Lacks("exports"));
        }
        let added = self.globals.iter().map(|global| &global.name[..]).chain([FUEL_GLOBAL, PAUSE_GLOBAL]);
        for name in added {
            if self.exports.iter().any(|export| export == name) {
                return Err(RewriteError::NameTaken(name.to_owned()));
            }
        }
        Ok(())
    }
}

fn memory_bytes(memory: MemoryType) -> Result<u64, RewriteError> {
    if memory.memory64 {
        return Err(RewriteError::MemoryKind("64-bit"));
    }
    if memory.shared {
        return Err(RewriteError::MemoryKind("shared"));
    }
    if memory.page_size_log2.is_some() {
        return Err(RewriteError::MemoryKind("of another page size"));
    }
    if memory.initial > PAGES_MAX {
        return Err(RewriteError::MemoryTooLarge(memory.initial));
    }
    Ok(memory.initial * PAGE_BYTES)
}

/// The value of an expression that is one constant number; `None` of any other.
fn number(expression: &ConstExpr<'_>) -> Result<Option<GlobalValue>, RewriteError> {
    let mut operators = expression.get_operators_reader();
    let value = match operators.read()? {
        Operator::I32Const { value } => GlobalValue::I32(value),
        Operator::I64Const { value } => GlobalValue::I64(value),
        Operator::F32Const { value } => GlobalValue::F32(value.bits()),
        Operator::F64Const { value } => GlobalValue::F64(value.bits()),
        _ => return Ok(None),
    };
    Ok(operators.is_end_then_eof().then_some(value))
}
