//! Days in queries: `2024-01-31`, `>2024-01-31` (and `>=`, `<`, `<=`), `2024-01-01..2024-01-31` with both ends in it.

use crate::search::expression::Days;
use domain::Date;

/// Reads what stands behind a name such as `created:`.
///
/// # Errors
/// What is wrong, and at which byte of the text.
pub(crate) fn days(text: &str) -> Result<Days, (usize, &'static str)> {
    if let Some((first, last)) = text.split_once("..") {
        let first = day(first, 0)?;
        let offset = text.len() - last.len();
        let last = day(last, offset)?;
        if last < first {
            return Err((offset, "the last day is before the first"));
        }
        return Ok(Days { from: Some(first), before: Some(last + 1) });
    }
    let sign = ["<=", ">=", "<", ">"].into_iter().find(|sign| text.starts_with(sign)).unwrap_or_default();
    let day = day(&text[sign.len()..], sign.len())?;
    Ok(match sign {
        "<=" => Days { from: None, before: Some(day + 1) },
        ">=" => Days { from: Some(day), before: None },
        "<" => Days { from: None, before: Some(day) },
        ">" => Days { from: Some(day + 1), before: None },
        _ => Days { from: Some(day), before: Some(day + 1) },
    })
}

fn day(text: &str, offset: usize) -> Result<i64, (usize, &'static str)> {
    text.parse::<Date>().map(day_number).map_err(|_| (offset, "this is not a day"))
}

/// Days since 1970-01-01.
pub(crate) fn day_number(date: Date) -> i64 {
    let text = date.to_string();
    // A date is written as digits at fixed places.
    let number = |digits: &str| digits.parse::<i64>().unwrap_or_default();
    let (year, month, day) = (number(&text[..4]), number(&text[5..7]), number(&text[8..]));
    // Years begin in March here, so that the day that only some have is their last (Howard Hinnant's days_from_civil).
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> i64 {
        day_number(text.parse().unwrap())
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-03-01", 11_017),
            ("2024-02-29", 19_782),
            ("2026-11-21", 20_778),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(number("9999-12-31") - number("0000-01-01"), 3_652_424);
    }

    #[test]
    fn comparisons_and_ranges_are_half_open_days() {
        let (one, two) = (number("2024-01-01"), number("2024-01-02"));
        let days = |text| days(text).map(|days| (days.from, days.before));
        assert_eq!(days("2024-01-01"), Ok((Some(one), Some(two))));
        assert_eq!(days(">2024-01-01"), Ok((Some(two), None)));
        assert_eq!(days(">=2024-01-01"), Ok((Some(one), None)));
        assert_eq!(days("<2024-01-02"), Ok((None, Some(two))));
        assert_eq!(days("<=2024-01-01"), Ok((None, Some(two))));
        assert_eq!(days("2024-01-01..2024-01-02"), Ok((Some(one), Some(two + 1))));
        assert_eq!(days("2024-01-02..2024-01-01").unwrap_err().0, 12);
        assert_eq!(days("2024-01-01..").unwrap_err().0, 12);
        assert_eq!(days(">=2024-02-30").unwrap_err().0, 2);
        assert!(days("").is_err());
    }
}
