//! Exports of small files, read back.

#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::json;
use tempfile::TempDir;

use super::*;

fn order(folder: &TempDir, rows: &[Value], format: Format) -> Order {
    let path = folder.path().join("dev_x.jsonl");
    fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<Vec<_>>().concat()).unwrap();
    Order {
        inputs: vec![Input::new(path.to_str().unwrap())],
        purpose: Purpose::Redistribute,
        format,
        title: "A small set".to_owned(),
        source: None,
        shard: 2,
    }
}

fn khp(source: &str, label: i32) -> Value {
    json!({"text": "hello", "label": label, "signals": [], "source": source, "language": "mix"})
}

#[test]
fn rows_come_back_with_their_source_in_shards_of_the_hubs_layout() {
    for format in [Format::Parquet, Format::Jsonl] {
        let folder = tempfile::tempdir().unwrap();
        let rows = [khp("generate_camel", 1), khp("esconv_swapped", 0), khp("generate_scratch", 0)];
        let to = folder.path().join("out");
        let outcome = export(&order(&folder, &rows, format), &to, &mut |_| unreachable!()).unwrap();
        let end = format.table().wire();
        let names = outcome.shards.iter().map(|shard| shard.name.clone()).collect::<Vec<_>>();
        let expected = [0, 1].map(|at| format!("data/validation-0000{at}-of-00002.{end}"));
        assert_eq!(names, expected);
        let read = |name: &String| table::read(&to.join(name)).unwrap().map(|row| row.unwrap().fields);
        let back = names.iter().flat_map(read).collect::<Vec<_>>();
        assert_eq!(back.len(), 3);
        assert_eq!(back[1]["mindrail_source"], "esconv");
        assert_eq!(back[1]["mindrail_licence"], "cc-by-nc-4.0");
        assert_eq!(back[0]["label"], 1);
        assert_eq!(outcome.sources, BTreeMap::from([(Source::KhpGenerated, 2), (Source::EsConv, 1)]));
        let bytes = fs::read(to.join(&names[0])).unwrap();
        assert_eq!(outcome.shards[0].sha256, mindrail_core::digest::sha256(&bytes));
        let back = Order {
            inputs: vec![Input::new(to.join(&names[0]).to_str().unwrap())],
            ..order(&folder, &[], format)
        };
        let again = export(&back, &folder.path().join("again"), &mut |_| unreachable!()).unwrap();
        assert_eq!(again.sources, BTreeMap::from([(Source::KhpGenerated, 1), (Source::EsConv, 1)]));
    }
}

#[test]
fn a_forbidden_purpose_names_source_licence_and_row_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [khp("generate_camel", 1), khp("esconv", 0)];
    let order = Order { purpose: Purpose::TrainShippedWeights, ..order(&folder, &rows, Format::Jsonl) };
    let to = folder.path().join("out");
    let error = export(&order, &to, &mut |_| {}).unwrap_err().to_string();
    let error = error.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(error, @"1 rows of esconv are under CC BY-NC 4.0, which does not allow the purpose train-shipped-weights; the first is DIR/dev_x.jsonl:2");
    assert!(!to.exists());
}

#[test]
fn a_source_that_cannot_be_told_is_not_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let order = order(&folder, &[json!({"a": 1})], Format::Jsonl);
    let error = export(&order, &folder.path().join("out"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, ExportError::Forbidden { origin: Source::Unknown, .. }), "{error}");
    let told = Order { source: Some(Source::Corpus), ..order };
    export(&told, &folder.path().join("out"), &mut |_| {}).unwrap();
    let error = export(&told, &folder.path().join("out"), &mut |_| {}).unwrap_err();
    assert!(matches!(error, ExportError::Occupied { .. }), "{error}");
}

#[test]
fn the_card_holds_what_the_hub_reads() {
    let folder = tempfile::tempdir().unwrap();
    let row = json!({"text": "t", "signals": ["a"], "source": "generate_camel", "turns": [{"role": "user", "n": 1}], "p": 0.5, "o": {"f": true}});
    let to = folder.path().join("out");
    export(&order(&folder, &[row], Format::Parquet), &to, &mut |_| unreachable!()).unwrap();
    let card = fs::read_to_string(to.join("README.md")).unwrap();
    let front = card.split("---\n").nth(1).unwrap();
    let front = front.split("    num_bytes").next().unwrap();
    insta::assert_snapshot!(front, @r#"
    pretty_name: "A small set"
    language:
    - en
    - fr
    license: mit
    task_categories:
    - text-classification
    tags:
    - mental-health
    - safety
    size_categories:
    - n<1K
    configs:
    - config_name: default
      default: true
      data_files:
      - split: validation
        path: data/validation-*
    dataset_info:
      features:
      - name: "mindrail_licence"
        dtype: string
      - name: "mindrail_source"
        dtype: string
      - name: "o"
        struct:
        - name: "f"
          dtype: bool
      - name: "p"
        dtype: float64
      - name: "signals"
        list: string
      - name: "source"
        dtype: string
      - name: "text"
        dtype: string
      - name: "turns"
        list:
        - name: "n"
          dtype: int64
        - name: "role"
          dtype: string
      splits:
      - name: validation
    "#);
}

#[test]
fn splits_are_told_by_file_names_or_by_name() {
    let split = |text: &str| Input::new(text).split;
    assert_eq!(split("a/train_b.jsonl"), "train");
    assert_eq!(split("a/dev_f.jsonl"), "validation");
    assert_eq!(split("a/test.csv"), "test");
    let named = Input::new("held_out=a/b=c.csv");
    assert_eq!((named.split.as_str(), named.path.to_str()), ("held_out", Some("a/b=c.csv")));
}
