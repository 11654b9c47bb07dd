//! Whom a node trusts and how that comes about: tickets, proofs, vouches, and the book that remembers.

pub mod ticket;

pub mod invitations;

pub mod join;

pub mod vouch;

pub mod revocation;

pub mod standing;

pub mod book;

pub mod pins;
