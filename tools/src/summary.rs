//! What a person reads on stdout after a start and after an import.
//!
//! Invariant: every command that is shown works when it is pasted into a shell.

use crate::import::{Sample, Summary};
use std::fmt::Write;
use std::path::Path;

/// Rejections that are shown; the rest is in `--json`.
const REJECTIONS_SHOWN: usize = 10;

/// Where to reach Sunday, and what the command API wants to see, if that is the token in a file.
#[must_use]
pub fn ready(command_url: &str, query_url: &str, token_file: Option<&Path>) -> String {
    let mut text = format!("Sunday is ready.\n  command API  {command_url}\n  query API    {query_url}\n");
    if let Some(file) = token_file {
        let file = file.display().to_string().replace('\'', r"'\''");
        let _ = writeln!(text, "Commands need a token: curl -H \"Authorization: Bearer $(cat '{file}')\" …");
    }
    text + "Ctrl-C stops it.\n"
}

/// What an import did.
#[must_use]
pub fn sums(file: &Path, summary: &Summary) -> String {
    let Summary { tally, seconds, .. } = summary;
    let mut text = format!("\nImported {}: {} lines in {seconds:.1} s\n", file.display(), tally.lines);
    let counts = [
        (tally.applied, "applied"),
        (tally.unchanged, "changed nothing"),
        (tally.duplicate, "had been taken in before"),
        (tally.rejected, "rejected"),
    ];
    for (count, what) in counts {
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(text, "  {count:>9} {what}");
    }
    for rejection in tally.rejections.iter().take(REJECTIONS_SHOWN) {
        let _ = writeln!(text, "    line {}: {}", rejection.line, rejection.reason);
    }
    if tally.rejections.len() > REJECTIONS_SHOWN {
        let _ = writeln!(text, "    and {} more", tally.rejections.len() - REJECTIONS_SHOWN);
    }
    text
}

/// What an import did, and what to try with it.
#[must_use]
pub fn imported(file: &Path, summary: &Summary, query_url: &str) -> String {
    let mut text = sums(file, summary);
    if let Some(sample) = &summary.sample {
        text.push_str(&examples(sample, query_url));
    }
    text
}

fn examples(sample: &Sample, query_url: &str) -> String {
    let mut text = "\nThings to try:\n".to_owned();
    let mut example = |what: &str, path: &str| {
        let _ = writeln!(text, "  # {what}\n  curl -s '{query_url}/api/v1{path}'");
    };
    example("an item", &format!("/items?externalKey={}", percent_encoded(&sample.external_key)));
    example("its board", &format!("/boards/{}/view?limit=5", sample.board));
    if let Some(word) = &sample.word {
        example("a search", &format!("/search?q={}&limit=5", percent_encoded(word)));
    }
    text
}

/// RFC 3986 §2.1: everything but the unreserved characters, so that neither a URL nor a shell minds it.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Tally;

    #[test]
    fn examples_can_be_pasted() {
        let sample = Sample {
            external_key: "tidev/it's 1".to_owned(),
            board: "f7fdaab0-9f1c-5a7c-b681-93796155844a".to_owned(),
            word: Some("clustering".to_owned()),
        };
        let summary = Summary { tally: Tally::default(), seconds: 1.0, sample: Some(sample) };
        let text = imported(Path::new("x.gz"), &summary, "http://127.0.0.1:7401");
        assert!(
            text.contains("curl -s 'http://127.0.0.1:7401/api/v1/items?externalKey=tidev%2Fit%27s%201'"),
            "{text}"
        );
        assert!(text.contains("/api/v1/boards/f7fdaab0-9f1c-5a7c-b681-93796155844a/view"), "{text}");
        assert!(text.contains("/api/v1/search?q=clustering&limit=5"), "{text}");
    }
}
