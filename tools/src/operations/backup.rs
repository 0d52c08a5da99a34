//! `sunday backup`: a copy of the log, verified on the way.

use super::{Data, write_json};
use crate::failure::Failure;
use crate::progress;
use clap::Args;
use eventstore::backup::{Backup, BackupOptions};
use eventstore::storage::Environment;
use eventstore::verify::Progress;
use http_kit::config::Settings;
use std::io::Write;
use std::path::PathBuf;

/// What is copied, and where to.
#[derive(Debug, Args)]
pub struct Arguments {
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
}

/// Takes a backup, or adds to one what is new, and says what it holds.
///
/// # Errors
/// When the log does not verify, is not the one that was backed up before, or files cannot be read or written.
pub fn backup(arguments: Arguments, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { data, to, link, with_keys, json } = arguments;
    let (data_dir, options) = (data.or(settings), BackupOptions { link, with_keys });
    let bar = progress::byte_bar(0);
    bar.set_message("copying");
    let taken = eventstore::backup::backup(
        &Environment::default(),
        &data_dir,
        &to,
        options,
        &mut |Progress { done, total }| {
            bar.set_length(total);
            bar.set_position(done);
        },
    )?;
    bar.finish_and_clear();
    if json {
        return write_json(&taken, out);
    }
    let Backup { store, next, chain, segments, segments_linked, bytes, bytes_written, checkpoint, .. } =
        &taken;
    let mut text = format!(
        "{} holds {next} events of store {store} in {segments} segments ({bytes} bytes), chain {chain}\n\
         {bytes_written} bytes were written, {segments_linked} segments linked\n",
        to.display()
    );
    match checkpoint {
        Some(size) => text.push_str(&format!("checkpoints are in it up to {size} events")),
        None => text.push_str("no checkpoint has been signed of it yet"),
    }
    text.push_str(if taken.has_secret_key {
        "; the secret key is in it: keep it as you keep that\n"
    } else {
        "; the secret key is not (--with-keys): keep keys/audit.key elsewhere\n"
    });
    out.write_all(text.as_bytes()).map_err(Failure::Output)
}
