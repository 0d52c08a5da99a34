//! The development token: what stands in for an issuer as long as none is configured, on loopback only.
//!
//! Invariant: it is known to nobody but the user that the server runs as: 32 random bytes in a file of mode 0600. A file that
//! others could read has been read by them, as far as we know, so its token is replaced.

use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What every development token begins with, so that scanners for leaked secrets know it.
const PREFIX: &str = "sunday_dev_";
const SECRET_BYTES: usize = 32;
/// [`SECRET_BYTES`] in base64url without padding.
const SECRET_CHARS: usize = 43;

/// The token of one data directory.
pub struct DevelopmentToken {
    text: String,
    hash: [u8; 32],
    path: PathBuf,
}

impl fmt::Debug for DevelopmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentToken").field("path", &self.path).finish_non_exhaustive()
    }
}

impl DevelopmentToken {
    /// The token of a data directory, in `keys/development.token`: the one from before, or a new one.
    ///
    /// # Errors
    /// When the file can be neither read nor written.
    pub fn keep(data_dir: &Path) -> io::Result<Self> {
        let dir = data_dir.join("keys");
        private_dir(&dir)?;
        let path = dir.join("development.token");
        let text = match read_private(&path)? {
            Some(text) => text,
            None => {
                let text = generate()?;
                write_private(&path, &text)?;
                text
            }
        };
        Ok(Self { hash: Sha256::digest(&text).into(), text, path })
    }

    /// The token itself. A secret.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to tell the person who started a server: on its terminal, never in a log.
    #[must_use]
    pub fn announcement(&self) -> String {
        format!(
            "No issuer is configured, so the command API takes this development token, from this machine only:\n  \
             {}\n  kept in {}\n",
            self.text,
            self.path.display()
        )
    }

    /// Whether this is the token. Takes the same time for every wrong one.
    pub(super) fn is(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        constant_time::verify_slices_are_equal(&presented, &self.hash).is_ok()
    }

    /// Leaves a copy where programs of the same user look for it, by the server's address.
    ///
    /// # Errors
    /// When there is no home, or it cannot be written there.
    pub fn leave_copy(&self, addr: SocketAddr) -> io::Result<TokenCopy> {
        let no_home = || io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME is set");
        let dir = copies().ok_or_else(no_home)?;
        private_dir(&dir)?;
        let path = dir.join(copy_name(addr));
        write_private(&path, &self.text)?;
        Ok(TokenCopy { path })
    }
}

/// A copy of the token that lasts as long as this value.
#[derive(Debug)]
pub struct TokenCopy {
    path: PathBuf,
}

impl Drop for TokenCopy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the copy of the development token stays");
        }
    }
}

/// The development token that a server of this user and this machine left for `host:port`, if one did. Only loopback
/// addresses and `localhost` have any.
#[must_use]
pub fn token_for(host: &str, port: u16) -> Option<String> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<IpAddr> = if host.eq_ignore_ascii_case("localhost") {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        host.parse().ok().filter(IpAddr::is_loopback).into_iter().collect()
    };
    let dir = copies()?;
    let read = |ip| read_private(&dir.join(copy_name(SocketAddr::new(ip, port)))).ok().flatten();
    addresses.into_iter().find_map(read)
}

/// `$XDG_STATE_HOME/sunday/tokens`, else `$HOME/.local/state/sunday/tokens`.
fn copies() -> Option<PathBuf> {
    // The specification of XDG's directories has relative ones passed over.
    let dir = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = dir("XDG_STATE_HOME").or_else(|| Some(dir("HOME")?.join(".local").join("state")))?;
    Some(state.join("sunday").join("tokens"))
}

fn copy_name(addr: SocketAddr) -> String {
    format!("{}_{}", addr.ip(), addr.port())
}

fn generate() -> io::Result<String> {
    let mut secret = [0; SECRET_BYTES];
    rand::fill(&mut secret).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// A directory that only its owner can enter.
fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // It may have been there before, with another mode.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// The token in a file that nobody but its owner can read; `None` if there is none, or it cannot be relied on.
fn read_private(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read this development token, so it is not taken");
        return Ok(None);
    }
    let text = io::read_to_string(io::Read::take(file, 1024))?;
    let text = text.trim_end();
    let is_sound = text.strip_prefix(PREFIX).is_some_and(|secret| {
        secret.len() == SECRET_CHARS
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    });
    Ok(is_sound.then(|| text.to_owned()))
}

/// Writes a file anew, whole or not at all, with mode 0600 from its first moment on.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".draft-{}", std::process::id()));
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn it_stays_the_same_as_long_as_it_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let token = DevelopmentToken::keep(dir.path()).unwrap();
        assert!(token.text().starts_with(PREFIX) && token.text().len() == PREFIX.len() + SECRET_CHARS);
        assert_eq!((mode(token.path()), mode(token.path().parent().unwrap())), (0o600, 0o700));
        let again = DevelopmentToken::keep(dir.path()).unwrap();
        assert_eq!(again.text(), token.text());
        assert!(again.is(token.text()) && !again.is(PREFIX) && !again.is(&token.text()[1..]));
        assert!(!format!("{token:?}").contains(token.text()), "it is not written into logs");

        fs::set_permissions(token.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let replaced = DevelopmentToken::keep(dir.path()).unwrap();
        assert_ne!(replaced.text(), token.text(), "others could have read it");
        assert_eq!(mode(replaced.path()), 0o600);

        fs::write(replaced.path(), "sunday_dev_short\n").unwrap();
        let repaired = DevelopmentToken::keep(dir.path()).unwrap();
        assert!(!repaired.is("sunday_dev_short"));
    }

    #[test]
    fn a_copy_is_found_by_loopback_names_only() {
        assert_eq!(copy_name("127.0.0.1:7400".parse().unwrap()), "127.0.0.1_7400");
        assert_eq!(copy_name("[::1]:7400".parse().unwrap()), "::1_7400");
        assert_eq!(token_for("10.0.0.1", 7400), None);
        assert_eq!(token_for("localhost.example", 7400), None);
    }
}
