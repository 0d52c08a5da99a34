//! Images of the read models: a file for each that saves replaying the log from its beginning.
//!
//! ```text
//! 0   magic "SUNDYIM3"        8
//! 8   the model's name       16    zeros behind it
//! 24  the model's version     4    little-endian, like all numbers
//! 28  store                  16    ┐
//! 44  next position           8    │ lineage
//! 52  chain head             32    ┘
//! 84  dead letters           32    digest of those before the next position that it was made under
//! 116 length of the rows      8
//! 124 rows                    …    of the model's own making
//!     SHA-256 of all before  32
//! ```
//!
//! Invariant: an image is a cache and never believed: whatever is wrong with it (a byte, its name or version, a
//! lineage that the log does not confirm, dead letters that are decided otherwise now), that model is made of the log instead, and no other.

use crate::control::{Followed, Letters, letters_of};
use crate::generation::{Generations, replace};
use crate::read_model::ReadModel;
use eventstore::codec::CodecError;
use eventstore::{Digest, Lineage, Log, Position, ReadError};
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Directory of the images in a data directory.
pub(crate) const IMAGES_DIR: &str = "images";
const MAGIC: &[u8; 8] = b"SUNDYIM3";
const NAME_BYTES: usize = 16;
const HEADER_BYTES: usize = 124;
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
    #[error("the image is of version {found}, this build makes {own}")]
    OtherVersion {
        /// Its version.
        found: u32,
        /// The version that this build makes.
        own: u32,
    },
    /// It is not of this log.
    #[error("the log does not confirm the image's lineage at position {next} of store {store}", next = .0.next, store = .0.store)]
    Foreign(Lineage),
    /// Other events are dead letters now than when it was made.
    #[error("the image was made under other dead letters")]
    OtherLetters,
    /// The log could not be asked.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The file of a model's image in a generation.
pub(crate) fn path<M: ReadModel>(generation: &Path) -> PathBuf {
    generation.join(M::NAME).with_extension("img")
}

/// The bytes of an image of a model that was made under these dead letters.
pub(crate) fn encode<M: ReadModel>(model: &M, letters: &Letters) -> Result<Vec<u8>, ImageError> {
    let rows = model.to_rows().map_err(|error| damaged(&error))?;
    let lineage = model.checkpoint();
    let mut image = Vec::with_capacity(HEADER_BYTES + rows.len() + DIGEST_BYTES);
    image.extend_from_slice(MAGIC);
    image.extend_from_slice(&name_of::<M>());
    image.extend_from_slice(&M::VERSION.to_le_bytes());
    image.extend_from_slice(lineage.store.as_bytes());
    image.extend_from_slice(&lineage.next.get().to_le_bytes());
    image.extend_from_slice(&lineage.chain.0);
    image.extend_from_slice(&letters.digest_before(lineage.next).0);
    image.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    image.extend_from_slice(&rows);
    let digest = Sha256::digest(&image);
    image.extend_from_slice(&digest);
    Ok(image)
}

/// The model of an image's bytes, and the digest of the dead letters that it was made under.
pub(crate) fn decode<M: ReadModel>(image: &[u8]) -> Result<(M, Digest), ImageError> {
    let Parts { rows, lineage, letters } = parts::<M>(image)?;
    let model = M::from_rows(rows, lineage).map_err(|error: CodecError| damaged(&error))?;
    Ok((model, letters))
}

/// What an image says, its rows not yet read.
struct Parts<'i> {
    rows: &'i [u8],
    lineage: Lineage,
    letters: Digest,
}

fn parts<M: ReadModel>(image: &[u8]) -> Result<Parts<'_>, ImageError> {
    let at = image.len().checked_sub(DIGEST_BYTES).ok_or_else(|| damaged(&"it ends early"))?;
    let (covered, digest) = image.split_at(at);
    if Sha256::digest(covered).as_slice() != digest {
        return Err(damaged(&"its digest is another"));
    }
    let header: &[u8; HEADER_BYTES] = covered.first_chunk().ok_or_else(|| damaged(&"it ends early"))?;
    if &field::<8>(header, 0) != MAGIC {
        return Err(damaged(&"it is no image, or one of an older build"));
    }
    if field::<NAME_BYTES>(header, 8) != name_of::<M>() {
        return Err(damaged(&"it is of another model"));
    }
    let found = u32::from_le_bytes(field(header, 24));
    if found != M::VERSION {
        return Err(ImageError::OtherVersion { found, own: M::VERSION });
    }
    let lineage = Lineage {
        store: Uuid::from_bytes(field(header, 28)),
        next: Position::new(u64::from_le_bytes(field(header, 44))),
        chain: Digest(field(header, 52)),
    };
    let rows = &covered[HEADER_BYTES..];
    if u64::from_le_bytes(field(header, 116)) != rows.len() as u64 {
        return Err(damaged(&"its length is another"));
    }
    Ok(Parts { rows, lineage, letters: Digest(field(header, 84)) })
}

