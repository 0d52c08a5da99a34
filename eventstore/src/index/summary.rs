//! What an index needs to know of a commit, without its bytes: made by the producer before the writer sees the
//! commit, or from a frame that was read. Relative, because neither positions nor versions are known to a producer.

use super::{hash_command, hash_name};
use crate::format::FormatError;
use crate::format::body::Body;
use crate::format::event::EventIter;
use crate::format::frame::Frame;
use crate::names::CommandId;

/// Streams, tags and commands of one commit, by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitSummary {
    /// Streams, then tags, then commands: one allocation for what nearly always is three or four entries.
    hashes: Box<[(u64, u32)]>,
    tags_at: u32,
    commands_at: u32,
}

impl CommitSummary {
    /// From what a producer has. `streams`: name and number of events, in the order of the stream table. `tags`: name
    /// and number of the event in the commit.
    pub(crate) fn of_parts<'a>(
        streams: impl Iterator<Item = (&'a str, u32)>,
        tags: impl Iterator<Item = (&'a str, u32)>,
        commands: impl Iterator<Item = &'a CommandId>,
    ) -> Self {
        let hashes =
            streams.map(|(name, events)| (hash_name(name), events.saturating_sub(1))).collect::<Vec<_>>();
        let tags = tags.map(|(name, index)| (hash_name(name), index)).collect();
        Self::of_hashes(hashes, tags, commands.map(hash_command))
    }

    /// From a frame that was read, whose body is checked on the way: its events must be well formed, continue their
    /// streams without a gap within the commit, and leave no stream of the table without events.
    pub(crate) fn of_frame(frame: &Frame<'_>) -> Result<Self, FormatError> {
        let body = Body::decode(frame.body)?;
        let commands = body.commands()?;
        let mut counts = vec![0_u32; usize::from(frame.header.streams)];
        let mut tags = Vec::new();
        for (index, event) in (0..).zip(EventIter::new(*frame)?) {
            let event = event?;
            let count =
                counts.get_mut(event.stream_index()).ok_or(FormatError("an event of an unknown stream"))?;
            if event.ordinal() != *count {
                return Err(FormatError("an event's ordinal does not continue its stream"));
            }
            *count += 1;
            tags.extend(event.tags().map(|tag| (hash_name(tag), index)));
        }
        let mut hashes = Vec::with_capacity(counts.len() + tags.len() + commands.len());
        let mut names = body.streams();
        for count in counts {
            let name = names.next().ok_or(FormatError("the stream table ends early"))??;
            if count == 0 {
                return Err(FormatError("a stream in the table without events"));
            }
            hashes.push((hash_name(std::str::from_utf8(&name[1..]).unwrap_or_default()), count - 1));
        }
        check_distinct(&hashes, &body)?;
        let commands = commands.iter().map(|command| hash_command(&command.id));
        Ok(Self::of_hashes(hashes, tags, commands))
    }

    fn of_hashes(
        mut hashes: Vec<(u64, u32)>,
        mut tags: Vec<(u64, u32)>,
        commands: impl Iterator<Item = u64>,
    ) -> Self {
        // Limits on streams, tags and events keep these far below u32.
        let narrow = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let tags_at = narrow(hashes.len());
        // The newest event of each tag: the last of equal hashes, once sorted.
        tags.sort_unstable();
        for (at, tag) in tags.iter().enumerate() {
            if tags.get(at + 1).is_none_or(|next| next.0 != tag.0) {
                hashes.push(*tag);
            }
        }
        let commands_at = narrow(hashes.len());
        hashes.extend(commands.map(|hash| (hash, 0)));
        Self { hashes: hashes.into_boxed_slice(), tags_at, commands_at }
    }

    /// Of every stream, in the order of the table: its hash, and how far its last version is above its base version.
    pub(crate) fn streams(&self) -> &[(u64, u32)] {
        &self.hashes[..self.tags_at as usize]
    }

    /// Of every tag: its hash, and the number of its newest event in the commit.
    pub(crate) fn tags(&self) -> &[(u64, u32)] {
        &self.hashes[self.tags_at as usize..self.commands_at as usize]
    }

    /// Hash of every command; the second number is 0.
    pub(crate) fn commands(&self) -> &[(u64, u32)] {
        &self.hashes[self.commands_at as usize..]
    }
}

/// No stream stands twice in the table; equal hashes of different names may.
fn check_distinct(streams: &[(u64, u32)], body: &Body<'_>) -> Result<(), FormatError> {
    if streams.len() < 2 {
        return Ok(());
    }
    let mut hashes: Vec<u64> = streams.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(());
    }
    let mut names = body.streams().collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(FormatError("a stream stands twice in the table"));
    }
    Ok(())
}
