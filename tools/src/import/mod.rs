//! Taking in a work history through the command API.
//!
//! ```text
//!  file ─▶ read ─▶ line ─▶ map (keys, places, hold) ─▶ feed: chunks ─▶ lanes ─▶ client ─▶ /batch
//!          └──────────── a thread of its own ───────────────┘           └─▶ tally
//! ```
//!
//! Invariant: an import can be cut off anywhere and run again; nothing doubles, because a line's idempotency key
//! follows from the line.
//!
//! What the server makes of a command is not known here, only what it answers.

mod batch;
mod client;
mod feed;
mod hold;
mod keys;
mod lanes;
mod line;
mod map;
mod places;
mod read;
mod tally;
mod token;

pub use client::ClientError;
pub use feed::Sample;
pub use tally::{Rejection, Tally};
pub use token::Token;

use crate::progress;
use client::Client;
use feed::{Chunk, Feed};
use indicatif::ProgressBar;
use read::Lines;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::mpsc;

/// Requests under way at one time. More would only queue before the server's one writer.
pub const LANES_DEFAULT: usize = 3;
/// Chunks between the two halves.
const CHUNKS_WAITING_MAX: usize = 2;

/// Why an import ended early. What was taken in until then stays; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The history cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The history.
        path: PathBuf,
        /// What the operating system or the decompressor said.
        source: io::Error,
    },
    /// What should be a token is none.
    #[error("{origin} holds no token: one line of visible characters")]
    Token {
        /// Where it was looked for.
        origin: String,
    },
    /// The server does not take it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// This process lacks something.
    #[error("cannot start an import: {0}")]
    Start(io::Error),
    /// A bug of ours.
    #[error("the reading half of the import stopped unexpectedly")]
    ReaderStopped,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The sums.
    #[serde(flatten)]
    pub tally: Tally,
    /// How long it took.
    pub seconds: f64,
    /// Something to try, where an item was created.
    #[serde(skip)]
    pub sample: Option<Sample>,
}

/// Imports a file through the command API at `command_url`, with this token. Blocks; must not be called on a runtime's worker.
///
/// # Errors
/// When the file cannot be read, or the server cannot be reached or does not take more.
pub fn import(file: &Path, command_url: &str, token: Option<Token>) -> Result<Summary, ImportError> {
    let started = Instant::now();
    let failed = |source| ImportError::File { path: file.to_owned(), source };
    let client = Client::new(command_url, token)?;
    let lines = Lines::open(file).map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ImportError::Start)?;
    runtime.block_on(client.reach())?;
    let bar = progress::byte_bar(lines.bytes_total());
    let sent = ProgressBar::hidden();
    let (sender, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
    let reader = std::thread::Builder::new()
        .name("import-reader".to_owned())
        .spawn({
            let (bar, sent) = (bar.clone(), sent.clone());
            move || read_all(Feed::new(lines, LANES_DEFAULT), &sender, &bar, &sent)
        })
        .map_err(ImportError::Start)?;
    let result = runtime.block_on(lanes::send_all(&client, chunks, LANES_DEFAULT, &sent));
    // The reader has stopped by now: its chunks are all taken, or nobody takes them any more.
    let read = reader.join().map_err(|_| ImportError::ReaderStopped)?;
    bar.finish_and_clear();
    let mut tally = result?;
    let (unsent, sample) = read.map_err(failed)?;
    tally.merge(unsent);
    tally.sort();
    Ok(Summary { tally, seconds: started.elapsed().as_secs_f64(), sample })
}

fn read_all(
    mut feed: Feed,
    sender: &mpsc::Sender<Chunk>,
    bar: &ProgressBar,
    sent: &ProgressBar,
) -> io::Result<(Tally, Option<Sample>)> {
    while let Some(chunk) = feed.next_chunk()? {
        bar.set_position(feed.bytes_read());
        bar.set_message(format!("{} lines", sent.position()));
        if sender.blocking_send(chunk).is_err() {
            break;
        }
    }
    Ok(feed.finish())
}
