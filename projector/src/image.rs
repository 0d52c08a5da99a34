//! Images of the models: one file that saves replaying the log from its beginning.
//!
//! ```text
//! 0   magic "SUNDYIMG"        8
//! 8   models' version         4    little-endian, like all numbers
//! 12  store                  16    ┐
//! 28  next position           8    │ lineage
//! 36  chain head             32    ┘
//! 68  length of the rows      8
//! 76  rows                    …    eventstore::codec
//!     SHA-256 of all before  32
//! ```
//!
//! Invariant: an image is a cache and never believed: whatever is wrong with it (a byte, its version, a lineage that
//! the log does not confirm), the models are made of the log instead.

use crate::generation::{Generations, replace};
use crate::models::{MODELS_VERSION, Models, Rows};
use eventstore::{Digest, Lineage, Log, Position, ReadError, codec};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Directory of the images in a data directory.
pub(crate) const IMAGES_DIR: &str = "images";
const IMAGE: &str = "models.img";
const MAGIC: &[u8; 8] = b"SUNDYIMG";
const HEADER_BYTES: usize = 76;
const DIGEST_BYTES: usize = 32;

/// Why an image is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There is none.
    #[error("there is no image")]
    None,
    /// It could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Its bytes are not what was written.
    #[error("the image is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// It was made by another build.
    #[error("the image is of version {found}, this build makes {MODELS_VERSION}")]
    OtherVersion {
        /// Its version.
        found: u32,
    },
    /// It is not of this log.
    #[error("the log does not confirm the image's lineage at position {next} of store {store}", next = .0.next, store = .0.store)]
    Foreign(Lineage),
    /// The log could not be asked.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The bytes of an image.
pub(crate) fn encode(models: &Models) -> Result<Vec<u8>, ImageError> {
    let damaged = |error: codec::CodecError| ImageError::Damaged { reason: error.to_string() };
    let rows = codec::encode(&Rows::of(models)).map_err(damaged)?;
    let lineage = models.checkpoint();
    let mut image = Vec::with_capacity(HEADER_BYTES + rows.len() + DIGEST_BYTES);
    image.extend_from_slice(MAGIC);
    image.extend_from_slice(&MODELS_VERSION.to_le_bytes());
    image.extend_from_slice(lineage.store.as_bytes());
    image.extend_from_slice(&lineage.next.get().to_le_bytes());
    image.extend_from_slice(&lineage.chain.0);
    image.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    image.extend_from_slice(&rows);
    let digest = Sha256::digest(&image);
    image.extend_from_slice(&digest);
    Ok(image)
}

/// The models of an image's bytes.
pub(crate) fn decode(image: &[u8]) -> Result<Models, ImageError> {
    let damaged = |reason: &str| ImageError::Damaged { reason: reason.to_owned() };
    let at = image.len().checked_sub(DIGEST_BYTES).ok_or_else(|| damaged("it ends early"))?;
    let (covered, digest) = image.split_at(at);
    if Sha256::digest(covered).as_slice() != digest {
        return Err(damaged("its digest is another"));
    }
    let header: &[u8; HEADER_BYTES] = covered.first_chunk().ok_or_else(|| damaged("it ends early"))?;
    if &field::<8>(header, 0) != MAGIC {
        return Err(damaged("it is no image"));
    }
    let found = u32::from_le_bytes(field(header, 8));
    if found != MODELS_VERSION {
        return Err(ImageError::OtherVersion { found });
    }
    let lineage = Lineage {
        store: Uuid::from_bytes(field(header, 12)),
        next: Position::new(u64::from_le_bytes(field(header, 28))),
        chain: Digest(field(header, 36)),
    };
    let rows = &covered[HEADER_BYTES..];
    if u64::from_le_bytes(field(header, 68)) != rows.len() as u64 {
        return Err(damaged("its length is another"));
    }
    let rows: Rows<'static> = codec::decode(rows).map_err(|error| damaged(&error.to_string()))?;
    Ok(Models::restore(rows, lineage))
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

/// Writes an image into a generation.
pub(crate) fn write(generation: &Path, models: &Models) -> Result<(), ImageError> {
    write_bytes(generation, &encode(models)?)
}

pub(crate) fn write_bytes(generation: &Path, image: &[u8]) -> Result<(), ImageError> {
    let path = generation.join(IMAGE);
    replace(&path, |file| file.write_all(image)).map_err(|source| ImageError::Io { path, source })
}

/// The models of the image that is in use.
///
/// # Errors
/// When there is none, or anything is wrong with it, or the log does not confirm it.
pub fn load(data_dir: &Path, log: &Log) -> Result<Models, ImageError> {
    let path = Generations::new(data_dir, IMAGES_DIR).current().ok_or(ImageError::None)?.join(IMAGE);
    let image = match fs::read(&path) {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ImageError::None),
        Err(source) => return Err(ImageError::Io { path, source }),
    };
    let models = decode(&image)?;
    let lineage = models.checkpoint();
    if log.confirms(&lineage)? { Ok(models) } else { Err(ImageError::Foreign(lineage)) }
}

/// The models of the image that is in use, or else models that have everything to come.
#[must_use]
pub fn load_or_new(data_dir: &Path, log: &Log) -> Models {
    match load(data_dir, log) {
        Ok(models) => return models,
        Err(ImageError::None) => {}
        Err(error) => tracing::warn!(%error, "the image of the models is not used; the log is replayed"),
    }
    Models::new(log.store_id())
}
