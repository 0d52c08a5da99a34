//! One run: many processes, one after the other, on one disk. Everything in it follows from its seed.

use crate::dice::Dice;
use crate::disk::End;
use crate::faults::{Odds, Tally};
use crate::oracle::{Finding, Oracle};
use crate::process::{Habits, Process, Stop, page};
use crate::workload::Clients;
use crate::world::{World, data_dir};
use eventstore::{Durability, Log, LogOffset, OpenError};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use uuid::Uuid;

/// Openings that may fail in a row before the disk behaves.
const TRIES_MAX: u32 = 6;

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    pub hash: u64,
    pub tally: Tally,
}

/// A promise that was broken, with what led to it.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub finding: Finding,
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, finding, trace } = self;
        write!(f, "{trace}seed {seed}: {finding}\nSUNDAY_SIM_SEED={seed} runs it again")
    }
}

/// Runs a seed. A panic is a finding like any other.
pub fn run(seed: u64, verbose: bool) -> Result<Outcome, Box<Failure>> {
    let mut run = Run::new(seed, verbose);
    let ended = catch_unwind(AssertUnwindSafe(|| run.all())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    let state = run.world.disk.state();
    match ended {
        Ok(()) => {
            let mut tally = state.tally.clone();
            tally.count("seeds");
            tally.add("acknowledged events", run.oracle.acknowledged);
            Ok(Outcome { hash: state.trace.hash(), tally })
        }
        Err(finding) => Err(Box::new(Failure { seed, finding, trace: state.trace.last_lines() })),
    }
}

struct Run {
    world: World,
    dice: Dice,
    oracle: Oracle,
    clients: Clients,
    odds: Odds,
    /// The store, once there is one.
    store: Uuid,
    /// Whether bits turn while the machine is off.
    rots: bool,
    /// Set once one has: from then on the log may say that it is damaged.
    rotten: bool,
}

/// How the last process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// Everything written is still there.
    Killed,
    /// What was not synced may be lost: the power was cut, or the page cache forgot what a failed sync has not written.
    Lost,
}

/// How an opening ended.
enum Opening {
    Open(Box<Process>),
    Died,
    Refused,
}

