//! One bucket, or a prefix in it, as an archive.

use crate::client::Connector;
use eventstore::archive::Archive;
use futures_util::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::io;

/// Objects are put by one request each, which may be 5 GiB long; segments end at 4 GiB.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: AmazonS3,
    prefix: Path,
    url: String,
}

impl Bucket {
    pub(crate) fn open(url: &str, settings: &[(String, String)]) -> io::Result<Self> {
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let rest = url.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', '?', '#']) || prefix.contains(['?', '#']) {
            return Err(invalid(format!("{url} is not of the form s3://bucket/prefix")));
        }
        let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| invalid(error.to_string()))?;
        let mut builder = AmazonS3Builder::new();
        for (name, value) in settings {
            // There are more variables of that kind than concern this.
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        let store = builder
            .with_bucket_name(bucket)
            .with_http_connector(Connector)
            .build()
            .map_err(|error| invalid(format!("{url}: {error}")))?;
        Ok(Self { store, prefix, url: url.to_owned() })
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), Path::join)
    }

    fn error(&self, name: &str, error: &Error) -> io::Error {
        let kind = match error {
            Error::NotFound { .. } => io::ErrorKind::NotFound,
            Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, format!("{}/{name}: {error}", self.url))
    }

    /// Runs to its end what asks the store. Callers block and may be threads of a runtime, so it has a thread of its own.
    fn block<T: Send>(&self, work: impl Future<Output = io::Result<T>> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().name("archive".to_owned()).spawn_scoped(scope, || {
                    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
                })?;
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that asks the archive has panicked")))
        })
    }

    async fn read(
        &self,
        name: &str,
        piece: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> io::Result<()> {
        let failed = |error: Error| self.error(name, &error);
        let mut stream = self.store.get(&self.path(name)).await.map_err(failed)?.into_stream();
        while let Some(bytes) = stream.next().await {
            piece(&bytes.map_err(failed)?)?;
        }
        Ok(())
    }

    /// Whether the object has these bytes and no others.
    async fn holds(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let mut rest = bytes;
        let mut is_same = true;
        let mut compare = |piece: &[u8]| {
            match rest.split_at_checked(piece.len()) {
                Some((these, others)) if is_same && these == piece => rest = others,
                _ => is_same = false,
            }
            Ok(())
        };
        self.read(name, &mut compare).await?;
        Ok(is_same && rest.is_empty())
    }
}

impl Archive for Bucket {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.block(async {
            let payload = PutPayload::from(bytes.to_vec());
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.store.put_opts(&self.path(name), payload, options).await {
                Ok(_) => Ok(()),
                Err(Error::AlreadyExists { .. }) if self.holds(name, bytes).await? => Ok(()),
                Err(error) => Err(self.error(name, &error)),
            }
        })
    }

    fn get(&self, name: &str, piece: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()> {
        self.block(self.read(name, piece))
    }
}
