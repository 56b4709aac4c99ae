//! Published figures on PKU-SafeRLHF and of its reward and cost models. The
//! papers' tables were read in notes of third parties, since their texts were not
//! at hand; each row says so.

use crate::protocol::harm::HarmSet;
use crate::report::PublishedRow;

use super::reply::row;

const MODERATION: &str =
    "Ji et al., PKU-SafeRLHF, arXiv 2406.15513, moderation table; read in a third party's note";

const MODERATION_CAVEAT: &str = "Size and composition of the publication's test set are not known; thresholds of the \
                                 other systems neither.";

/// Safety accuracy, F1 and false-positive rate.
const MODERATORS: [(&str, [f64; 3]); 5] = [
    ("Llama-Guard", [0.78, 0.71, 0.055]),
    ("Llama-Guard 2", [0.88, 0.87, 0.107]),
    ("Perspective API", [0.53, 0.18, 0.053]),
    ("OpenAI Moderation API", [0.53, 0.10, 0.002]),
    ("PKU-SafeRLHF moderator", [0.93, 0.93, 0.077]),
];

const SAFE_RLHF: &str = "Dai et al., Safe RLHF, arXiv 2310.12773; read in a third party's note";

const SAFE_RLHF_CAVEAT: &str = "Measured on each round's own data of 2023, which are not PKU-SafeRLHF v1.";

/// Reward ranking, cost ranking and cost sign accuracy.
const SCORERS: [(&str, [f64; 3]); 3] = [
    ("Beaver v1 reward and cost", [0.7813, 0.7447, 0.9562]),
    ("Beaver v2 reward and cost", [0.7573, 0.7607, 0.8454]),
    ("Beaver v3 reward and cost", [0.7732, 0.7417, 0.8588]),
];

const AUDIT: &str =
    "Chen 2026, audit of PKU-SafeRLHF v1 (pku-saferlhf-experiments, a1a9332b), 4,000 train pairs";

const AUDIT_CAVEAT: &str =
    "On train pairs, 1,000 from each stratum; safe and unsafe weighted to the population.";

/// The published rows beside a system on this set.
pub fn rows(set: HarmSet) -> Vec<PublishedRow> {
    let moderators = MODERATORS.iter().map(|(system, [accuracy, f1, rate])| {
        let figures =
            [("safety_accuracy", *accuracy), ("unsafe_f1", *f1), ("unsafe_false_positive_rate", *rate)];
        row(system, &figures, MODERATION, &caveat(set, MODERATION_CAVEAT))
    });
    let scorers = SCORERS.iter().map(|(system, [reward, cost, sign])| {
        let figures = [("reward_accuracy", *reward), ("cost_accuracy", *cost), ("sign_accuracy", *sign)];
        row(
            system,
            &figures,
            SAFE_RLHF,
            &format!("{SAFE_RLHF_CAVEAT} The publication says ranking and classification accuracy."),
        )
    });
    moderators.chain(exact_match(set)).chain(scorers).chain(audited(set)).collect()
}

/// What the moderator's publication says of categories.
fn exact_match(set: HarmSet) -> Option<PublishedRow> {
    let unclear = "Whether safe answers count is not known, and exact match over them is much higher; the same \
                   publication's severity figures (85 %, or 85 / 77 / 71 % by level) are read differently by two \
                   notes and left out.";
    let figures = [("category_exact_match", 0.713)];
    (set == HarmSet::PkuSafeRlhf)
        .then(|| row("PKU-SafeRLHF moderator, 19 categories", &figures, MODERATION, unclear))
}

/// What the audit measured on the released pairs.
fn audited(set: HarmSet) -> Vec<PublishedRow> {
    let cost = [
        ("unsafe_auroc", 0.958),
        ("cost_accuracy@stratum=safety_differs", 0.928),
        ("cost_accuracy@stratum=severity_differs", 0.597),
        ("cost_accuracy@stratum=category_differs", 0.556),
        ("cost_accuracy@stratum=nothing_differs", 0.610),
        ("cost_accuracy_weighted", 0.646),
    ];
    let deepseek = [("safety_accuracy", 0.945), ("safety_kappa", 0.890)];
    let gemma = [("safety_accuracy", 0.689), ("safety_kappa", 0.386), ("unsafe_recall", 0.426)];
    let caveat = caveat(set, AUDIT_CAVEAT);
    vec![
        row("beaver-7b-v2.0-cost", &cost, AUDIT, &caveat),
        row("DeepSeek-v4-flash as judge", &deepseek, AUDIT, &caveat),
        row("ShieldGemma-9B", &gemma, AUDIT, &caveat),
    ]
}

/// What keeps figures on PKU-SafeRLHF v1 from being held against others.
fn caveat(set: HarmSet, own: &str) -> String {
    match set {
        HarmSet::PkuSafeRlhf => own.to_owned(),
        HarmSet::PkuSafeRlhfV0 | HarmSet::BeaverTails | HarmSet::Other => {
            format!("Measured on PKU-SafeRLHF v1, not on this set: not comparable. {own}")
        }
    }
}
