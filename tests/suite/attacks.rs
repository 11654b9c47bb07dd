//! Hostile guests. Each runs, for the machine's owner and for a peer, on a node that serves somebody else at the same time, and
//! ends in an outcome that has a name, or is refused with a reason; what the other is told is unchanged, the node answers, and
//! nothing is left.

mod arena;
mod guest;

mod bombs;
mod components;
mod descriptors;
mod disk;
mod events;
mod links;
mod memory;
mod output;
mod paths;
mod python;
mod random;
mod stack;
mod time;
