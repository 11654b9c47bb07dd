//! What is offered of containers, in words and in JSON.

use crate::quantity::ByteSize;
use potluck_node::client::DockerSeen;
use potluck_node::state::containers::Image;
use potluck_runtime::{AllowedImage, EngineStatus};
use serde::Serialize;

/// What `share --json` says of containers.
#[derive(Serialize)]
pub(super) struct DockerObject {
    offered: bool,
    /// The socket that the owner names.
    socket: Option<String>,
    engine: Option<EngineObject>,
    /// Why no engine answers.
    why: Option<String>,
    images: Vec<ImageObject>,
}

/// An engine that answers.
#[derive(Serialize)]
struct EngineObject {
    name: String,
    version: String,
    api_version: String,
    socket: String,
    rootless: bool,
    gives_gpus: bool,
}

/// An image that jobs may use.
#[derive(Serialize)]
struct ImageObject {
    image: String,
    /// Whether it is there; nothing while no engine says.
    present: Option<bool>,
    id: Option<String>,
    bytes: Option<u64>,
    /// What gets it, where it is not there.
    get_by: Option<String>,
}

impl DockerObject {
    pub(super) fn new(seen: &DockerSeen) -> Self {
        let engine = seen.engine.as_ref().ok();
        Self {
            offered: seen.settings.offer,
            socket: seen.settings.engine.as_ref().map(|socket| socket.display().to_string()),
            engine: engine.map(EngineObject::new),
            why: seen.engine.as_ref().err().cloned(),
            images: seen.settings.images.iter().map(|image| ImageObject::new(image, engine)).collect(),
        }
    }
}

impl EngineObject {
    fn new(status: &EngineStatus) -> Self {
        Self {
            name: status.name.clone(),
            version: status.version.clone(),
            api_version: status.api_version.clone(),
            socket: status.socket.display().to_string(),
            rootless: status.is_rootless,
            gives_gpus: status.gives_gpus,
        }
    }
}

impl ImageObject {
    fn new(image: &Image, engine: Option<&EngineStatus>) -> Self {
        let found = engine.and_then(|engine| allowed(engine, image));
        let local = found.and_then(|found| found.local.as_ref());
        Self {
            image: image.to_string(),
            present: engine.map(|_| local.is_some()),
            id: local.map(|local| local.id.clone()),
            bytes: local.map(|local| local.size),
            get_by: found.filter(|found| found.local.is_none()).map(|found| found.pull_command.clone()),
        }
    }
}

/// The lines of `share` about containers: whether they are offered, by which engine, and each image.
pub(super) fn lines(seen: &DockerSeen) -> Vec<(&'static str, String)> {
    let DockerSeen { settings, engine } = seen;
    if !settings.offer {
        let kept = match settings.images.len() {
            0 => String::new(),
            count => format!("; {count} images are on its list"),
        };
        return vec![("docker", format!("not offered{kept}"))];
    }
    let mut lines = vec![("docker", engine.as_ref().map_or_else(|why| format!("no engine: {why}"), named))];
    if settings.images.is_empty() {
        lines.push(("image", "none is allowed yet; `potluck share --docker-image IMAGE` allows one".to_owned()));
    }
    lines.extend(settings.images.iter().map(|image| ("image", of_image(image, engine.as_ref().ok()))));
    lines
}

/// An engine in one line.
pub(in crate::commands) fn named(status: &EngineStatus) -> String {
    let rootless = if status.is_rootless { ", rootless" } else { "" };
    let EngineStatus { name, version, api_version, socket, .. } = status;
    format!("{name} {version} at {} (API {api_version}{rootless})", socket.display())
}

fn of_image(image: &Image, engine: Option<&EngineStatus>) -> String {
    match engine.and_then(|engine| allowed(engine, image)) {
        Some(AllowedImage { local: Some(local), .. }) => format!("{image}, {}", ByteSize(local.size)),
        Some(AllowedImage { local: None, pull_command, .. }) => format!("{image}, not there yet: `{pull_command}`"),
        None => image.to_string(),
    }
}

/// What the engine says of an image, by its name as it was given.
fn allowed<'a>(engine: &'a EngineStatus, image: &Image) -> Option<&'a AllowedImage> {
    engine.images.iter().find(|allowed| allowed.reference.parse::<Image>().is_ok_and(|allowed| allowed == *image))
}

#[cfg(test)]
mod tests {
    use super::*;
    use potluck_node::config::Docker;
    use potluck_runtime::LocalImage;

    fn engine() -> EngineStatus {
        let image = |reference: &str, local| AllowedImage {
            reference: reference.into(),
            local,
            pull_command: format!("docker pull {reference}"),
        };
        EngineStatus {
            socket: "/run/docker.sock".into(),
            name: "Docker".into(),
            version: "26.1.5".into(),
            api_version: "1.45".into(),
            is_rootless: true,
            gives_gpus: false,
            images: vec![
                image("busybox", Some(LocalImage { id: "sha256:1".into(), size: 4 << 20 })),
                image("python:3.12", None),
            ],
        }
    }

    fn text(offer: bool, images: &[&str], engine: Result<EngineStatus, String>) -> String {
        let images = images.iter().map(|image| image.parse().unwrap()).collect();
        let seen = DockerSeen { settings: Docker { offer, images, engine: None }, engine };
        lines(&seen).into_iter().map(|(word, line)| format!("{word} {line}\n")).collect()
    }

    #[test]
    fn the_owner_sees_the_engine_and_each_image_with_what_gets_it() {
        assert_eq!(
            text(true, &["busybox", "python:3.12"], Ok(engine())),
            "docker Docker 26.1.5 at /run/docker.sock (API 1.45, rootless)\nimage busybox, 4 MiB\n\
             image python:3.12, not there yet: `docker pull python:3.12`\n"
        );
        assert_eq!(text(false, &["busybox"], Ok(engine())), "docker not offered; 1 images are on its list\n");
        assert_eq!(text(false, &[], Err("none".into())), "docker not offered\n");
        let silent = text(true, &[], Err("cannot reach it".into()));
        assert!(silent.starts_with("docker no engine: cannot reach it\nimage none is allowed yet"), "{silent}");
    }
}
