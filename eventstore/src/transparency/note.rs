//! Signed notes: a text, and lines that say who signed it (C2SP `signed-note`).
//!
//! Invariant: a note whose text somebody acts upon has gone through [`SignedNote::verify`].

use super::cosignature;
use super::key::{KeyError, KeyName, SignatureKind, SigningKey, VerifierKey};
use super::text;
use std::fmt;

/// Length of a note at most, bytes: room for a text and a hundred signatures, or sixteen of the long kind.
const NOTE_BYTES_MAX: usize = 256 << 10;
/// Signatures under a note at most.
const SIGNATURES_MAX: usize = 128;
/// What a signature's line begins with.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A note as it came, or as it is to be sent. Nothing about it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A signature of a note: whose it claims to be, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: u32,
    bytes: Vec<u8>,
}

/// A key whose signature under a note is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// Of a cosignature, when it was given, in seconds since 1970.
    pub cosigned_at: Option<u64>,
}

/// Why a note cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Too long.
    #[error("a note of {0} bytes; {NOTE_BYTES_MAX} are the most")]
    TooLong(usize),
    /// Not a note.
    #[error("this is no signed note: {0}")]
    Form(&'static str),
    /// A known key's signature that is not good.
    #[error("the signature of {name} ({id:08x}) is not good")]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's id.
        id: u32,
    },
    /// No known key has signed it.
    #[error("none of the known keys has signed the note")]
    Unsigned,
    /// It could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl NoteSignature {
    /// Puts together what a key has signed.
    pub(super) fn new(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { name: key.name().clone(), id: key.id(), bytes }
    }

    /// Name of the key that it claims to be of.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Id of that key.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it claims to be of this key.
    #[must_use]
    pub fn claims(&self, key: &VerifierKey) -> bool {
        self.id == key.id() && self.name == *key.name()
    }

    /// Reads a line, without its end.
    ///
    /// # Errors
    /// When it is no signature.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let form = |what| move || NoteError::Form(what);
        let rest = line
            .strip_prefix(SIGNATURE_PREFIX)
            .ok_or_else(form("a signature's line begins with a long dash"))?;
        let (name, encoded) =
            rest.split_once(' ').ok_or_else(form("a signature's line has a name and a signature"))?;
        let name = KeyName::new(name).map_err(|_| NoteError::Form("a signature's name cannot name a key"))?;
        let bytes = text::decode(encoded).ok_or_else(form("a signature is not in Base 64"))?;
        let (id, bytes) =
            bytes.split_first_chunk::<4>().ok_or_else(form("a signature is shorter than the id of a key"))?;
        if bytes.is_empty() {
            return Err(NoteError::Form("a signature is empty"));
        }
        Ok(Self { name, id: u32::from_be_bytes(*id), bytes: bytes.to_vec() })
    }

    /// When it is good, as of which key.
    fn verified<'k>(&self, key: &'k VerifierKey, text: &str) -> Option<Verified<'k>> {
        match key.kind() {
            SignatureKind::Note => {
                key.is_signature(text.as_bytes(), &self.bytes).then_some(Verified { key, cosigned_at: None })
            }
            SignatureKind::Cosignature => {
                let at = cosignature::verify(key, text, &self.bytes)?;
                Some(Verified { key, cosigned_at: Some(at) })
            }
        }
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, text::to_base64(&bytes))
    }
}

impl SignedNote {
    /// A text signed by some keys.
    ///
    /// # Errors
    /// When the text cannot be a note's, or cannot be signed.
    pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || text.contains(is_control) {
            return Err(NoteError::Form("a text ends with a new line and has no other control characters"));
        }
        let sign = |key: &&SigningKey| {
            let bytes = key.sign(text.as_bytes())?;
            Ok(NoteSignature::new(key.verifier(), bytes))
        };
        let signatures = keys.iter().map(sign).collect::<Result<Vec<_>, NoteError>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Takes a note apart.
    ///
    /// # Errors
    /// When it is too long, or not in the form of a note.
    pub fn parse(note: &[u8]) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(note.len()));
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Form("it is not UTF-8"))?;
        if note.contains(is_control) {
            return Err(NoteError::Form("it has control characters"));
        }
        // The last empty line is the border: the text may have others.
        let border =
            note.rfind("\n\n").ok_or(NoteError::Form("there is no empty line before the signatures"))?;
        let (text, lines) = (&note[..=border], &note[border + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form("the last line has no end"))?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Form("it has more than 128 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, with the end of its last line. Not to be acted upon before [`SignedNote::verify`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Who claims to have signed it.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Keeps only the signatures that claim to be of these keys.
    pub fn retain(&mut self, keys: &[&VerifierKey]) {
        self.signatures.retain(|signature| keys.iter().any(|key| signature.claims(key)));
    }

    /// Adds a signature that is not there yet.
    pub fn add(&mut self, signature: NoteSignature) {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
    }

    /// Checks the signatures of known keys, and passes over all others. At least one key has signed it then.
    ///
    /// # Errors
    /// When a known key's signature is not good, or none of the keys has signed.
    pub fn verify<'k>(&self, keys: &[&'k VerifierKey]) -> Result<Vec<Verified<'k>>, NoteError> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| signature.claims(key)) else { continue };
            let good = signature.verified(key, &self.text);
            let good = good
                .ok_or_else(|| NoteError::BadSignature { name: signature.name.clone(), id: signature.id })?;
            // Who signs twice counts once.
            if !verified.iter().any(|before| before.key == *key) {
                verified.push(good);
            }
        }
        if verified.is_empty() { Err(NoteError::Unsigned) } else { Ok(verified) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// ASCII control characters other than the end of a line.
fn is_control(c: char) -> bool {
    c < ' ' && c != '\n'
}
