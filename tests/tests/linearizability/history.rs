//! What was observed: operations with the times between which they must have taken effect.
//!
//! Invariant: `invoked` was taken before the first byte of the request was sent, and the time of an answer after its
//! last byte was read, by one monotonic clock. So whatever ended before something else began really was before it.

use std::fmt;
use std::time::Instant;

/// A time on the test's own clock, nanoseconds since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Later than everything.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Of a history made by hand.
    pub(crate) const fn at(time: u64) -> Self {
        Self(time)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:06} ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The one clock of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        Moment(u64::try_from(self.0.elapsed().as_nanos()).expect("a test ends within 500 years"))
    }
}

/// One after the other is all that one client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// How an operation ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended<O> {
    /// With an answer, which was there at this time.
    Answered { at: Moment, output: O },
    /// Nobody knows: it took effect before this time, or never.
    Unknown { by: Moment },
}

/// One operation as its client saw it.
#[derive(Debug, Clone)]
pub(crate) struct Operation<I, O> {
    pub(crate) client: ClientId,
    pub(crate) invoked: Moment,
    pub(crate) input: I,
    pub(crate) ended: Ended<O>,
}

impl<I, O> Operation<I, O> {
    pub(crate) fn output(&self) -> Option<&O> {
        match &self.ended {
            Ended::Answered { output, .. } => Some(output),
            Ended::Unknown { .. } => None,
        }
    }
}

impl<I: fmt::Display, O: fmt::Display> fmt::Display for Operation<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, invoked, input, ended } = self;
        match ended {
            Ended::Answered { at, output } => write!(f, "{client} [{invoked} .. {at}] {input} => {output}"),
            Ended::Unknown { by } => write!(f, "{client} [{invoked} .. unknown, by {by}] {input}"),
        }
    }
}
