//! What is seen of this machine's graphics processors, and what was tried.

use super::Check;
use crate::gpus::described;
use potluck_node::client::Client;

const REMEDY: &str = "NVIDIA's driver brings its library; `nvidia-smi` fails in the same way, and says more";

/// The graphics processors. None is no fault.
pub(super) async fn gpus(client: &Client) -> Check {
    let Some(sight) = client.gpus().await else {
        return Check::warn("gpu", "a driver has not answered within 5 s, so none are seen", REMEDY);
    };
    let tried = sight.tried.join("; ");
    let found = match sight.gpus.as_slice() {
        [] => format!("none seen: {tried}"),
        gpus => {
            let all: Vec<String> = gpus.iter().map(described).collect();
            format!("{} (jobs in WebAssembly cannot use it): {tried}", all.join("; "))
        }
    };
    match sight.trouble {
        Some(_) => Check::warn("gpu", found, REMEDY),
        None => Check::ok("gpu", found),
    }
}
