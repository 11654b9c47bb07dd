//! One byte-exact sample of every message. A change here is a change of the wire and needs a new protocol version.
