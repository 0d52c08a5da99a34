//! The search index compared with a replay of the log, while it is written.
//!
//! A document is made of the models as they are when it is written, which may be ahead of what its commit says to have taken in.
//! So it is right if it is what the log says at any position from its commit's on, up to where the models can have been when
//! the index was opened:
//!
//! ```text
//!  index commit says L ──────────── opened: the log ends at M
//!  replay to L: what differs is suspected … commit by commit to M: what agrees once is let go ─▶ the rest is wrong
//! ```
//!
//! Invariant: nothing is suspected for having been written early, and nothing let go for being old.

use crate::checker::Unusable;
use crate::checker::entity::{Entity, Scope};
use crate::checker::gait::Gait;
use crate::checker::replay::{CheckError, Replay};
use crate::checker::report::{Checked, Class, Finding};
use crate::control::letters_of;
use crate::generation::Generations;
use crate::models::Models;
use crate::read_model::ReadModel;
use crate::rebuild::ProjectionName;
use crate::search::{DocumentKey, Found, INDEX_DIR, IndexStore, SearchError, content_of, damaged_files};
use eventstore::{Digest, Log};
use rustc_hash::FxHashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often an index is opened again.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Compares the index of a data directory with the log.
pub(crate) fn compare(
    data_dir: &Path,
    log: &Log,
    scope: &Scope,
    gait: &mut Gait<'_>,
) -> Result<Checked, CheckError> {
    let began = Instant::now();
    let letters = letters_of(Models::NAME, log)?;
    let mut replay = Replay::<Models>::begin(log, scope, Arc::clone(&letters));
    // Most of the way goes without holding any files of the index open.
    let (_, behind, _) =
        patiently(|| IndexStore::open_to_read(data_dir, log, None).ok_or(SearchError::NoIndex))?;
    replay.approach(behind.next, gait)?;
    // Whoever writes it merges its files, and deletes them, while they are being opened.
    let (found, lineage) = patiently(|| {
        let opened = IndexStore::open_to_read(data_dir, log, Some(&letters)).ok_or(SearchError::NoIndex)?;
        let (store, lineage, is_whole) = opened;
        Ok((store.contents(scope)?, (lineage, is_whole)))
    })?;
    let end = log.watermark();
    let (lineage, is_whole) = lineage;
    if !is_whole || *letters_of(Models::NAME, log)? != *letters {
        return Err(CheckError::Remade);
    }
    replay.advance(&lineage, gait)?;

    let mut checked = Checked::begin(ProjectionName::Search, lineage.next);
    let mut suspects: FxHashMap<DocumentKey, (Option<Found>, Option<u64>)> = FxHashMap::default();
    let mut expected: Vec<_> = DocumentKey::all(&replay.model);
    expected.retain(|key| is_in(scope, &replay.model, *key));
    for key in expected {
        let (seen, should) = (found.get(&key).copied(), content_of(&replay.model, key));
        // What is gone and has no document is not counted: most of what is gone is so.
        checked.compared += u64::from(seen.is_some() || should.is_some());
        if !agrees(seen, should) {
            suspects.insert(key, (seen, should));
        }
        gait.breathe()?;
    }
    for (key, seen) in &found {
        let should = content_of(&replay.model, *key);
        if !suspects.contains_key(key) && !agrees(Some(*seen), should) {
            checked.compared += u64::from(should.is_none());
            suspects.insert(*key, (Some(*seen), should));
        }
    }
    // What was written early agrees with what came later. What stands there twice never does.
    while !suspects.is_empty() && replay.step(end)? {
        suspects.retain(|key, (seen, _)| !agrees(*seen, content_of(&replay.model, *key)));
        gait.breathe()?;
    }
    for (key, (seen, should)) in suspects {
        let class = match seen {
            Some(seen) if seen.documents > 1 && should.is_some() => Class::Duplicate,
            seen => Class::of(seen.is_some(), should.is_some()),
        };
        let actual = seen.map(|seen| digest_of(seen.content));
        let finding =
            Finding { class, entity: key.entity(), part: None, expected: should.map(digest_of), actual };
        checked.add(finding);
    }
    checked.took = began.elapsed();
    Ok(checked)
}

/// As [`compare`], after its files' checksums; says why where it is not compared.
pub(crate) fn inspect(
    data_dir: &Path,
    log: &Log,
    scope: &Scope,
    gait: &mut Gait<'_>,
) -> Result<Checked, Unusable> {
    let Some(dir) = Generations::new(data_dir, INDEX_DIR).current() else { return Err(Unusable::None) };
    let name = dir.strip_prefix(data_dir).unwrap_or(&dir).display().to_string();
    match patiently(|| damaged_files(&dir)) {
        Ok(damaged) if damaged.is_empty() => {}
        Ok(damaged) => {
            let reason = format!("the checksums of {} fail", damaged.join(", "));
            return Err(Unusable::Damaged { file: name, reason });
        }
        Err(SearchError::OtherBuild) => return Err(Unusable::Other("it is of another build".to_owned())),
        Err(error) => return Err(Unusable::Damaged { file: name, reason: error.to_string() }),
    }
    match compare(data_dir, log, scope, gait) {
        Err(CheckError::Search(SearchError::NoIndex)) => {
            let reason = "the log does not confirm where its last commit says to be".to_owned();
            Err(Unusable::Foreign { file: name, reason })
        }
        // Its checksums were right a moment ago.
        Err(CheckError::Search(error)) => Err(Unusable::Damaged { file: name, reason: error.to_string() }),
        checked => Ok(checked?),
    }
}

/// Tries a few times: what is refused may be a moment ahead of the log as it is known here, or be replaced right now.
fn patiently<T>(mut open: impl FnMut() -> Result<T, SearchError>) -> Result<T, SearchError> {
    let mut opened = open();
    for _ in 0..ATTEMPTS {
        if opened.is_ok() {
            break;
        }
        std::thread::sleep(PAUSE);
        opened = open();
    }
    opened
}

fn agrees(found: Option<Found>, expected: Option<u64>) -> bool {
    match (found, expected) {
        (None, None) => true,
        (Some(found), Some(content)) => found.documents == 1 && found.content == content,
        _ => false,
    }
}

/// Whether a document is looked at; the replay holds what the scope asked for, and what stands around it.
fn is_in(scope: &Scope, models: &Models, key: DocumentKey) -> bool {
    match key.entity() {
        Entity::Item(id) => scope.has_item(id),
        Entity::Comment(id) => models.comment(id).is_some_and(|comment| scope.has_item(comment.item_id)),
        entity => scope.has_structure() || scope.has(&entity),
    }
}

/// Sixty-four bits of it is what a document holds.
fn digest_of(content: u64) -> Digest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&content.to_be_bytes());
    Digest(digest)
}
