//! Archives in object stores that speak S3: `s3://bucket/prefix`.
//!
//! ```text
//! eventstore::archive ─▶ Archives::open("s3://…") ─▶ Bucket ─▶ object_store (signing, retries) ─▶ client (hyper, rustls)
//! ```
//!
//! Credentials, region and endpoint come from the environment, by the names that every tool for S3 knows
//! (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`), never from the URL or a file of the log.
//! Without TLS only where `AWS_ALLOW_HTTP=true` says so.

mod bucket;
mod client;

use eventstore::archive::{Archive, Archives, Directories};
use std::ffi::OsString;
use std::sync::Arc;
use std::{fmt, io};

/// Directories (`file:///…`) and buckets (`s3://…`).
#[derive(Clone)]
pub struct AllArchives {
    settings: Arc<[(String, String)]>,
}

impl AllArchives {
    /// With settings by their names in the environment, such as `AWS_REGION`; what has another name is passed over.
    #[must_use]
    pub fn with(settings: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { settings: settings.into_iter().filter(|(name, _)| name.starts_with("AWS_")).collect() }
    }

    /// With the settings of this process's environment.
    #[must_use]
    pub fn from_environment() -> Self {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self::with(std::env::vars_os().filter_map(text))
    }
}

impl fmt::Debug for AllArchives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values are secrets.
        f.debug_struct("AllArchives").finish_non_exhaustive()
    }
}

impl Archives for AllArchives {
    fn open(&self, url: &str) -> io::Result<Arc<dyn Archive>> {
        if url.starts_with("s3://") {
            return Ok(Arc::new(bucket::Bucket::open(url, &self.settings)?));
        }
        Directories.open(url)
    }
}

/// Lets every log that this process opens read through to archives of all kinds. Called once, before the first is opened.
pub fn install() {
    eventstore::archive::install(Arc::new(AllArchives::from_environment()));
}
