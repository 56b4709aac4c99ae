//! Bars from 0 to 1, one under the other, with their intervals; value and number
//! of cases stand in columns at the right, where no interval can cover them.

use super::super::{Bar, Unit, notation};
use super::{Anchor, Drawing, Element, Frame, line, longest, rectangle, text, text_width, whisker};

/// Height of a row.
const ROW: f64 = 26.0;
/// Characters of a name; what is longer is cut.
const NAME: usize = 34;

pub(super) fn draw(axis: &str, bars: &[Bar]) -> Drawing {
    let names = longest(bars.iter().map(|bar| bar.name.as_str()), NAME);
    let rows = bars.len().max(1) as f64;
    let frame = Frame { left: text_width(names) + 14.0, top: 24.0, width: 330.0, height: rows * ROW };
    let cases = bars.iter().map(|bar| notation::count(bar.support).len()).max().unwrap_or(1).max(5);
    let ends = Ends { value: frame.right() + 56.0, cases: frame.right() + 68.0 + text_width(cases) };
    let mut elements = frame.horizontal_shares(17.0);
    elements.push(frame.horizontal_name(axis, 36.0));
    elements.push(text(ends.value, 14.0, "value", Anchor::End, "tick"));
    elements.push(text(ends.cases, 14.0, "cases", Anchor::End, "tick"));
    elements.extend(bars.iter().enumerate().flat_map(|(row, bar)| drawn(frame, ends, row, bar)));
    if bars.is_empty() {
        elements.push(frame.nothing());
    }
    let (width, height) = (ends.cases + 8.0, frame.bottom() + 46.0);
    Drawing { width, height, elements, description: description(axis, bars) }
}

/// Where the columns of numbers end.
#[derive(Clone, Copy)]
struct Ends {
    value: f64,
    cases: f64,
}

fn drawn(frame: Frame, ends: Ends, row: usize, bar: &Bar) -> Vec<Element> {
    let middle = frame.top + (row as f64 + 0.5) * ROW;
    let words = |x: f64, words: &str, class| text(x, middle + 4.0, words, Anchor::End, class);
    let mut elements = vec![
        words(frame.left - 8.0, &notation::shortened(&bar.name, NAME), "legend"),
        words(ends.value, &notation::value(bar.value, Unit::Share), "count"),
        words(ends.cases, &notation::count(bar.support), "tick"),
    ];
    let Some(value) = bar.value.filter(|value| value.is_finite()) else {
        elements.push(text(frame.left + 6.0, middle + 4.0, "not defined", Anchor::Start, "tick"));
        return elements;
    };
    let end = frame.x(value);
    elements.push(rectangle(frame.left, middle - 8.0, end - frame.left, 16.0, "bar"));
    // A bar of length 0 is seen by its end.
    elements.push(line(end, middle - 8.0, end, middle + 8.0, "bar-end"));
    elements.extend(bar.interval.map(|ends| whisker(frame.x(ends.low), frame.x(ends.high), middle)));
    elements
}

fn description(axis: &str, bars: &[Bar]) -> String {
    let defined = || bars.iter().filter_map(|bar| bar.value.map(|value| (value, &bar.name)));
    let highest = defined().max_by(|a, b| a.0.total_cmp(&b.0));
    let lowest = defined().min_by(|a, b| a.0.total_cmp(&b.0));
    let ends = highest.zip(lowest).map_or_else(String::new, |(high, low)| {
        format!(" Highest: {} ({:.3}). Lowest: {} ({:.3}).", high.1, high.0, low.1, low.0)
    });
    format!("{axis} of {} rows, from 0 to 1.{ends}", bars.len())
}
