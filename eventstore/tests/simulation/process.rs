//! One process that writes the log: an engine whose crank is turned in any order, and everybody who waits for it.

use crate::dice::Dice;
use crate::oracle::{Around, Finding, Oracle};
use crate::workload::Clients;
use crate::world::{World, data_dir};
use eventstore::{
    AppendError, Commits, Durability, Engine, Flush, Log, LogOffset, OpenError, Pending, Position,
    StoreOptions,
};
use std::io;
use uuid::Uuid;

pub const SEGMENT_BYTES: u64 = 64 << 10;
/// Segment header, a mark and a seal.
const FRAME_LEN_MAX: u64 = SEGMENT_BYTES - 4096 - 2 * 96;
/// Turns of the crank after which whoever waits must have been answered.
const TURNS_MAX: usize = 200;

/// Why a process does not go on.
pub enum Stop {
    /// It has died, by itself.
    Dead,
    Finding(Finding),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Finding(finding)
    }
}

pub struct Process {
    engine: Engine,
    durability: Durability,
    /// Whether anything can be wrong on disk already.
    rotten: bool,
    log: Log,
    /// Goes on where it ended when more has been published.
    commits: Commits,
    /// Commits that it has given.
    index: usize,
    waiting: Vec<(u64, Pending)>,
    /// Begun, not run to its end.
    flush: Option<Flush>,
    /// Run, not settled.
    ran: Option<(Flush, io::Result<()>)>,
    /// Settled, not published.
    settled: Option<Flush>,
    /// Readers from before, with what they saw then.
    readers: Vec<(Log, usize)>,
}

/// How often clients and writer do what, for one process: some never do some of it.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    submit: u64,
    crank: u64,
    whole_turn: u64,
    quiet: u64,
    housekeep: u64,
    read: u64,
    follow: u64,
    jump: u64,
    full: u64,
}

impl Habits {
    pub fn draw(dice: &mut Dice) -> Self {
        let mut often = |most| dice.below(most);
        Self {
            submit: 10 + often(40),
            crank: 10 + often(60),
            whole_turn: often(20),
            quiet: often(8),
            housekeep: often(8),
            read: often(8),
            follow: often(4),
            jump: often(3),
            full: if often(4) == 0 { 4 } else { 0 },
        }
    }
}

impl Process {
    pub fn open(world: &World, durability: Durability, rotten: bool) -> Result<Self, OpenError> {
        let options = StoreOptions { segment_bytes: SEGMENT_BYTES, durability };
        let engine = Engine::open(&world.environment(), data_dir(), &options)?;
        let log = engine.log();
        Ok(Self {
            engine,
            durability,
            rotten,
            commits: log.commits(Position::ZERO),
            log,
            index: 0,
            waiting: Vec::new(),
            flush: None,
            ran: None,
            settled: None,
            readers: Vec::new(),
        })
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Compares what was recovered with what was promised.
    pub fn check_recovered(
        &mut self,
        world: &World,
        oracle: &mut Oracle,
        may_be_lost: bool,
        dice: &mut Dice,
        clients: &mut Clients,
    ) -> Result<(), Finding> {
        oracle.recovered(&self.log, may_be_lost)?;
        let (published, durable) = page(world, self.log.store_id());
        oracle.continues_at(published);
        oracle.published(self.durability, published, durable);
        self.commits.by_ref().for_each(drop);
        self.index = oracle.history.len();
        if dice.percent(50) {
            oracle.compare_stream(&self.log, &clients.stream())?;
        }
        Ok(())
    }

    /// Does one thing.
    pub fn step(
        &mut self,
        world: &World,
        oracle: &mut Oracle,
        dice: &mut Dice,
        clients: &mut Clients,
        habits: Habits,
    ) -> Result<(), Stop> {
        let Habits { submit, crank, whole_turn, quiet, housekeep, read, follow, jump, full } = habits;
        let mut left =
            dice.below(submit + crank + whole_turn + quiet + housekeep + read + follow + jump + full);
        let mut falls = |share: u64| {
            let here = left < share;
            left = left.wrapping_sub(share);
            here
        };
        if falls(submit) {
            for _ in 0..=dice.below(3) {
                self.submit(world, oracle, clients)?;
            }
        } else if falls(crank) {
            self.turn(world, dice);
        } else if falls(whole_turn) {
            self.whole_turn(world, oracle, dice)?;
        } else if falls(quiet) {
            let more = self.engine.quiet();
            world.disk.note(format!("quiet: {more}"));
        } else if falls(housekeep) {
            self.housekeep(world)?;
        } else if falls(read) {
            self.read(oracle, dice, clients)?;
        } else if falls(follow) {
            self.follow(world, oracle, dice)?;
        } else if falls(jump) {
            let nanoseconds =
                dice.below(4_000_000_000) as i64 - if dice.one_in(3) { 3_600_000_000_000 } else { 0 };
            world.jump(nanoseconds);
        } else if falls(full) {
            world.disk.set_full(dice.percent(50));
        }
        self.after(world, oracle)
    }

    /// Works on the index: some units of work, or all there is.
    fn housekeep(&mut self, world: &World) -> Result<(), Finding> {
        for _ in 0..TURNS_MAX {
            let before = world.disk.injected();
            let done = self.engine.housekeep();
            world.disk.note(format!("housekeep: {done:?}"));
            match done {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) if self.faults(world) > before || world.disk.dead().is_some() => return Ok(()),
                Err(error) => return Err(format!("the index is not written, without a fault: {error}")),
            }
        }
        Err("housekeeping never ends".to_owned())
    }

