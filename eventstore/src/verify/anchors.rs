//! What was signed of a log, held against what it comes to now.
//!
//! ```text
//! journal, published and given checkpoints ─▶ signatures (keys) ─▶ asked ─▶ verify ─▶ reached ─▶ judged
//! ```
//!
//! Invariant: a checkpoint counts only with a good signature of a key that the caller trusts; what the journal says beside it
//! (store, chain head) is held against the log too, though nobody has signed that.

use super::class::Class;
use super::report::{Finding, Report};
use super::tree::Asked;
use crate::numbers::{Digest, Position, Timestamp, TreeSize};
use crate::transparency::journal::Found;
use crate::transparency::{Checkpoint, NoteError, Policy, SignedNote, VerifierKey};
use rustc_hash::FxHashSet;
use serde::Serialize;
use std::num::NonZero;
use uuid::Uuid;

/// A checkpoint that somebody brings along, from outside or from its published place.
#[derive(Debug, Clone)]
pub struct Given {
    /// Where it comes from: a path.
    pub name: String,
    /// The note.
    pub note: SignedNote,
    /// Whether it is the one that the log itself publishes.
    pub is_published: bool,
}

/// Whom to trust, and what is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Keys that the log has or has had.
    pub keys: &'a [&'a VerifierKey],
    /// Who has to have cosigned.
    pub policy: Option<&'a Policy>,
    /// Whether the data directory has a tree at all: else a journal is not to be expected.
    pub has_tree: bool,
    /// Whether the log is being written: then what is published may be a moment behind.
    pub is_live: bool,
}

/// What was signed, and how the log stands to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchored {
    /// Checkpoints that were looked at: those of the journal, the published one and those that were given.
    pub checkpoints: u64,
    /// Those of them that the log leads to, root by root.
    pub proven: u64,
    /// Those that could not be held against the log, because what is before them is damaged or was not looked at.
    pub unproven: u64,
    /// Size of the newest one that is proven.
    pub newest: Option<TreeSize>,
    /// Size of the newest one that enough witnesses have cosigned; nothing where no policy was given.
    pub witnessed: Option<TreeSize>,
    /// Sizes of those that are proven, each once, in order.
    #[serde(skip)]
    pub sizes: Vec<TreeSize>,
}

/// A checkpoint with a good signature.
struct Anchor<'a> {
    checkpoint: Checkpoint,
    note: &'a SignedNote,
    file: &'a str,
    offset: u64,
    /// What the journal says beside it.
    beside: Option<(Uuid, Digest, Timestamp)>,
}

/// Checkpoints whose signatures have been looked at.
pub struct Anchors<'a> {
    good: Vec<Anchor<'a>>,
    looked_at: u64,
    journal: bool,
    findings: Vec<Finding>,
}

impl std::fmt::Debug for Anchors<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Anchors").field("good", &self.good.len()).finish_non_exhaustive()
    }
}

