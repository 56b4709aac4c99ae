//! A report as one page that opens from disk and fetches nothing: style sheet and
//! charts are inside, there is no script, and its content security policy allows
//! nothing but that very style sheet, by its hash. Every chart has its data as a
//! table beside it; every section is linked from the contents.

use sha2::{Digest, Sha256};

use super::comparison::Comparison;
use super::markup::Element;
use super::notation;
use super::{Figure, Report, Section, ShownText, Table, Unit, svg, tables};

mod table;

use table::{bare_table, defined, open_table, published_table, scrolling, table};

const STYLE: &str = include_str!("style.css");

/// The report as a page of HTML.
pub fn html(report: &Report) -> String {
    let confidence = notation::confidence(report.method.confidence);
    let mut parts = vec![
        Part::new("headline", "Headline")
            .with_all(cards(&tables::headline(report), &confidence))
            .with_all(limits(&report.notes)),
    ];
    if let Some(published) = tables::published(report) {
        let note = "The row of this run stands first. Read what limits a row before you compare it.";
        parts.push(
            Part::new("published", "Published systems")
                .with(paragraph(note))
                .with(published_table(published)),
        );
    }
    let mut charts = 0;
    parts.extend(report.sections.iter().map(|section| part_of(section, &mut charts)));
    let figures =
        tables::figures(&format!("Every figure of this run, with {confidence} intervals"), &report.figures);
    parts.push(Part::new("figures", "All figures").with(table(&figures)));
    parts.push(provenance(report));
    parts.extend(shown(&report.shown_text));
    let kind = format!("Mindrail benchmark: {}", report.protocol);
    Page { kind, title: report.title.clone(), identity: tables::identity(report), parts }.markup()
}

/// A comparison of two runs as a page of HTML.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut differences = Part::new("differences", "Differences");
    if let Some(chart) = svg::differences(&comparison.rows, "chart-1") {
        differences = differences.with(charted(svg::DIFFERENCES, chart));
    }
    let mut parts = vec![differences.with(open_table(&comparison.table()))];
    if !comparison.notes.is_empty() {
        parts.insert(0, Part::new("limits", "Limits").with_all(limits(&comparison.notes)));
    }
    let kind = format!("Mindrail comparison: {}", comparison.protocol);
    Page { kind, title: comparison.title(), identity: comparison.identity(), parts }.markup()
}

/// A page before it is written.
struct Page {
    kind: String,
    title: String,
    identity: Table,
    parts: Vec<Part>,
}

/// A section of the page.
struct Part {
    id: String,
    title: String,
    content: Vec<Element>,
}

impl Part {
    fn new(id: &str, title: &str) -> Self {
        Self { id: id.to_owned(), title: title.to_owned(), content: Vec::new() }
    }

    fn with(mut self, content: Element) -> Self {
        self.content.push(content);
        self
    }

    fn with_all(mut self, content: impl IntoIterator<Item = Element>) -> Self {
        self.content.extend(content);
        self
    }
}

impl Page {
    fn markup(mut self) -> String {
        number_repeated(&mut self.parts);
        // The language is that of the report's own words.
        let page = Element::new("html").with("lang", "en").child(self.head());
        let body = Element::new("body")
            .child(Element::new("a").class("skip").with("href", "#report").text("Skip to the report"))
            .child(self.header())
            .child(Element::new("div").class("columns").child(self.contents()).child(self.main()))
            .child(
                Element::new("footer")
                    .text("Made by Mindrail. This file fetches nothing and holds no script."),
            );
        format!("<!DOCTYPE html>\n{}\n", page.child(body).markup())
    }

