//! What a board with its items does when one command comes after the other. A board is one object, because a limited
//! column makes every move depend on all the others.
//!
//! Written after the API's documents, not after its code: statuses, codes and versions are predicted; of positions it is
//! known that they grow with what is applied, and that a repeated command gets its first one.

use crate::check::Model;
use crate::words::{
    Answer, Column, Command, Done, Input, ItemName, KeyName, Looks, OnConflict, Position, Refused, Request,
    Title, Version, View, What,
};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter;
use std::rc::Rc;

/// A value, and the version that made it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part<T> {
    value: T,
    since: Version,
}

impl<T: PartialEq> Part<T> {
    /// Whether somebody who saw `base` wishes it to be something else than what it was made since.
    fn is_in_the_way(&self, base: Version, wish: &T) -> bool {
        self.since > base && self.value != *wish
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Present {
    version: Version,
    title: Part<Title>,
    column: Part<Column>,
    is_completed: Part<bool>,
}

/// The items that are deleted, newest first. There are ever more of them, and every state has them: so they are shared.
#[derive(Debug, Clone, Default)]
struct Deleted(Option<Rc<Grave>>);

#[derive(Debug)]
struct Grave {
    item: ItemName,
    version: Version,
    count: usize,
    before: Deleted,
}

impl Deleted {
    fn iter(&self) -> impl Iterator<Item = &Grave> {
        iter::successors(self.0.as_deref(), |grave| grave.before.0.as_deref())
    }

    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |newest| newest.count)
    }

    fn with(&self, item: ItemName, version: Version) -> Self {
        let before = self.clone();
        Self(Some(Rc::new(Grave { item, version, count: before.count() + 1, before })))
    }
}

impl PartialEq for Deleted {
    fn eq(&self, other: &Self) -> bool {
        // Most states differ in few of them, if at all, and share the rest.
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                Rc::ptr_eq(one, other)
                    || ((one.item, one.version, one.count) == (other.item, other.version, other.count)
                        && one.before == other.before)
            }
            _ => false,
        }
    }
}

impl Eq for Deleted {}

impl Hash for Deleted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.count().hash(state);
    }
}

