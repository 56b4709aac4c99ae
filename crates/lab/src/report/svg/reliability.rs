//! A reliability diagram: the share of positives against the mean score of each
//! bin, with Wilson bars and the diagonal of perfect calibration; beneath it a
//! strip with the number of items.

use super::super::{ReliabilityBin, notation};
use super::{Anchor, Drawing, Element, Frame, circle, line, path, pixels, rectangle, text, text_width};

const FRAME: Frame = Frame { left: 52.0, top: 10.0, width: 374.0, height: 280.0 };
const STRIP: Frame = Frame { left: 52.0, top: 318.0, width: 374.0, height: 34.0 };
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 396.0;

pub(super) fn draw(bins: &[ReliabilityBin]) -> Drawing {
    let mut elements = FRAME.horizontal_shares(0.0);
    // The numbers of the axis stand beneath the strip instead.
    elements.retain(|element| !element.is("text"));
    elements.extend(FRAME.vertical_shares());
    let diagonal = line(FRAME.x(0.0), FRAME.y(0.0), FRAME.x(1.0), FRAME.y(1.0), "line chance");
    elements.extend([diagonal, FRAME.vertical_name("observed share")]);
    elements.extend(bins.iter().flat_map(point));
    elements.extend(strip(bins));
    elements.extend(STRIP.horizontal_shares(17.0));
    elements.push(STRIP.horizontal_name("mean score; number of items above", 36.0));
    if bins.is_empty() {
        elements.push(FRAME.nothing());
    }
    Drawing { width: WIDTH, height: HEIGHT, elements, description: description(bins) }
}

fn point(bin: &ReliabilityBin) -> [Element; 2] {
    let x = FRAME.x(bin.score);
    let (low, high) = (FRAME.y(bin.interval.low), FRAME.y(bin.interval.high));
    let (left, right) = (pixels(x - 4.0), pixels(x + 4.0));
    let course = format!(
        "M{left} {low}H{right}M{x} {low}V{high}M{left} {high}H{right}",
        low = pixels(low),
        high = pixels(high),
        x = pixels(x)
    );
    [path(course, "whisker hue-0"), circle(x, FRAME.y(bin.observed), 4.5, "dot")]
}

/// Bars of the number of items. A number that would touch the one before is
/// left to the table.
fn strip(bins: &[ReliabilityBin]) -> Vec<Element> {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    let mut free_from = 0.0;
    let mut elements = Vec::new();
    for bin in bins {
        let x = STRIP.x(bin.score);
        let top = STRIP.y(bin.count as f64 / most);
        elements.push(rectangle(x - 5.0, top, 10.0, STRIP.bottom() - top, "bar quiet"));
        let words = notation::count(bin.count);
        let half = text_width(words.chars().count()) / 2.0;
        if x - half > free_from {
            elements.push(text(x, top - 4.0, &words, Anchor::Middle, "tick"));
            free_from = x + half;
        }
    }
    elements
}

fn description(bins: &[ReliabilityBin]) -> String {
    let off = |bin: &ReliabilityBin| (bin.observed - bin.score).abs();
    let furthest = bins.iter().max_by(|a, b| off(a).total_cmp(&off(b)));
    let furthest = furthest.map_or_else(String::new, |bin| {
        format!(" Furthest from the diagonal: score {:.3}, observed {:.3}.", bin.score, bin.observed)
    });
    format!("Observed share of positives against mean score in {} bins.{furthest}", bins.len())
}
