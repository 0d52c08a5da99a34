//! What belongs to a backup beside the log: the journal of checkpoints, which nobody can make again, and the keys that it
//! is verified with.
//!
//! Invariant: files that only grow keep what the manifest counts of them; files that are replaced get another name for
//! each content. The secret key is taken only when somebody says so: who has it can sign in this log's name.

use super::error::BackupError;
use super::manifest::{FileEntry, Manifest, path_of};
use crate::digest::sha256;
use crate::numbers::{Digest, LogOffset, TreeSize};
use crate::storage::{Access, Storage};
use crate::transparency::journal::{self, JOURNAL_DIR};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The secret key.
pub(super) const SECRET: &str = "keys/audit.key";
const KEYS_DIR: &str = "keys";
/// Journals and keys of the stores that this one descends from.
pub(super) const ANCESTORS_DIR: &str = "tree/ancestors";
/// A file beside the journal is not longer than this, bytes.
const SMALL_BYTES_MAX: u64 = 32 << 20;
/// Ancestors of ancestors lie beside them, so directories are not deeper than this.
const DEPTH_MAX: usize = 4;

/// What the journal says of the log: chain heads by the size of the tree.
#[derive(Debug, Default)]
pub(super) struct Promises {
    heads: BTreeMap<u64, Vec<(Uuid, Digest)>>,
}

impl Promises {
    /// The newest of a store.
    pub(super) fn newest(&self, store: Uuid) -> Option<TreeSize> {
        let of_store = |heads: &Vec<(Uuid, Digest)>| heads.iter().any(|(of, _)| *of == store);
        self.heads.iter().rev().find(|(_, heads)| of_store(heads)).map(|(size, _)| TreeSize::new(*size))
    }

    /// Those of a store between two positions: what the log has to keep.
    pub(super) fn after(mut self, store: Uuid, position: u64) -> BTreeMap<u64, Vec<Digest>> {
        let later = self.heads.split_off(&(position + 1));
        let of_store = |heads: Vec<(Uuid, Digest)>| {
            heads.into_iter().filter(|(of, _)| *of == store).map(|(_, chain)| chain).collect::<Vec<_>>()
        };
        let later = later.into_iter().map(|(size, heads)| (size, of_store(heads)));
        later.filter(|(_, heads)| !heads.is_empty()).collect()
    }
}

/// Copies the journal, whole records only, and says what it promises.
pub(super) fn take_journal(
    storage: &dyn Storage,
    data_dir: &Path,
    dir: &Path,
    known: Option<&Manifest>,
) -> Result<(Vec<FileEntry>, Promises), BackupError> {
    let (mut taken, mut promises, mut failed) = (Vec::new(), Promises::default(), None);
    journal::files(storage, data_dir, &mut |name, bytes, entries| {
        for entry in entries {
            let heads = promises.heads.entry(entry.lineage.next.get()).or_default();
            heads.push((entry.lineage.store, entry.lineage.chain));
        }
        let path = format!("{JOURNAL_DIR}/{name}");
        if failed.is_none() {
            let entry = known.and_then(|known| known.file(&path));
            match grow(storage, dir, &path, bytes, entry) {
                Ok(entry) => taken.push(entry),
                Err(error) => failed = Some(error),
            }
        }
        Ok(())
    })?;
    match failed {
        Some(error) => Err(error),
        None => Ok((taken, promises)),
    }
}

/// Copies the journals of ancestors and the keys.
pub(super) fn take_others(
    storage: &dyn Storage,
    data_dir: &Path,
    dir: &Path,
    known: Option<&Manifest>,
    with_secret: bool,
) -> Result<Vec<FileEntry>, BackupError> {
    let mut names = Vec::new();
    list(storage, data_dir, ANCESTORS_DIR, DEPTH_MAX, &mut names)?;
    let mut taken = Vec::new();
    for path in names {
        let bytes = read(storage, &path_of(data_dir, &path))?;
        taken.push(grow(storage, dir, &path, &bytes, known.and_then(|known| known.file(&path)))?);
    }
    let mut keys = Vec::new();
    list(storage, data_dir, KEYS_DIR, 1, &mut keys)?;
    for path in keys {
        let is_public = path == "keys/audit.pub" || path.starts_with("keys/audit-rotation-");
        if is_public && !path.ends_with(".tmp") || with_secret && path == SECRET {
            let bytes = read(storage, &path_of(data_dir, &path))?;
            let digest = sha256(&bytes);
            let stored = format!("{path}.{}", &digest.to_string()[..8]);
            write_whole(storage, &path_of(dir, &stored), &bytes, path == SECRET)?;
            taken.push(FileEntry { path, stored, len: bytes.len() as u64, digest });
        }
    }
    Ok(taken)
}

/// Puts the public keys where a data directory has them, so that a backup can be verified like one. What counts is what the
/// manifest names; these are copies for readers, made after it.
pub(super) fn show_keys(storage: &dyn Storage, dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for entry in manifest.files.iter().filter(|file| is_public_key(file)) {
        let (bytes, path) = (read_filed(storage, dir, entry)?, path_of(dir, &entry.path));
        let is_there = read(storage, &path).is_ok_and(|there| there == bytes);
        if !is_there {
            write_whole(storage, &path, &bytes, false)?;
        }
    }
    Ok(())
}

