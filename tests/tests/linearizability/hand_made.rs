//! The checker itself: histories made by hand, good and bad. A checker that finds fault with nothing would look just like a
//! server without faults.

use crate::check::{Failure, check};
use crate::history::{ClientId, Ended, Moment, Operation};
use crate::model::Board;
use crate::positions;
use crate::words::{
    Answer, Column, Command, Done, Input, ItemName, KeyName, Looks, OnConflict, Position, Refused, Request,
    Title, Version, What,
};
use std::collections::BTreeMap;

type Seen = Operation<Input, Answer>;

const KEY: KeyName = KeyName { client: 0, number: 0 };

fn item(slot: u32) -> ItemName {
    ItemName { slot, generation: 0 }
}

fn ask(slot: u32, what: What) -> Command {
    Command { request: Request { item: item(slot), what, base: None }, if_match: None, key: None }
}

fn create(slot: u32) -> Command {
    ask(slot, What::Create(Title(0), Column::ToDo))
}

fn retitle(slot: u32, title: u64) -> Command {
    ask(slot, What::Retitle(Title(title)))
}

fn start(slot: u32) -> Command {
    ask(slot, What::Move(Column::Doing))
}

impl Command {
    fn if_match(self, version: u64) -> Self {
        Self { if_match: Some(Version(version)), ..self }
    }

    fn since(self, version: u64, on_conflict: OnConflict) -> Self {
        let base = Some((Version(version), on_conflict));
        Self { request: Request { base, ..self.request }, ..self }
    }

    fn under_key(self) -> Self {
        Self { key: Some(KEY), ..self }
    }

    /// From the first to the last of these times; each in a client of its own.
    fn at(self, times: std::ops::RangeInclusive<u64>, output: Answer) -> Seen {
        let at = Moment::at(*times.end());
        let (client, invoked) = (ClientId(0), Moment::at(*times.start()));
        Operation { client, invoked, input: Input::Command(self), ended: Ended::Answered { at, output } }
    }

    /// From then on, perhaps; never after `by`.
    fn lost(self, invoked: u64, by: Moment) -> Seen {
        let ended = Ended::Unknown { by };
        Operation { client: ClientId(0), invoked: Moment::at(invoked), input: Input::Command(self), ended }
    }
}

fn applied(version: u64, position: u64) -> Answer {
    Answer::Done(
        Done { is_new: version == 0, is_applied: true, version: Version(version) },
        Position(position),
    )
}

fn unchanged(version: u64, position: u64) -> Answer {
    Answer::Done(Done { is_new: false, is_applied: false, version: Version(version) }, Position(position))
}

fn precondition_failed(version: u64) -> Answer {
    Answer::Refused(Refused::Precondition(Some(Version(version))))
}

/// The end of a history, with an item as the log has it.
fn read(time: u64, version: u64, present: Option<(Title, Column, bool)>) -> Seen {
    let view = BTreeMap::from([(item(0), Looks { version: Version(version), present })]);
    let ended = Ended::Answered { at: Moment::at(time), output: Answer::Seen(view) };
    Operation { client: ClientId(1), invoked: Moment::at(time), input: Input::Read, ended }
}

fn checked(history: &[Seen]) -> Result<Vec<usize>, Failure> {
    let model = Board::of(1, history.iter().map(|operation| &operation.input));
    check(&model, history)
}

