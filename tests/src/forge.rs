//! Tickets that are whole but false: some of their bytes are changed and the checksum is made anew.

const PREFIX: &str = "potluck1";
const CHECKSUM_LEN: usize = 4;
const CHECKSUM_CONTEXT: &str = "potluck 2026 ticket checksum";

/// A part of a ticket, by where its bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketPart {
    /// Which invitation.
    Id,
    /// The key of who invites.
    Inviter,
    /// What is to be proved.
    Secret,
    /// When it expires; a forger puts it off by some years.
    Expiry,
}

/// The ticket with one part changed and everything else as it should be.
///
/// # Panics
/// When `ticket` is none.
#[must_use]
pub fn forge(ticket: &str, part: TicketPart) -> String {
    let text = ticket.strip_prefix(PREFIX).expect("a ticket begins with its name").to_ascii_uppercase();
    let mut bytes = data_encoding::BASE32_NOPAD.decode(text.as_bytes()).expect("a ticket is base32");
    bytes.truncate(bytes.len() - CHECKSUM_LEN);
    match part {
        TicketPart::Id => bytes[1] ^= 1,
        TicketPart::Inviter => bytes[9] ^= 1,
        TicketPart::Secret => bytes[41] ^= 1,
        // Little-endian seconds: the fourth byte counts about half a year.
        TicketPart::Expiry => bytes[73 + 3] += 10,
    }
    let mut checksum = [0; CHECKSUM_LEN];
    blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT).update(&bytes).finalize_xof().fill(&mut checksum);
    bytes.extend_from_slice(&checksum);
    format!("{PREFIX}{}", data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}
