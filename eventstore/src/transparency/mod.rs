//! A transparency log over the events: a Merkle tree whose leaves are the events in order of position, signed tree heads,
//! and proofs that people can check who trust neither this program nor whoever runs it.
//!
//! ```text
//! RecordedCommit ─▶ Leaves (leaf) ─▶ Edge (the tree's right edge) ─▶ hashes per level: tiles
//!                                       │ root                          │
//!                                       ▼                               ▼
//!             SigningKey ─▶ Checkpoint in a SignedNote            Prover: inclusion, consistency
//!                             │                                         │
//!                             └────────── verify_inclusion, verify_consistency ──▶ anybody
//! ```
//!
//! The tree is that of RFC 6962, the formats are those of C2SP (`tlog-tiles`, `tlog-checkpoint`, `signed-note`,
//! `tlog-cosignature`, `tlog-witness`, `tlog-policy`), so that tools which know nothing of Sunday can judge it. What is Sunday's own is
//! the leaf: `FORMAT.md` has its bytes.
//!
//! Only `files` and [`journal`] do I/O, and nothing here decides when to sign: that is the notary's.

mod checkpoint;
mod cosignature;
mod edge;
mod files;
mod hash;
pub mod journal;
mod key;
mod leaf;
mod note;
mod policy;
mod proof;
mod prove;
mod rotation;
mod text;
mod tile;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, TreeHead};
pub use cosignature::cosign;
pub use edge::Edge;
pub use files::{TreeError, TreeFiles, TreeWriter};
pub use hash::{EMPTY_ROOT, leaf_hash, node_hash};
pub use key::{KeyError, KeyName, SignatureKind, SigningKey, VerifierKey};
pub(crate) use leaf::PendingLeaves;
pub use leaf::{LEAF_BYTES, LEAF_VERSION, Leaf, LeafError, Leaves};
pub use note::{NoteError, NoteSignature, SignedNote, Verified};
pub use policy::{Policy, PolicyError, Witness};
pub use proof::{PROOF_HASHES_MAX, ProofError, verify_consistency, verify_inclusion};
pub use prove::{Prover, TileSource};
pub use rotation::{Rotation, RotationError};
pub use text::{hash_from_base64, hash_to_base64, to_base64};
pub use tile::{
    BUNDLE_ENTRY_BYTES, TILE_LEVELS_MAX, TILE_WIDTH, TileId, TilePathError, bundle_entry, bundle_leaves,
    width_at,
};
pub use witness::{AddCheckpoint, WitnessError, judge, origin_hash};