    fn submit(&mut self, world: &World, oracle: &mut Oracle, clients: &mut Clients) -> Result<(), Finding> {
        let number = oracle.next_number();
        let wanted = clients.want(number, &oracle.history, oracle.waiting());
        let commit = wanted.prepare();
        let frame_len = commit.frame_len() as u64;
        world.disk.note(format!(
            "submit {number}: {} events, {} commands, {} guards, {frame_len} bytes",
            wanted.events.len(),
            wanted.commands.len(),
            wanted.guards.len()
        ));
        match self.engine.submit(commit) {
            Ok(pending) => {
                oracle.submitted(number, wanted, frame_len);
                self.waiting.push((number, pending));
                Ok(())
            }
            Err(AppendError::ReadOnly { .. }) if self.engine.poisoned().is_some() => Ok(()),
            Err(error) => Err(format!("commit {number} was not taken in: {error}")),
        }
    }

    /// One turn of the crank: whatever part of it the dice say, as far as its time has come. A flush is settled before
    /// it is published, and the next one may begin in between.
    fn turn(&mut self, world: &World, dice: &mut Dice) {
        match dice.below(6) {
            0 => {
                world.disk.note("collect".to_owned());
                self.engine.collect();
            }
            1 if self.flush.is_none() && self.ran.is_none() => {
                self.flush = self.engine.begin_flush();
                world.disk.note(format!("begin_flush: {}", self.flush.is_some()));
            }
            2 | 3 => {
                let Some(mut flush) = self.flush.take() else { return };
                let step = flush.step();
                world.disk.note(format!("step: {step:?}"));
                match step {
                    Some(Ok(())) => self.flush = Some(flush),
                    Some(Err(error)) => self.ran = Some((flush, Err(error))),
                    None => self.ran = Some((flush, Ok(()))),
                }
            }
            4 if self.settled.is_none() => {
                let Some((flush, done)) = self.ran.take() else { return };
                world.disk.note(format!("settle: {done:?}"));
                self.engine.settle(&flush, done);
                self.settled = Some(flush);
            }
            5 => {
                let Some(flush) = self.settled.take() else { return };
                world.disk.note("publish".to_owned());
                self.engine.publish(flush);
            }
            _ => {}
        }
    }

    /// Finishes what has been begun, then collects, flushes and answers all that waits.
    fn whole_turn(&mut self, world: &World, oracle: &mut Oracle, dice: &mut Dice) -> Result<(), Stop> {
        world.disk.note("whole turn".to_owned());
        if let Some(settled) = self.settled.take() {
            self.engine.publish(settled);
            self.after(world, oracle)?;
        }
        let mut flush = self.flush.take();
        if let Some((flush, done)) = self.ran.take() {
            self.engine.finish_flush(flush, done);
        }
        self.after(world, oracle)?;
        for _ in 0..TURNS_MAX {
            if flush.is_none() {
                self.engine.collect();
                flush = self.engine.begin_flush();
            }
            let Some(mut begun) = flush.take() else { break };
            if dice.one_in(4) {
                self.engine.collect();
            }
            let done = begun.run();
            world.disk.note(format!("ran: {done:?}"));
            self.engine.finish_flush(begun, done);
            self.after(world, oracle)?;
        }
        self.after(world, oracle)?;
        match self.waiting.first() {
            Some((number, _)) => Err(Stop::Finding(format!("commit {number} is never answered"))),
            None => Ok(()),
        }
    }

