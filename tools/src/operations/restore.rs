//! `sunday restore`: a data directory of a backup.

use super::write_json;
use crate::failure::Failure;
use crate::progress;
use clap::Args;
use domain::Extras;
use domain::system::store::{RESTORED, SCHEMA_VERSION, STREAM, StoreRestored};
use eventstore::backup::{BackupError, Parent, RestoreOptions, Restored, Target};
use eventstore::storage::Environment;
use eventstore::verify::Progress;
use eventstore::{
    CommitBuilder, ContentType, EventType, ExpectedVersion, Metadata, NewEvent, OpenError, Position,
    PreparedCommit, StreamId, Timestamp,
};
use http_kit::auth::LOCAL_SUBJECT;
use query_api::rfc3339::Rfc3339;
use std::io::Write;
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339 as Format;
use uuid::Uuid;

/// What is restored, and where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Directory to make; it is not there yet, or empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Only the commits that end at or before this position
    #[arg(long, value_name = "P", conflicts_with = "to_time")]
    to_position: Option<u64>,
    /// Only what was recorded until then (RFC 3339), such as 2026-11-21T08:30:00Z
    #[arg(long, value_name = "T", value_parser = moment)]
    to_time: Option<Timestamp>,
    /// Make a new store of it even where that is not necessary: for a copy that lives beside the original
    #[arg(long)]
    new_store: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let wanted = "a time of RFC 3339 is expected, such as 2026-11-21T08:30:00Z";
    let time = OffsetDateTime::parse(text, &Format).map_err(|_| wanted.to_owned())?;
    i64::try_from(time.unix_timestamp_nanos()).map(Timestamp::new).map_err(|_| wanted.to_owned())
}

/// Restores a backup and says what there is now.
///
/// # Errors
/// When the backup does not verify or does not reach as far, the directory is not empty, or files cannot be read or written.
pub fn restore(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { from, data_dir, to_position, to_time, new_store, json } = arguments;
    let target = match (to_position, to_time) {
        (Some(position), _) => Target::Position(Position::new(*position)),
        (None, Some(time)) => Target::Time(*time),
        (None, None) => Target::End,
    };
    let options = RestoreOptions { target, as_new_store: *new_store };
    let bar = progress::byte_bar(0);
    bar.set_message("restoring");
    let restored = eventstore::backup::restore(
        &Environment::default(),
        from,
        data_dir,
        options,
        &first_commit,
        &mut |Progress { done, total }| {
            bar.set_length(total);
            bar.set_position(done);
        },
    )?;
    bar.finish_and_clear();
    if *json {
        return write_json(&restored, out);
    }
    out.write_all(said(arguments, &restored).as_bytes()).map_err(Failure::Output)
}

/// The first commit of a new store's own: it names the parent.
pub(super) fn first_commit(parent: &Parent) -> Result<PreparedCommit, BackupError> {
    let event = StoreRestored {
        parent_store: parent.lineage.store,
        parent_position: parent.lineage.next.get(),
        parent_chain: parent.lineage.chain.to_string(),
        parent_checkpoint: parent.checkpoint.map(eventstore::TreeSize::get),
    };
    let fault = |error: &dyn std::fmt::Display| BackupError::Open(OpenError::Setting(error.to_string()));
    let mut commit = CommitBuilder::new();
    let stream = StreamId::new(STREAM).map_err(|error| fault(&error))?;
    // A store that was restored before has such an event already.
    commit.expect(stream.clone(), ExpectedVersion::Any);
    commit.event(NewEvent {
        id: Uuid::now_v7(),
        stream,
        event_type: EventType::new(RESTORED).map_err(|error| fault(&error))?,
        content_type: ContentType::Json,
        schema_version: SCHEMA_VERSION,
        tags: Vec::new(),
        metadata: Metadata { extras: Extras::new(LOCAL_SUBJECT, None, None).encode(), ..Metadata::default() },
        payload: serde_json::to_vec(&event).map_err(|error| fault(&error))?,
    });
    commit.prepare().map_err(|error| fault(&error))
}

fn said(arguments: &Arguments, restored: &Restored) -> String {
    let Restored { store, parent, restored_to, recorded_at, left_out, next, chain, checkpoint, .. } =
        restored;
    let recorded = recorded_at.map_or_else(String::new, |at| format!(", the last recorded {}", Rfc3339(at)));
    let mut text = format!(
        "{} holds {restored_to} events of the backup{recorded}; {left_out} were left out\n",
        arguments.data_dir.display()
    );
    match parent {
        Some(parent) => text.push_str(&format!(
            "it is a new store, {store}, and says in its first commit that it comes of {parent}; it signs with a key of \
             its own. Events kept their ids, positions, versions and times\n"
        )),
        None => {
            text.push_str(&format!("it is store {store}, as before\n"));
            if checkpoint.is_some() && !restored.has_secret_key {
                text.push_str(
                    "put keys/audit.key there before the projector starts: it signs as this log only with that key\n",
                );
            }
        }
    }
    text.push_str(&format!("verified; next position {next}, chain {chain}\n"));
    text
}
