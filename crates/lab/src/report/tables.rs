//! Tables that every form of a report shows and that follow from its data: the
//! figures, the published rows beside the measured one, the provenance, and the
//! data behind each chart. They are made in one place so that all forms say the
//! same.

use std::collections::BTreeSet;

use super::notation;
use super::{
    Bar, Cell, Chart, Curve, Figure, HistogramColumn, Mark, PublishedRow, ReliabilityBin, Report, Table, Unit,
};

/// How many figures stand at the head of a report.
const HEADLINE: usize = 6;
/// Rows that a table of one curve's points has at most.
const CURVE_ROWS: usize = 50;

/// The figures that stand at the head: the first few that are of no slice.
pub(super) fn headline(report: &Report) -> Vec<&Figure> {
    report.figures.iter().filter(|figure| !figure.name.contains('@')).take(HEADLINE).collect()
}

/// Figures with their intervals, and the names by which programs know them.
pub(super) fn figures<'a>(caption: &str, figures: impl IntoIterator<Item = &'a Figure>) -> Table {
    let row = |figure: &Figure| {
        vec![
            text(&figure.title),
            Cell::Value { value: figure.value, unit: figure.unit, interval: figure.interval },
            figure.support.map_or_else(|| text(""), Cell::Count),
            text(notation::better(figure.better)),
            text(&figure.name),
        ]
    };
    table(caption, &["Figure", "Value", "Cases", "Better", "Name"], figures.into_iter().map(row).collect())
}

/// How many items came to which outcome; none if nothing is known of them.
pub(super) fn outcomes(report: &Report) -> Option<Table> {
    let row = |(outcome, count): (&String, &u64)| vec![text(outcome), Cell::Count(*count)];
    let rows: Vec<_> = report.outcomes.iter().map(row).collect();
    (!rows.is_empty()).then(|| table("Outcomes", &["Outcome", "Items"], rows))
}

/// The published systems beneath the measured one; the last column says where a
/// row is from and what keeps it from being compared.
pub(super) fn published(report: &Report) -> Option<Table> {
    let names = published_names(report);
    if report.published.is_empty() {
        return None;
    }
    let mut columns = vec!["System".to_owned()];
    columns.extend(names.iter().map(|name| title_of(report, name)));
    columns.push("Source and limits".to_owned());
    let mut rows = vec![measured_row(report, &names)];
    rows.extend(report.published.iter().map(|row| published_row(report, row, &names)));
    let caption = "Published figures beside the measured ones".to_owned();
    Some(Table { caption, columns, rows })
}

/// Names of the published figures: those that were measured first, in the
/// report's order.
fn published_names(report: &Report) -> Vec<&str> {
    let published: BTreeSet<&str> =
        report.published.iter().flat_map(|row| row.figures.keys()).map(String::as_str).collect();
    let measured = report.figures.iter().map(|figure| figure.name.as_str());
    let mut names: Vec<&str> = measured.filter(|name| published.contains(name)).collect();
    names.extend(published.iter().filter(|name| report.figure(name).is_none()));
    names
}

fn title_of(report: &Report, name: &str) -> String {
    report.figure(name).map_or(name, |figure| &figure.title).to_owned()
}

fn measured_row(report: &Report, names: &[&str]) -> Vec<Cell> {
    let cell = |name: &&str| {
        let figure = report.figure(name);
        Cell::Value {
            value: figure.and_then(|figure| figure.value),
            unit: figure.map_or(Unit::Number, |figure| figure.unit),
            interval: figure.and_then(|figure| figure.interval),
        }
    };
    let mut row = vec![text(&format!("{} (this run)", report.system.name))];
    row.extend(names.iter().map(cell));
    row.push(text("measured here"));
    row
}

