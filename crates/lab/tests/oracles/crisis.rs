//! What can be known of CRADLE-Dialogue's figures without its text: a system that
//! never says anything on a gold set with the published supports, and worked
//! examples of ERDE and `F_latency` (`crisis.md`, sections 2, 3 and 5).

use std::num::NonZeroUsize;

use mindrail_core::metrics::MacroOver;
use mindrail_core::metrics::crisis::{
    CrisisDialogue, CrisisReading, CrisisSet, EarlyDecision, ErdeCosts, LatencyCounts, erde, erde_cost,
    latency_penalty, latency_rate, score_crisis,
};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};

/// User turns of the test split.
const USER_TURNS: usize = 4_527;

/// User turns that have a label.
const LABELLED_TURNS: usize = 703;

/// Labels on user turns, in taxonomy order: alerts, then passive and active
/// suicidal ideation, self-harm, partner violence, child abuse, harassment, rape;
/// each ongoing and past.
const SUPPORTS: [usize; 16] = [172, 64, 78, 4, 58, 11, 77, 27, 25, 31, 8, 27, 23, 40, 7, 59];

/// Dialogues of the test split, and those that hold labels.
const DIALOGUES: usize = 600;
const LABELLED_DIALOGUES: usize = 440;

/// A gold set with these supports: labels one to a turn in turn, the surplus as
/// second labels; where a label stands changes none of the figures below.
fn gold_turns() -> Vec<CrisisSet> {
    let mut labels: Vec<CrisisLabel> = CrisisLabel::ALL
        .iter()
        .flat_map(|label| std::iter::repeat_n(*label, SUPPORTS[label.index()]))
        .collect();
    let second = labels.split_off(LABELLED_TURNS);
    let mut turns: Vec<CrisisSet> = labels.into_iter().map(|label| [label].into_iter().collect()).collect();
    turns.iter_mut().zip(second).for_each(|(turn, label)| turn.extend([label]));
    turns.resize(USER_TURNS, CrisisSet::default());
    turns
}

/// The turns dealt out to dialogues, the labelled ones to those that hold labels.
fn dialogues(predict: impl Fn(CrisisSet) -> CrisisSet) -> Vec<CrisisDialogue> {
    let mut dialogues = vec![Vec::new(); DIALOGUES];
    for (place, gold) in gold_turns().into_iter().enumerate() {
        let dialogue = if gold.is_empty() { place % DIALOGUES } else { place % LABELLED_DIALOGUES };
        dialogues[dialogue].push((gold, predict(gold)));
    }
    dialogues.into_iter().map(|turns| turns.into_iter().collect()).collect()
}

#[test]
fn the_supports_are_the_published_ones() {
    assert_eq!(SUPPORTS.iter().sum::<usize>(), 711);
    assert_eq!(SUPPORTS[..2].iter().sum::<usize>(), 236);
    let turns = gold_turns();
    assert_eq!(turns.len(), USER_TURNS);
    assert_eq!(turns.iter().filter(|turn| !turn.is_empty()).count(), LABELLED_TURNS);
}

#[test]
fn a_system_that_says_nothing_matches_84_47_percent_exactly_and_has_no_f1() {
    let silent = dialogues(|_| CrisisSet::default());
    let counts = score_crisis(&silent, &CrisisReading::TURN);
    assert_eq!(format!("{:.2}", 100.0 * counts.exact_match().unwrap()), "84.47");
    let micro = counts.micro();
    assert_eq!((micro.tp, micro.fp, micro.fn_), (0, 0, 711));
    assert!(micro.f1() <= 0.0 && micro.precision() <= 0.0 && micro.recall() <= 0.0);
    assert!(counts.macro_average(MacroOver::AllLabels).unwrap().f1 <= 0.0);
    let of_dialogues = score_crisis(&silent, &CrisisReading::DIALOGUE);
    assert_eq!((of_dialogues.rows, of_dialogues.empty), (DIALOGUES, DIALOGUES - LABELLED_DIALOGUES));
    assert!(of_dialogues.micro().f1() <= 0.0);
}

#[test]
fn a_system_that_repeats_gold_is_right_throughout_with_the_published_supports() {
    let counts = score_crisis(&dialogues(|gold| gold), &CrisisReading::TURN);
    let supports: Vec<usize> = counts.per_label().iter().map(|label| label.support).collect();
    assert_eq!(supports, SUPPORTS);
    assert!(counts.micro().f1() >= 1.0 && counts.exact_match().unwrap() >= 1.0);
}

fn decision(positive: bool, after: usize) -> EarlyDecision {
    EarlyDecision { positive, decided_after: NonZeroUsize::new(after) }
}

#[test]
fn erde_comes_out_as_worked_by_hand() {
    let costs = ErdeCosts::new(5.0, 0.1296);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
    // At k = o half the worth is lost; 1 / (1 + e^4) at k = 1, 1 / (1 + e^-5) at k = 10.
    close(erde_cost(decision(true, 5), &costs), 0.5);
    close(erde_cost(decision(true, 1), &costs), 0.017_986_209_96);
    close(erde_cost(decision(true, 10), &costs), 0.993_307_149_1);
    close(erde_cost(decision(true, 0), &costs), 1.0);
    close(erde_cost(decision(false, 3), &costs), 0.1296);
    close(erde_cost(decision(false, 0), &costs), 0.0);
    // (0.5 + 1 + 0.1296 + 0) / 4.
    let subjects = [decision(true, 5), decision(true, 0), decision(false, 3), decision(false, 0)];
    close(erde(&subjects, &costs).unwrap(), 0.407_4);
}

#[test]
fn f_latency_comes_out_as_worked_by_hand() {
    let items = |k: usize| NonZeroUsize::new(k).unwrap();
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
    let counts = |subjects: &[EarlyDecision]| subjects.iter().copied().collect::<LatencyCounts>();
    // About 0.17 for 7.5 user turns; eRisk's 0.0078 belongs to about 142 posts.
    let rate = latency_rate(7.5).unwrap();
    close(rate, 3.0_f64.ln() / 6.5);
    assert_eq!(format!("{rate:.2}"), "0.17");
    assert_eq!(format!("{:.4}", latency_rate(142.0).unwrap()), "0.0078");
    close(latency_penalty(items(1), rate), 0.0);
    // The penalty is one half at the median length.
    close(latency_penalty(items(9), latency_rate(9.0).unwrap()), 0.5);
    // Everybody found at once: speed 1, F_latency is F1.
    let at_once = counts(&[decision(true, 1), decision(true, 1), decision(false, 0)]);
    close(at_once.speed(rate), 1.0);
    close(at_once.f_latency(rate).unwrap(), 1.0);
    // Found after 1, 9 and 20 items, one missed, one false alarm: F1 = 6 / 8; the
    // middle one is half as fast.
    let mixed = counts(&[
        decision(true, 1),
        decision(true, 9),
        decision(true, 20),
        decision(true, 0),
        decision(false, 2),
    ]);
    close(mixed.f_latency(latency_rate(9.0).unwrap()).unwrap(), 0.75 * 0.5);
    // Nobody found: speed 0.
    close(counts(&[decision(true, 0)]).f_latency(rate).unwrap(), 0.0);
}
