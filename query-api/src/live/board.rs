//! A board over a WebSocket: its state, then what happens to it, and who else is looking.
//!
//! ```text
//! ◀─ {"type":"state","position":…,"session":…,"board":{…}}       once; without the board for who goes on from a position
//! ◀─ {"type":"events","position":…,"events":[…]}                  as they happen, in the envelope of all events
//! ◀─ {"type":"presence","joined":[…],"moved":[…],"left":[…]}      the others; never this session itself
//! ─▶ {"type":"cursor","cursor":…}                                 whatever the clients have agreed on, up to 256 bytes
//! ```
//!
//! `position` is how many events of the log the message brings a client to; who comes again with it as `from` misses nothing.
//!
//! Invariant: what is sent is read from the log, by the socket's own place in it. A client that does not take it for a while
//! is closed with a code that tells him to come again, and nothing is kept for him.

use super::follower::Follower;
use super::hub::Seat;
use super::presence::{Changes, Presence};
use crate::answers::board::ViewAnswer;
use crate::envelope::write_event;
use crate::selection::Wanted;
use crate::service::QueryService;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use eventstore::{EventView, Position};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What both sides call this.
pub(crate) const SUBPROTOCOL: &str = "sunday.board.v1";

/// A client's message, bytes at most.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// A cursor, bytes of JSON at most.
const CURSOR_BYTES_MAX: usize = 256;
/// How many messages a client may send at once, and how fast it gets that many back.
const MESSAGES_MAX: u32 = 60;
const MESSAGE_EVERY: Duration = Duration::from_millis(25);
/// How long a client may take for a message.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);
/// How far a client may fall behind once it has been told everything, in positions of the log.
const BEHIND_MAX: u64 = 100_000;
/// How often it is looked whether a client that says nothing is still there; after two in vain it is not.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Why a socket is closed: codes of RFC 6455, 7.4, those from 4000 on being ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Close {
    /// The service stops.
    Away,
    /// A message that is none.
    Policy(&'static str),
    /// The log cannot be read.
    Internal,
    /// The client takes too little: it comes again from its last position, or anew.
    Slow,
    /// The token has to be verified again.
    Token,
}

