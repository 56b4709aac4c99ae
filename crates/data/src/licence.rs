//! Where rows come from, under which licence, and what that licence lets one do.
//! This is what the project goes by, not legal advice. In doubt a purpose is
//! forbidden: what cannot be told is [`Licence::Unknown`], which allows research
//! on one's own machine and nothing else.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// A licence of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Licence {
    /// Apache License 2.0.
    Apache2,
    /// MIT licence.
    Mit,
    /// Creative Commons Attribution-NonCommercial 4.0.
    CcByNc4,
    /// Creative Commons Attribution-NonCommercial-ShareAlike 4.0.
    CcByNcSa4,
    /// None is stated, or the source cannot be told.
    Unknown,
}

/// What somebody wants to do with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Measure and publish figures, without handing on the rows.
    Research,
    /// Use in a product or service.
    Commercial,
    /// Train weights that are handed on under Apache-2.0.
    TrainShippedWeights,
    /// Hand on the rows, with their licence, without charge.
    Redistribute,
}

impl Licence {
    /// The identifier that the hub's cards use.
    pub const fn hub_id(self) -> &'static str {
        match self {
            Self::Apache2 => "apache-2.0",
            Self::Mit => "mit",
            Self::CcByNc4 => "cc-by-nc-4.0",
            Self::CcByNcSa4 => "cc-by-nc-sa-4.0",
            Self::Unknown => "unknown",
        }
    }

    /// Where its text stands.
    pub const fn url(self) -> Option<&'static str> {
        match self {
            Self::Apache2 => Some("https://www.apache.org/licenses/LICENSE-2.0"),
            Self::Mit => Some("https://opensource.org/license/mit"),
            Self::CcByNc4 => Some("https://creativecommons.org/licenses/by-nc/4.0/"),
            Self::CcByNcSa4 => Some("https://creativecommons.org/licenses/by-nc-sa/4.0/"),
            Self::Unknown => None,
        }
    }

    /// Whether it allows a purpose.
    pub const fn allows(self, purpose: Purpose) -> bool {
        match (self, purpose) {
            (_, Purpose::Research)
            | (Self::Apache2 | Self::Mit, _)
            | (Self::CcByNc4 | Self::CcByNcSa4, Purpose::Redistribute) => true,
            (Self::CcByNc4 | Self::CcByNcSa4, Purpose::Commercial | Purpose::TrainShippedWeights)
            | (Self::Unknown, Purpose::Commercial | Purpose::TrainShippedWeights | Purpose::Redistribute) => {
                false
            }
        }
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apache2 => "Apache-2.0",
            Self::Mit => "MIT",
            Self::CcByNc4 => "CC BY-NC 4.0",
            Self::CcByNcSa4 => "CC BY-NC-SA 4.0",
            Self::Unknown => "an unknown licence",
        })
    }
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] =
        [Self::Research, Self::Commercial, Self::TrainShippedWeights, Self::Redistribute];

    /// Its name on the command line.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Research => "research",
            Self::Commercial => "commercial",
            Self::TrainShippedWeights => "train-shipped-weights",
            Self::Redistribute => "redistribute",
        }
    }
}

