//! The test of the container engine, which only those need who offer containers.

use super::Check;
use crate::commands::share::named_engine;
use crate::render;
use potluck_node::client::{Client, DockerSeen};
use potluck_runtime::EngineStatus;

/// An engine answers and has the images that are allowed, if containers are offered; otherwise what there is is told.
pub(super) async fn docker(client: &Client) -> Check {
    match client.docker().await {
        Ok(seen) => check(&seen),
        Err(error) => Check::fail("docker", render::sentence(&error.into()), "`potluck config ls` shows the settings"),
    }
}

fn check(seen: &DockerSeen) -> Check {
    match (&seen.engine, seen.settings.offer) {
        (Ok(engine), true) => offered(seen, engine),
        (Ok(engine), false) => {
            let found = format!("{}; not offered", named_engine(engine));
            Check::ok("docker", format!("{found}: `potluck share --docker --docker-image IMAGE` would"))
        }
        (Err(why), true) => {
            let remedy = "mend that, or `potluck share --no-docker` offers it no more";
            Check::fail("docker", format!("offered, and no engine answers: {why}"), remedy)
        }
        (Err(_), false) => Check::ok("docker", "not offered, so no engine is needed"),
    }
}

fn offered(seen: &DockerSeen, engine: &EngineStatus) -> Check {
    let found = format!("offered: {}", named_engine(engine));
    if seen.settings.images.is_empty() {
        return Check::warn(
            "docker",
            format!("{found}; no image is allowed"),
            "`potluck share --docker-image IMAGE` allows one",
        );
    }
    match engine.images.iter().find(|image| image.local.is_none()) {
        Some(absent) => {
            let what = format!("{found}; the image {} is allowed and not there", absent.reference);
            Check::warn("docker", what, absent.pull_command.clone())
        }
        None => Check::ok("docker", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use potluck_node::config::Docker;

    #[test]
    fn an_engine_is_missed_only_where_containers_are_offered() {
        let seen = |offer| DockerSeen {
            settings: Docker { offer, ..Docker::default() },
            engine: Err("nothing listens".to_owned()),
        };
        let (on, off) = (check(&seen(true)), check(&seen(false)));
        assert_eq!((on.result, off.result), (Verdict::Fail, Verdict::Ok));
        assert!(on.found.contains("nothing listens") && on.remedy.contains("share --no-docker"), "{on:?}");
    }
}
