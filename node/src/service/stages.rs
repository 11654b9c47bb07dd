//! Telling the submitter what happens before its guest starts. Only the newest stage is told, and not too often: stages
//! are for people.

use super::inbound::Inbound;
use super::{Stop, gone};
use crate::wire::{FrameWriter, Stage, Tag};
use potluck_runtime::{Tenant, Watch};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The least time between two stages that are told.
const STAGE_PAUSE: Duration = Duration::from_millis(100);

/// Takes stages from whatever is under way.
pub(crate) struct StageRelay {
    newest: watch::Sender<Option<Stage>>,
    tenant: Tenant,
}

impl StageRelay {
    /// For work that is done for this tenant.
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self { newest: watch::Sender::new(None), tenant }
    }
}

impl Watch for StageRelay {
    fn stage(&self, stage: potluck_runtime::Stage) {
        self.newest.send_replace(Some(wire_stage(stage)));
    }

    fn tenant(&self) -> Tenant {
        self.tenant
    }
}

/// Does `work` while telling the stages that `relay` takes, and ends it when the submitter cancels or is gone.
pub(super) async fn tell_while<T>(
    relay: &StageRelay,
    inbound: &mut Inbound,
    writer: &mut FrameWriter,
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    let mut work = pin!(work);
    let mut stages = relay.newest.subscribe();
    stages.mark_changed();
    let mut next_telling = Instant::now();
    loop {
        let stage = {
            let next_stage = async {
                sleep_until(next_telling).await;
                // The relay outlives this function, so its sender is there.
                let _ = stages.changed().await;
                stages.borrow_and_update().clone()
            };
            tokio::select! {
                biased;
                result = &mut work => return Ok(result),
                stop = inbound.interrupted() => return Err(stop),
                stage = next_stage => stage,
            }
        };
        // That there is nothing to wait for is told by the start of the guest.
        if let Some(stage) = stage.filter(|stage| *stage != Stage::Ready) {
            writer.send_message(Tag::STAGE, &stage).await.map_err(gone)?;
        }
        next_telling = Instant::now() + STAGE_PAUSE;
    }
}

fn wire_stage(stage: potluck_runtime::Stage) -> Stage {
    match stage {
        potluck_runtime::Stage::Fetching { what, done, total } => Stage::Fetching { what, done, total },
        potluck_runtime::Stage::Compiling { what, elapsed_ms } => Stage::Compiling { what, elapsed_ms },
        potluck_runtime::Stage::Warming { what, elapsed_ms } => Stage::Warming { what, elapsed_ms },
        potluck_runtime::Stage::Ready => Stage::Ready,
    }
}
