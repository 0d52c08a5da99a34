//! Inclusion proofs over HTTP, of events anywhere in a long log.

use crate::fill;
use benches::Bench;
use benches::figure::{Figure, Goal, Run, Runs, quantile};
use benches::machine;
use benches::query_api::{self, Server};
use eventstore::Store;
use projector::Projector;
use projector::notary::TreeReader;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const EMPTY: &str = "the bytes of one such answer from the same server with an empty handler";

pub(crate) fn run(bench: &mut Bench, query_api: &Path, count: u64) {
    let by = |what: &str, connections: usize| {
        let s = if connections == 1 { "" } else { "s" };
        format!("inclusion proof by {what}, {connections} connection{s}")
    };
    let figures: Vec<(&str, usize, String)> = ["id", "position"]
        .into_iter()
        .flat_map(|what| [1, 8].map(|connections| (what, connections, by(what, connections))))
        .collect();
    if !figures.iter().any(|(.., name)| bench.wants(name)) {
        return;
    }
    let scratch = machine::scratch(&bench.dir);
    let data_dir = scratch.path().join("data");
    let store = Store::open(&data_dir, &Default::default()).unwrap();
    eprintln!("  {count} events are written");
    let ids = fill::fill(&store, count);
    eprintln!("  the projector makes the tree");
    let began = Instant::now();
    let projector = Projector::start(&data_dir, store.log()).unwrap();
    let tree = TreeReader::new(&data_dir);
    let watermark = store.watermark();
    while projector.checkpoint() < watermark
        || tree
            .published()
            .unwrap()
            .is_none_or(|published| published.checkpoint.head.size.get() < watermark.get())
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("  models, index and tree took {:.1} s", began.elapsed().as_secs_f64());
    projector.stop().unwrap();
    store.close();
    drop(store);
    let ours = Server::query_api(query_api, &data_dir);
    let path_of = |what: &str, number: usize| match what {
        "id" => format!("/api/v1/audit/proof/inclusion?eventId={}", ids[number % ids.len()]),
        _ => {
            let position = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % watermark.get();
            format!("/api/v1/audit/proof/inclusion?position={position}")
        }
    };
    let asked = if bench.quick { 1_000 } else { 5_000 };
    for (what, connections, name) in figures {
        if !bench.wants(&name) {
            continue;
        }
        let (status, body) = query_api::ask(ours.address, &path_of(what, 1));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let file = scratch.path().join("answer");
        std::fs::write(&file, body).unwrap();
        let empty = Server::empty(&file);
        let (mut our, mut null) = (Vec::new(), Vec::new());
        for run in 0..bench.runs {
            let number = |request: usize| run * 7_919 + request * 104_729;
            null.push(latencies(empty.address, connections, asked, &|_| "/api/v1/items/proof".to_owned()));
            our.push(latencies(ours.address, connections, asked, &|request| path_of(what, number(request))));
        }
        for (label, part, goals) in [("p50", 0.5, &[][..]), ("p99", 0.99, &[Goal::AtMost(2_000.0)][..])] {
            let of = |all: &[Vec<f64>]| {
                all.iter().map(|all| Run { value: quantile(all, part), ..Run::default() }).collect()
            };
            let runs = Runs { ours: of(&our), ceiling: of(&null) };
            let figure = Figure::new(format!("{name}: {label}"), "µs", runs).ceiling_is(EMPTY).goals(goals);
            bench.print(figure.with("events", count).with("requests_per_run", asked));
        }
    }
}

/// How long each of `count` requests took, µs; each connection sends its next one when it has its answer.
fn latencies(
    address: SocketAddr,
    connections: usize,
    count: usize,
    path: &(dyn Fn(usize) -> String + Sync),
) -> Vec<f64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|connection| {
                scope.spawn(move || {
                    let mut client = Client::new(address);
                    let mut latencies = Vec::new();
                    for request in (connection..count).step_by(connections) {
                        let path = path(request);
                        let began = Instant::now();
                        client.get(&path);
                        latencies.push(began.elapsed().as_secs_f64() * 1e6);
                    }
                    latencies
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// One connection that is kept, and the simplest reading of answers with their lengths.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 64 << 10] }
    }

    fn get(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut read = 0;
        loop {
            read += match self.stream.read(&mut self.buffer[read..]).unwrap() {
                0 => panic!("the server has closed the connection"),
                more => more,
            };
            let answer = &self.buffer[..read];
            let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&answer[..head + 2]).unwrap();
            assert!(text.starts_with("HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(answer));
            let (_, length) = text.split_once("content-length: ").expect("an answer with its length");
            let length: usize = length[..length.find('\r').unwrap()].parse().unwrap();
            if read >= head + 4 + length {
                return;
            }
        }
    }
}
