//! The options that say what runs a program: the sandbox of WebAssembly, or a container of an image.

use crate::exit::{Refusal, Trouble};
use clap::{Args, ValueEnum};
use potluck_node::state::containers::Image;

// What runs a program. No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BackendArgs {
    /// What runs the program: `wasm`, on any machine, or `docker`, in a container on machines whose owners offer that
    /// [default: docker where an image is named, and wasm otherwise]
    #[arg(long, value_name = "wasm|docker", hide_possible_values = true)]
    backend: Option<Backend>,
    /// Run the program in a container of this image; PROGRAM may be a command of it. `potluck peers` shows who offers which
    #[arg(long, value_name = "IMAGE")]
    docker_image: Option<Image>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backend {
    Wasm,
    Docker,
}

impl BackendArgs {
    /// The image of the container, where the program runs in one.
    pub(crate) fn container(&self) -> anyhow::Result<Option<Image>> {
        let refuse = |text: &str| Err(Refusal::error(Trouble::Failed, text));
        match (self.backend, &self.docker_image) {
            (Some(Backend::Docker), None) => refuse(
                "a job in a container needs an image: say `--docker-image IMAGE` as well; `potluck peers --json` shows who offers \
                 which",
            ),
            (Some(Backend::Wasm), Some(_)) => refuse(
                "a program that runs as WebAssembly has no container image: leave `--docker-image` out, or `--backend wasm`",
            ),
            (Some(Backend::Docker) | None, image) => Ok(image.clone()),
            (Some(Backend::Wasm), None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        backend: BackendArgs,
    }

    fn container(words: &[&str]) -> Result<Option<String>, String> {
        let typed = Typed::try_parse_from(std::iter::once(&"x").chain(words)).map_err(|error| error.to_string())?;
        let image = typed.backend.container().map_err(|error| error.to_string())?;
        Ok(image.map(|image| image.to_string()))
    }

    #[test]
    fn an_image_means_a_container_and_what_contradicts_itself_is_refused_with_the_way_out() {
        assert_eq!(container(&[]), Ok(None));
        assert_eq!(container(&["--backend", "wasm"]), Ok(None));
        assert_eq!(container(&["--docker-image", "busybox:1.36"]), Ok(Some("busybox:1.36".into())));
        assert_eq!(container(&["--backend", "docker", "--docker-image", "busybox"]), Ok(Some("busybox".into())));
        for (words, cure) in [
            (&["--backend", "docker"][..], "say `--docker-image IMAGE` as well"),
            (&["--backend", "wasm", "--docker-image", "busybox"], "leave `--docker-image` out"),
            (&["--docker-image", "Two Words"], "docker pull"),
            (&["--backend", "podman"], "[possible values: wasm, docker]"),
        ] {
            let text = container(words).unwrap_err();
            assert!(text.contains(cure), "{words:?}: {text}");
        }
    }
}
