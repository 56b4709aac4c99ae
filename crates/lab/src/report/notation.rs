//! How numbers and words are written, alike in every form of a report: as many
//! decimals as the unit has, a dash where a figure is not defined, thousands
//! set apart, and no character that could steer a terminal or hide text.

use super::{Better, Cell, Interval, Unit};

/// Stands where a figure is not defined.
pub(super) const NOT_DEFINED: &str = "–";

/// From here on a number is written with an exponent; f64 counts no further.
const LARGEST: f64 = 9e15;

/// A cell as it is written.
pub(super) struct Written {
    /// Words, or the number.
    pub(super) main: String,
    /// The interval in brackets; empty if there is none.
    pub(super) interval: String,
    /// Where it stands in its column.
    pub(super) alignment: Alignment,
}

/// Where a cell stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alignment {
    /// Words stand at the left.
    Left,
    /// Numbers stand at the right.
    Right,
}

/// A cell in words.
pub(super) fn cell(cell: &Cell) -> Written {
    match cell {
        Cell::Text(text) => {
            Written { main: visible(text), interval: String::new(), alignment: Alignment::Left }
        }
        Cell::Count(number) => {
            Written { main: count(*number), interval: String::new(), alignment: Alignment::Right }
        }
        Cell::Value { value: number, unit, interval: ends } => Written {
            main: value(*number, *unit),
            interval: ends.map_or_else(String::new, |ends| interval(ends, *unit)),
            alignment: Alignment::Right,
        },
    }
}

/// A figure in the decimals of its unit; [`NOT_DEFINED`] for none and for what
/// is not finite.
pub(super) fn value(value: Option<f64>, unit: Unit) -> String {
    let Some(number) = value.filter(|number| number.is_finite()) else {
        return NOT_DEFINED.to_owned();
    };
    if number.abs() >= LARGEST {
        return format!("{number:.3e}");
    }
    without_negative_zero(match unit {
        Unit::Share | Unit::Number => format!("{number:.3}"),
        Unit::Percent | Unit::Turns => format!("{number:.2}"),
        Unit::Count => grouped(&format!("{number:.0}")),
    })
}

/// A difference: a figure with its sign, `±` where it rounds to zero.
pub(super) fn difference(difference: Option<f64>, unit: Unit) -> String {
    let written = value(difference, unit);
    if written == NOT_DEFINED || written.starts_with('-') {
        return written;
    }
    let sign = if is_zero(&written) { '±' } else { '+' };
    format!("{sign}{written}")
}

/// An interval in brackets.
pub(super) fn interval(interval: Interval, unit: Unit) -> String {
    format!("[{}, {}]", value(Some(interval.low), unit), value(Some(interval.high), unit))
}

/// A probability of a test: three decimals, or a bound below them.
pub(super) fn p_value(p: Option<f64>) -> String {
    match p.filter(|p| p.is_finite()) {
        None => NOT_DEFINED.to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

/// A number of things, thousands set apart by commas.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A confidence such as 0.95 as `95 %`.
pub(super) fn confidence(share: f64) -> String {
    let percent = format!("{:.2}", share * 100.0);
    format!("{} %", percent.trim_end_matches('0').trim_end_matches('.'))
}

/// Which direction is better, in words; empty if neither is.
pub(super) fn better(better: Better) -> &'static str {
    match better {
        Better::Higher => "higher",
        Better::Lower => "lower",
        Better::Neither => "",
    }
}

/// The text with each control character, and each character that turns the
/// direction of what follows, replaced by U+FFFD. Line ends and tabs become
/// spaces.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .map(|character| if matches!(character, '\n' | '\r' | '\t') { ' ' } else { shown(character) })
        .collect()
}

/// As [`visible`], and line ends stay.
pub(super) fn visible_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(visible)
}

/// The text, at most `width` characters of it, an ellipsis for the rest.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

fn shown(character: char) -> char {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // U+FFFE and U+FFFF are no characters of HTML or XML.
    let none = matches!(character, '\u{fffe}' | '\u{ffff}');
    if character.is_control() || turns || none { '\u{fffd}' } else { character }
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut written = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// A figure that rounds to zero has no sign.
fn without_negative_zero(written: String) -> String {
    match written.strip_prefix('-') {
        Some(rest) if is_zero(rest) => rest.to_owned(),
        _ => written,
    }
}

fn is_zero(written: &str) -> bool {
    !written.contains(|c| matches!(c, '1'..='9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_its_decimals_and_thousands_are_set_apart() {
        assert_eq!(value(Some(0.51249), Unit::Share), "0.512");
        assert_eq!(value(Some(84.474), Unit::Percent), "84.47");
        assert_eq!(value(Some(8975.0), Unit::Count), "8,975");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(value(Some(-1234.0), Unit::Count), "-1,234");
        assert_eq!(value(Some(-1e300), Unit::Share), "-1.000e300");
    }

    #[test]
    fn what_is_not_defined_or_not_finite_is_a_dash() {
        for number in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(value(number, Unit::Share), NOT_DEFINED);
            assert_eq!(difference(number, Unit::Share), NOT_DEFINED);
            assert_eq!(p_value(number), NOT_DEFINED);
        }
    }

    #[test]
    fn a_difference_has_a_sign_also_where_it_rounds_to_zero() {
        assert_eq!(difference(Some(0.02), Unit::Share), "+0.020");
        assert_eq!(difference(Some(-0.02), Unit::Share), "-0.020");
        assert_eq!(difference(Some(0.0001), Unit::Share), "±0.000");
        assert_eq!(difference(Some(-0.0001), Unit::Share), "±0.000");
    }

    #[test]
    fn small_probabilities_are_given_as_a_bound() {
        assert_eq!(p_value(Some(0.000_09)), "< 0.001");
        assert_eq!(p_value(Some(0.0312)), "0.031");
    }

    #[test]
    fn no_character_steers_the_terminal() {
        assert_eq!(visible("a\u{1b}[31mb\nc\u{202e}d"), "a\u{fffd}[31mb c\u{fffd}d");
    }

    #[test]
    fn a_long_name_ends_in_an_ellipsis() {
        assert_eq!(shortened("Endangering National Security", 12), "Endangering…");
        assert_eq!(shortened("Drugs", 5), "Drugs");
    }

    #[test]
    fn a_confidence_is_written_without_needless_decimals() {
        assert_eq!(confidence(0.95), "95 %");
        assert_eq!(confidence(0.999), "99.9 %");
    }
}
