//! The sending half of an import: set-up first, then all lanes side by side.
//!
//! ```text
//!  chunks ─▶ set-up, awaited ─▶ lane 0 ─▶ /batch    one request of a lane at a time,
//!                            └▶ lane 1 ─▶ /batch    so that its lines stay in order
//! ```
//!
//! Invariant: nothing else is under way while boards are set up.
//!
//! Invariant: every command is judged exactly once in the tally, however often it is sent.

use crate::import::batch::Batch;
use crate::import::client::{ATTEMPTS_MAX, Answer, Client, ClientError, Judgement, Problem, pause};
use crate::import::feed::Chunk;
use crate::import::tally::{Fate, Tally};
use indicatif::ProgressBar;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

/// Batches that wait before a lane: one is being sent while the next is made.
const WAITING_MAX: usize = 2;

/// Sends all chunks, and counts what became of their commands.
///
/// # Errors
/// When the server cannot be reached or does not take more.
pub(super) async fn send_all(
    client: &Client,
    mut chunks: mpsc::Receiver<Chunk>,
    lane_count: usize,
    bar: &ProgressBar,
) -> Result<Tally, ClientError> {
    let under_way_max = u32::try_from(lane_count * (WAITING_MAX + 1)).unwrap_or(u32::MAX);
    let under_way = Arc::new(Semaphore::new(lane_count * (WAITING_MAX + 1)));
    let mut tasks = JoinSet::new();
    let mut lanes = Vec::with_capacity(lane_count);
    for _ in 0..lane_count {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        lanes.push(sender);
        tasks.spawn(run_lane(client.clone(), receiver, bar.clone()));
    }
    'chunks: while let Some(chunk) = chunks.recv().await {
        if !chunk.set_up.is_empty() {
            // A board that changes under commands that place items on it would have them judged again, one by one.
            let _quiet = under_way.acquire_many(under_way_max).await;
            send_set_up(client, &chunk.set_up).await?;
        }
        for (lane, batch) in lanes.iter().zip(chunk.lanes) {
            let Ok(permit) = Arc::clone(&under_way).acquire_owned().await else { break 'chunks };
            if !batch.is_empty() && lane.send((batch, permit)).await.is_err() {
                // That lane has failed; its error is found below.
                break 'chunks;
            }
        }
    }
    drop(lanes);
    // The reading half stops when nobody takes its chunks.
    drop(chunks);
    let mut tally = Tally::default();
    while let Some(lane) = tasks.join_next().await {
        let done = lane.map_err(|error| client.unexpected(format!("a lane ended early: {error}")))?;
        tally.merge(done?);
    }
    Ok(tally)
}

async fn run_lane(
    client: Client,
    mut batches: mpsc::Receiver<(Batch, OwnedSemaphorePermit)>,
    bar: ProgressBar,
) -> Result<Tally, ClientError> {
    let mut tally = Tally::default();
    while let Some((batch, _permit)) = batches.recv().await {
        let (fates, position) = judge(&client, &batch).await?;
        for (index, fate) in fates.into_iter().enumerate() {
            tally.count(batch.line(index), fate);
        }
        tally.position = tally.position.max(position);
        bar.inc(batch.len() as u64);
    }
    Ok(tally)
}

/// What exists already is as good as set up; of anything else the lines that need it will tell.
async fn send_set_up(client: &Client, batch: &Batch) -> Result<(), ClientError> {
    let (fates, _) = judge(client, batch).await?;
    for fate in fates {
        if let Fate::Rejected(reason) = fate
            && !reason.starts_with("already_exists")
        {
            tracing::warn!(reason, "something that the history names was not set up");
        }
    }
    Ok(())
}

/// Sends a batch until every command has a fate of its own.
async fn judge(client: &Client, batch: &Batch) -> Result<(Vec<Fate>, u64), ClientError> {
    let mut fates: Vec<Option<Fate>> = vec![None; batch.len()];
    let mut position = 0;
    let mut ranges = vec![(0, batch.len())];
    while let Some((start, end)) = ranges.pop() {
        if let Some(middle) = judge_range(client, batch, start..end, &mut fates, &mut position).await? {
            // The first half is sent first: a stack gives back what was put last.
            ranges.push((middle, end));
            ranges.push((start, middle));
        }
    }
    let lost = || Fate::Rejected("the server did not answer for this line".to_owned());
    Ok((fates.into_iter().map(|fate| fate.unwrap_or_else(lost)).collect(), position))
}

