//! `sunday backup`: a copy of the log, verified on the way.

use super::write_json;
use crate::failure::Failure;
use crate::progress;
use eventstore::backup::{Backup, BackupOptions};
use eventstore::storage::Environment;
use eventstore::verify::Progress;
use std::io::Write;
use std::path::Path;

/// Takes a backup, or adds to one what is new, and says what it holds.
///
/// # Errors
/// When the log does not verify, is not the one that was backed up before, or files cannot be read or written.
pub fn backup(
    data_dir: &Path,
    to: &Path,
    options: BackupOptions,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let bar = progress::byte_bar(0);
    bar.set_message("copying");
    let taken =
        eventstore::backup::backup(&Environment::default(), data_dir, to, options, &mut |Progress { done, total }| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
    bar.finish_and_clear();
    if json {
        return write_json(&taken, out);
    }
    let Backup { store, next, chain, segments, segments_linked, bytes, bytes_written, checkpoint, .. } = &taken;
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
