//! What snapshots hold, judged by the domain: the state that the events of a stream come to.
//!
//! The command API writes them, as `(bytes of the payloads, state)`; nobody else reads them, so this is the one place beside it
//! that knows that.

use domain::board::Board;
use domain::codec::{self, Decoded};
use domain::comment::Comment;
use domain::item::Item;
use domain::project::Project;
use domain::workspace::Workspace;
use domain::{Aggregate, DomainEvent};
use eventstore::{EventView, Judgement, StreamId};
use serde::de::DeserializeOwned;

/// Judges a snapshot of one of the domain's streams.
pub(super) fn judge(stream: &StreamId, version: u32, payload: &[u8], events: &[EventView<'_>]) -> Judgement {
    match stream.category() {
        Workspace::CATEGORY => one::<Workspace>(version, payload, events),
        Project::CATEGORY => one::<Project>(version, payload, events),
        Board::CATEGORY => one::<Board>(version, payload, events),
        Item::CATEGORY => one::<Item>(version, payload, events),
        Comment::CATEGORY => one::<Comment>(version, payload, events),
        _ => Judgement::Unknown,
    }
}

fn one<A>(version: u32, payload: &[u8], events: &[EventView<'_>]) -> Judgement
where
    A: Aggregate + PartialEq + DeserializeOwned,
    A::Event: TryFrom<DomainEvent>,
{
    if version != A::STATE_VERSION {
        return Judgement::Unknown;
    }
    let (mut folded, mut weight) = (A::default(), 0);
    for view in events {
        let decoded = codec::decode(view.event_type(), view.schema_version(), view.payload());
        // What this build cannot fold it cannot judge; whoever takes decisions refuses such a stream.
        let Ok(Decoded::Known(event)) = decoded else { return Judgement::Unknown };
        let Ok(event) = A::Event::try_from(event) else { return Judgement::Unknown };
        folded.apply(&event);
        weight += view.payload().len() as u64;
    }
    let state: (u64, A) = match eventstore::codec::decode(payload) {
        Ok(state) => state,
        Err(error) => {
            return Judgement::Differs(format!("its checksums are right, but it is no state: {error}"));
        }
    };
    match state {
        (found, state) if state == folded && found == weight => Judgement::Same,
        (_, state) if state == folded => {
            Judgement::Differs("it names another number of bytes than its events have".to_owned())
        }
        _ => Judgement::Differs(
            "its checksums are right, but the events of its stream come to another state".to_owned(),
        ),
    }
}
