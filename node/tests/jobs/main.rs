//! Jobs from submission to end, with real worker processes: inside one process, and between nodes over real sockets.
//! The workers are the example `worker`, which `cargo test` and `cargo nextest run` build on the way.

mod lab;

mod embedded;

mod peers;

mod artifacts;
