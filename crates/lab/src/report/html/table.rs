//! Tables of the page: each scrolls by itself where it is wider than the page, has
//! a caption and headings for rows and columns, and is folded if it is long.

use super::super::markup::Element;
use super::super::notation::{self, Alignment, Written};
use super::super::{Cell, Table, tables};

/// A table with more rows than this is folded.
const LONG: usize = 24;

/// Something that may be wider than the page, which then scrolls by itself; the
/// keyboard reaches it.
pub(super) fn scrolling(content: Element, name: &str) -> Element {
    Element::new("div")
        .class("scroll")
        .with("role", "group")
        .with("aria-label", name)
        .with("tabindex", 0)
        .child(content)
}

/// A table, folded if it is long.
pub(super) fn table(table: &Table) -> Element {
    if table.rows.len() <= LONG {
        return open_table(table);
    }
    let summary = format!("{}: {} rows", table.caption, notation::count(table.rows.len() as u64));
    let details = Element::new("details").class("long").child(Element::new("summary").text(summary));
    details.child(scrolling(bare_table(table), &table.caption))
}

pub(super) fn open_table(table: &Table) -> Element {
    scrolling(bare_table(table), &table.caption)
}

/// The published rows. What limits a row stands right beneath its numbers, over
/// the whole width, so that no scrolling hides it.
pub(super) fn published_table(mut table: Table) -> Element {
    table.columns.pop();
    let limits: Vec<_> = table.rows.iter_mut().map(Vec::pop).collect();
    let columns = columns_of(&table);
    let width: usize = columns.iter().map(|column| column.width()).sum();
    let row = |(cells, limits): (&Vec<Cell>, &Option<Cell>)| {
        let words = limits.as_ref().map_or_else(String::new, |cell| notation::cell(cell).main);
        let words = Element::new("div").text(words);
        let limits =
            Element::new("tr").class("source").child(Element::new("td").with("colspan", width).child(words));
        [table_row(&columns, cells), limits]
    };
    let mut rows = table.rows.iter().zip(&limits).flat_map(row);
    let measured = rows.next().map(|row| row.class("measured"));
    let rows: Vec<Element> = measured.into_iter().chain(rows).collect();
    scrolling(table_of(&table, &columns, rows), &table.caption)
}

pub(super) fn bare_table(table: &Table) -> Element {
    let columns = columns_of(table);
    let rows = table.rows.iter().map(|cells| table_row(&columns, cells)).collect();
    table_of(table, &columns, rows)
}

fn columns_of(table: &Table) -> Vec<Column> {
    (0..table.columns.len()).map(|place| Column::of(table, place)).collect()
}

fn table_of(table: &Table, columns: &[Column], rows: Vec<Element>) -> Element {
    let heads = table.columns.iter().zip(columns).map(|(title, column)| column.head(title));
    Element::new("table")
        .child(Element::new("caption").text(&table.caption))
        .child(Element::new("thead").child(Element::new("tr").children(heads)))
        .child(Element::new("tbody").children(rows))
}

fn table_row(columns: &[Column], cells: &[Cell]) -> Element {
    let cells = columns.iter().enumerate().flat_map(|(place, column)| {
        let cell = cells.get(place).map_or_else(|| notation::cell(&tables::text("")), notation::cell);
        column.cells(&cell, place)
    });
    Element::new("tr").children(cells)
}

/// The shape of a column. Intervals stand in a column of their own beneath the
/// same heading, so that values align.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Words,
    Prose,
    Numbers,
    NumbersWithIntervals,
}

/// Characters above which words are set as prose, which may be broken into lines.
const PROSE: usize = 40;

impl Column {
    fn of(table: &Table, place: usize) -> Self {
        let cells: Vec<Written> =
            table.rows.iter().filter_map(|row| row.get(place)).map(notation::cell).collect();
        let numbers = cells.iter().any(|cell| cell.alignment == Alignment::Right);
        let long = cells.iter().any(|cell| cell.main.chars().count() > PROSE);
        match (numbers, cells.iter().any(|cell| !cell.interval.is_empty())) {
            (_, true) => Column::NumbersWithIntervals,
            (true, false) => Column::Numbers,
            (false, false) if long => Column::Prose,
            (false, false) => Column::Words,
        }
    }

    /// Columns that it takes in the page.
    fn width(self) -> usize {
        if self == Column::NumbersWithIntervals { 2 } else { 1 }
    }

    fn head(self, title: &str) -> Element {
        let head = Element::new("th").with("scope", "col").text(title);
        match self {
            Column::Words | Column::Prose => head,
            Column::Numbers => head.class("number"),
            Column::NumbersWithIntervals => head.with("colspan", 2).class("both"),
        }
    }

    fn cells(self, cell: &Written, place: usize) -> Vec<Element> {
        let cell_of = |cell: &Written| {
            let element =
                if place == 0 { Element::new("th").with("scope", "row") } else { Element::new("td") };
            let element = match (cell.alignment, self) {
                (Alignment::Right, _) => element.class("number"),
                (Alignment::Left, Column::Prose) => element.class("prose"),
                (Alignment::Left, _) => element,
            };
            defined(element, &cell.main)
        };
        match self {
            Column::NumbersWithIntervals => {
                vec![cell_of(cell), Element::new("td").class("interval").text(&cell.interval)]
            }
            Column::Words | Column::Prose | Column::Numbers => vec![cell_of(cell)],
        }
    }
}

/// The value, and for one that is not defined a dash that is also said in words.
pub(super) fn defined(element: Element, value: &str) -> Element {
    if value != notation::NOT_DEFINED {
        return element.text(value);
    }
    element
        .child(Element::new("span").with("aria-hidden", "true").text(value))
        .child(Element::new("span").class("unseen").text("not defined"))
}
