//! The options that say what a job wants of its home and of machines, the same for every job that is given to the node.

use crate::exit::{Refusal, Trouble};
use crate::quantity::Span;
use clap::Args;
use potluck_node::client::{Client, Wanted, Wish};
use potluck_node::state::needs::{Needs, NeedsError, Requirements, WhoText};
use std::time::Duration;

// What was typed of a wish. No doc comment: it would be taken for what a command with these options does.
#[derive(Args, Clone, Debug)]
pub(crate) struct WishArgs {
    /// What the machine must have, as in `cpu=2,mem=4G,os=linux,arch=aarch64,gpu=2,gpu-memory=8G,tag=fast`; may be repeated. Only
    /// the Docker backend reaches a GPU
    #[arg(long, value_name = "NEEDS", value_parser = needs)]
    need: Vec<String>,
    /// Run it rather there: names of machines, or tag=WORD, with commas between them
    #[arg(long, value_name = "WHO", value_parser = who)]
    prefer: Vec<String>,
    /// Run it there only when no other machine fits
    #[arg(long, value_name = "WHO", value_parser = who)]
    avoid: Vec<String>,
    /// Runs it may have after the first when machines vanish with it [default: 2]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Its place among your jobs, from -100 to 100; the greater goes first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-100..=100))]
    priority: Option<i8>,
    /// How long it may wait for a machine that fits [default: until there is one]
    #[arg(long, value_name = "TIME")]
    queue_timeout: Option<Span>,
}

impl WishArgs {
    /// The first of these options that was typed and is for jobs that the node sees to. What a container is given of its machine
    /// is for every job.
    pub(crate) fn typed_for_the_node(&self) -> anyhow::Result<Option<&'static str>> {
        let needs = self.needs()?;
        let is_given = needs == Needs { gpus: needs.gpus, ..Needs::default() };
        Ok(self.typed().filter(|option| *option != "--need" || !is_given))
    }

    /// The first of these options that was typed.
    pub(crate) fn typed(&self) -> Option<&'static str> {
        let Self { need, prefer, avoid, retries, priority, queue_timeout } = self;
        let all = [
            ("--need", !need.is_empty()),
            ("--prefer", !prefer.is_empty()),
            ("--avoid", !avoid.is_empty()),
            ("--retries", retries.is_some()),
            ("--priority", priority.is_some()),
            ("--queue-timeout", queue_timeout.is_some()),
        ];
        all.into_iter().find(|(_, typed)| *typed).map(|(name, _)| name)
    }

    /// The wish; `on` names the only machines, with commas between them.
    pub(crate) fn wish(&self, on: Option<&str>) -> anyhow::Result<Wish> {
        let needs = self.needs()?;
        let all = |texts: &[String]| -> Result<Vec<WhoText>, NeedsError> {
            let lists = texts.iter().map(|text| WhoText::list(text)).collect::<Result<Vec<_>, _>>()?;
            Ok(lists.into_iter().flatten().collect())
        };
        let default = Wish::default();
        Ok(Wish {
            needs,
            on: machines(on)?,
            prefer: all(&self.prefer)?,
            avoid: all(&self.avoid)?,
            retries: self.retries.unwrap_or(default.retries),
            priority: self.priority.unwrap_or(default.priority),
            queue_timeout: self.queue_timeout.map(|time| time.0),
            ..default
        })
    }
}

impl WishArgs {
    /// What the machine must have.
    pub(crate) fn needs(&self) -> anyhow::Result<Needs> {
        let mut needs = Needs::default();
        for text in &self.need {
            needs.add(text)?;
        }
        Ok(needs)
    }

    /// The wish, and whom it means.
    pub(crate) async fn resolved(&self, client: &Client, on: Option<&str>) -> anyhow::Result<(Wish, Requirements)> {
        let wish = self.wish(on)?;
        let requirements = client.requirements(&wish).await?;
        Ok((wish, requirements))
    }

