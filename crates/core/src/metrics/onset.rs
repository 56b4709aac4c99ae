//! Figures for onsets: labels that belong to one turn, the one at which
//! something begins to show. Turns without a label in gold and prediction are
//! not scored, as in CRADLE-Dialogue; the counts are micro counts over all
//! (turn, label) pairs of all conversations.

use std::collections::BTreeSet;

use super::confusion::MicroF1;

/// The onsets of one conversation: pairs of (user turn number, label). User
/// turns are numbered among themselves, so that a tolerance counts user turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnsetSets<L> {
    /// What the annotators say.
    pub gold: BTreeSet<(usize, L)>,
    /// What the model says.
    pub predicted: BTreeSet<(usize, L)>,
}

/// Micro counts over all conversations. A prediction is right when it is
/// matched to a gold onset of the same label at most `tolerance` user turns
/// away; each onset is matched at most once. Tolerance 0 is the exact turn.
pub fn onset_f1<L: Copy + Ord>(conversations: &[OnsetSets<L>], tolerance: usize) -> MicroF1 {
    let count = |sets| count_onsets(sets, tolerance);
    conversations.iter().map(count).sum()
}

/// The counts of one conversation; see [`onset_f1`].
pub fn count_onsets<L: Copy + Ord>(sets: &OnsetSets<L>, tolerance: usize) -> MicroF1 {
    let labels: BTreeSet<L> = sets.gold.iter().map(|onset| onset.1).collect();
    let tp = labels
        .iter()
        .map(|&label| {
            let gold = turns_of(&sets.gold, label);
            matches(&gold, &turns_of(&sets.predicted, label), tolerance)
        })
        .sum();
    MicroF1 { tp, fp: sets.predicted.len() - tp, fn_: sets.gold.len() - tp }
}

/// The turns of one label, in order.
fn turns_of<L: Copy + Ord>(onsets: &BTreeSet<(usize, L)>, label: L) -> Vec<usize> {
    let own = onsets.iter().filter(|onset| onset.1 == label);
    own.map(|onset| onset.0).collect()
}

/// Size of the largest one-to-one matching between two ascending lists of turns
/// in which partners are at most `tolerance` apart.
///
/// Greedy in time order is optimal. Look at the earliest turn of each list. If
/// they are further apart than the tolerance, the earlier one is too early for
/// everything in the other list and can be dropped. If they are not, some
/// largest matching pairs them: were both paired with later partners instead,
/// crossing the pairs over keeps all distances within the tolerance, because
/// the two later partners lie within it of each other as well; were only one
/// paired, its partner can be exchanged for the earliest without loss.
pub(super) fn matches(gold: &[usize], predicted: &[usize], tolerance: usize) -> usize {
    let (mut g, mut p, mut found) = (0, 0, 0);
    while g < gold.len() && p < predicted.len() {
        if gold[g].abs_diff(predicted[p]) <= tolerance {
            found += 1;
            g += 1;
            p += 1;
        } else if gold[g] < predicted[p] {
            g += 1;
        } else {
            p += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest matching by trying every partner for the first gold turn.
    fn naive_matches(gold: &[usize], predicted: &[usize], tolerance: usize) -> usize {
        let Some((first, rest)) = gold.split_first() else {
            return 0;
        };
        let mut best = naive_matches(rest, predicted, tolerance);
        for (place, turn) in predicted.iter().enumerate() {
            if first.abs_diff(*turn) <= tolerance {
                let mut others = predicted.to_vec();
                others.remove(place);
                best = best.max(1 + naive_matches(rest, &others, tolerance));
            }
        }
        best
    }

    fn turns() -> impl Strategy<Value = BTreeSet<usize>> {
        proptest::collection::btree_set(0_usize..12, 0..6)
    }

    fn sets(gold: &[(usize, char)], predicted: &[(usize, char)]) -> OnsetSets<char> {
        OnsetSets { gold: gold.iter().copied().collect(), predicted: predicted.iter().copied().collect() }
    }

    proptest! {
        #[test]
        fn greedy_matching_is_maximal(gold in turns(), predicted in turns(), w in 0_usize..4) {
            let gold: Vec<usize> = gold.into_iter().collect();
            let predicted: Vec<usize> = predicted.into_iter().collect();
            prop_assert_eq!(matches(&gold, &predicted, w), naive_matches(&gold, &predicted, w));
        }

        #[test]
        fn tolerance_zero_is_the_intersection(gold in turns(), predicted in turns()) {
            let label = |turns: &BTreeSet<usize>| turns.iter().map(|&t| (t, 'a')).collect();
            let sets = OnsetSets { gold: label(&gold), predicted: label(&predicted) };
            let both = gold.intersection(&predicted).count();
            prop_assert_eq!(count_onsets(&sets, 0).tp, both);
        }
    }

    #[test]
    fn one_prediction_cannot_match_two_onsets() {
        let counts = count_onsets(&sets(&[(1, 'a'), (3, 'a')], &[(2, 'a')]), 1);
        assert_eq!((counts.tp, counts.fp, counts.fn_), (1, 0, 1));
    }

    #[test]
    fn labels_are_matched_apart_from_each_other() {
        let counts = count_onsets(&sets(&[(1, 'a')], &[(1, 'b')]), 5);
        assert_eq!((counts.tp, counts.fp, counts.fn_), (0, 1, 1));
    }

    #[test]
    fn conversations_are_added_up() {
        let near = sets(&[(1, 'a')], &[(2, 'a')]);
        let exact = sets(&[(1, 'a')], &[(1, 'a')]);
        let conversations = [near, exact, sets(&[], &[])];
        assert_eq!(onset_f1(&conversations, 0).tp, 1);
        assert_eq!(onset_f1(&conversations, 1).tp, 2);
    }
}
