//! The records of jobs as a command opens them.

use crate::render;
use potluck_node::client::Client;
use potluck_node::store::jobs::JobStore;

/// Opens the records; what became of a damaged file is said.
pub(crate) fn open(client: &Client) -> anyhow::Result<JobStore> {
    client.paths().create()?;
    let store = client.records()?;
    if let Some(rescued) = store.rescued() {
        let aside = rescued.aside.display();
        render::say(&format!("the records of jobs were damaged; {} of them were rescued from {aside}", rescued.jobs));
    }
    Ok(store)
}
