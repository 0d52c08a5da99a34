//! Names, payloads as they stand in the log, and decisions against a model that knows nothing of them.

#![allow(clippy::cast_possible_truncation, reason = "the numbers of the model are small")]

use super::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn state() -> State {
    State {
        name: "orders".parse().unwrap(),
        workspace_id: Some(Uuid::from_u128(7).into()),
        settings: Settings {
            filter: Filter { category: Some("item".into()), ..Filter::default() },
            ack_timeout_ms: 30_000,
            attempts_max: 3,
            in_flight_max: 10,
        },
        cursor: 5,
        generation: 0,
        refused: Vec::new(),
        retried: Vec::new(),
        parked: Vec::new(),
        discarded: Vec::new(),
    }
}

fn refuse(position: u64, park: bool) -> Refuse {
    Refuse { position, park, not_before_ms: 0, reason: Some("no".into()), now_ms: 9, attempts: 0 }
}

#[test]
fn names_are_bounded_and_make_names_of_the_log() {
    for name in ["a", "A.b_c-9", &"x".repeat(64), "0"] {
        assert!(name.parse::<ConsumerName>().is_ok(), "{name}");
    }
    for name in ["", "-a", ".a", "_", "a b", "a/b", "ä", "a\n", "a:b", &"x".repeat(65), "a%2fb"] {
        assert_eq!(name.parse::<ConsumerName>(), Err(NameRefused), "{name}");
    }
    // Whose it is has one length, so no name of one owner's is ever another owner's stream.
    let name: ConsumerName = "orders".parse().unwrap();
    let owner = Some(Uuid::from_u128(7).into());
    assert_eq!(stream(owner, &name), "sys-consumer-00000000-0000-0000-0000-000000000007-orders");
    assert_eq!(stream(None, &name), "sys-consumer-all-orders");
    assert_eq!(directory_tag(None), "sys:consumers:all");
}

#[test]
fn payloads_stand_in_the_log_like_this() {
    let mut consumer = state();
    consumer.parked.push(Parked { position: 3, attempts: 2, at_ms: 9, reason: Some("no".into()) });
    let change = Change { positions: vec![3], names: None, consumer: Some(consumer.clone()) };
    let golden = json!({
        "positions": [3],
        "consumer": {
            "name": "orders",
            "workspaceId": "00000000-0000-0000-0000-000000000007",
            "filter": {"category": "item"},
            "ackTimeoutMs": 30000,
            "attemptsMax": 3,
            "inFlightMax": 10,
            "cursor": 5,
            "generation": 0,
            "parked": [{"position": 3, "attempts": 2, "atMs": 9, "reason": "no"}],
        },
    });
    assert_eq!(serde_json::to_value(&change).unwrap(), golden);
    assert_eq!(serde_json::from_value::<Change>(golden).unwrap(), change);
    let advance = Advance { cursor: 9, decided: 2 };
    assert_eq!(serde_json::to_value(advance).unwrap(), json!({"cursor": 9, "decided": 2}));
    let names = ["created", "refused", "parked", "retried", "settled", "discarded", "reset", "deleted"];
    for (happening, name) in Happening::ALL.into_iter().zip(names) {
        assert_eq!(happening.event_type(), format!("sys.consumer_{name}"));
    }
}

