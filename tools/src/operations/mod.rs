//! The commands for good order and for bad days: each in a file of its own, none of them needs a server.
//!
//! ```text
//!  backup ─▶ restore          copies that can be relied on (eventstore::backup does the work)
//!  archive                    old segments leave, and stay part of the log (eventstore::archive)
//!  inspect · doctor           look, and never write
//!  doctor's findings ─▶ repair    says what it would do, and does it when somebody says yes
//! ```
//!
//! Invariant: results go to stdout, with `--json` as one object; everything else goes to stderr.

pub mod archive;
pub mod backup;
pub mod doctor;
pub mod inspect;
pub mod manual;
pub mod repair;
pub mod restore;
mod surroundings;

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
    Backup(backup::Arguments),
    /// Make a new data directory of a backup, all of it or up to a moment
    Restore(restore::Arguments),
    /// Move old segments to an archive, from which they are read when they are wanted; whoever is at work goes on
    Archive(archive::Arguments),
    /// Look at segments, streams, one event, or one frame byte by byte
    Inspect(inspect::Arguments),
    /// Say in plain words how a data directory is, and what to do; 0 nothing to do, 1 something, 4 the log cannot be opened
    Doctor(doctor::Arguments),
    /// Set right what doctor finds: says what it would do and asks, or takes --yes; whatever it removes it keeps aside
    Repair(repair::Arguments),
}

/// Carries out an operation; its exit code.
///
/// # Errors
/// When it could not be carried out.
pub fn run(operation: Operation, settings: &Settings, out: &mut dyn Write) -> Result<u8, Failure> {
    match operation {
        Operation::Backup(arguments) => backup::backup(arguments, settings, out)?,
        Operation::Restore(arguments) => restore::restore(&arguments, out)?,
        Operation::Archive(arguments) => archive::run(arguments, settings, out)?,
        Operation::Inspect(arguments) => inspect::inspect(arguments, settings, out)?,
        Operation::Doctor(arguments) => return doctor::doctor(arguments, settings, out),
        Operation::Repair(arguments) => return repair::repair(arguments, settings, out),
    }
    Ok(0)
}

/// One JSON object on a line.
pub(crate) fn write_json(value: &impl Serialize, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value).map_err(|error| Failure::Output(error.into()))?;
    line.push(b'\n');
    out.write_all(&line).map_err(Failure::Output)
}
