//! `potluck config`: reads and changes the settings file. A running node reads it when it starts.

use crate::render::{self, Table};
use crate::{exit, settings};
use clap::{Args, Subcommand};
use potluck_node::config::Settings;
use serde_json::{Map, Value};

const EXAMPLES: &str = "\
Examples:
  potluck config ls
  potluck config set name attic
  potluck config set jobs_max 2
  potluck config set tags fast,gpu-box     words that jobs can ask for with `--need tag=fast`
  potluck config unset port

A running node takes a change at its next start: `potluck down && potluck up -d`.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print one setting
    Get {
        /// Which
        key: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Change one setting
    Set {
        /// Which
        key: String,
        /// To what
        value: String,
    },
    /// List every setting
    Ls {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Go back to the default of one setting
    Unset {
        /// Which
        key: String,
    },
}

pub(crate) fn execute(args: ConfigArgs) -> anyhow::Result<u8> {
    let file = settings::paths()?.config_file();
    let mut settings = Settings::load(&file)?;
    match args.action {
        Action::Get { key, json } => {
            let value = settings.value(&key)?;
            if json {
                render::print_json(&value.map_or(Value::Null, as_json))?;
            } else {
                render::print(&format!("{}\n", value.as_deref().unwrap_or("(default)")))?;
            }
        }
        Action::Set { key, value } => {
            anyhow::ensure!(
                !value.is_empty(),
                "a setting cannot be empty; `potluck config unset {key}` restores its default"
            );
            settings.set(&key, &value)?;
            settings.save(&file)?;
        }
        Action::Unset { key } => {
            settings.set(&key, "")?;
            settings.save(&file)?;
        }
        Action::Ls { json: true } => {
            let mut object = Map::new();
            for key in Settings::KEYS {
                object.insert((*key).to_owned(), settings.value(key)?.map_or(Value::Null, as_json));
            }
            render::print_json(&object)?;
        }
        Action::Ls { json: false } => {
            let mut table = Table::new(&["key", "value"]);
            for key in Settings::KEYS {
                table.push(vec![(*key).to_owned(), settings.value(key)?.unwrap_or_else(|| "(default)".to_owned())]);
            }
            render::print(&table.render())?;
        }
    }
    Ok(exit::SUCCESS)
}

/// Numbers and truth values as such.
fn as_json(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text),
    }
}
