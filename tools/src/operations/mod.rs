//! The commands for good order and for bad days: each in a file of its own, none of them needs a server.
//!
//! ```text
//!  backup ─▶ restore          copies that can be relied on (eventstore::backup does the work)
//!  inspect · doctor           look, and never write
//!  repair                     says what it would do, and does it when somebody says yes
//! ```
//!
//! Invariant: results go to stdout, with `--json` as one object; everything else goes to stderr.

pub mod backup;
pub mod manual;
pub mod restore;

use crate::failure::Failure;
use clap::{Args, Subcommand};
use http_kit::config::Settings;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

const DATA_DIR: &str = "./data";

/// Where the data is.
#[derive(Debug, Args)]
pub struct Data {
    /// Directory of the log and everything derived from it [default: ./data]
    #[arg(long, env = "SUNDAY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Data {
    /// The directory: as asked for, as configured, or the usual one.
    #[must_use]
    pub fn or(self, settings: &Settings) -> PathBuf {
        self.data_dir.or_else(|| settings.data_dir.clone()).unwrap_or_else(|| DATA_DIR.into())
    }
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Copy the log into a backup, or add to one what is new; whoever is at work goes on
    Backup {
        #[command(flatten)]
        data: Data,
        /// Directory of the backup; made when it is not there
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Link ended segments instead of copying them: no room, no time, and no second copy
        #[arg(long)]
        link: bool,
        /// Take the secret key that checkpoints are signed with, too: who has the backup can then sign as this log
        #[arg(long)]
        with_keys: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make a new data directory of a backup, all of it or up to a moment
    Restore(restore::Arguments),
}

/// Carries out an operation; its exit code.
///
/// # Errors
/// When it could not be carried out.
pub fn run(operation: Operation, settings: &Settings, out: &mut dyn Write) -> Result<u8, Failure> {
    match operation {
        Operation::Backup { data, to, link, with_keys, json } => {
            let options = eventstore::backup::BackupOptions { link, with_keys };
            backup::backup(&data.or(settings), &to, options, json, out)?;
        }
        Operation::Restore(arguments) => restore::restore(&arguments, out)?,
    }
    Ok(0)
}

/// One JSON object on a line.
pub(crate) fn write_json(value: &impl Serialize, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value).map_err(|error| Failure::Output(error.into()))?;
    line.push(b'\n');
    out.write_all(&line).map_err(Failure::Output)
}
