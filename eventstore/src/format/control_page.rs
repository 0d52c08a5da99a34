//! Where the fields of the control page are. The page itself is mapped and accessed atomically in `control.rs`.

/// Length of the page, bytes.
pub const CONTROL_PAGE_BYTES: usize = 4096;
/// First bytes of the page.
pub const CONTROL_MAGIC: [u8; 8] = *b"SUNDAYCP";
/// Version of the page.
pub const CONTROL_VERSION: u32 = 1;
pub(crate) const VERSION_AT: usize = 8;
pub(crate) const FUTEX_AT: usize = 12;
pub(crate) const STORE_AT: usize = 16;
pub(crate) const EPOCH_AT: usize = 32;
pub(crate) const OPEN_AT: usize = 36;
pub(crate) const HEARTBEAT_AT: usize = 40;
pub(crate) const DURABLE_AT: usize = 48;
pub(crate) const PUBLISHED_AT: usize = 56;
pub(crate) const DURABLE_END_AT: usize = 64;
pub(crate) const PUBLISHED_END_AT: usize = 72;
const _: () = assert!(PUBLISHED_END_AT + 8 <= CONTROL_PAGE_BYTES && FUTEX_AT.is_multiple_of(4));
