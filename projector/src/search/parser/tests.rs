//! What queries mean, and what is said of those that mean nothing.

use crate::search::expression::Expression;
use crate::search::words::fold;

fn means(text: &str) -> String {
    match Expression::parse(text) {
        Ok(expression) => expression.to_string(),
        Err(mistake) => panic!("{text}: {mistake}"),
    }
}

#[test]
fn queries_mean_what_they_say() {
    for (text, meaning) in [
        ("", ""),
        ("   ", ""),
        ("crash", "crash"),
        ("Ångström  Crash", "(angstrom crash)"),
        (r#""Null Pointer" x"#, r#"("null pointer" x)"#),
        (r#"a"b c"d"#, r#"(a "b c" d)"#),
        ("foo-bar", "'foo bar'"),
        ("KAFKA-123", "'kafka 123'"),
        ("a OR b c", "(a OR (b c))"),
        ("a AND b OR c AND d", "((a b) OR (c d))"),
        ("(a OR b) c", "((a OR b) c)"),
        ("-a NOT b -(c d) -\"e f\"", r#"(-a -b -(c d) -"e f")"#),
        ("--a", "--a"),
        ("--\"a b\" !-(c d) ---(e)", r#"(--"a b" -(c d) ---e)"#),
        ("or and not", "(or and not)"),
        ("deplo* deploi~ deploi~2 deploi~1", "(deplo* deploi~1 deploi~2 deploi~1)"),
        ("KAFKA-12* key:tidev/MOD-2*", "(key:kafka-12* key:tidev/mod-2*)"),
        ("東京* 東京", "('東 京' '東 京')"),
        (
            "title:crash description:\"a b\" comment:xy* key:K-1",
            r#"(title:crash description:"a b" comment:xy* key:'k 1')"#,
        ),
        ("Text:x", "text:x"),
        ("assignee:ann assignee:\"Bob B\"", r#"(assignee:"ann" assignee:"Bob B")"#),
        ("board:\"My Board\" column:Done", r#"(board:"My Board" column:"Done")"#),
        ("is:open has:Comments -is:overdue", "(is:open has:comments -is:overdue)"),
        ("due:1970-01-02 created:<1970-01-02", "(due:[1,2) created:[,1))"),
        ("updated:1970-01-01..1970-01-03", "updated:[0,3)"),
        ("completed:\">1970-01-01\"", "completed:[1,)"),
        (
            "field.Priority:HIGH field.\"story points\":3",
            r#"(field."priority":"high" field."story points":"3")"#,
        ),
        // What people paste.
        ("std::vec https://example.org 12:30", "('std vec' 'https example org' '12 30')"),
        ("Error: no such file", "(error no such file)"),
        ("a - b & c !! \"--\" ~/x x~y", "(a b c x 'x y')"),
        ("C++ c#", "(c c)"),
    ] {
        assert_eq!(means(text), meaning, "{text}");
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_what_would_be_right() {
    for (text, at, told) in [
        ("one \"two", 4, "quote is never closed"),
        ("ä ö \"ü", 4, "quote is never closed"),
        ("-\"two", 1, "quote is never closed"),
        ("!! \"\"", 0, "no word"),
        ("a (b", 2, "never closed"),
        ("a b)", 3, "closed"),
        (")", 0, "closed"),
        ("a ()", 3, "nothing in the parentheses"),
        ("a OR", 4, "ends too early"),
        ("a AND", 5, "ends too early"),
        ("a NOT", 5, "ends too early"),
        ("OR a", 0, "OR has nothing before it"),
        ("a AND OR b", 6, "OR has nothing before it"),
        ("(AND a)", 1, "AND has nothing before it"),
        ("a (b OR)", 7, "closed"),
        ("x colour:red", 2, "there is no field colour"),
        ("x colour:red", 2, "one of title, text"),
        ("field.:x", 0, "there is no field"),
        ("title:", 6, "no value"),
        ("title: x", 6, "no value"),
        ("title:(a)", 6, "no value"),
        ("title:!!", 6, "no word"),
        ("is:done", 3, "one of open, completed, overdue, unassigned"),
        ("has:x", 4, "one of comments"),
        ("due:tomorrow", 4, "not a day"),
        ("due:2024-01-01..2024-13-01", 16, "not a day"),
        ("due:\"2024-01-02..2024-01-01\"", 17, "the last day is before"),
        ("d*", 0, "too short"),
        ("title:d*", 6, "too short"),
        ("de*loy", 2, "end of a word"),
        ("title:foo-b*", 6, "several words: foo, b"),
        ("\"a b\"~2", 5, "after a phrase"),
        ("\"a b\"*", 5, "after a phrase"),
        ("foo-bar~", 7, "several words: foo, bar"),
        ("ab~", 0, "too short"),
        ("abcd~2", 0, "at least 5 letters"),
        ("abcde~3", 5, "~, ~1 or ~2"),
        ("field.\"a b\" x", 11, "no value"),
        ("assignee:\"\"", 9, "empty"),
    ] {
        let mistake = Expression::parse(text).expect_err(text);
        assert_eq!(mistake.at, at, "{text}: {mistake}");
        assert!(mistake.to_string().contains(told), "{text}: {mistake}");
    }
    for (text, told) in [
        ("x".repeat(1_001), "at most 1000"),
        ("y".repeat(101), "too long"),
        ("x ".repeat(33), "at most 32"),
        ("xy* ".repeat(9), "at most 8"),
        ("(".repeat(17) + "x", "at most 16"),
        ("-".repeat(17) + "x", "at most 16"),
        (format!("board:{}", "x".repeat(501)), "too long"),
    ] {
        let mistake = Expression::parse(&text).expect_err(&text);
        assert!(mistake.to_string().contains(told), "{text}: {mistake}");
    }
}

#[test]
fn spans_are_where_conditions_stand() {
    let text = "ä (title:foo OR \"b c\") -x";
    let root = Expression::parse(text).unwrap().root.unwrap();
    assert_eq!(&text[root.span.clone()], text);
    let super::Condition::All(nodes) = root.condition else { panic!("{:?}", root.condition) };
    let spans: Vec<_> = nodes.iter().map(|node| &text[node.span.clone()]).collect();
    assert_eq!(spans, ["ä", "title:foo OR \"b c\"", "-x"]);
}

/// Whatever is typed gives a tree or a mistake in it, never a panic; and a tree's canonical spelling is at most what was
/// typed, said again.
#[test]
fn no_text_panics() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| uuid::Uuid::now_v7().as_u128() as u64);
    eprintln!("SEED={seed}");
    let mut state = seed;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces = [
        "\"",
        "(",
        ")",
        "-",
        "*",
        "~",
        "~2",
        ":",
        "::",
        "..",
        " ",
        "  ",
        "AND",
        "OR",
        "NOT",
        "title:",
        "is:",
        "open",
        "due:",
        "2024-01-01",
        "field.",
        "field.\"",
        "ä",
        "東",
        "İ",
        "ß",
        "\u{301}",
        "\u{0}",
        "x",
        "foo",
        "board:",
        "<",
        ">=",
        "a\u{308}",
        "🦀",
        "\u{2028}",
        "ﷺ",
        "½",
        "key:",
        "assignee:",
    ];
    let (mut good, mut bad) = (0, 0);
    for _ in 0..30_000 {
        let text: String = match random(4) {
            0 => (0..random(20)).map(|_| char::from_u32(random(0x11_0000) as u32).unwrap_or('?')).collect(),
            _ => (0..random(12)).map(|_| pieces[random(pieces.len())]).collect(),
        };
        let _ = fold(&text);
        match Expression::parse(&text) {
            Ok(expression) => {
                good += 1;
                let _ = (expression.to_string(), expression.wanted_words().len());
            }
            Err(mistake) => {
                bad += 1;
                assert!(mistake.at <= text.chars().count(), "{text:?}: {mistake}");
            }
        }
    }
    assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
}
