//! How much a node that runs something for us may still send of one kind. It counts itself, and need not be believed.

use super::failure::SubmitError;

/// So many bytes, and what is left of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    what: &'static str,
    allowed: u64,
    left: u64,
}

impl Allowance {
    /// Of `what`, so many bytes.
    pub(super) fn new(what: &'static str, allowed: u64) -> Self {
        Self { what, allowed, left: allowed }
    }

    /// So many bytes have come from this peer, or are announced.
    pub(super) fn take(&mut self, peer: &str, len: u64) -> Result<(), SubmitError> {
        let Some(left) = self.left.checked_sub(len) else {
            return Err(SubmitError::Flooded { peer: peer.to_owned(), what: self.what, allowed: self.allowed });
        };
        self.left = left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_taken_to_the_last_byte_and_no_further() {
        let mut allowance = Allowance::new("output", 100);
        allowance.take("mallory", 60).unwrap();
        allowance.take("mallory", 40).unwrap();
        allowance.take("mallory", 0).unwrap();
        let refused = allowance.take("mallory", 1).unwrap_err().to_string();
        assert!(refused.contains("mallory") && refused.contains("100 bytes of output"), "{refused}");
    }
}
