//! Turning ended segments into runs, merging runs, and building anew what is missing or rotten.
//!
//! Invariant: the view covers every segment exactly once at any moment. A file is removed only once what replaces it is
//! durable. Whatever fails here costs time or memory, never an answer and never an append.

use crate::error::{IndexError, ReadError};
use crate::format::segment_header::SEGMENT_HEADER_BYTES;
use crate::index::{
    Active, Content, Rotten, Run, RunInfo, WriteError, in_memory, next_merge, of_active, of_runs, save,
};
use crate::numbers::{LogOffset, Timestamp};
use crate::tail::{Role, Shared, Tail, enter, pass};
use std::io;
use std::ops::Range;
use std::sync::Arc;

impl Shared {
    /// One unit of work of the writer: the run of the oldest frozen segment, or one merge. True when something was done,
    /// so that there may be more. Never to be called by readers of another process.
    ///
    /// # Errors
    /// When a file cannot be written, or a segment cannot be read: to be reported, and tried again later.
    pub(crate) fn housekeep(&self) -> Result<bool, IndexError> {
        let _one = self.housekeeping.lock();
        let view = self.view();
        if let Some(at) = view.runs.iter().position(|run| run.unsaved().is_some()) {
            let run = &view.runs[at];
            let bytes = run.unsaved().unwrap_or_default();
            if let Some(saved) = self.save(&run.info, &Content::Bytes(bytes))? {
                self.replace_runs(at..at + 1, vec![Arc::new(saved)]);
                self.remove_leftovers();
            }
            return Ok(true);
        }
        if let [oldest, _, ..] = &view.actives[..] {
            let info = self.info_of(oldest)?;
            if let Some(saved) = self.save(&info, &Content::Of(&of_active(oldest)))? {
                self.thaw(oldest, saved);
            }
            return Ok(true);
        }
        let Some(range) = next_merge(&view.runs) else { return Ok(false) };
        let inputs = &view.runs[range.clone()];
        if let Some(saved) = self.save(&merged_info(inputs), &Content::Of(&of_runs(inputs)))? {
            self.replace_runs(range, vec![Arc::new(saved)]);
            self.remove_leftovers();
        }
        Ok(true)
    }

    /// Writes a run's file; `None` when a run that it is made of was rotten and has been built anew instead.
    fn save(&self, info: &RunInfo, content: &Content<'_>) -> Result<Option<Run>, IndexError> {
        let path = self.runs.path(info.first_segment, info.last_segment);
        let failed = |source| IndexError::Io { action: "cannot write", path: path.clone(), source };
        self.runs.storage.create_dir(&self.runs.dir).map_err(failed)?;
        match save(&*self.runs.storage, &self.runs.dir, &path, info, content) {
            Ok(run) => {
                // Whatever had this name before, this one is new.
                self.distrusted.lock().remove(&(info.first_segment, info.last_segment));
                Ok(Some(run))
            }
            Err(WriteError::Rotten(rotten)) => {
                self.rebuild(rotten)?;
                Ok(None)
            }
            Err(WriteError::Io(source)) => Err(failed(source)),
        }
    }

    /// Makes runs of all frozen segments now, in files or, where that is not possible or not ours to do, in memory.
    pub(crate) fn settle(&self) -> Result<(), ReadError> {
        if self.role == Role::Writer {
            loop {
                match self.housekeep() {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => {
                        tracing::warn!(%error, "an index stays in memory for now");
                        break;
                    }
                }
            }
        }
        let _one = self.housekeeping.lock();
        while let [oldest, _, ..] = &self.view().actives[..] {
            let run = in_memory(&self.info_of(oldest)?, &of_active(oldest)).map_err(unusable)?;
            self.thaw(oldest, run);
        }
        let view = self.view();
        let mut end = view.runs.len();
        // Only what is in memory anyway is merged there, group by group.
        while let Some(last) = view.runs[..end].iter().rposition(|run| run.unsaved().is_some()) {
            let group = view.runs[..=last].iter().rposition(|run| run.unsaved().is_none());
            let start = group.map_or(0, |before| before + 1);
            let mut merged = view.runs[start..=last].to_vec();
            merge_in_memory(&mut merged)?;
            if merged.len() <= last - start {
                self.replace_runs(start..last + 1, merged);
            }
            end = start;
        }
        Ok(())
    }

    /// Puts a run in the place of the oldest frozen segment.
    fn thaw(&self, frozen: &Arc<Active>, run: Run) {
        self.change_view(|view| {
            if view.actives.first().is_some_and(|oldest| Arc::ptr_eq(oldest, frozen)) {
                view.actives.remove(0);
                view.runs.push(Arc::new(run));
            }
        });
    }

    /// The lock of housekeeping is held: nobody else changes runs.
    fn replace_runs(&self, range: Range<usize>, runs: Vec<Arc<Run>>) {
        self.change_view(|view| view.runs.splice(range, runs).count());
    }

    fn info_of(&self, frozen: &Active) -> Result<RunInfo, ReadError> {
        let (first, next) = (self.segment(frozen.segment)?, self.segment(frozen.segment + 1)?);
        Ok(RunInfo::between(&first.header, &next.header, frozen.recorded_at()))
    }

