//! How deep a JSON text is nested, told from its bytes before anything is built from them.
//!
//! Invariant: what passes here is nested at most [`DEPTH_MAX`] deep, so whoever reads it later (serde gives up at 128,
//! other readers sooner) can still put it into something. Texts that are no JSON may pass: the parser finds them.

/// Levels of arrays and objects that a body may have: the 64 of a field's value, within a few of what surrounds it.
pub const DEPTH_MAX: usize = 72;

/// The place of the bracket that is one level too deep.
pub(super) fn too_deep(text: &[u8]) -> Option<usize> {
    // Nearly all bodies have fewer brackets than levels are allowed, and counting them is much faster than following.
    (brackets(text) > DEPTH_MAX).then(|| follow(text)).flatten()
}

/// How many bytes open an array or an object, strings included.
fn brackets(text: &[u8]) -> usize {
    // Counted in bytes for as long as a byte holds the count: that is what the compiler makes wide instructions of.
    text.chunks(255)
        .map(|chunk| {
            usize::from(chunk.iter().fold(0_u8, |count, byte| count.wrapping_add(u8::from(opens(*byte)))))
        })
        .sum()
}

/// `[` and `{` differ in one bit.
fn opens(byte: u8) -> bool {
    byte | 0x20 == b'{'
}

fn follow(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = end_of_string(text, at + 1),
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Some(at);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place of the quotation mark that ends a string.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        // What follows a backslash ends nothing.
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn nested(depth: usize, open: &str, close: &str) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn the_level_after_the_last_is_found() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"\\\"[\":", "}]")] {
            let levels =
                open.bytes().filter(|byte| opens(*byte)).count() - usize::from(open.contains("\\\"["));
            assert_eq!(too_deep(nested(DEPTH_MAX / levels, open, close).as_bytes()), None, "{open}");
            let text = nested(DEPTH_MAX / levels + 1, open, close);
            assert_eq!(too_deep(text.as_bytes()), Some(DEPTH_MAX / levels * open.len()), "{open}");
        }
    }

    #[test]
    fn wide_is_not_deep_and_strings_are_not_brackets() {
        let wide = format!("[{}[]]", "[{}],".repeat(10_000));
        assert_eq!(too_deep(wide.as_bytes()), None);
        let text = format!("[\"{}\\\\\\\"{}\"]", "[".repeat(500), "{".repeat(500));
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        assert_eq!(too_deep(text.as_bytes()), None);
        assert_eq!(too_deep(&[b'['; 1000]), Some(DEPTH_MAX));
        assert_eq!(too_deep(&[b'{'; 255 * 4]), Some(DEPTH_MAX));
        assert_eq!(too_deep(&[b']'; 1000]), None);
        assert_eq!(too_deep(&[b'"'; 1001]), None);
        assert_eq!(
            too_deep(format!("{}\"\\", "[]".repeat(100)).as_bytes()),
            None,
            "cut off within an escape"
        );
    }

    /// Why serde's own limit is not enough: what is only passed on is skipped without counting levels.
    #[test]
    fn serde_limits_values_but_not_raw_ones() {
        let text = nested(100_000, "[", "]");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
        assert!(serde_json::from_str::<&RawValue>(&text).is_ok());
        assert!(crate::json::parse::<&RawValue>(text.as_bytes()).is_err());
    }

    /// The way it is done fast says the same as the way it is done plainly, on random texts of the bytes that matter.
    #[test]
    fn following_agrees_with_a_plain_reading() {
        let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
        eprintln!("seed {seed}");
        let mut random = seed | 1;
        for _ in 0..2_000 {
            let text: Vec<u8> = (0..600)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    b"[[[[[[{{{{{{]}\"\\x:"[(random % 18) as usize]
                })
                .collect();
            assert_eq!(too_deep(&text), plainly(&text), "{}", String::from_utf8_lossy(&text));
        }
    }

    fn plainly(text: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        for (at, byte) in text.iter().enumerate() {
            if in_string {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'[' | b'{' => {
                        depth += 1;
                        if depth > DEPTH_MAX {
                            return Some(at);
                        }
                    }
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        None
    }
}
