//! `sunday follow` and `sunday promote`: a warm standby, fed from a query API elsewhere.
//!
//! ```text
//!  source ─▶ look (is it the same history?) ─▶ piece ─▶ Replica::take ─▶ log/, control page ─▶ local readers
//!    ▲                  ▲                        │ nothing new: the source waits with its answer
//!    └── pause ◀── nobody answers ◀──────────────┘
//! ```
//!
//! Invariant: catching up and following are one loop; what the source gives is checked by the replica, never here.

mod promote;
mod source;

pub use promote::promote;

use crate::failure::Failure;
use crate::import::Token;
use crate::progress;
use eventstore::storage::Environment;
use eventstore::{Digest, Lineage, Position, Replica, ReplicaError, follows};
use http_kit::shutdown::Shutdown;
use indicatif::ProgressBar;
use serde::Serialize;
use source::{Seen, Source, SourceError};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The first pause after the source did not answer; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long the first answer of a source is waited for.
const MEET_TIME_MAX: Duration = Duration::from_secs(10);
/// Pieces in a row that are not taken before the standby gives up.
const BAD_PIECES_MAX: u32 = 5;

/// Units of background work at a time.
const HOUSEKEEPING: u32 = 4;

/// Where a standby is, as one JSON object.
#[derive(Debug, Serialize)]
struct Standby {
    store: Option<Uuid>,
    position: u64,
    chain: Option<String>,
    segment: u32,
    offset: u64,
    /// Taken in by this run.
    events: u64,
    bytes: u64,
    seconds: f64,
}

/// Follows the query API at `url` into `data_dir` until Ctrl-C or SIGTERM. Blocks. Where an issuer is configured, the token
/// needs every tenant and the scope `audit`.
///
/// # Errors
/// When the directory is no standby's, the histories have parted, or the disk does not take more. A source that does
/// not answer is no error, and asked again, once it has answered at all.
pub fn follow(
    url: &str,
    token: Option<Token>,
    data_dir: &Path,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let source = Source::new(url, token)
        .ok_or_else(|| Failure::Usage(format!("{url} is no URL of the form http://host:port")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::Io { action: "cannot start a runtime".to_owned(), source })?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()
            .map_err(|source| Failure::Io { action: "cannot listen for signals".to_owned(), source })?;
        if follows(&Environment::default(), data_dir)?.is_none() && !meet(&source, &shutdown).await? {
            tracing::info!("stopped before there was anything to follow");
            return Ok(());
        }
        let replica = Replica::open(&Environment::default(), data_dir, url)?;
        let mut following = Following::new(source, replica);
        let done = following.run(&shutdown, json, out).await;
        following.bar.finish_and_clear();
        let standby = following.standby();
        // Also after a failure: what was taken in until then stays.
        following.replica.close();
        done?;
        if json {
            let text = serde_json::to_string(&standby).map_err(|error| Failure::Output(error.into()))?;
            say(out, &text)
        } else {
            say(out, &format!("stopped at position {}; follow again to go on", standby.position))
        }
    })
}

/// Waits until the source of a standby that is to be has answered, before anything is made in its directory; false when it
/// is stopped before. An address that was mistyped would be asked for ever otherwise.
async fn meet(source: &Source, shutdown: &Shutdown) -> Result<bool, Failure> {
    let (began, mut failures) = (Instant::now(), 0);
    loop {
        let asked = tokio::select! {
            () = shutdown.wait() => return Ok(false),
            asked = tokio::time::timeout(MEET_TIME_MAX, source.look(None)) => asked,
        };
        let asked = asked.unwrap_or_else(|_| Err(SourceError::Passing("it does not answer".to_owned())));
        let reason = match asked {
            Ok(_) | Err(SourceError::Busy(_)) => return Ok(true),
            Err(SourceError::Passing(reason)) => reason,
            Err(SourceError::Refused(error)) => return Err(error.into()),
            Err(error) => return Err(Failure::Part(error.to_string())),
        };
        if began.elapsed() >= MEET_TIME_MAX {
            let detail = format!("there is nobody to follow, and nothing was made here: {reason}");
            return Err(Failure::Part(detail));
        }
        if failures == 0 {
            tracing::warn!(%reason, "the source is asked again for {} s", MEET_TIME_MAX.as_secs());
        }
        tokio::select! {
            () = shutdown.wait() => return Ok(false),
            () = tokio::time::sleep(pause(failures)) => failures += 1,
        }
    }
}

/// What to do after a piece.
enum Next {
    Go,
    /// Something may pass: wait, then look at the source anew.
    Pause(String),
}

struct Following {
    source: Source,
    replica: Replica,
    bar: ProgressBar,
    began: Instant,
    began_at: Position,
    bytes: u64,
    /// Whether the source has been seen to have this history since it last failed to answer.
    is_known: bool,
    is_caught_up: bool,
    /// Failures in a row.
    failures: u32,
    /// Pieces in a row that were not taken.
    bad_pieces: u32,
}

impl Following {
    fn new(source: Source, replica: Replica) -> Self {
        let bar = progress::bar(0, "events");
        let began_at = replica.lineage().map_or(Position::ZERO, |lineage| lineage.next);
        Self {
            source,
            replica,
            bar,
            began: Instant::now(),
            began_at,
            bytes: 0,
            is_known: false,
            is_caught_up: false,
            failures: 0,
            bad_pieces: 0,
        }
    }

