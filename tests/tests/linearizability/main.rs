//! Promise: whatever many clients do at once, and whenever the server is killed, every answer is one that it would have
//! given had they come one after the other, in an order that agrees with real time. Linearizability, that is, of a
//! `command-api` over HTTP: `clients` do and write down (`history`), `check` searches for an order that `model` agrees with,
//! board by board; `positions` and the `log` are looked at besides.
//!
//! `SUNDAY_LINEARIZABILITY_ROUNDS` says how many servers are killed in one run, a second or so apart (8 unless it is set);
//! `SUNDAY_TEST_SEED` what the clients want. How their requests meet is up to the machine, so a seed gives the same wishes
//! again, and not the same history.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by panicking"
)]

mod check;
mod clients;
mod hand_made;
mod history;
mod log;
mod model;
mod positions;
mod words;

use clients::{Actor, BoardName, Place, World};
use history::{ClientId, Clock, Ended, Operation};
use model::Board;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tests::random::Random;
use tests::{Client, Process, command, free_addr, verify};
use words::{Answer, Done, Input, Refused};

const CLIENTS: u32 = 8;
const BOARDS: usize = 2;
/// Half of a board's items.
const LIMIT: usize = 2;
const ROUNDS_DEFAULT: u64 = 8;

/// A `command-api` on the data directory, ready.
fn start(data_dir: &Path) -> (Process, Client) {
    let addr = free_addr();
    let mut server = command("command-api");
    server.arg("--data-dir").arg(data_dir).args(["--command-addr", &addr.to_string()]);
    let mut process = Process::start("command-api", &mut server, data_dir.join("command-api.stderr"));
    let client = Client { addr, token: None };
    process.wait_until("it is ready", || client.try_get("/readyz").is_ok_and(|answer| answer.status == 200));
    let token = std::fs::read_to_string(data_dir.join("keys/development.token")).unwrap();
    (process, Client { addr, token: Some(token.trim().to_owned().leak()) })
}

/// Boards without items, each with a column that is full soon.
fn boards(server: Client) -> Vec<Place> {
    let post = |path: &str, body: Value| {
        let answer = server.post(path, &body).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let workspace = post("/api/v1/workspaces", json!({"name": "w"}));
    let project = post("/api/v1/projects", json!({"workspaceId": workspace, "name": "p"}));
    let board = |number: usize| {
        let [to_do, doing] =
            ["a", "b"].map(|column| format!("0197a3c0-0000-7000-8000-0000000{number:04x}{column}"));
        let columns =
            json!([{"id": to_do, "name": "To do"}, {"id": doing, "name": "Doing", "wipLimit": LIMIT}]);
        let board = json!({"projectId": project, "name": "b", "columns": columns});
        Place { board: post("/api/v1/boards", board), to_do, doing }
    };
    (0..BOARDS).map(board).collect()
}

#[test]
fn every_history_is_that_of_one_command_after_the_other() {
    let rounds = std::env::var("SUNDAY_LINEARIZABILITY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut random = Random::seeded();
    let data = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let (process, server) = start(data.path());
    let places = boards(server);
    process.stop();
    let world = World::new(places.clone(), clock);
    let mut actors: Vec<Actor> =
        (0..CLIENTS).map(|client| Actor::new(ClientId(client), random.fork())).collect();
    for round in 0..rounds.unwrap_or(ROUNDS_DEFAULT) {
        let (process, server) = start(data.path());
        std::thread::scope(|scope| {
            for actor in &mut actors {
                scope.spawn(|| actor.run(&world, server));
            }
            std::thread::sleep(Duration::from_millis(400 + random.below(600)));
            if round % 4 == 3 { process.stop() } else { process.kill() }
        });
        let gone = clock.now();
        actors.iter_mut().for_each(|actor| actor.is_over(gone));
    }
    let (process, server) = start(data.path());
    actors.iter_mut().for_each(|actor| actor.ask_again(&world, server));
    process.stop();

    let mut histories: Vec<Vec<Operation<Input, Answer>>> = vec![Vec::new(); BOARDS];
    for (board, operation) in actors.into_iter().flat_map(Actor::into_history) {
        histories[board.0].push(operation);
    }
    let all = histories.concat();
    let counts = counts(&all);
    eprintln!("{counts:?}");
    positions::check(&all).unwrap_or_else(|wrong| panic!("{wrong}"));
    let recorded = log::read(data.path(), &world, &places);
    for (index, (history, recorded)) in histories.into_iter().zip(recorded).enumerate() {
        check_board(BoardName(index), history, &recorded, clock);
    }
    let (exit, report) = verify(data.path());
    assert_eq!(exit, 0, "{report}");
    // Only what was there has been checked.
    for (what, count) in counts {
        assert!(count > 0, "this history says nothing of what is {what}");
    }
}

/// There is an order, it ends with what the log says, and everything that was acknowledged stands where it was said to be.
fn check_board(
    board: BoardName,
    mut history: Vec<Operation<Input, Answer>>,
    recorded: &log::Recorded,
    clock: Clock,
) {
    let invoked = clock.now();
    let seen = Ended::Answered { at: clock.now(), output: Answer::Seen(recorded.view.clone()) };
    let client = ClientId(CLIENTS);
    history.push(Operation { client, invoked, input: Input::Read, ended: seen });
    let model = Board::of(LIMIT, history.iter().map(|operation| &operation.input));
    let started = Instant::now();
    let order = check::check(&model, &history).unwrap_or_else(|failure| panic!("{board:?}: {failure}"));
    let took = started.elapsed();
    for operation in &history {
        assert!(recorded.holds(operation), "{board:?}: the log has it otherwise:\n{operation}");
    }
    let unknown = order.iter().filter(|operation| history[**operation].output().is_none()).count();
    eprintln!(
        "{board:?}: {} of {} operations in order, {unknown} of them without an answer; {} events; found in {took:.1?}",
        order.len(),
        history.len(),
        recorded.applied()
    );
}

/// What there was, by how it was answered.
fn counts(history: &[Operation<Input, Answer>]) -> Vec<(&'static str, usize)> {
    let name = |operation: &Operation<Input, Answer>| match operation.output() {
        Some(Answer::Done(Done { is_applied: true, .. }, _)) => "applied",
        Some(Answer::Done(..)) => "unchanged",
        Some(Answer::Refused(refused)) => match refused {
            Refused::NotFound => "not found",
            Refused::Gone => "gone",
            Refused::AlreadyExists => "there already",
            Refused::Precondition(_) => "a failed precondition",
            Refused::Conflict(_) => "a conflict",
            Refused::ColumnFull => "too much for a column",
            Refused::KeyReused => "a key used twice",
        },
        Some(Answer::Seen(_) | Answer::Else(_)) => "unexpected",
        None => "unknown",
    };
    let mut counts = [
        "applied",
        "unchanged",
        "not found",
        "gone",
        "there already",
        "a failed precondition",
        "a conflict",
        "too much for a column",
        "a key used twice",
        "unknown",
    ]
    .map(|name| (name, 0))
    .to_vec();
    for operation in history {
        let name = name(operation);
        counts.iter_mut().filter(|(counted, _)| *counted == name).for_each(|(_, count)| *count += 1);
    }
    counts
}
