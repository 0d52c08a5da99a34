//! What is asked of the elements of an array: of some of them, or of each in its place.

use super::given::{Given, list};
use super::judge::{Found, Judge, Judged, below, if_given, says};
use serde_json::{Map, Value};

impl Judge {
    pub(super) fn contains(&mut self, wide: &Map<String, Value>, given: &Given<'_>, here: &str) -> Judged {
        const ALL: [&str; 3] = ["contains", "minContains", "maxContains"];
        let same =
            given.parts.iter().any(|part| ALL.iter().all(|keyword| part.get(keyword) == wide.get(*keyword)));
        if same {
            return Ok(());
        }
        let least = |members: Option<&Value>| members.map_or(Some(1), Value::as_u64);
        let Some(wanted) = least(wide.get("minContains")) else {
            return Err(says(here, "it cannot be judged"));
        };
        let has_most = wide.contains_key("maxContains");
        if wanted == 0 && !has_most {
            return Ok(());
        }
        let was_of_some = std::mem::replace(&mut self.is_of_some, true);
        let follows = !has_most
            && given.parts.iter().any(|part| {
                part.get("contains").is_some_and(|said| {
                    least(part.get("minContains")).is_some_and(|said| said >= wanted)
                        && self.follows(&wide["contains"], &Given::of(said), here).is_empty()
                })
            });
        self.is_of_some = was_of_some;
        if_given(follows, here, "an element that was not demanded, or a limit on such elements")
    }

    /// `items` and `prefixItems`.
    pub(super) fn elements(&mut self, wide: &Map<String, Value>, given: &Given<'_>, at: &str) -> Judged {
        let prefix = |members: &Value| list(members, "prefixItems").len();
        let wide_prefix = wide.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let longest = given.parts.iter().map(|part| prefix(part)).max().unwrap_or(0).max(wide_prefix.len());
        let most = given.all("maxItems").filter_map(Value::as_u64).min().unwrap_or(u64::MAX);
        let mut found = Found::new();
        // One more than any prefix: all that follow are like it.
        for index in 0..=longest {
            if index as u64 >= most {
                break;
            }
            let (wide, pointer) = match (wide_prefix.get(index), wide.get("items")) {
                (Some(wide), _) => (wide, below(&below(at, "prefixItems"), &index.to_string())),
                (None, Some(wide)) => (wide, below(at, "items")),
                (None, None) => break,
            };
            let said: Vec<&Value> = given
                .parts
                .iter()
                .filter_map(|part| list(part, "prefixItems").get(index).or_else(|| part.get("items")))
                .collect();
            found.extend(self.follows(wide, &Given::of_all(&said), &pointer));
        }
        found.dedup();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}
