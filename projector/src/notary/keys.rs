//! The notary's keys in `keys/`: made at the first start, changed by a note that both keys sign.
//!
//! Invariant: no two keys are made for one name. A log that was promoted has the history of another one, whose key signs in
//! the name of their store; without that key it signs in a name of its own.
//! Invariant: a key that was told to the world is either the one in use or named by a rotation in which the next one follows; a
//! crash between the steps of a rotation leaves the one or the other.

use super::files::{self, KEYS_DIR};
use eventstore::storage::Environment;
use eventstore::transparency::{
    KeyError, KeyName, NoteError, Rotation, RotationError, SignatureKind, SignedNote, SigningKey, VerifierKey,
};
use eventstore::{OpenError, promoted_at};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const SECRET: &str = "audit.key";
const NEXT_SECRET: &str = "audit.key.next";
const PUBLIC: &str = "audit.pub";

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file does not hold a key.
    #[error("{path}: {source}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A file does not hold a rotation of the key before it.
    #[error("{path}: {source}")]
    Rotation {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RotationError,
    },
    /// The key names another log than the configuration.
    #[error(
        "the key in {path} is of the log {found}, and the configuration says {configured}: a log keeps its origin for ever, \
         because witnesses know it by that name"
    )]
    OtherOrigin {
        /// The file.
        path: PathBuf,
        /// As configured.
        configured: KeyName,
        /// The key's.
        found: KeyName,
    },
    /// Whether the log was another one's cannot be told.
    #[error("what name the log has cannot be told: {0}")]
    Log(#[from] OpenError),
    /// The secret key has gone, and what it signed is there.
    #[error(
        "{path} is not there, but the key that others verify with is: put the secret key back, or restore the log as a new store. \
         A new key under the same name would be taken for a forgery"
    )]
    SecretGone {
        /// Where it should be.
        path: PathBuf,
    },
    /// There are no keys yet.
    #[error("there is no key in {path} yet: the projector makes one when it first starts")]
    None {
        /// Where it would be.
        path: PathBuf,
    },
}

/// What everybody may know: the key in use, and how it came after the ones before.
#[derive(Debug, Clone)]
pub struct PublicKeys {
    /// The key in use.
    pub current: VerifierKey,
    /// The notes by which keys were changed, oldest first, verified one by one.
    pub rotations: Vec<(SignedNote, Rotation)>,
}

impl PublicKeys {
    /// Reads them.
    ///
    /// # Errors
    /// When they are not there, or not what they should be.
    pub fn read(data_dir: &Path) -> Result<Self, KeysError> {
        let path = data_dir.join(KEYS_DIR).join(PUBLIC);
        let Some(text) = files::read(&path).map_err(io_at(&path))? else {
            return Err(KeysError::None { path });
        };
        let current = text.trim_end().parse().map_err(|source| KeysError::Key { path, source })?;
        Ok(Self { current, rotations: rotations(data_dir)? })
    }

    /// All keys that the log has had, the current one last.
    #[must_use]
    pub fn all(&self) -> Vec<&VerifierKey> {
        let old = self.rotations.iter().map(|(_, rotation)| &rotation.old);
        old.chain([&self.current]).collect()
    }
}

/// The key to sign with, made when there is none.
pub(super) fn load_or_make(
    data_dir: &Path,
    store: Uuid,
    origin: Option<&KeyName>,
) -> Result<SigningKey, KeysError> {
    let dir = data_dir.join(KEYS_DIR);
    let path = dir.join(SECRET);
    let key = match load(data_dir)? {
        Some(key) => key,
        None if dir.join(PUBLIC).exists() => return Err(KeysError::SecretGone { path }),
        None => make(&path, name_of(data_dir, store, origin, &path)?)?,
    };
    let found = key.verifier().name();
    if let Some(configured) =
        origin.filter(|configured| *configured != found && !is_promoted(configured, found))
    {
        return Err(KeysError::OtherOrigin { path, configured: configured.clone(), found: found.clone() });
    }
    publish(&dir, key.verifier())?;
    Ok(key)
}

/// What follows the name of the log that a promoted one was a copy of, before the position.
const PROMOTED: &str = "/promoted-at-";

/// The name of a log whose first key is made: as configured, or made of its store. A promoted log, which has both in common with
/// the one that it followed, says so; and by a random word it differs from other copies that were promoted at the same place. To
/// those who know one key of a name, another one would be a forgery.
fn name_of(
    data_dir: &Path,
    store: Uuid,
    configured: Option<&KeyName>,
    path: &Path,
) -> Result<KeyName, KeysError> {
    let mut name = configured.map_or_else(|| format!("sunday/{store}"), KeyName::to_string);
    if let Some(position) = promoted_at(&Environment::default(), data_dir)? {
        let word = Uuid::new_v4().as_fields().0;
        name = format!("{name}{PROMOTED}{position}-{word:08x}");
    }
    KeyName::new(&name).map_err(|source| KeysError::Key { path: path.to_owned(), source })
}

/// Whether a key is that of a promoted copy of the configured log.
fn is_promoted(configured: &KeyName, found: &KeyName) -> bool {
    found.as_str().strip_prefix(configured.as_str()).is_some_and(|rest| rest.starts_with(PROMOTED))
}

