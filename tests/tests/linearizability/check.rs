//! Whether a history could have come from one operation after the other (Herlihy & Wing, "Linearizability: a correctness
//! condition for concurrent objects", 1990).
//!
//! The search is that of Wing & Gong (1993) with the memory of Lowe ("Testing for linearizability", 2017), as in Porcupine
//! and Knossos: go through calls and returns in the order of time, take a call whose answer the model agrees with out of the
//! list and begin again from the front; at the return of an operation that has not been taken, go back. Whoever comes
//! twice to the same set of operations in the same state need not go on. Objects that are independent of each other are
//! checked each for itself, which is the same (locality, or P-compositionality), and exponentially cheaper.
//!
//! An operation whose outcome is unknown may be taken or left. Where it is known when its server was gone for good, it cannot
//! be taken after that ("strict linearizability", Aguilera & Frølund 2003): nothing that began later may come before it.
//!
//! Invariant: an operation is only taken while no operation that is left was answered before it began.

use crate::history::{Ended, Moment, Operation};
use std::collections::HashSet;
use std::fmt::{self, Display, Write as _};
use std::hash::Hash;

/// States that are remembered before the search is given up. A history that needs more is too concurrent for this test.
const REMEMBERED_MAX: usize = 3_000_000;

/// How many of the operations before the ones that do not fit are shown.
const SHOWN_BEFORE: usize = 12;

/// What an object does when nobody else is there.
pub(crate) trait Model {
    type Input: Display;
    type Output: Display;
    type State: Clone + Eq + Hash + Display;

    /// The state in the beginning.
    fn first(&self) -> Self::State;

    /// The state after an operation with this outcome; none where the model would have answered otherwise. Where the
    /// outcome is unknown: the state after it, if anybody could tell that it happened.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// What the model would answer.
    fn says(&self, state: &Self::State, input: &Self::Input) -> String;
}

/// An operation of the model's.
pub(crate) type Observed<M> = Operation<<M as Model>::Input, <M as Model>::Output>;

/// Why a history is not accepted, for people to read.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It cannot have come from one operation after the other.
    NotLinearizable(String),
    /// Nobody knows: the search has become too large.
    Undecided(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLinearizable(text) => write!(f, "not linearizable: {text}"),
            Self::Undecided(text) => write!(f, "undecided: {text}"),
        }
    }
}

/// The operations that took effect, as indexes into the history, in an order that explains it.
///
/// # Errors
/// When there is none.
pub(crate) fn check<M: Model>(model: &M, history: &[Observed<M>]) -> Result<Vec<usize>, Failure> {
    Search::new(model, history).run()
}

/// A call or a return.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: Moment,
    operation: usize,
    is_return: bool,
}

/// Calls and returns that are left, in the order of time; taking one out and putting it back costs nothing. The place after
/// the last entry is the list's head.
#[derive(Debug)]
struct Left {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Left {
    fn new(count: usize) -> Self {
        let next = (1..=count).chain([0]).collect();
        let previous = [count].into_iter().chain(0..count).collect();
        Self { next, previous }
    }

    fn first(&self) -> usize {
        self.next[self.next.len() - 1]
    }

    fn take(&mut self, place: usize) {
        let (next, previous) = (self.next[place], self.previous[place]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    /// The last one that was taken is put back first.
    fn put_back(&mut self, place: usize) {
        let (next, previous) = (self.next[place], self.previous[place]);
        self.next[previous] = place;
        self.previous[next] = place;
    }
}

/// A set of operations, numbered by their calls: all below `end` but the holes. As few are under way at one time, it is as
/// small for a long history as for a short one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Taken {
    end: usize,
    /// In order.
    holes: Vec<usize>,
}

impl Taken {
    fn insert(&mut self, number: usize) {
        if number >= self.end {
            self.holes.extend(self.end..number);
            self.end = number + 1;
        } else if let Ok(hole) = self.holes.binary_search(&number) {
            self.holes.remove(hole);
        }
    }

    fn remove(&mut self, number: usize) {
        if number + 1 < self.end {
            if let Err(hole) = self.holes.binary_search(&number) {
                self.holes.insert(hole, number);
            }
            return;
        }
        self.end = number;
        while self.end > 0 && self.holes.last() == Some(&(self.end - 1)) {
            self.holes.pop();
            self.end -= 1;
        }
    }
}

/// An operation that was taken, and what was before.
#[derive(Debug)]
struct Step<S> {
    operation: usize,
    state: S,
    latest: Moment,
}

/// The place where the search came furthest.
#[derive(Debug)]
struct Furthest<S> {
    /// The entry that could not be passed.
    at: usize,
    count: usize,
    before: Vec<usize>,
    state: S,
    latest: Moment,
    left: Vec<usize>,
}

struct Search<'h, M: Model> {
    model: &'h M,
    history: &'h [Observed<M>],
    entries: Vec<Entry>,
    /// Where an operation's call and return stand.
    places: Vec<(usize, Option<usize>)>,
    /// Each operation's number in the order of calls.
    numbers: Vec<usize>,
    left: Left,
    taken: Taken,
    steps: Vec<Step<M::State>>,
    state: M::State,
    /// The latest call of all that were taken.
    latest: Moment,
    furthest: Option<Furthest<M::State>>,
}

impl<'h, M: Model> Search<'h, M> {
    fn new(model: &'h M, history: &'h [Observed<M>]) -> Self {
        let mut entries = Vec::with_capacity(history.len() * 2);
        for (operation, observed) in history.iter().enumerate() {
            entries.push(Entry { at: observed.invoked, operation, is_return: false });
            if let Ended::Answered { at, .. } = observed.ended {
                entries.push(Entry { at, operation, is_return: true });
            }
        }
        // What ends and begins at the same time may have been in either order.
        entries.sort_by_key(|entry| (entry.at, entry.is_return));
        let mut places = vec![(0, None); history.len()];
        let mut numbers = vec![0; history.len()];
        let mut calls = 0;
        for (place, Entry { operation, is_return, .. }) in entries.iter().enumerate() {
            if *is_return {
                places[*operation].1 = Some(place);
            } else {
                places[*operation].0 = place;
                numbers[*operation] = calls;
                calls += 1;
            }
        }
        Self {
            model,
            history,
            left: Left::new(entries.len()),
            entries,
            places,
            numbers,
            taken: Taken::default(),
            steps: Vec::new(),
            state: model.first(),
            latest: Moment::at(0),
            furthest: None,
        }
    }

