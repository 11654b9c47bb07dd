//! Sessions in sentences: what one is called, how to come back to it, and what is said when something fails.

use crate::exit::{Refusal, Trouble};
use crate::render;
use potluck_node::client::{FailureKind, SessionFailure, SessionHandle};
use potluck_node::wire::SessionInfo;

/// Characters of a short id: enough to name one session among thousands.
const SHORT_LEN: usize = 8;

/// What a session is called: its name, or the beginning of its id.
pub(crate) fn label(info: &SessionInfo) -> String {
    info.name.as_deref().map_or_else(|| short_id(info), render::tame)
}

/// The beginning of a session's id, which names it too.
pub(crate) fn short_id(info: &SessionInfo) -> String {
    info.session.to_string().chars().take(SHORT_LEN).collect()
}

/// What is typed to come back to a session.
pub(crate) fn way_back(info: &SessionInfo) -> String {
    format!("potluck session attach {}", label(info))
}

/// A failure of something asked of a session.
pub(crate) fn refusal(failure: SessionFailure) -> anyhow::Error {
    let trouble = if failure.kind() == FailureKind::Cancelled { Trouble::Cancelled } else { Trouble::Failed };
    Refusal::error(trouble, render::sentence(&anyhow::Error::new(failure)))
}

/// As [`refusal`], if the error is such a failure; after a lost connection it says which session is to be taken up again.
pub(crate) fn refusal_in(session: &SessionHandle, error: anyhow::Error) -> anyhow::Error {
    let failure = match error.downcast::<SessionFailure>() {
        Ok(failure) => failure,
        Err(other) => return other,
    };
    if !failure.is_lost() || !session.stays() {
        return refusal(failure);
    }
    let sentence = render::sentence(&anyhow::Error::new(failure));
    Refusal::error(Trouble::Failed, format!("{sentence} (`{}`)", way_back(session.info())))
}
