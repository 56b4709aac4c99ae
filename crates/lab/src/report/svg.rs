//! Charts as SVG, each with a title and a description for those who do not see
//! it. Colours come from the page's style sheet, so that they follow light, dark
//! and print; what they tell is told by dashes, shapes or words too. One file for
//! each kind of chart; here stands what they share.

mod bars;
mod confusion;
mod curves;
mod differences;
mod histogram;
mod reliability;

use super::markup::Element;
use super::{Chart, Interval, notation, tables};

pub(super) use differences::{TITLE as DIFFERENCES, differences};

/// Width of a character of a chart's text, in pixels, generously.
const CHARACTER: f64 = 7.0;
/// Width in pixels up to which a chart may be shrunk to a telephone's screen.
const NARROW: f64 = 450.0;
/// Ticks of an axis from 0 to 1.
const SHARES: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// Number of colours and shapes in the style sheet before they come again.
const HUES: usize = 6;
/// Dashes of lines; a number that has no factor in common with [`HUES`], so that
/// thirty lines differ.
const DASHES: [&str; 5] = ["none", "7 3", "2 3", "10 3 2 3", "4 2"];

/// The chart as an element; `id` is unlike that of every other one in the page.
pub(super) fn chart(chart: &Chart, id: &str) -> Element {
    let title = tables::chart_title(chart);
    let drawing = match chart {
        Chart::Curves { x, y, curves, marks, chance, .. } => {
            curves::draw([x, y], curves, marks, chance.as_ref())
        }
        Chart::Reliability { bins, .. } => reliability::draw(bins),
        Chart::Confusion { labels, counts, .. } => confusion::draw(labels, counts),
        Chart::Bars { axis, bars, .. } => bars::draw(axis, bars),
        Chart::Histogram { axis, columns, .. } => histogram::draw(axis, columns),
    };
    drawing.element(title, id)
}

/// A small drawing of a value and its interval between 0 and 1, for a card that
/// says the same in words; hidden from screen readers.
pub(super) fn card_interval(value: f64, interval: Interval) -> Element {
    let frame = Frame { left: 5.0, top: 2.0, width: 210.0, height: 12.0 };
    let middle = frame.top + frame.height / 2.0;
    let (low, high) = (frame.x(interval.low), frame.x(interval.high));
    let ticks =
        [0.0, 0.5, 1.0].map(|share| line(frame.x(share), middle - 3.0, frame.x(share), middle + 3.0, "axis"));
    Element::new("svg")
        .class("range")
        .with("viewBox", "0 0 220 16")
        .with("aria-hidden", "true")
        .child(line(frame.x(0.0), middle, frame.x(1.0), middle, "axis"))
        .children(ticks)
        .child(rectangle(low, middle - 4.0, (high - low).max(1.0), 8.0, "span"))
        .child(line(frame.x(value), middle - 7.0, frame.x(value), middle + 7.0, "value-line"))
}

/// What a kind of chart gives: its size in pixels, its elements, and what it
/// shows in a sentence or two.
struct Drawing {
    width: f64,
    height: f64,
    elements: Vec<Element>,
    description: String,
}

impl Drawing {
    fn element(self, title: &str, id: &str) -> Element {
        let (title_id, description_id) = (format!("{id}-title"), format!("{id}-description"));
        // A narrow chart stays readable when a narrow screen shrinks it; a wide one scrolls.
        let class = if self.width <= NARROW { "chart narrow" } else { "chart" };
        Element::new("svg")
            .class(class)
            .with("role", "img")
            .with("viewBox", format!("0 0 {} {}", pixels(self.width), pixels(self.height)))
            .with("width", pixels(self.width))
            .with("height", pixels(self.height))
            .with("aria-labelledby", format!("{title_id} {description_id}"))
            .child(Element::new("title").with("id", title_id).text(title))
            .child(Element::new("desc").with("id", description_id).text(self.description))
            .children(self.elements)
    }
}

