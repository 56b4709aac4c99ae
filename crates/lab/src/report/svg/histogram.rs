//! How often each value occurs, as columns. Names that would not fit side by side
//! stand upright, and of many only every so many are written.

use super::super::{HistogramColumn, notation};
use super::{Anchor, Drawing, Element, Frame, line, longest, rectangle, text, text_width};

const WIDTH: f64 = 560.0;
/// Room for the widest number of the vertical axis and its name.
const LEFT: f64 = 68.0;
/// Characters of a column's name; what is longer is cut.
const NAME: usize = 28;
/// Room that an upright name takes.
const UPRIGHT: f64 = 15.0;

pub(super) fn draw(axis: &str, columns: &[HistogramColumn]) -> Drawing {
    let frame = Frame { left: LEFT, top: 22.0, width: WIDTH - LEFT - 14.0, height: 210.0 };
    let step = tick_step(columns.iter().map(|column| column.count).max().unwrap_or(0));
    let most = columns
        .iter()
        .map(|column| column.count)
        .max()
        .unwrap_or(0)
        .max(1)
        .div_ceil(step)
        .saturating_mul(step);
    let slot = frame.width / columns.len().max(1) as f64;
    let names = longest(columns.iter().map(|column| column.name.as_str()), NAME);
    let naming = Naming::of(names, slot);
    let mut elements = ticks(frame, most, step);
    for (place, column) in columns.iter().enumerate() {
        let middle = frame.left + (place as f64 + 0.5) * slot;
        elements.extend(drawn(frame, column, middle, slot, most));
        elements.extend(naming.name(frame, place, &column.name, middle));
    }
    let below = naming.depth(names) + 24.0;
    elements.extend([frame.horizontal_name(axis, below), frame.vertical_name("count")]);
    if columns.is_empty() {
        elements.push(frame.nothing());
    }
    let height = frame.bottom() + below + 12.0;
    Drawing { width: WIDTH, height, elements, description: description(axis, columns) }
}

fn drawn(frame: Frame, column: &HistogramColumn, middle: f64, slot: f64, most: u64) -> Vec<Element> {
    let top = frame.y(column.count as f64 / most as f64);
    let width = (slot * 0.8).min(48.0);
    let words = notation::count(column.count);
    let mut elements = vec![rectangle(middle - width / 2.0, top, width, frame.bottom() - top, "bar")];
    if text_width(words.len()) < slot {
        elements.push(text(middle, top - 5.0, &words, Anchor::Middle, "tick"));
    }
    elements
}

/// How the columns are named: level or upright, and each or every so many.
#[derive(Clone, Copy)]
enum Naming {
    Level { every: usize },
    Upright { every: usize },
}

impl Naming {
    fn of(longest: usize, slot: f64) -> Self {
        let width = text_width(longest + 1);
        // Short names, such as numbers of turns, can be read between those that are written.
        if width <= slot || longest <= 4 {
            return Naming::Level { every: (width / slot).ceil().max(1.0) as usize };
        }
        Naming::Upright { every: (UPRIGHT / slot).ceil().max(1.0) as usize }
    }

    fn name(self, frame: Frame, place: usize, name: &str, middle: f64) -> Option<Element> {
        let (Naming::Level { every } | Naming::Upright { every }) = self;
        if !place.is_multiple_of(every) {
            return None;
        }
        let name = notation::shortened(name, NAME);
        Some(match self {
            Naming::Level { .. } => text(middle, frame.bottom() + 17.0, &name, Anchor::Middle, "tick"),
            Naming::Upright { .. } => {
                let (x, y) = (middle + 4.0, frame.bottom() + 8.0);
                text(x, y, &name, Anchor::End, "tick").with("transform", format!("rotate(-90 {x:.1} {y:.1})"))
            }
        })
    }

    /// Pixels that the names take beneath the frame.
    fn depth(self, longest: usize) -> f64 {
        match self {
            Naming::Level { .. } => 17.0,
            Naming::Upright { .. } => text_width(longest) + 8.0,
        }
    }
}

fn ticks(frame: Frame, most: u64, step: u64) -> Vec<Element> {
    let tick = |count: u64| {
        let y = frame.y(count as f64 / most as f64);
        [
            line(frame.left, y, frame.right(), y, "grid"),
            text(frame.left - 7.0, y + 4.0, &notation::count(count), Anchor::End, "tick"),
        ]
    };
    (0..=most / step).map(|number| number * step).flat_map(tick).collect()
}

/// A step of 1, 2 or 5 times a power of ten that goes into `most` at most five times.
fn tick_step(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [power, power.saturating_mul(2), power.saturating_mul(5)] {
            if most.div_ceil(step) <= 5 {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn description(axis: &str, columns: &[HistogramColumn]) -> String {
    let total = columns.iter().map(|column| column.count).fold(0, u64::saturating_add);
    let most = columns.iter().max_by_key(|column| column.count);
    let most = most.map_or_else(String::new, |most| {
        format!(" The most, {}, are at {}.", notation::count(most.count), most.name)
    });
    format!("{} items in {} columns of {axis}.{most}", notation::count(total), columns.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_ticks_few() {
        assert_eq!([0, 5, 6, 10, 11, 99, 24_000].map(tick_step), [1, 1, 2, 2, 5, 20, 5000]);
        assert_eq!(tick_step(u64::MAX), 5_000_000_000_000_000_000);
    }
}
