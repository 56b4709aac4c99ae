//! The card: `README.md` with YAML front matter as the hub reads it, and the list
//! of licences. Strings are written as JSON strings, which YAML reads too.

use std::fmt::Write as _;

use crate::licence::Licence;
use crate::table::{Column, ColumnKind};

use super::Described;

/// The card.
pub(super) fn card(set: &Described<'_>) -> String {
    let mut text = String::from("---\n");
    front_matter(set, &mut text);
    text.push_str("---\n\n");
    body(set, &mut text);
    text
}

fn front_matter(set: &Described<'_>, text: &mut String) {
    let _ = writeln!(text, "pretty_name: {}", quoted(&set.order.title));
    if !set.languages.is_empty() {
        text.push_str("language:\n");
        set.languages.iter().for_each(|code| line(text, &format!("- {code}")));
    }
    licence(set, text);
    text.push_str("task_categories:\n- text-classification\ntags:\n- mental-health\n- safety\n");
    let _ = writeln!(text, "size_categories:\n- {}", size(set.rows()));
    text.push_str("configs:\n- config_name: default\n  default: true\n  data_files:\n");
    for split in set.splits().keys() {
        let _ = writeln!(text, "  - split: {split}\n    path: data/{split}-*");
    }
    text.push_str("dataset_info:\n  features:\n");
    features(set.columns, 2, text);
    text.push_str("  splits:\n");
    for (split, shards) in set.splits() {
        let rows = shards.iter().map(|shard| shard.rows).sum::<usize>();
        // `datasets` ignores splits without bytes. It means those of its own cache,
        // which no writer can know; the bytes of the files are the nearest.
        let bytes = shards.iter().map(|shard| shard.bytes).sum::<u64>();
        let _ = writeln!(text, "  - name: {split}\n    num_bytes: {bytes}\n    num_examples: {rows}");
    }
    let bytes = set.shards.iter().map(|shard| shard.bytes).sum::<u64>();
    let _ = writeln!(text, "  download_size: {bytes}\n  dataset_size: {bytes}");
}

/// One licence by its identifier; of several the hub knows no name.
fn licence(set: &Described<'_>, text: &mut String) {
    let licences = set.licences();
    match licences.first() {
        Some(only) if licences.len() == 1 => line(text, &format!("license: {}", only.hub_id())),
        _ => line(text, "license: other\nlicense_name: several-by-row\nlicense_link: LICENSE.md"),
    }
}

/// The hub's names for sizes.
const fn size(rows: usize) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        _ => "10M<n<100M",
    }
}

/// Features as the `datasets` library writes them from version 4 on.
fn features(columns: &[Column], indent: usize, text: &mut String) {
    for column in columns {
        let _ = writeln!(text, "{:indent$}- name: {}", "", quoted(column.name));
        feature(&column.kind, indent + 2, text);
    }
}

fn feature(kind: &ColumnKind, indent: usize, text: &mut String) {
    match kind {
        ColumnKind::List(of) => {
            let name = dtype(of).map(|name| format!(" {name}")).unwrap_or_default();
            line(text, &format!("{:indent$}list:{name}", ""));
            match &**of {
                ColumnKind::Struct(columns) => features(columns, indent, text),
                ColumnKind::List(_) => feature(of, indent + 2, text),
                _ => {}
            }
        }
        ColumnKind::Struct(columns) => {
            line(text, &format!("{:indent$}struct:", ""));
            features(columns, indent, text);
        }
        plain => line(text, &format!("{:indent$}dtype: {}", "", dtype(plain).unwrap_or("string"))),
    }
}

const fn dtype(kind: &ColumnKind) -> Option<&'static str> {
    match kind {
        ColumnKind::Text => Some("string"),
        ColumnKind::Integer => Some("int64"),
        ColumnKind::Number => Some("float64"),
        ColumnKind::Flag => Some("bool"),
        ColumnKind::List(_) | ColumnKind::Struct(_) => None,
    }
}

fn body(set: &Described<'_>, text: &mut String) {
    let _ = writeln!(text, "# {}\n", set.order.title.replace('\n', " "));
    let _ = writeln!(
        text,
        "{} rows, exported by Mindrail {} for the purpose `{}`. The texts are about people in distress.\n",
        set.rows(),
        env!("CARGO_PKG_VERSION"),
        set.order.purpose.wire()
    );
    text.push_str("## Splits\n\n| split | rows | files |\n|---|---|---|\n");
    for (split, shards) in set.splits() {
        let rows = shards.iter().map(|shard| shard.rows).sum::<usize>();
        let _ = writeln!(text, "| {split} | {rows} | {} |", shards.len());
    }
    text.push_str("\n## Sources and licences\n\nEach row names its source in `mindrail_source` and its licence in `mindrail_licence`.\n\n");
    sources(set, text);
}

fn sources(set: &Described<'_>, text: &mut String) {
    text.push_str("| source | rows | licence |\n|---|---|---|\n");
    for (source, rows) in set.sources {
        let _ = writeln!(text, "| {} | {rows} | {} |", source.wire(), link(source.licence()));
    }
}

fn link(licence: Licence) -> String {
    licence.url().map_or_else(|| licence.to_string(), |url| format!("[{licence}]({url})"))
}

/// The file that the card's `license_link` points to.
pub(super) fn licences(set: &Described<'_>) -> String {
    let mut text = String::from("# Licences by source\n\n");
    sources(set, &mut text);
    if set.licences().contains(&Licence::Unknown) {
        text.push_str("\nRows under an unknown licence may not be handed on.\n");
    }
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
