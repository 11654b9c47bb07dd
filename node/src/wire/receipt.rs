//! A receipt: what the node that ran a job signs about it. It proves who said so, and nothing about whether it is true: what
//! the submitter has seen itself it compares (see [`Receipt::check`]), the rest it takes on the signer's word.
//!
//! The signature covers a label and the body's bytes as they were sent, so that nothing is ever encoded again to be
//! checked, and fields of later versions are covered too.

use super::{DecodeError, JobId, SubmitJob, decode, encode};
use crate::identity::{Identity, NodeId};
use potluck_runtime::{Digest, Limits, Report};
use serde::{Deserialize, Serialize};

/// What the signed bytes begin with, so that no signature serves two purposes.
const LABEL: &[u8] = b"potluck receipt 1\0";
/// Tells digests of requests from all others.
const REQUEST_CONTEXT: &str = "potluck 2026-11 the request of a job v1";
/// Bytes of a body: a report, some digests and limits, which take below a kilobyte.
pub const BODY_LEN_MAX: usize = 16 << 10;

/// What is said about a job that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBody {
    /// Which job.
    pub job: JobId,
    /// Who ran it, and signs.
    pub ran: NodeId,
    /// For whom.
    pub sent: NodeId,
    /// The program's bytes; none of a script that came without its file.
    pub program: Option<Digest>,
    /// All that was asked for, as it was sent: program, arguments, variables, files, folders, limits. What came over stdin
    /// is no part of it.
    pub request: Digest,
    /// The memory image a script started from, by the name that machine keeps it under.
    pub image: Option<Digest>,
    /// The engine.
    pub engine: String,
    /// What it might use.
    pub limits: Limits,
    /// How it ended and what it used.
    pub report: Report,
    /// What it printed and what was sent back of it: see [`super::tally`].
    pub output: Digest,
    /// When it was accepted, in milliseconds since 1970 by the signer's clock.
    pub accepted_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
}

/// A body with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// A [`ReceiptBody`], encoded.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Of [`ReceiptBody::ran`].
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

/// Why a receipt is none.
#[derive(Debug, thiserror::Error)]
pub enum NoReceipt {
    /// It says more than there is to say.
    #[error("it has {0} bytes, and {BODY_LEN_MAX} at most are read")]
    TooLong(usize),
    /// It says nothing that can be understood.
    #[error("it cannot be understood")]
    Decode(#[from] DecodeError),
    /// Somebody else made it, or it was changed.
    #[error("it is not signed by {}, which it names", _0.short())]
    Signature(NodeId),
}

/// What the submitter knows about a job, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Who was asked to run it.
    pub ran: NodeId,
    /// Who asked.
    pub sent: NodeId,
    /// Which job.
    pub job: JobId,
    /// The program's bytes.
    pub program: Option<Digest>,
    /// [`request_digest`] of what was sent.
    pub request: Digest,
    /// Its limits.
    pub limits: Limits,
    /// What was told beside the receipt.
    pub report: Report,
    /// What arrived.
    pub output: Digest,
}

/// The name of a request: of the bytes of its `SUBMIT`.
#[must_use]
pub fn request_digest(payload: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(REQUEST_CONTEXT);
    hasher.update(payload);
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// The same, of a request that is here as a value. Encoding is a function, so it is what was sent.
#[must_use]
pub fn request_digest_of(job: &SubmitJob) -> Digest {
    request_digest(&encode(job))
}

impl Receipt {
    /// Signs a body whose `ran` is this identity.
    #[must_use]
    pub fn sign(identity: &Identity, body: &ReceiptBody) -> Self {
        let body = encode(body).to_vec();
        let signature = identity.sign(&signed_bytes(&body));
        Self { body, signature }
    }

    /// What it says, if whoever it names has signed it.
    ///
    /// # Errors
    /// [`NoReceipt`].
    pub fn verify(&self) -> Result<ReceiptBody, NoReceipt> {
        if self.body.len() > BODY_LEN_MAX {
            return Err(NoReceipt::TooLong(self.body.len()));
        }
        let body: ReceiptBody = decode(&self.body)?;
        if body.ran.verifies(&signed_bytes(&self.body), &self.signature) {
            Ok(body)
        } else {
            Err(NoReceipt::Signature(body.ran))
        }
    }

    /// Compares it with what the submitter knows.
    ///
    /// # Errors
    /// What is wrong with it, in a fragment of a sentence.
    pub fn check(&self, expected: &Expected) -> Result<ReceiptBody, String> {
        let body = self.verify().map_err(|error| crate::service::chain(&error))?;
        let differences = [
            (body.ran != expected.ran, "it names another machine"),
            (body.sent != expected.sent, "it is for somebody else"),
            (body.job != expected.job, "it is of another job"),
            (body.program != expected.program, "it is of another program"),
            (body.request != expected.request, "it is of another request"),
            (body.limits != expected.limits, "its limits are others than were asked for"),
            (body.report != expected.report, "it says another outcome than was told"),
            (body.output != expected.output, "its output is another than arrived"),
        ];
        match differences.iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err((*what).to_owned()),
            None => Ok(body),
        }
    }
}

fn signed_bytes(body: &[u8]) -> Vec<u8> {
    [LABEL, body].concat()
}

#[cfg(test)]
pub(super) mod tests;
