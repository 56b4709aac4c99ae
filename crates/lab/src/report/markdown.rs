//! A report as GitHub-flavoured Markdown: complete in its tables; a chart stands
//! as a table of its points where that is small, and is left to the HTML form
//! otherwise. No word of the data can become markup.

use std::fmt::{Arguments, Write as _};

use super::comparison::Comparison;
use super::notation::{self, Alignment};
use super::{Cell, Chart, Report, Section, ShownText, Table, tables};

/// Rows that a chart may have to be written as a table.
const CHART_ROWS: usize = 32;

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut page = String::new();
    heading(&mut page, "#", &report.title);
    table(&mut page, &tables::identity(report));
    heading(&mut page, "##", "Headline");
    table(&mut page, &tables::figures("Headline figures", tables::headline(report)));
    notes(&mut page, &report.notes);
    if let Some(published) = tables::published(report) {
        heading(&mut page, "##", "Published systems");
        table(&mut page, &published);
    }
    report.sections.iter().for_each(|part| section(&mut page, part));
    heading(&mut page, "##", "All figures");
    table(&mut page, &tables::figures("Every figure of this run", &report.figures));
    heading(&mut page, "##", "How it was made");
    tables::outcomes(report)
        .iter()
        .chain(&tables::provenance(report))
        .for_each(|part| table(&mut page, part));
    shown(&mut page, &report.shown_text);
    page
}

/// A comparison of two runs as Markdown.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut page = String::new();
    heading(&mut page, "#", &comparison.title());
    table(&mut page, &comparison.identity());
    notes(&mut page, &comparison.notes);
    heading(&mut page, "##", "Differences");
    table(&mut page, &comparison.table());
    page
}

fn section(page: &mut String, section: &Section) {
    heading(page, "##", &section.title);
    paragraph(page, &section.text);
    section.tables.iter().for_each(|part| table(page, part));
    section.charts.iter().for_each(|part| chart(page, part));
}

fn chart(page: &mut String, chart: &Chart) {
    let data = tables::chart(chart);
    let points: usize = match chart {
        Chart::Curves { curves, marks, .. } => {
            curves.iter().map(|curve| curve.points.len()).sum::<usize>() + marks.len()
        }
        _ => data.rows.len(),
    };
    if points <= CHART_ROWS {
        table(page, &data);
    } else {
        let title = escaped(tables::chart_title(chart));
        let points = notation::count(points as u64);
        put(page, format_args!("_{title}_: {points} points, drawn in the HTML report.\n\n"));
    }
}

fn notes(page: &mut String, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    heading(page, "##", "Before you quote a figure");
    notes.iter().for_each(|note| put(page, format_args!("- {}\n", escaped(note))));
    page.push('\n');
}

fn shown(page: &mut String, shown: &[ShownText]) {
    if shown.is_empty() {
        return;
    }
    heading(page, "##", "Conversations that were judged wrongly");
    for item in shown {
        heading(page, "###", &item.id);
        paragraph(page, &format!("Gold: {}. Judged: {}.", item.gold, item.predicted));
        let fence = fence_for(&item.text);
        put(page, format_args!("{fence}text\n"));
        notation::visible_lines(&item.text).for_each(|line| put(page, format_args!("{line}\n")));
        put(page, format_args!("{fence}\n\n"));
    }
}

/// A fence that is longer than every run of backticks in the text.
fn fence_for(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    "`".repeat((longest + 1).max(3))
}

fn put(page: &mut String, text: Arguments<'_>) {
    page.write_fmt(text).expect("a string takes every text");
}

fn heading(page: &mut String, level: &str, title: &str) {
    put(page, format_args!("{level} {}\n\n", escaped(title)));
}

fn paragraph(page: &mut String, text: &str) {
    if !text.trim().is_empty() {
        put(page, format_args!("{}\n\n", escaped(text.trim())));
    }
}

fn table(page: &mut String, table: &Table) {
    if !table.caption.is_empty() {
        put(page, format_args!("**{}**\n\n", escaped(table.caption.trim())));
    }
    let heads: Vec<String> = table.columns.iter().map(|title| escaped(title)).collect();
    let rules: Vec<&str> = (0..table.columns.len()).map(|column| rule(table, column)).collect();
    line(page, &heads);
    put(page, format_args!("|{}|\n", rules.join("|")));
    for row in &table.rows {
        let cells: Vec<String> = (0..table.columns.len()).map(|place| cell(row.get(place))).collect();
        line(page, &cells);
    }
    page.push('\n');
}