/// What is remembered of a key that comes more than once: how often it has come, and what it named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Known {
    uses: usize,
    first: Option<First>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct First {
    request: Request,
    done: Done,
    /// Unknown until somebody is told.
    position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct State {
    items: BTreeMap<ItemName, Present>,
    deleted: Deleted,
    /// Only as long as they will be used again.
    keys: BTreeMap<KeyName, Known>,
    /// The log has at least so many events.
    upto: Option<Position>,
}

/// A board.
#[derive(Debug)]
pub(crate) struct Board {
    /// How many items can be in progress.
    pub(crate) limit: usize,
    /// How often each key comes in the whole history.
    pub(crate) uses: BTreeMap<KeyName, usize>,
}

/// What the model makes of a command.
enum Verdict {
    Fresh(Done, State),
    Repeated(First),
    Refused(Refused),
}

impl Board {
    /// With the keys of a history.
    pub(crate) fn of<'c>(limit: usize, inputs: impl Iterator<Item = &'c Input>) -> Self {
        let mut uses = BTreeMap::new();
        for input in inputs {
            if let Input::Command(Command { key: Some(key), .. }) = input {
                *uses.entry(*key).or_default() += 1;
            }
        }
        Self { limit, uses }
    }

    fn judge(&self, state: &State, command: &Command) -> Verdict {
        let known = command.key.and_then(|key| state.keys.get(&key)?.first.clone());
        match known {
            Some(first) if first.request == command.request => Verdict::Repeated(first),
            Some(_) => Verdict::Refused(Refused::KeyReused),
            None => self
                .decide(state, command)
                .map_or_else(Verdict::Refused, |(done, next)| Verdict::Fresh(done, next)),
        }
    }

    fn decide(&self, state: &State, command: &Command) -> Result<(Done, State), Refused> {
        let Request { item: name, what, base } = command.request;
        let item = state.items.get(&name);
        let creates = matches!(what, What::Create(..));
        let is_deleted = item.is_none() && state.deleted.iter().any(|grave| grave.item == name);
        if !creates && is_deleted {
            return Err(Refused::Gone);
        }
        if !creates && item.is_none() {
            return Err(Refused::NotFound);
        }
        // What is gone is gone, whatever is demanded of its version.
        let version = item.map(|item| item.version);
        if !is_deleted && command.if_match.is_some() && command.if_match != version {
            return Err(Refused::Precondition(version));
        }
        if let What::Create(title, column) = what {
            return self.create(state, name, title, column, is_deleted);
        }
        let item = item.ok_or(Refused::NotFound)?;
        if let Some((base, on_conflict)) = base
            && base != item.version
        {
            let is_fine = match on_conflict {
                OnConflict::Reject => false,
                OnConflict::LastWriterWins => true,
                OnConflict::Merge => base < item.version && item.merges(base, what),
            };
            if !is_fine {
                return Err(Refused::Conflict(item.version));
            }
        }
        if what == What::Move(Column::Doing) && item.column.value != Column::Doing && self.is_full(state) {
            return Err(Refused::ColumnFull);
        }
        let version = Version(item.version.0 + 1);
        let mut next = state.clone();
        let after = item.after(what, version);
        match after {
            Some(after) => drop(next.items.insert(name, after)),
            None => {
                next.items.remove(&name);
                next.deleted = next.deleted.with(name, version);
            }
        }
        let is_applied = after != Some(*item);
        let version = if is_applied { version } else { item.version };
        Ok((Done { is_new: false, is_applied, version }, next))
    }

    fn create(
        &self,
        state: &State,
        name: ItemName,
        title: Title,
        column: Column,
        is_deleted: bool,
    ) -> Result<(Done, State), Refused> {
        // There has to be a place for it before anybody looks whether it is there.
        if column == Column::Doing && self.is_full(state) {
            return Err(Refused::ColumnFull);
        }
        if is_deleted {
            return Err(Refused::Gone);
        }
        if state.items.contains_key(&name) {
            return Err(Refused::AlreadyExists);
        }
        let version = Version(0);
        let item = Present {
            version,
            title: Part { value: title, since: version },
            column: Part { value: column, since: version },
            is_completed: Part { value: false, since: version },
        };
        let mut next = state.clone();
        next.items.insert(name, item);
        Ok((Done { is_new: true, is_applied: true, version }, next))
    }

    fn is_full(&self, state: &State) -> bool {
        let in_progress = state.items.values().filter(|item| item.column.value == Column::Doing);
        in_progress.count() >= self.limit
    }

    /// Notes that a key has come once more, and forgets it when that was the last time.
    fn note_key(&self, next: &mut State, command: &Command, first: Option<First>) {
        let Some(key) = command.key else { return };
        let uses = self.uses.get(&key).copied().unwrap_or(0);
        let known = next.keys.entry(key).or_insert(Known { uses: 0, first: None });
        known.uses += 1;
        if first.is_some() {
            known.first = first;
        }
        if known.uses >= uses {
            next.keys.remove(&key);
        }
    }

    fn is_used_again(&self, command: &Command) -> bool {
        command.key.is_some_and(|key| self.uses.get(&key).is_some_and(|uses| *uses > 1))
    }

    fn of_command(&self, state: &State, command: &Command, output: Option<&Answer>) -> Option<State> {
        match (self.judge(state, command), output) {
            // Nobody could tell what was refused from what never came, or was told before.
            (Verdict::Refused(_) | Verdict::Repeated(_), None) => None,
            (Verdict::Fresh(done, mut next), None) => {
                if !done.is_applied && !self.is_used_again(command) {
                    return None;
                }
                let first = First { request: command.request, done, position: None };
                self.note_key(&mut next, command, Some(first));
                Some(next)
            }
            (Verdict::Fresh(done, mut next), Some(Answer::Done(told, position))) => {
                let is_later = state
                    .upto
                    .is_none_or(|upto| if done.is_applied { *position > upto } else { *position >= upto });
                if done != *told || !is_later {
                    return None;
                }
                next.upto = Some(*position);
                let first = First { request: command.request, done, position: Some(*position) };
                self.note_key(&mut next, command, Some(first));
                Some(next)
            }
            (Verdict::Repeated(first), Some(Answer::Done(told, position))) => {
                if first.done != *told || first.position.is_some_and(|first| first != *position) {
                    return None;
                }
                let mut next = state.clone();
                self.note_key(&mut next, command, Some(First { position: Some(*position), ..first }));
                Some(next)
            }
            (Verdict::Refused(refused), Some(Answer::Refused(told))) if refused == *told => {
                let mut next = state.clone();
                self.note_key(&mut next, command, None);
                Some(next)
            }
            _ => None,
        }
    }
}

