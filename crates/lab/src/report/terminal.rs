//! A report for a terminal: headline figures with their intervals, the published
//! rows beside them, and the tables of every section, aligned by columns of
//! plain spaces. A table that is wider than the page goes on beneath itself,
//! with its first column repeated.

use super::comparison::Comparison;
use super::notation::{self, Alignment, Written};
use super::{Report, Section, ShownText, Table, tables};
use crate::protocol::runs::OVER_RUNS;

/// Characters in a line; only a single long word or cell goes beyond.
const WIDTH: usize = 100;
/// What a table is set in by.
const INDENT: &str = "  ";
/// What stands between two columns.
const GAP: &str = "  ";
/// Published figures that the summary shows of each system, beside its name.
const SUMMARY_COLUMNS: usize = 3;
/// Rows that a chart's data may have here; more are left to the other forms.
const CHART_ROWS: usize = 20;

/// Whether the text has colours. Who calls decides, for instance by `NO_COLOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Text alone.
    Plain,
    /// With ANSI escapes.
    Ansi,
}

/// The report for a terminal. Control characters in its words are replaced.
pub fn terminal(report: &Report, colour: Colour) -> String {
    let mut page = Page { colour, text: String::new() };
    page.heading(&report.title);
    page.table(&without_heads(tables::identity(report)));
    page.table_titled("Headline", &tables::figures("", tables::headline(report)));
    page.published(report);
    if let Some(outcomes) = tables::outcomes(report) {
        page.table_titled("Outcomes", &outcomes);
    }
    report.sections.iter().for_each(|section| page.section(section));
    page.notes("Before you quote a figure", &report.notes);
    page.shown(&report.shown_text);
    page.text
}

/// The head of the report for a terminal: what was measured, the headline, the
/// published rows beside it and what must be known. The rest stands in the files.
pub fn summary(report: &Report, colour: Colour) -> String {
    let mut page = Page { colour, text: String::new() };
    page.heading(&report.title);
    page.table(&without_heads(tables::identity(report)));
    page.table_titled("Headline", &tables::figures("", tables::headline(report)));
    page.published_columns(report, SUMMARY_COLUMNS);
    if let Some(outcomes) = tables::outcomes(report).filter(|table| table.rows.len() > 1) {
        page.table_titled("Outcomes", &outcomes);
    }
    report
        .sections
        .iter()
        .filter(|section| section.id == OVER_RUNS)
        .for_each(|section| page.section(section));
    page.notes("Before you quote a figure", &report.notes);
    page.text
}

/// A comparison of two runs for a terminal.
pub(super) fn comparison(comparison: &Comparison, colour: Colour) -> String {
    let mut page = Page { colour, text: String::new() };
    page.heading(&comparison.title());
    page.table(&without_heads(comparison.identity()));
    page.table_titled("Differences, B minus A", &comparison.table());
    page.notes("Before you quote a figure", &comparison.notes);
    page.text
}

fn without_heads(mut table: Table) -> Table {
    table.columns.fill(String::new());
    table
}

/// How a piece of text looks.
#[derive(Clone, Copy)]
enum Look {
    Plain,
    Heading,
    Quiet,
    Caution,
}

struct Page {
    colour: Colour,
    text: String,
}

impl Page {
    fn heading(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let title = self.painted(&notation::visible(title), Look::Heading);
        self.line(&title);
    }

    fn section(&mut self, section: &Section) {
        let charts = section.charts.iter().map(tables::chart).filter(|table| table.rows.len() <= CHART_ROWS);
        let charts: Vec<Table> = if section.tables.is_empty() { charts.collect() } else { Vec::new() };
        if section.tables.is_empty() && charts.is_empty() {
            return;
        }
        self.heading(&section.title);
        self.paragraph(INDENT, INDENT, &section.text, Look::Plain);
        for table in section.tables.iter().chain(&charts) {
            self.captioned(table);
        }
    }

    fn captioned(&mut self, table: &Table) {
        self.text.push('\n');
        self.paragraph(INDENT, INDENT, &table.caption, Look::Quiet);
        self.table(table);
    }

    fn table_titled(&mut self, title: &str, table: &Table) {
        self.heading(title);
        self.table(table);
    }

