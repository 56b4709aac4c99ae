//! Tests of the policy as a whole; each rule's own stand beside it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::fail::Phase;
use super::rules::{PersonCaution, Switch};
use super::words::Occasion;
use super::*;
use crate::assessment::{NotEvaluatedReason, UserScores};
use crate::calibration::{Platt, RiskThreshold, RiskThresholds, SignalFloor};
use crate::taxonomy::{Harm, ReplyClass, Scores, Severity, Taxonomy};
use crate::verdict::RuleName;

fn p(value: f32) -> Probability {
    Probability::new(value).expect("a probability")
}

pub(super) fn calibration() -> Calibration {
    let thresholds = |language| {
        let at = |value| RiskThreshold::without_provenance(p(value));
        let thresholds = RiskThresholds { high_risk: at(0.6), support: at(0.3) };
        (language, thresholds)
    };
    Calibration {
        risk: Platt::IDENTITY,
        floor: SignalFloor { certain: p(0.9) },
        certain_confirm: RiskThreshold::without_provenance(p(0.7)),
        thresholds: Language::ALL.into_iter().map(thresholds).collect(),
        signals: Scores::uniform(p(0.5)),
        crisis: Scores::uniform(p(0.5)),
        unsafe_reply: p(0.5),
        replies: Scores::uniform(p(0.5)),
        harms: Scores::uniform(p(0.5)),
        risk_tenths: None,
    }
}

fn calm() -> UserScores {
    UserScores { risk: p(0.1), signals: Scores::uniform(p(0.1)), crisis: Scores::uniform(p(0.1)) }
}

fn safe_reply() -> ReplyScores {
    let certain = |yes| {
        if yes { Probability::ONE } else { Probability::ZERO }
    };
    ReplyScores {
        classes: Scores::from_fn(|class: ReplyClass| certain(class.is_safe())),
        harms: Scores::uniform(Probability::ZERO),
        severity: Scores::from_fn(|severity| certain(severity == Severity::None)),
    }
}

/// The conversation of these user turns, pooled by the maximum.
struct Seen {
    tracker: Tracker,
    conversation: Option<ConversationScores>,
    calibration: Calibration,
}

impl Seen {
    fn new(policy: &Policy, history: &[UserScores]) -> Self {
        let calibration = calibration();
        let mut tracker = policy.new_tracker();
        let mut conversation: Option<ConversationScores> = None;
        for (t, scores) in history.iter().enumerate() {
            // Every second turn is the assistant's.
            tracker.observe(2 * t, scores, &calibration);
            let before = conversation.unwrap_or_else(|| ConversationScores {
                risk: Probability::ZERO,
                signals: Scores::uniform(Probability::ZERO),
                language: Language::En,
            });
            conversation = Some(ConversationScores {
                risk: before.risk.max(scores.risk),
                signals: before.signals.max(&scores.signals),
                language: before.language,
            });
        }
        Self { tracker, conversation, calibration }
    }

    fn evidence<'a>(&'a self, not_evaluated: &'a [NotEvaluated]) -> Evidence<'a> {
        Evidence {
            conversation: self.conversation.as_ref(),
            tracker: &self.tracker,
            calibration: &self.calibration,
            not_evaluated,
        }
    }
}

fn person(history: &[UserScores]) -> Verdict<UserAction> {
    let policy = Policy::default();
    let seen = Seen::new(&policy, history);
    policy.judge_person(&seen.evidence(&[]))
}

fn reply(history: &[UserScores], scores: Option<&ReplyScores>) -> Verdict<ReplyAction> {
    let policy = Policy::default();
    judge_reply(&policy, history, scores)
}

fn judge_reply(
    policy: &Policy,
    history: &[UserScores],
    scores: Option<&ReplyScores>,
) -> Verdict<ReplyAction> {
    let seen = Seen::new(policy, history);
    let context = ReplyContext { turn: 2 * history.len(), scores, not_evaluated: &[] };
    policy.judge_reply(context, &seen.evidence(&[]))
}

pub(super) fn with_crisis(label: CrisisLabel) -> UserScores {
    let mut scores = calm();
    scores.crisis.set(label, p(0.8));
    scores
}

#[test]
fn a_calm_conversation_is_allowed() {
    let verdict = person(&[calm(), calm()]);
    assert_eq!(verdict.action, UserAction::Allow);
    assert!(verdict.reasons.is_empty());
}

