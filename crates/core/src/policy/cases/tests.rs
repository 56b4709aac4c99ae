use proptest::prelude::*;

use super::*;
use crate::assessment::{
    ConversationScores, NotEvaluated, NotEvaluatedReason, ReplyScores, TurnAssessment, TurnScores, UserScores,
};
use crate::assessor::{Assessor, ModelIdentity, StateError};
use crate::calibration::Calibration;
use crate::conversation::{Role, Turn};
use crate::guard::Guard;
use crate::policy::Policy;
use crate::policy::tests::calibration;
use crate::probability::Probability;
use crate::taxonomy::{ReplyClass, Scores, Severity};

/// Gives each label that a turn's text names 0.8, and the risk that it writes as a
/// number.
struct Literal {
    calibration: Calibration,
    model: ModelIdentity,
}

impl Literal {
    fn new() -> Self {
        let model = ModelIdentity { name: "literal".into(), version: "1".into(), sha256: String::new() };
        Self { calibration: calibration(), model }
    }
}

fn p(value: f32) -> Probability {
    Probability::new(value).expect("a probability")
}

fn when(holds: bool) -> Probability {
    if holds { p(0.8) } else { Probability::ZERO }
}

impl Assessor for Literal {
    type State = (usize, f32);

    fn start(&self) -> Self::State {
        (0, 0.0)
    }

    fn push(&self, (turns, highest): &mut Self::State, turn: &Turn) -> Result<TurnAssessment, StateError> {
        let index = *turns;
        *turns += 1;
        let names = |name: &str| turn.text.split_whitespace().any(|word| word == name);
        let risk = turn.text.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(0.0);
        let signals = Scores::uniform(Probability::ZERO);
        let scores = match turn.role {
            _ if turn.text == "..." => TurnScores::None,
            Role::User => {
                *highest = highest.max(risk);
                let crisis = Scores::from_fn(|label: CrisisLabel| when(names(label.wire())));
                TurnScores::User(UserScores { risk: p(risk), signals: signals.clone(), crisis })
            }
            Role::Assistant => TurnScores::Assistant(ReplyScores {
                classes: Scores::from_fn(|class: ReplyClass| match class {
                    ReplyClass::SafeResponse => when(!names("neglect")),
                    ReplyClass::LinguisticNeglect => when(names("neglect")),
                    _ => Probability::ZERO,
                }),
                harms: Scores::uniform(Probability::ZERO),
                severity: Scores::from_fn(|severity| when(severity == Severity::None)),
            }),
            Role::System => TurnScores::None,
        };
        let conversation = ConversationScores { risk: p(*highest), signals, language: Language::En };
        let reason = NotEvaluatedReason::EmptyTurn;
        let unread = (turn.text == "...").then_some(NotEvaluated { turn: Some(index), reason });
        Ok(TurnAssessment {
            index,
            role: turn.role,
            scores,
            conversation: Some(conversation),
            not_evaluated: unread.into_iter().collect(),
            values: std::collections::BTreeMap::new(),
        })
    }

    fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    fn model(&self) -> &ModelIdentity {
        &self.model
    }
}

/// Escalates at turn 2 and has a reply of neglect at turn 3.
const CONVERSATION: &str = "**Person:** 0.1\n\n**Assistant:** ok\n\n\
    **Person:** confirm_SH_ongoing\nand more\n\n**Assistant:** neglect\n\n**Person:** 0.2";

fn text(conversation: &str, expectations: &str) -> String {
    format!("# A case\n\nWhy.\n\n## Conversation\n\n{conversation}\n\n## Expectations\n\n{expectations}\n")
}

fn one(expectations: &str) -> Case {
    let mut cases = read("a.md", &text(CONVERSATION, expectations));
    assert_eq!(cases.len(), 1);
    cases.remove(0).expect("a case")
}

