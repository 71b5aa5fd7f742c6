//! `gateway admin`: the Admin API of a running gateway, from a terminal.
//!
//! Exit codes: 0 when it went well, 1 when the Admin API refused it (or, of `diff`, when something differs), 2 when it could
//! not be asked at all.
mod apply;
mod client;
mod items;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use tollgate::BoxError;
use tollgate::config::FileSource;

use crate::origin::read_key;
use client::{Answer, Client};

#[derive(Args, Debug)]
pub(crate) struct Admin {
    /// Where the Admin API is: `http://HOST:PORT`, with its prefix if that is not /apisix/admin.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:9180")]
    server: String,
    /// A file with the key, in one line. Without it the variable TOLLGATE_ADMIN_KEY has the key.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The key itself, which every user of this machine can then see: better --key-file or TOLLGATE_ADMIN_KEY.
    #[arg(long, global = true, value_name = "KEY")]
    key: Option<String>,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print one item, or a table of all of a kind: `routes`, `routes/1`, `consumers/jack/credentials`.
    Get {
        /// What.
        path: String,
    },
    /// Create or replace an item by the one in a file.
    Put {
        /// Which, `routes/1`.
        path: String,
        /// JSON or YAML; `-` for standard input.
        file: PathBuf,
        /// Say what would happen, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Change members of an item: those in the file replace the item's own, `null` removes.
    Patch {
        /// Which, `routes/1`, or one of its members, `routes/1/uri`.
        path: String,
        /// JSON or YAML; `-` for standard input.
        file: PathBuf,
        /// Say what would happen, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove an item.
    Delete {
        /// Which, `routes/1`.
        path: String,
        /// Also when other items refer to it.
        #[arg(long)]
        force: bool,
        /// Say what would happen, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Have the Admin API judge a file, and change nothing.
    Validate {
        /// A declarative file, YAML or JSON.
        file: PathBuf,
    },
    /// Print what `apply` would change. Exit code 1 when something differs.
    Diff {
        /// A declarative file, YAML or JSON.
        file: PathBuf,
        /// Items that are not in the file differ, too.
        #[arg(long)]
        prune: bool,
    },
    /// Make the store equal to a file, one item after the other.
    Apply {
        /// A declarative file, YAML or JSON.
        #[arg(short, long)]
        file: PathBuf,
        /// Say what would happen, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Remove items that are not in the file.
        #[arg(long)]
        prune: bool,
    },
    /// Print the last changes, or one of them.
    History {
        /// The revision of one change.
        revision: Option<u64>,
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Make everything what it was at a revision, in one change.
    Rollback {
        /// The revision, as `history` has it.
        revision: u64,
        /// Say what would happen, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs a command.
pub(crate) fn run(admin: Admin) -> Result<ExitCode, BoxError> {
    let mut client = Client::new(&admin.server, key(&admin)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(&mut client, admin.verb, admin.json))
}

fn key(admin: &Admin) -> Result<Option<String>, BoxError> {
    if let Some(path) = &admin.key_file {
        return read_key(path).map(Some);
    }
    if let Some(key) = &admin.key {
        eprintln!("warning: every user of this machine can see --key: better --key-file or TOLLGATE_ADMIN_KEY");
        return Ok(Some(key.clone()));
    }
    Ok(std::env::var("TOLLGATE_ADMIN_KEY").ok())
}

async fn act(client: &mut Client, verb: Verb, json: bool) -> Result<ExitCode, BoxError> {
    match verb {
        Verb::Get { path } => {
            let answer = client.send(Method::GET, &path, None).await?;
            Ok(show::answer(&answer, json, show::items))
        }
        Verb::Put { path, file, dry_run } => write(client, (Method::PUT, path), &file, dry_run, json).await,
        Verb::Patch { path, file, dry_run } => write(client, (Method::PATCH, path), &file, dry_run, json).await,
        Verb::Delete { path, force, dry_run } => {
            let query = match (force, dry_run) {
                (false, false) => "",
                (true, false) => "?force=true",
                (false, true) => "?dry_run=true",
                (true, true) => "?force=true&dry_run=true",
            };
            let answer = client.send(Method::DELETE, &format!("{path}{query}"), None).await?;
            Ok(show::answer(&answer, json, show::written))
        }
        Verb::Validate { file } => {
            let document = FileSource::new(&file).document(&std::fs::read(&file)?)?;
            let answer = client.send(Method::POST, "configs/validate", Some(&items::resources(&document))).await?;
            Ok(show::answer(&answer, json, |_| println!("{}: no faults", file.display())))
        }
        Verb::Diff { file, prune } => {
            let plan = apply::plan(client, &file, prune).await?;
            show::plan(&plan, json, prune, None);
            Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Verb::Apply { file, dry_run, prune } => {
            let document = FileSource::new(&file).document(&std::fs::read(&file)?)?;
            if document.get("plugins").is_some() {
                eprintln!(
                    "{}: has a list `plugins`, which is not applied: {}; remove it here",
                    file.display(),
                    apply::PLUGINS
                );
                return Ok(ExitCode::from(1));
            }
            let judged = client.send(Method::POST, "configs/validate", Some(&items::resources(&document))).await?;
            if !judged.is_success() {
                return Ok(show::answer(&judged, json, |_| {}));
            }
            let plan = apply::plan(client, &file, prune).await?;
            // For people the plan comes first; for programs one document says what became of it.
            if !json {
                show::plan(&plan, false, prune, None);
            }
            let outcome = match dry_run {
                true => None,
                false => Some(apply::run(client, &plan).await),
            };
            if json {
                show::plan(&plan, true, prune, outcome.as_ref());
            }
            Ok(outcome.map_or(ExitCode::SUCCESS, |outcome| show::outcome(&outcome, json)))
        }
        Verb::History { revision: Some(revision), .. } => {
            let answer = client.send(Method::GET, &format!("history/{revision}"), None).await?;
            Ok(show::answer(&answer, json, show::changes))
        }
        Verb::History { revision: None, limit } => {
            let answer = client.send(Method::GET, &format!("history?limit={limit}"), None).await?;
            Ok(show::answer(&answer, json, show::history))
        }
        Verb::Rollback { revision, dry_run } => {
            let query = if dry_run { "?dry_run=true" } else { "" };
            let answer = client.send(Method::POST, &format!("history/{revision}/restore{query}"), None).await?;
            Ok(show::answer(&answer, json, show::written))
        }
    }
}

/// Sends what is in a file.
async fn write(
    client: &mut Client,
    (method, path): (Method, String),
    file: &Path,
    dry_run: bool,
    json: bool,
) -> Result<ExitCode, BoxError> {
    let body = value_of(file)?;
    let query = if dry_run { "?dry_run=true" } else { "" };
    let answer: Answer = client.send(method, &format!("{path}{query}"), Some(&body)).await?;
    Ok(show::answer(&answer, json, show::written))
}

/// What a file says, JSON or YAML; of `-` standard input.
fn value_of(file: &Path) -> Result<Value, BoxError> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes)?;
        bytes
    } else {
        std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?
    };
    // JSON is YAML as well; but a message about JSON is of more use to whoever wrote JSON.
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(value),
        Err(error) if bytes.trim_ascii_start().starts_with(b"{") => Err(format!("{}: {error}", file.display()).into()),
        Err(_) => Ok(FileSource::new(file.with_extension("yaml")).document(&bytes)?),
    }
}
