//! Which members of an envelope are written.

/// A set of the members of an event's envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Members(u16);

/// The members in the order in which they are written.
const NAMES: [&str; 12] = [
    "eventId",
    "type",
    "streamId",
    "aggregateType",
    "aggregateId",
    "version",
    "position",
    "time",
    "schemaVersion",
    "tags",
    "data",
    "metadata",
];

impl Members {
    /// All of them.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    pub(super) const EVENT_ID: Self = Self(1);
    pub(super) const TYPE: Self = Self(1 << 1);
    pub(super) const STREAM_ID: Self = Self(1 << 2);
    pub(super) const AGGREGATE_TYPE: Self = Self(1 << 3);
    pub(super) const AGGREGATE_ID: Self = Self(1 << 4);
    pub(super) const VERSION: Self = Self(1 << 5);
    pub(super) const POSITION: Self = Self(1 << 6);
    pub(super) const TIME: Self = Self(1 << 7);
    pub(super) const SCHEMA_VERSION: Self = Self(1 << 8);
    pub(super) const TAGS: Self = Self(1 << 9);
    pub(super) const DATA: Self = Self(1 << 10);
    pub(super) const METADATA: Self = Self(1 << 11);

    /// The members of a list such as `position,type,data`; `data` stands for `dataBase64`, too.
    ///
    /// # Errors
    /// The first name that is no member, or all that there are where none is named.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut members = Self(0);
        for name in list.split(',') {
            let Some(index) = NAMES.iter().position(|known| *known == name) else {
                // What was sent comes back shortened: an error is no mirror.
                let name: String = name.chars().take(40).collect();
                return Err(format!("there is no member {name:?}, only {}", NAMES.join(", ")));
            };
            members.0 |= 1 << index;
        }
        Ok(members)
    }

    pub(super) const fn contain(self, member: Self) -> bool {
        self.0 & member.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_by_name() {
        let members = Members::parse("position,data,position").unwrap();
        assert!(members.contain(Members::POSITION) && members.contain(Members::DATA));
        assert!(!members.contain(Members::TYPE) && !members.contain(Members::METADATA));
        assert_eq!(Members::parse(&NAMES.join(",")), Ok(Members::ALL));
        for wrong in ["", "position,", "dataBase64", " position", "Position"] {
            assert!(Members::parse(wrong).unwrap_err().contains("only eventId, type"), "{wrong:?}");
        }
    }

    #[test]
    fn every_member_has_its_own_place() {
        let all = [
            Members::EVENT_ID,
            Members::TYPE,
            Members::STREAM_ID,
            Members::AGGREGATE_TYPE,
            Members::AGGREGATE_ID,
            Members::VERSION,
            Members::POSITION,
            Members::TIME,
            Members::SCHEMA_VERSION,
            Members::TAGS,
            Members::DATA,
            Members::METADATA,
        ];
        for (member, name) in all.into_iter().zip(NAMES) {
            assert_eq!(Members::parse(name), Ok(member));
        }
    }
}