fn is_public_key(file: &FileEntry) -> bool {
    file.path.starts_with(KEYS_DIR) && file.path != SECRET
}

/// Removes keys that the manifest does not name any more.
pub(super) fn sweep_keys(storage: &dyn Storage, dir: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let mut stored = Vec::new();
    list(storage, dir, KEYS_DIR, 1, &mut stored)?;
    for name in stored {
        let is_named = |file: &FileEntry| file.stored == name || file.path == name && is_public_key(file);
        if !manifest.files.iter().any(is_named) {
            let path = path_of(dir, &name);
            storage.remove(&path).map_err(BackupError::io("cannot remove", &path))?;
        }
    }
    Ok(())
}

/// A file of a backup, as far as the manifest counts it.
pub(super) fn read_filed(
    storage: &dyn Storage,
    dir: &Path,
    entry: &FileEntry,
) -> Result<Vec<u8>, BackupError> {
    let path = path_of(dir, &entry.stored);
    let mut bytes = read(storage, &path)?;
    let damaged =
        |reason: &str| BackupError::Damaged { path: path.clone(), offset: 0, reason: reason.to_owned() };
    let len = usize::try_from(entry.len).ok().filter(|len| *len <= bytes.len());
    bytes.truncate(len.ok_or_else(|| damaged("it is shorter than the manifest says"))?);
    if sha256(&bytes) == entry.digest {
        Ok(bytes)
    } else {
        Err(damaged("it does not have the digest that the manifest names"))
    }
}

/// A file that only grows: what was filed of it must be its beginning.
fn grow(
    storage: &dyn Storage,
    dir: &Path,
    path: &str,
    bytes: &[u8],
    known: Option<&FileEntry>,
) -> Result<FileEntry, BackupError> {
    let target = path_of(dir, path);
    if let Some(known) = known {
        let before = usize::try_from(known.len).ok().and_then(|len| bytes.get(..len));
        if before.map(sha256) != Some(known.digest) {
            return Err(BackupError::Diverged {
                path: target,
                at: LogOffset::default(),
                reason: format!("{path} is not a continuation of what was filed"),
            });
        }
    }
    let parent = target.parent().unwrap_or(dir);
    storage.create_dir(parent).map_err(BackupError::io("cannot create", parent))?;
    let write = || {
        let file = storage.open(&target, Access::Open)?;
        let mut there = vec![0; bytes.len()];
        let len = file.read_full_at(&mut there, 0)?;
        let same = there[..len].iter().zip(bytes).take_while(|(left, right)| left == right).count();
        if same < bytes.len() {
            file.write_all_at(&bytes[same..], same as u64)?;
        }
        if file.len()? != bytes.len() as u64 {
            file.set_len(bytes.len() as u64)?;
        }
        file.sync()?;
        storage.sync_dir(parent)
    };
    write().map_err(BackupError::io("cannot write", &target))?;
    let path = path.to_owned();
    Ok(FileEntry { stored: path.clone(), path, len: bytes.len() as u64, digest: sha256(bytes) })
}

/// Writes a file and makes it durable; a secret so that only its owner can read it.
pub(super) fn write_whole(
    storage: &dyn Storage,
    path: &Path,
    bytes: &[u8],
    is_secret: bool,
) -> Result<(), BackupError> {
    let parent = path.parent().unwrap_or(path);
    let write = || {
        if is_secret {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        } else {
            storage.create_dir(parent)?;
            let file = storage.open(path, Access::Create)?;
            file.write_all_at(bytes, 0)?;
            file.sync()?;
        }
        storage.sync_dir(parent)
    };
    write().map_err(BackupError::io("cannot write", path))
}

fn read(storage: &dyn Storage, path: &Path) -> Result<Vec<u8>, BackupError> {
    let read = || {
        let file = storage.open(path, Access::Read)?;
        let len = file.len()?;
        if len > SMALL_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than such a file can be"));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    read().map_err(BackupError::io("cannot read", path))
}

/// All files below a directory, with their paths below the top, in order.
fn list(
    storage: &dyn Storage,
    top: &Path,
    below: &str,
    depth: usize,
    found: &mut Vec<String>,
) -> Result<(), BackupError> {
    let dir: PathBuf = path_of(top, below);
    let mut names = match storage.list(&dir) {
        Ok(names) => names,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => return Ok(()),
        Err(source) => return Err(BackupError::Io { action: "cannot list", path: dir, source }),
    };
    names.sort();
    for name in names {
        // What has another kind of name was not made by us.
        let Some(name) = name.to_str() else { continue };
        let path = format!("{below}/{name}");
        if !super::manifest::is_ours(&path) {
            continue;
        }
        let is_dir = storage.list(&path_of(top, &path)).is_ok();
        if !is_dir {
            found.push(path);
        } else if depth > 1 {
            list(storage, top, &path, depth - 1, found)?;
        }
    }
    Ok(())
}
