//! The packages of a job, laid out for the sandbox. A wheel that cannot be used is the submitter's to mend; what this machine is
//! at fault for is told to its owner alone.

use super::Inner;
use super::inputs::Inputs;
use super::sentence;
use crate::dispatch::Role;
use crate::wire::{Fault, FaultCode, SubmitJob};
use potluck_runtime::wheels::sets::{PackageSet, SetError, WheelAt};
use std::sync::Arc;

/// Lays out what a job brings along, if it does.
pub(super) async fn lay_out(
    inner: &Inner,
    job: &SubmitJob,
    inputs: &Inputs,
    role: Role,
) -> Result<Option<Arc<PackageSet>>, Fault> {
    if job.packages.is_empty() {
        return Ok(None);
    }
    let mut wheels = Vec::with_capacity(job.packages.len());
    for package in &job.packages {
        let path = inputs.path(&package.digest)?.to_owned();
        wheels.push(WheelAt { name: package.name.clone(), digest: package.digest, path });
    }
    let laid_out = inner.runtime.lay_out_packages(wheels).await;
    laid_out.map(Some).map_err(|error| match &error {
        SetError::Wheel { .. } => Fault::new(FaultCode::BAD_INPUT, super::chain(&error)),
        SetError::Disk(_) => {
            tracing::warn!(error = %super::chain(&error), "packages could not be laid out");
            Fault::new(FaultCode::INTERNAL, sentence(&error, role))
        }
    })
}