fn damaged(reason: &dyn Display) -> ImageError {
    ImageError::Damaged { reason: reason.to_string() }
}

fn name_of<M: ReadModel>() -> [u8; NAME_BYTES] {
    const { assert!(M::NAME.len() <= NAME_BYTES, "an image has no room for the name") }
    let mut name = [0; NAME_BYTES];
    name[..M::NAME.len()].copy_from_slice(M::NAME.as_bytes());
    name
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

/// Writes an image into a generation.
pub(crate) fn write<M: ReadModel>(generation: &Path, model: &M, letters: &Letters) -> Result<(), ImageError> {
    write_bytes::<M>(generation, &encode(model, letters)?)
}

pub(crate) fn write_bytes<M: ReadModel>(generation: &Path, image: &[u8]) -> Result<(), ImageError> {
    let path = path::<M>(generation);
    replace(&path, |file| file.write_all(image)).map_err(|source| ImageError::Io { path, source })
}

/// Takes a model's image over into another generation as it is, if there is one.
pub(crate) fn keep<M: ReadModel>(from: &Path, to: &Path) -> Result<(), ImageError> {
    match read::<M>(from) {
        Ok(image) => write_bytes::<M>(to, &image),
        Err(ImageError::None) => Ok(()),
        Err(error) => Err(error),
    }
}

fn read<M: ReadModel>(generation: &Path) -> Result<Vec<u8>, ImageError> {
    let path = path::<M>(generation);
    fs::read(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ImageError::None,
        _ => ImageError::Io { path, source },
    })
}

/// The model of the image that is in use.
///
/// # Errors
/// When there is none, or anything is wrong with it, or the log does not confirm it.
pub fn load<M: ReadModel>(data_dir: &Path, log: &Log) -> Result<M, ImageError> {
    load_under(data_dir, log, &*letters_of(M::NAME, log)?)
}

/// How far the image that is in use is, without making a model of it.
pub(crate) fn checkpoint_of<M: ReadModel>(data_dir: &Path, log: &Log) -> Result<Position, ImageError> {
    let generation = Generations::new(data_dir, IMAGES_DIR).current().ok_or(ImageError::None)?;
    let image = read::<M>(&generation)?;
    let lineage = parts::<M>(&image)?.lineage;
    if log.confirms(&lineage)? { Ok(lineage.next) } else { Err(ImageError::Foreign(lineage)) }
}

/// The model of the image that is in use, if it was made under these dead letters.
pub(crate) fn load_under<M: ReadModel>(
    data_dir: &Path,
    log: &Log,
    letters: &Letters,
) -> Result<M, ImageError> {
    let generation = Generations::new(data_dir, IMAGES_DIR).current().ok_or(ImageError::None)?;
    let (model, made_under) = decode::<M>(&read::<M>(&generation)?)?;
    let lineage = model.checkpoint();
    if !log.confirms(&lineage)? {
        return Err(ImageError::Foreign(lineage));
    }
    if made_under != letters.digest_before(lineage.next) {
        return Err(ImageError::OtherLetters);
    }
    Ok(model)
}

/// The model of the image that is in use, or else one that has everything to come; with what the log said of it before the
/// image was looked for.
#[must_use]
pub(crate) fn load_or_new<M: ReadModel>(data_dir: &Path, log: &Log) -> (M, Followed) {
    let followed = Followed::until_now(M::NAME, log).unwrap_or_else(|error| {
        // Whoever follows the log finds out what it says.
        tracing::warn!(model = M::NAME, %error, "what is asked of a read model cannot be read");
        Followed::of(M::NAME)
    });
    match load_under(data_dir, log, followed.letters()) {
        Ok(model) => return (model, followed),
        Err(ImageError::None) => {}
        Err(error) => {
            tracing::warn!(model = M::NAME, %error, "the image of a read model is not used; the log is replayed");
        }
    }
    (M::begin(log.store_id()), followed)
}
