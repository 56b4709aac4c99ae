//! Curves in the unit square with their legend beneath: lines that differ in
//! colour and dashes, marks that differ in shape, what chance would give as a
//! thin dotted line.

use super::super::{Curve, Mark, notation};
use super::{Anchor, DASHES, Drawing, Element, Frame, HUES, circle, clamped, line, path, pixels, text};

const FRAME: Frame = Frame { left: 52.0, top: 10.0, width: 374.0, height: 300.0 };
const WIDTH: f64 = 440.0;
/// Height of a line of the legend.
const ROW: f64 = 20.0;
/// Characters that a line of the legend has room for.
const LEGEND: usize = 54;
/// Points closer together than this are drawn as one.
const STEP: f64 = 0.4;

pub(super) fn draw([x, y]: [&str; 2], curves: &[Curve], marks: &[Mark], chance: Option<&Curve>) -> Drawing {
    let mut elements = FRAME.horizontal_shares(17.0);
    elements.extend(FRAME.vertical_shares());
    elements.extend([FRAME.horizontal_name(x, 36.0), FRAME.vertical_name(y)]);
    elements.extend(chance.map(|chance| path(course(&chance.points), "line chance")));
    elements.extend(curves.iter().enumerate().filter_map(|(number, curve)| drawn(number, curve)));
    elements.extend(
        marks.iter().enumerate().map(|(number, mark)| symbol(number, FRAME.x(mark.x), FRAME.y(mark.y))),
    );
    if marks.is_empty() && curves.iter().all(|curve| curve.points.is_empty()) {
        elements.push(FRAME.nothing());
    }
    let rows = legend(curves, marks, chance);
    let height = FRAME.bottom() + 52.0 + rows.len() as f64 * ROW;
    elements.extend(rows.into_iter().flatten());
    Drawing { width: WIDTH, height, elements, description: description([x, y], curves, marks) }
}

fn drawn(number: usize, curve: &Curve) -> Option<Element> {
    match curve.points.as_slice() {
        [] => None,
        // A line of one point would not be seen.
        [[x, y]] => Some(circle(FRAME.x(*x), FRAME.y(*y), 3.0, HUE_DOTS[number % HUES])),
        points => Some(stroke(number, course(points))),
    }
}

fn stroke(number: usize, course: String) -> Element {
    path(course, HUE_LINES[number % HUES]).with("stroke-dasharray", DASHES[number % DASHES.len()])
}

/// A path through the points; those that lie within half a pixel of the one
/// before are left out, so that a curve of a million points stays small.
fn course(points: &[[f64; 2]]) -> String {
    let mut course = String::new();
    let mut last: Option<(f64, f64)> = None;
    for (place, [x, y]) in points.iter().enumerate() {
        let (x, y) = (FRAME.x(*x), FRAME.y(*y));
        let far =
            last.is_none_or(|(before_x, before_y)| (x - before_x).abs().max((y - before_y).abs()) >= STEP);
        if far || place + 1 == points.len() {
            let step = if last.is_none() { "M" } else { "L" };
            course.extend([step, &pixels(x), " ", &pixels(y)]);
            last = Some((x, y));
        }
    }
    course
}

/// A shape of its own for each mark: circle, square, diamond, triangle and two
/// crosses, hollow so that those in one place are all seen.
fn symbol(number: usize, x: f64, y: f64) -> Element {
    let at = |dx: f64, dy: f64| format!("{} {}", pixels(x + dx), pixels(y + dy));
    let course = match number % HUES {
        0 => return circle(x, y, 5.5, "mark"),
        1 => format!("M{}L{}L{}L{}Z", at(-5.0, -5.0), at(5.0, -5.0), at(5.0, 5.0), at(-5.0, 5.0)),
        2 => format!("M{}L{}L{}L{}Z", at(0.0, -7.0), at(7.0, 0.0), at(0.0, 7.0), at(-7.0, 0.0)),
        3 => format!("M{}L{}L{}Z", at(0.0, -6.5), at(6.0, 4.5), at(-6.0, 4.5)),
        4 => format!("M{}L{}M{}L{}", at(-5.0, -5.0), at(5.0, 5.0), at(-5.0, 5.0), at(5.0, -5.0)),
        _ => format!("M{}L{}M{}L{}", at(0.0, -6.5), at(0.0, 6.5), at(-6.5, 0.0), at(6.5, 0.0)),
    };
    path(course, "mark")
}

fn legend(curves: &[Curve], marks: &[Mark], chance: Option<&Curve>) -> Vec<[Element; 2]> {
    let height = |row: usize| FRAME.bottom() + 60.0 + row as f64 * ROW;
    let words = |row: usize, words: &str| {
        text(FRAME.left + 42.0, height(row), &notation::shortened(words, LEGEND), Anchor::Start, "legend")
    };
    let sample = |row: usize| format!("M{} {}h32", pixels(FRAME.left), pixels(height(row) - 4.0));
    let mut rows = Vec::new();
    for (number, curve) in curves.iter().enumerate() {
        let name =
            if curve.points.is_empty() { format!("{} (no points)", curve.name) } else { curve.name.clone() };
        rows.push([stroke(number, sample(rows.len())), words(rows.len(), &name)]);
    }
    for (number, mark) in marks.iter().enumerate() {
        let row = rows.len();
        rows.push([symbol(number, FRAME.left + 16.0, height(row) - 4.0), words(row, &placed(mark))]);
    }
    if let Some(chance) = chance {
        let y = height(rows.len()) - 4.0;
        let sample = line(FRAME.left, y, FRAME.left + 32.0, y, "line chance");
        rows.push([sample, words(rows.len(), &chance.name)]);
    }
    rows
}

fn placed(mark: &Mark) -> String {
    format!("{} ({:.3}, {:.3})", mark.name, clamped(mark.x), clamped(mark.y))
}

fn description([x, y]: [&str; 2], curves: &[Curve], marks: &[Mark]) -> String {
    let names: Vec<String> = curves.iter().map(|curve| curve.name.clone()).collect();
    let marks: Vec<String> = marks.iter().map(placed).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" Marks: {}.", marks.join("; ")) };
    format!("{y} against {x}, both from 0 to 1. Lines: {}.{marks}", names.join("; "))
}

const HUE_LINES: [&str; HUES] =
    ["line hue-0", "line hue-1", "line hue-2", "line hue-3", "line hue-4", "line hue-5"];
const HUE_DOTS: [&str; HUES] = ["hue-0", "hue-1", "hue-2", "hue-3", "hue-4", "hue-5"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_drawn_with_few_points_and_keeps_its_end() {
        let points: Vec<[f64; 2]> = (0..=100_000).map(|i| [f64::from(i) / 1e5, f64::from(i) / 1e5]).collect();
        let course = course(&points);
        assert!(course.matches('L').count() < 1200);
        assert!(course.starts_with("M52 310") && course.ends_with("L426 10"), "{course}");
    }
}
