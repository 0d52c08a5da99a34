//! Positions against real time, over all boards: the log is one order, and answers say where in it they are.
//!
//! A repeated command gets the position that it had, so whose key comes more than once is only looked at as something
//! that was answered before others began.

use crate::history::{Ended, Moment, Operation};
use crate::words::{Answer, Command, Input, KeyName, Position};
use std::collections::{BTreeMap, BTreeSet};

type Seen = Operation<Input, Answer>;

fn key(operation: &Seen) -> Option<KeyName> {
    match operation.input {
        Input::Command(Command { key, .. }) => key,
        Input::Read => None,
    }
}

/// When it was answered, where, and whether something was applied there.
fn told(operation: &Seen) -> Option<(Moment, Position, bool)> {
    match &operation.ended {
        Ended::Answered { at, output: Answer::Done(done, position) } => {
            Some((*at, *position, done.is_applied))
        }
        _ => None,
    }
}

/// What is wrong with the positions, if anything.
pub(crate) fn check(history: &[Seen]) -> Result<(), String> {
    let mut uses: BTreeMap<KeyName, usize> = BTreeMap::new();
    history.iter().filter_map(key).for_each(|key| *uses.entry(key).or_default() += 1);
    let is_once = |operation: &Seen| key(operation).is_none_or(|key| uses[&key] == 1);

    let mut answered: Vec<(Moment, Position, &Seen)> = history
        .iter()
        .filter_map(|operation| told(operation).map(|(at, position, _)| (at, position, operation)))
        .collect();
    answered.sort_by_key(|(at, ..)| *at);
    let mut begun: Vec<&Seen> = history.iter().filter(|operation| is_once(operation)).collect();
    begun.sort_by_key(|operation| operation.invoked);
    let mut answered = answered.into_iter().peekable();
    let mut highest: Option<(Position, &Seen)> = None;
    for operation in begun {
        while let Some((_, position, before)) = answered.next_if(|(at, ..)| *at < operation.invoked) {
            if highest.is_none_or(|(highest, _)| position > highest) {
                highest = Some((position, before));
            }
        }
        if let (Some((before, earlier)), Some((_, position, is_applied))) = (highest, told(operation))
            && (position < before || (is_applied && position == before))
        {
            return Err(format!(
                "positions go back:\n  {earlier}\nwas answered before this began:\n  {operation}"
            ));
        }
    }

    let mut places: BTreeMap<Position, &Seen> = BTreeMap::new();
    let mut named: BTreeSet<(Position, KeyName)> = BTreeSet::new();
    for operation in history {
        let Some((_, position, true)) = told(operation) else { continue };
        // Under one key it is one command.
        if key(operation).is_some_and(|key| !named.insert((position, key))) {
            continue;
        }
        if let Some(other) = places.insert(position, operation) {
            return Err(format!("two commands have one position:\n  {other}\n  {operation}"));
        }
    }
    Ok(())
}
