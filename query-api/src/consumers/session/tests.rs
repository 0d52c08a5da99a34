//! A session against a client that does anything at any time, and a log of which some events are wanted.

#![allow(clippy::cast_possible_truncation, reason = "the numbers of the model are small")]

use super::*;
use domain::system::consumers::{Acknowledged, Filter, Refuse, Settings, Which};
use std::collections::BTreeSet;
use uuid::Uuid;

fn state(in_flight_max: u32, attempts_max: u32) -> State {
    State {
        name: "orders".parse().unwrap(),
        workspace_id: None,
        settings: Settings { filter: Filter::default(), ack_timeout_ms: 1_000, attempts_max, in_flight_max },
        cursor: 0,
        generation: 0,
        refused: Vec::new(),
        retried: Vec::new(),
        parked: Vec::new(),
        discarded: Vec::new(),
    }
}

/// Delivers whatever the session says, from a log in which everything is wanted.
fn give(session: &mut Session, now: Instant, end: u64) -> Vec<u64> {
    let mut given = Vec::new();
    loop {
        match session.step(now, 0) {
            Step::Read { from, room, until } => {
                let aside = session.state().clone();
                let wanted = (from..end.min(until)).filter(|position| !aside.is_aside(*position));
                let found: Vec<u64> = wanted.take(room).collect();
                if found.is_empty() {
                    return given;
                }
                for position in found {
                    session.deliver(position, now);
                    given.push(position);
                }
            }
            Step::One(position) => {
                session.deliver(position, now);
                given.push(position);
            }
            Step::Exhausted { .. } | Step::Wait(_) => return given,
        }
    }
}

fn after(now: Instant, ms: u64) -> Instant {
    now + Duration::from_millis(ms)
}

#[test]
fn no_more_is_on_its_way_than_may_be_and_progress_keeps_it_there() {
    let start = Instant::now();
    let mut durable = state(4, 5);
    let mut session = Session::new(durable.clone(), start);
    assert_eq!(give(&mut session, start, 10), [0, 1, 2, 3]);
    assert!(!session.is_late(after(start, 999)) && session.is_late(after(start, 1_000)));
    // Slow is not late: the time begins anew with everything that is acknowledged.
    for (round, cursor) in (1..4).enumerate() {
        let now = after(start, 900 * (round as u64 + 1));
        assert!(!session.is_late(now), "{round}");
        durable.advance(cursor);
        session.take_in(durable.clone(), now);
        assert_eq!(give(&mut session, now, 10), [cursor + 3]);
    }
    assert!(session.is_late(after(start, 3_700)));
}

#[test]
fn the_event_to_blame_is_found_one_by_one() {
    let mut now = Instant::now();
    let mut durable = state(10, 3);
    let mut session = Session::new(durable.clone(), now);
    // The client falls over event 2 whenever it gets it, and acknowledges one by one.
    let mut given = Vec::new();
    let mut crashes = 0;
    loop {
        if let Step::Exhausted { position, attempts } = session.step(now, 0) {
            assert_eq!((position, attempts), (2, 3));
            break;
        }
        for position in give(&mut session, now, 5) {
            given.push((position, session.attempt(position)));
            if position == 2 {
                break;
            }
            durable.advance(position + 1);
            session.take_in(durable.clone(), now);
        }
        now = after(now, 2_000);
        assert!(session.is_late(now));
        session.go_back(now);
        crashes += 1;
        assert!(crashes < 10, "{given:?}");
    }
    assert_eq!(given, [(0, 1), (1, 1), (2, 1), (2, 2), (2, 3)]);
    let refuse = Refuse { position: 2, park: true, not_before_ms: 0, reason: None, now_ms: 0, attempts: 3 };
    durable = durable.refuse(refuse, 5).unwrap().unwrap().1;
    session.take_in(durable.clone(), now);
    // What was on its way with it still comes one at a time, and is counted from the beginning.
    assert_eq!((give(&mut session, now, 5), session.attempt(3)), (vec![3], 1));
    durable.advance(4);
    session.take_in(durable.clone(), now);
    assert_eq!(give(&mut session, now, 5), [4]);
    // The parked one comes by itself when it is retried, behind what is on its way.
    durable = durable.retry(Which::All).unwrap().unwrap().1;
    session.take_in(durable.clone(), now);
    assert!(give(&mut session, now, 9).is_empty(), "4 is on its way");
    durable.advance(5);
    session.take_in(durable.clone(), now);
    assert_eq!(give(&mut session, now, 9), [2]);
    let Acknowledged::Settled(settled) = durable.acknowledge(2, 9).unwrap() else { panic!("it was retried") };
    session.take_in(*settled, now);
    assert_eq!(give(&mut session, now, 9), [5, 6, 7, 8]);
}