    fn head(&self) -> Element {
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
            base64(&Sha256::digest(STYLE))
        );
        let meta = |name: &'static str, content: &str| {
            Element::new("meta").with("name", name).with("content", content)
        };
        Element::new("head")
            .child(Element::new("meta").with("charset", "utf-8"))
            .child(Element::new("meta").with("http-equiv", "Content-Security-Policy").with("content", policy))
            .child(meta("viewport", "width=device-width, initial-scale=1"))
            .child(meta("color-scheme", "light dark"))
            .child(Element::new("title").text(&self.title))
            .child(Element::style(STYLE))
    }

    fn header(&self) -> Element {
        let mut list = Element::new("dl").class("identity");
        for row in &self.identity.rows {
            let words: Vec<String> = row.iter().map(|cell| notation::cell(cell).main).collect();
            let [name, value] = words.as_slice() else { continue };
            let pair = [Element::new("dt").text(name), Element::new("dd").text(value)];
            list = list.child(Element::new("div").children(pair));
        }
        Element::new("header")
            .child(Element::new("p").class("kind").text(&self.kind))
            .child(Element::new("h1").text(&self.title))
            .child(list)
    }

    fn contents(&self) -> Element {
        let link = |part: &Part| {
            let link = Element::new("a").with("href", format!("#{}", part.id)).text(&part.title);
            Element::new("li").child(link)
        };
        let list = Element::new("ol").children(self.parts.iter().map(link));
        Element::new("nav").with("aria-label", "Contents").child(list)
    }

    fn main(self) -> Element {
        let section = |part: Part| {
            Element::new("section")
                .with("id", part.id)
                .child(Element::new("h2").text(part.title))
                .children(part.content)
        };
        Element::new("main")
            .with("id", "report")
            .with("tabindex", -1)
            .children(self.parts.into_iter().map(section))
    }
}

/// Gives parts of the same id a number, so that each can be linked.
fn number_repeated(parts: &mut [Part]) {
    for place in 1..parts.len() {
        let (before, rest) = parts.split_at_mut(place);
        let taken = |id: &str| before.iter().any(|part| part.id == id);
        let id = rest[0].id.clone();
        let mut number = 2;
        while taken(&rest[0].id) {
            rest[0].id = format!("{id}-{number}");
            number += 1;
        }
    }
}

/// An id that can stand in a link: the section's own, other characters as hyphens,
/// after a prefix that keeps it apart from the page's own ids.
fn anchor(id: &str) -> String {
    let plain: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("section-{plain}")
}

fn part_of(section: &Section, charts: &mut usize) -> Part {
    let words = (!section.text.is_empty()).then(|| paragraph(&section.text));
    let drawn: Vec<Element> = section
        .charts
        .iter()
        .map(|chart| {
            *charts += 1;
            let drawing = svg::chart(chart, &format!("chart-{charts}"));
            charted(tables::chart_title(chart), drawing).child(data_of(&tables::chart(chart)))
        })
        .collect();
    let drawn = (!drawn.is_empty()).then(|| Element::new("div").class("charts").children(drawn));
    Part::new(&anchor(&section.id), &section.title)
        .with_all(words)
        .with_all(drawn)
        .with_all(section.tables.iter().map(table))
}

/// A chart in its frame, with its title above it.
fn charted(title: &str, chart: Element) -> Element {
    Element::new("figure").child(Element::new("figcaption").text(title)).child(scrolling(chart, title))
}

fn data_of(table: &Table) -> Element {
    // Seen beneath its chart it needs no name; in a list of all such it does.
    let named = Element::new("span").class("unseen").text(format!(": {}", table.caption));
    Element::new("details")
        .class("data")
        .child(Element::new("summary").text("Data of this chart").child(named))
        .child(scrolling(bare_table(table), &table.caption))
}

fn cards(figures: &[&Figure], confidence: &str) -> Option<Element> {
    let cards = figures.iter().map(|figure| card(figure, confidence));
    (!figures.is_empty()).then(|| Element::new("ul").class("cards").children(cards))
}

fn card(figure: &Figure, confidence: &str) -> Element {
    let value = notation::value(figure.value, figure.unit);
    let mut card = Element::new("li")
        .child(Element::new("p").class("figure-title").text(&figure.title))
        .child(defined(Element::new("p").class("value"), &value));
    if let Some(ends) = figure.interval {
        let ends = Element::new("span").class("whole").text(notation::interval(ends, figure.unit));
        let words = Element::new("p").class("interval").text(format!("{confidence} interval ")).child(ends);
        card = card.children(range(figure)).child(words);
    }
    let support = figure.support.map(|support| format!("{} cases", notation::count(support)));
    let better = match notation::better(figure.better) {
        "" => None,
        direction => Some(format!("{direction} is better")),
    };
    let words: Vec<String> = support.into_iter().chain(better).collect();
    card.child(Element::new("p").class("support").text(words.join(" · ")))
}