#[track_caller]
fn good(history: &[Seen]) -> Vec<usize> {
    checked(history).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Not linearizable; the report has these words in it.
#[track_caller]
fn bad(history: &[Seen], words: &str) {
    match checked(history) {
        Err(Failure::NotLinearizable(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_after_the_other_is_fine_and_nothing_at_all_too() {
    assert!(good(&[]).is_empty());
    let order = good(&[
        create(0).at(1..=2, applied(0, 1)),
        create(0).at(3..=4, Answer::Refused(Refused::AlreadyExists)),
        retitle(0, 1).at(5..=6, applied(1, 2)),
        retitle(0, 1).at(7..=8, unchanged(1, 2)),
        retitle(0, 2).if_match(0).at(9..=10, precondition_failed(1)),
        ask(0, What::Delete).at(11..=12, applied(2, 3)),
        retitle(0, 3).if_match(0).at(13..=14, Answer::Refused(Refused::Gone)),
        create(0).at(15..=16, Answer::Refused(Refused::Gone)),
        retitle(1, 3).at(17..=18, Answer::Refused(Refused::NotFound)),
        read(20, 2, None),
    ]);
    assert_eq!(order, (0..10).collect::<Vec<_>>());
}

#[test]
fn what_overlaps_may_have_come_in_any_order() {
    let order = good(&[
        retitle(0, 1).if_match(0).at(5..=30, precondition_failed(1)),
        create(0).at(1..=40, applied(0, 1)),
        retitle(0, 2).at(6..=20, applied(1, 2)),
    ]);
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn a_stale_refusal_is_found() {
    // The version that it complains about was history before it was asked.
    bad(
        &[
            create(0).at(1..=2, applied(0, 1)),
            retitle(0, 1).at(3..=4, applied(1, 2)),
            retitle(0, 2).if_match(1).at(5..=6, precondition_failed(0)),
        ],
        "here it would be 200 applied version 2",
    );
    // The same from somebody who asked in time.
    good(&[
        create(0).at(1..=2, applied(0, 1)),
        retitle(0, 1).at(3..=7, applied(1, 2)),
        retitle(0, 2).if_match(1).at(5..=6, precondition_failed(0)),
    ]);
}

#[test]
fn a_lost_update_is_found() {
    let first = create(0).at(1..=2, applied(0, 1));
    let one = retitle(0, 1).if_match(0).at(3..=9, applied(1, 2));
    // Two successes on one version, whichever version the second claims to have made.
    for version in [1, 2] {
        let other = retitle(0, 2).if_match(0).at(4..=8, applied(version, 3));
        bad(&[first.clone(), one.clone(), other], "If-Match \"0\"");
    }
    let refused = retitle(0, 2).if_match(0).at(4..=8, precondition_failed(1));
    good(&[first, one, refused]);
}

#[test]
fn more_than_a_column_holds_is_found_and_so_is_a_column_that_is_not_full() {
    let two = [create(0).at(1..=2, applied(0, 1)), create(1).at(1..=2, applied(0, 2))];
    let full = || Answer::Refused(Refused::ColumnFull);
    let with = |more: &[Seen]| [&two[..], more].concat();
    let both = [start(0).at(3..=6, applied(1, 3)), start(1).at(4..=5, applied(1, 4))];
    bad(&with(&both), "422 wip_limit_reached");
    good(&with(&[start(0).at(3..=6, applied(1, 3)), start(1).at(4..=5, full())]));
    bad(&with(&[start(1).at(3..=4, full())]), "applied version 1");
    // It was full, but nobody who asked now can have seen that.
    let leaves = ask(0, What::Move(Column::ToDo));
    let before = [start(0).at(3..=4, applied(1, 3)), leaves.at(5..=6, applied(2, 4))];
    bad(&[with(&before), vec![start(1).at(7..=8, full())]].concat(), "applied version 1");
    good(&[with(&before), vec![start(1).at(5..=8, full())]].concat());
}

#[test]
fn real_time_counts() {
    // Both answers are right in one order, which is not the order of the clock.
    let create = create(0).at(1..=2, applied(0, 1));
    let second = retitle(0, 2).at(3..=4, applied(2, 3));
    bad(&[create.clone(), second.clone(), retitle(0, 1).at(5..=6, applied(1, 2))], "version 2 position 3");
    good(&[create, second, retitle(0, 1).at(4..=6, applied(1, 2))]);
}

#[test]
fn what_nobody_knows_may_take_effect_later_or_never() {
    let create = create(0).at(1..=2, applied(0, 1));
    let lost = |by| retitle(0, 1).lost(3, by);
    let none_yet = retitle(0, 2).if_match(0).at(5..=6, applied(1, 2));
    let saw_it = retitle(0, 3).if_match(2).at(9..=10, applied(3, 4));
    // Never; at once; after something that was asked later.
    good(&[create.clone(), lost(Moment::NEVER), none_yet.clone()]);
    let at_once = retitle(0, 2).if_match(1).at(5..=6, applied(2, 3));
    assert_eq!(good(&[create.clone(), lost(Moment::NEVER), at_once.clone()]).len(), 3);
    let later = [create.clone(), lost(Moment::NEVER), none_yet.clone(), saw_it.clone()];
    assert_eq!(good(&later), [0, 2, 1, 3]);
    // Not twice.
    let again = retitle(0, 3).if_match(3).at(9..=10, applied(4, 5));
    bad(&[create.clone(), lost(Moment::NEVER), none_yet.clone(), again], "412 version_conflict, it is at 2");
    // Not after its server was gone, and not before it was asked.
    let dead = Moment::at(4);
    bad(&[create.clone(), lost(dead), none_yet.clone(), saw_it], "it is at 1");
    good(&[create.clone(), lost(dead), none_yet]);
    good(&[create.clone(), lost(dead), at_once.clone()]);
    bad(&[create, retitle(0, 1).lost(7, Moment::NEVER), at_once], "it is at 0");
}

#[test]
fn a_repeated_key_is_one_command() {
    let create = create(0).at(1..=2, applied(0, 1));
    let once = retitle(0, 1).under_key();
    let other = retitle(0, 2).at(5..=6, applied(2, 3));
    let first = once.at(3..=4, applied(1, 2));
    // The first answer comes again, whatever happened since and whatever is demanded now.
    let again = once.if_match(7).at(7..=8, applied(1, 2));
    good(&[create.clone(), first.clone(), other.clone(), again]);
    bad(
        &[create.clone(), first.clone(), other.clone(), once.at(7..=8, applied(3, 4))],
        "version 1 position 2 again",
    );
    bad(&[create.clone(), first.clone(), other.clone(), once.at(7..=8, applied(1, 4))], "position 2 again");
    // Another body under it is a mistake, but only once the first is there.
    let reused = retitle(0, 5).under_key();
    let refused = || Answer::Refused(Refused::KeyReused);
    good(&[create.clone(), first.clone(), reused.at(5..=6, refused())]);
    bad(&[create.clone(), first.clone(), reused.at(5..=6, applied(2, 3))], "422 idempotency_key_reused");
    bad(&[create.clone(), once.lost(3, Moment::at(3)), reused.at(4..=5, refused()), read(6, 0, None)], "");
    // What was refused is not remembered.
    let failed = once.if_match(9).at(3..=4, precondition_failed(0));
    good(&[create.clone(), failed.clone(), reused.at(5..=6, applied(1, 2))]);
    // Who does not know asks again: it was done, or it is done now, but not both.
    let lost = once.lost(3, Moment::at(4));
    let now = once.at(7..=8, applied(2, 3));
    let since = retitle(0, 2).at(5..=6, applied(1, 2));
    good(&[create.clone(), lost.clone(), since.clone(), now.clone()]);
    good(&[create.clone(), lost.clone(), other.clone(), once.at(7..=8, applied(1, 2))]);
    bad(&[create, lost, other, now], "200 applied version 1");
}

#[test]
fn merging_needs_that_nobody_wanted_something_else() {
    let create = create(0).at(1..=2, applied(0, 1));
    let conflict = |version| Answer::Refused(Refused::Conflict(Version(version)));
    let titled = retitle(0, 1).at(3..=4, applied(1, 2));
    let merged = |command: Command, answer| {
        [create.clone(), titled.clone(), command.since(0, OnConflict::Merge).at(5..=6, answer)]
    };
    good(&merged(start(0), applied(2, 3)));
    good(&merged(retitle(0, 1), unchanged(1, 2)));
    good(&merged(retitle(0, 2), conflict(1)));
    good(&merged(ask(0, What::Delete), conflict(1)));
    bad(&merged(retitle(0, 2), applied(2, 3)), "409 version_conflict, it is at 1");
    bad(&merged(start(0), conflict(1)), "200 applied version 2");
    let since = |on_conflict, answer| {
        [create.clone(), titled.clone(), retitle(0, 2).since(0, on_conflict).at(5..=6, answer)]
    };
    good(&since(OnConflict::Reject, conflict(1)));
    good(&since(OnConflict::LastWriterWins, applied(2, 3)));
    bad(&since(OnConflict::Reject, applied(2, 3)), "it is at 1");
}

#[test]
fn the_end_must_be_what_the_log_says() {
    let done = |title| Some((Title(title), Column::ToDo, false));
    let history = [create(0).at(1..=2, applied(0, 1)), retitle(0, 1).lost(3, Moment::at(4))];
    let with = |end| [&history[..], &[end]].concat();
    good(&with(read(9, 0, done(0))));
    good(&with(read(9, 1, done(1))));
    bad(&with(read(9, 1, done(2))), "what the log says in the end");
    // An event that nobody asked for, and an acknowledged one that is not there.
    bad(&with(read(9, 2, done(1))), "what the log says in the end");
    bad(&[history[0].clone(), retitle(0, 1).at(3..=4, applied(1, 2)), read(9, 0, done(0))], "in the end");
}

#[test]
fn positions_do_not_go_back_and_belong_to_one_command() {
    let one = create(0).at(1..=2, applied(0, 5));
    let after = |position| create(1).at(3..=4, applied(0, position));
    positions::check(&[one.clone(), after(6)]).unwrap();
    assert!(positions::check(&[one.clone(), after(4)]).unwrap_err().contains("go back"));
    assert!(positions::check(&[one.clone(), after(5)]).unwrap_err().contains("go back"));
    // At the same time anything is possible, save that they share one.
    let beside = |position| create(1).at(2..=4, applied(0, position));
    positions::check(&[one.clone(), beside(4)]).unwrap();
    assert!(positions::check(&[one.clone(), beside(5)]).unwrap_err().contains("one position"));
    // Whoever changed nothing shares one, and a repeated command has the one that it had.
    positions::check(&[one.clone(), retitle(0, 0).at(3..=4, unchanged(0, 5))]).unwrap();
    let keyed = create(2).under_key();
    positions::check(&[one, keyed.at(1..=2, applied(0, 4)), keyed.at(7..=8, applied(0, 4))]).unwrap();
}

/// As many at once as the search has to be quick with, and a history that is as long as those of the real thing.
#[test]
fn long_histories_are_searched_in_a_moment() {
    let mut history = vec![create(0).at(0..=1, applied(0, 1))];
    for version in 1..2_000 {
        let time = version * 10;
        history.push(retitle(0, version).at(time..=time + 75, applied(version, version + 1)));
        if version % 50 == 0 {
            history.push(retitle(0, version + 10_000).lost(time, Moment::at(time + 100)));
        }
    }
    good(&history);
    // The last answer is impossible: every way that there is has to be tried.
    history.push(retitle(0, 1).if_match(7).at(30_000..=30_001, applied(2_000, 2_001)));
    bad(&history, "If-Match \"7\"");
}
