//! What a witness remembers: its key, and of each log the checkpoint that it has cosigned last.
//!
//! ```text
//! <state-dir>/LOCK                     held by the one witness
//! <state-dir>/witness.key              its secret key, mode 0600
//! <state-dir>/witness.pub              its verifier key
//! <state-dir>/logs/<SHA-256 of the origin>.note    cosigned last
//! ```

use eventstore::transparency::{
    AddCheckpoint, Checkpoint, CheckpointError, KeyError, KeyName, NoteError, NoteSignature, SignatureKind,
    SignedNote, SigningKey, TreeHead, VerifierKey, WitnessError, cosign, origin_hash,
};
use projector::notary::files;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why a witness cannot go on, or does not cosign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The checkpoint is not to be cosigned.
    #[error(transparent)]
    Refused(#[from] WitnessError),
    /// Another witness has the state.
    #[error("another witness has {0} locked")]
    Locked(PathBuf),
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
    /// There is no key yet, and no name to make one with.
    #[error(
        "there is no key in {0} yet: --name says what the witness is to be called, such as witness.example/w1"
    )]
    Nameless(PathBuf),
    /// The key has another name.
    #[error(
        "the key in {path} is of the witness {found}: a witness keeps its name for ever, because logs know it by that"
    )]
    OtherName {
        /// The file.
        path: PathBuf,
        /// The key's name.
        found: KeyName,
    },
    /// A file does not hold a cosigned checkpoint.
    #[error("{path}: {source}")]
    Note {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// A file's note is no checkpoint.
    #[error("{path}: {source}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// It could not be cosigned.
    #[error(transparent)]
    Sign(#[from] NoteError),
}

/// The state of a witness.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    key: SigningKey,
    logs: Vec<VerifierKey>,
    /// By origin. Held from judging a request until its outcome is on disk: requests that overlap must not take the witness back.
    latest: Mutex<HashMap<String, (TreeHead, SignedNote)>>,
    _lock: File,
}

impl State {
    /// Opens it, or begins it.
    ///
    /// # Errors
    /// When another witness has it, or its files are not what they should be.
    pub fn open(dir: &Path, name: Option<&KeyName>, logs: Vec<VerifierKey>) -> Result<Self, StateError> {
        let cosigned = dir.join("logs");
        fs::create_dir_all(&cosigned).map_err(io_at(&cosigned))?;
        let path = dir.join("LOCK");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io_at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::Locked(path)),
            Err(TryLockError::Error(source)) => return Err(StateError::Io { path, source }),
        }
        let key = key(dir, name)?;
        let mut latest = HashMap::new();
        for entry in fs::read_dir(&cosigned).map_err(io_at(&cosigned))? {
            let path = entry.map_err(io_at(&cosigned))?.path();
            if path.extension().is_some_and(|extension| extension == "note") {
                let (origin, kept) = read(&path, key.verifier())?;
                latest.insert(origin, kept);
            }
        }
        Ok(Self { dir: dir.to_owned(), key, logs, latest: Mutex::new(latest), _lock: lock })
    }

    /// What its cosignatures are verified with.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Cosigns a checkpoint that continues what was cosigned last. Blocks; what it answers is on disk.
    ///
    /// # Errors
    /// Why it does not.
    pub fn add(&self, request: &AddCheckpoint) -> Result<NoteSignature, StateError> {
        // A panic while it was held came before anything was changed: what is remembered is what is on disk.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = |origin: &str| self.logs.iter().filter(|key| key.name().as_str() == origin).collect();
        let known = |origin: &str| latest.get(origin).map(|(head, _)| *head);
        let checkpoint = eventstore::transparency::judge(request, keys, known)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs().max(1));
        let signature = cosign(&self.key, request.note.text(), now)?;
        // Only signatures that mean something are kept: the log's, and ours.
        let ours = self.logs.iter().filter(|key| key.name().as_str() == checkpoint.origin);
        let mut note = request.note.clone();
        note.retain(&ours.collect::<Vec<_>>());
        note.add(signature.clone());
        let path = self.dir.join("logs").join(format!("{}.note", origin_hash(&checkpoint.origin)));
        files::write(&path, &note.to_string()).map_err(io_at(&path))?;
        latest.insert(checkpoint.origin, (checkpoint.head, note));
        Ok(signature)
    }

    /// The checkpoint that was cosigned last for the log whose origin has this SHA-256.
    #[must_use]
    pub fn latest(&self, hash: &str) -> Option<String> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let found = latest.iter().find(|(origin, _)| origin_hash(origin).to_string() == hash);
        found.map(|(_, (_, note))| note.to_string())
    }
}

fn key(dir: &Path, name: Option<&KeyName>) -> Result<SigningKey, StateError> {
    let (path, public) = (dir.join("witness.key"), dir.join("witness.pub"));
    let wrong = |source| StateError::Key { path: path.clone(), source };
    let key = match files::read(&path).map_err(io_at(&path))? {
        Some(text) => SigningKey::from_secret_text(&text).map_err(wrong)?,
        None => {
            let name = name.ok_or_else(|| StateError::Nameless(path.clone()))?;
            let key = SigningKey::generate(name.clone(), SignatureKind::Cosignature).map_err(wrong)?;
            files::write_secret(&path, &(key.to_secret_text() + "\n")).map_err(io_at(&path))?;
            key
        }
    };
    let found = key.verifier().name();
    if name.is_some_and(|name| name != found) {
        return Err(StateError::OtherName { path, found: found.clone() });
    }
    files::write(&public, &format!("{}\n", key.verifier())).map_err(io_at(&public))?;
    Ok(key)
}

/// What was cosigned last for a log, with our own signature checked.
fn read(path: &Path, key: &VerifierKey) -> Result<(String, (TreeHead, SignedNote)), StateError> {
    let note = |source| StateError::Note { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(io_at(path))?;
    let kept = SignedNote::parse(&bytes).map_err(note)?;
    kept.verify(&[key]).map_err(note)?;
    let checkpoint = Checkpoint::parse(kept.text());
    let checkpoint = checkpoint.map_err(|source| StateError::Checkpoint { path: path.to_owned(), source })?;
    Ok((checkpoint.origin, (checkpoint.head, kept)))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StateError + use<> {
    let path = path.to_owned();
    move |source| StateError::Io { path, source }
}
