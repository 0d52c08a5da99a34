//! Cases for judges in other languages (`.ci/audit-judges`): proofs and notes, good ones and altered ones, with what is to become
//! of each. Our own verdicts are held against the same list.

use crate::grown::Grown;
use crate::support::Random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eventstore::transparency::{
    Checkpoint, KeyName, SignatureKind, SignedNote, SigningKey, TreeHead, VerifierKey, leaf_hash,
    verify_consistency, verify_inclusion,
};
use eventstore::{Digest, Position, TreeSize};
use std::fmt::Write;

/// Trees of these judges; pymerkle keeps all of its own in memory.
const LEAVES: u64 = 700;

struct Cases {
    random: Random,
    tree: Grown,
    text: String,
}

impl Cases {
    fn line(&mut self, kind: &str, is_good: bool, words: [&str; 5]) {
        let good = if is_good { "good" } else { "bad" };
        writeln!(self.text, "{kind}\t{good}\t{}", words.join("\t")).unwrap();
    }

    /// Hashes with one bit turned in one of them.
    fn turned(&mut self, hashes: &[Digest]) -> Option<Vec<Digest>> {
        let mut other = hashes.to_vec();
        let hash = usize::try_from(self.random.below(hashes.len().max(1) as u64)).unwrap();
        let (byte, bit) = (self.random.below(32) as usize, self.random.below(8));
        other.get_mut(hash)?.0[byte] ^= 1 << bit;
        Some(other)
    }

    fn inclusion(&mut self) {
        let size = 1 + self.random.below(LEAVES);
        let index = self.random.below(size);
        let (head, leaf) = (self.tree.head(size), leaf_hash(&index.to_le_bytes()));
        let proof = self.tree.prover(size).inclusion(Position::new(index)).unwrap();
        let bad = self.turned(&proof);
        for (proof, is_good) in [(Some(proof), true), (bad, false)] {
            let Some(proof) = proof else { continue };
            let verdict = verify_inclusion(&leaf, Position::new(index), &head, &proof);
            assert_eq!(verdict.is_ok(), is_good, "leaf {index} of {size}");
            let (index, size, leaf, root) =
                (index.to_string(), size.to_string(), leaf.to_string(), head.root.to_string());
            self.line("inclusion", is_good, [&index, &size, &leaf, &root, &hex(&proof)]);
        }
    }

    fn consistency(&mut self) {
        let new = 1 + self.random.below(LEAVES);
        let old = 1 + self.random.below(new);
        let (before, after) = (self.tree.head(old), self.tree.head(new));
        let proof = self.tree.prover(new).consistency(TreeSize::new(old)).unwrap();
        let bad = self.turned(&proof);
        for (proof, is_good) in [(Some(proof), true), (bad, false)] {
            let Some(proof) = proof else { continue };
            let verdict = verify_consistency(&before, &after, &proof);
            assert_eq!(verdict.is_ok(), is_good, "{old} to {new}");
            let (old, new) = (old.to_string(), new.to_string());
            let (before, after) = (before.root.to_string(), after.root.to_string());
            self.line("consistency", is_good, [&old, &new, &before, &after, &hex(&proof)]);
        }
    }

    fn note(&mut self) {
        let key =
            SigningKey::generate(KeyName::new("example.com/log").unwrap(), SignatureKind::Note).unwrap();
        let head = self.tree.head(self.random.below(LEAVES));
        let note = Checkpoint::signed(head, &key).unwrap().to_string().into_bytes();
        let mut bad = note.clone();
        let at = self.random.below(note.len() as u64) as usize;
        bad[at] ^= 1 << self.random.below(8);
        for (note, is_good) in [(note, true), (bad, false)] {
            assert_eq!(accepted(&note, key.verifier()), is_good, "byte {at}");
            let vkey = key.verifier().to_string();
            self.line("note", is_good, [&vkey, &STANDARD.encode(&note), "", "", ""]);
        }
    }
}

impl Cases {
    /// What the auditor of `docs/audit.md` has, and two that somebody has forged.
    fn walk(&self, dir: &std::path::Path) {
        let key =
            SigningKey::generate(KeyName::new("example.com/log").unwrap(), SignatureKind::Note).unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
        let (old, new) = (self.tree.head(300), self.tree.head(LEAVES));
        let proof = self.tree.prover(LEAVES).consistency(TreeSize::new(300)).unwrap();
        let proof: Vec<_> = proof.iter().map(|hash| format!("\"{}\"", STANDARD.encode(hash.0))).collect();
        write("audit.pub", key.verifier().to_string());
        write("old.note", Checkpoint::signed(old, &key).unwrap().to_string());
        write("new.note", Checkpoint::signed(new, &key).unwrap().to_string());
        write("proof.json", format!("{{\"proof\": [{}]}}", proof.join(",")));
        let rewritten = TreeHead { root: self.tree.head(299).root, ..new };
        write("rewritten.note", Checkpoint::signed(rewritten, &key).unwrap().to_string());
        let other = SigningKey::generate(key.verifier().name().clone(), SignatureKind::Note).unwrap();
        write("foreign.note", Checkpoint::signed(new, &other).unwrap().to_string());
    }
}

fn accepted(note: &[u8], key: &VerifierKey) -> bool {
    SignedNote::parse(note).is_ok_and(|note| note.verify(&[key]).is_ok())
}

fn hex(hashes: &[Digest]) -> String {
    hashes.iter().map(Digest::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn cases_to_be_judged() {
    let mut tree = Grown::default();
    (0..LEAVES).for_each(|index| tree.append(leaf_hash(&index.to_le_bytes())));
    let mut cases = Cases { random: Random::seeded(), tree, text: String::new() };
    for _ in 0..2_000 {
        cases.inclusion();
        cases.consistency();
    }
    (0..300).for_each(|_| cases.note());
    if let Some(dir) = std::env::var_os("SUNDAY_AUDIT_CASES") {
        let dir = std::path::PathBuf::from(dir);
        std::fs::write(dir.join("cases"), &cases.text).unwrap();
        cases.walk(&dir);
    }
}