    fn run(mut self) -> Result<Vec<usize>, Failure> {
        let mut remembered = HashSet::new();
        let mut to_answer = self.places.iter().filter(|(_, end)| end.is_some()).count();
        let mut place = self.left.first();
        while to_answer > 0 {
            let Entry { operation, is_return, .. } = self.entries[place];
            if is_return {
                self.note(place);
                let Some(step) = self.steps.pop() else {
                    return Err(Failure::NotLinearizable(self.report()));
                };
                to_answer += usize::from(self.places[step.operation].1.is_some());
                place = self.put_back(step);
                continue;
            }
            place = match self.after(operation) {
                Some(state) => {
                    self.taken.insert(self.numbers[operation]);
                    if remembered.insert((self.taken.clone(), state.clone())) {
                        to_answer -= usize::from(self.places[operation].1.is_some());
                        self.take(operation, state);
                        self.left.first()
                    } else {
                        self.taken.remove(self.numbers[operation]);
                        self.left.next[place]
                    }
                }
                None => self.left.next[place],
            };
            if remembered.len() > REMEMBERED_MAX {
                return Err(Failure::Undecided(self.report()));
            }
        }
        Ok(self.steps.iter().map(|step| step.operation).collect())
    }

    /// The state after an operation, if it can come next.
    fn after(&self, operation: usize) -> Option<M::State> {
        let observed = &self.history[operation];
        if let Ended::Unknown { by } = observed.ended
            && by < self.latest
        {
            return None;
        }
        self.model.step(&self.state, &observed.input, observed.output())
    }

    fn take(&mut self, operation: usize, state: M::State) {
        let (call, end) = self.places[operation];
        self.left.take(call);
        if let Some(end) = end {
            self.left.take(end);
        }
        let before = std::mem::replace(&mut self.state, state);
        self.steps.push(Step { operation, state: before, latest: self.latest });
        self.latest = self.latest.max(self.history[operation].invoked);
    }

    /// Takes a step back; the place to go on from.
    fn put_back(&mut self, step: Step<M::State>) -> usize {
        let (call, end) = self.places[step.operation];
        if let Some(end) = end {
            self.left.put_back(end);
        }
        self.left.put_back(call);
        self.taken.remove(self.numbers[step.operation]);
        (self.state, self.latest) = (step.state, step.latest);
        self.left.next[call]
    }

    fn note(&mut self, place: usize) {
        let count = self.steps.len();
        if self.furthest.as_ref().is_some_and(|furthest| (furthest.at, furthest.count) >= (place, count)) {
            return;
        }
        let mut left = Vec::new();
        let mut at = self.left.first();
        while at != place {
            left.push(self.entries[at].operation);
            at = self.left.next[at];
        }
        let before = &self.steps[count.saturating_sub(SHOWN_BEFORE)..];
        self.furthest = Some(Furthest {
            at: place,
            count,
            before: before.iter().map(|step| step.operation).collect(),
            state: self.state.clone(),
            latest: self.latest,
            left,
        });
    }

    /// The place where no order goes on: everything that is answered before it can be put in order, and this cannot.
    fn report(&self) -> String {
        let Some(furthest) = &self.furthest else { return "nothing can be said".to_owned() };
        let culprit = self.entries[furthest.at].operation;
        let mut text = format!(
            "{} of {} operations can be put in order, then none fits before this one was answered:\n  {}\n\
             the last of those that fit, in their order:\n",
            furthest.count,
            self.history.len(),
            self.history[culprit]
        );
        // Writing to a string does not fail.
        for operation in &furthest.before {
            let _ = writeln!(text, "  {}", self.history[*operation]);
        }
        let _ = writeln!(text, "the state after them: {}\nthose that could come next:", furthest.state);
        for operation in &furthest.left {
            let observed = &self.history[*operation];
            // Of what came too late for that there may be much, from every server that was killed.
            if !matches!(observed.ended, Ended::Unknown { by } if by < furthest.latest) {
                let says = self.model.says(&furthest.state, &observed.input);
                let _ = writeln!(text, "  {observed}\n    here it would be {says}");
            }
        }
        text
    }
}