fn error(text: &str) -> String {
    let errors: Vec<_> = read("a.md", text).into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

/// How the expectations of a case stand, in order, with what was found.
fn stand(expectations: &str) -> Vec<(Standing, String)> {
    let (assessor, policy, case) = (Literal::new(), Policy::default().into(), one(expectations));
    let course = case.run(&Guard { assessor: &assessor, policy: &policy }).expect("a fresh state");
    case.judge(&course).into_iter().map(|judged| (judged.standing, judged.found)).collect()
}

#[test]
fn a_case_is_read_with_its_lines() {
    let case = one("- action: escalate\n- onset: SH at turn 2\n  - known to fail: it does not\n");
    assert_eq!((case.heading.as_str(), case.line), ("A case", 1));
    let turns: Vec<&str> = case.conversation.turns.iter().map(|turn| turn.text.as_str()).collect();
    assert_eq!(turns, ["0.1", "ok", "confirm_SH_ongoing\nand more", "neglect", "0.2"]);
    let label = CrisisLabel::ConfirmShOngoing;
    assert_eq!(
        case.expectations,
        [
            Expectation {
                line: 20,
                claim: Claim::Person(Moment::End, Wanted::Exactly(UserAction::Escalate)),
                known_to_fail: None
            },
            Expectation {
                line: 21,
                claim: Claim::Onset(label, Place::At(2)),
                known_to_fail: Some("it does not".to_owned())
            }
        ]
    );
}

#[test]
fn every_expectation_is_held_against_what_the_guard_says() {
    let holds = "- action: escalate\n- action: at least support\n- after turn 0: allow\n\
        - after turn 2: at most escalate\n- rule: confirmed_crisis\n- no rule: risk\n\
        - after turn 0 no rule: confirmed_crisis\n- after turn 2 rule: confirmed_crisis\n\
        - onset: SH\n- onset: SH at turn 2\n- onset: SH by turn 4\n- no onset: SI_active\n\
        - no onset: past SH\n- reply 1: allow\n- reply 3: revise\n- reply 3: at least revise\n\
        - reply 3 rule: unsafe_reply\n- reply 1 no rule: unsafe_reply\n- not evaluated: nothing\n\
        - language: en\n- resources: offered";
    for ((standing, found), line) in stand(holds).into_iter().zip(holds.lines()) {
        assert_eq!(standing, Standing::Ok, "{line}: {found}");
    }
    let fails = "- action: allow\n- action: at most support\n- after turn 0: at least support\n\
        - after turn 2: support\n- no rule: confirmed_crisis\n- rule: risk\n\
        - after turn 0 rule: confirmed_crisis\n- after turn 2 no rule: confirmed_crisis\n\
        - onset: SI_passive\n- onset: SH at turn 4\n- onset: SH by turn 0\n- no onset: SH\n\
        - no onset: any\n- reply 3: allow\n- reply 1: block\n- reply 3: at most allow\n\
        - reply 1 rule: unsafe_reply\n- reply 3 no rule: unsafe_reply\n- not evaluated: truncated\n\
        - language: fr\n- resources: none";
    for ((standing, found), line) in stand(fails).into_iter().zip(fails.lines()) {
        assert_eq!(standing, Standing::Failed, "{line}: {found}");
    }
}

#[test]
fn a_mark_excuses_a_failure_and_must_go_once_the_expectation_holds() {
    let stand =
        |expectations| stand(expectations).into_iter().map(|(standing, _)| standing).collect::<Vec<_>>();
    assert_eq!(stand("- action: allow\n  - known to fail: yes"), [Standing::KnownToFail]);
    assert_eq!(stand("- action: escalate\n  - known to fail: no"), [Standing::HoldsDespiteMark]);
    assert_eq!(
        stand("- action: allow\n  - known to fail: yes\n- language: fr"),
        [Standing::KnownToFail, Standing::Failed]
    );
    assert!(Standing::KnownToFail.is_settled() && !Standing::HoldsDespiteMark.is_settled());
}

#[test]
fn what_was_found_is_told_in_numbers_and_names() {
    let found: Vec<String> = stand(
        "- action: allow\n- after turn 0: support\n- no onset: any\n- reply 3: allow\n- not evaluated: truncated\n",
    )
    .into_iter()
    .map(|(_, found)| found)
    .collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    escalate (confirmed_crisis confirm_SH_ongoing 0.80 reaches 0.70 at turn 2); risk 0.20
    allow (no reason); risk 0.10
    confirm_SH_ongoing at turn 2 (0.80)
    revise (unsafe_reply 0.80 reaches 0.25 at turn 3)
    nothing
    "#);
}

#[test]
fn a_reply_that_was_not_read_has_a_verdict() {
    let (assessor, policy) = (Literal::new(), Policy::default().into());
    let expectations = "- reply 1: revise\n- reply 1 rule: not_evaluated\n- not evaluated: empty_turn";
    let case =
        read("a.md", &text("**Person:** 0.1\n\n**Assistant:** ...", expectations)).remove(0).expect("a case");
    let course = case.run(&Guard { assessor: &assessor, policy: &policy }).expect("a fresh state");
    assert_eq!(standing(&case.judge(&course)), Standing::Ok, "{:?}", case.judge(&course));
}

#[test]
fn each_heading_begins_a_case_and_fences_in_prose_hide_headings() {
    let fenced = text(CONVERSATION, "- action: allow").replace("Why.", "```\n# No\n## No\n```");
    let open = text("**Person:** ```\n\n**Person:** b", "- action: allow");
    let cases = read("a.md", &format!("{fenced}\n{open}\n{}", text("**Person:** c", "- action: allow")));
    let lines: Vec<usize> = cases.iter().map(|case| case.as_ref().expect("a case").line).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn a_case_that_cannot_be_read_does_not_end_the_others() {
    let broken = text(CONVERSATION, "- action: shout");
    let cases = read("a.md", &format!("{broken}\n{}", text(CONVERSATION, "- action: allow")));
    assert!(cases[0].is_err() && cases[1].is_ok());
}

#[test]
fn errors_say_where_what_and_what_instead_and_repeat_nothing() {
    let of = |expectation: &str| error(&text(CONVERSATION, expectation));
    let errors = [
        of("- action: shout"),
        of("- reply 3: escalate"),
        of("- reply 2: block"),
        of("- after turn 9: allow"),
        of("- after turn x: allow"),
        of("- rule: unsafe_reply"),
        of("- reply 3 rule: risk"),
        of("- onset: SI_active at turn 1"),
        of("- onset: sadness"),
        of("- not evaluated: secret"),
        of("- language: de"),
        of("- resources: some"),
        of("- mood: low"),
        of("- : low"),
        of("she cannot go on"),
        of(""),
        of("- known to fail: no expectation above"),
        of("- action: allow\n- known to fail: not indented"),
        of("- action: allow\n  - known to fail:"),
        of("- action: allow\n  - known to fail: a\n  - known to fail: b"),
        error(""),
        error("she cannot go on"),
        error("# A case\n\nWhy."),
        error("# \n"),
        error("# A case\n## Expectations\n- action: allow"),
        error("# A case\n## Conversation\n## Expectations\n- action: allow"),
        error(&text("secret words", "- action: allow")),
        error(&text("**Persn:** secret", "- action: allow")),
        error(&text("**Person:** a\n\n**Asistant:** secret", "- action: allow")),
        error(&format!("{}## Notes\n", text(CONVERSATION, "- action: allow"))),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    a.md:20: expectation: found a text of 5 characters, expected allow, support, escalate, with `at least` or `at most` before it where wanted
    a.md:20: expectation: found a text of 8 characters, expected allow, revise, block, with `at least` or `at most` before it where wanted
    a.md:20: turn: found turn 2, which is of the user, expected a turn of the assistant; they are counted from 0
    a.md:20: turn: found turn 9, expected one below 5; they are counted from 0
    a.md:20: turn: found a text of 1 characters, expected the number of a turn, from 0
    a.md:20: expectation: found a text of 12 characters, expected risk, grave_signal, confirmed_crisis, alert, past_event, third_party, not_evaluated
    a.md:20: expectation: found a text of 4 characters, expected unsafe_reply, harmful_reply, not_evaluated
    a.md:20: expectation: found a text of 19 characters, expected a label, `at turn N` or `by turn N` where wanted, N a turn of the person, from 0: `SI_active at turn 4`, `past CA`, `alert`
    a.md:20: expectation: found a text of 7 characters, expected a label, `at turn N` or `by turn N` where wanted, N a turn of the person, from 0: `SI_active at turn 4`, `past CA`, `alert`
    a.md:20: expectation: found a text of 6 characters, expected system_turn, empty_turn, truncated, unsupported_language, no_user_turn, non_text_part, unknown_speaker, model_unavailable, scoring_disabled, or nothing
    a.md:20: expectation: found a text of 2 characters, expected en, fr or mix
    a.md:20: expectation: found a text of 4 characters, expected offered or none
    a.md:20: expectation: found a key of 4 characters, expected action, after turn N, reply N, rule, no rule, onset, no onset, not evaluated, language, resources, or known to fail indented below one of them
    a.md:20: expectation: found a key of 0 characters, expected action, after turn N, reply N, rule, no rule, onset, no onset, not evaluated, language, resources, or known to fail indented below one of them
    a.md:20: expectation: found a text of 16 characters, expected `- key: value`
    a.md:18: expectations: found none, expected at least one, such as `- action: allow`
    a.md:20: known to fail: found no expectation that it belongs to, expected it indented below one
    a.md:21: known to fail: found no expectation that it belongs to, expected it indented below one
    a.md:21: known to fail: found no reason, expected why it is known to fail
    a.md:22: known to fail: found a second mark, expected one mark for each expectation
    a.md:1: the file: found no case, expected a heading that begins with `# `
    a.md:1: the file: found a text of 16 characters, expected a heading that begins with `# `
    a.md:1: case: found a section missing, expected `## Conversation`
    a.md:1: heading: found no words, expected what the case is about
    a.md:2: section: found a text of 15 characters, expected `## Conversation`
    a.md:2: conversation: found no turn, expected a line that begins with `**Person:**` or `**Assistant:**`
    a.md:7: conversation: found a text of 12 characters, expected a line that begins with `**Person:**` or `**Assistant:**`
    a.md:7: conversation: found a speaker with an unknown name, expected `**Person:**`, `**Assistant:**`, or the expectation `not evaluated: unknown_speaker`
    a.md:9: conversation: found a speaker with an unknown name, expected `**Person:**`, `**Assistant:**`, or the expectation `not evaluated: unknown_speaker`
    a.md:21: section: found a text of 8 characters, expected no further section
    "#);
}

#[test]
fn a_case_about_unknown_speakers_may_have_them() {
    let expectations = "- not evaluated: unknown_speaker";
    let case = read("a.md", &text("**Sam:** a\n\n**Alex:** b\n\n**Sam:** c", expectations)).remove(0);
    assert_eq!(case.expect("a case").unread.len(), 3);
}

fn claims() -> impl Strategy<Value = Claim> {
    let actions = [UserAction::Allow, UserAction::Support, UserAction::Escalate];
    let replies = [ReplyAction::Allow, ReplyAction::Revise, ReplyAction::Block];
    let moment = prop_oneof![Just(Moment::End), (0..5_usize).prop_map(Moment::After)];
    let presence = || prop_oneof![Just(Presence::Present), Just(Presence::Absent)];
    let place = prop_oneof![
        Just(Place::Anywhere),
        (0..3_usize).prop_map(|turn| Place::At(2 * turn)),
        (0..3_usize).prop_map(|turn| Place::By(2 * turn))
    ];
    let label = || proptest::sample::select(CrisisLabel::ALL);
    let person_rule =
        proptest::sample::select(vec![RuleName::Risk, RuleName::ThirdParty, RuleName::NotEvaluated]);
    let reply_rule = proptest::sample::select(vec![RuleName::UnsafeReply, RuleName::NotEvaluated]);
    let reply = || (0..2_usize).prop_map(|turn| 2 * turn + 1);
    let reasons = proptest::sample::select(NotEvaluatedReason::ALL.to_vec());
    let languages = proptest::sample::select(Language::ALL.to_vec());
    prop_oneof![
        (moment.clone(), wanted(actions.to_vec())).prop_map(|(m, w)| Claim::Person(m, w)),
        (moment, presence(), person_rule).prop_map(|(m, p, r)| Claim::PersonRule(m, p, r)),
        (reply(), wanted(replies.to_vec())).prop_map(|(t, w)| Claim::Reply(t, w)),
        (reply(), presence(), reply_rule).prop_map(|(t, p, r)| Claim::ReplyRule(t, p, r)),
        (label(), place).prop_map(|(l, p)| Claim::Onset(l, p)),
        proptest::option::of(label()).prop_map(Claim::NoOnset),
        proptest::option::of(reasons).prop_map(Claim::NotEvaluated),
        languages.prop_map(Claim::Language),
        presence().prop_map(Claim::Resources),
    ]
}

fn wanted<A: Copy + fmt::Debug + 'static>(actions: Vec<A>) -> impl Strategy<Value = Wanted<A>> {
    (proptest::sample::select(actions), 0..3_u8).prop_map(|(action, kind)| match kind {
        0 => Wanted::Exactly(action),
        1 => Wanted::AtLeast(action),
        _ => Wanted::AtMost(action),
    })
}

proptest! {
    #[test]
    fn an_expectation_reads_back_as_it_is_displayed(claim in claims()) {
        prop_assert_eq!(one(&format!("- {claim}")).expectations[0].claim, claim);
    }

    #[test]
    fn no_text_makes_it_panic_or_is_repeated(lines in proptest::collection::vec(
        "(# |## |- |  - |\\*\\*)?(Conversation|Expectations|Person:\\*\\*|action|after turn|reply|onset|:|```|known to fail| |[0-9]|zzqx){0,6}",
        0..12,
    )) {
        for case in read("a.md", &lines.join("\n")) {
            if let Err(error) = case {
                prop_assert!(!error.to_string().contains("zzqx"));
            }
        }
    }
}
