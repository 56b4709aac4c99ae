//! Which system `--system` names, and what its plan says of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

/// A system, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum System {
    /// The guard, with the bundle in this program or in a folder.
    Bundle(Option<PathBuf>),
    /// A file of answers.
    Predictions(PathBuf),
    /// A model behind an endpoint.
    Model(String),
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "bundle" => Ok(Self::Bundle(None)),
            Some(("bundle", folder)) if !folder.is_empty() => Ok(Self::Bundle(Some(folder.into()))),
            Some(("predictions", file)) if !file.is_empty() => Ok(Self::Predictions(file.into())),
            Some(("llm", model)) if !model.is_empty() => Ok(Self::Model(model.to_owned())),
            _ => Err("expected bundle, bundle:FOLDER, predictions:FILE or llm:MODEL".to_owned()),
        }
    }
}

/// Names and values of hashes or options.
pub(super) fn named<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_system_is_told_by_its_word_and_what_follows_it() {
        assert_eq!("bundle".parse(), Ok(System::Bundle(None)));
        assert_eq!("llm:org/model:7b".parse(), Ok(System::Model("org/model:7b".to_owned())));
        let file = "predictions:a.csv".parse::<System>().unwrap();
        assert_eq!(file, System::Predictions("a.csv".into()));
        for bad in ["", "model", "llm:", "gpt:4", "bundle:"] {
            assert!(bad.parse::<System>().is_err(), "{bad}");
        }
    }
}