    /// Published rows: the numbers as a table, then source and limits of each,
    /// which are too long for a column.
    fn published(&mut self, report: &Report) {
        self.published_columns(report, usize::MAX);
    }

    /// The same with so many figures at most. Rows that share a source share its
    /// words.
    fn published_columns(&mut self, report: &Report, most: usize) {
        let Some(mut table) = tables::published(report) else {
            return;
        };
        table.columns.pop();
        let sources: Vec<_> = table.rows.iter_mut().map(Vec::pop).collect();
        let kept = most.saturating_add(1);
        table.columns.truncate(kept);
        table.rows.iter_mut().for_each(|row| row.truncate(kept));
        self.table_titled("Published figures", &table);
        let mut by_source: Vec<(String, Vec<String>)> = Vec::new();
        for (row, source) in table.rows.iter().zip(sources).skip(1) {
            let source = source.map(|cell| notation::cell(&cell).main).unwrap_or_default();
            let system = notation::cell(&row[0]).main;
            match by_source.iter_mut().find(|(other, _)| *other == source) {
                Some((_, systems)) => systems.push(system),
                None => by_source.push((source, vec![system])),
            }
        }
        for (source, systems) in by_source {
            let words = format!("{}: {source}", systems.join(", "));
            self.paragraph(INDENT, "    ", &words, Look::Caution);
        }
    }

    fn notes(&mut self, title: &str, notes: &[String]) {
        if notes.is_empty() {
            return;
        }
        self.heading(title);
        notes.iter().for_each(|note| self.paragraph("  - ", "    ", note, Look::Caution));
    }

    fn shown(&mut self, shown: &[ShownText]) {
        if shown.is_empty() {
            return;
        }
        self.heading("Conversations that were judged wrongly");
        for item in shown {
            self.text.push('\n');
            let words = format!("{}: {}, judged {}", item.id, item.gold, item.predicted);
            self.paragraph(INDENT, INDENT, &words, Look::Heading);
            for line in notation::visible_lines(&item.text) {
                self.paragraph("    ", "    ", &line, Look::Plain);
            }
        }
    }

