//! An event's metadata: fields that take no room when they are absent.

use super::FormatError;
use super::bytes::array;
use crate::event::{Metadata, TraceParent};
use crate::names::CommandId;
use crate::numbers::Timestamp;
use uuid::Uuid;

/// Presence bits of the metadata, in the order of their fields.
pub(crate) mod presence {
    pub(crate) const CORRELATION: u8 = 1;
    pub(crate) const CAUSATION: u8 = 1 << 1;
    pub(crate) const COMMAND: u8 = 1 << 2;
    pub(crate) const TRACEPARENT: u8 = 1 << 3;
    pub(crate) const OCCURRED_AT: u8 = 1 << 4;
    pub(crate) const EXTRAS: u8 = 1 << 5;
    pub(crate) const ALL: u8 = (1 << 6) - 1;
}

/// Bytes that the fixed-width fields take, by the presence bits of all of them.
const FIXED_BYTES: [u8; 32] = {
    let widths = [16, 16, 16, 25, 8];
    let mut bytes = [0; 32];
    let mut bits = 0;
    while bits < 32 {
        let mut field = 0;
        while field < widths.len() {
            if bits >> field & 1 == 1 {
                bytes[bits] += widths[field];
            }
            field += 1;
        }
        bits += 1;
    }
    bytes
};

/// An event's metadata, as a view of the mapped log.
#[derive(Debug, Clone, Copy)]
pub struct MetadataView<'a> {
    presence: u8,
    bytes: &'a [u8],
}

impl<'a> MetadataView<'a> {
    pub(crate) fn new(presence: u8, bytes: &'a [u8]) -> Self {
        Self { presence, bytes }
    }

    fn offset_of(&self, bit: u8) -> Option<usize> {
        (self.presence & bit != 0)
            .then(|| usize::from(FIXED_BYTES[usize::from(self.presence & (bit - 1) & 31)]))
    }

    pub(crate) fn check(&self) -> Result<(), FormatError> {
        let fixed = usize::from(FIXED_BYTES[usize::from(self.presence & 31)]);
        let has_extras = self.presence & presence::EXTRAS != 0;
        match self.bytes.len() {
            len if len == fixed && !has_extras => Ok(()),
            len if len > fixed && has_extras => Ok(()),
            _ => Err(FormatError("the metadata's length does not fit its fields")),
        }
    }

    fn field<const N: usize>(&self, bit: u8) -> Option<[u8; N]> {
        self.offset_of(bit).and_then(|at| array(self.bytes, at).ok())
    }

    /// The conversation that the event belongs to.
    #[must_use]
    pub fn correlation_id(&self) -> Option<Uuid> {
        self.field(presence::CORRELATION).map(Uuid::from_bytes)
    }

    /// What caused it.
    #[must_use]
    pub fn causation_id(&self) -> Option<Uuid> {
        self.field(presence::CAUSATION).map(Uuid::from_bytes)
    }

    /// The command that produced it.
    #[must_use]
    pub fn command_id(&self) -> Option<CommandId> {
        self.field(presence::COMMAND).map(CommandId::from_bytes)
    }

    /// The trace that it was produced in.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.field(presence::TRACEPARENT)
    }

    /// When it happened in the world.
    #[must_use]
    pub fn occurred_at(&self) -> Option<Timestamp> {
        self.field(presence::OCCURRED_AT).map(|bytes| Timestamp::new(i64::from_le_bytes(bytes)))
    }

    /// Anything else, opaque to the log.
    #[must_use]
    pub fn extras(&self) -> &'a [u8] {
        self.offset_of(presence::EXTRAS).and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }

    /// All of it, owned.
    #[must_use]
    pub fn to_owned(&self) -> Metadata {
        Metadata {
            correlation_id: self.correlation_id(),
            causation_id: self.causation_id(),
            command_id: self.command_id(),
            traceparent: self.traceparent(),
            occurred_at: self.occurred_at(),
            extras: self.extras().to_vec(),
        }
    }

    pub(crate) fn presence(&self) -> u8 {
        self.presence
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
