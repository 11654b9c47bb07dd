//! The options that say what a program is run with, the same wherever one is run.

use crate::backend::BackendArgs;
use crate::exit::{Refusal, Trouble};
use crate::fetching;
use crate::limits::LimitArgs;
use crate::packages::PackageArgs;
use crate::render::say;
use clap::Args;
use potluck_node::client::{Client, Submission, is_command_of_image};
use potluck_node::images::NamedImages;
use potluck_node::state::needs::Needs;
use potluck_node::state::placement::gpu::ONLY_DOCKER;
use std::path::{Path, PathBuf};

// What a program is run with. No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProgramArgs {
    /// The environment that runs a script [default: by the file's ending]
    #[arg(long = "env", value_name = "NAME")]
    environment: Option<String>,
    /// Start a script from this memory image, made first if need be; `none` imports everything anew [default: the
    /// smallest that covers the script's imports]
    #[arg(long, value_name = "NAME|none")]
    image: Option<String>,
    /// Set an environment variable of the program; nothing else is inherited
    #[arg(short = 'e', value_name = "KEY=VALUE", value_parser = parse_variable)]
    variables: Vec<(String, String)>,
    /// Put files and folders into the program's working directory; of folders all but what their `.gitignore` and
    /// `.potluckignore` leave out, `.git`, `__pycache__`, `.venv`, `node_modules`, and other environments and caches
    #[arg(short = 'f', value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Leave nothing of the folders out
    #[arg(long)]
    all_files: bool,
    /// Let the program read a folder, at an absolute path of its own
    #[arg(long, value_name = "HOST::GUEST", value_parser = parse_mount)]
    mount: Vec<(PathBuf, String)>,
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    packages: PackageArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl ProgramArgs {
    /// Refuses what needs what the program has no way to, before anything is read or started.
    pub(crate) fn check_needs(&self, needs: &Needs) -> anyhow::Result<()> {
        if needs.gpus > 0 && self.backend.container()?.is_none() {
            return Err(Refusal::error(Trouble::Failed, ONLY_DOCKER));
        }
        Ok(())
    }

    /// The program with these arguments, what was typed, and the packages it brings along.
    pub(crate) async fn submission(
        &self,
        client: &Client,
        program: &Path,
        args: Vec<String>,
        quiet: bool,
    ) -> anyhow::Result<Submission> {
        let mut submission = Submission::new(program).args(args).limits(self.limits.limits());
        for (key, value) in &self.variables {
            submission = submission.env(key, value);
        }
        for path in &self.files {
            submission = submission.file(path);
        }
        for (host, guest) in &self.mount {
            submission = submission.mount(host, guest);
        }
        if self.all_files {
            submission = submission.all_files();
        }
        if let Some(name) = &self.environment {
            submission = submission.environment(name);
        }
        if let Some(name) = &self.image {
            submission = submission.image(NamedImages::of(client.paths()).choice(name)?);
        }
        if let Some(image) = self.backend.container()? {
            self.packages.refuse_in_container(program)?;
            if !quiet && is_command_of_image(program) {
                say(&format!("running the command {} of the image {image}", program.display()));
            }
            return Ok(submission.container(image));
        }
        let environment = self.environment.as_deref();
        fetching::ensure(client, program, environment, quiet).await?;
        Ok(submission.packages(self.packages.found(client, program, environment, quiet).await?))
    }
}

/// The value of `-e`.
pub(crate) fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("KEY=VALUE is expected".to_owned()),
    }
}

fn parse_mount(text: &str) -> Result<(PathBuf, String), String> {
    match text.split_once("::") {
        Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => Ok((host.into(), guest.to_owned())),
        _ => Err("HOST::GUEST is expected, GUEST starting with `/`, such as ./data::/data".to_owned()),
    }
}