impl Close {
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Away => (1001, "the service stops: come again from your last position"),
            Self::Policy(reason) => (1008, reason),
            Self::Internal => (1011, "the log cannot be read"),
            Self::Slow => (4000, "too slow: come again from your last position, or for the state"),
            Self::Token => (4001, "the token has to be verified again: come again from your last position"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

/// One client of one board.
#[derive(Debug)]
pub(crate) struct BoardSession {
    follower: Follower,
    presence: Presence,
    /// It has been told everything once.
    is_live: bool,
    allowance: Allowance,
    /// When the client was heard last.
    heard: Instant,
    pinged: Instant,
    /// When changes of presence are told, if there are any.
    presence_due: Option<Instant>,
    presence_told: Instant,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Told<'a> {
    State {
        position: Position,
        session: Uuid,
        #[serde(skip_serializing_if = "Option::is_none")]
        board: Option<&'a ViewAnswer>,
    },
    Presence(Changes),
}

/// A session's first message: the board at a position, or nothing but that for who goes on from there.
pub(crate) fn state(position: Position, session: Uuid, board: Option<&ViewAnswer>) -> String {
    // Texts, numbers and lists always have a JSON form.
    serde_json::to_string(&Told::State { position, session, board }).unwrap_or_default()
}

/// What clients say. No tagged enum: those cannot hold JSON that is passed on as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    #[serde(rename = "type")]
    _is: Saying,
    cursor: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Saying {
    Cursor,
}

impl BoardSession {
    /// A session of somebody who gets what is wanted of a board from a position on.
    pub(crate) fn new(
        service: QueryService,
        seat: Seat,
        wanted: Wanted,
        from: Position,
        presence: Presence,
    ) -> Self {
        let now = Instant::now();
        Self {
            follower: Follower::new(service, seat, wanted, write_listed, from),
            presence,
            is_live: false,
            allowance: Allowance { left: MESSAGES_MAX, since: now },
            heard: now,
            pinged: now,
            presence_due: Some(now),
            presence_told: now,
        }
    }

    /// Talks to the client until one of both ends it; `state` first.
    pub(crate) async fn run(mut self, mut socket: WebSocket, state: String) {
        let ended = match send(&mut socket, Message::Text(state.into())).await {
            Ok(()) => self.talk(&mut socket).await,
            Err(ended) => Err(ended),
        };
        if let Err(Ended::Closed(close)) = ended {
            tracing::debug!(?close, "a board's socket is closed");
            let closing = socket.send(Message::Close(Some(close.frame())));
            // Whoever took nothing before will hardly take this.
            let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
        }
    }

    async fn talk(&mut self, socket: &mut WebSocket) -> Result<(), Ended> {
        loop {
            let is_due = self.follower.is_due();
            if self.follower.is_closed() {
                return Err(Close::Away.into());
            }
            if self.follower.is_expired() {
                return Err(Close::Token.into());
            }
            if is_due {
                if self.is_live && self.follower.behind() > BEHIND_MAX {
                    return Err(Close::Slow.into());
                }
                self.tell_events(socket).await?;
            } else {
                self.is_live = true;
            }
            let now = Instant::now();
            if self.presence_due.is_some_and(|due| now >= due) {
                self.presence_due = None;
                self.presence_told = now;
                if let Some(changes) = self.presence.news() {
                    tell(socket, &Told::Presence(changes)).await?;
                }
            }
            if now >= self.pinged + PING_EVERY {
                if self.heard + PING_EVERY * 2 < now {
                    return Err(Ended::Gone);
                }
                self.pinged = now;
                send(socket, Message::Ping(Vec::new().into())).await?;
            }
            self.wait(socket, is_due).await?;
        }
    }

    /// Waits for whatever comes first; not at all where there is something to read.
    async fn wait(&mut self, socket: &mut WebSocket, is_due: bool) -> Result<(), Ended> {
        let now = Instant::now();
        let next = self.presence_due.unwrap_or(now + PING_EVERY).min(self.pinged + PING_EVERY);
        let next = if is_due { now } else { next };
        let is_quiet = self.presence_due.is_none();
        let said = tokio::select! {
            biased;
            said = socket.recv() => Some(said),
            () = self.presence.changed(), if is_quiet => {
                self.presence_due = Some((self.presence_told + self.presence.pause()).max(now));
                None
            }
            () = self.follower.wait(next) => None,
        };
        match said {
            Some(said) => self.hear(said.and_then(Result::ok)),
            None => Ok(()),
        }
    }

    async fn tell_events(&mut self, socket: &mut WebSocket) -> Result<(), Ended> {
        let chunk = self.follower.read().await.ok_or(Close::Internal)?;
        if chunk.last.is_none() {
            return Ok(());
        }
        let position = self.follower.at();
        let mut text = format!("{{\"type\":\"events\",\"position\":{position},\"events\":[").into_bytes();
        text.extend_from_slice(chunk.bytes.strip_suffix(b",").unwrap_or_default());
        text.extend_from_slice(b"]}");
        // Envelopes are JSON, which is UTF-8.
        let text = String::from_utf8(text).map_err(|_| Close::Internal)?;
        send(socket, Message::Text(text.into())).await
    }

    /// Takes in what the client has said.
    fn hear(&mut self, said: Option<Message>) -> Result<(), Ended> {
        let Some(said) = said else { return Err(Ended::Gone) };
        self.heard = Instant::now();
        if !self.allowance.takes(self.heard) {
            return Err(Close::Policy("too many messages").into());
        }
        match said {
            Message::Text(text) => match serde_json::from_str(text.as_str()) {
                Ok(Said { cursor, .. }) => {
                    if cursor.as_ref().is_some_and(|cursor| cursor.get().len() > CURSOR_BYTES_MAX) {
                        return Err(Close::Policy("a cursor has at most 256 bytes").into());
                    }
                    self.presence.moves(cursor);
                    Ok(())
                }
                Err(_) => Err(Close::Policy("expected {\"type\":\"cursor\",\"cursor\":…}").into()),
            },
            Message::Binary(_) => Err(Close::Policy("messages are text").into()),
            // Answered by the socket itself.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => Err(Ended::Gone),
        }
    }
}

/// Why a session ends.
#[derive(Debug)]
enum Ended {
    /// By us.
    Closed(Close),
    /// By the client, or by what is between.
    Gone,
}

impl From<Close> for Ended {
    fn from(close: Close) -> Self {
        Self::Closed(close)
    }
}

async fn tell(socket: &mut WebSocket, told: &Told<'_>) -> Result<(), Ended> {
    let text = serde_json::to_string(told).map_err(|_| Close::Internal)?;
    send(socket, Message::Text(text.into())).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
    match tokio::time::timeout(SEND_TIME_MAX, socket.send(message)).await {
        Ok(sent) => sent.map_err(|_| Ended::Gone),
        Err(_) => Err(Close::Slow.into()),
    }
}

/// One event of a list.
fn write_listed(out: &mut Vec<u8>, event: &EventView<'_>) {
    write_event(out, event);
    out.push(b',');
}

/// How many messages a client may still send.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    /// Takes a message in; false when there are too many.
    fn takes(&mut self, now: Instant) -> bool {
        while self.left < MESSAGES_MAX && self.since + MESSAGE_EVERY <= now {
            self.since += MESSAGE_EVERY;
            self.left += 1;
        }
        if self.left == MESSAGES_MAX {
            self.since = now;
        }
        let has_room = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_may_come_in_bursts_and_not_for_long() {
        let began = Instant::now();
        let mut allowance = Allowance { left: MESSAGES_MAX, since: began };
        let burst = (0..1_000).take_while(|_| allowance.takes(began)).count();
        assert_eq!(burst, MESSAGES_MAX as usize);
        let later = began + MESSAGE_EVERY * 3;
        assert_eq!((0..10).take_while(|_| allowance.takes(later)).count(), 3);
        let rested = later + MESSAGE_EVERY * 10_000;
        assert_eq!((0..1_000).take_while(|_| allowance.takes(rested)).count(), MESSAGES_MAX as usize);
    }
}
