//! Data sets in and out: one fixture with every irregularity in three file
//! formats, and the shared data with the counts of the references. Where the
//! shared data is not there, each of its tests says so and passes:
//! `MINDRAIL_SHARED` names the folder, `shared` beside the repository is tried
//! otherwise.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mindrail_core::conversation::Role;
use mindrail_core::digest::sha256;
use mindrail_data::check::check;
use mindrail_data::sets::{self, CradleDialogue, DataSet, Irregularity, RowReader, Sample, Term, convert};
use mindrail_data::stats::{Cooccurrence, Figure, Statistics, statistics};
use mindrail_data::table::{self, DataError, TableFormat};

fn shared(path: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = std::env::var_os("MINDRAIL_SHARED").map_or_else(|| beside.into(), PathBuf::from);
    let path = folder.join(path);
    if path.exists() {
        return Some(path);
    }
    // Written past the macros, whose output the test runner holds back.
    let _ = writeln!(std::io::stderr(), "SKIPPED: no shared data at {}", path.display());
    None
}

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Three dialogues with all irregularities: a listener who opens, rows without a
/// speaker whose text and labels belong to the row before, empty labels in five
/// spellings, a label on a listener's row, an unknown label, a jump of `turn_id`.
const CRADLE: &str = r#"{"turn_id":0,"text":"Listener: Hello, what brings you here?","labels":""}
{"turn_id":1,"text":"User: Things at home are not good, here is what I noted:","labels":"alert_ongoing"}
{"turn_id":2,"text":"- he reads my messages","labels":"confirm_DV_ongoing; alert_ongoing"}
{"turn_id":3,"text":"- he keeps my card","labels":"none"}
{"turn_id":4,"text":"Listener: Thank you for telling me.","labels":null}
{"turn_id":0,"text":"User: I had a long week.","labels":"nan"}
{"turn_id":1,"text":"Listener: Tell me.","labels":"confirm_SH_past"}
{"turn_id":3,"text":"user: It is fine now.","labels":"[]"}
{"turn_id":0,"text":"User: Same as ever.","labels":"confirm_XX_past"}
"#;

fn dialogues(path: &Path) -> Vec<CradleDialogue> {
    let (set, samples) = sets::read(path, None).unwrap();
    assert_eq!(set, DataSet::CradleDialogue);
    samples
        .map(|sample| match sample.unwrap() {
            Sample::Dialogue(dialogue) => dialogue,
            Sample::Row(..) => unreachable!("CRADLE gives dialogues"),
        })
        .collect()
}

fn labels(dialogue: &CradleDialogue) -> Vec<Vec<&str>> {
    dialogue.turns.iter().map(|turn| turn.labels.iter().map(Term::wire).collect()).collect()
}

#[test]
fn a_row_without_a_prefix_joins_the_row_before_with_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let found = dialogues(&file(folder.path(), "a.jsonl", CRADLE));
    let turns: Vec<usize> = found.iter().map(|dialogue| dialogue.turns.len()).collect();
    assert_eq!(turns, [3, 3, 1]);
    let roles: Vec<Role> = found[0].turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::Assistant, Role::User, Role::Assistant]);
    assert_eq!(labels(&found[0]), [vec![], vec!["alert_ongoing", "confirm_DV_ongoing"], vec![]]);
    assert_eq!(
        found[0].turns[1].text,
        "Things at home are not good, here is what I noted:\n- he reads my messages\n- he keeps my card"
    );
    assert_eq!(labels(&found[1]), [vec![], vec!["confirm_SH_past"], vec![]]);
    assert_eq!(labels(&found[2]), [vec!["confirm_XX_past"]]);
    let noted: Vec<(usize, Irregularity)> =
        found.iter().flat_map(|d| &d.irregularities).map(|(place, what)| (place.row, *what)).collect();
    assert_eq!(
        noted,
        [
            (1, Irregularity::OpeningListener),
            (3, Irregularity::JoinedRow),
            (4, Irregularity::JoinedRow),
            (8, Irregularity::TurnIdGap),
        ]
    );
}

