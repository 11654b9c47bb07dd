//! x
use crate::workspace::Workspace;
pub(crate) fn check(_: &Workspace) -> anyhow::Result<()> {
    Ok(())
}
