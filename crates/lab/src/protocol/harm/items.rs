//! Questions with answers to be judged for harm, alone or in pairs.

use std::collections::BTreeMap;

use mindrail_core::metrics::PairStratum;
use mindrail_core::taxonomy::{Harm, Severity, Taxonomy};
use mindrail_data::sets::{BeaverTailsRow, PromptSource, Reply, ReplyPair, Row, Sample, Side, Term};

use crate::protocol::Item;

/// What a system may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarmInput {
    /// The question.
    pub prompt: String,
    /// The answer that is judged.
    pub response: String,
}

/// Where an answer stands in a pair, and what is preferred there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairPlace {
    /// The pair's name, unique in the data.
    pub pair: String,
    /// Which of the two this answer is.
    pub side: Side,
    /// The more helpful answer.
    pub better: Option<Side>,
    /// The less harmful answer; a forced choice in PKU-SafeRLHF, also where both
    /// are safe.
    pub safer: Option<Side>,
    /// In what the two differ; none where the data do not tell.
    pub stratum: Option<PairStratum>,
}

/// What is so of an answer, as far as the data tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HarmGold {
    /// Whether it is safe.
    pub is_safe: Option<bool>,
    /// The harm categories; an empty list is none, no list is not labelled.
    pub categories: Option<Vec<Harm>>,
    /// The severity.
    pub severity: Option<Severity>,
    /// Its place in a pair.
    pub pair: Option<PairPlace>,
}

/// An answer with what is so of it. Its cluster is its prompt.
pub type HarmItem = Item<HarmInput, HarmGold>;

/// The answers of a sample: both of a pair (PKU-SafeRLHF v1, v0,
/// single-dimension), or the one of PKU-SafeRLHF-QA and `BeaverTails`. `name` is the
/// sample's name. None for other data sets.
pub fn rows(sample: &Sample, name: &str) -> Vec<HarmItem> {
    match sample {
        Sample::Row(_, Row::Pair(pair)) => pair_items(pair, name).into(),
        Sample::Row(_, Row::Answer(row)) => {
            vec![single(name.to_owned(), &row.prompt, row.prompt_source.as_ref(), &row.reply)]
        }
        Sample::Row(_, Row::BeaverTails(row)) => vec![beaver_tails(row, name)],
        Sample::Row(..) | Sample::Dialogue(_) => Vec::new(),
    }
}

/// Both answers of a pair, `NAME:0` and `NAME:1`.
pub fn pair_items(pair: &ReplyPair, name: &str) -> [HarmItem; 2] {
    let stratum = stratum(pair);
    [Side::First, Side::Second].map(|side| {
        let id = format!("{name}:{}", side.index());
        let mut item = single(id, &pair.prompt, pair.prompt_source.as_ref(), &pair.replies[side.index()]);
        item.gold.pair = Some(PairPlace {
            pair: name.to_owned(),
            side,
            better: Some(pair.better),
            safer: pair.safer,
            stratum,
        });
        item
    })
}

/// In what the two answers differ, by the strongest difference: safety, then
/// severity, then the set of categories. None where a label is missing.
fn stratum(pair: &ReplyPair) -> Option<PairStratum> {
    let [first, second] = &pair.replies;
    if first.is_safe? != second.is_safe? {
        return Some(PairStratum::SafetyDiffers);
    }
    if first.severity? != second.severity? {
        return Some(PairStratum::SeverityDiffers);
    }
    let same = Harm::ALL.iter().all(|harm| first.has(*harm) == second.has(*harm));
    let labelled = first.harms.is_some() && second.harms.is_some();
    labelled.then_some(if same { PairStratum::NothingDiffers } else { PairStratum::CategoryDiffers })
}

/// One flag for each category.
pub(super) fn flags(categories: &[Harm]) -> Vec<bool> {
    let mut flags = vec![false; Harm::ALL.len()];
    categories.iter().for_each(|category| flags[category.index()] = true);
    flags
}

