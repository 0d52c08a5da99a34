//! Queries at random: how each is written, and for what it holds by a plain reading.

use crate::history::{BOARDS, DAYS, Day, TODAY, Thing};
use crate::support::Random;
use crate::vocabulary::{VOCABULARY, are_forms_of_one, is_near, places};
use projector::search::DocumentKind;

/// Where words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Anywhere,
    Title,
    Text,
    Description,
    Comment,
    Key,
}

#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Word(Scope, usize),
    Phrase(Scope, Vec<usize>),
    Prefix(Scope, String),
    Near(Scope, String, usize),
    KeyPrefix(String),
    Is(&'static str),
    Has(&'static str),
    /// A moment, from a day, up to a day, both in it.
    Days(&'static str, Option<u32>, Option<u32>),
    Place(&'static str, String, Vec<uuid::Uuid>),
    Assignee(String),
    Field(&'static str, String),
    All(Vec<Asked>),
    Any(Vec<Asked>),
    Not(Box<Asked>),
}

const SCOPES: [(Scope, &str); 8] = [
    (Scope::Anywhere, ""),
    (Scope::Anywhere, ""),
    (Scope::Anywhere, ""),
    (Scope::Title, "title:"),
    (Scope::Text, "text:"),
    (Scope::Description, "description:"),
    (Scope::Comment, "comment:"),
    (Scope::Key, "key:"),
];

impl Asked {
    pub(crate) fn random(random: &mut Random, depth: usize) -> Self {
        if depth > 0 && random.below(2) == 0 {
            let mut parts = |count| (0..count).map(|_| Self::random(random, depth - 1)).collect();
            return match parts(3) {
                three if depth == 3 => Self::All(three),
                mut three => {
                    let last: Self = three.pop().unwrap();
                    match random.below(4) {
                        0 => Self::Not(Box::new(last)),
                        1 => Self::All(three),
                        _ => Self::Any(three),
                    }
                }
            };
        }
        let scope = SCOPES[random.below(SCOPES.len())].0;
        match random.below(22) {
            0..=6 => Self::Word(scope, word(random)),
            7..=8 => {
                let count = 1 + random.below(2);
                Self::Phrase(scope, (0..count).map(|_| word(random)).collect())
            }
            9..=10 => {
                let whole: Vec<char> = token(random).chars().collect();
                let end = (2 + random.below(4)).min(whole.len());
                if whole.len() < 2 {
                    Self::Word(scope, 0)
                } else {
                    Self::Prefix(scope, whole[..end].iter().collect())
                }
            }
            11..=12 => {
                let known = token(random);
                let near = misspelt(random, &known);
                let count = near.chars().count();
                let edits = 1 + random.below(2);
                let is_long_enough = near.is_ascii() && count >= if edits == 2 { 5 } else { 3 };
                if is_long_enough { Self::Near(scope, near, edits) } else { Self::Word(scope, word(random)) }
            }
            13 => Self::KeyPrefix(format!("k-{}", 1 + random.below(30))),
            14 => Self::Is(random.pick(&["open", "completed", "overdue", "unassigned"])),
            15 => Self::Has(random.pick(&[
                "comments",
                "attachments",
                "links",
                "due",
                "description",
                "assignee",
            ])),
            16..=17 => {
                let (one, other) = (random.below(DAYS as usize) as u32, random.below(DAYS as usize) as u32);
                let (from, to) = (one.min(other), one.max(other));
                let moment = random.pick(&["created", "updated", "completed", "due"]);
                match random.below(4) {
                    0 => Self::Days(moment, Some(from), None),
                    1 => Self::Days(moment, None, Some(to)),
                    2 => Self::Days(moment, Some(from), Some(from)),
                    _ => Self::Days(moment, Some(from), Some(to)),
                }
            }
            18..=19 => place(random),
            20 => Self::Assignee(random.pick(&["ann", "bob", "Bob B", "bob b"]).to_owned()),
            _ => {
                let (name, value) = [
                    ("priority", "HIGH"),
                    ("priority", "strasse"),
                    ("tags", "blue sky"),
                    ("Tags", "red"),
                    ("size", "2"),
                    ("none", "x"),
                ][random.below(6)];
                Self::Field(name, value.to_owned())
            }
        }
    }

    /// The few queries that a test writes itself.
    pub(crate) fn parse(text: &str) -> Self {
        match text.split_once(':') {
            None => {
                Self::Word(Scope::Anywhere, VOCABULARY.iter().position(|known| known.text == text).unwrap())
            }
            Some(("is", "open")) => Self::Is("open"),
            Some(("is", "overdue")) => Self::Is("overdue"),
            Some(("has", "comments")) => Self::Has("comments"),
            Some(("-has", "assignee")) => Self::Not(Box::new(Self::Has("assignee"))),
            Some(("column", "Done")) => Self::Place("column", "Done".to_owned(), columns("Done")),
            Some(("field.priority", value)) => Self::Field("priority", value.to_owned()),
            Some(_) => panic!("{text}"),
        }
    }

    /// The query as somebody types it.
    pub(crate) fn written(&self, random: &mut Random) -> String {
        let prefix = |scope: &Scope| SCOPES.iter().find(|(known, _)| known == scope).unwrap().1;
        let text = |number: &usize| VOCABULARY[*number].text;
        match self {
            Self::Word(scope, number) => format!("{}{}", prefix(scope), text(number)),
            Self::Phrase(scope, numbers) => {
                let words: Vec<_> = numbers.iter().map(text).collect();
                format!("{}\"{}\"", prefix(scope), words.join(" "))
            }
            Self::Prefix(scope, start) => format!("{}{start}*", prefix(scope)),
            Self::Near(scope, near, 1) if random.below(2) == 0 => format!("{}{near}~", prefix(scope)),
            Self::Near(scope, near, edits) => format!("{}{near}~{edits}", prefix(scope)),
            Self::KeyPrefix(start) => format!("{}*", start.to_uppercase()),
            Self::Is(is) => format!("is:{is}"),
            Self::Has(has) => format!("HAS:{has}"),
            Self::Days(moment, from, to) => {
                let day = |day: u32| Day(day).to_string();
                match (from, to) {
                    (Some(from), None) if *from > 0 && random.below(2) == 0 => {
                        format!("{moment}:>{}", day(from - 1))
                    }
                    (Some(from), None) => format!("{moment}:>={}", day(*from)),
                    (None, Some(to)) if random.below(2) == 0 => format!("{moment}:<{}", day(to + 1)),
                    (None, Some(to)) => format!("{moment}:<={}", day(*to)),
                    (Some(from), Some(to)) if from == to => format!("{moment}:{}", day(*from)),
                    (Some(from), Some(to)) => format!("{moment}:{}..{}", day(*from), day(*to)),
                    (None, None) => unreachable!(),
                }
            }
            Self::Place(kind, given, _) => format!("{kind}:\"{given}\""),
            Self::Assignee(person) => format!("assignee:\"{person}\""),
            Self::Field(name, value) => format!("field.{name}:\"{value}\""),
            Self::All(parts) => {
                let between = [" ", " AND "][random.below(2)];
                let parts: Vec<_> = parts.iter().map(|part| part.written(random)).collect();
                format!("({})", parts.join(between))
            }
            Self::Any(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| part.written(random)).collect();
                format!("({})", parts.join(" OR "))
            }
            Self::Not(part) => format!("{}{}", ["-", "NOT "][random.below(2)], part.written(random)),
        }
    }

    /// Whether it holds for a thing.
    pub(crate) fn holds(&self, thing: &Thing, is_stemmed: bool) -> bool {
        match self {
            Self::Word(scope, number) => {
                let words = wholes(&[*number]);
                let is_form = is_stemmed && words.len() == 1 && *scope != Scope::Key;
                stands(thing, *scope, &words)
                    || is_form
                        && texts(thing, *scope, false)
                            .iter()
                            .flatten()
                            .any(|place| are_forms_of_one(&place[0], &words[0]))
            }
            Self::Phrase(scope, numbers) => stands(thing, *scope, &wholes(numbers)),
            Self::Prefix(scope, start) => any_word(thing, *scope, |word| word.starts_with(start.as_str())),
            Self::Near(scope, near, edits) => {
                let near: Vec<char> = near.chars().collect();
                any_word(thing, *scope, |word| is_near(&word.chars().collect::<Vec<_>>(), &near, *edits))
            }
            Self::KeyPrefix(start) => {
                thing.key.as_ref().is_some_and(|key| key.to_lowercase().starts_with(start))
            }
            Self::Is(is) => {
                let is_open = thing.is_item && thing.completed.is_none();
                match *is {
                    "open" => is_open,
                    "completed" => thing.completed.is_some(),
                    "overdue" => is_open && thing.due.is_some_and(|due| due < TODAY.0),
                    _ => thing.is_item && thing.assignees.is_empty(),
                }
            }
            Self::Has(has) => thing.has.contains(has),
            Self::Days(moment, from, to) => {
                let day = match *moment {
                    "created" => Some(Day::of(thing.created)),
                    "updated" => Some(Day::of(thing.updated)),
                    "completed" => thing.completed.map(Day::of),
                    _ => thing.due.map(i64::from),
                };
                day.is_some_and(|day| {
                    from.is_none_or(|from| day >= i64::from(from)) && to.is_none_or(|to| day <= i64::from(to))
                })
            }
            Self::Place(kind, _, ids) => {
                let place = match *kind {
                    "workspace" => Some(thing.workspace.id().uuid()),
                    "project" => Some(thing.project),
                    "board" => thing.board,
                    _ => thing.column,
                };
                place.is_some_and(|place| ids.contains(&place))
            }
            Self::Assignee(person) => thing.assignees.contains(person),
            Self::Field(name, value) => {
                let fold = |text: &str| text.to_lowercase().replace('ß', "ss");
                thing
                    .fields
                    .iter()
                    .any(|(known, text)| fold(known) == fold(name) && fold(text) == fold(value))
            }
            Self::All(parts) => parts.iter().all(|part| part.holds(thing, is_stemmed)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(thing, is_stemmed)),
            Self::Not(part) => !part.holds(thing, is_stemmed),
        }
    }
}

/// A word that has letters.
fn word(random: &mut Random) -> usize {
    loop {
        let number = random.below(VOCABULARY.len());
        if !VOCABULARY[number].places.is_empty() {
            return number;
        }
    }
}

/// A word that can be found, whole or part.
fn token(random: &mut Random) -> String {
    let places = VOCABULARY[word(random)].places;
    let words = places[random.below(places.len())];
    random.pick(words).to_owned()
}

fn misspelt(random: &mut Random, word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    for _ in 0..random.below(3) {
        let at = random.below(letters.len().max(1)).min(letters.len().saturating_sub(1));
        match random.below(4) {
            0 => letters.insert(at, 'e'),
            1 if letters.len() > 1 => drop(letters.remove(at)),
            2 if at + 1 < letters.len() => letters.swap(at, at + 1),
            _ => letters[at] = 'z',
        }
    }
    letters.into_iter().collect()
}

fn place(random: &mut Random) -> Asked {
    let board = &BOARDS[random.below(3)];
    let given = |kind, name: &str, ids| Asked::Place(kind, name.to_owned(), ids);
    match random.below(6) {
        0 => given("board", &board.name.to_uppercase().replace("SSE", "sse"), vec![board.id().uuid()]),
        1 => given("board", &board.id().to_string(), vec![board.id().uuid()]),
        2 => {
            let name = random.pick(&["open", "DONE", "Doing"]);
            given("column", name, columns(name))
        }
        3 => given("project", "rocket", vec![BOARDS[0].project().uuid()]),
        4 => given("workspace", "THEIRS", vec![BOARDS[2].tenant.id().uuid()]),
        _ => given("board", "nowhere", vec![]),
    }
}

/// The columns of that name on boards that are there.
fn columns(name: &str) -> Vec<uuid::Uuid> {
    let named = BOARDS[..3].iter().flat_map(|board| board.columns.iter().map(move |column| (board, column)));
    let named = named.filter(|(_, column)| column.eq_ignore_ascii_case(name));
    named.map(|(board, column)| board.column(column).uuid()).collect()
}

/// The words of a query's text.
fn wholes(numbers: &[usize]) -> Vec<String> {
    places(numbers).into_iter().map(|mut place| place.swap_remove(0)).collect()
}

/// The texts of a thing that a scope looks at.
fn texts(thing: &Thing, scope: Scope, with_keys: bool) -> Vec<Vec<Vec<String>>> {
    let is_comment = thing.kind == DocumentKind::Comment;
    let has_text = match scope {
        Scope::Anywhere | Scope::Text => true,
        Scope::Comment => is_comment,
        Scope::Description => !is_comment,
        Scope::Title | Scope::Key => false,
    };
    let mut texts = Vec::new();
    if matches!(scope, Scope::Anywhere | Scope::Title) {
        texts.push(places(&thing.title));
    }
    if has_text {
        texts.extend(thing.text.as_ref().map(|text| places(text)));
    }
    if with_keys && matches!(scope, Scope::Anywhere | Scope::Key) {
        let key = thing.key.as_ref().map(|key| key.to_lowercase());
        texts.extend(key.map(|key| key.split('-').map(|word| vec![word.to_owned()]).collect()));
    }
    texts
}

/// Whether these words stand one after the other in one of the texts.
fn stands(thing: &Thing, scope: Scope, words: &[String]) -> bool {
    texts(thing, scope, true).iter().any(|places| {
        places
            .windows(words.len())
            .any(|here| here.iter().zip(words).all(|(place, word)| place.contains(word)))
    })
}

fn any_word(thing: &Thing, scope: Scope, holds: impl Fn(&str) -> bool) -> bool {
    texts(thing, scope, true).iter().flatten().flatten().any(|word| holds(word))
}
