//! The long form of crisis predictions: one row for each user turn, with the columns
//! `id`, `turn` (its place among the dialogue's user turns, from 0), `labels`, and all
//! sixteen labels as columns of probabilities or none of them. Rows may come in any
//! order; a user turn without a row is unanswered.

use std::collections::BTreeMap;
use std::path::Path;

use mindrail_core::taxonomy::{CrisisLabel, Scores, Taxonomy as _};
use mindrail_data::table::{Fault, Record, kind};
use serde_json::{Map, Value, json};

use super::{NumberedRow, PredictionsError, id, nested, none_is_foreign, outcome};
use crate::protocol::crisis::{TurnAnswer, labels};
use crate::protocol::{Answer, FromRow as _, Outcome, Row};
use crate::system::{Benched, ItemOf};

/// What a row says of its turn.
#[derive(Clone)]
struct Said {
    row: usize,
    answer: TurnAnswer,
    scores: Option<Scores<CrisisLabel>>,
}

/// The answers to `items` in the rows of a file.
pub(super) fn read<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    file: &Path,
    records: Vec<NumberedRow>,
) -> Result<Vec<Answer<P::Prediction>>, PredictionsError> {
    let mut dialogues: BTreeMap<&str, Vec<Option<Said>>> =
        items.iter().map(|item| (item.id.as_str(), vec![None; protocol.parts(item)])).collect();
    let (mut foreign, rows) = (Vec::new(), records.len());
    let mut has_scores = None;
    for NumberedRow { number, record: Record { place, fields } } in records {
        let TurnRow { id, turn, answer, scores } =
            TurnRow::read(fields, &mut has_scores).map_err(|fault| fault.at(&place))?;
        match dialogues.get_mut(id.as_str()) {
            None => foreign.push(number),
            Some(turns) => {
                put(turns, turn, Said { row: number, answer, scores }).map_err(|fault| fault.at(&place))?;
            }
        }
    }
    none_is_foreign(file, &foreign, rows)?;
    let said = dialogues.into_iter().filter(|(_, turns)| turns.iter().any(Option::is_some));
    Ok(said.map(|(id, turns)| answer::<P>(id, turns)).collect())
}

/// One row.
struct TurnRow {
    id: String,
    turn: u64,
    answer: TurnAnswer,
    scores: Option<Scores<CrisisLabel>>,
}

const LABELS: &str = "label names with `; ` between them, or nothing where nothing begins";

impl TurnRow {
    /// Reads a row. `has_scores` tells whether the answered rows before it have
    /// probabilities; all have them or none has.
    fn read(fields: Map<String, Value>, has_scores: &mut Option<bool>) -> Result<Self, Fault> {
        if !fields.contains_key("labels") {
            return Err(Fault::new("labels", "nothing", LABELS));
        }
        let mut fields = nested(fields);
        let (id, outcome) = (id(&mut fields)?, outcome(&mut fields)?);
        let turn = fields.remove("turn").unwrap_or(Value::Null);
        let number = || Fault::new("turn", kind(&turn), "the number of a user turn, from 0");
        let turn = turn.as_u64().ok_or_else(number)?;
        let names = list(fields.remove("labels").unwrap_or(Value::Null))?;
        let row = Row::new(fields);
        let columns: Vec<&str> = CrisisLabel::ALL.iter().map(|label| label.wire()).collect();
        row.has_only(&columns)?;
        let scores = row.scores()?;
        if outcome != Outcome::Ok {
            let answer = unanswered(outcome, &names)?;
            return Ok(Self { id, turn, answer, scores: None });
        }
        if *has_scores.get_or_insert(scores.is_some()) != scores.is_some() {
            let expected = "probabilities in all rows with an answer, or in none";
            return Err(Fault::new("", "a row that differs from those before it", expected));
        }
        Ok(Self { id, turn, answer: labels("labels", &names)?, scores })
    }
}

/// A turn without an answer, for which a row must name no label.
fn unanswered(outcome: Outcome, names: &[Value]) -> Result<TurnAnswer, Fault> {
    if names.is_empty() {
        return Ok(TurnAnswer::Unanswered(outcome));
    }
    let found = format!("a list of {}", names.len());
    Err(Fault::new("labels", found, format!("nothing beside the outcome {}", outcome.wire())))
}

/// The published spellings of "no label".
const NO_LABEL: [&str; 4] = ["none", "nan", "null", "[]"];

