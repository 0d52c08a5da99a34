//! Which logs and witnesses somebody trusts, and how many of the witnesses have to have cosigned (C2SP `tlog-policy`).
//!
//! ```text
//! log <verifier key> [<url>]
//! witness <name> <verifier key> [<url>]
//! group <name> all|any|<k> <name>…
//! quorum <name>|none
//! ```

use super::key::{KeyError, SignatureKind, VerifierKey};
use super::tile::decimal;
use std::str::FromStr;

/// Lines of a policy at most.
const LINES_MAX: usize = 1_000;

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    quorum: Rule,
}

/// A witness that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What the policy calls it.
    pub name: String,
    /// Its key.
    pub key: VerifierKey,
    /// Where it is asked for cosignatures: the prefix before `/add-checkpoint`.
    pub url: Option<String>,
}

/// Who has to have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Nobody.
    None,
    /// A witness, by its number.
    One(usize),
    /// So many of these.
    Of(usize, Vec<Rule>),
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {reason}")]
pub struct PolicyError {
    /// Number of the line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Default for Policy {
    /// No witnesses, and nobody has to have cosigned.
    fn default() -> Self {
        Self { logs: Vec::new(), witnesses: Vec::new(), quorum: Rule::None }
    }
}

impl Policy {
    /// The logs that it names.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses that it names.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Whether it asks for any cosignature.
    #[must_use]
    pub fn needs_witnesses(&self) -> bool {
        self.quorum != Rule::None
    }

    /// Whether enough witnesses have cosigned, of whom `has` says who has.
    pub fn is_met(&self, mut has: impl FnMut(&VerifierKey) -> bool) -> bool {
        let cosigned: Vec<_> = self.witnesses.iter().map(|witness| has(&witness.key)).collect();
        self.quorum.is_met(&cosigned)
    }
}

impl Rule {
    fn is_met(&self, cosigned: &[bool]) -> bool {
        match self {
            Self::None => true,
            Self::One(index) => cosigned.get(*index).copied().unwrap_or(false),
            Self::Of(needed, members) => {
                members.iter().filter(|member| member.is_met(cosigned)).count() >= *needed
            }
        }
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut reading = Reading::default();
        for (number, line) in (1..).zip(text.split('\n')) {
            let words: Vec<_> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            let read = match words.as_slice() {
                _ if number > LINES_MAX => Err(format!("a policy has {LINES_MAX} lines at most")),
                [] => Ok(()),
                [first, ..] if first.starts_with('#') => Ok(()),
                ["log", key] | ["log", key, _] => reading.log(key),
                ["witness", name, key] => reading.witness(name, key, None),
                ["witness", name, key, url] => reading.witness(name, key, Some(url)),
                ["group", name, needed, members @ ..] => reading.group(name, needed, members),
                ["quorum", name] => reading.quorum(name),
                [other, ..] => {
                    Err(format!("{other:?} with these words is neither log, witness, group nor quorum"))
                }
            };
            read.map_err(|reason| PolicyError { line: number, reason })?;
        }
        let quorum = reading.quorum.ok_or_else(|| PolicyError {
            line: text.lines().count(),
            reason: "it ends without a quorum; \"quorum none\" asks for no witness".to_owned(),
        })?;
        Ok(Self { logs: reading.logs, witnesses: reading.witnesses, quorum })
    }
}

#[derive(Default)]
struct Reading {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    /// Witnesses and groups by name.
    named: Vec<(String, Rule)>,
    quorum: Option<Rule>,
}

impl Reading {
    fn log(&mut self, key: &str) -> Result<(), String> {
        let key = verifier(key, SignatureKind::Note)?;
        if self.logs.iter().any(|log| log.is_same_key(&key)) {
            return Err("this log's key stands there already".to_owned());
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), String> {
        let key = verifier(key, SignatureKind::Cosignature)?;
        if self.witnesses.iter().any(|witness| witness.key.is_same_key(&key)) {
            return Err("this witness's key stands there already".to_owned());
        }
        self.name(name, Rule::One(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &str, needed: &str, members: &[&str]) -> Result<(), String> {
        let rules = members.iter().map(|member| self.find(member)).collect::<Result<Vec<_>, _>>()?;
        let most = u64::try_from(rules.len()).unwrap_or(u64::MAX);
        let needed = match needed {
            "any" => Some(1),
            "all" => Some(most),
            number => decimal(number),
        };
        let needed = needed.filter(|needed| (1..=most).contains(needed));
        let needed = needed.and_then(|needed| usize::try_from(needed).ok());
        let needed =
            needed.ok_or(format!("all, any, or a number from 1 to {most} says how many are needed"))?;
        self.name(name, Rule::Of(needed, rules))
    }

    fn quorum(&mut self, name: &str) -> Result<(), String> {
        if self.quorum.is_some() {
            return Err("there is a quorum already".to_owned());
        }
        self.quorum = Some(if name == "none" { Rule::None } else { self.find(name)? });
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Rule, String> {
        let found = self.named.iter().find(|(known, _)| known == name);
        found.map(|(_, rule)| rule.clone()).ok_or(format!("nothing before it is called {name:?}"))
    }

    fn name(&mut self, name: &str, rule: Rule) -> Result<(), String> {
        if name == "none" || self.named.iter().any(|(known, _)| known == name) {
            return Err(format!("{name:?} is taken"));
        }
        self.named.push((name.to_owned(), rule));
        Ok(())
    }
}

fn verifier(text: &str, kind: SignatureKind) -> Result<VerifierKey, String> {
    let key: VerifierKey = text.parse().map_err(|error: KeyError| error.to_string())?;
    if key.kind() == kind {
        return Ok(key);
    }
    Err(format!(
        "the key {} is for signatures of type {:#04x}, not {:#04x}",
        key.name(),
        key.kind() as u8,
        kind as u8
    ))
}
