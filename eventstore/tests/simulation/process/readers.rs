//! Readers of all kinds: in the writer's process, in others, and of the control page itself.

use super::{Process, Stop};
use crate::dice::Dice;
use crate::oracle::{Finding, Oracle};
use crate::workload::Clients;
use crate::world::{World, data_dir};
use eventstore::{Log, LogOffset};
use uuid::Uuid;

impl Process {
    /// Reads something again.
    pub(super) fn read(
        &mut self,
        oracle: &Oracle,
        dice: &mut Dice,
        clients: &mut Clients,
    ) -> Result<(), Finding> {
        match dice.below(4) {
            0 => oracle.history.compare_stream(&self.log, &clients.stream()),
            1 => oracle.history.compare_tag(&self.log, &clients.tag()),
            2 => oracle.history.compare_places(&self.log, dice),
            _ => match self.readers.is_empty() {
                true => Ok(()),
                false => {
                    let (log, len) = dice.pick(&self.readers);
                    let now = oracle.history.compare(log)?;
                    if now == *len { Ok(()) } else { Err(format!("a reader saw {len} commits, now {now}")) }
                }
            },
        }
    }

    /// Opens the log as another process would.
    pub(super) fn follow(&mut self, world: &World, oracle: &Oracle, dice: &mut Dice) -> Result<(), Stop> {
        let before = world.disk.injected();
        let log = match Log::open_offline_in(&world.environment(), data_dir()) {
            Ok(log) => log,
            Err(_) if world.disk.dead().is_some() || world.disk.injected() > before => return Ok(()),
            Err(error) => return Err(Stop::Finding(format!("a reader cannot open the log: {error}"))),
        };
        if let Some(damage) = log.damage() {
            if world.disk.dead().is_some() || self.faults(world) > before {
                return Ok(());
            }
            return Err(Stop::Finding(format!("a reader cannot open all of the log: {damage:?}")));
        }
        let len = oracle.history.compare(&log)?;
        world.disk.note(format!("a reader sees {len} commits"));
        // A writer that has failed may have shown to its own process what it told no other.
        let known = oracle.history.len();
        if len > known || len < known && !oracle.poisoned {
            return Err(Stop::Finding(format!("a reader sees {len} commits, {known} are published")));
        }
        if self.readers.len() < 3 {
            self.readers.push((log, len));
        } else {
            let place = dice.index(3);
            self.readers[place] = (log, len);
        }
        Ok(())
    }
}

/// What the control page says is published, and durable; nothing when it is not (yet) a page of this store.
pub fn page(world: &World, store: Uuid) -> (LogOffset, LogOffset) {
    let page = world.disk.read(&data_dir().join("control/log")).unwrap_or_default();
    let word = |at: usize| {
        let bytes = page.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        LogOffset::from_bits(u64::from_le_bytes(bytes))
    };
    let whole =
        page.len() == 4096 && page.starts_with(b"SUNDAYCP\x01\0\0\0") && page[16..32] == *store.as_bytes();
    let published = if whole { word(72) } else { LogOffset::default() };
    (published, word(64).min(published))
}