fn make(path: &Path, origin: KeyName) -> Result<SigningKey, KeysError> {
    let wrong = |source| KeysError::Key { path: path.to_owned(), source };
    let key = SigningKey::generate(origin, SignatureKind::Note).map_err(wrong)?;
    files::write_secret(path, &(key.to_secret_text() + "\n")).map_err(io_at(path))?;
    tracing::info!(key = %key.verifier(), "checkpoints are signed with a new key; this is what auditors verify with");
    Ok(key)
}

/// The key in use, after whatever a crash left of a rotation has been brought to its end.
fn load(data_dir: &Path) -> Result<Option<SigningKey>, KeysError> {
    let dir = data_dir.join(KEYS_DIR);
    let (path, next_path) = (dir.join(SECRET), dir.join(NEXT_SECRET));
    if let Some(next) = read_secret(&next_path)? {
        let rotations = rotations(data_dir)?;
        let is_told = rotations.last().is_some_and(|(_, rotation)| rotation.new == *next.verifier());
        if is_told {
            fs::rename(&next_path, &path).and_then(|()| files::sync_dir(&dir)).map_err(io_at(&path))?;
        } else {
            // Nobody has heard of it.
            files::remove(&next_path).map_err(io_at(&next_path))?;
        }
    }
    read_secret(&path)
}

fn read_secret(path: &Path) -> Result<Option<SigningKey>, KeysError> {
    let Some(text) = files::read(path).map_err(io_at(path))? else { return Ok(None) };
    let key = SigningKey::from_secret_text(&text);
    key.map(Some).map_err(|source| KeysError::Key { path: path.to_owned(), source })
}

fn publish(dir: &Path, key: &VerifierKey) -> Result<(), KeysError> {
    let path = dir.join(PUBLIC);
    let text = format!("{key}\n");
    if files::read(&path).map_err(io_at(&path))?.as_ref() != Some(&text) {
        files::write(&path, &text).map_err(io_at(&path))?;
    }
    Ok(())
}

/// Gives up the key in use for a new one; answers with the note that says so. Nobody signs meanwhile: whoever calls this holds the
/// projector's lock.
pub(crate) fn rotate_locked(data_dir: &Path) -> Result<SignedNote, KeysError> {
    let dir = data_dir.join(KEYS_DIR);
    let (path, next_path) = (dir.join(SECRET), dir.join(NEXT_SECRET));
    let Some(old) = load(data_dir)? else { return Err(KeysError::None { path }) };
    let wrong = |source| KeysError::Key { path: path.clone(), source };
    let new = SigningKey::generate(old.verifier().name().clone(), SignatureKind::Note).map_err(wrong)?;
    let number = rotations(data_dir)?.len() + 1;
    let note_path = dir.join(rotation_name(number));
    let note = Rotation::signed(&old, &new)
        .map_err(|source| KeysError::Rotation { path: note_path.clone(), source })?;
    files::write_secret(&next_path, &(new.to_secret_text() + "\n")).map_err(io_at(&next_path))?;
    files::write(&note_path, &note.to_string()).map_err(io_at(&note_path))?;
    fs::rename(&next_path, &path).and_then(|()| files::sync_dir(&dir)).map_err(io_at(&path))?;
    publish(&dir, new.verifier())?;
    Ok(note)
}

/// Gives up the key of a data directory for a new one, while no projector runs there.
///
/// # Errors
/// When a projector is at work, there is no key yet, or files cannot be written.
pub fn rotate(data_dir: &Path) -> Result<SignedNote, RotateError> {
    let _lock = crate::lock::ProjectorLock::acquire(data_dir)?;
    Ok(rotate_locked(data_dir)?)
}

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// Somebody signs with it.
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

fn rotation_name(number: usize) -> String {
    format!("audit-rotation-{number:04}.note")
}

/// All rotations in order, each from the key that the one before it led to.
fn rotations(data_dir: &Path) -> Result<Vec<(SignedNote, Rotation)>, KeysError> {
    let dir = data_dir.join(KEYS_DIR);
    let mut all: Vec<(SignedNote, Rotation)> = Vec::new();
    for number in 1.. {
        let path = dir.join(rotation_name(number));
        let Some(text) = files::read(&path).map_err(io_at(&path))? else { break };
        let wrong = |source: RotationError| KeysError::Rotation { path: path.clone(), source };
        let note = SignedNote::parse(text.as_bytes()).map_err(|error: NoteError| wrong(error.into()))?;
        let rotation = match all.last() {
            Some((_, before)) => Rotation::verified(&note, &before.new),
            // The first key is known by itself, or not at all.
            None => first_key(&note).and_then(|first| Rotation::verified(&note, &first)),
        };
        all.push((note, rotation.map_err(wrong)?));
    }
    Ok(all)
}

fn first_key(note: &SignedNote) -> Result<VerifierKey, RotationError> {
    let line = note.text().lines().nth(1).unwrap_or_default();
    line.parse().map_err(|error: KeyError| RotationError::Note(error.into()))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> KeysError + use<> {
    let path = path.to_owned();
    move |source| KeysError::Io { path, source }
}
