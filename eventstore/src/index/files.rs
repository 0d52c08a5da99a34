//! The files of an index: their names, which of them are there, and which are merged next.

use super::run::{BLOCK_BYTES, Bytes, Run};
use crate::storage::{Access, Storage};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs of one tier that become one of the next.
const FAN_OUT: u32 = 8;

/// The directory of a log's runs.
#[derive(Debug)]
pub(crate) struct RunFiles {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) dir: PathBuf,
}

impl RunFiles {
    pub(crate) fn new(storage: Arc<dyn Storage>, data_dir: &Path) -> Self {
        Self { storage, dir: data_dir.join("index") }
    }

    /// The file of a run over these segments.
    pub(crate) fn path(&self, first: u32, last: u32) -> PathBuf {
        self.dir.join(format!("{first:010}-{last:010}.idx"))
    }

    /// First and last segments of the runs that are there, by first segment, the longest reach first.
    pub(crate) fn list(&self) -> io::Result<Vec<(u32, u32)>> {
        let mut found: Vec<_> = self.names()?.iter().filter_map(|name| parse(name)).collect();
        found.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
        Ok(found)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        match self.storage.list(&self.dir) {
            Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Opens a run's file.
    pub(crate) fn open(&self, first: u32, last: u32) -> io::Result<Run> {
        let map = self.storage.open(&self.path(first, last), Access::Read)?.map()?;
        map.fault_in(0, (map.bytes().len() as u64).min(BLOCK_BYTES as u64))?;
        let run = Run::open(Bytes::Mapped(map))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.0))?;
        if (run.info.first_segment, run.info.last_segment) == (first, last) {
            Ok(run)
        } else {
            let reason = "its header names other segments than its name";
            Err(io::Error::new(io::ErrorKind::InvalidData, reason))
        }
    }

    /// Removes every file of ours that is not in use: merged inputs, what a crash left half made, what is not believed.
    pub(crate) fn remove_others(&self, in_use: &[(u32, u32)]) -> io::Result<()> {
        for name in self.names()? {
            let unused = match parse(&name) {
                Some(run) => !in_use.contains(&run),
                None => name.strip_suffix(".tmp").is_some_and(|name| parse(name).is_some()),
            };
            if unused {
                self.storage.remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }
}

fn parse(name: &str) -> Option<(u32, u32)> {
    let (first, last) = name.strip_suffix(".idx")?.split_once('-')?;
    let number = |digits: &str| {
        let all_digits = digits.len() == 10 && digits.bytes().all(|digit| digit.is_ascii_digit());
        all_digits.then(|| digits.parse().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// The runs to be merged next: the oldest of the lowest tier that has enough side by side. The tier of a run follows
/// from the number of segments that it covers, so it needs no memory of its own.
pub(crate) fn next_merge(runs: &[Arc<Run>]) -> Option<Range<usize>> {
    let tiers: Vec<u32> = runs.iter().map(|run| run.info.segments().ilog(FAN_OUT)).collect();
    let width = FAN_OUT as usize;
    let same = |at: &usize| tiers[*at..at + width].iter().all(|tier| *tier == tiers[*at]);
    (0..(tiers.len() + 1).saturating_sub(width))
        .filter(same)
        .min_by_key(|at| tiers[*at])
        .map(|at| at..at + width)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_our_names_are_ours() {
        assert_eq!(parse("0000000003-0000000010.idx"), Some((3, 10)));
        for other in
            ["3-10.idx", "0000000010-0000000003.idx", "0000000003-0000000010", "+000000003-0000000010.idx"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