#[test]
fn two_events_say_where_a_consumer_is() {
    let stored = |version: u64, event_type: &str, payload: serde_json::Value| Stored {
        version,
        event_type: event_type.to_owned(),
        payload: payload.to_string().into_bytes(),
    };
    let change =
        |consumer| serde_json::to_value(Change { positions: vec![], names: None, consumer }).unwrap();
    let events = [
        stored(0, Happening::Created.event_type(), change(Some(state()))),
        stored(1, ACKNOWLEDGED, json!({"cursor": 8, "decided": 0})),
        stored(2, ACKNOWLEDGED, json!({"cursor": 11, "decided": 0})),
        stored(3, Happening::Deleted.event_type(), change(None)),
        stored(4, ACKNOWLEDGED, json!({"cursor": 11, "decided": 9})),
        stored(5, ACKNOWLEDGED, json!({"cursor": "x"})),
    ];
    let load = |until: usize| {
        let mut reads = 0;
        let known = load(|version| {
            reads += 1;
            let at = version.map_or(until.checked_sub(1), |version| usize::try_from(version).ok());
            Ok::<_, ()>(at.and_then(|at| events.get(at)).cloned())
        });
        assert!(reads <= 2, "{reads}");
        known
    };
    assert_eq!(load(0).unwrap(), None);
    assert_eq!(load(1).unwrap().unwrap().state, Some(state()));
    let known = load(3).unwrap().unwrap();
    assert_eq!((known.version, known.decided, known.state.unwrap().cursor), (2, 0, 11));
    assert_eq!(load(4).unwrap().unwrap().state, None, "it is gone");
    assert!(matches!(load(5), Err(LoadError::Unreadable { version: 4, .. })));
    assert!(matches!(load(6), Err(LoadError::Unreadable { version: 5, .. })));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let state = state();
    assert_eq!(state.acknowledge(20, 20), Err(Refusal::BeyondEnd { position: 20, end: 20 }));
    assert_eq!(state.refuse(refuse(20, true), 20), Err(Refusal::BeyondEnd { position: 20, end: 20 }));
    assert_eq!(state.refuse(refuse(4, true), 20), Err(Refusal::AlreadyAcknowledged { position: 4 }));
    assert_eq!(state.retry(Which::These(&[6])), Err(Refusal::NotParked { position: 6 }));
    assert_eq!(state.reset(21, 20), Err(Refusal::BeyondEnd { position: 21, end: 20 }));
    assert_eq!(state.check_generation(Some(1)), Err(Refusal::StaleGeneration { said: 1, current: 0 }));
    let long = Refuse { reason: Some("é".repeat(257)), ..refuse(6, false) };
    assert_eq!(state.refuse(long, 20), Err(Refusal::ReasonTooLong));
    let mut full = state;
    for position in 5..5 + PARKED_MAX as u64 {
        full = full.refuse(refuse(position, true), 1_000).unwrap().unwrap().1;
    }
    assert_eq!(full.refuse(refuse(900, true), 1_000), Err(Refusal::TooManyParked));
    // To discard what the cursor has not passed makes no room yet; to retry it does.
    let discarded = full.discard(Which::These(&[5])).unwrap().unwrap().1;
    assert_eq!(discarded.refuse(refuse(900, true), 1_000), Err(Refusal::TooManyParked));
    let retried = full.retry(Which::These(&[5])).unwrap().unwrap().1;
    assert!(retried.refuse(refuse(900, true), 1_000).is_ok());
}

/// What has become of each event, by the plainest of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Done,
    Parked,
    Retried,
    Discarded,
}

