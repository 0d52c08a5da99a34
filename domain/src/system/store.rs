//! What a store says of itself, in one stream: where it comes from, when a restore has made it.
//!
//! Invariant: a store that was restored below what had been signed of its parent begins its own history with such an event. The
//! events before it are the parent's: same ids, positions, versions and times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream.
pub const STREAM: &str = "sys-store";
/// Version of all shapes here.
pub const SCHEMA_VERSION: u16 = 1;
/// The type of [`StoreRestored`].
pub const RESTORED: &str = "sys.store_restored";

/// A new store was made of a backup of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreRestored {
    /// The store whose history it took over.
    pub parent_store: Uuid,
    /// How many events of it.
    pub parent_position: u64,
    /// The parent's chain head there, 64 hexadecimal digits.
    pub parent_chain: String,
    /// Size of the newest checkpoint that was signed of the parent, as far as the backup knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_checkpoint: Option<u64>,
}