impl Present {
    /// Whether a wish of somebody who saw `base` is not in the way of what happened since.
    fn merges(&self, base: Version, what: What) -> bool {
        match what {
            What::Retitle(title) => !self.title.is_in_the_way(base, &title),
            What::Move(column) => !self.column.is_in_the_way(base, &column),
            What::Complete => !self.is_completed.is_in_the_way(base, &true),
            What::Reopen => !self.is_completed.is_in_the_way(base, &false),
            // What nobody has seen is not taken away; and what is there is not created.
            What::Delete | What::Create(..) => false,
        }
    }

    /// The item with something changed, if there was something to change; nothing where it is deleted.
    fn after(mut self, what: What, version: Version) -> Option<Self> {
        fn set<T: PartialEq>(part: &mut Part<T>, value: T, since: Version) -> bool {
            let changes = part.value != value;
            if changes {
                *part = Part { value, since };
            }
            changes
        }
        let changes = match what {
            What::Retitle(title) => set(&mut self.title, title, version),
            What::Move(column) => set(&mut self.column, column, version),
            What::Complete => set(&mut self.is_completed, true, version),
            What::Reopen => set(&mut self.is_completed, false, version),
            What::Delete => return None,
            What::Create(..) => false,
        };
        if changes {
            self.version = version;
        }
        Some(self)
    }
}

impl State {
    fn view(&self) -> View {
        let present = self.items.iter().map(|(name, item)| {
            let Present { version, title, column, is_completed } = *item;
            (*name, Looks { version, present: Some((title.value, column.value, is_completed.value)) })
        });
        let deleted =
            self.deleted.iter().map(|grave| (grave.item, Looks { version: grave.version, present: None }));
        present.chain(deleted).collect()
    }
}

impl Model for Board {
    type Input = Input;
    type Output = Answer;
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn step(&self, state: &State, input: &Input, output: Option<&Answer>) -> Option<State> {
        match input {
            Input::Command(command) => self.of_command(state, command, output),
            Input::Read => match output {
                Some(Answer::Seen(view)) if *view == state.view() => Some(state.clone()),
                _ => None,
            },
        }
    }

    fn says(&self, state: &State, input: &Input) -> String {
        match input {
            Input::Read => Answer::Seen(state.view()).to_string(),
            Input::Command(command) => match self.judge(state, command) {
                Verdict::Fresh(done, _) => {
                    let upto = state.upto.map_or(0, |upto| upto.0);
                    let least = Position(upto + u64::from(done.is_applied));
                    format!("{} at least", Answer::Done(done, least))
                }
                Verdict::Repeated(First { done, position, .. }) => match position {
                    Some(position) => format!("{} again", Answer::Done(done, position)),
                    None => format!("{done} again"),
                },
                Verdict::Refused(refused) => Answer::Refused(refused).to_string(),
            },
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upto = self.upto.map_or(0, |upto| upto.0);
        write!(f, "{}; the log has {upto} events at least", Answer::Seen(self.view()))
    }
}
