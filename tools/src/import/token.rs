//! The token that an import sends, and where it is found.
//!
//! Invariant: it is never an argument, which everybody on the machine could read, and stands in no output.

use super::ImportError;
use http_kit::auth::token_for;
use hyper::Uri;
use hyper::header::HeaderValue;
use std::fmt;
use std::path::Path;

/// Where a token stands, if not in a file.
const VARIABLE: &str = "SUNDAY_TOKEN";

/// What stands behind `Authorization:`.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The first of: the file, the variable `SUNDAY_TOKEN`, and what a server of this user left for programs on this machine. No
    /// token is no error here: the server says whether it wants one.
    ///
    /// # Errors
    /// When the file cannot be read, or what is found cannot be sent.
    pub fn find(file: Option<&Path>, command_url: &str) -> Result<Option<Self>, ImportError> {
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ImportError::File { path: path.to_owned(), source })?;
            return Self::new(&text, &path.display().to_string()).map(Some);
        }
        if let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty()) {
            return Self::new(&text, VARIABLE).map(Some);
        }
        let left = command_url
            .parse::<Uri>()
            .ok()
            .and_then(|uri| token_for(uri.host()?, uri.port_u16().unwrap_or(80)));
        left.map(|text| Self::new(&text, "the development token")).transpose()
    }

    /// A token; `origin` says where it was found.
    ///
    /// # Errors
    /// When it cannot stand in a header.
    pub fn new(text: &str, origin: &str) -> Result<Self, ImportError> {
        let text = text.trim();
        let is_sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::from_str(&format!("Bearer {text}")).ok().filter(|_| is_sound);
        let Some(mut value) = value else {
            return Err(ImportError::Token { origin: origin.to_owned() });
        };
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_first_and_must_hold_one_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc.def\n").unwrap();
        let token = Token::find(Some(&path), "http://127.0.0.1:1").unwrap().unwrap();
        assert_eq!(token.header(), "Bearer abc.def");
        assert!(!format!("{token:?} {:?}", token.header()).contains("abc"));
        for wrong in ["", "two words", "caf\u{e9}", "a\nb"] {
            std::fs::write(&path, wrong).unwrap();
            let refused = Token::find(Some(&path), "http://127.0.0.1:1");
            assert!(matches!(refused, Err(ImportError::Token { .. })), "{wrong:?}");
        }
        assert!(matches!(Token::find(Some(Path::new("/no/such")), ""), Err(ImportError::File { .. })));
    }
}