impl Run {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut dice = Dice::new(seed);
        let world = World::new(&mut dice, verbose);
        let clients = Clients::new(dice.child());
        let odds = if dice.percent(70) { Odds::draw(&mut dice) } else { Odds::default() };
        let rots = dice.percent(25);
        world.disk.note(format!("seed {seed}: {odds:?}, rot {rots}"));
        Self {
            world,
            dice,
            oracle: Oracle::default(),
            clients,
            odds,
            store: Uuid::nil(),
            rots,
            rotten: false,
        }
    }

    fn all(&mut self) -> Result<(), Finding> {
        let mut before = Before::Nothing;
        for _ in 0..self.dice.between(5, 30) {
            self.world.disk.set_odds(self.odds);
            let Some(mut process) = self.open(&mut before)? else { return Ok(()) };
            before = match self.live(&mut process) {
                Ok(()) => match self.finish(process)? {
                    Some(before) => before,
                    None => return Ok(()),
                },
                Err(Stop::Dead) => {
                    let before = self.end_dead();
                    drop(process);
                    before
                }
                Err(Stop::Finding(finding)) => return self.excuse(finding),
            };
        }
        self.last(before)
    }

    /// What has rotted may be missed, as long as it is said. Such a run ends here.
    fn excuse(&mut self, finding: Finding) -> Result<(), Finding> {
        let says_so = finding.contains("cannot be read") || finding.contains("a reader cannot open");
        if !self.rotten || !says_so {
            return Err(finding);
        }
        let mut state = self.world.disk.state();
        state.tally.count("refusals");
        state.trace.note(format!("refused: {finding}"));
        Ok(())
    }

    /// Opens the log, through further crashes if need be. `None` when it refuses with good reason.
    fn open(&mut self, before: &mut Before) -> Result<Option<Box<Process>>, Finding> {
        let mut tries = 0;
        loop {
            let durability =
                if self.rots || self.dice.percent(70) { Durability::Fsync } else { Durability::Os };
            self.world.disk.note(format!("open, {durability:?}, after {before:?}"));
            // A log is made only once in a run: that opening is worth more crashes than the others.
            let (percent, operations) = if *before == Before::Nothing { (80, 35) } else { (30, 70) };
            if self.dice.percent(percent) {
                let end = self.draw_end();
                self.world.disk.arm(self.dice.between(1, operations), end);
            }
            if tries > TRIES_MAX {
                self.world.disk.set_odds(Odds::default());
            }
            tries += 1;
            match self.try_open(durability, *before)? {
                Opening::Open(process) => {
                    self.world.disk.state().tally.count("recoveries");
                    self.world.disk.disarm();
                    return Ok(Some(process));
                }
                Opening::Refused => return Ok(None),
                // What was lost stays lost, whatever ends the next process.
                Opening::Died if *before == Before::Lost => {
                    self.end_dead();
                }
                Opening::Died => *before = self.end_dead(),
            }
        }
    }

    fn try_open(&mut self, durability: Durability, before: Before) -> Result<Opening, Finding> {
        let injected = self.world.disk.injected();
        let segments = self.segments();
        let opened = Process::open(&self.world, durability, self.rotten);
        let error = match opened {
            // It dies with its last operation, or has died and not noticed.
            Ok(process) if self.world.disk.dead().is_some() => {
                drop(process);
                return Ok(Opening::Died);
            }
            Ok(mut process) => {
                let may_be_lost = before == Before::Lost;
                let (oracle, dice) = (&mut self.oracle, &mut self.dice);
                let known = oracle.history.len();
                match process.check_recovered(&self.world, oracle, may_be_lost, dice, &mut self.clients) {
                    Ok(()) => {
                        self.store = process.log().store_id();
                        let now = self.oracle.history.len();
                        let tally = &mut self.world.disk.state().tally;
                        tally.add("seen commits lost", known.saturating_sub(now) as u64);
                        tally.add("seen commits found", now.saturating_sub(known) as u64);
                        return Ok(Opening::Open(Box::new(process)));
                    }
                    Err(finding) => return self.excuse(finding).map(|()| Opening::Refused),
                }
            }
            Err(error) => error,
        };
        self.world.disk.note(format!("not opened: {error}"));
        if self.world.disk.dead().is_some() {
            return Ok(Opening::Died);
        }
        if self.rotten {
            if matches!(error, OpenError::Damaged { .. }) && !self.are_left(&segments) {
                return Err(format!("refused, but not left as it was: {error}"));
            }
            return self.excuse(format!("the log cannot be read: {error}")).map(|()| Opening::Refused);
        }
        if matches!(error, OpenError::Io { .. }) && self.world.disk.injected() > injected {
            // Whoever started it starts it again; the machine may be started again as well.
            return Ok(Opening::Died);
        }
        Err(format!("the log is refused after {before:?}: {error}"))
    }

    /// What the segments hold, once it matters that nobody touches them.
    fn segments(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = if self.rotten { self.world.disk.files() } else { Vec::new() };
        files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "seg"));
        files
    }

    /// Whether the segments are as they were. Only what holds nothing may have been set aside: a torn header, zeros.
    fn are_left(&self, segments: &[(PathBuf, Vec<u8>)]) -> bool {
        segments.iter().all(|(path, before)| match self.world.disk.read(path) {
            Some(now) => now == *before,
            None => before.iter().skip(4096).all(|byte| *byte == 0),
        })
    }

    /// A process at work, until it ends by itself or has done enough.
    fn live(&mut self, process: &mut Process) -> Result<(), Stop> {
        let habits = Habits::draw(&mut self.dice);
        if self.dice.percent(60) {
            let end = self.draw_end();
            let at = self.dice.between(1, 400);
            self.world.disk.arm(at, end);
        }
        for _ in 0..self.dice.between(5, 250) {
            process.step(&self.world, &mut self.oracle, &mut self.dice, &mut self.clients, habits)?;
        }
        Ok(())
    }

    /// A process that has done enough: it is closed, or killed, or the power fails.
    fn finish(&mut self, process: Box<Process>) -> Result<Option<Before>, Finding> {
        if self.dice.percent(70) {
            let end = self.draw_end();
            let before = self.end(end);
            drop(process);
            return Ok(Some(before));
        }
        match process.close(&self.world, &mut self.oracle, &mut self.dice) {
            Ok(safe) => {
                if safe {
                    self.oracle.all_safe();
                }
                let end = self.draw_end();
                Ok(Some(self.end(end)))
            }
            Err(Stop::Dead) => Ok(Some(self.end_dead())),
            Err(Stop::Finding(finding)) => self.excuse(finding).map(|()| None),
        }
    }

    fn draw_end(&mut self) -> End {
        if self.dice.percent(50) { End::Kill } else { End::PowerCut }
    }

    /// Ends a process that has died already, or gave up.
    fn end_dead(&mut self) -> Before {
        let end = match self.world.disk.dead() {
            Some(end) => end,
            None => self.draw_end(),
        };
        self.end(end)
    }

    fn end(&mut self, end: End) -> Before {
        let all_is_left = self.world.disk.end(end);
        self.oracle.ended();
        if end == End::PowerCut && self.rots && self.dice.percent(30) {
            self.rot();
        }
        if all_is_left { Before::Killed } else { Before::Lost }
    }

    fn rot(&mut self) {
        let Some((path, byte)) = self.world.disk.rot() else { return };
        self.rotten = true;
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".seg")?.parse().ok());
        let durable = if path.ends_with("control/log") {
            LogOffset::default()
        } else {
            page(&self.world, self.store).1
        };
        // What vouched for the rest may have gone with it, so a second one could take more unnoticed.
        self.rots = !self.oracle.rotted(number, byte, durable);
    }

    /// A last process on a disk that behaves, and a look from outside at all that is left.
    fn last(&mut self, before: Before) -> Result<(), Finding> {
        self.world.disk.set_odds(Odds::default());
        let process = match self.try_open(Durability::Fsync, before)? {
            Opening::Open(process) => process,
            Opening::Refused => return Ok(()),
            Opening::Died => return Err("a process died that was not to die".to_owned()),
        };
        match process.end_well(&self.world, &mut self.oracle, &mut self.dice, &mut self.clients) {
            Ok(()) => {}
            Err(Stop::Dead) => return Err("a process died that was not to die".to_owned()),
            Err(Stop::Finding(_)) if self.rotten => return Ok(()),
            Err(Stop::Finding(finding)) => return Err(finding),
        }
        if self.rotten { Ok(()) } else { self.look_from_outside() }
    }

    /// Writes all files into a directory of this machine, where nothing is simulated.
    fn look_from_outside(&self) -> Result<(), Finding> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (path, content) in self.world.disk.files() {
            let path = dir.path().join(path.strip_prefix(data_dir()).map_err(|error| error.to_string())?);
            let written = std::fs::create_dir_all(path.parent().unwrap_or(dir.path()));
            written.and_then(|()| std::fs::write(&path, content)).map_err(|error| error.to_string())?;
        }
        let report = eventstore::verify(dir.path(), &mut |_| {}).map_err(|error| error.to_string())?;
        if !report.is_intact() {
            return Err(format!("verification finds {:?}", report.findings));
        }
        if report.next != self.oracle.history.next() {
            return Err(format!("verification counts {} positions", report.next));
        }
        let log = Log::open_offline(dir.path()).map_err(|error| error.to_string())?;
        let len = self.oracle.history.compare(&log)?;
        if len == self.oracle.history.len() { Ok(()) } else { Err(format!("{len} commits are left")) }
    }
}