    async fn run(&mut self, shutdown: &Shutdown, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
        while !shutdown.is_triggered() {
            let next = tokio::select! {
                () = shutdown.wait() => return Ok(()),
                next = self.turn() => next?,
            };
            match next {
                Next::Go if self.is_caught_up && !self.bar.is_finished() => {
                    self.bar.finish_and_clear();
                    let Standby { position, segment, offset, .. } = self.standby();
                    if !json {
                        say(
                            out,
                            &format!(
                                "caught up at position {position} (segment {segment} offset {offset}); following"
                            ),
                        )?;
                    }
                }
                Next::Go => {}
                Next::Pause(reason) => {
                    if self.failures == 0 {
                        tracing::warn!(%reason, "the source is asked again, at growing intervals");
                    }
                    let pause = pause(self.failures);
                    self.failures += 1;
                    tokio::select! {
                        () = shutdown.wait() => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// One question to the source, and what comes of it.
    async fn turn(&mut self) -> Result<Next, Failure> {
        let asked = if self.is_known { self.fetch().await } else { self.look().await };
        match asked {
            Ok(next) => Ok(next),
            Err(SourceError::Passing(reason) | SourceError::Busy(reason)) => {
                self.is_known = false;
                Ok(Next::Pause(reason))
            }
            // It has this history, but its bytes stand elsewhere: marks are no part of a history.
            Err(SourceError::Misplaced(reason)) => {
                self.is_known = false;
                self.bad_pieces += 1;
                if self.bad_pieces > BAD_PIECES_MAX {
                    let detail = "the source has this history, but not in the same places; begin anew in an empty directory";
                    return Err(Failure::Part(format!("{detail}: {reason}")));
                }
                Ok(Next::Pause(reason))
            }
            Err(SourceError::Refused(error)) => Err(error.into()),
            Err(error @ SourceError::Unexpected { .. }) => Err(Failure::Part(error.to_string())),
        }
    }

    async fn look(&mut self) -> Result<Next, SourceError> {
        let own = self.replica.lineage();
        match self.source.look(own.as_ref()).await? {
            Seen::Known(position) => {
                self.is_known = true;
                self.bar.set_length(position.get());
                Ok(Next::Go)
            }
            Seen::Behind => Ok(Next::Pause("the source does not have all that is here".to_owned())),
            Seen::Other(theirs) => {
                let own = own.unwrap_or(Lineage {
                    store: Uuid::nil(),
                    next: Position::ZERO,
                    chain: Digest::default(),
                });
                // Commits without events share a position: a source that lacks some of them is only behind.
                let older = Lineage { chain: theirs, ..own };
                if self.replica.log().is_some_and(|log| log.confirms(&older).is_ok_and(|is_ours| is_ours)) {
                    return Ok(Next::Pause("the source does not have all that is here".to_owned()));
                }
                Err(ReplicaError::Diverged { position: own.next, ours: own.chain, theirs }.into())
            }
        }
    }

    async fn fetch(&mut self) -> Result<Next, SourceError> {
        let (piece, reached) = self.source.piece(self.replica.place()).await?;
        match self.replica.take(&piece) {
            Ok(()) => self.bad_pieces = 0,
            // Bytes can change on the way, and a disk can be full for a while.
            Err(error @ (ReplicaError::Damaged { .. } | ReplicaError::NoRoom { .. })) => {
                let is_damaged = matches!(error, ReplicaError::Damaged { .. });
                self.bad_pieces += u32::from(is_damaged);
                if self.bad_pieces > BAD_PIECES_MAX {
                    return Err(error.into());
                }
                return Ok(Next::Pause(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        if self.failures > 0 {
            tracing::info!("the source gives what is wanted again");
            self.failures = 0;
        }
        self.bytes += piece.bytes.len() as u64;
        self.show(reached);
        let is_idle = piece.bytes.is_empty() && !piece.ended;
        if is_idle {
            self.is_caught_up = true;
            self.replica.beat();
        }
        if is_idle || piece.ended {
            self.housekeep();
        }
        Ok(Next::Go)
    }

    /// Some of the background work; there is another turn soon.
    fn housekeep(&mut self) {
        for _ in 0..HOUSEKEEPING {
            match self.replica.housekeep() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return tracing::warn!(%error, "an index stays in memory for now"),
            }
        }
    }

    fn show(&mut self, reached: Position) {
        let position = self.replica.lineage().map_or(0, |lineage| lineage.next.get());
        let behind = reached.get().saturating_sub(position);
        if behind == 0 && position > 0 {
            self.is_caught_up = true;
        }
        self.bar.set_length(reached.get());
        self.bar.set_position(position);
        self.bar.set_message(format!("{:.1} MiB/s, {behind} behind", self.rate()));
    }

    /// MiB per second since the beginning.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn rate(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20) / self.began.elapsed().as_secs_f64().max(0.001)
    }

    fn standby(&self) -> Standby {
        let (place, lineage) = (self.replica.place(), self.replica.lineage());
        let position = lineage.map_or(Position::ZERO, |lineage| lineage.next);
        Standby {
            store: lineage.map(|lineage| lineage.store),
            position: position.get(),
            chain: lineage.map(|lineage| lineage.chain.to_string()),
            segment: place.segment(),
            offset: place.offset(),
            events: position.get().saturating_sub(self.began_at.get()),
            bytes: self.bytes,
            seconds: self.began.elapsed().as_secs_f64(),
        }
    }
}

/// The pause after so many failures: growing, and never the same for all who lost the same source.
fn pause(failures: u32) -> Duration {
    let whole = PAUSE_FIRST.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    let [random, ..] = *Uuid::new_v4().as_bytes();
    whole.mul_f64(0.5 + f64::from(random) / 512.0)
}

fn say(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        assert!((0..100).all(|_| pause(0) >= PAUSE_FIRST / 2 && pause(0) < PAUSE_FIRST));
        assert!((0..100).all(|_| pause(40) >= PAUSE_MAX / 2 && pause(40) < PAUSE_MAX));
        assert!((0..100).map(|_| pause(3)).any(|some| some != pause(3)));
    }
}