    /// What may excuse it that something does not work.
    fn faults(&self, world: &World) -> u64 {
        world.disk.injected() + u64::from(self.rotten)
    }

    /// What everybody sees and hears after each step.
    fn after(&mut self, world: &World, oracle: &mut Oracle) -> Result<(), Stop> {
        let dead = world.disk.dead().is_some();
        if let Some(reason) = self.engine.poisoned()
            && !oracle.poisoned
        {
            world.disk.note(format!("poisoned: {reason}"));
            oracle.poisoned = true;
            if self.faults(world) == 0 && !dead {
                return Err(Stop::Finding(format!("poisoned without a fault: {reason}")));
            }
        }
        self.show(world, oracle)?;
        let around = Around {
            durability: self.durability,
            injected: self.faults(world),
            dead,
            frame_len_max: FRAME_LEN_MAX,
        };
        let mut answers = Vec::new();
        self.waiting.retain_mut(|(number, pending)| match pending.try_answer() {
            None => true,
            Some(answer) => {
                answers.push((*number, answer));
                false
            }
        });
        for (number, answer) in answers {
            let short =
                answer.as_ref().map(|receipt| (receipt.first.get(), receipt.next.get(), receipt.duplicate));
            world.disk.note(format!("commit {number} hears {short:?}"));
            oracle.answered(number, &answer, around)?;
        }
        if dead { Err(Stop::Dead) } else { Ok(()) }
    }

    /// Takes in what the reader shows anew.
    fn show(&mut self, world: &World, oracle: &mut Oracle) -> Result<(), Finding> {
        for commit in self.commits.by_ref() {
            let commit = commit.map_err(|error| format!("what was published cannot be read: {error}"))?;
            world.disk.note(format!("shown: commit {} at {}", self.index, commit.place()));
            oracle.shown(&self.log, self.index, &commit)?;
            self.index += 1;
        }
        let (published, durable) = page(world, self.log.store_id());
        oracle.published(self.durability, published, durable);
        Ok(())
    }

    /// Reads something again.
    fn read(&mut self, oracle: &Oracle, dice: &mut Dice, clients: &mut Clients) -> Result<(), Finding> {
        match dice.below(4) {
            0 => oracle.compare_stream(&self.log, &clients.stream()),
            1 => oracle.compare_tag(&self.log, &clients.tag()),
            2 => oracle.compare_places(&self.log, dice),
            _ => match self.readers.is_empty() {
                true => Ok(()),
                false => {
                    let (log, len) = dice.pick(&self.readers);
                    let now = oracle.compare(log)?;
                    if now == *len { Ok(()) } else { Err(format!("a reader saw {len} commits, now {now}")) }
                }
            },
        }
    }

    /// Opens the log as another process would.
    fn follow(&mut self, world: &World, oracle: &Oracle, dice: &mut Dice) -> Result<(), Stop> {
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
        let len = oracle.compare(&log)?;
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

    /// On a disk that behaves: takes one more commit and closes.
    pub fn end_well(
        mut self,
        world: &World,
        oracle: &mut Oracle,
        dice: &mut Dice,
        clients: &mut Clients,
    ) -> Result<(), Stop> {
        let before = oracle.history.len();
        for _ in 0..100 {
            self.submit(world, oracle, clients)?;
            self.whole_turn(world, oracle, dice)?;
            if oracle.history.len() > before {
                break;
            }
        }
        if oracle.history.len() == before {
            return Err(Stop::Finding("nothing is taken in any more".to_owned()));
        }
        match self.close(world, oracle, dice)? {
            true => Ok(()),
            false => Err(Stop::Finding("not everything is on disk after closing".to_owned())),
        }
    }

    /// Ends in good order. `Ok(true)` means that everything is on disk.
    pub fn close(mut self, world: &World, oracle: &mut Oracle, dice: &mut Dice) -> Result<bool, Stop> {
        self.whole_turn(world, oracle, dice)?;
        let injected = world.disk.injected();
        world.disk.note("close".to_owned());
        let Self { engine, log, mut commits, index, waiting, .. } = self;
        let poisoned = engine.poisoned().is_some();
        engine.close();
        if let Some(more) = commits.next() {
            return Err(Stop::Finding(format!("closing has published {more:?}")));
        }
        drop((log, waiting));
        if world.disk.dead().is_some() {
            return Err(Stop::Dead);
        }
        assert_eq!(index, oracle.history.len(), "everything shown is known");
        Ok(!poisoned && world.disk.injected() == injected)
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