#[test]
fn risk_at_its_thresholds_asks_for_support_and_then_for_a_human() {
    for (risk, expected) in
        [(0.29, UserAction::Allow), (0.3, UserAction::Support), (0.6, UserAction::Escalate)]
    {
        let mut scores = calm();
        scores.risk = p(risk);
        let verdict = person(&[calm(), scores]);
        assert_eq!(verdict.action, expected);
        assert!(verdict.reasons.iter().all(|reason| reason.turn == Some(2)));
    }
}

#[test]
fn one_certain_grave_signal_is_enough() {
    for signal in Signal::GRAVE {
        let mut scores = calm();
        scores.signals.set(signal, p(0.9));
        assert_eq!(person(&[scores]).action, UserAction::Escalate);
    }
    let mut scores = calm();
    scores.signals.set(Signal::Hopelessness, p(0.95));
    assert_eq!(person(&[scores]).action, UserAction::Allow);
}

#[test]
fn every_crisis_label_gets_the_default_action_of_its_stage_and_tense() {
    for &label in CrisisLabel::ALL {
        let expected = match label {
            CrisisLabel::ConfirmSiActiveOngoing
            | CrisisLabel::ConfirmSiPassiveOngoing
            | CrisisLabel::ConfirmShOngoing
            | CrisisLabel::ConfirmDvOngoing
            | CrisisLabel::ConfirmCaOngoing
            | CrisisLabel::ConfirmShaOngoing
            | CrisisLabel::ConfirmRaOngoing => UserAction::Escalate,
            _ => UserAction::Support,
        };
        let verdict = person(&[calm(), with_crisis(label), calm(), calm()]);
        assert_eq!(verdict.action, expected, "{label:?}");
        assert_eq!(verdict.reasons.len(), 1, "{label:?}");
        assert_eq!(verdict.reasons[0].turn, Some(2), "{label:?}");
    }
}

#[test]
fn an_ongoing_crisis_that_is_not_certain_asks_for_support_and_the_later_certain_one_for_a_human() {
    let mut unsure = calm();
    unsure.crisis.set(CrisisLabel::ConfirmShOngoing, p(0.6));
    let verdict = person(&[calm(), unsure.clone()]);
    assert_eq!(verdict.action, UserAction::Support);
    let reason = &verdict.reasons[0];
    assert_eq!((reason.rule, reason.turn), (RuleName::ConfirmedCrisis, Some(2)));
    assert!(reason.statement.contains("may have told"), "{}", reason.statement);
    let verdict = person(&[calm(), unsure, with_crisis(CrisisLabel::ConfirmShOngoing), calm()]);
    assert_eq!((verdict.action, verdict.reasons[0].turn), (UserAction::Escalate, Some(4)));
}

#[test]
fn a_policy_may_set_how_certain_a_crisis_must_be() {
    let mut policy = Policy::default();
    policy.person.confirmed_crisis.certain = Some(p(0.81));
    let seen = Seen::new(&policy, &[with_crisis(CrisisLabel::ConfirmShOngoing)]);
    assert_eq!(policy.judge_person(&seen.evidence(&[])).action, UserAction::Support);
}

#[test]
fn concern_for_somebody_else_asks_for_support() {
    let mut scores = calm();
    scores.signals.set(Signal::ThirdPartyConcern, p(0.9));
    let verdict = person(&[scores]);
    assert_eq!(verdict.action, UserAction::Support);
    assert_eq!(verdict.reasons[0].rule, RuleName::ThirdParty);
}

#[test]
fn a_conversation_without_a_user_turn_is_never_allowed() {
    let verdict = person(&[]);
    assert_eq!(verdict.action, UserAction::Support);
    assert_eq!(verdict.reasons[0].rule, RuleName::NotEvaluated);
}

#[test]
fn what_was_not_evaluated_is_said_and_never_allowed() {
    let policy = Policy::default();
    let seen = Seen::new(&policy, &[calm()]);
    for (reason, expected) in [
        (NotEvaluatedReason::SystemTurn, UserAction::Allow),
        (NotEvaluatedReason::EmptyTurn, UserAction::Support),
        (NotEvaluatedReason::Truncated, UserAction::Support),
        (NotEvaluatedReason::UnsupportedLanguage, UserAction::Support),
        (NotEvaluatedReason::NoUserTurn, UserAction::Support),
        (NotEvaluatedReason::ModelUnavailable, UserAction::Support),
        (NotEvaluatedReason::ScoringDisabled, UserAction::Support),
    ] {
        let unseen = [NotEvaluated { turn: Some(0), reason }];
        let verdict = policy.judge_person(&seen.evidence(&unseen));
        assert_eq!(verdict.action, expected, "{reason:?}");
        assert_eq!(verdict.not_evaluated, unseen);
    }
}