#[test]
fn a_file_gives_the_same_dialogues_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let from = file(folder.path(), "a.jsonl", CRADLE);
    let plain = |path: &Path| {
        let of = |d: &CradleDialogue| (d.conversation(), labels(d).concat().join(";"));
        dialogues(path).iter().map(of).collect::<Vec<_>>()
    };
    for format in TableFormat::ALL {
        let to = folder.path().join(format!("b.{}", format.wire()));
        let done = convert(RowReader::open(&from, None).unwrap(), &to, format).unwrap();
        assert_eq!((done.written, done.bad, done.left_out), (9, 0, 0));
        assert_eq!(table::detect(&to).unwrap(), format);
        assert_eq!(plain(&to), plain(&from), "{}", format.wire());
    }
}

#[test]
fn a_bad_row_is_told_and_the_dialogue_says_that_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        CRADLE.replace("{\"turn_id\":4,", "{\"turn_id\":\"four\",").replacen("{\"turn_id\":3", "{\"turn", 1);
    let path = file(folder.path(), "a.jsonl", text);
    let found = check(&path, None, 9).unwrap();
    assert_eq!((found.samples, found.bad), (3, 2));
    let name = path.display().to_string();
    let errors: Vec<String> = found.errors.iter().map(|error| error.replace(&name, "a.jsonl")).collect();
    assert_eq!(
        errors,
        [
            "a.jsonl:4: found a JSON error at column 9, expected one complete JSON object, nested at most 127 deep",
            "a.jsonl:5: turn_id: found a text of 4 characters, expected a whole number",
        ]
    );
}

#[test]
fn everything_irregular_in_cradle_is_a_warning_with_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let found = check(&file(folder.path(), "a.jsonl", CRADLE), None, 9).unwrap();
    let warnings: Vec<(usize, &str)> = found.warnings.iter().map(|w| (w.row, w.rule)).collect();
    assert_eq!(
        warnings,
        [
            (1, "opening_listener"),
            (3, "joined_row"),
            (4, "joined_row"),
            (8, "turn_order"),
            (7, "label_off_user_turn"),
            (9, "unknown_label"),
        ]
    );
}

/// A pair of PKU-SafeRLHF version 1 with all sixteen columns.
fn pair(safe: bool, severity: u8, harm: bool, hash: Option<&str>) -> String {
    let harms = |value: bool| {
        use mindrail_core::taxonomy::{Harm, Taxonomy as _};
        let flag = |h: &Harm| (h.wire().to_owned(), (value && *h == Harm::EconomicCrime).into());
        serde_json::Value::Object(Harm::ALL.iter().map(flag).collect())
    };
    let hashed = |text: &str| sha256(format!("ask{text}").as_bytes());
    serde_json::json!({
        "prompt": "ask", "response_0": "one", "response_1": "two", "prompt_source": "Beavertails",
        "response_0_source": "Alpaca-7B", "response_1_source": "Alpaca-7B",
        "is_response_0_safe": safe, "is_response_1_safe": true,
        "response_0_harm_category": harms(harm), "response_1_harm_category": harms(false),
        "response_0_severity_level": severity, "response_1_severity_level": 0,
        "better_response_id": 0, "safer_response_id": 1,
        "response_0_sha256": hash.map_or_else(|| hashed("one"), str::to_owned),
        "response_1_sha256": hashed("two"),
    })
    .to_string()
}

#[test]
fn each_broken_promise_of_saferlhf_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let rules = |row: String| {
        let found = check(&file(folder.path(), "a.jsonl", row), None, 9).unwrap();
        assert_eq!((found.set, found.bad), ("saferlhf", 0));
        found.broken.keys().copied().collect::<Vec<_>>()
    };
    assert!(rules(pair(false, 2, true, None)).is_empty());
    assert_eq!(rules(pair(false, 0, false, None)), ["safety_against_harms", "safety_against_severity"]);
    assert_eq!(rules(pair(true, 1, true, None)), ["safety_against_harms", "safety_against_severity"]);
    assert_eq!(rules(pair(false, 2, false, None)), ["safety_against_harms", "severity_against_harms"]);
    assert_eq!(rules(pair(true, 0, false, Some("00"))), ["hash"]);
    let safer = pair(false, 2, true, None).replace("\"safer_response_id\":1", "\"safer_response_id\":0");
    assert_eq!(rules(safer), ["safer_is_unsafe"]);
    let row = pair(true, 0, false, None);
    assert_eq!(rules(format!("{row}\n{row}")), ["duplicate"]);
}

