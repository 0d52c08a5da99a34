//! From a plan to a door that works: keys that are there, or a development token that can be found.
//!
//! Invariant: a server that could let nobody in does not start.

use super::development::{DevelopmentToken, TokenCopy};
use super::keys::KeysError;
use super::settings::Plan;
use super::{Authentication, Authenticator};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a service cannot know who asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The issuer's keys cannot be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The development token can be neither read nor written.
    #[error("cannot keep the development token in {path}: {source}")]
    Development {
        /// The data directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Who is let in, and what has to stay where it is as long as the server runs.
#[derive(Debug)]
pub struct Door {
    authenticator: Authenticator,
    _copy: Option<TokenCopy>,
}

impl Door {
    /// What the service's [`crate::app::App`] is built with.
    #[must_use]
    pub fn authentication(&self) -> Authentication {
        Authentication::Required(self.authenticator.clone())
    }

    /// The same for a service that only reads: without an issuer every program of this machine may read, as it could
    /// read the files.
    #[must_use]
    pub fn authentication_of_readers(&self) -> Authentication {
        if self.authenticator.is_development() {
            Authentication::SameMachineOnly
        } else {
            self.authentication()
        }
    }

    /// The development token, where that is what it takes.
    #[must_use]
    pub fn development_token(&self) -> Option<&DevelopmentToken> {
        self.authenticator.development_token()
    }
}

impl Plan {
    /// What [`Door::authentication_of_readers`] says, for a process that only reads: it keeps no development token.
    ///
    /// # Errors
    /// When the keys cannot be had.
    pub async fn open_for_readers(
        self,
        data_dir: &Path,
        addr: SocketAddr,
    ) -> Result<Authentication, AuthError> {
        match self {
            Self::Development => Ok(Authentication::SameMachineOnly),
            tokens @ Self::Tokens(_) => Ok(tokens.open(data_dir, addr).await?.authentication()),
        }
    }

    /// Does what is planned: fetches the issuer's keys, or makes the development token of this data directory and leaves a
    /// copy of it for programs that know the server's address only. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the keys cannot be had, or the token cannot be kept.
    pub async fn open(self, data_dir: &Path, addr: SocketAddr) -> Result<Door, AuthError> {
        match self {
            Self::Tokens(rules) => {
                Ok(Door { authenticator: Authenticator::tokens(rules).await?, _copy: None })
            }
            Self::Development => {
                let token = DevelopmentToken::keep(data_dir)
                    .map_err(|source| AuthError::Development { path: data_dir.to_owned(), source })?;
                let copy = token.leave_copy(addr);
                if let Err(error) = &copy {
                    tracing::warn!(%error, "no copy of the development token was left for programs to find");
                }
                Ok(Door { authenticator: Authenticator::development(token), _copy: copy.ok() })
            }
        }
    }
}
