//! A disk behind a page cache, in memory: what was not synced may be lost, name by name and sector by sector.
//!
//! ```text
//!  write ─▶ page cache (a memfd; mapped, so readers see it at once) ─ sync ─▶ durable image
//!  make, rename, remove ─▶ names that everybody sees               ─ sync_dir ─▶ durable names
//!
//!  kill:       the page cache stays, the process is gone
//!  power cut:  any of the unsynced sectors, lengths and changes of names are there, or not
//! ```
//!
//! Processes are told apart by the number of their boot: a dead one can do nothing more. Every operation is counted
//! and traced; at the one that was chosen the process dies, before, in the middle of or after doing it.

mod directory;
mod inode;
mod storage;
#[cfg(test)]
mod tests;

use crate::dice::Dice;
use crate::faults::{Odds, Tally};
use crate::trace::Trace;
use directory::{Directory, Node};
use eventstore::storage::Storage;
use inode::{Inode, Survival};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of the end of the last segment rots more often than the rest, bytes.
const ROT_AT_THE_END: [usize; 2] = [200, 1500];

/// How a process ends without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process is gone, the machine goes on.
    Kill,
    /// The machine is gone.
    PowerCut,
}

/// The disk, and the machine around it as far as it can fail.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
pub struct State {
    dice: Dice,
    /// Number of the process that lives.
    boot: u64,
    inodes: BTreeMap<u64, Inode>,
    inodes_made: u64,
    directories: BTreeMap<PathBuf, Directory>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    dies_at: Option<(u64, End)>,
    dead: Option<End>,
    odds: Odds,
    /// No room for new bytes.
    full: bool,
    /// Faults injected into the process that lives, as far as they excuse anything.
    injected: u64,
    pub trace: Trace,
    pub tally: Tally,
}

/// What becomes of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// The process dies with it; it has been done all the same.
    LastDone,
    /// The process dies before it has been done.
    LastNot,
}