#[test]
fn a_pair_survives_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let text = [pair(false, 2, true, None), pair(true, 0, false, None)].join("\n");
    let from = file(folder.path(), "a.jsonl", text);
    let rows = |path: &Path| RowReader::open(path, None).unwrap().map(|r| r.unwrap().1).collect::<Vec<_>>();
    for format in TableFormat::ALL {
        let to = folder.path().join(format!("b.{}", format.wire()));
        convert(RowReader::open(&from, None).unwrap(), &to, format).unwrap();
        assert_eq!(rows(&to), rows(&from), "{}", format.wire());
    }
}

#[test]
fn lines_of_a_table_point_at_the_row_whatever_its_line_ends() {
    let folder = tempfile::tempdir().unwrap();
    for end in ["\n", "\r\n"] {
        let text =
            ["turn_id,text,labels", "0,\"User: a", "b\",", "1,only two", "2,User: c,", "3,\"User: d\",x"];
        let path = file(folder.path(), "a.csv", text.join(end));
        let lines: Vec<Option<usize>> = table::read(&path)
            .unwrap()
            .map(|record| match record {
                Ok(record) => record.place.line,
                Err(DataError::Row { place, .. }) => place.line,
                Err(other) => panic!("{other}"),
            })
            .collect();
        assert_eq!(lines, [Some(2), Some(4), Some(5), Some(6)], "{end:?}");
    }
}

#[test]
fn elements_of_a_list_are_rows_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[\n{\"prompt\": \"a ] } , \\\" b\"},\n{\"prompt\": oops},\n7,\n {\"prompt\":\n \"c\"}\n]\n";
    let shown: Vec<String> = table::read(&file(folder.path(), "a.json", text))
        .unwrap()
        .map(|record| match record {
            Ok(record) => format!("{} {}", record.place.line.unwrap(), record.fields["prompt"]),
            Err(DataError::Row { place, found, .. }) => format!("{} {found}", place.line.unwrap()),
            Err(other) => panic!("{other}"),
        })
        .collect();
    assert_eq!(shown, ["2 \"a ] } , \\\" b\"", "3 a JSON error at column 12", "4 a number", "5 \"c\""]);
}

#[test]
fn encodings_are_those_of_the_core_reader() {
    let folder = tempfile::tempdir().unwrap();
    let utf_16: Vec<u8> =
        [0xFEFF_u16].into_iter().chain("prompt\nça va\n".encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for bytes in [b"prompt\n\xe7a va\n".to_vec(), b"\xef\xbb\xbfprompt\n\xc3\xa7a va".to_vec(), utf_16] {
        let mut rows = table::read(&file(folder.path(), "a.csv", bytes)).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().fields["prompt"], "ça va");
        assert!(rows.next().is_none());
    }
}

#[test]
fn what_is_no_table_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, bytes: &[u8]| {
        let path = file(folder.path(), name, bytes);
        let error = sets::read(&path, None).err().unwrap().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    let expected = "JSON lines, a JSON list, CSV with a header, or Parquet";
    assert_eq!(told("a", b""), format!("a: found an empty file, expected {expected}"));
    assert_eq!(told("b", b" \n"), format!("b: found an empty file, expected {expected}"));
    assert_eq!(
        told("c", b"\x1f\x8b123"),
        format!("c: found a gzip file, expected {expected}; unpack it first")
    );
    assert_eq!(
        told("d", b"\x89PNG\r\n\x1a\n\0"),
        format!("d: found bytes that are no text, expected {expected}")
    );
    assert_eq!(told("e", b"PAR1oops"), "e: found a damaged file, expected Parquet");
    assert_eq!(
        told("f", b"text,label,text\na,1,b"),
        "f: found a header whose column 3 has the name of an earlier one, expected columns of different names"
    );
    assert!(told("g", b"{\"a\":1}").starts_with("g: found 1 columns of no known data set"));
}

/// Figures of the first column of a table, by row.
fn counts(found: &Statistics, title: &str) -> BTreeMap<String, u64> {
    let table = found.table(title).unwrap();
    let count = |(name, figures): &(String, Vec<Figure>)| match figures[0] {
        Figure::Count(count) => (name.clone(), count),
        Figure::Real(_) | Figure::Undefined => panic!("{name} has no count"),
    };
    table.rows.iter().map(count).collect()
}

fn pick(counts: &BTreeMap<String, u64>, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| counts.get(*name).copied().unwrap_or(0)).collect()
}