/// Sends a range of a batch; says where to split it when it is refused as a whole.
async fn judge_range(
    client: &Client,
    batch: &Batch,
    range: Range<usize>,
    fates: &mut [Option<Fate>],
    position: &mut u64,
) -> Result<Option<usize>, ClientError> {
    let mut passing = String::new();
    let mut only_conflicts = true;
    for attempt in 0..ATTEMPTS_MAX {
        let answer = match client.send(batch.body(range.clone())).await? {
            Answer::Judged(answer) => answer,
            // One command can spoil the body of all: it is found by halving.
            Answer::Refused(_) if range.len() > 1 => return Ok(Some(range.start + range.len() / 2)),
            Answer::Refused(reason) => {
                fates[range.start] = Some(Fate::Rejected(reason));
                return Ok(None);
            }
        };
        let judgement: Judgement<'_> =
            serde_json::from_slice(&answer).map_err(|error| client.unexpected(error.to_string()))?;
        if judgement.results.len() != range.len() {
            let (got, sent) = (judgement.results.len(), range.len());
            return Err(client.unexpected(format!("{got} results for {sent} commands")));
        }
        *position = (*position).max(judgement.position);
        passing.clear();
        only_conflicts = true;
        for (fate, verdict) in fates[range.clone()].iter_mut().zip(judgement.results) {
            if matches!(fate, Some(Fate::Applied | Fate::Unchanged | Fate::Duplicate)) {
                // Sent again with others: the first answer is the one that counts.
                continue;
            }
            let problem = verdict.problem.as_ref();
            if let Some(problem) = problem.filter(|problem| problem.is_passing()) {
                passing = problem.reason();
                only_conflicts &= problem.is_conflict();
            }
            *fate = Some(match verdict.status {
                "applied" => Fate::Applied,
                "unchanged" => Fate::Unchanged,
                "duplicate" => Fate::Duplicate,
                "rejected" => {
                    Fate::Rejected(problem.map_or_else(|| "no reason given".to_owned(), Problem::reason))
                }
                other => return Err(client.unexpected(format!("a result with the status {other:?}"))),
            });
        }
        if passing.is_empty() {
            return Ok(None);
        }
        // Some commands were not judged, and what depends on them was judged wrongly: all are sent again.
        tokio::time::sleep(pause(attempt)).await;
    }
    if only_conflicts {
        // The server is able; it is these commands that are not taken. Their fates say so.
        return Ok(None);
    }
    Err(client.unable(passing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::batch::{Body, Header};
    use eventstore::CommandId;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use uuid::Uuid;

    /// A command API that answers with these bodies, one per request, and then no more; and its URL.
    fn server(bodies: Vec<&'static str>) -> (String, std::thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let mut answered = 0;
            for body in bodies {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                let (mut line, mut length) = (String::new(), 0);
                while stream.read_line(&mut line).unwrap() > 2 {
                    if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
                        length = bytes.trim().parse().unwrap();
                    }
                    line.clear();
                }
                stream.read_exact(&mut vec![0; length]).unwrap();
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.get_mut().write_all((head + body).as_bytes()).unwrap();
                answered += 1;
            }
            answered
        });
        (url, answering)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_conflict_that_the_server_gave_up_on_is_tried_again() {
        let conflict = r#"{"position":0,"results":[{"status":"rejected","problem":{"status":409,"code":"version_conflict","detail":"others were quicker"}}]}"#;
        let applied = r#"{"position":7,"results":[{"status":"applied"}]}"#;
        let (url, answering) = server(vec![conflict, applied]);
        let mut batch = Batch::default();
        let key = CommandId::derive(&[b"1"]);
        let header = Header { key, actor: None, at: "2014-01-01T00:00:00Z" };
        let write = |body: &mut Body<'_>| -> Result<(), ()> {
            body.open("item.complete", Uuid::nil(), header);
            body.close();
            Ok(())
        };
        batch.add(1, write).unwrap();
        let (fates, position) = judge(&Client::new(&url, None).unwrap(), &batch).await.unwrap();
        assert!(matches!(fates[..], [Fate::Applied]), "{fates:?}");
        assert_eq!((position, answering.join().unwrap()), (7, 2));
    }
}