/// The part of a drawing in which the data stand.
#[derive(Clone, Copy)]
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame {
    /// Place of a share on the horizontal axis; what lies outside is put at its end.
    fn x(&self, share: f64) -> f64 {
        self.left + clamped(share) * self.width
    }

    /// Place of a share on the vertical axis, which rises.
    fn y(&self, share: f64) -> f64 {
        self.bottom() - clamped(share) * self.height
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Lines and numbers of a horizontal axis from 0 to 1, numbers `below` pixels
    /// under the frame.
    fn horizontal_shares(&self, below: f64) -> Vec<Element> {
        let tick = |share: f64| {
            let x = self.x(share);
            [
                line(x, self.top, x, self.bottom(), "grid"),
                text(x, self.bottom() + below, &format!("{share:.1}"), Anchor::Middle, "tick"),
            ]
        };
        SHARES.into_iter().flat_map(tick).collect()
    }

    /// Lines and numbers of a vertical axis from 0 to 1.
    fn vertical_shares(&self) -> Vec<Element> {
        let tick = |share: f64| {
            let y = self.y(share);
            [
                line(self.left, y, self.right(), y, "grid"),
                text(self.left - 7.0, y + 4.0, &format!("{share:.1}"), Anchor::End, "tick"),
            ]
        };
        SHARES.into_iter().flat_map(tick).collect()
    }

    /// The name of the vertical axis, read from below.
    fn vertical_name(&self, name: &str) -> Element {
        let (x, y) = (14.0, self.top + self.height / 2.0);
        let room = (self.height / CHARACTER) as usize;
        text(x, y, &notation::shortened(name, room), Anchor::Middle, "name")
            .with("transform", format!("rotate(-90 {} {})", pixels(x), pixels(y)))
    }

    /// The name of the horizontal axis, `below` pixels under the frame.
    fn horizontal_name(&self, name: &str, below: f64) -> Element {
        let room = (self.width / CHARACTER) as usize;
        let x = self.left + self.width / 2.0;
        text(x, self.bottom() + below, &notation::shortened(name, room), Anchor::Middle, "name")
    }

    /// Says that there is nothing to show.
    fn nothing(&self) -> Element {
        let (x, y) = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        text(x, y, "no data", Anchor::Middle, "name")
    }
}

/// Where a text stands against its place.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

fn text(x: f64, y: f64, words: &str, anchor: Anchor, class: &'static str) -> Element {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    Element::new("text")
        .with("x", pixels(x))
        .with("y", pixels(y))
        .with("text-anchor", anchor)
        .class(class)
        .text(words)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &'static str) -> Element {
    let places = [("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)];
    places.into_iter().fold(Element::new("line").class(class), |line, (name, at)| line.with(name, pixels(at)))
}

fn rectangle(x: f64, y: f64, width: f64, height: f64, class: &'static str) -> Element {
    let places = [("x", x), ("y", y), ("width", width), ("height", height)];
    places
        .into_iter()
        .fold(Element::new("rect").class(class), |shape, (name, at)| shape.with(name, pixels(at)))
}

fn circle(x: f64, y: f64, radius: f64, class: &'static str) -> Element {
    let places = [("cx", x), ("cy", y), ("r", radius)];
    places
        .into_iter()
        .fold(Element::new("circle").class(class), |shape, (name, at)| shape.with(name, pixels(at)))
}

fn path(course: String, class: &'static str) -> Element {
    Element::new("path").class(class).with("d", course)
}

/// An interval lying at the height `y`, with a stroke at each end.
fn whisker(low: f64, high: f64, y: f64) -> Element {
    let (low, high, top, bottom) = (pixels(low), pixels(high), pixels(y - 4.0), pixels(y + 4.0));
    let y = pixels(y);
    path(format!("M{low} {top}V{bottom}M{low} {y}H{high}M{high} {top}V{bottom}"), "whisker")
}

/// Length of a place or a size, to a tenth of a pixel.
fn pixels(length: f64) -> String {
    let written = format!("{length:.1}");
    written.strip_suffix(".0").map_or(written.clone(), str::to_owned)
}

/// A share in [0, 1]; 0 for what is not a number.
fn clamped(share: f64) -> f64 {
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

/// Pixels that so many characters take.
fn text_width(characters: usize) -> f64 {
    characters as f64 * CHARACTER
}

/// Characters of the longest of some names, at most `most`.
fn longest<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> usize {
    names.into_iter().map(|name| name.chars().count()).max().unwrap_or(0).min(most)
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;

    #[test]
    fn places_outside_the_frame_or_not_a_number_are_put_at_its_ends() {
        let frame = Frame { left: 10.0, top: 0.0, width: 100.0, height: 100.0 };
        assert_eq!([2.0, f64::NAN, 0.5].map(|share| pixels(frame.x(share))), ["110", "10", "60"]);
        assert_eq!([-1.0, 1.0].map(|share| pixels(frame.y(share))), ["100", "0"]);
    }

    #[test]
    fn every_chart_of_extreme_data_is_drawn_with_finite_places() {
        for extreme in specimen::extreme_charts() {
            let drawn = chart(&extreme, "c").markup();
            assert!(
                drawn.contains("<title id=\"c-title\">") && drawn.contains("<desc id=\"c-description\">")
            );
            for word in ["NaN", "inf"] {
                assert!(!drawn.contains(word), "{drawn}");
            }
            let negative = drawn.split(['"', ' ']).zip(drawn.split(['"', ' ']).skip(1));
            let sizes = negative.filter(|(name, _)| matches!(*name, "width=" | "height=" | "r="));
            assert!(sizes.into_iter().all(|(_, size)| !size.starts_with('-')), "{drawn}");
        }
    }

    #[test]
    fn thirty_lines_differ_without_regard_to_their_order() {
        let looks: std::collections::BTreeSet<_> = (0..30).map(|i| (i % HUES, i % DASHES.len())).collect();
        assert_eq!(looks.len(), 30);
    }
}
