//! `potluck env warm` and the images of `potluck env ls`: interpreters whose imports are done already.

use crate::exit::{Refusal, Trouble};
use crate::progress::{Manner, Progress};
use crate::quantity::ByteSize;
use crate::render::{self, Table};
use crate::settings;
use crate::signals::EndRequests;
use anyhow::Context;
use clap::Args;
use potluck_node::client::Client;
use potluck_node::images::{NamedImage, NamedImages};
use potluck_runtime::{BUILT_IN, BuiltIn, ImageRecipe};
use serde::Serialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  potluck env warm data                                    make a built-in image now
  potluck env warm stats --import numpy,statsmodels.api    make one of your own
  potluck env warm words --import re --run load_words.py
  potluck run --image stats report.py";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct WarmArgs {
    /// The image: a built-in one, or a name for one of your own
    name: String,
    /// The environment it is an image of
    #[arg(long = "env", value_name = "NAME", default_value = "python")]
    environment: String,
    /// Modules it imports, as an import statement names them
    #[arg(long = "import", value_name = "MODULE", value_delimiter = ',')]
    imports: Vec<String>,
    /// A script that is run after the imports; what it defines in modules stays, its own names do not
    #[arg(long = "run", value_name = "FILE")]
    setup: Option<PathBuf>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// One image, for programs.
#[derive(Serialize)]
pub(super) struct ImageObject {
    name: String,
    environment: String,
    built_in: bool,
    imports: Vec<String>,
    ready: bool,
    /// What it takes on disk.
    bytes: u64,
    /// How long an empty script takes from it, worker process included; none if the image is not there.
    start_ms: Option<f64>,
}

/// Makes an image, and remembers its name.
pub(super) fn warm(client: &Client, args: WarmArgs) -> anyhow::Result<()> {
    let own = !args.imports.is_empty() || args.setup.is_some();
    super::interpreters::refuse_other_than_python(client, &args.environment, "memory images")?;
    let recipe = if own { own_recipe(&args)? } else { known_recipe(client, &args.name)? };
    let progress = Progress::new(Manner::suitable(args.quiet));
    let runtime = client.runtime()?;
    settings::block_on(async {
        let mut requests = EndRequests::listen()?;
        let making = async {
            client.fetch_environment(&args.environment, &progress).await?;
            let made = runtime.make_image(&args.environment, &recipe, &progress).await;
            made.with_context(|| format!("there is no image {} now", args.name))
        };
        tokio::select! {
            made = making => made,
            () = requests.next() => Err(Refusal::error(Trouble::Cancelled, "cancelled; nothing was kept of the image")),
        }
    })?;
    progress.finish();
    if own {
        let image = NamedImage { environment: args.environment.clone(), recipe: recipe.clone() };
        client.paths().create()?;
        NamedImages::of(client.paths()).set(&args.name, image)?;
    }
    if !args.quiet {
        let bytes = runtime.image_bytes(&args.environment, &recipe).unwrap_or_default();
        render::say(&format!("the image {} is ready ({})", args.name, ByteSize(bytes)));
    }
    Ok(())
}

fn own_recipe(args: &WarmArgs) -> anyhow::Result<ImageRecipe> {
    NamedImages::check(&args.name)?;
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let recipe = ImageRecipe { imports: args.imports.clone(), setup: args.setup.as_ref().map(read).transpose()? };
    recipe.check()?;
    Ok(recipe)
}

fn known_recipe(client: &Client, name: &str) -> anyhow::Result<ImageRecipe> {
    if let Some(image) = BuiltIn::named(name) {
        return Ok(image.recipe());
    }
    let mut known = NamedImages::of(client.paths()).list()?;
    let image = known.remove(name);
    Ok(image.with_context(|| format!("say what {name} is made of, with --import or --run"))?.recipe)
}

/// All images there are or could be at once.
pub(super) fn list(client: &Client) -> anyhow::Result<Vec<ImageObject>> {
    let named = NamedImages::of(client.paths()).list()?;
    let built_in = BUILT_IN.iter().map(|image| (image.name.to_owned(), "python".to_owned(), image.recipe(), true));
    let own = named.into_iter().map(|(name, image)| (name, image.environment, image.recipe, false));
    let runtime = client.runtime()?;
    settings::block_on(async {
        let mut objects = Vec::new();
        for (name, environment, recipe, built_in) in built_in.chain(own) {
            let bytes = runtime.image_bytes(&environment, &recipe);
            let start = match bytes {
                Some(_) => runtime.time_image(&environment, &recipe).await.ok(),
                None => None,
            };
            objects.push(ImageObject {
                name,
                environment,
                built_in,
                imports: recipe.imports,
                ready: bytes.is_some(),
                bytes: bytes.unwrap_or_default(),
                start_ms: start.map(|start| start.as_secs_f64() * 1000.0),
            });
        }
        Ok(objects)
    })
}

/// The images, for people.
pub(super) fn table(images: &[ImageObject]) -> String {
    let mut table = Table::new(&["image", "of", "imports", "state", "size", "starts in"]);
    for image in images {
        let imports = if image.imports.is_empty() { "-".to_owned() } else { image.imports.join(", ") };
        let state = match (image.ready, image.built_in) {
            (true, _) => "ready",
            (false, true) => "made at first need",
            (false, false) => "not here",
        };
        table.push(vec![
            image.name.clone(),
            image.environment.clone(),
            imports,
            state.to_owned(),
            if image.ready { ByteSize(image.bytes).to_string() } else { "-".to_owned() },
            image.start_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
        ]);
    }
    table.render()
}

/// Removes an image of the user's own; whether it was one.
pub(super) fn remove(client: &Client, name: &str) -> anyhow::Result<bool> {
    let names = NamedImages::of(client.paths());
    let Some(image) = names.list()?.remove(name) else { return Ok(false) };
    client.runtime()?.remove_image(&image.environment, &image.recipe);
    names.remove(name)?;
    render::say(&format!("removed the image {name}"));
    Ok(true)
}
