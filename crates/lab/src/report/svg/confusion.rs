//! A confusion matrix as a grid of counts: rows are what is so, columns what was
//! said. The shade of a cell is its share of the row; the diagonal is framed, so
//! that agreement is seen without colour.

use super::super::notation;
use super::{Anchor, Drawing, Element, Frame, longest, rectangle, text, text_width};

/// Characters of a label; what is longer is cut.
const LABEL: usize = 30;
/// Pixels of a digit, a little less than of a letter.
const DIGIT: f64 = 6.6;
/// Shade of a cell that holds its whole row; kept low, so that the number on it
/// stays readable in light and dark.
const DARKEST: f64 = 0.55;

pub(super) fn draw(labels: &[String], counts: &[Vec<u64>]) -> Drawing {
    let grid = Grid::of(labels, counts);
    let mut elements = Vec::new();
    for (row, counts) in counts.iter().enumerate().take(labels.len()) {
        let total = counts.iter().copied().fold(0, u64::saturating_add);
        for (column, count) in counts.iter().enumerate().take(labels.len()) {
            elements.extend(grid.cell(row, column, *count, total));
        }
    }
    elements.extend((0..labels.len()).map(|place| grid.diagonal(place)));
    elements.extend(labels.iter().enumerate().flat_map(|(place, label)| grid.labels(place, label)));
    elements.extend(grid.names());
    if labels.is_empty() {
        elements.push(grid.frame.nothing());
    }
    let (width, height) = (grid.frame.right() + 6.0, grid.frame.bottom() + 10.0);
    Drawing { width, height, elements, description: description(labels, counts) }
}

/// Measures of the grid.
struct Grid {
    frame: Frame,
    cell: (f64, f64),
    heads: Heads,
}

/// How the labels of the columns stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    Level,
    Upright,
}

impl Grid {
    fn of(labels: &[String], counts: &[Vec<u64>]) -> Self {
        let label = text_width(longest(labels.iter().map(String::as_str), LABEL));
        let digits = counts.iter().flatten().map(|count| notation::count(*count).len()).max().unwrap_or(1);
        let room: f64 = match labels.len() {
            0..=4 => 84.0,
            5..=9 => 56.0,
            10..=16 => 44.0,
            _ => 34.0,
        };
        let width = room.max(digits as f64 * DIGIT + 5.0);
        let heads = if label <= width - 4.0 { Heads::Level } else { Heads::Upright };
        let head = if heads == Heads::Level { 20.0 } else { label + 10.0 };
        let side = labels.len().max(2) as f64;
        // The widths of a wide grid's cells are given by their numbers, not their heights.
        let height = room.min(54.0).min(width);
        let frame =
            Frame { left: label + 34.0, top: head + 26.0, width: side * width, height: side * height };
        Self { frame, cell: (width, height), heads }
    }

    fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        (self.frame.left + column as f64 * self.cell.0, self.frame.top + row as f64 * self.cell.1)
    }

    fn cell(&self, row: usize, column: usize, count: u64, total: u64) -> [Element; 2] {
        let (x, y) = self.corner(row, column);
        let share = count as f64 / total.max(1) as f64;
        let shade = rectangle(x + 0.5, y + 0.5, self.cell.0 - 1.0, self.cell.1 - 1.0, "heat")
            .with("fill-opacity", format!("{:.3}", 0.04 + (DARKEST - 0.04) * share));
        let class = if count == 0 { "count zero" } else { "count" };
        let (x, y) = (x + self.cell.0 / 2.0, y + self.cell.1 / 2.0 + 4.0);
        [shade, text(x, y, &notation::count(count), Anchor::Middle, class)]
    }

    fn diagonal(&self, place: usize) -> Element {
        let (x, y) = self.corner(place, place);
        rectangle(x + 1.0, y + 1.0, self.cell.0 - 2.0, self.cell.1 - 2.0, "diagonal")
    }

    fn labels(&self, place: usize, label: &str) -> [Element; 2] {
        let label = notation::shortened(label, LABEL);
        let (left, top) = self.corner(place, place);
        let row = text(self.frame.left - 8.0, top + self.cell.1 / 2.0 + 4.0, &label, Anchor::End, "legend");
        let middle = left + self.cell.0 / 2.0;
        let column = match self.heads {
            Heads::Level => text(middle, self.frame.top - 8.0, &label, Anchor::Middle, "legend"),
            Heads::Upright => {
                let (x, y) = (middle + 4.0, self.frame.top - 8.0);
                text(x, y, &label, Anchor::Start, "legend")
                    .with("transform", format!("rotate(-90 {x:.1} {y:.1})"))
            }
        };
        [row, column]
    }

    fn names(&self) -> [Element; 2] {
        let middle = self.frame.left + self.frame.width / 2.0;
        [text(middle, 14.0, "predicted", Anchor::Middle, "name"), self.frame.vertical_name("gold")]
    }
}

fn description(labels: &[String], counts: &[Vec<u64>]) -> String {
    let total = counts.iter().flatten().copied().fold(0, u64::saturating_add);
    let right = counts.iter().enumerate().filter_map(|(place, row)| row.get(place)).copied();
    let right = right.fold(0, u64::saturating_add);
    format!(
        "{} labels, {} items, {} of them on the diagonal, where gold and predicted agree.",
        labels.len(),
        notation::count(total),
        notation::count(right)
    )
}
