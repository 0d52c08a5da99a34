//! HTTP/1.1 with as little as a test needs: one connection per request, read to its end, or one that is kept.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// What a server said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The number of events that the answer covers.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.header("sunday-position").expect("every answer has a position").parse().expect("it is a number")
    }
}

/// A client of one address.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Where the server is.
    pub addr: SocketAddr,
    /// What it is shown, if anything.
    pub token: Option<&'static str>,
}

impl Client {
    /// GET, which must be answered with 200.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        let answer = self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(answer.status, 200, "GET {path}: {}", String::from_utf8_lossy(&answer.body));
        answer
    }

    /// GET, whatever comes of it.
    ///
    /// # Errors
    /// When there is no server, or it goes away.
    pub fn try_get(&self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, &[])
    }

    /// POST of JSON, whatever comes of it.
    ///
    /// # Errors
    /// When there is no server, or it goes away.
    pub fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        self.send_json("POST", path, body)
    }

    /// A request with JSON, whatever comes of it.
    ///
    /// # Errors
    /// When there is no server, or it goes away.
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        self.send(method, path, body.to_string().as_bytes())
    }

    /// Waits until an item with this external key can be read; for imports that run beside the test.
    pub fn wait_for_item(&self, external_key: &str) {
        let path = format!("/api/v1/items?externalKey={external_key}");
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.get(&path).json()["total"] != 1 {
            assert!(Instant::now() < deadline, "no item {external_key}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.addr, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_nodelay(true)?;
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.addr);
        if let Some(token) = self.token {
            request += &format!("authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        request += "\r\n";
        stream.write_all(request.as_bytes())?;
        stream.write_all(body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
    }
}

/// A connection that is kept for one request after the other.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    stream: BufReader<TcpStream>,
    /// The server has said that it closes it.
    is_closing: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When there is no server.
    pub fn open(client: Client) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&client.addr, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self { client, stream: BufReader::new(stream), is_closing: false })
    }

    /// Whether it is known that nothing more can be sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// A request with JSON and further headers, whatever comes of it.
    ///
    /// # Errors
    /// When the server goes away before it has answered: whether it has read the request is not known then.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> io::Result<Answer> {
        let body = body.to_string();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.client.addr,
            body.len()
        );
        if let Some(token) = self.client.token {
            request += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        request += &body;
        self.is_closing = true;
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.read()?;
        self.is_closing = answer.header("connection") == Some("close");
        Ok(answer)
    }

    fn read(&mut self) -> io::Result<Answer> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer with a length");
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut text)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let (status, headers) = head(text.trim_end()).ok_or_else(wrong)?;
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        answer.body.resize(length.ok_or_else(wrong)?, 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (status, headers) = head(std::str::from_utf8(&bytes[..end]).ok()?)?;
    let rest = &bytes[end + 4..];
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if is_chunked { unchunk(rest)? } else { rest.to_vec() };
    Some(Answer { status, headers, body })
}

/// Status and headers; names in lower case.
fn head(text: &str) -> Option<(u16, Vec<(String, String)>)> {
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some((status, headers))
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let len = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + len)?);
        rest = rest.get(end + 4 + len..)?;
    }
}