impl<'a> Anchors<'a> {
    /// Checks the signatures, on all cores.
    #[must_use]
    pub fn gather(journal: &'a [Found], given: &'a [Given], trust: &Trust<'_>) -> Self {
        let of_journal = journal.iter().map(|found| {
            let Found { file, offset, entry } = found;
            let beside = Some((entry.lineage.store, entry.lineage.chain, entry.made_at));
            (&**file, *offset, &entry.note, beside)
        });
        let of_given = given.iter().map(|given| (&*given.name, 0, &given.note, None));
        let all: Vec<_> = of_journal.chain(of_given).collect();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let share = all.len().div_ceil(threads).max(1);
        let (mut good, mut findings) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let checking: Vec<_> = all
                .chunks(share)
                .map(|some| {
                    scope.spawn(move || -> Vec<_> {
                        let one = |(file, offset, note, beside): &(&'a str, u64, &'a SignedNote, _)| {
                            checked(file, *offset, note, *beside, trust)
                        };
                        some.iter().map(one).collect()
                    })
                })
                .collect();
            for outcome in checking.into_iter().flat_map(|thread| thread.join().unwrap_or_default()) {
                match outcome {
                    Ok(anchor) => good.push(anchor),
                    Err(finding) => findings.push(*finding),
                }
            }
        });
        let known: FxHashSet<&str> = journal.iter().map(|found| found.entry.note.text()).collect();
        let newest = journal.iter().map(|found| found.entry.checkpoint.head.size).max();
        for given in given {
            let Some(anchor) = good.iter().find(|anchor| std::ptr::eq(anchor.note, &raw const given.note))
            else {
                continue;
            };
            let size = anchor.checkpoint.head.size;
            let position = Position::new(size.get());
            if !known.contains(given.note.text()) {
                let message =
                    format!("a checkpoint of {size} events was signed, and the journal does not have it");
                let found = Finding::in_file(Class::MissingCheckpoint, &*given.name, 0, position, message);
                findings.push(if trust.has_tree { found } else { found.warning() });
            } else if given.is_published && !trust.is_live && newest.is_some_and(|newest| size < newest) {
                let message = "a newer checkpoint was signed than the one that is published".to_owned();
                let found = Finding::in_file(Class::StaleCheckpoint, &*given.name, 0, position, message);
                findings.push(found.differs(&newest.unwrap_or_default(), &size));
            }
        }
        Self { good, looked_at: all.len() as u64, journal: !journal.is_empty(), findings }
    }

    /// The places that the log is asked about.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let mut seen = FxHashSet::default();
        let asked = self.good.iter().map(Anchor::asked);
        asked.filter(|asked| seen.insert((asked.size, asked.chain.map(|chain| chain.0)))).collect()
    }

    /// Judges them by what the log came to; adds to the findings.
    #[must_use]
    pub fn judge(mut self, report: &Report, trust: &Trust<'_>, findings: &mut Vec<Finding>) -> Anchored {
        findings.append(&mut self.findings);
        let mut anchored = Anchored { checkpoints: self.looked_at, ..Anchored::default() };
        let (mut beyond, mut forked, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for anchor in &self.good {
            let size = anchor.checkpoint.head.size;
            if let Some(finding) = anchor.is_of_another_store(report) {
                other.push(finding);
                continue;
            }
            let asked = anchor.asked();
            let from = report.reached.partition_point(|(known, _)| known.size < size);
            let reached = report.reached[from..].iter().take_while(|(known, _)| known.size == size);
            let Some((_, reached)) = reached.into_iter().find(|(known, _)| *known == asked) else {
                anchored.unproven += 1;
                continue;
            };
            match reached.root {
                Some(root) if root != anchor.checkpoint.head.root => forked.push((anchor, Some(root))),
                Some(_) if asked.chain.is_some() && !reached.has_chain => forked.push((anchor, None)),
                Some(_) => {
                    anchored.proven += 1;
                    anchored.sizes.push(size);
                }
                None if size.get() > report.next.get()
                    && report.tree_ends.is_none()
                    && !report.is_stopped =>
                {
                    beyond.push(anchor);
                }
                None => anchored.unproven += 1,
            }
        }
        anchored.sizes.sort_unstable();
        anchored.sizes.dedup();
        anchored.newest = anchored.sizes.last().copied();
        // The first of many says what is the matter; the rest follow from it.
        other.truncate(1);
        findings.append(&mut other);
        if let Some(newest) = beyond.iter().max_by_key(|anchor| anchor.checkpoint.head.size) {
            let (signed, count) = (newest.checkpoint.head.size, beyond.len());
            let message =
                format!("{count} checkpoints were signed of a longer log, the newest of {signed} events");
            let found = newest.find(Class::TruncatedBelowCheckpoint, report.next, message);
            findings.push(found.differs(&signed, &report.next));
        }
        if let Some((first, root)) = forked.iter().min_by_key(|(anchor, _)| anchor.checkpoint.head.size) {
            let (size, count) = (first.checkpoint.head.size, forked.len());
            let agrees = anchored.sizes.iter().rev().find(|known| **known < size);
            let position = Position::new(agrees.map_or(0, |size| size.get()));
            let many = if count == 1 { String::new() } else { format!(" and {} later ones", count - 1) };
            let message = format!(
                "the first {size} events are not those that were signed{many}; they agree up to position {position}"
            );
            findings.push(match root {
                Some(root) => {
                    let found = first.find(Class::Fork, position, message);
                    found.differs(&first.checkpoint.head.root, root)
                }
                None => {
                    let message = format!(
                        "the first {size} events are those that were signed, but the chain head there is another{many}: \
                         something that only the chain covers was changed, such as a command table"
                    );
                    let chain = first.asked().chain.unwrap_or_default();
                    first.find(Class::Fork, Position::new(size.get()), message).differs(&chain, &"another")
                }
            });
        }
        self.tail(report, &anchored, findings);
        self.witnesses(report, trust, &mut anchored, findings);
        anchored
    }

    /// What no checkpoint covers.
    fn tail(&self, report: &Report, anchored: &Anchored, findings: &mut Vec<Finding>) {
        let covered = anchored.newest.map_or(0, TreeSize::get);
        if covered >= report.next.get() || report.is_stopped {
            return;
        }
        let count = report.next.get() - covered;
        let why = if self.journal { "" } else { "; there is no checkpoint in this data directory" };
        let message = format!("the last {count} events are covered by no checkpoint that is proven{why}");
        let last =
            report.extents.iter().rev().find(|extent| extent.first.get() <= covered && extent.used > 0);
        let segment = last.map_or(0, |extent| extent.segment);
        findings.push(Finding::new(Class::UnanchoredTail, segment, 0, Position::new(covered), message));
    }

    fn witnesses(
        &self,
        report: &Report,
        trust: &Trust<'_>,
        anchored: &mut Anchored,
        findings: &mut Vec<Finding>,
    ) {
        let find = |size: u64, message: &str| {
            let position = Position::new(size);
            Finding::in_file(Class::Unwitnessed, "tree/checkpoints", 0, position, message)
        };
        let Some(policy) = trust.policy.filter(|policy| policy.needs_witnesses()) else {
            if report.next > Position::ZERO {
                let message =
                    "no witness was asked for: whoever has the log's key could show others another history";
                findings.push(find(0, message).warning());
            }
            return;
        };
        let mut by_size: Vec<_> = self.good.iter().collect();
        by_size.sort_by_key(|anchor| std::cmp::Reverse(anchor.checkpoint.head.size));
        let is_proven =
            |anchor: &&&Anchor<'_>| anchored.sizes.binary_search(&anchor.checkpoint.head.size).is_ok();
        let has = |anchor: &Anchor<'_>, key: &VerifierKey| anchor.note.verify(&[key]).is_ok();
        let met = by_size.iter().filter(is_proven).find(|anchor| policy.is_met(|key| has(anchor, key)));
        anchored.witnessed = met.map(|anchor| anchor.checkpoint.head.size);
        match anchored.witnessed {
            None => findings.push(find(0, "no checkpoint has the cosignatures that the policy asks for")),
            Some(size) if anchored.newest > Some(size) => {
                let newest = anchored.newest.unwrap_or_default();
                let message = format!(
                    "the newest witnessed checkpoint is of {size} events, the newest signed one of {newest}"
                );
                findings.push(find(size.get(), &message).warning());
            }
            Some(_) => {}
        }
    }
}