fn published_row(report: &Report, published: &PublishedRow, names: &[&str]) -> Vec<Cell> {
    let cell = |name: &&str| {
        let unit = report.figure(name).map_or(Unit::Number, |figure| figure.unit);
        Cell::Value { value: published.figures.get(*name).copied(), unit, interval: None }
    };
    let mut row = vec![text(&published.system)];
    row.extend(names.iter().map(cell));
    row.push(text(&provenance_of(published)));
    row
}

/// The source of a published row and, if there is one, its caveat.
fn provenance_of(row: &PublishedRow) -> String {
    let source = row.source.trim_end_matches('.');
    if row.caveat.is_empty() { format!("{source}.") } else { format!("{source}. {}", row.caveat) }
}

/// What was measured on what, in few lines.
pub(super) fn identity(report: &Report) -> Table {
    let Report { system, data, method, .. } = report;
    let drawn = format!(
        "{} in {} clusters ({})",
        notation::count(data.items),
        notation::count(data.clusters),
        data.cluster
    );
    let rows = vec![
        pair("System", &format!("{} ({})", system.name, system.kind)),
        pair("Data", &data.set),
        pair("Items", &drawn),
        pair("Intervals", &intervals(report)),
        pair("Made by", &format!("Mindrail {}, protocol {}", method.mindrail, report.protocol)),
    ];
    table("What was measured on what", &["Property", "Value"], rows)
}

/// How the intervals were made, in a few words.
pub(super) fn intervals(report: &Report) -> String {
    let method = &report.method;
    if method.resamples == 0 {
        return "none were asked for".to_owned();
    }
    format!(
        "{}, {} bootstrap of {} draws by {}, seed {}",
        notation::confidence(method.confidence),
        method.interval,
        notation::count(method.resamples),
        report.data.cluster,
        method.seed
    )
}

