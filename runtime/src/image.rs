//! Warm memory images: an interpreter's linear memory after its imports, kept in a file that every run maps copy-on-write.
//! An image changes how soon a script starts and nothing that it does: a run without one imports for itself.

mod file;
mod recipe;

pub(crate) use file::{GlobalValue, ImageFile, ImageTail, PAGE, SavedSession, write_image, write_tail};
pub use recipe::{BUILT_IN, BuiltIn, ImageChoice, ImageRecipe, RecipeError};
