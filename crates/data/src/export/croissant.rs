//! Croissant 1.1 metadata (<http://mlcommons.org/croissant/1.1>): each file with
//! its hash, each column with its type. A file is a record set of its own, since
//! shards are rare and a set of files would need an archive that holds them.

use serde_json::{Value, json};

use crate::table::{Column, ColumnKind};

use super::{Described, Shard};

/// The metadata as indented JSON.
pub(super) fn metadata(set: &Described<'_>) -> String {
    let licences = set.licences();
    let licences = licences.iter().filter_map(|licence| licence.url()).collect::<Vec<_>>();
    let files = set.shards.iter().map(|shard| file(set, shard)).collect::<Vec<_>>();
    let records = set.shards.iter().map(|shard| record_set(set, shard)).collect::<Vec<_>>();
    let mut text = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": name(&set.order.title),
        "description": format!("{}: {} rows, exported by Mindrail.", set.order.title, set.rows()),
        "license": licences,
        "inLanguage": set.languages,
        "version": "1.0.0",
        "distribution": files,
        "recordSet": records,
    });
    if licences.is_empty() {
        text.as_object_mut().map(|object| object.remove("license"));
    }
    format!("{text:#}\n")
}

/// Croissant's names have no spaces.
fn name(title: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    title.chars().map(plain).collect()
}

fn file(set: &Described<'_>, shard: &Shard) -> Value {
    json!({
        "@type": "cr:FileObject",
        "@id": shard.name,
        "name": shard.name,
        "contentUrl": shard.name,
        "contentSize": format!("{} B", shard.bytes),
        "encodingFormat": set.order.format.media_type(),
        "sha256": shard.sha256,
    })
}

fn record_set(set: &Described<'_>, shard: &Shard) -> Value {
    let id = shard.name.trim_start_matches("data/").split('.').next().unwrap_or_default();
    let fields = set.columns.iter().map(|column| field(id, column, shard)).collect::<Vec<_>>();
    json!({
        "@type": "cr:RecordSet",
        "@id": id,
        "name": id,
        "description": format!("{} rows of the split {}", shard.rows, shard.split),
        "field": fields,
    })
}

fn field(record_set: &str, column: &Column, shard: &Shard) -> Value {
    let source = json!({ "fileObject": { "@id": shard.name }, "extract": { "column": column.name } });
    let id = format!("{record_set}/{}", column.name);
    match objects(&column.kind) {
        None => described(&id, &column.kind, &source),
        Some(columns) => {
            let mut field = named(&id, &column.kind);
            let parts = columns.iter().filter(|part| objects(&part.kind).is_none());
            let part = |part: &Column| {
                let mut source = source.clone();
                source["transform"] = json!({ "jsonPath": part.name });
                described(&format!("{id}/{}", part.name), &part.kind, &source)
            };
            field["subField"] = parts.map(part).collect();
            field
        }
    }
}

/// The keys of objects, alone or in a list. Croissant's reader knows one level of
/// them: what lies deeper is in the files and not in the metadata.
fn objects(kind: &ColumnKind) -> Option<&[Column]> {
    match kind {
        ColumnKind::Struct(columns) => Some(columns),
        ColumnKind::List(of) => objects(of),
        _ => None,
    }
}

fn described(id: &str, kind: &ColumnKind, source: &Value) -> Value {
    let mut field = named(id, kind);
    field["dataType"] = data_type(kind).into();
    field["source"] = source.clone();
    field
}

fn named(id: &str, kind: &ColumnKind) -> Value {
    let mut field = json!({ "@type": "cr:Field", "@id": id, "name": id });
    if matches!(kind, ColumnKind::List(_)) {
        field["isArray"] = true.into();
        field["arrayShape"] = "-1".into();
    }
    field
}

fn data_type(kind: &ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text | ColumnKind::Struct(_) => "sc:Text",
        ColumnKind::Integer => "sc:Integer",
        ColumnKind::Number => "sc:Float",
        ColumnKind::Flag => "sc:Boolean",
        ColumnKind::List(of) => data_type(of),
    }
}

/// Words that the specification's context maps to its own vocabulary.
const WORDS: [&str; 31] = [
    "arrayShape",
    "citeAs",
    "column",
    "containedIn",
    "dataBiases",
    "dataCollection",
    "equivalentProperty",
    "extract",
    "field",
    "fileObject",
    "fileProperty",
    "fileSet",
    "format",
    "includes",
    "isArray",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "personalSensitiveInformation",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
];

/// The context that the specification asks for.
fn context() -> Value {
    let mut context = json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": { "@id": "cr:data", "@type": "@json" },
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/",
        "examples": { "@id": "cr:examples", "@type": "@json" },
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        "transform": "cr:transform",
    });
    for word in WORDS {
        context[word] = format!("cr:{word}").into();
    }
    context
}