/// From `shared/reference/reply.md`, section 2.
#[test]
fn dialogue_safety_has_its_published_counts() {
    let Some(path) = shared("oracles/dialoguesafety/test.json") else { return };
    let found = statistics(&[&path], None).unwrap();
    assert_eq!((found.set, found.samples, found.bad), ("dialogue-safety", 800, 0));
    let classes: Vec<Figure> = found.table("classes").unwrap().rows.iter().map(|(_, f)| f[0]).collect();
    assert_eq!(classes, [53, 5, 355, 5, 2, 11, 2, 367].map(Figure::Count));
    let utterances: Vec<u64> = counts(&found, "utterances per context").into_values().collect();
    assert_eq!(utterances.iter().sum::<u64>(), 800);
    assert_eq!(pick(&counts(&found, "utterances per context"), &["1", "7", "12"]), [205, 463, 1]);
    assert!(check(&path, None, 1).unwrap().broken.is_empty());
}

/// From `shared/reference/distress.md`, section 1.3.
#[test]
fn khp_files_have_their_measured_counts() {
    let Some(folder) = shared("data/khp") else { return };
    let of = |name: &str| statistics(&[&folder.join(name)], None).unwrap();
    let scratch = of("generated_scratch.csv");
    assert_eq!((scratch.samples, scratch.bad), (640, 0));
    assert_eq!(pick(&counts(&scratch, "risk"), &["high", "low"]), [452, 188]);
    let signals = [
        "hopelessness",
        "burden_language",
        "self_image_crisis",
        "escape_framing",
        "finality_language",
        "active_self_harm",
        "immediate_safety",
        "third_party_concern",
        "testing",
    ];
    assert_eq!(pick(&counts(&scratch, "signals"), &signals), [440, 401, 305, 295, 202, 75, 74, 70, 55]);
    let held = pick(&counts(&scratch, "signals per conversation"), &["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(held, [188, 10, 24, 101, 118, 124, 61, 14]);
    assert_eq!(
        pick(&counts(&scratch, "primary signal"), &["none", "testing", "escape_framing"]),
        [188, 54, 45]
    );
    assert_eq!(
        pick(&counts(&scratch, "escalation stage"), &["mid", "none", "early", "full"]),
        [189, 188, 178, 85]
    );
    assert_eq!(pick(&counts(&scratch, "language"), &["en", "fr", "mix"]), [339, 181, 120]);
    let registers =
        ["casual_texting", "voice_memo_transcription", "forum_post", "ai_chat_direct", "journalling"];
    assert_eq!(pick(&counts(&scratch, "register"), &registers), [168, 146, 111, 109, 106]);
    assert_eq!(pick(&counts(&scratch, "turns"), &["user", "other"]), [10_300, 10_129]);
    let hard = of("generated_camel_hard.csv");
    assert_eq!(pick(&counts(&hard, "hardness track"), &["escalating", "subtle"]), [79, 69]);
    let pair = of("generated_pair.csv");
    assert_eq!(
        pick(&counts(&pair, "source"), &["pair_hard_positive", "pair_adversarial_negative"]),
        [420, 180]
    );
    let esconv = of("esconv_preprocessed.csv");
    assert_eq!(pick(&counts(&esconv, "risk"), &["high", "low"]), [104, 296]);
    assert_eq!(pick(&counts(&esconv, "problem type"), &["job crisis", "problems with friends"]), [111, 56]);
    assert_eq!(of("augmented.csv").samples, 1);
}

/// From `shared/reference/distress.md`, sections 1.3 and 1.4.
#[test]
fn khp_checks_find_what_the_reference_tells_and_nothing_else() {
    let Some(folder) = shared("data/khp") else { return };
    let of = |name: &str| check(&folder.join(name), None, 0).unwrap().broken;
    assert_eq!(of("generated_pair.csv").get("low_risk_with_signal"), Some(&88));
    assert!(of("esconv_preprocessed.csv").is_empty());
    assert!(of("generated_scratch.csv").is_empty());
}

#[test]
fn esconv_the_corpus_and_the_harm_files_read_whole() {
    for (path, set, samples) in [
        ("data/esconv/FailedESConv.json", "esconv", 196),
        ("data/harm/beavertails_30k_test.jsonl", "beavertails", 2901),
        ("data/harm/beavertails_evaluation_700_prompts.json", "saferlhf-prompt", 700),
        ("data/harm/saferlhf_v0_sample_32.json", "saferlhf-v0", 32),
        ("data/harm/saferlhf_v1_sample_3.jsonl", "saferlhf", 3),
        ("data/corpus/dev_f.jsonl", "corpus", 56),
    ] {
        let Some(path) = shared(path) else { return };
        let found = statistics(&[&path], None).unwrap();
        assert_eq!((found.set, found.samples, found.bad), (set, samples, 0), "{:?}", found.errors);
        let hashes = check(&path, None, 0).unwrap();
        assert_eq!((hashes.bad, hashes.broken.get("hash")), (0, None));
    }
}

#[test]
fn esconv_and_the_corpus_survive_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |path: &Path| RowReader::open(path, None).unwrap().map(|r| r.unwrap().1).collect::<Vec<_>>();
    for path in ["data/esconv/FailedESConv.json", "data/corpus/dev_f.jsonl", "data/khp/generated_scratch.csv"]
    {
        let Some(from) = shared(path) else { return };
        for format in TableFormat::ALL {
            let to = folder.path().join(format!("b.{}", format.wire()));
            convert(RowReader::open(&from, None).unwrap(), &to, format).unwrap();
            assert!(rows(&to) == rows(&from), "{path} as {}", format.wire());
        }
    }
}

/// From `shared/reference/harm.md`, section 1.3: phi from the joint counts.
#[test]
fn phi_of_the_published_joint_counts_is_the_published_one() {
    let Some(folder) = shared("oracles/harm") else { return };
    let read = |name: &str| {
        let rows = table::read(&folder.join(name)).unwrap();
        rows.map(|row| row.unwrap().fields).collect::<Vec<_>>()
    };
    let number = |value: &serde_json::Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let frequencies = read("results__category_frequency.csv");
    let names: Vec<String> =
        frequencies.iter().map(|row| row["category"].as_str().unwrap().to_owned()).collect();
    let at = |name: &str| names.iter().position(|n| n == name).unwrap();
    let mut joint = vec![vec![0; names.len()]; names.len()];
    for row in &frequencies {
        let category = at(row["category"].as_str().unwrap());
        joint[category][category] = number(&row["response_positions"]);
    }
    for row in read("results__category_conditional_cooccurrence.csv") {
        let [a, b] = ["conditioning_category", "other_category"].map(|key| at(row[key].as_str().unwrap()));
        joint[a][b] = number(&row["joint_count"]);
    }
    let all = ["0.568", "0.494", "0.432", "0.421", "0.324", "-0.077", "-0.066"];
    let of_unsafe = ["0.526", "0.460", "0.412", "0.324", "0.316", "-0.194", "-0.226"];
    for (rows, expected) in [(147_814, all), (76_125, of_unsafe)] {
        let joint = Cooccurrence::of_counts(rows, joint.clone());
        let phi = |a: &str, b: &str| format!("{:.3}", joint.phi(at(a), at(b)).unwrap());
        let found = [
            phi("Economic Crime", "White-Collar Crime"),
            phi("Violence", "Physical Harm"),
            phi("Insulting Behavior", "Discriminatory Behavior"),
            phi("Privacy Violation", "Cybercrime"),
            phi("Endangering Public Health", "Environmental Damage"),
            phi("Cybercrime", "Insulting Behavior"),
            phi("Cybercrime", "Mental Manipulation"),
        ];
        assert_eq!(found, expected);
    }
}