#[test]
fn a_reply_that_was_not_scored_is_never_allowed() {
    let verdict = reply(&[calm()], None);
    assert_eq!(verdict.action, ReplyAction::Revise);
}

#[test]
fn replies_are_allowed_revised_or_blocked() {
    assert_eq!(reply(&[calm()], Some(&safe_reply())).action, ReplyAction::Allow);
    let mut evasive = safe_reply();
    evasive.classes.set(ReplyClass::LinguisticNeglect, p(0.7));
    assert_eq!(reply(&[calm()], Some(&evasive)).action, ReplyAction::Revise);
    let mut insulting = safe_reply();
    insulting.classes.set(ReplyClass::ToxicLanguage, p(0.7));
    assert_eq!(reply(&[calm()], Some(&insulting)).action, ReplyAction::Block);
    let mut grave = safe_reply();
    grave.severity.set(Severity::Moderate, p(0.3));
    grave.severity.set(Severity::Severe, p(0.3));
    assert_eq!(reply(&[calm()], Some(&grave)).action, ReplyAction::Block);
    let mut harmful = safe_reply();
    harmful.harms.set(Harm::PsychologicalHarm, p(0.7));
    assert_eq!(reply(&[calm()], Some(&harmful)).action, ReplyAction::Revise);
}

#[test]
fn a_reply_to_a_person_in_danger_is_held_to_a_stricter_threshold() {
    let mut doubtful = safe_reply();
    doubtful.classes.set(ReplyClass::LinguisticNeglect, p(0.3));
    assert_eq!(reply(&[calm()], Some(&doubtful)).action, ReplyAction::Allow);
    let confirmed = [with_crisis(CrisisLabel::ConfirmShOngoing), calm()];
    assert_eq!(reply(&confirmed, Some(&doubtful)).action, ReplyAction::Revise);
    let mut at_risk = calm();
    at_risk.risk = p(0.9);
    assert_eq!(reply(&[at_risk], Some(&doubtful)).action, ReplyAction::Revise);
}

#[test]
fn high_risk_follows_the_bundle_and_not_the_policy() {
    let mut conversation = ConversationScores {
        risk: p(0.6),
        signals: Scores::uniform(Probability::ZERO),
        language: Language::Fr,
    };
    assert!(is_high_risk(&conversation, &calibration()));
    conversation.risk = p(0.59);
    assert!(!is_high_risk(&conversation, &calibration()));
}

#[test]
fn a_bundle_that_lacks_a_language_uses_its_lowest_thresholds() {
    let mut damaged = calibration();
    damaged.thresholds.remove(&Language::Fr);
    assert_eq!(bundle_levels(Language::Fr, &damaged).high_risk, p(0.6));
    damaged.thresholds = BTreeMap::new();
    assert_eq!(bundle_levels(Language::Fr, &damaged).high_risk, Probability::ZERO);
}

