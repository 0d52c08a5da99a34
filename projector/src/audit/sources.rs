//! What an audit goes by: keys, the journal of checkpoints, the published one, those that were given.

use super::{AuditError, AuditOptions, Since};
use crate::generation::Generations;
use crate::notary::{KEYS_DIR, KeysError, PublicKeys, TREE_DIR, files};
use eventstore::storage::Environment;
use eventstore::transparency::journal::{self, Found, JournalError};
use eventstore::transparency::{Checkpoint, Edge, SignedNote, TreeFiles, TreeHead, VerifierKey};
use eventstore::verify::{Class, Finding, Given};
use eventstore::{Position, TreeSize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that was found to go by.
pub(super) struct Sources {
    pub(super) keys: Vec<VerifierKey>,
    pub(super) journal: Vec<Found>,
    pub(super) given: Vec<Given>,
    pub(super) has_tree: bool,
    /// The tree's generation in use.
    pub(super) tree: Option<PathBuf>,
    pub(super) findings: Vec<Finding>,
}

impl Sources {
    pub(super) fn read(data_dir: &Path, options: &AuditOptions) -> Result<Self, AuditError> {
        let mut findings = Vec::new();
        let keys = keys(data_dir, &options.keys, &mut findings);
        let environment = Environment::default();
        let (journal, damaged) = journal::salvage(&*environment.storage, data_dir)?;
        for error in damaged {
            let JournalError::Damaged { path, offset, reason } = &error else { continue };
            let file = path.strip_prefix(data_dir).unwrap_or(path).display().to_string();
            findings.push(Finding::in_file(Class::Bitrot, file, *offset, Position::ZERO, reason));
        }
        let mut given = options.checkpoints.clone();
        if let Some(Since::Checkpoint(since)) = &options.since {
            given.push(since.clone());
        }
        let path = files::published(data_dir);
        let text = files::read(&path).map_err(|source| AuditError::Io { path: path.clone(), source })?;
        if let Some(text) = text {
            let name = "tree/checkpoint".to_owned();
            match SignedNote::parse(text.as_bytes()) {
                Ok(note) => given.push(Given { name, note, is_published: true }),
                Err(error) => {
                    findings.push(Finding::in_file(
                        Class::Bitrot,
                        name,
                        0,
                        Position::ZERO,
                        error.to_string(),
                    ));
                }
            }
        }
        let has_tree = data_dir.join(TREE_DIR).is_dir();
        let tree = Generations::new(data_dir, TREE_DIR).current();
        Ok(Self { keys, journal, given, has_tree, tree, findings })
    }

    /// The newest head in the journal that a trusted key has signed.
    pub(super) fn newest(&self) -> Option<TreeHead> {
        let keys: Vec<_> = self.keys.iter().collect();
        let mut heads: Vec<_> = self.journal.iter().collect();
        heads.sort_by_key(|found| std::cmp::Reverse(found.entry.checkpoint.head.size));
        let good = heads.into_iter().find(|found| found.entry.note.verify(&keys).is_ok());
        good.map(|found| found.entry.checkpoint.head)
    }

    /// The head from which on is to be verified.
    pub(super) fn since(&self, since: &Since) -> Result<TreeHead, AuditError> {
        let keys: Vec<_> = self.keys.iter().collect();
        match since {
            Since::Checkpoint(given) => {
                given
                    .note
                    .verify(&keys)
                    .map_err(|error| AuditError::Since(format!("{}: {error}", given.name)))?;
                let checkpoint = Checkpoint::parse(given.note.text());
                let checkpoint =
                    checkpoint.map_err(|error| AuditError::Since(format!("{}: {error}", given.name)))?;
                Ok(checkpoint.head)
            }
            Since::Size(size) => {
                let of_size = self.journal.iter().filter(|found| found.entry.checkpoint.head.size == *size);
                let good = of_size.into_iter().find(|found| found.entry.note.verify(&keys).is_ok());
                let none = || {
                    let sizes: Vec<_> = self.journal.iter().rev().take(3).collect();
                    let newest: Vec<_> =
                        sizes.iter().map(|found| found.entry.checkpoint.head.size.to_string()).collect();
                    AuditError::Since(format!(
                        "the journal has no checkpoint of {size} events that a known key has signed; its newest are of {}",
                        if newest.is_empty() { "none".to_owned() } else { newest.join(", ") }
                    ))
                };
                Ok(good.ok_or_else(none)?.entry.checkpoint.head)
            }
        }
    }

    /// The edge of the tree of a size, from the tiles on disk, which nobody has checked.
    pub(super) fn edge_at(&self, size: TreeSize) -> Result<Edge, String> {
        let dir = self.tree.as_ref().ok_or("there are no tiles to begin with")?;
        let files = TreeFiles::new(Arc::clone(&Environment::default().storage), dir);
        Edge::load(&files, size).map_err(|error| format!("the tiles to begin with cannot be read: {error}"))
    }
}

/// The keys to trust: those that were given and the ones that they led to, or else those of the data directory.
fn keys(data_dir: &Path, given: &[VerifierKey], findings: &mut Vec<Finding>) -> Vec<VerifierKey> {
    let own = match PublicKeys::read(data_dir) {
        Ok(own) => own,
        Err(KeysError::None { .. }) => return given.to_vec(),
        Err(error) => {
            let file = format!("{KEYS_DIR}/audit.pub");
            findings.push(Finding::in_file(Class::BadSignature, file, 0, Position::ZERO, error.to_string()));
            return given.to_vec();
        }
    };
    if given.is_empty() {
        return own.all().into_iter().cloned().collect();
    }
    let mut trusted = given.to_vec();
    for (_, rotation) in &own.rotations {
        if trusted.contains(&rotation.old) && !trusted.contains(&rotation.new) {
            trusted.push(rotation.new.clone());
        }
    }
    trusted
}