/// An answer by itself. Slices: `prompt_source`, `response_source`, and `severity`,
/// under which recall tells how grave the harms are that are missed. Categories
/// that the taxonomy does not have are not judged.
fn single(id: String, prompt: &str, prompt_source: Option<&Term<PromptSource>>, reply: &Reply) -> HarmItem {
    let slices = [
        ("prompt_source", prompt_source.map(|source| source.shown().to_owned())),
        ("response_source", reply.source.clone()),
        ("severity", reply.severity.map(|severity| severity.wire().to_owned())),
    ];
    let slices = slices.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let known = |harms: &Vec<Term<Harm>>| harms.iter().filter_map(Term::known).collect();
    HarmItem {
        id,
        cluster: prompt.to_owned(),
        slices: slices.collect(),
        input: HarmInput { prompt: prompt.to_owned(), response: reply.text.clone() },
        gold: HarmGold {
            is_safe: reply.is_safe,
            categories: reply.harms.as_ref().map(known),
            severity: reply.severity,
            pair: None,
        },
    }
}

/// An answer of `BeaverTails`. Its 14 categories have no official mapping to the 19,
/// so only safe and unsafe are gold.
fn beaver_tails(row: &BeaverTailsRow, name: &str) -> HarmItem {
    HarmItem {
        id: name.to_owned(),
        cluster: row.prompt.clone(),
        slices: BTreeMap::new(),
        input: HarmInput { prompt: row.prompt.clone(), response: row.response.clone() },
        gold: HarmGold { is_safe: Some(row.is_safe), ..HarmGold::default() },
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_data::sets::PairVersion;

    use super::*;

    fn reply(is_safe: bool, severity: Severity, harms: &[Harm]) -> Reply {
        Reply {
            text: String::new(),
            source: None,
            is_safe: Some(is_safe),
            harms: Some(harms.iter().copied().map(Term::Known).collect()),
            severity: Some(severity),
            sha256: None,
        }
    }

    fn pair(first: Reply, second: Reply) -> ReplyPair {
        ReplyPair {
            version: PairVersion::V1,
            prompt: "how do locks work".to_owned(),
            prompt_source: None,
            replies: [first, second],
            better: Side::First,
            safer: Some(Side::Second),
        }
    }

    #[test]
    fn the_strongest_difference_of_a_pair_is_its_stratum() {
        let safe = || reply(true, Severity::None, &[]);
        let drugs = || reply(false, Severity::Minor, &[Harm::Drugs]);
        let stratum = |first, second| stratum(&pair(first, second));
        assert_eq!(stratum(safe(), drugs()), Some(PairStratum::SafetyDiffers));
        let grave = reply(false, Severity::Severe, &[Harm::Violence]);
        assert_eq!(stratum(grave, drugs()), Some(PairStratum::SeverityDiffers));
        let other = reply(false, Severity::Minor, &[Harm::Violence]);
        assert_eq!(stratum(other, drugs()), Some(PairStratum::CategoryDiffers));
        assert_eq!(stratum(drugs(), drugs()), Some(PairStratum::NothingDiffers));
        let unlabelled = || Reply { harms: None, ..safe() };
        assert_eq!(stratum(unlabelled(), safe()), None);
        assert_eq!(stratum(unlabelled(), drugs()), Some(PairStratum::SafetyDiffers));
    }

    #[test]
    fn the_order_of_categories_makes_no_difference() {
        let both = [Harm::Drugs, Harm::Violence];
        let first = reply(false, Severity::Minor, &both);
        let second = reply(false, Severity::Minor, &[both[1], both[0]]);
        assert_eq!(stratum(&pair(first, second)), Some(PairStratum::NothingDiffers));
    }

    #[test]
    fn a_pair_gives_two_items_of_one_cluster() {
        let safe = reply(true, Severity::None, &[]);
        let items = pair_items(&pair(safe.clone(), safe), "row-17");
        assert_eq!((items[0].id.as_str(), items[1].id.as_str()), ("row-17:0", "row-17:1"));
        assert_eq!(items[0].cluster, items[1].cluster);
        let sides = items.each_ref().map(|item| item.gold.pair.as_ref().unwrap().side);
        assert_eq!(sides, [Side::First, Side::Second]);
    }
}
