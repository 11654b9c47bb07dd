//! The environment `python`: where its artifacts come from, how a script is run on them, and what a script may import.
//! Nothing here starts a guest; it fills a [`crate::ScriptPlan`] that the sandbox carries out.

mod artifacts;
mod store;
mod partial;
mod wheel;
mod pip;
mod layout;
mod packages;
mod imports;
mod scan;

pub use artifacts::{Artifact, EnvironmentSpec, PYTHON};
pub use imports::{MissingPackage, check_imports};
pub use packages::Package;
pub use partial::ArtifactWriter;
pub use store::{EnvironmentError, EnvironmentStatus, Environments};
