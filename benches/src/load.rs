//! The load generator: keep-alive connections on one thread, requests prepared as bytes, answers read for no more than
//! their status and length. It shares the machine with the server, so what it costs is printed beside the figures.

use crate::Bench;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Answers are read in pieces of at most this many bytes.
const READ_BYTES: usize = 64 << 10;

/// Stands in the text of a request where the number of its connection belongs.
pub const CONNECTION: &str = "@@@@@@@@@@@@@@@@";

/// Stands where the last version of the connection's own stream belongs, which each of its requests raises.
pub const VERSION: &str = "$$$$$$$$$$$$$$$$";

/// A request whose numbers are written into its bytes just before it is sent.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    /// Where the sixteen digits of a number go.
    slots: Vec<usize>,
    connections: Vec<usize>,
    versions: Vec<usize>,
}

/// Stands in the text of a request wherever a number belongs that no other request has.
pub const NUMBER: &str = "################";

impl Template {
    /// A plain `GET`.
    pub fn get(path: &str) -> Self {
        let bytes = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes();
        Self { bytes, slots: Vec::new(), connections: Vec::new(), versions: Vec::new() }
    }

    /// A `POST` of a JSON body; every [`NUMBER`] in key and body becomes one of its own.
    pub fn post(path: &str, token: Option<&str>, header: Option<(&str, &str)>, body: &str) -> Self {
        let mut text =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
        if let Some(token) = token {
            text.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        if let Some((name, value)) = header {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let find = |what: &str| text.match_indices(what).map(|(at, _)| at).collect();
        let (slots, connections, versions) = (find(NUMBER), find(CONNECTION), find(VERSION));
        Self { bytes: text.into_bytes(), slots, connections, versions }
    }

    /// The bytes of the request with this number, on this connection, whose stream has this version.
    fn fill(&mut self, number: u64, connection: u64, version: u64) -> &[u8] {
        let numbers = (0..).zip(&self.slots).map(|(index, at)| (*at, number * 1_000 + index, 16));
        let connections = self.connections.iter().map(|at| (*at, connection, 16));
        for (at, mut rest, base) in numbers.chain(connections) {
            for digit in self.bytes[at..at + NUMBER.len()].iter_mut().rev() {
                *digit = b"0123456789abcdef"[(rest % base) as usize];
                rest /= base;
            }
        }
        for at in &self.versions {
            // A number of JSON may stand behind spaces, but not begin with zeros.
            let digits = version.to_string();
            let (spaces, number) =
                self.bytes[*at..*at + VERSION.len()].split_at_mut(VERSION.len() - digits.len());
            spaces.fill(b' ');
            number.copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

/// What a run is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub connections: usize,
    /// Not counted.
    pub warm_up: Duration,
    pub time: Duration,
    /// Requests a second, at fixed times whether or not the answers keep up; otherwise each connection sends
    /// its next request when it has its answer.
    pub rate: Option<f64>,
}

impl Plan {
    /// As long as a bench takes for each of its figures; requests are sent as fast as they are answered.
    pub fn of(bench: &Bench, connections: usize) -> Self {
        let (warm_up, time) = if bench.quick { (200, 1_000) } else { (500, 3_000) };
        Self {
            connections,
            warm_up: Duration::from_millis(warm_up),
            time: Duration::from_millis(time),
            rate: None,
        }
    }
}

/// What came of it, the warm-up left out.
#[derive(Debug)]
pub struct Outcome {
    pub per_second: f64,
    /// Of every answer, µs: from the time when its request was to be sent.
    pub latencies: Vec<f64>,
    /// Requests answered, warm-up included.
    pub answered: u64,
}

struct Connection {
    stream: mio::net::TcpStream,
    answer: Vec<u8>,
    /// Answers to come, and when their requests were to be sent.
    sent: std::collections::VecDeque<Instant>,
}

/// Numbers of requests go on from run to run, because a server remembers them.
#[derive(Debug, Default)]
pub struct Load {
    number: u64,
    /// Last versions of the streams of the connections.
    versions: Vec<u64>,
    /// Events that a request brings to its connection's stream.
    events: u64,
}

impl Load {
    /// The streams are where they are when they have their first event; each request brings so many more.
    pub fn begin_streams(&mut self, connections: usize, events: u64) {
        self.versions = vec![0; connections];
        self.events = events;
    }

    /// The next request of a connection.
    fn fill<'t>(&mut self, template: &'t mut Template, connection: usize) -> &'t [u8] {
        self.number += 1;
        let version = self.versions.get(connection).copied().unwrap_or(0);
        if !template.versions.is_empty() {
            self.versions[connection] += self.events;
        }
        template.fill(self.number, connection as u64, version)
    }

    pub fn run(&mut self, address: SocketAddr, template: &Template, plan: Plan) -> Outcome {
        let mut template = template.clone();
        let mut poll = Poll::new().unwrap();
        let mut connections: Vec<Connection> = (0..plan.connections)
            .map(|index| {
                let stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_nonblocking(true).unwrap();
                let mut stream = mio::net::TcpStream::from_std(stream);
                poll.registry().register(&mut stream, Token(index), Interest::READABLE).unwrap();
                Connection { stream, answer: Vec::with_capacity(READ_BYTES), sent: Default::default() }
            })
            .collect();
        let mut buffer = vec![0; READ_BYTES];
        let mut events = Events::with_capacity(plan.connections);
        let began = Instant::now();
        let (counted, ends) = (began + plan.warm_up, began + plan.warm_up + plan.time);
        let mut pace = plan.rate.map(|rate| Pace { began, interval: 1.0 / rate, sent: 0 });
        let mut run = Outcome { per_second: 0.0, latencies: Vec::new(), answered: 0 };
        let mut within = 0_u64;
        if pace.is_none() {
            for (index, connection) in connections.iter_mut().enumerate() {
                connection.send(self.fill(&mut template, index), Instant::now());
            }
        }
        let mut open = if pace.is_none() { connections.len() } else { 0 };
        loop {
            let mut now = Instant::now();
            if now >= ends && open == 0 {
                break;
            }
            let mut wait = None;
            if let Some(pace) = &mut pace {
                while now < ends && pace.next() <= now {
                    let connection = (pace.sent % plan.connections as u64) as usize;
                    connections[connection].send(self.fill(&mut template, connection), pace.next());
                    pace.sent += 1;
                    open += 1;
                    now = Instant::now();
                }
                if now < ends {
                    // The system's timers here are coarser than the pace, so the last stretch is slept precisely.
                    let left = pace.next().saturating_duration_since(now);
                    if left > Duration::ZERO {
                        std::thread::sleep(left.min(Duration::from_micros(50)));
                    }
                    wait = Some(Duration::ZERO);
                }
            }
            if let Err(error) = poll.poll(&mut events, wait) {
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            }
            for event in &events {
                let connection = &mut connections[event.token().0];
                let answers = connection.receive(&mut buffer);
                if answers == 0 {
                    continue;
                }
                let now = Instant::now();
                for _ in 0..answers {
                    let asked = connection.sent.pop_front().unwrap();
                    open -= 1;
                    run.answered += 1;
                    if now >= counted && now < ends {
                        within += 1;
                        run.latencies.push((now - asked).as_secs_f64() * 1e6);
                    }
                    if pace.is_none() && now < ends {
                        connection.send(self.fill(&mut template, event.token().0), now);
                        open += 1;
                    }
                }
            }
        }
        run.per_second = within as f64 / plan.time.as_secs_f64();
        run
    }
}

/// When which request is to be sent.
struct Pace {
    began: Instant,
    /// Seconds from one to the next.
    interval: f64,
    sent: u64,
}

impl Pace {
    fn next(&self) -> Instant {
        self.began + Duration::from_secs_f64(self.interval * self.sent as f64)
    }
}

impl Connection {
    fn send(&mut self, mut bytes: &[u8], due: Instant) {
        self.sent.push_back(due);
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                // Only a server that does not read lets it come to this.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_micros(50));
                }
                Err(error) => panic!("a request cannot be sent: {error}"),
            }
        }
    }

    /// Reads what has come; the number of answers that are whole now.
    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => panic!("the server has closed a connection"),
                Ok(read) => {
                    self.answer.extend_from_slice(&buffer[..read]);
                    // Less than there was room for: it is all there is, and a next piece is another event.
                    if read < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("an answer cannot be read: {error}"),
            }
        }
        let (mut taken, mut answers) = (0, 0);
        while let Some(len) = answer_len(&self.answer[taken..]) {
            taken += len;
            answers += 1;
        }
        self.answer.drain(..taken);
        answers
    }
}

/// Length of the answer at the start of `bytes`, if it is whole. Anything but success ends the bench.
fn answer_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    let (_, length) = text.split_once("content-length: ").expect("an answer with its length");
    let length: usize = length[..length.find('\r').unwrap()].parse().unwrap();
    let whole = bytes.get(head..head + length)?;
    assert!(
        bytes.starts_with(b"HTTP/1.1 2"),
        "the server refused a request: {text}{}",
        String::from_utf8_lossy(whole)
    );
    Some(head + length)
}