impl Anchor<'_> {
    fn asked(&self) -> Asked {
        Asked { size: self.checkpoint.head.size, chain: self.beside.map(|(_, chain, _)| chain) }
    }

    fn find(&self, class: Class, position: Position, message: String) -> Finding {
        Finding::in_file(class, self.file, self.offset, position, message)
    }

    fn is_of_another_store(&self, report: &Report) -> Option<Finding> {
        let store = report.store?;
        let named =
            self.checkpoint.origin.strip_prefix("sunday/").and_then(|name| Uuid::try_parse(name).ok());
        let of = named.or(self.beside.map(|(of, ..)| of)).filter(|of| *of != store)?;
        let message = "the checkpoint is of another store than the log".to_owned();
        let position = Position::new(self.checkpoint.head.size.get());
        Some(self.find(Class::Fork, position, message).differs(&of, &store))
    }
}

fn checked<'a>(
    file: &'a str,
    offset: u64,
    note: &'a SignedNote,
    beside: Option<(Uuid, Digest, Timestamp)>,
    trust: &Trust<'_>,
) -> Result<Anchor<'a>, Box<Finding>> {
    let find =
        |class, message: String| Box::new(Finding::in_file(class, file, offset, Position::ZERO, message));
    let verified = note.verify(trust.keys).map_err(|error| match error {
        NoteError::Unsigned => {
            let claimed: Vec<_> =
                note.signatures().iter().map(|it| format!("{} ({:08x})", it.name(), it.id())).collect();
            find(
                Class::UnknownKey,
                format!("none of the known keys has signed it, but {}", claimed.join(", ")),
            )
        }
        error => find(Class::BadSignature, error.to_string()),
    })?;
    let checkpoint =
        Checkpoint::parse(note.text()).map_err(|error| find(Class::BadSignature, error.to_string()))?;
    let origin = &checkpoint.origin;
    if verified.iter().any(|verified| verified.key.name().as_str() != origin) {
        return Err(find(Class::Fork, format!("it is a checkpoint of another log, {origin}")));
    }
    Ok(Anchor { checkpoint, note, file, offset, beside })
}
