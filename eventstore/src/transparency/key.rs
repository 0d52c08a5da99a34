//! Keys of notes: names, ids, and the text forms that other tools read (C2SP `signed-note`; secret keys as Go's `sumdb/note`
//! writes them). Ed25519 throughout.

use super::text;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Length of a public key and of a seed, bytes.
const KEY_BYTES: usize = 32;
/// Characters of a key's name at most.
const NAME_LEN_MAX: usize = 255;
/// What the text form of a secret key begins with.
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// Why a key cannot be used. Never holds anything secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name of a key is not usable.
    #[error(
        "{0:?} cannot name a key: 1 to {NAME_LEN_MAX} bytes without spaces, control characters and plus signs"
    )]
    Name(String),
    /// The text is not a key.
    #[error("this is no {0}")]
    Form(&'static str),
    /// The id in the text is not that of the key.
    #[error("the key {name:?} has the id {actual:08x}, and not {stated:08x} as its text says")]
    Id {
        /// The key's name.
        name: String,
        /// As the text has it.
        stated: u32,
        /// As the specification computes it.
        actual: u32,
    },
    /// The algorithm is not one of ours.
    #[error("the key {name:?} is for signatures of type {kind:#04x}; 0x01 and 0x04 (Ed25519) are known here")]
    Kind {
        /// The key's name.
        name: String,
        /// Type of signature.
        kind: u8,
    },
    /// The library refuses the key, or no random bytes were to be had.
    #[error("the key cannot be made")]
    Rejected,
}

/// Name of a key: of a log its origin, of a witness whatever its operator calls it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that notes cannot have in a name.
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > NAME_LEN_MAX || name.contains(is_bad) {
            return Err(KeyError::Name(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs. It is part of the key's id, so a signature of one kind never passes for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SignatureKind {
    /// A note's text.
    Note = 1,
    /// A checkpoint and the time at which a witness saw it (`cosignature/v1`).
    Cosignature = 4,
}

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    kind: SignatureKind,
    id: u32,
    public: [u8; KEY_BYTES],
}

impl VerifierKey {
    fn new(name: KeyName, kind: SignatureKind, public: [u8; KEY_BYTES]) -> Self {
        let mut hash = Sha256::new_with_prefix(name.as_str());
        hash.update([b'\n', kind as u8]);
        hash.update(public);
        let hash: [u8; 32] = hash.finalize().into();
        let id = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        Self { name, kind, id, public }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its id: what a signature says of the key besides the name.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// Whether two are halves of one key, whatever their names and kinds.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.public == other.public
    }

    /// Whether these are its signature's bytes for a message.
    pub(super) fn is_signature(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(&ED25519, self.public)
            .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = vec![self.kind as u8];
        material.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, self.id, text::to_base64(&material))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, stated, kind, public) = parts(text, "verifier key (name+id+key)")?;
        checked(Self::new(name, kind, public), stated)
    }
}

/// Name, id, kind of signature and 32 bytes of `name+id+base64`.
fn parts(text: &str, what: &'static str) -> Result<(KeyName, u32, SignatureKind, [u8; KEY_BYTES]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Form(what));
    };
    let name = KeyName::new(name)?;
    let is_hex = id.len() == 8 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = u32::from_str_radix(id, 16).ok().filter(|_| is_hex).ok_or(KeyError::Form(what))?;
    let material = text::decode(material).ok_or(KeyError::Form(what))?;
    let (kind, key) = material.split_first().ok_or(KeyError::Form(what))?;
    let kind = match kind {
        1 => SignatureKind::Note,
        4 => SignatureKind::Cosignature,
        other => return Err(KeyError::Kind { name: name.0, kind: *other }),
    };
    let key = key.try_into().map_err(|_| KeyError::Form(what))?;
    Ok((name, id, kind, key))
}

fn checked(key: VerifierKey, stated: u32) -> Result<VerifierKey, KeyError> {
    if key.id == stated {
        return Ok(key);
    }
    Err(KeyError::Id { name: key.name.0, stated, actual: key.id })
}

/// A key that signs. Shows its public half only.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; KEY_BYTES],
    verifier: VerifierKey,
}

impl SigningKey {
    /// A new key of random bytes.
    ///
    /// # Errors
    /// When the system has none.
    pub fn generate(name: KeyName, kind: SignatureKind) -> Result<Self, KeyError> {
        let mut seed = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| KeyError::Rejected)?;
        Self::from_seed(name, kind, seed)
    }

    /// The key that these 32 secret bytes stand for.
    ///
    /// # Errors
    /// When the library refuses them.
    pub fn from_seed(name: KeyName, kind: SignatureKind, seed: [u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Rejected)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Rejected)?;
        Ok(Self { pair, seed, verifier: VerifierKey::new(name, kind, public) })
    }

    /// Reads the text form of a secret key.
    ///
    /// # Errors
    /// When it is none; the error does not hold the text.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        const WHAT: &str = "secret key (PRIVATE+KEY+name+id+key)";
        let text = text.trim_end_matches('\n').strip_prefix(SECRET_PREFIX).ok_or(KeyError::Form(WHAT))?;
        let (name, stated, kind, seed) = parts(text, WHAT)?;
        let key = Self::from_seed(name, kind, seed)?;
        checked(key.verifier.clone(), stated)?;
        Ok(key)
    }

    /// The text form, with which anybody can sign in its name.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let mut material = vec![self.verifier.kind as u8];
        material.extend_from_slice(&self.seed);
        format!(
            "{SECRET_PREFIX}{}+{:08x}+{}",
            self.verifier.name,
            self.verifier.id,
            text::to_base64(&material)
        )
    }

    /// Its public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.pair.try_sign(message).map_err(|_| KeyError::Rejected)?.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