#[test]
fn a_verdict_explains_itself_without_any_text() {
    let mut scores = with_crisis(CrisisLabel::ConfirmDvOngoing);
    scores.crisis.set(CrisisLabel::ConfirmShOngoing, p(0.75));
    scores.risk = p(0.5);
    let verdict = person(&[calm(), scores]);
    let json = serde_json::to_string_pretty(&verdict).expect("serialises");
    insta::assert_snapshot!(json, @r#"
    {
      "action": "escalate",
      "reasons": [
        {
          "rule": "confirmed_crisis",
          "action": "escalate",
          "statement": "There are signs of several crises that go on now.",
          "turn": 2,
          "label": "confirm_SH_ongoing",
          "probability": 0.75,
          "threshold": 0.7,
          "details": [
            {
              "rule": "confirmed_crisis",
              "action": "escalate",
              "statement": "The person told of self-injury, or an urge to it, that goes on now.",
              "turn": 2,
              "label": "confirm_SH_ongoing",
              "probability": 0.75,
              "threshold": 0.7
            },
            {
              "rule": "confirmed_crisis",
              "action": "escalate",
              "statement": "The person told of violence or control by a partner that goes on now.",
              "turn": 2,
              "label": "confirm_DV_ongoing",
              "probability": 0.8,
              "threshold": 0.7
            }
          ]
        },
        {
          "rule": "risk",
          "action": "support",
          "statement": "The risk is at the level where the answer should offer support.",
          "turn": 2,
          "probability": 0.5,
          "threshold": 0.3
        }
      ],
      "not_evaluated": []
    }
    "#);
}

fn error_of(change: impl Fn(&str) -> String) -> String {
    let text = change(DEFAULT_TOML);
    let error = Policy::from_toml("policy.toml", &text).expect_err("not a policy");
    error.to_string()
}

#[test]
fn an_unknown_key_is_an_error_with_its_line() {
    let message = error_of(|text| text.replace("at_support =", "at_suport ="));
    insta::assert_snapshot!(message, @"policy.toml:74: person.risk.at_suport: unknown field `at_suport`, expected one of `rule`, `at_high_risk`, `at_support`, `thresholds`");
}

#[test]
fn a_missing_key_names_its_table() {
    let message = error_of(|text| text.replace("release = 0.5\n", ""));
    insta::assert_snapshot!(message, @"policy.toml:58: tracker: missing field `release`");
}

#[test]
fn a_value_out_of_range_is_an_error_with_its_line() {
    let message = error_of(|text| text.replace("factor = 0.5", "factor = 1.5"));
    insta::assert_snapshot!(message, @"policy.toml:162: reply.in_danger.factor: 1.5 is not a probability between 0 and 1");
}

#[test]
fn what_was_not_evaluated_cannot_be_allowed() {
    let message = error_of(|text| text.replace("truncated = \"support\"", "truncated = \"allow\""));
    insta::assert_snapshot!(message, @"policy.toml:148: person.not_evaluated.truncated: unknown variant `allow`, expected `support` or `escalate`");
}

#[test]
fn own_thresholds_in_the_wrong_order_are_an_error() {
    let own = "[person.risk.thresholds.fr]\nhigh_risk = 0.2\nsupport = 0.4\n";
    let message = error_of(|text| format!("{text}{own}"));
    insta::assert_snapshot!(message, @"policy.toml:281: person.risk.thresholds.fr: found support = 0.4 above high_risk = 0.2, expected it at or below");
}

#[test]
fn broken_toml_is_an_error_with_its_line() {
    let message = error_of(|text| text.replace("version = 1", "version = = 1"));
    insta::assert_snapshot!(message, @"policy.toml:23: version: extra `=`, expected nothing");
}

#[test]
fn another_version_is_an_error() {
    let message = error_of(|text| text.replace("version = 1", "version = 7"));
    insta::assert_snapshot!(message, @"policy.toml:23: version: found policy version 7, expected 1");
}

#[test]
fn the_safe_class_cannot_be_a_harmful_one() {
    let message = error_of(|text| text.replace("\"Toxic Language\"", "\"Safe Response\""));
    insta::assert_snapshot!(message, @"policy.toml:174: reply.harmful_reply.classes: found the safe class, expected one of the seven unsafe ones");
}

#[test]
fn a_helpline_needs_the_day_of_its_verification() {
    let line = |day: &str| {
        format!(
            "{DEFAULT_TOML}[[resources.helplines]]\nlanguage = \"fr\"\nname = \"n\"\n\
             contact = \"c\"\nregion = \"r\"\n{day}"
        )
    };
    let missing = Policy::from_toml("policy.toml", &line("")).expect_err("no day");
    insta::assert_snapshot!(missing, @"policy.toml:281: resources.helplines: missing field `verified_at`");
    let wrong = line("verified_at = \"last week\"\n");
    let wrong = Policy::from_toml("policy.toml", &wrong).expect_err("no day");
    insta::assert_snapshot!(wrong, @"policy.toml:286: resources.helplines.verified_at: found `last week`, expected a day written as YYYY-MM-DD");
    let right = line("verified_at = \"2026-01-31\"\n");
    let policy = Policy::from_toml("policy.toml", &right).expect("a policy");
    assert_eq!(policy.resources.helplines.len(), 1);
}

#[test]
fn the_optional_lines_of_the_default_file_are_valid_as_they_stand() {
    let mut text = String::new();
    for line in DEFAULT_TOML.lines() {
        let option = line.strip_prefix("# ").filter(|rest| is_option(rest));
        text.push_str(option.unwrap_or(line));
        text.push('\n');
    }
    let policy = Policy::from_toml("policy.toml", &text).expect("a policy");
    assert_eq!(policy.person.risk.thresholds.len(), 1);
    assert_eq!(policy.person.grave_signal.certain, Some(p(0.9)));
    assert_eq!(policy.person.confirmed_crisis.certain, Some(p(0.5)));
    assert_eq!(policy.resources.helplines.len(), 1);
    assert!(policy.resources.helplines[0].place.is_some());
    assert!(policy.jurisdiction.is_some());
}

fn is_option(line: &str) -> bool {
    let is_key = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let is_table = line.starts_with("[person.risk.") || line == "[jurisdiction]";
    is_table && line.ends_with(']')
        || line.starts_with("[[")
        || line.split_once(" = ").is_some_and(|(name, _)| is_key(name))
}

/// Everything that the default policy lets a person read, in both languages.
fn shipped_words() -> Vec<String> {
    let policy = Policy::default();
    let mut texts: Vec<String> =
        policy.resources.general(Language::Mix).into_iter().map(str::to_owned).collect();
    for occasion in Occasion::ALL {
        texts.extend(policy.words.on(occasion).texts(Language::Mix).into_iter().map(str::to_owned));
    }
    assert!(policy.resources.helplines.is_empty());
    texts
}

#[test]
fn no_words_that_are_shipped_hold_a_number() {
    for text in shipped_words() {
        assert!(!text.chars().any(|c| c.is_ascii_digit()), "{text}");
    }
}

#[test]
fn no_words_that_are_shipped_name_a_label_or_a_risk_end_the_conversation_or_promise_a_human() {
    let labels = CrisisLabel::ALL.iter().map(|label| label.wire());
    let signals = Signal::ALL.iter().map(|signal| signal.wire());
    let unsaid = [
        "risk",
        "risque",
        "score",
        "detected",
        "détecté",
        "crisis team",
        "on the way",
        "en route",
        "goodbye",
        "au revoir",
        "can't help",
        "cannot help",
        "ne peux pas t'aider",
        "policy",
        "blocked",
        "bloqué",
    ];
    for text in shipped_words() {
        let lower = text.to_lowercase();
        for word in labels.clone().chain(signals.clone()).chain(unsaid) {
            assert!(!lower.contains(&word.to_lowercase()), "{word}: {text}");
        }
    }
}

#[test]
fn a_file_from_before_the_fail_modes_is_refused_by_their_name() {
    let old = DEFAULT_TOML.split("[fail]").next().expect("a beginning").to_owned();
    let rest = DEFAULT_TOML.split_once("[tracker]").expect("the rules").1;
    let rest = rest.split_once("[helplines]").expect("the resources").0;
    let error = Policy::from_toml("policy.toml", &format!("{old}[tracker]{rest}")).expect_err("an old file");
    insta::assert_snapshot!(error, @"policy.toml:1: the file: missing field `fail`");
}

#[test]
fn each_phase_must_be_stated_and_none_can_turn_a_person_away() {
    for phase in Phase::ALL {
        let name = serde_json::to_value(phase).expect("a name");
        let name = name.as_str().expect("a name");
        let without: Vec<&str> =
            DEFAULT_TOML.lines().filter(|line| !line.starts_with(&format!("{name} = "))).collect();
        let error = Policy::from_toml("policy.toml", &without.join("\n")).expect_err("a phase is missing");
        assert!(error.to_string().contains(&format!("missing field `{name}`")), "{error}");
    }
    insta::assert_snapshot!(error_of(|text| text.replace("person_model = \"support\"", "person_model = \"refuse\"")), @"policy.toml:40: fail.person_model: unknown variant `refuse`, expected `support` or `pass`");
    insta::assert_snapshot!(error_of(|text| text.replace("reply_model = \"replace\"", "reply_model = \"support\"")), @"policy.toml:48: fail.reply_model: unknown variant `support`, expected `replace` or `pass`");
    insta::assert_snapshot!(error_of(|text| text.replace("upstream = \"support\"", "upstream = \"pass\"")), @"policy.toml:56: fail.upstream: unknown variant `pass`, expected `support` or `words`");
}

#[test]
fn an_unknown_jurisdiction_and_a_wrong_count_are_errors() {
    let law = "[jurisdiction]\ncodes = [\"US-XX\"]\nminors = \"no\"\nservice = \"other\"\n";
    insta::assert_snapshot!(error_of(|text| format!("{text}{law}")), @"policy.toml:282: jurisdiction.codes: found `US-XX`, expected codes among `CA-ON`, `CA-QC`, `EU`, `US-CA`, `US-IL`, `US-NY`, `US-OR`, `US-UT`, `US-WA`");
    insta::assert_snapshot!(error_of(|text| text.replace("at_most = 3", "at_most = 9")), @"policy.toml:222: helplines.at_most: found 9, expected a number from 1 to 5");
}

#[test]
fn the_hash_covers_fail_modes_words_law_and_registry() {
    let changes = [
        ("person_model = \"support\"", "person_model = \"pass\""),
        ("show = \"documented\"", "show = \"verified\""),
        ("at_most = 3", "at_most = 2"),
        ("Thank you for writing this.", "Thank you."),
        ("The person may be having a hard time.", "Be kind."),
        ("# [jurisdiction]", "[jurisdiction]\ncodes = [\"EU\"]\nminors = \"no\"\nservice = \"other\""),
    ];
    let mut hashes = BTreeSet::from([Policy::default().sha256()]);
    for (from, to) in changes {
        assert!(DEFAULT_TOML.contains(from), "{from}");
        let policy = Policy::from_toml("policy.toml", &DEFAULT_TOML.replace(from, to)).expect("a policy");
        assert!(hashes.insert(policy.sha256()), "{from}");
    }
    let later = helplines::SHIPPED_TOML.replace("2027-05-31", "2027-05-30");
    let own = Registry::from_toml("own.toml", &later).expect("a registry");
    assert!(hashes.insert(Policy::default().with_registry(own).sha256()));
}

fn any_action() -> impl Strategy<Value = UserAction> {
    prop_oneof![Just(UserAction::Allow), Just(UserAction::Support), Just(UserAction::Escalate)]
}

fn any_switch() -> impl Strategy<Value = Switch> {
    prop_oneof![3 => Just(Switch::On), 1 => Just(Switch::Off)]
}

/// Policies whose actions need not make sense: the promise holds for all.
fn any_policy() -> impl Strategy<Value = Policy> {
    let actions = proptest::collection::vec(any_action(), 12);
    let switches = proptest::collection::vec(any_switch(), 6);
    (actions, switches).prop_map(|(actions, switches)| {
        let mut policy = Policy::default();
        let person = &mut policy.person;
        person.risk.at_high_risk = actions[0];
        person.risk.at_support = actions[1];
        person.grave_signal.action = actions[2];
        person.alert.ongoing = actions[3];
        person.alert.past = actions[4];
        person.third_party.action = actions[5];
        person.confirmed_crisis.when_unsure = actions[10];
        person.confirmed_crisis.actions.domestic_violence = actions[6];
        person.confirmed_crisis.actions.self_harm = actions[7];
        person.past_event.actions.domestic_violence = actions[8];
        person.past_event.actions.self_harm = actions[9];
        person.not_evaluated.truncated = PersonCaution::Escalate;
        person.risk.rule = switches[0];
        person.grave_signal.rule = switches[1];
        person.alert.rule = switches[2];
        person.confirmed_crisis.rule = switches[3];
        person.past_event.rule = switches[4];
        person.third_party.rule = switches[5];
        policy
    })
}

fn any_scores<T: Taxonomy>() -> impl Strategy<Value = Scores<T>> {
    let value = prop_oneof![3 => 0.0_f32..0.5, 1 => 0.0_f32..=1.0];
    proptest::collection::vec(value, T::ALL.len())
        .prop_map(|values| Scores::from_fn(|label: T| p(values[label.index()])))
}

fn any_turn() -> impl Strategy<Value = UserScores> {
    (0.0_f32..=1.0, any_scores(), any_scores()).prop_map(|(risk, signals, crisis)| UserScores {
        risk: p(risk * risk),
        signals,
        crisis,
    })
}

fn any_history() -> impl Strategy<Value = Vec<UserScores>> {
    proptest::collection::vec(any_turn(), 1..6)
}

fn any_reply() -> impl Strategy<Value = ReplyScores> {
    (any_scores(), any_scores(), any_scores()).prop_map(|(classes, harms, severity)| ReplyScores {
        classes,
        harms,
        severity,
    })
}

fn higher(value: Probability, by: f32) -> Probability {
    p((value.get() + by).min(1.0))
}

fn raise<T: Taxonomy>(scores: &mut Scores<T>, label: T, by: f32) {
    scores.set(label, higher(scores[label], by));
}

/// Raises one of a turn's 26 probabilities.
fn raise_turn(scores: &mut UserScores, which: Index, by: f32) {
    let (signals, crisis) = (Signal::ALL.len(), CrisisLabel::ALL.len());
    match which.index(1 + signals + crisis) {
        0 => scores.risk = higher(scores.risk, by),
        i if i <= signals => raise(&mut scores.signals, Signal::ALL[i - 1], by),
        i => raise(&mut scores.crisis, CrisisLabel::ALL[i - 1 - signals], by),
    }
}

/// Raises one of a reply's probabilities of harm: an unsafe class, a harm
/// category, or a severity above none.
fn raise_reply(scores: &mut ReplyScores, which: Index, by: f32) {
    let (classes, harms, severities) = (7, Harm::ALL.len(), 3);
    match which.index(classes + harms + severities) {
        i if i < classes => raise(&mut scores.classes, ReplyClass::ALL[i], by),
        i if i < classes + harms => raise(&mut scores.harms, Harm::ALL[i - classes], by),
        i => {
            let severity = Severity::ALL[i - classes - harms + 1];
            raise(&mut scores.severity, severity, by);
        }
    }
}

proptest! {
    #[test]
    fn raising_a_probability_never_lowers_a_verdict_on_the_person(
        policy in any_policy(),
        history in any_history(),
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), 0.0_f32..1.0), 1..4),
    ) {
        let mut raised = history.clone();
        for (place, which, by) in changes {
            raise_turn(&mut raised[place.index(history.len())], which, by);
        }
        let judge = |history: &[UserScores]| {
            policy.judge_person(&Seen::new(&policy, history).evidence(&[])).action
        };
        prop_assert!(judge(&raised) >= judge(&history));
    }

    #[test]
    fn raising_a_probability_never_lowers_a_verdict_on_a_reply(
        history in any_history(),
        scores in any_reply(),
        (place, which_turn, which_reply) in (any::<Index>(), any::<Index>(), any::<Index>()),
        (by_turn, by_reply) in (0.0_f32..1.0, 0.0_f32..1.0),
    ) {
        let before = reply(&history, Some(&scores)).action;
        let mut raised_reply = scores.clone();
        raise_reply(&mut raised_reply, which_reply, by_reply);
        prop_assert!(reply(&history, Some(&raised_reply)).action >= before);
        let mut raised = history.clone();
        raise_turn(&mut raised[place.index(history.len())], which_turn, by_turn);
        prop_assert!(reply(&raised, Some(&scores)).action >= before);
    }

    #[test]
    fn a_confirmed_crisis_keeps_its_action_whatever_is_said_after(
        history in any_history(),
        label in any::<Index>(),
    ) {
        let label = CrisisLabel::ALL[label.index(CrisisLabel::ALL.len())];
        let first = person(&[with_crisis(label)]).action;
        let mut whole = vec![with_crisis(label)];
        whole.extend(history);
        prop_assert!(person(&whole).action >= first);
    }

    #[test]
    fn what_was_not_evaluated_never_lowers_a_verdict(history in any_history()) {
        let policy = Policy::default();
        let seen = Seen::new(&policy, &history);
        let unseen = [NotEvaluated { turn: None, reason: NotEvaluatedReason::ModelUnavailable }];
        let with = policy.judge_person(&seen.evidence(&unseen)).action;
        let without = policy.judge_person(&seen.evidence(&[])).action;
        prop_assert_eq!(with, without.max(UserAction::Support));
    }

    #[test]
    fn no_text_makes_the_policy_reader_panic(text in ".{0,200}", cut in any::<Index>()) {
        let _ = Policy::from_toml("policy.toml", &text);
        let boundary = DEFAULT_TOML.floor_char_boundary(cut.index(DEFAULT_TOML.len()));
        let mixed = format!("{}{text}{}", &DEFAULT_TOML[..boundary], &DEFAULT_TOML[boundary..]);
        let _ = Policy::from_toml("policy.toml", &mixed);
    }
}