/// Conventions and hashes: all that it takes to make the report again.
pub(super) fn provenance(report: &Report) -> Vec<Table> {
    let named = |caption: &str, columns: [&str; 2], map: &std::collections::BTreeMap<String, String>| {
        let rows: Vec<_> = map.iter().map(|(name, value)| pair(name, value)).collect();
        (!rows.is_empty()).then(|| table(caption, &columns, rows))
    };
    [
        named("Conventions", ["Option", "Chosen"], &report.method.options),
        named("The system's hashes", ["Part", "SHA-256"], &report.system.hashes),
        named("Files of the data set", ["File", "SHA-256"], &report.data.files),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The name of a chart.
pub(super) fn chart_title(chart: &Chart) -> &str {
    match chart {
        Chart::Curves { title, .. }
        | Chart::Reliability { title, .. }
        | Chart::Confusion { title, .. }
        | Chart::Bars { title, .. }
        | Chart::Histogram { title, .. } => title,
    }
}

/// The data of a chart. Of a curve with more than fifty points it holds fifty,
/// spread evenly over its length; the caption says so.
pub(super) fn chart(chart: &Chart) -> Table {
    match chart {
        Chart::Curves { title, x, y, curves, marks, .. } => curve_table(title, [x, y], curves, marks),
        Chart::Reliability { title, bins } => reliability_table(title, bins),
        Chart::Confusion { title, labels, counts } => confusion_table(title, labels, counts),
        Chart::Bars { title, axis, bars } => bar_table(title, axis, bars),
        Chart::Histogram { title, axis, columns } => histogram_table(title, axis, columns),
    }
}

fn curve_table(title: &str, [x, y]: [&str; 2], curves: &[Curve], marks: &[Mark]) -> Table {
    let row = |name: &str, x: f64, y: f64| vec![text(name), share(x), share(y)];
    let mut rows: Vec<_> = marks.iter().map(|mark| row(&mark.name, mark.x, mark.y)).collect();
    for curve in curves {
        rows.extend(spread(&curve.points).map(|[x, y]| row(&curve.name, *x, *y)));
    }
    let thinned = curves.iter().any(|curve| curve.points.len() > CURVE_ROWS);
    let caption =
        if thinned { format!("{title}: {CURVE_ROWS} points of each curve") } else { title.to_owned() };
    table(&caption, &["Line or mark", x, y], rows)
}

/// At most [`CURVE_ROWS`] points, the first and the last among them.
fn spread(points: &[[f64; 2]]) -> impl Iterator<Item = &[f64; 2]> {
    let kept = points.len().min(CURVE_ROWS);
    (0..kept).map(move |row| {
        let place = if kept < 2 { 0 } else { row * (points.len() - 1) / (kept - 1) };
        &points[place]
    })
}

fn reliability_table(title: &str, bins: &[ReliabilityBin]) -> Table {
    let row = |bin: &ReliabilityBin| {
        let observed =
            Cell::Value { value: Some(bin.observed), unit: Unit::Share, interval: Some(bin.interval) };
        vec![share(bin.score), observed, Cell::Count(bin.count)]
    };
    table(title, &["Mean score", "Observed share", "Items"], bins.iter().map(row).collect())
}

fn confusion_table(title: &str, labels: &[String], counts: &[Vec<u64>]) -> Table {
    let mut columns = vec!["Gold / predicted".to_owned()];
    columns.extend(labels.iter().cloned());
    let row = |(label, counts): (&String, &Vec<u64>)| {
        let mut row = vec![text(label)];
        row.extend(counts.iter().map(|count| Cell::Count(*count)));
        row
    };
    Table { caption: title.to_owned(), columns, rows: labels.iter().zip(counts).map(row).collect() }
}

fn bar_table(title: &str, axis: &str, bars: &[Bar]) -> Table {
    let row = |bar: &Bar| {
        let value = Cell::Value { value: bar.value, unit: Unit::Share, interval: bar.interval };
        vec![text(&bar.name), value, Cell::Count(bar.support)]
    };
    table(title, &["Name", axis, "Cases"], bars.iter().map(row).collect())
}

fn histogram_table(title: &str, axis: &str, columns: &[HistogramColumn]) -> Table {
    let row = |column: &HistogramColumn| vec![text(&column.name), Cell::Count(column.count)];
    table(title, &[axis, "Count"], columns.iter().map(row).collect())
}

/// A table from its parts.
pub(super) fn table(caption: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Table {
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    Table { caption: caption.to_owned(), columns, rows }
}

/// A cell of words.
pub(super) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn share(value: f64) -> Cell {
    Cell::Value { value: Some(value), unit: Unit::Share, interval: None }
}

fn pair(name: &str, value: &str) -> Vec<Cell> {
    vec![text(name), text(value)]
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;

    #[test]
    fn the_measured_row_stands_above_the_published_ones_in_the_same_columns() {
        let table = published(&specimen::crisis()).expect("it has published rows");
        assert_eq!(table.columns, ["System", "Turn F1", "Dialogue F1", "confirm_f1", "Source and limits"]);
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
        assert_eq!(table.rows[0][0], text("embedded (this run)"));
        assert_eq!(table.rows[0][3], Cell::Value { value: None, unit: Unit::Number, interval: None });
    }

    #[test]
    fn a_long_curve_is_thinned_and_keeps_both_ends() {
        let points: Vec<[f64; 2]> = (0..=1000).map(|i| [f64::from(i) / 1000.0, 0.5]).collect();
        let kept: Vec<_> = spread(&points).collect();
        assert_eq!(kept.len(), CURVE_ROWS);
        assert_eq!((kept[0], kept[CURVE_ROWS - 1]), (&points[0], &points[1000]));
        assert_eq!(spread(&points[..1]).count(), 1);
        assert_eq!(spread(&[]).count(), 0);
    }

    #[test]
    fn figures_of_slices_are_not_at_the_head() {
        let report = specimen::distress();
        assert!(report.figures.iter().any(|figure| figure.name.contains('@')));
        assert!(headline(&report).iter().all(|figure| !figure.name.contains('@')));
    }
}