    /// Words broken at spaces, the first line after `first`, others after `rest`.
    fn paragraph(&mut self, first: &str, rest: &str, words: &str, look: Look) {
        let words = notation::visible(words);
        let mut lines: Vec<String> = Vec::new();
        for word in words.split_whitespace() {
            match lines.last_mut() {
                Some(line) if width(line) + 1 + width(word) + width(rest) <= WIDTH => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        for (number, line) in lines.iter().enumerate() {
            let start = if number == 0 { first } else { rest };
            let painted = self.painted(line, look);
            self.line(&format!("{start}{painted}"));
        }
    }

    fn table(&mut self, table: &Table) {
        let columns = columns_of(table);
        for group in groups(&columns) {
            let columns: Vec<&Column> = group.iter().map(|&column| &columns[column]).collect();
            if columns.iter().any(|column| !column.title.is_empty()) {
                let heads: Vec<String> = columns.iter().map(|column| column.head()).collect();
                let heads = self.painted(heads.join(GAP).trim_end(), Look::Quiet);
                self.line(&format!("{INDENT}{heads}"));
            }
            for row in 0..table.rows.len() {
                let cells: Vec<String> = columns.iter().map(|column| self.cell(column, row)).collect();
                self.line(&format!("{INDENT}{}", cells.join(GAP)));
            }
        }
    }

    fn cell(&self, column: &Column, row: usize) -> String {
        let cell = &column.cells[row];
        if cell.alignment == Alignment::Left {
            return padded(&cell.main, column.width());
        }
        let main = format!("{:>1$}", cell.main, column.main);
        if column.interval == 0 {
            return main;
        }
        format!("{main} {}", self.painted(&padded(&cell.interval, column.interval), Look::Quiet))
    }

    fn painted(&self, text: &str, look: Look) -> String {
        let code = match (self.colour, look) {
            (Colour::Plain, _) | (_, Look::Plain) => return text.to_owned(),
            (_, Look::Heading) => 1,
            (_, Look::Quiet) => 2,
            (_, Look::Caution) => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// A column with all its cells.
struct Column {
    title: String,
    cells: Vec<Written>,
    /// Characters of the widest cell without its interval.
    main: usize,
    /// Characters of the widest interval; 0 where there is none.
    interval: usize,
}

impl Column {
    fn width(&self) -> usize {
        if self.interval == 0 { self.main } else { self.main + 1 + self.interval }
    }

    fn head(&self) -> String {
        let numbers = self.cells.iter().any(|cell| cell.alignment == Alignment::Right);
        if numbers && self.interval == 0 {
            format!("{:>1$}", self.title, self.width())
        } else {
            padded(&self.title, self.width())
        }
    }
}

fn columns_of(table: &Table) -> Vec<Column> {
    let column = |(place, title): (usize, &String)| {
        let cell = |row: &Vec<super::Cell>| {
            row.get(place).map_or_else(|| notation::cell(&tables::text("")), notation::cell)
        };
        let cells: Vec<Written> = table.rows.iter().map(cell).collect();
        let title = notation::visible(title);
        let interval = cells.iter().map(|cell| width(&cell.interval)).max().unwrap_or(0);
        let widest = cells.iter().map(|cell| width(&cell.main)).max().unwrap_or(0);
        let taken_by_interval = if interval == 0 { 0 } else { interval + 1 };
        let main = widest.max(width(&title).saturating_sub(taken_by_interval));
        Column { title, cells, main, interval }
    };
    table.columns.iter().enumerate().map(column).collect()
}

/// The columns that stand side by side: the first one, and as many others as the
/// page is wide; then the first one again with those that are left.
fn groups(columns: &[Column]) -> Vec<Vec<usize>> {
    let first = columns.first().map_or(0, Column::width) + INDENT.len();
    let mut groups: Vec<Vec<usize>> = vec![(0..columns.len().min(1)).collect()];
    let mut used = first;
    for (place, column) in columns.iter().enumerate().skip(1) {
        let wanted = GAP.len() + column.width();
        let group = groups.last_mut();
        match group {
            Some(group) if group.len() < 2 || used + wanted <= WIDTH => group.push(place),
            _ => {
                groups.push(vec![0, place]);
                used = first;
            }
        }
        used += wanted;
    }
    groups
}

fn padded(text: &str, to: usize) -> String {
    format!("{text:<to$}")
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::super::specimen;
    use super::*;

    #[test]
    fn a_crisis_report_shows_headline_published_rows_and_caveats() {
        insta::assert_snapshot!("terminal_crisis", terminal(&specimen::crisis(), Colour::Plain));
    }

    #[test]
    fn a_distress_report_leaves_long_curves_out_and_shows_slices() {
        insta::assert_snapshot!("terminal_distress", terminal(&specimen::distress(), Colour::Plain));
    }

    #[test]
    fn a_reply_report_shows_its_confusion_as_a_table() {
        insta::assert_snapshot!("terminal_reply", terminal(&specimen::reply(), Colour::Plain));
    }

    #[test]
    fn a_harm_report_shows_nineteen_categories() {
        insta::assert_snapshot!("terminal_harm", terminal(&specimen::harm(), Colour::Plain));
    }

    #[test]
    fn colour_changes_nothing_but_escapes() {
        let coloured = terminal(&specimen::crisis(), Colour::Ansi);
        assert!(coloured.contains("\x1b[1m"));
        let stripped = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[33m"]
            .iter()
            .fold(coloured, |text, escape| text.replace(escape, ""));
        let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed.join("\n") + "\n", terminal(&specimen::crisis(), Colour::Plain));
    }

    #[test]
    fn no_line_of_numbers_is_wider_than_the_page() {
        let text = terminal(&specimen::rich(), Colour::Plain);
        let wide: Vec<&str> = text.lines().filter(|line| width(line) > WIDTH).collect();
        assert!(wide.is_empty(), "{wide:?}");
    }

    #[test]
    fn words_of_the_data_cannot_steer_the_terminal() {
        let mut report = specimen::crisis();
        report.system.name = "a\u{1b}]0;title\u{7}b".to_owned();
        let text = terminal(&report, Colour::Plain);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'));
    }
}
