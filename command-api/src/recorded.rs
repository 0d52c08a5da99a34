//! An event of the log as an answer shows it: the members that it has in the query API, in the same form.
//!
//! Invariant: an answer holds at most [`EVENTS_MAX`] events and about [`BYTES_MAX`] of their data.

use crate::service::Since;
use domain::Extras;
use domain::conflict::Conflict;
use eventstore::{CommandId, EventView, Timestamp, TraceParent};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use time::OffsetDateTime;

/// Most events that an answer shows.
const EVENTS_MAX: usize = 100;

/// Bytes of payloads after which an answer shows no further event: as many as one event may have.
const BYTES_MAX: usize = 4 << 20;

/// The events to show, oldest first, and whether those are not all.
pub(crate) fn events(since: &Since) -> (Vec<Value>, bool) {
    let mut shown = Vec::new();
    let mut bytes = 0;
    for event in since.events.iter().take(EVENTS_MAX) {
        let Some(view) = event.get() else { continue };
        bytes += view.payload().len();
        if bytes > BYTES_MAX && !shown.is_empty() {
            break;
        }
        shown.push(envelope(&view));
    }
    let is_cut = since.truncated || shown.len() < since.events.len();
    (shown, is_cut)
}

/// Conflicts with what both sides want.
pub(crate) fn conflicts(conflicts: &[Conflict]) -> Vec<Value> {
    let one = |conflict: &Conflict| {
        let Conflict { field, base, theirs, yours } = conflict;
        let mut members = Map::new();
        members.insert("field".to_owned(), field.as_str().into());
        members.extend(base.clone().map(|base| ("base".to_owned(), base)));
        members.insert("theirs".to_owned(), theirs.clone());
        members.insert("yours".to_owned(), yours.clone());
        Value::Object(members)
    };
    conflicts.iter().map(one).collect()
}

fn envelope(event: &EventView<'_>) -> Value {
    let stream = event.stream();
    let (category, id) = stream.split_once('-').unwrap_or((stream, ""));
    let metadata = event.metadata();
    let extras = Extras::decode(metadata.extras()).ok();
    let said = [
        ("actor", extras.as_ref().map(|extras| extras.actor().into())),
        ("onBehalfOf", extras.as_ref().and_then(Extras::on_behalf_of).map(Value::from)),
        ("correlationId", metadata.correlation_id().map(|id| json!(id))),
        ("causationId", metadata.causation_id().map(|id| json!(id))),
        ("commandId", metadata.command_id().map(|id: CommandId| id.to_string().into())),
        ("source", extras.as_ref().and_then(Extras::source).map(Value::from)),
        ("traceparent", metadata.traceparent().map(|trace| traceparent(&trace).into())),
        ("occurredAt", metadata.occurred_at().map(|at| rfc3339(at).into())),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    json!({
        "eventId": event.id(),
        "type": event.event_type(),
        "streamId": stream,
        "aggregateType": category,
        "aggregateId": id,
        "version": event.version().get(),
        "position": event.position().get(),
        "time": rfc3339(event.recorded_at()),
        "schemaVersion": event.schema_version(),
        "tags": event.tags().collect::<Vec<_>>(),
        // Events of the domain are JSON.
        "data": serde_json::from_slice::<Value>(event.payload()).unwrap_or_default(),
        "metadata": said.collect::<Map<_, _>>(),
    })
}

/// UTC with nine digits of fraction, always the same length.
fn rfc3339(at: Timestamp) -> String {
    // 64 bits of nanoseconds around 1970 end in years of four digits.
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.get()));
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, nanosecond) = at.to_hms_nano();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanosecond:09}Z")
}

/// The form of the W3C's header, version 00.
fn traceparent(trace: &TraceParent) -> String {
    let mut text = "00-".to_owned();
    for (index, byte) in trace.iter().enumerate() {
        if index == 16 || index == 24 {
            text.push('-');
        }
        // A text takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_traces_are_written_as_the_query_api_writes_them() {
        assert_eq!(rfc3339(Timestamp::new(1_302_838_217_000_000_001)), "2011-04-15T03:30:17.000000001Z");
        let mut trace = [0x11; 25];
        trace[16..24].fill(0x22);
        trace[24] = 1;
        assert_eq!(traceparent(&trace), "00-11111111111111111111111111111111-2222222222222222-01");
    }
}