/// The interval of a share or a percentage, drawn.
fn range(figure: &Figure) -> Option<Element> {
    let scale = match figure.unit {
        Unit::Share => 1.0,
        Unit::Percent => 0.01,
        Unit::Count | Unit::Turns | Unit::Number => return None,
    };
    let ends = figure.interval?;
    let ends = super::Interval { low: ends.low * scale, high: ends.high * scale };
    Some(svg::card_interval(figure.value? * scale, ends))
}

fn limits(notes: &[String]) -> Option<Element> {
    let items = notes.iter().map(|note| Element::new("li").text(note));
    (!notes.is_empty()).then(|| {
        Element::new("div")
            .class("limits")
            .child(Element::new("h3").text("Before you quote a figure"))
            .child(Element::new("ul").children(items))
    })
}

fn provenance(report: &Report) -> Part {
    let words =
        format!("Intervals: {}. Layout of report.json: {}.", tables::intervals(report), report.schema);
    Part::new("provenance", "How it was made")
        .with(paragraph(&words))
        .with_all(tables::outcomes(report).iter().map(table))
        .with_all(tables::provenance(report).iter().map(table))
}

fn shown(shown: &[ShownText]) -> Option<Part> {
    let item = |item: &ShownText| {
        let judged = format!("{}: {}, judged {}", item.id, item.gold, item.predicted);
        let lines = notation::visible_lines(&item.text).map(|line| Element::new("p").text(line));
        Element::new("details")
            .class("long")
            .child(Element::new("summary").text(judged))
            .child(Element::new("div").class("conversation").children(lines))
    };
    (!shown.is_empty()).then(|| {
        Part::new("texts", "Conversations that were judged wrongly")
            .with(paragraph("These are words of people. Do not pass this file on without need."))
            .with_all(shown.iter().map(item))
    })
}

fn paragraph(words: &str) -> Element {
    Element::new("p").text(words)
}

