//! The environment `python`: where its artifacts come from, how a script is run on them, and what a script may import.
//! Nothing here starts a guest; it fills a [`crate::ScriptPlan`] that the sandbox carries out.

mod artifacts;
mod imports;
mod layout;
mod packages;
mod partial;
mod scan;
mod store;
mod wheel;

pub use artifacts::{Artifact, EnvironmentSpec, PYTHON};
pub(crate) use imports::takes_a_modules_place;
pub use imports::{MissingPackage, ScriptImports, is_python_module, script_imports};
pub use packages::Package;
pub(crate) use packages::{built_in, built_ins, imported_as};
pub use partial::ArtifactWriter;
pub use store::{EnvironmentError, EnvironmentStatus, Environments};
