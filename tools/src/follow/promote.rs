//! `sunday promote`: the standby becomes the log that is written.

use crate::failure::Failure;
use eventstore::storage::Environment;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use uuid::Uuid;

/// As one JSON object.
#[derive(Serialize)]
struct Promoted {
    store: Uuid,
    position: u64,
    chain: String,
    epoch: u32,
    segment: u32,
    offset: u64,
}

/// Ends the following of a data directory and makes its log one that is written; says where it is.
///
/// # Errors
/// When it is no standby, is being followed, or its log is not sound.
pub fn promote(data_dir: &Path, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let promoted = eventstore::promote(&Environment::default(), data_dir)?;
    let promoted = Promoted {
        store: promoted.lineage.store,
        position: promoted.lineage.next.get(),
        chain: promoted.lineage.chain.to_string(),
        epoch: promoted.epoch,
        segment: promoted.end.segment(),
        offset: promoted.end.offset(),
    };
    let text = if json {
        serde_json::to_string(&promoted).map_err(|error| Failure::Output(error.into()))?
    } else {
        let Promoted { position, chain, epoch, .. } = &promoted;
        format!(
            "promoted at position {position}, chain {chain}: epoch {epoch} has begun.\n\
             Start command-api or sunday serve on it, and let other standbys follow it. Never start the old leader \
             again:\nwhat it has beyond position {position} is another history from now on.\n\
             With keys/audit.key of the old leader in {} before the first start, checkpoints go on in its name; without it,\n\
             they are signed by a new key in a name of its own (…/promoted-at-{position}-…), which auditors have to be told.",
            data_dir.join("keys").display()
        )
    };
    writeln!(out, "{text}").map_err(Failure::Output)
}