/// Base64 as in RFC 4648, which content security policies write hashes in.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let quantum = |chunk: &[u8]| {
        let bits =
            (0..3).fold(0_usize, |bits, place| bits << 8 | usize::from(*chunk.get(place).unwrap_or(&0)));
        let known = chunk.len();
        (0..4)
            .map(move |sign| if sign > known { '=' } else { char::from(SIGNS[bits >> (18 - 6 * sign) & 63]) })
    };
    bytes.chunks(3).flat_map(quantum).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::{compare, specimen};
    use super::*;

    /// What a page is made of, found by a reader of its own that knows nothing of
    /// [`Element`].
    #[derive(Default)]
    struct Reading {
        names: BTreeSet<String>,
        ids: Vec<String>,
        links: Vec<String>,
        headings: Vec<u8>,
        /// What stands right inside each `svg`: `role`, then child names.
        drawings: Vec<Vec<String>>,
    }

    /// Reads a page and panics where it is not well-formed.
    fn read(page: &str) -> Reading {
        let mut reading = Reading::default();
        let mut open: Vec<String> = Vec::new();
        let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>') || open.last().is_some_and(|name| name == "style"));
            let end = start + rest[start..].find('>').unwrap();
            let tag = &rest[start + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed in another order");
                continue;
            }
            reading.open(tag, open.last().map(String::as_str));
            if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap().to_owned());
            }
        }
        assert!(open.is_empty(), "{open:?} are not closed");
        reading
    }

    impl Reading {
        fn open(&mut self, tag: &str, parent: Option<&str>) {
            let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
            assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
            self.names.insert(name.to_owned());
            let value = |wanted: &str| {
                let (_, rest) = format!(" {attributes}")
                    .split_once(&format!(" {wanted}=\""))
                    .map(|(a, b)| (a.len(), b.to_owned()))?;
                rest.split('"').next().map(str::to_owned)
            };
            self.ids.extend(value("id"));
            self.links.extend(value("href").map(|link| link.strip_prefix('#').unwrap().to_owned()));
            if let Some(level) = name.strip_prefix('h').and_then(|level| level.parse().ok()) {
                self.headings.push(level);
            }
            if name == "svg" {
                self.drawings.push(vec![value("role").or(value("aria-hidden")).unwrap()]);
            } else if parent == Some("svg") {
                self.drawings.last_mut().unwrap().push(name.to_owned());
            }
        }
    }

    const ALLOWED: [&str; 42] = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "p",
        "h1",
        "h2",
        "h3",
        "dl",
        "dt",
        "dd",
        "div",
        "nav",
        "ol",
        "ul",
        "li",
        "main",
        "section",
        "figure",
        "figcaption",
        "details",
        "summary",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "footer",
        "svg",
        "desc",
        "text",
        "line",
        "rect",
        "circle",
        "path",
    ];

    fn pages() -> Vec<String> {
        let (a, b) = (specimen::crisis(), specimen::other_crisis());
        let reports =
            [specimen::crisis(), specimen::distress(), specimen::reply(), specimen::harm(), specimen::rich()];
        let mut pages: Vec<String> = reports.iter().map(html).collect();
        pages.push(compare(&a, &b, &specimen::tests()).html());
        pages
    }

    #[test]
    fn every_section_is_linked_and_every_link_and_id_is_one() {
        for page in pages() {
            let reading = read(&page);
            let ids: BTreeSet<&String> = reading.ids.iter().collect();
            assert_eq!(ids.len(), reading.ids.len(), "an id stands twice");
            assert!(reading.links.iter().all(|link| ids.contains(link)));
            let sections = page.matches("<section id=").count();
            assert_eq!(reading.links.len(), sections + 1, "each section and the skip link");
        }
    }

    #[test]
    fn every_chart_is_named_and_described_or_hidden_and_its_data_stand_beside_it() {
        for page in pages() {
            let mut charts = 0;
            for drawing in read(&page).drawings {
                if drawing[0] == "img" {
                    charts += 1;
                    assert_eq!(drawing[1..3], ["title", "desc"]);
                } else {
                    assert_eq!(drawing[0], "true", "hidden");
                }
            }
            let tables = page.matches("<details class=\"data\">").count();
            let of_differences = page.matches("<section id=\"differences\">").count();
            assert_eq!(tables + of_differences, charts);
        }
    }

    #[test]
    fn headings_descend_one_level_at_a_time() {
        for page in pages() {
            let headings = read(&page).headings;
            assert_eq!(headings[0], 1);
            assert!(headings.windows(2).all(|pair| pair[1] > 1 && pair[1] <= pair[0] + 1));
        }
    }

    #[test]
    fn the_page_fetches_nothing_and_holds_no_script() {
        for page in pages() {
            for word in ["http:", "https:", "url(", "@import", "<script", "src=", " style="] {
                assert!(!page.contains(word), "{word}");
            }
            assert!(page.contains("default-src &#39;none&#39;; style-src &#39;sha256-"));
        }
    }

    #[test]
    fn an_id_that_looks_like_markup_stays_text() {
        let mut report = specimen::rich();
        report.sections[0].id = "<script>".to_owned();
        report.shown_text[0].id = "<script>alert(1)</script>".to_owned();
        let page = html(&report);
        assert!(!read(&page).names.contains("script"));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("<section id=\"section--script-\">"));
    }

    #[test]
    fn sections_of_one_id_are_told_apart() {
        let mut report = specimen::rich();
        report.sections.iter_mut().for_each(|section| section.id = "same".to_owned());
        let ids = read(&html(&report)).ids;
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let of = |text: &str| base64(text.as_bytes());
        assert_eq!(["", "f", "fo", "foo", "foob"].map(of), ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    /// The report with each of its strings replaced; the data model is walked as
    /// JSON, so that no field is forgotten.
    fn with_words(report: &Report, words: &str) -> Report {
        fn replace(value: &mut serde_json::Value, words: &str) {
            match value {
                serde_json::Value::String(text) if !is_name_of_a_variant(text) => words.clone_into(text),
                serde_json::Value::Array(items) => items.iter_mut().for_each(|item| replace(item, words)),
                serde_json::Value::Object(fields) => {
                    fields.values_mut().for_each(|field| replace(field, words));
                }
                _ => {}
            }
        }
        fn is_name_of_a_variant(text: &str) -> bool {
            let variants = "share percent count turns number higher lower neither curves reliability confusion bars histogram";
            variants.split(' ').any(|variant| variant == text)
        }
        let mut value = serde_json::to_value(report).unwrap();
        replace(&mut value, words);
        serde_json::from_value(value).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_words_of_a_report_become_markup(words in "[<>&\"'/=a-z \u{0}-\u{1f}\u{202e}-]{0,40}|<script>\\PC*|\\PC*") {
            let page = html(&with_words(&specimen::rich(), &words));
            let names = read(&page).names;
            prop_assert!(names.iter().all(|name| ALLOWED.contains(&name.as_str())), "{names:?}");
        }
    }
}
