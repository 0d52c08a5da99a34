//! `sunday rebuild --command-url … --query-url …`: the same, asked of those who are at work.
//!
//! The command API records the wish, the projector carries it out, and the query API says how far it is: so a rebuild goes on
//! when this command is stopped, and is only looked at here.

use crate::asking::Asking;
use crate::failure::Failure;
use crate::import::Token;
use crate::progress;
use crate::rebuild::{DIFFERENT, EQUAL};
use hyper::{Method, StatusCode};
use projector::rebuild::ProjectionName;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// How often it is asked how far it is.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Whom to ask.
#[derive(Debug)]
pub struct Online {
    /// Where the command API is.
    pub command_url: String,
    /// Where the query API is.
    pub query_url: String,
    /// A token with the scopes `projections:operate` and `audit`.
    pub token: Option<Token>,
}

/// Asks for rebuilds, one after the other, and waits for their ends.
///
/// # Errors
/// When somebody does not answer or refuses, or `out` cannot be written.
pub fn rebuild(
    online: &Online,
    names: &[ProjectionName],
    shadow: bool,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let asking = |url| Asking::new(url, online.token.as_ref());
    let sides = Sides { command: asking(&online.command_url)?, query: asking(&online.query_url)? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|source| Failure::Io { action: "cannot start a runtime".to_owned(), source })?;
    let mut ends = Vec::new();
    let wanted = ProjectionName::ALL.into_iter().filter(|name| names.is_empty() || names.contains(name));
    for name in wanted {
        ends.push(runtime.block_on(sides.one(name, shadow))?);
    }
    let is_failed = |end: &Value| end["outcome"] == "failed";
    let equal = ends.iter().all(|end| end["equal"] != false && !is_failed(end));
    let text =
        if as_json { format!("{}\n", json!({"equal": equal, "projections": ends})) } else { told(&ends) };
    out.write_all(text.as_bytes()).map_err(Failure::Output)?;
    if let Some(end) = ends.iter().find(|end| is_failed(end)) {
        return Err(Failure::Part(format!("{}: {}", end["projection"], end["reason"])));
    }
    Ok(if equal { EQUAL } else { DIFFERENT })
}

/// Both sides, each with connections that are used again.
struct Sides<'a> {
    command: Asking<'a>,
    query: Asking<'a>,
}

impl Sides<'_> {
    /// One rebuild, from the wish to the end.
    async fn one(&self, name: ProjectionName, shadow: bool) -> Result<Value, Failure> {
        let path = format!("/api/v1/projections/{}/rebuild", name.as_str());
        let asked = ask(&self.command, Method::POST, &path, Some(json!({"shadow": shadow}))).await?;
        let id = asked["id"].as_str().unwrap_or_default().to_owned();
        let bar = progress::bar(0, "events or documents");
        bar.set_message(name.as_str());
        let min_position = asked["position"].as_u64().unwrap_or_default();
        // The first look waits until the wish is known there.
        let mut path = format!("/api/v1/projections?minPosition={min_position}&timeoutMs=0");
        loop {
            let answer = ask(&self.query, Method::GET, &path, None).await;
            path.truncate("/api/v1/projections".len());
            let answer = match answer {
                Ok(answer) => answer,
                Err(Failure::NotYet) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let listed = answer["projections"].as_array().map(Vec::as_slice).unwrap_or_default();
            let found = listed.iter().find(|projection| projection["name"] == name.as_str());
            let Some(control) = found.map(|found| &found["control"]).filter(|control| control.is_object())
            else {
                let detail = "the query API does not say how the rebuild is: the token needs the scope audit";
                return Err(Failure::Usage(detail.to_owned()));
            };
            if control["lastRebuild"]["rebuildId"] == id.as_str() {
                bar.finish_and_clear();
                let mut end = control["lastRebuild"].clone();
                end["projection"] = name.as_str().into();
                return Ok(end);
            }
            let under_way = &control["rebuild"];
            if under_way.is_object() && under_way["rebuildId"] == id.as_str() {
                bar.set_length(under_way["total"].as_u64().unwrap_or_default());
                bar.set_position(under_way["done"].as_u64().unwrap_or_default());
            } else if control["rebuild"].is_null() && is_seen(&answer, min_position) {
                return Err(Failure::Part(format!("{}: the rebuild was cancelled", name.as_str())));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn is_seen(answer: &Value, position: u64) -> bool {
    answer["watermark"].as_u64().is_some_and(|watermark| watermark >= position)
}

async fn ask(asking: &Asking<'_>, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
    let (status, answer) = asking.answer(method, path, body.map(|body| body.to_string().into())).await?;
    match status {
        StatusCode::GATEWAY_TIMEOUT => Err(Failure::NotYet),
        status if status.is_success() => Ok(answer),
        status => Err(asking.refused(status, &answer)),
    }
}

fn told(ends: &[Value]) -> String {
    let mut text = String::new();
    for end in ends {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let verdict = match (end["equal"].as_bool(), end["outcome"].as_str()) {
            (_, Some("failed")) => "could not be built",
            (Some(true), _) => "equal",
            (Some(false), Some("swapped")) => "different, the new one is in use now",
            (Some(false), _) => "different; the old one stays in use",
            (None, _) => "there was none to compare with",
        };
        text += &format!("{} at position {}: {verdict}\n", word(&end["projection"]), end["position"]);
        for side in ["old", "new"] {
            if end[side].is_object() {
                text +=
                    &format!("  {side} {} with {} entries\n", word(&end[side]["digest"]), end[side]["count"]);
            }
        }
        for difference in end["differences"].as_array().map(Vec::as_slice).unwrap_or_default() {
            text += &format!("    {}\n", word(&difference["entity"]));
        }
    }
    text
}