#[test]
fn random_decisions_are_those_of_a_plain_model() {
    let (_, seed) = Uuid::new_v4().as_u64_pair();
    eprintln!("seed {seed}");
    let mut random = seed | 1;
    let mut roll = move |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    const END: u64 = 40;
    for _ in 0..300 {
        let mut state = State { cursor: 0, ..state() };
        let mut fates = vec![Fate::Open; END as usize];
        let mut tries: BTreeMap<u64, u32> = BTreeMap::new();
        for _ in 0..60 {
            let position = roll(END);
            let at = position as usize;
            match roll(8) {
                0..=2 => {
                    let done = state.acknowledge(position, END).unwrap();
                    match fates[at] {
                        Fate::Retried => {
                            assert!(matches!(done, Acknowledged::Settled(_)));
                            fates[at] = Fate::Done;
                        }
                        _ if position < state.cursor => assert_eq!(done, Acknowledged::Before),
                        _ => fates[..=at].iter_mut().for_each(|fate| {
                            if *fate == Fate::Open {
                                *fate = Fate::Done;
                            }
                        }),
                    }
                    match done {
                        Acknowledged::Before => {}
                        Acknowledged::Cursor(cursor) => state.advance(cursor),
                        Acknowledged::Settled(next) => state = *next,
                    }
                }
                3 | 4 => {
                    let park = roll(2) == 0;
                    let refused = state.refuse(refuse(position, park), END);
                    match fates[at] {
                        Fate::Done => assert_eq!(refused, Err(Refusal::AlreadyAcknowledged { position })),
                        Fate::Parked => assert_eq!(refused, Ok(None)),
                        Fate::Discarded if position < state.cursor => assert!(refused.is_err()),
                        Fate::Discarded => assert_eq!(refused, Ok(None)),
                        Fate::Open | Fate::Retried => {
                            let (happening, next) = refused.unwrap().unwrap();
                            state = next;
                            let tried = tries.entry(position).or_default();
                            *tried += 1;
                            if park || *tried >= 3 {
                                assert_eq!(happening, Happening::Parked);
                                fates[at] = Fate::Parked;
                                tries.remove(&position);
                            } else {
                                assert_eq!(happening, Happening::Refused);
                            }
                        }
                    }
                }
                5 => {
                    let retry = roll(2) == 0;
                    let which = [position];
                    let which = if roll(3) == 0 { Which::All } else { Which::These(&which) };
                    let parked: Vec<u64> =
                        (0..END).filter(|position| fates[*position as usize] == Fate::Parked).collect();
                    let meant = match which {
                        Which::All => parked.clone(),
                        Which::These(_) => vec![position],
                    };
                    let done = if retry { state.retry(which) } else { state.discard(which) };
                    if meant.iter().any(|position| !parked.contains(position)) {
                        assert_eq!(done, Err(Refusal::NotParked { position }));
                    } else if meant.is_empty() {
                        assert_eq!(done, Ok(None));
                    } else {
                        let (positions, next) = done.unwrap().unwrap();
                        assert_eq!(positions, meant);
                        for position in meant {
                            fates[position as usize] = match (retry, position < state.cursor) {
                                (true, true) => Fate::Retried,
                                (true, false) => Fate::Open,
                                (false, _) => Fate::Discarded,
                            };
                        }
                        state = next;
                    }
                }
                6 if roll(10) == 0 => {
                    state = state.reset(position, END).unwrap();
                    tries.clear();
                    for (number, fate) in fates.iter_mut().enumerate() {
                        match fate {
                            _ if number >= at => *fate = Fate::Open,
                            Fate::Parked => {}
                            _ => *fate = Fate::Done,
                        }
                    }
                }
                _ => {}
            }
            tries.retain(|position, _| matches!(fates[*position as usize], Fate::Open | Fate::Retried));
            let positions = |fate: Fate| -> BTreeSet<u64> {
                (0..END).filter(|position| fates[*position as usize] == fate).collect()
            };
            assert_eq!(
                state.parked.iter().map(|parked| parked.position).collect::<BTreeSet<_>>(),
                positions(Fate::Parked)
            );
            assert_eq!(
                state.retried.iter().map(|one| one.position).collect::<BTreeSet<_>>(),
                positions(Fate::Retried)
            );
            // What comes is what is open, and nothing that is open is behind the cursor.
            let coming: BTreeSet<u64> =
                (state.cursor..END).filter(|position| !state.is_aside(*position)).collect();
            assert_eq!(coming, positions(Fate::Open));
            let counted: BTreeMap<u64, u32> = state
                .refused
                .iter()
                .chain(&state.retried)
                .filter(|refused| refused.attempts > 0)
                .map(|refused| (refused.position, refused.attempts))
                .collect();
            assert_eq!(counted, tries);
            let json = serde_json::to_vec(&state).unwrap();
            assert_eq!(serde_json::from_slice::<State>(&json).unwrap(), state);
        }
    }
}
