//! Test of the records of jobs: all of the file is read.

use super::Check;
use crate::quantity::ByteSize;
use crate::render;
use potluck_node::client::Client;
use potluck_node::store::jobs::{JobStore, StoreError};

const NAME: &str = "records";

/// The records are whole; none where no job was recorded yet, because a test makes none.
pub(super) fn records(client: &Client) -> Option<Check> {
    if !JobStore::is_in(&client.paths().data_dir) {
        return None;
    }
    Some(match client.records() {
        Ok(store) => examined(&store),
        Err(error) => failed(error),
    })
}

fn examined(store: &JobStore) -> Check {
    let file = store.file();
    let shown = file.display();
    if let Some(rescued) = store.rescued() {
        let found = format!("{shown} was damaged, and {} jobs were rescued from it", rescued.jobs);
        return Check::warn(NAME, found, format!("the damaged file is {}", rescued.aside.display()));
    }
    match store.check() {
        Ok(faults) if faults.is_empty() => {
            let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
            Check::ok(NAME, format!("{shown} is whole, {}", ByteSize(bytes)))
        }
        Ok(faults) => {
            let remedy = "`potluck down`, then `potluck history`, puts it aside and rescues what can be read";
            Check::fail(NAME, format!("{shown} is damaged: {}", faults.join("; ")), remedy)
        }
        Err(error) => failed(error),
    }
}

fn failed(error: StoreError) -> Check {
    let found = render::sentence(&anyhow::Error::new(error));
    Check::fail(NAME, found, "jobs run all the same, and are not remembered")
}
