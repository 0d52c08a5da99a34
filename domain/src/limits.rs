//! How much of everything: bounds that keep an event within what the log takes and a state small.
//!
//! Invariant: a limit is only ever raised; lowering one would refuse what old histories hold.

/// Characters of an item's title.
pub const TITLE_CHARS_MAX: usize = 1_000;
/// Characters of a name: of a workspace, project, board, column, person, kind of link.
pub const NAME_CHARS_MAX: usize = 200;
/// Bytes of a long text: a description, the body of a comment.
pub const TEXT_BYTES_MAX: usize = 4_000_000;
/// Characters of an external key.
pub const EXTERNAL_KEY_CHARS_MAX: usize = 500;
/// Characters of a resolution.
pub const RESOLUTION_CHARS_MAX: usize = 1_000;
/// Characters of an attachment's name or media type.
pub const FILE_NAME_CHARS_MAX: usize = 1_000;
/// Characters of a custom field's name.
pub const FIELD_NAME_CHARS_MAX: usize = 100;
/// Custom fields of an item, field definitions of a board.
pub const FIELDS_MAX: usize = 200;
/// What may be chosen from, for one custom field.
pub const FIELD_OPTIONS_MAX: usize = 500;
/// Characters of a URL in a custom field that holds one.
pub const URL_CHARS_MAX: usize = 4_000;
/// Bytes of one custom field's value, roughly as JSON. A real tracker has one of 252,579.
pub const FIELD_VALUE_BYTES_MAX: usize = 1_000_000;
/// Levels of nesting in a custom field's value. The parser stops at 128, and an event wraps the value.
pub const FIELD_VALUE_DEPTH_MAX: usize = 64;
/// People assigned to an item.
pub const ASSIGNEES_MAX: usize = 100;
/// Columns of a board.
pub const COLUMNS_MAX: usize = 500;
/// Members of a workspace or a board.
pub const MEMBERS_MAX: usize = 10_000;
/// Attachments that an item ever had.
pub const ATTACHMENTS_MAX: usize = 10_000;
/// Links of an item.
pub const LINKS_MAX: usize = 1_000;
/// Characters of a rank; past it, the column is ranked anew.
pub const RANK_CHARS_MAX: usize = 64;
