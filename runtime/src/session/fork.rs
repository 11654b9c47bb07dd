//! Twins: two sessions that share what one was, and nothing of what they become.

use super::{Layer, Session, SessionError};

/// What a twin runs first, so that it does not draw the same random numbers.
pub(super) const REFRESH: &str = "__import__('_reactor')._refresh(False)";

impl Session {
    /// An independent twin, with everything this session has in memory and a copy of its files.
    ///
    /// # Errors
    /// [`SessionError::FilesOpen`] while the guest holds files open; else what keeps a worker from starting.
    pub async fn fork(&mut self) -> Result<Self, SessionError> {
        self.without_files().await?;
        let mut layers = self.freeze().await?;
        layers.push(Layer::new()?);
        let workspace = self.runtime.copy_workspace(&self.workspace).await.map_err(SessionError::Start)?;
        let (image, request) = (self.image.clone(), self.request.clone());
        let mut twin = Self::new(&self.runtime, &self.prepared, request, workspace, image, layers)?;
        twin.launch(vec![REFRESH.to_owned()]).await?;
        Ok(twin)
    }
}