/// Where rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Source {
    /// The project's own conversations.
    Corpus,
    /// KHP's generated conversations, `source` without "esconv".
    KhpGenerated,
    /// `ESConv`, and KHP's rows that were made of it.
    EsConv,
    /// PKU-SafeRLHF in all its versions.
    PkuSafeRlhf,
    /// `BeaverTails`.
    BeaverTails,
    /// CRADLE-Dialogue, made of real posts; its card states no licence.
    CradleDialogue,
    /// CRADLE-Bench, real posts.
    CradleBench,
    /// The test set of `DialogueSafety`.
    DialogueSafety,
    /// None of these.
    Unknown,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 9] = [
        Self::Corpus,
        Self::KhpGenerated,
        Self::EsConv,
        Self::PkuSafeRlhf,
        Self::BeaverTails,
        Self::CradleDialogue,
        Self::CradleBench,
        Self::DialogueSafety,
        Self::Unknown,
    ];

    /// Its name on the command line and in exported rows.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::KhpGenerated => "khp",
            Self::EsConv => "esconv",
            Self::PkuSafeRlhf => "pku-saferlhf",
            Self::BeaverTails => "beavertails",
            Self::CradleDialogue => "cradle-dialogue",
            Self::CradleBench => "cradle-bench",
            Self::DialogueSafety => "dialoguesafety",
            Self::Unknown => "unknown",
        }
    }

    /// The source with this name.
    pub fn of_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.wire() == name)
    }

    /// The licence, by the source's own card or repository.
    pub const fn licence(self) -> Licence {
        match self {
            Self::Corpus => Licence::Apache2,
            Self::KhpGenerated | Self::DialogueSafety => Licence::Mit,
            Self::EsConv | Self::PkuSafeRlhf | Self::BeaverTails => Licence::CcByNc4,
            Self::CradleDialogue | Self::CradleBench | Self::Unknown => Licence::Unknown,
        }
    }

    /// Whether rows may be used so. A test set trains nothing, whatever its licence.
    pub const fn allows(self, purpose: Purpose) -> bool {
        !matches!((self, purpose), (Self::DialogueSafety, Purpose::TrainShippedWeights))
            && self.licence().allows(purpose)
    }

    /// Languages of its texts, as ISO 639-1 codes, where rows do not say it.
    pub const fn languages(self) -> &'static [&'static str] {
        match self {
            Self::Corpus | Self::KhpGenerated => &["en", "fr"],
            Self::EsConv
            | Self::PkuSafeRlhf
            | Self::BeaverTails
            | Self::CradleDialogue
            | Self::CradleBench => &["en"],
            Self::DialogueSafety => &["zh"],
            Self::Unknown => &[],
        }
    }

    /// The source of a row, by its columns. A row that was exported before says it
    /// itself, in [`SOURCE_COLUMN`].
    pub fn of_fields(fields: &Map<String, Value>) -> Self {
        let has = |name: &str| fields.contains_key(name);
        let all = |names: &[&str]| names.iter().all(|name| has(name));
        if let Some(said) = fields.get(SOURCE_COLUMN).and_then(Value::as_str) {
            return Self::of_wire(said).unwrap_or(Self::Unknown);
        }
        if all(&["turns", "signals", "high_risk", "listener"]) {
            Self::Corpus
        } else if all(&["turn_id", "text", "labels"]) {
            Self::CradleDialogue
        } else if all(&["question_id", "question_text", "final_labels"]) {
            Self::CradleBench
        } else if all(&["context", "response", "label"]) {
            Self::DialogueSafety
        } else if has("prompt") && (has("response_0") || has("safe_response")) {
            Self::PkuSafeRlhf
        } else if all(&["prompt", "response", "is_safe"]) {
            Self::BeaverTails
        } else if has("dialog") && (has("emotion_type") || has("situation")) {
            Self::EsConv
        } else if has("text") && (has("signals") || has("burden_language") || has("s_burden_language")) {
            khp(fields)
        } else {
            Self::Unknown
        }
    }
}

/// The column of exported rows that names their source.
pub const SOURCE_COLUMN: &str = "mindrail_source";
/// The column of exported rows that names their licence.
pub const LICENCE_COLUMN: &str = "mindrail_licence";

/// KHP's card says MIT of all rows, also of those made of `ESConv`, whose licence
/// it cannot change. A row that does not say how it was made may be one of them.
fn khp(fields: &Map<String, Value>) -> Source {
    match fields.get("source").and_then(Value::as_str).map(str::to_lowercase) {
        Some(made) if made.contains("esconv") => Source::EsConv,
        Some(made) if !made.trim().is_empty() => Source::KhpGenerated,
        _ => Source::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn of(fields: &Value) -> Source {
        Source::of_fields(fields.as_object().unwrap())
    }

    #[test]
    fn only_free_licences_train_shipped_weights_and_no_test_set_does() {
        let training = Source::ALL.into_iter().filter(|source| source.allows(Purpose::TrainShippedWeights));
        assert_eq!(training.collect::<Vec<_>>(), [Source::Corpus, Source::KhpGenerated]);
        let handed_on = Source::ALL.into_iter().filter(|source| !source.allows(Purpose::Redistribute));
        let handed_on = handed_on.collect::<Vec<_>>();
        assert_eq!(handed_on, [Source::CradleDialogue, Source::CradleBench, Source::Unknown]);
        assert!(Source::ALL.into_iter().all(|source| source.allows(Purpose::Research)));
    }

    #[test]
    fn rows_made_of_esconv_keep_its_licence() {
        let khp = |source: &str| of(&json!({"text": "", "label": 1, "signals": "", "source": source}));
        assert_eq!(khp("signal_inject_ESConv"), Source::EsConv);
        assert_eq!(khp("generate_camel"), Source::KhpGenerated);
        assert_eq!(khp(""), Source::Unknown);
    }

    #[test]
    fn a_row_says_its_source_or_shows_it() {
        assert_eq!(
            of(&json!({"mindrail_source": "esconv", "turn_id": 1, "text": "", "labels": ""})),
            Source::EsConv
        );
        assert_eq!(of(&json!({"turn_id": 1, "text": "", "labels": ""})), Source::CradleDialogue);
        assert_eq!(of(&json!({"prompt": "", "response": "", "is_safe": true})), Source::BeaverTails);
        assert_eq!(of(&json!({"a": 1})), Source::Unknown);
        assert!(Source::ALL.into_iter().all(|source| Source::of_wire(source.wire()) == Some(source)));
    }
}
