//! Differences between two runs as points with intervals about a line at zero,
//! for figures that are shares or percentages.

use super::super::{Interval, PairedRow, Unit, notation};
use super::{Anchor, Drawing, Element, Frame, circle, line, longest, text, text_width, whisker};

/// What the chart shows.
pub(in super::super) const TITLE: &str = "Differences with their intervals";
/// Height of a row.
const ROW: f64 = 26.0;
/// Characters of a name; what is longer is cut.
const NAME: usize = 40;

/// The chart; none where no difference of a share or a percentage has an interval.
pub(in super::super) fn differences(rows: &[PairedRow], id: &str) -> Option<Element> {
    let rows: Vec<Row> = rows.iter().filter_map(Row::of).collect();
    if rows.is_empty() {
        return None;
    }
    let names = longest(rows.iter().map(|row| row.name.as_str()), NAME);
    let frame =
        Frame { left: text_width(names) + 14.0, top: 8.0, width: 360.0, height: rows.len() as f64 * ROW };
    let reach = reach(&rows);
    let mut elements = ticks(frame, reach);
    elements.extend(rows.iter().enumerate().flat_map(|(place, row)| row.drawn(frame, place, reach)));
    let end = frame.right() + 66.0;
    elements.push(frame.horizontal_name("difference, B minus A (percentages divided by 100)", 36.0));
    let description = description(&rows);
    let drawing = Drawing { width: end + 6.0, height: frame.bottom() + 46.0, elements, description };
    Some(drawing.element(TITLE, id))
}

struct Row {
    name: String,
    difference: f64,
    interval: Interval,
}

impl Row {
    fn of(row: &PairedRow) -> Option<Self> {
        let scale = match row.unit {
            Unit::Share => 1.0,
            Unit::Percent => 0.01,
            Unit::Count | Unit::Turns | Unit::Number => return None,
        };
        let difference = row.difference.filter(|number| number.is_finite())? * scale;
        let interval = row.interval?;
        let interval = Interval { low: interval.low * scale, high: interval.high * scale };
        Some(Self { name: row.full_title(), difference, interval })
    }

    fn drawn(&self, frame: Frame, place: usize, reach: f64) -> Vec<Element> {
        let middle = frame.top + (place as f64 + 0.5) * ROW;
        let x = |difference: f64| frame.x(0.5 + difference / reach / 2.0);
        let words = notation::difference(Some(self.difference), Unit::Share);
        vec![
            text(
                frame.left - 8.0,
                middle + 4.0,
                &notation::shortened(&self.name, NAME),
                Anchor::End,
                "legend",
            ),
            whisker(x(self.interval.low), x(self.interval.high), middle),
            circle(x(self.difference), middle, 4.5, "dot"),
            text(frame.right() + 66.0, middle + 4.0, &words, Anchor::End, "count"),
        ]
    }

    fn excludes_zero(&self) -> bool {
        self.interval.low > 0.0 || self.interval.high < 0.0
    }
}

/// How far the axis goes to both sides: a round number that holds all intervals.
fn reach(rows: &[Row]) -> f64 {
    let ends = rows.iter().flat_map(|row| [row.difference, row.interval.low, row.interval.high]);
    let furthest = ends.filter(|end| end.is_finite()).fold(0.0_f64, |most, end| most.max(end.abs()));
    let round = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
    round.into_iter().find(|reach| furthest <= *reach).unwrap_or(1.0)
}

fn ticks(frame: Frame, reach: f64) -> Vec<Element> {
    let tick = |place: f64| {
        let x = frame.x(0.5 + place / 2.0);
        let class = if place == 0.0 { "zero-line" } else { "grid" };
        let words = format!("{:+.3}", place * reach);
        let words = if place == 0.0 { "0" } else { &words };
        [
            line(x, frame.top, x, frame.bottom(), class),
            text(x, frame.bottom() + 17.0, words, Anchor::Middle, "tick"),
        ]
    };
    [-1.0, -0.5, 0.0, 0.5, 1.0].into_iter().flat_map(tick).collect()
}

fn description(rows: &[Row]) -> String {
    let apart = rows.iter().filter(|row| row.excludes_zero()).count();
    format!("{} differences; the intervals of {apart} do not hold zero.", rows.len())
}
