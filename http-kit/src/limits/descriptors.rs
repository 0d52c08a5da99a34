//! File descriptors: every connection needs one, and so does the log.
//!
//! Invariant: connections leave [`RESERVED`] descriptors to the rest of the process. A server without a descriptor for
//! its next connection lets it wait; a log without one for its next segment stops.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::num::NonZeroU32;
use std::sync::Once;

/// Descriptors for everything that is no connection: segments, runs, the search index.
const RESERVED: u64 = 1_024;

/// Fewest connections of a server, whatever there is.
const CONNECTIONS_MIN: u64 = 64;

static SAID: Once = Once::new();

/// Raises the process's limit of open files as far as it may, and says how many connections it allows.
pub(super) fn connections(wanted: u32, servers: NonZeroU32) -> usize {
    let limit = raise();
    let possible = share(limit, servers);
    if possible < u64::from(wanted) {
        // Two servers of one process have the same to say.
        SAID.call_once(|| {
            tracing::warn!(
                open_files = limit,
                wanted,
                possible,
                "the limit of open files allows fewer connections than configured: raise it (ulimit -Hn, or \
                 LimitNOFILE= of a unit), or set SUNDAY_LIMIT_CONNECTIONS"
            );
        });
    }
    usize::try_from(possible.min(u64::from(wanted)).max(1)).unwrap_or(usize::MAX)
}

fn share(limit: u64, servers: NonZeroU32) -> u64 {
    (limit.saturating_sub(RESERVED) / u64::from(servers.get())).max(CONNECTIONS_MIN)
}

/// The soft limit is what old programs can stand that use select(2); we do not.
fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No number stands for no limit.
    let Some(limit) = current else { return u64::MAX };
    if maximum == Some(limit) {
        return limit;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, limit, "the limit of open files stays as it is");
            limit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_its_descriptors() {
        let [one, two] = [1, 2].map(|servers| NonZeroU32::new(servers).unwrap());
        assert_eq!(share(20_000, one), 18_976);
        assert_eq!(share(20_000, two), 9_488);
        assert_eq!(share(1_024, one), CONNECTIONS_MIN);
        assert!(share(u64::MAX, two) > 1 << 62);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        let limit = raise();
        assert_eq!(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX), limit);
        assert_eq!(raise(), limit);
        assert_eq!(connections(1, NonZeroU32::MIN), 1);
    }
}