fn line(page: &mut String, cells: &[String]) {
    put(page, format_args!("| {} |\n", cells.join(" | ")));
}

fn cell(cell: Option<&Cell>) -> String {
    let Some(cell) = cell.map(notation::cell) else {
        return String::new();
    };
    let both = format!("{} {}", cell.main, cell.interval);
    escaped(both.trim())
}

fn rule(table: &Table, column: usize) -> &'static str {
    let cells = table.rows.iter().filter_map(|row| row.get(column));
    let numbers = cells.into_iter().any(|cell| notation::cell(cell).alignment == Alignment::Right);
    if numbers { "---:" } else { "---" }
}

/// Text of which nothing is markup, on one line. An underscore inside a word is
/// none, so that names such as `turn_f1` stay readable.
fn escaped(text: &str) -> String {
    let text: Vec<char> = notation::visible(text).chars().collect();
    let mut out = String::with_capacity(text.len());
    for (place, &character) in text.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| text[before]);
        let in_word = before.is_some_and(char::is_alphanumeric)
            && text.get(place + 1).is_some_and(|after| after.is_alphanumeric());
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '_' if in_word => out.push('_'),
            '\\' | '`' | '*' | '_' | '|' | '~' | '$' => out.extend(['\\', character]),
            // An interval stays readable: brackets make a link only before `(` or with a definition.
            '[' | ']' if !is_interval(&text) => out.extend(['\\', character]),
            '#' | '+' | '-' | '=' if starts_block(&text, place) => out.extend(['\\', character]),
            '.' | ')' if ends_list_number(&text, place) => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out
}

/// Digits, signs and brackets alone.
fn is_interval(text: &[char]) -> bool {
    text.iter().all(|c| c.is_ascii_digit() || matches!(c, '[' | ']' | ',' | '.' | '-' | '+' | ' ' | '–'))
}

/// Whether the sign at the text's start would make a list, a heading or a rule.
fn starts_block(text: &[char], place: usize) -> bool {
    place == 0 && text.get(1).is_none_or(|after| !after.is_ascii_digit())
}

/// Whether the text starts with a number that this sign would make a list of.
fn ends_list_number(text: &[char], place: usize) -> bool {
    place > 0
        && text[..place].iter().all(char::is_ascii_digit)
        && text.get(place + 1).is_none_or(|after| *after == ' ')
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;

    #[test]
    fn a_crisis_report_holds_all_tables() {
        insta::assert_snapshot!("markdown_crisis", markdown(&specimen::crisis()));
    }

    #[test]
    fn a_distress_report_leaves_long_curves_to_the_page() {
        insta::assert_snapshot!("markdown_distress", markdown(&specimen::distress()));
    }

    #[test]
    fn a_reply_report_holds_confusion_and_baselines() {
        insta::assert_snapshot!("markdown_reply", markdown(&specimen::reply()));
    }

    #[test]
    fn a_harm_report_holds_nineteen_categories() {
        insta::assert_snapshot!("markdown_harm", markdown(&specimen::harm()));
    }

    #[test]
    fn words_do_not_become_markup() {
        assert_eq!(escaped("<script>a|b</script>"), "&lt;script&gt;a\\|b&lt;/script&gt;");
        assert_eq!(escaped("turn_f1 *and* _this_"), "turn_f1 \\*and\\* \\_this\\_");
        assert_eq!(escaped("[here](javascript:x)"), "\\[here\\](javascript:x)");
        assert_eq!(escaped("1. of"), "1\\. of");
        assert_eq!(escaped("- of"), "\\- of");
        assert_eq!(escaped("-0.12 [-0.20, 0.01]"), "-0.12 [-0.20, 0.01]");
        assert_eq!(escaped("two\nlines"), "two lines");
    }

    #[test]
    fn a_text_cannot_end_its_own_fence() {
        assert_eq!(fence_for("a ```` b"), "`````");
        assert_eq!(fence_for("plain"), "```");
    }
}