impl Disk {
    /// An empty disk with one directory, which has always been there.
    pub fn new(dice: Dice, home: &str, verbose: bool) -> Self {
        let root = PathBuf::from("/");
        let mut top = Directory::default();
        top.make(home, Node::Directory);
        top.sync();
        let directories = BTreeMap::from([(root.join(home), Directory::default()), (root, top)]);
        Self(Arc::new(Mutex::new(State {
            dice,
            boot: 0,
            inodes: BTreeMap::new(),
            inodes_made: 0,
            directories,
            locks: BTreeSet::new(),
            operations: 0,
            dies_at: None,
            dead: None,
            odds: Odds::default(),
            full: false,
            injected: 0,
            trace: Trace::new(verbose),
            tally: Tally::default(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    pub fn note(&self, line: String) {
        self.state().trace.note(line);
    }

    /// The storage as the process that lives now sees it.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(storage::Process { disk: self.clone(), boot: self.state().boot })
    }

    /// Lets the process die at the `in_operations`-th operation from now.
    pub fn arm(&self, in_operations: u64, end: End) {
        let mut state = self.state();
        state.dies_at = Some((state.operations + in_operations, end));
    }

    pub fn disarm(&self) {
        self.state().dies_at = None;
    }

    pub fn set_odds(&self, odds: Odds) {
        self.state().odds = odds;
    }

    pub fn set_full(&self, full: bool) {
        let mut state = self.state();
        state.full = full;
        state.trace.note(format!("disk full: {full}"));
    }

    /// How the process has died by itself, if it has.
    pub fn dead(&self) -> Option<End> {
        self.state().dead
    }

    /// Faults that the process that lives has met and that excuse something.
    pub fn injected(&self) -> u64 {
        self.state().injected
    }

    /// Ends the process that lives; what survives is there for the next one. Whether that is all that was written.
    pub fn end(&self, end: End) -> bool {
        let mut state = self.state();
        state.look();
        let all_is_left = match end {
            End::Kill => state.kill(),
            End::PowerCut => {
                state.power_cut();
                false
            }
        };
        state.boot += 1;
        state.dies_at = None;
        state.dead = None;
        state.full = false;
        state.injected = 0;
        state.locks.clear();
        all_is_left
    }

    /// What a file holds, as everybody sees it.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let name = path.file_name()?.to_str()?;
        match state.directories.get(path.parent()?)?.names().get(name)? {
            Node::File(number) => Some(state.inodes[number].content()),
            Node::Directory => None,
        }
    }

    /// Every file with its path, as everybody sees it.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.state();
        let files = state.directories.iter().flat_map(|(dir, directory)| {
            directory.names().iter().filter_map(|(name, node)| match node {
                Node::File(number) => Some((dir.join(name), state.inodes[number].content())),
                Node::Directory => None,
            })
        });
        files.collect()
    }

    /// Turns one bit of a file, as rot does while the machine is off. Which file, and where.
    pub fn rot(&self) -> Option<(PathBuf, u64)> {
        let mut state = self.state();
        let state = &mut *state;
        let mut files = Vec::new();
        for (dir, directory) in &state.directories {
            for (name, node) in directory.names() {
                let Node::File(number) = node else { continue };
                let content = state.inodes[number].content();
                let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                if !content.is_empty() {
                    files.push((dir.join(name), *number, content.len(), used));
                }
            }
        }
        // The end of the last segment is where it is hardest to tell rot from a torn group; an index must never be
        // believed; and rot among zeros is found too, but teaches less.
        let is = |path: &Path, kind| path.extension().is_some_and(|extension| extension == kind);
        let (kind, zeros) = (state.dice.below(100), state.dice.percent(10));
        let last = files.iter().rfind(|(path, _, _, used)| is(path, "seg") && *used > 0);
        let index = files.iter().find(|(path, _, _, used)| is(path, "idx") && *used > 0);
        let (path, number, bytes) = match (last, index) {
            (Some((path, number, _, used)), _) if kind < 50 => {
                let end = *state.dice.pick(&ROT_AT_THE_END);
                (path.clone(), *number, used.saturating_sub(end)..*used)
            }
            (_, Some((path, number, _, used))) if kind < 70 => (path.clone(), *number, 0..*used),
            _ => {
                let (path, number, len, used) = files.get(state.dice.index(files.len()))?;
                (path.clone(), *number, 0..if zeros || *used == 0 { *len } else { *used })
            }
        };
        let bit = state.dice.between(bytes.start as u64 * 8, bytes.end as u64 * 8 - 1);
        state.inode(number).rot(bit);
        state.trace.note(format!("rot: bit {bit} (byte {}) of {}", bit / 8, path.display()));
        state.tally.count("fault rot");
        Some((path, bit / 8))
    }
}

impl State {
    /// Counts and traces an operation, and says what becomes of it. An error means that it is not done.
    fn begin(&mut self, boot: u64, what: &str) -> io::Result<Fate> {
        match self.fate(boot, what)? {
            Fate::LastNot => Err(gone()),
            fate => Ok(fate),
        }
    }

    /// As `begin`, but a process that is just dying may still do a part of it.
    fn fate(&mut self, boot: u64, what: &str) -> io::Result<Fate> {
        if boot != self.boot || self.dead.is_some() {
            return Err(gone());
        }
        self.look();
        self.operations += 1;
        self.trace.note(format!("{} {what}", self.operations));
        let Some((at, end)) = self.dies_at else { return Ok(Fate::Done) };
        if self.operations < at {
            return Ok(Fate::Done);
        }
        self.trace.note(format!("  the process dies here: {end:?}"));
        self.dead = Some(end);
        Ok(if self.dice.percent(50) { Fate::LastDone } else { Fate::LastNot })
    }

    /// Notices stores into shared pages; of a dead process there are none.
    fn look(&mut self) {
        if self.dead.is_none() {
            for inode in self.inodes.values_mut() {
                inode.look(&mut self.dice);
            }
        }
    }

    /// Whether a fault with these odds happens now.
    fn strikes(&mut self, kind: &'static str, one_in: fn(&Odds) -> u64) -> bool {
        let strikes = self.dice.one_in(one_in(&self.odds));
        if strikes {
            self.hit(kind);
        }
        strikes
    }

    fn hit(&mut self, kind: &'static str) {
        // What every program has to cope with excuses nothing.
        if !["fault interrupted", "fault short read", "fault short write"].contains(&kind) {
            self.injected += 1;
        }
        self.tally.count(kind);
        self.trace.note(format!("  {kind}"));
    }

    fn inode(&mut self, number: u64) -> &mut Inode {
        self.inodes.get_mut(&number).expect("inodes live as long as their handles")
    }

    fn make_inode(&mut self) -> u64 {
        self.inodes_made += 1;
        self.inodes.insert(self.inodes_made, Inode::new(Vec::new()));
        self.inodes_made
    }

    fn kill(&mut self) -> bool {
        self.tally.count("kills");
        let evicted = self.dice.percent(30);
        self.trace.note(format!("kill (lost pages evicted: {evicted})"));
        let mut all_is_left = true;
        for inode in self.inodes.values_mut() {
            inode.bury();
            if evicted {
                all_is_left &= !inode.forget_lost();
            }
        }
        all_is_left
    }

    fn power_cut(&mut self) {
        self.tally.count("power cuts");
        let dice = &mut self.dice;
        let mut percent = || *dice.pick(&[0, 10, 50, 90, 100]);
        let survival = Survival { sectors: percent(), lens: percent(), names: percent() };
        self.trace.note(format!("power cut: {survival:?}"));
        let mut directories: BTreeMap<PathBuf, Directory> = BTreeMap::new();
        let mut inodes = BTreeMap::new();
        // Parents sort before what they hold: a directory whose own name is lost is lost with everything in it.
        for (path, before) in &self.directories {
            let kept = path.parent().and_then(|parent| directories.get(parent)).is_none_or(|parent| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                parent.names().contains_key(name)
            });
            let orphan = path.parent().is_some_and(|parent| {
                self.directories.contains_key(parent) && !directories.contains_key(parent)
            });
            if !kept || orphan {
                continue;
            }
            let after = before.after_power_cut(&mut self.dice, survival.names);
            for node in after.names().values() {
                if let Node::File(number) = node {
                    let image = self.inodes[number].after_power_cut(&mut self.dice, survival);
                    inodes.insert(*number, Inode::new(image));
                }
            }
            directories.insert(path.clone(), after);
        }
        self.directories = directories;
        self.inodes = inodes;
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}