    /// What a job is given again with: what was typed, `--on` among it, which came to `typed`; of the rest what it was given
    /// with before.
    pub(crate) fn over(
        &self,
        on: Option<&str>,
        (wish, new): (Wish, Requirements),
        (priority, before): (i8, Wanted),
    ) -> (Wish, Requirements) {
        let old = before.requirements;
        let requirements = Requirements {
            needs: if self.need.is_empty() { old.needs } else { new.needs },
            // What it runs says that.
            container: old.container,
            on: if on.is_some() { new.on } else { old.on },
            prefer: if self.prefer.is_empty() { old.prefer } else { new.prefer },
            avoid: if self.avoid.is_empty() { old.avoid } else { new.avoid },
        };
        let wish = Wish {
            retries: self.retries.unwrap_or(before.retries),
            priority: self.priority.unwrap_or(priority),
            queue_timeout: wish.queue_timeout.or(before.queue_timeout_ms.map(Duration::from_millis)),
            ..wish
        };
        (wish, requirements)
    }
}

/// The machines that `--on` names; none for `any`, which stands alone.
fn machines(on: Option<&str>) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = on.iter().flat_map(|on| on.split(',')).map(|name| name.trim().to_owned()).collect();
    match names.as_slice() {
        [name] if name == "any" => Ok(Vec::new()),
        names if names.iter().any(|name| name == "any") => {
            let text =
                "`--on` takes `any`, or names with commas between them: `any` among names would make them mean nothing";
            Err(Refusal::error(Trouble::Failed, text))
        }
        _ => Ok(names),
    }
}

fn needs(text: &str) -> Result<String, NeedsError> {
    text.parse::<Needs>().map(|_| text.to_owned())
}

fn who(text: &str) -> Result<String, NeedsError> {
    WhoText::list(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use potluck_node::state::placement::Place;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        wish: WishArgs,
    }

    fn typed(words: &[&str]) -> Result<WishArgs, clap::Error> {
        Typed::try_parse_from(std::iter::once(&"x").chain(words)).map(|typed| typed.wish)
    }

    #[test]
    fn needs_add_up_and_machines_are_listed() {
        let args =
            typed(&["--need", "cpu=2,os=linux", "--need", "mem=4G", "--avoid", "attic,tag=slow", "--priority", "-7"]);
        let args = args.unwrap();
        assert_eq!(args.typed(), Some("--need"));
        let wish = args.wish(Some("desk, barn")).unwrap();
        assert_eq!((wish.needs.to_string().as_str(), wish.priority, wish.retries), ("cpu=2,mem=4G,os=linux", -7, 2));
        assert_eq!((wish.on, wish.avoid.len()), (vec!["desk".to_owned(), "barn".to_owned()], 2));
        assert_eq!(args.wish(Some("any")).unwrap().on, Vec::<String>::new());
        assert!(args.wish(Some("any,nobody")).unwrap_err().to_string().contains("`any` among names"));
    }

    #[test]
    fn what_is_typed_of_a_job_that_is_given_again_goes_before_what_it_had() {
        let before = || {
            let requirements =
                Requirements { needs: "gpu".parse().unwrap(), on: vec![Place::Here], ..Requirements::default() };
            (5, Wanted { requirements, retries: 7, queue_timeout_ms: Some(9_000) })
        };
        let again = |words: &[&str], on: Option<&str>| {
            let args = typed(words).unwrap();
            let wish = args.wish(on).unwrap();
            let new = Requirements { needs: wish.needs.clone(), ..Requirements::default() };
            args.over(on, (wish, new), before())
        };
        let (wish, requirements) = again(&[], None);
        assert_eq!(requirements, before().1.requirements);
        assert_eq!((wish.priority, wish.retries, wish.queue_timeout), (5, 7, Some(Duration::from_secs(9))));
        let (wish, requirements) = again(&["--need", "cpu=2", "--retries", "0", "--priority", "1"], Some("any"));
        assert_eq!((requirements.needs.to_string().as_str(), requirements.on), ("cpu=2", Vec::new()));
        assert_eq!((wish.priority, wish.retries, wish.queue_timeout), (1, 0, Some(Duration::from_secs(9))));
    }

    #[test]
    fn what_is_no_need_is_refused_where_it_is_typed() {
        for wrong in [["--need", "speed=9"], ["--prefer", ""], ["--priority", "101"], ["--queue-timeout", "soon"]] {
            assert!(typed(&wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(typed(&[]).unwrap().typed(), None);
        let twice = typed(&["--need", "os=linux", "--need", "os=macos"]).unwrap();
        assert!(twice.wish(None).unwrap_err().to_string().contains("twice"));
    }
}