    /// A run's file, if it is of this log's segments.
    pub(crate) fn believable(&self, first: u32, last: u32) -> Option<Arc<Run>> {
        if self.distrusted.lock().contains(&(first, last)) {
            return None;
        }
        let path = || self.runs.path(first, last).display().to_string();
        let run = match self.runs.open(first, last) {
            Ok(run) => run,
            // Merged and removed by the writer since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = path(), %error, "an index is not used");
                return None;
            }
        };
        let headers = self.segment(first).and_then(|first| Ok((first, self.segment(last + 1)?)));
        match headers {
            Ok((first, next)) if run.info.is_of(&first.header, &next.header) => Some(Arc::new(run)),
            Ok(_) => {
                tracing::warn!(
                    path = path(),
                    "an index is not used: it is of other segments than those that are there"
                );
                None
            }
            Err(error) => {
                tracing::warn!(path = path(), %error, "an index is not used");
                None
            }
        }
    }

    /// Whether a reader waits for files of the writer.
    pub(crate) fn wants_runs(&self) -> bool {
        let view = self.view();
        view.actives.len() > 1 || view.runs.iter().any(|run| run.unsaved().is_some())
    }

    /// Takes over what the writer of another process has put on disk meanwhile, in the place of what is kept in memory
    /// and of runs that it has merged.
    pub(crate) fn adopt(&self) {
        let _one = self.housekeeping.lock();
        let view = self.view();
        let Ok(there) = self.runs.list() else { return };
        let Some(current) = view.actives.last().map(|active| active.segment) else { return };
        let covered = view.runs.last().map_or(0, |run| run.info.last_segment + 1);
        let (mut runs, mut at) = (Vec::<Arc<Run>>::new(), 0);
        while at < current {
            let held = |last: Option<u32>| {
                let fits = |run: &&Arc<Run>| {
                    run.info.first_segment == at && last.is_none_or(|last| run.info.last_segment == last)
                };
                view.runs.iter().find(fits).cloned()
            };
            let files = there.iter().filter(|(first, last)| *first == at && *last < current);
            let mut found = files.filter_map(|(first, last)| {
                held(Some(*last))
                    .filter(|run| run.unsaved().is_none())
                    .or_else(|| self.believable(*first, *last))
            });
            let Some(run) = found.next().or_else(|| held(None)) else { break };
            at = run.info.last_segment + 1;
            runs.push(run);
        }
        if at < covered {
            // Files do not line up with what is held; what is held is complete.
            return;
        }
        self.change_view(|view| {
            view.runs = runs;
            view.actives.retain(|active| active.segment >= at);
        });
    }

    /// Removes files that are not part of the index any more.
    pub(crate) fn remove_leftovers(&self) {
        let view = self.view();
        let in_use = view.runs.iter().filter(|run| run.unsaved().is_none());
        let in_use: Vec<_> = in_use.map(|run| (run.info.first_segment, run.info.last_segment)).collect();
        if let Err(error) = self.runs.remove_others(&in_use) {
            tracing::warn!(%error, "a superseded index cannot be removed");
        }
    }

    /// Builds a rotten run anew from its segments, in memory.
    pub(crate) fn repair(&self, rotten: Rotten) -> Result<(), ReadError> {
        let _one = self.housekeeping.lock();
        self.rebuild(rotten)
    }

    fn rebuild(&self, rotten: Rotten) -> Result<(), ReadError> {
        let view = self.view();
        let Some(at) = view.runs.iter().position(|run| run.info.rotten() == rotten) else {
            // Somebody else was faster.
            return Ok(());
        };
        let Rotten { first, last } = rotten;
        tracing::warn!(first, last, "an index has rotted and is built anew from the segments");
        if view.runs[at].unsaved().is_none() {
            self.distrusted.lock().insert((first, last));
        }
        let mut built = Vec::new();
        for sequence in first..=last {
            built.push(Arc::new(self.run_of(sequence)?));
            merge_in_memory(&mut built)?;
        }
        self.replace_runs(at..at + 1, built);
        Ok(())
    }

    /// The run of one ended segment, built from its frames. That commits continue the streams of earlier segments was
    /// seen to when they were indexed for the first time.
    fn run_of(&self, sequence: u32) -> Result<Run, ReadError> {
        let (segment, next) = (self.segment(sequence)?, self.segment(sequence + 1)?);
        let active = Active::new(sequence, segment.header.first_position);
        let mut tail = Tail {
            end: LogOffset::new(sequence, SEGMENT_HEADER_BYTES as u64),
            next: segment.header.first_position,
            chain: segment.header.previous.chain,
            recorded_at: Timestamp::new(i64::MIN),
        };
        pass(&mut tail, &segment, next.header.previous.valid_len, &active, |_, _| Ok(Ok(())))?;
        enter(&mut tail, &next)?;
        let info = RunInfo::between(&segment.header, &next.header, active.recorded_at());
        in_memory(&info, &of_active(&active)).map_err(unusable)
    }
}

fn merged_info(runs: &[Arc<Run>]) -> RunInfo {
    // Never called without runs.
    let (first, last) = (&runs[0].info, &runs[runs.len() - 1].info);
    // Not the last one's: a segment without frames knows of no time, and recorded-at would go back behind it.
    let recorded_at = runs.iter().map(|run| run.info.recorded_at).max().unwrap_or(last.recorded_at);
    RunInfo { first_segment: first.first_segment, first: first.first, recorded_at, ..*last }
}

/// Merges runs in memory as far as tiers want it.
fn merge_in_memory(runs: &mut Vec<Arc<Run>>) -> Result<(), ReadError> {
    while let Some(range) = next_merge(runs) {
        let inputs = &runs[range.clone()];
        let merged = in_memory(&merged_info(inputs), &of_runs(inputs)).map_err(unusable)?;
        runs.splice(range, [Arc::new(merged)]);
    }
    Ok(())
}

/// What has just been built in memory is rotten: the memory of this machine is.
fn unusable(rotten: Rotten) -> ReadError {
    let reason = "its index cannot be held in memory without changing".to_owned();
    ReadError::Segment { segment: rotten.first, reason }
}
