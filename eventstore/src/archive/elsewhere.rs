//! The bytes of a segment that is in the archive: fetched when they are wanted, into `cache/`, checked, and mapped.

use super::Reference;
use super::fetching::{Sum, fetch};
use crate::format::FormatError;
use crate::mapped::Map;
use crate::storage::{Access, Storage, StorageFile};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// What a read comes to when the archive does not answer: the bytes are not bad, they are not here.
pub(crate) const NOT_FETCHED: FormatError = FormatError("it is in the archive and cannot be fetched");
/// What it comes to when the archive gives something else: that is damage, or worse.
pub(crate) const OTHER_BYTES: FormatError = FormatError("the archive gives other bytes than were put there");

/// Fetched segments that stay on disk at most.
const CACHED_MAX: usize = 8;

/// Tells files apart that one process fetches at the same time.
static FETCHES: AtomicU32 = AtomicU32::new(0);

/// A segment's bytes, while they are not here.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    storage: Arc<dyn Storage>,
    log_dir: PathBuf,
    pub(crate) reference: Reference,
    /// Once they have been fetched; kept as long as the segment is, because frames are borrowed from it.
    map: OnceLock<Map>,
    /// Held while fetching, so that one reader fetches and the others wait.
    fetching: Mutex<()>,
}

impl Elsewhere {
    pub(crate) fn new(storage: Arc<dyn Storage>, log_dir: &Path, reference: Reference) -> Self {
        Self {
            storage,
            log_dir: log_dir.to_owned(),
            reference,
            map: OnceLock::new(),
            fetching: Mutex::new(()),
        }
    }

    /// The same, without the bytes.
    pub(crate) fn afresh(&self) -> Self {
        Self::new(Arc::clone(&self.storage), &self.log_dir, self.reference)
    }

    /// The bytes, if they have been fetched.
    pub(crate) fn map(&self) -> Option<&Map> {
        self.map.get()
    }

    /// The bytes; fetches them when they are not here, which takes as long as the archive takes.
    ///
    /// # Errors
    /// When the archive does not give them, or gives others. The next call tries again.
    pub(crate) fn fetched(&self) -> io::Result<&Map> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let _fetching = self.fetching.lock();
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let map = self.cached()?.map()?;
        map.expect_random_reads();
        Ok(self.map.get_or_init(|| map))
    }

    /// The file in the cache, which may have to be made.
    fn cached(&self) -> io::Result<Arc<dyn StorageFile>> {
        let dir = cache_dir(&self.log_dir);
        let path = dir.join(format!("{:010}.seg", self.reference.header.sequence));
        // What cannot be read there is fetched anew, too.
        if let Ok(file) = self.storage.open(&path, Access::Read)
            && self.is_whole(&*file).unwrap_or(false)
        {
            return Ok(file);
        }
        self.storage.create_dir(&dir)?;
        let number = FETCHES.fetch_add(1, Ordering::Relaxed);
        let part = path.with_extension(format!("{}-{number}.part", std::process::id()));
        let fetched = self.fetch_to(&part);
        let kept = fetched.is_ok().then(|| self.storage.rename(&part, &path).and_then(|()| self.trim(&dir)));
        // It is gone if it has its name now, and may not even have been made.
        let _ = self.storage.remove(&part);
        if let Some(Err(error)) = kept {
            // Whoever reads has the bytes; that the next one may have to fetch them again is no reason to fail this one.
            let segment = self.reference.header.sequence;
            tracing::warn!(segment, %error, "what was fetched is not kept as it should be");
        }
        fetched
    }

    /// Whether a file in the cache is the segment. Somebody else may have removed and made it in the meantime, and
    /// nobody syncs a cache: all of it is hashed.
    fn is_whole(&self, file: &dyn StorageFile) -> io::Result<bool> {
        if file.len()? != self.reference.header.capacity {
            return Ok(false);
        }
        let mut sum = Sum::default();
        let mut piece = vec![0; 1 << 20];
        while sum.len < self.reference.len {
            let room = piece.len().min(usize::try_from(self.reference.len - sum.len).unwrap_or(piece.len()));
            let read = file.read_full_at(&mut piece[..room], sum.len)?;
            if read == 0 {
                return Ok(false);
            }
            sum.take(&piece[..read]);
        }
        Ok(sum.finish() == self.reference.digest)
    }

    fn fetch_to(&self, part: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let Reference { header, len, .. } = &self.reference;
        tracing::info!(segment = header.sequence, bytes = len, "fetching a segment from the archive");
        let file = self.storage.open(part, Access::Create)?;
        let write = |piece: &[u8], offset| file.write_all_at(piece, offset);
        fetch(&*self.storage, &self.log_dir, &self.reference, write)?;
        file.set_len(header.capacity)?;
        Ok(file)
    }

    /// Removes what was fetched long ago: what is farthest from this segment, because reading goes on beside it. Who has
    /// it mapped keeps it. So does who is fetching it: of files that a process which died left half fetched, as few stay.
    fn trim(&self, dir: &Path) -> io::Result<()> {
        let ours = self.reference.header.sequence;
        let names = self.storage.list(dir)?.into_iter().filter_map(|name| name.into_string().ok());
        let (parts, whole): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with(".part"));
        for mut names in [parts, whole] {
            names.sort_unstable_by_key(|name| {
                let digits = name.split('.').next().and_then(|digits| digits.parse::<u32>().ok());
                digits.map_or(u32::MAX, |sequence| sequence.abs_diff(ours))
            });
            for name in names.iter().skip(CACHED_MAX) {
                match self.storage.remove(&dir.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Where fetched segments are.
fn cache_dir(log_dir: &Path) -> PathBuf {
    log_dir.with_file_name("cache")
}
