//! The names that an import gives: one idempotency key per line, always the same for the same line.
//!
//! Invariant: a line's key depends on its workspace, key, type, time, actor, data and its ordinal among
//! identical lines, never on its number: a history that grew is imported anew without doubling anything.
//!
//! Memory: eight bytes per line, to count identical ones.

use crate::import::line::Line;
use eventstore::CommandId;
use rustc_hash::{FxHashMap, FxHashSet};
use uuid::Uuid;

/// What a line says, without where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineId {
    content: CommandId,
    /// How many identical lines came before.
    ordinal: u32,
}

/// Counts identical lines.
#[derive(Debug, Default)]
pub(super) struct Ordinals {
    /// The first 64 bits of every line's hash. That two lines share them by chance is next to impossible, and if it
    /// happened, the second would only get another ordinal, the same at every import.
    once: FxHashSet<u64>,
    /// Lines that came more than once.
    more: FxHashMap<u64, u32>,
}

impl Ordinals {
    /// The next line's name.
    pub(super) fn name(&mut self, line: &Line<'_>) -> LineId {
        let content = CommandId::derive(&[
            line.key.as_bytes(),
            line.kind.as_bytes(),
            line.at.as_bytes(),
            line.actor.unwrap_or_default().as_bytes(),
            line.data.as_bytes(),
        ]);
        let bytes = content.as_bytes();
        let short = u64::from_le_bytes([
            bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
        ]);
        let ordinal = if self.once.insert(short) {
            0
        } else {
            let before = self.more.entry(short).or_default();
            *before += 1;
            *before
        };
        LineId { content, ordinal }
    }
}

impl LineId {
    /// The key of the line's one command.
    pub(super) fn command(self, workspace: Uuid) -> CommandId {
        CommandId::derive(&[
            b"import",
            workspace.as_bytes(),
            self.content.as_bytes(),
            &self.ordinal.to_le_bytes(),
        ])
    }
}

/// The key of a command that sets up what a line names: a workspace, a project, a board, a column.
///
/// It holds who and when, because the same key with another content would be refused: in another file somebody
/// else may be the first to name the same board.
pub(super) fn set_up(id: Uuid, line: &Line<'_>) -> CommandId {
    CommandId::derive(&[
        b"set-up",
        id.as_bytes(),
        line.at.as_bytes(),
        line.actor.unwrap_or_default().as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(ordinals: &mut Ordinals, text: &str) -> LineId {
        ordinals.name(&Line::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn identical_lines_have_keys_of_their_own_and_the_same_ones_every_time() {
        let a = r#"{"stream_key":"k","type":"t","at":"2010-03-31T15:45:48Z","actor":"a","data":{"x":1}}"#;
        let b = r#"{"stream_key":"k","type":"t","at":"2010-03-31T15:45:48Z","actor":"a","data":{"x":2}}"#;
        let mut first = Ordinals::default();
        let names = [name(&mut first, a), name(&mut first, b), name(&mut first, a), name(&mut first, a)];
        let workspace = Uuid::nil();
        for (index, one) in names.iter().enumerate() {
            for other in &names[..index] {
                assert_ne!(one.command(workspace), other.command(workspace));
            }
        }
        // In another order among other lines they are still the same.
        let mut second = Ordinals::default();
        assert_eq!(name(&mut second, a), names[0]);
        assert_eq!(name(&mut second, a), names[2]);
        assert_eq!(name(&mut second, b), names[1]);
        assert_ne!(names[0].command(workspace), names[0].command(Uuid::max()));
    }
}