#[test]
fn what_is_refused_holds_back_what_is_behind_it() {
    let now = Instant::now();
    let mut session = Session::new(state(10, 3), now);
    assert_eq!(give(&mut session, now, 6), [0, 1, 2, 3, 4, 5]);
    let refuse =
        Refuse { position: 2, park: false, not_before_ms: 500, reason: None, now_ms: 0, attempts: 0 };
    let durable = session.state().refuse(refuse, 6).unwrap().unwrap().1;
    session.take_in(durable, now);
    assert_eq!(session.step(now, 0), Step::Wait(Some(Duration::from_millis(500))));
    assert_eq!(session.step(now, 499), Step::Wait(Some(Duration::from_millis(1))));
    // 0 and 1 are on their way still; then 2 comes again, with what is behind it, one at a time.
    assert_eq!(session.in_flight, [0, 1]);
    assert_eq!(session.step(now, 500), Step::Wait(Some(Duration::from_secs(1))));
    let mut durable = session.state().clone();
    durable.advance(2);
    session.take_in(durable, now);
    assert_eq!(session.step(now, 500), Step::Read { from: 2, room: 1, until: u64::MAX });
    assert_eq!(session.attempt(2), 2);
}

/// Everything that can happen, at random; what is checked is what everybody may rely on.
#[test]
fn whatever_happens_nothing_is_lost_and_nothing_comes_in_disorder() {
    const END: u64 = 60;
    let (_, seed) = Uuid::new_v4().as_u64_pair();
    eprintln!("seed {seed}");
    let mut random = seed | 1;
    let mut roll = move |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    let is_wanted = |position: u64| !position.is_multiple_of(3);
    for _ in 0..400 {
        let in_flight_max = 1 + roll(8) as u32;
        let mut durable = state(in_flight_max, 1 + roll(4) as u32);
        let (mut now, mut now_ms) = (Instant::now(), 0_i64);
        let mut session = Session::new(durable.clone(), now);
        // What the client has seen since the consumer was reset, and what it holds.
        let (mut seen, mut held): (BTreeSet<u64>, Vec<u64>) = (BTreeSet::new(), Vec::new());
        let mut rounds = 0;
        loop {
            rounds += 1;
            let is_calm = rounds > 150;
            assert!(rounds < 2_000, "it never comes to the end: {session:?}");
            if is_calm {
                // Everybody does what they should from now on.
                session.take_in(durable.clone(), now);
                now_ms += 100_000;
            }
            match session.step(now, now_ms) {
                Step::Read { from, room, until } => {
                    assert!(room >= 1 && session.in_flight.len() + room <= in_flight_max as usize);
                    assert!(session.in_flight.iter().all(|position| *position < from), "in order");
                    let state = session.state().clone();
                    let end = END.min(until);
                    let wanted = (from..end).filter(|at| is_wanted(*at) && !state.is_aside(*at));
                    let found: Vec<u64> = wanted.take(room.min(1 + roll(4) as usize)).collect();
                    for position in &found {
                        assert!(*position >= state.cursor);
                        session.deliver(*position, now);
                    }
                    if found.is_empty() {
                        session.pass(end);
                        if is_calm && session.first().is_none() && end == END {
                            break;
                        }
                    }
                    seen.extend(&found);
                    held.extend(found);
                }
                Step::One(position) => {
                    assert!(session.first().is_none(), "by itself");
                    assert!(position < session.state().cursor);
                    session.deliver(position, now);
                    held = vec![position];
                }
                Step::Exhausted { position, attempts } => {
                    let refuse =
                        Refuse { position, park: true, not_before_ms: 0, reason: None, now_ms, attempts };
                    if let Some((_, next)) = durable.refuse(refuse, END).unwrap_or(None) {
                        durable = next;
                    }
                    session.take_in(durable.clone(), now);
                }
                Step::Wait(_) if is_calm => assert!(session.first().is_some() || !durable.refused.is_empty()),
                Step::Wait(_) => {}
            }
            let what = if is_calm { 0 } else { roll(16) };
            match what {
                0..=5 if !held.is_empty() => {
                    let kept = if is_calm { 0 } else { roll(held.len() as u64) as usize };
                    let position = held[held.len() - 1 - kept];
                    let cursor = durable.cursor;
                    match durable.acknowledge(position, END).unwrap() {
                        Acknowledged::Before => {}
                        Acknowledged::Settled(next) => durable = *next,
                        Acknowledged::Cursor(next) => {
                            for passed in (cursor..next).filter(|at| is_wanted(*at)) {
                                assert!(
                                    seen.contains(&passed) || durable.is_aside(passed),
                                    "{passed} was never given out, and {position} acknowledged"
                                );
                            }
                            durable.advance(next);
                        }
                    }
                    held.retain(|one| *one > position);
                }
                6 | 7 if !held.is_empty() => {
                    let position = held[roll(held.len() as u64) as usize];
                    let not_before_ms = now_ms + roll(3) as i64 * 400;
                    let park = roll(3) == 0;
                    let refuse = Refuse { position, park, not_before_ms, reason: None, now_ms, attempts: 0 };
                    if let Ok(Some((_, next))) = durable.refuse(refuse, END) {
                        durable = next;
                        held.retain(|one| *one < position);
                    }
                }
                8 => {
                    if let Ok(Some((_, next))) = durable.retry(Which::All) {
                        durable = next;
                    }
                }
                9 if roll(3) == 0 => {
                    if let Ok(Some((_, next))) = durable.discard(Which::All) {
                        durable = next;
                    }
                }
                10 if roll(8) == 0 => {
                    let position = roll(END);
                    durable = durable.reset(position, END).unwrap();
                    seen.clear();
                    held.clear();
                    // What is parked stays so; whatever else is before comes no more, and was not to.
                    session.take_in(durable.clone(), now);
                }
                11 => {
                    let ms = roll(1_500);
                    now = after(now, ms);
                    now_ms += ms as i64;
                    if session.is_late(now) {
                        session.go_back(now);
                        held.clear();
                    }
                }
                12 if roll(4) == 0 => {
                    // The process is another one: it knows what stands in the log.
                    session = Session::new(durable.clone(), now);
                    held.clear();
                }
                13 => {
                    session.go_back(now);
                    held.clear();
                }
                _ => {}
            }
            if is_calm {
                // A client that has lost what it held gets it again.
                if held.is_empty() && session.first().is_some() {
                    session.take_in(durable.clone(), now);
                    session.go_back(now);
                }
            } else if roll(2) == 0 {
                session.take_in(durable.clone(), now);
            }
        }
        assert_eq!((durable.retried.len(), durable.refused.len()), (0, 0), "{durable:?}");
        let left = (durable.cursor..END).filter(|at| is_wanted(*at) && !durable.is_aside(*at));
        assert_eq!(left.collect::<Vec<_>>(), [0; 0], "everything is dealt with");
    }
}
