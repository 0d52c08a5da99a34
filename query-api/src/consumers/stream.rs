//! A consumer over server-sent events: `delivery`, `exhausted`, and `ended`, after which there is nothing more.

use super::reader::{Delivered, News, Reader};
use crate::envelope::in_one_line;
use crate::pulled::{Part, Source};
use serde_json::json;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// Silence after which something is said, so that proxies keep the connection open.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long a client that was cut off waits before it comes again, milliseconds.
const RETRY_MS: u32 = 1_000;
/// Events that are given out in one piece at most.
const EVENTS_MAX: usize = 100;

/// The stream of one reader.
#[derive(Debug)]
pub(crate) struct ConsumerStream {
    reader: Reader,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begins,
    Goes,
    Over,
}

impl ConsumerStream {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader, stage: Stage::Begins }
    }

    async fn next_bytes(&mut self) -> Option<Vec<u8>> {
        match self.stage {
            Stage::Begins => {
                self.stage = Stage::Goes;
                return Some(format!("retry: {RETRY_MS}\n: at {}\n\n", self.reader.at()).into_bytes());
            }
            Stage::Goes => {}
            Stage::Over => return None,
        }
        let news = self.reader.next(EVENTS_MAX, Instant::now() + SILENCE_MAX).await;
        let news = news.unwrap_or_else(|problem| {
            // A stream has no other way to say so than to end, and who comes again may have more luck.
            tracing::debug!(%problem, "a consumer's stream ends");
            News::Ended("fault")
        });
        Some(match news {
            News::Events(events) => events.iter().flat_map(delivery).collect(),
            News::Exhausted(exhausted) => {
                let data = json!({"position": exhausted.position, "attempts": exhausted.attempts});
                format!("event: exhausted\ndata: {data}\n\n").into_bytes()
            }
            News::Silence => format!(": at {}\n\n", self.reader.at()).into_bytes(),
            News::Ended(reason) => {
                self.stage = Stage::Over;
                format!("event: ended\ndata: {}\n\n", json!({"reason": reason})).into_bytes()
            }
        })
    }
}

/// One event as a message.
fn delivery(delivered: &Delivered) -> Vec<u8> {
    let Delivered { position, attempt, generation, json } = delivered;
    let mut out = Vec::with_capacity(json.len() + 128);
    // A vector takes all bytes.
    let _ = write!(
        out,
        "id: {position}\nevent: delivery\ndata: {{\"position\":{position},\"attempt\":{attempt},\"generation\":{generation},\"event\":"
    );
    let start = out.len();
    out.extend_from_slice(json);
    // A line end would end the data.
    in_one_line(&mut out[start..]);
    out.extend_from_slice(b"}\n\n");
    out
}

impl Source for ConsumerStream {
    type Error = Infallible;

    async fn next(mut self: Box<Self>) -> Part<Self> {
        Ok(self.next_bytes().await.map(|bytes| (bytes.into(), self)))
    }
}
