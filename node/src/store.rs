//! The only owner of the data directory's files: written aside, synced, renamed; every file begins with a version.

pub mod record;

pub mod blobs;

pub mod sessions;

pub mod jobs;
pub mod recording;

pub mod cache;