/// The names in a cell, which may be a list already.
fn list(cell: Value) -> Result<Vec<Value>, Fault> {
    match cell {
        Value::Null => Ok(Vec::new()),
        Value::Array(names) => Ok(names),
        Value::String(text) if NO_LABEL.iter().any(|no| no.eq_ignore_ascii_case(text.trim())) => {
            Ok(Vec::new())
        }
        Value::String(text) => {
            let names = text.split(';').map(str::trim).filter(|name| !name.is_empty());
            Ok(names.map(Value::from).collect())
        }
        other => Err(Fault::new("labels", kind(&other), LABELS)),
    }
}

/// Puts what a row says in its turn's place.
fn put(turns: &mut [Option<Said>], turn: u64, said: Said) -> Result<(), Fault> {
    let count = turns.len();
    let place = usize::try_from(turn).ok().and_then(|turn| turns.get_mut(turn));
    let Some(place) = place else {
        let expected = format!("less than {count}, the number of the dialogue's user turns");
        return Err(Fault::new("turn", turn.to_string(), expected));
    };
    if let Some(before) = place {
        let found = format!("the turn of row {} again", before.row);
        return Err(Fault::new("turn", found, "one row for each user turn"));
    }
    *place = Some(said);
    Ok(())
}

/// The answer to a dialogue, by way of the row that would say the same in the short
/// form. Probabilities are given where every turn has them.
fn answer<P: Benched>(id: &str, turns: Vec<Option<Said>>) -> Answer<P::Prediction> {
    let missing = TurnAnswer::Unanswered(Outcome::Missing);
    let answers: Vec<TurnAnswer> =
        turns.iter().map(|said| said.as_ref().map_or(missing, |said| said.answer)).collect();
    let scores: Option<Vec<_>> = turns.into_iter().map(|said| said?.scores).collect();
    let outcome = answers.iter().find_map(|answer| answer.reason()).unwrap_or(Outcome::Ok);
    let mut row = Map::from_iter([("turns".to_owned(), json!(answers))]);
    row.extend(scores.map(|scores| ("probabilities".to_owned(), json!(scores))));
    Answer { id: id.to_owned(), outcome, prediction: P::Prediction::from_row(&Row::new(row)).ok() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::conversation::{Conversation, Role, Turn};

    use super::super::{RunAnswers, read_predictions};
    use super::*;
    use crate::protocol::crisis::{Crisis, CrisisPrediction, LabelledDialogue, items};

    /// Two dialogues, of three user turns and of one.
    fn data() -> Vec<ItemOf<Crisis>> {
        let dialogue = |(id, users): (&str, usize)| LabelledDialogue {
            id: id.to_owned(),
            family: None,
            conversation: Conversation {
                id: None,
                turns: vec![Turn { role: Role::User, text: String::new() }; users],
            },
            labels: Vec::new(),
            slices: BTreeMap::new(),
        };
        items([("a", 3), ("b", 1)].map(dialogue).into())
    }

    fn read(csv: &str) -> Result<Vec<Answer<CrisisPrediction>>, String> {
        Ok(runs(csv)?.remove(0).answers)
    }

    fn runs(csv: &str) -> Result<Vec<RunAnswers<CrisisPrediction>>, String> {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), csv).unwrap();
        let name = file.path().display().to_string();
        read_predictions(&Crisis::default(), &data(), file.path())
            .map_err(|error| error.to_string().replace(&name, "p.csv"))
    }

    fn turns(csv: &str) -> Vec<TurnAnswer> {
        read(csv).unwrap().remove(0).prediction.unwrap().turns
    }

    #[test]
    fn rows_of_turns_in_any_order_are_what_one_row_of_the_dialogue_says() {
        let long = "id,turn,labels\na,2,alert_past; confirm_SH_past\na,0,\nb,0,none\na,1,alert_ongoing\n";
        let short = concat!(
            "id,turns\n",
            "a,\"[[], [\"\"alert_ongoing\"\"], [\"\"alert_past\"\", \"\"confirm_SH_past\"\"]]\"\n",
            "b,[[]]\n"
        );
        assert_eq!(read(long).unwrap(), read(short).unwrap());
    }

    #[test]
    fn each_run_of_a_file_has_its_own_answers() {
        let found = runs("run,id,turn,labels\n42,b,0,alert_past\nx,b,0,\n42,a,0,\n").unwrap();
        let names: Vec<(&str, usize)> =
            found.iter().map(|run| (run.name.as_str(), run.answers.len())).collect();
        assert_eq!(names, [("42", 2), ("x", 1)]);
        assert_eq!(found[1].answers, read("id,turn,labels\nb,0,\n").unwrap());
        for (csv, said) in [
            (
                "run,id,turn,labels\n1,a,0,\n,a,1,\n",
                "p.csv:3: run: found nothing, expected the run in every row",
            ),
            ("run,id,turns\n,a,[]\n1,b,[]\n", "p.csv:3: run: found a run, expected the run in every row"),
            ("run,id,turn,labels\n1,a,0,\n1,a,0,\n", "p.csv:3: turn: found the turn of row 1 again"),
            ("run,id,turn,labels\n1,a,0,\n2,c,0,\n", "1 of 1 ids are not in the data, the first in row 2"),
        ] {
            let error = runs(csv).unwrap_err();
            assert!(error.contains(said), "{csv}: {error}");
        }
    }

    #[test]
    fn every_published_spelling_of_no_label_is_read() {
        for none in ["", "none", "None", "nan", "NaN", "null", "[]"] {
            let answers = turns(&format!("id,turn,labels\na,0,{none}\na,1,\na,2,\n"));
            assert_eq!(answers[0], TurnAnswer::silent(), "{none}");
        }
    }

    #[test]
    fn a_turn_without_a_row_is_missing_and_one_with_an_outcome_has_it() {
        let csv = "id,turn,labels,outcome\na,0,alert_past,\na,2,,refused\n";
        let said = [Outcome::Missing, Outcome::Refused].map(TurnAnswer::Unanswered);
        assert_eq!(turns(csv), [TurnAnswer::of(["alert_past"]), said[0], said[1]]);
        assert_eq!(read(csv).unwrap()[0].outcome, Outcome::Missing);
    }

    #[test]
    fn probabilities_stand_in_columns_by_the_names_of_the_labels() {
        let names: Vec<&str> = CrisisLabel::ALL.iter().map(|label| label.wire()).collect();
        let csv = format!("id,turn,labels,{}\nb,0,alert_past,0.25{}\n", names.join(","), ",0".repeat(15));
        let prediction = read(&csv).unwrap().remove(0).prediction.unwrap();
        let scores = prediction.probabilities.unwrap();
        assert_eq!(scores.len(), 1);
        assert!((scores[0][CrisisLabel::ALL[0]].get() - 0.25).abs() < 1e-9);
        let error = read(&format!("{csv}a,0,alert_past{}\n", ",".repeat(16))).unwrap_err();
        assert!(error.contains("expected probabilities in all rows with an answer"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_row_and_field_and_never_by_its_words() {
        for (rows, said) in [
            ("a,0,platypus", "p.csv:2: labels[0]: found a text of 8 characters, expected one of the sixteen"),
            ("a,0,alert_past; platypus", "p.csv:2: labels[1]: found a text of 8 characters"),
            (
                "a,platypus,",
                "p.csv:2: turn: found a text of 8 characters, expected the number of a user turn",
            ),
            ("a,-1,", "p.csv:2: turn: found a number, expected"),
            ("a,,", "p.csv:2: turn: found null, expected"),
            ("a,3,", "p.csv:2: turn: found 3, expected less than 3"),
            ("a,18446744073709551615,", "p.csv:2: turn: found 18446744073709551615, expected less than 3"),
            ("a,1,\na,1,", "p.csv:3: turn: found the turn of row 1 again"),
            ("a,0,7", "p.csv:2: labels: found a number, expected label names"),
            ("platypus,0,", "1 of 1 ids are not in the data, the first in row 1"),
        ] {
            let error = read(&format!("id,turn,labels\n{rows}\n")).unwrap_err();
            assert!(error.contains(said) && !error.contains("platypus"), "{rows}: {error}");
        }
        for (csv, said) in [
            ("id,turn\na,0\n", "labels: found nothing, expected label names"),
            ("id,turn,labels,platypus\na,0,,1\n", "found a field with a name of 8 characters"),
            (
                "id,turn,labels,outcome\na,0,alert_past,refused\n",
                "labels: found a list of 1, expected nothing",
            ),
            ("id,turn,labels,alert_past\na,0,,1.5\n", "alert_past: found 1.5, expected a probability"),
        ] {
            let error = read(csv).unwrap_err();
            assert!(error.contains(said) && !error.contains("platypus"), "{csv}: {error}");
        }
    }
}
