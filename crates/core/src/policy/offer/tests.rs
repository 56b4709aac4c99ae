//! Tests of the selection, on registries and people drawn at random against a naive
//! reading of the rules, and on the shipped registry.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::helplines::{AtMost, Registry, Show, Standing};
use crate::policy::words::Occasion;

fn day(text: &str) -> Date {
    text.parse().expect("a day")
}

fn person(place: Option<&str>, language: Language) -> Person {
    let place = place.map(|code| code.parse().expect("a place"));
    Person { place, language, age: None, topics: BTreeSet::new() }
}

fn ids(offer: &Offer) -> Vec<String> {
    let id =
        |line: &OfferedHelpline| line.listed.as_ref().map_or("own".to_owned(), |listed| listed.id.clone());
    offer.helplines.iter().map(id).collect()
}

const TODAY: &str = "2026-12-01";

fn offered_to(person: &Person) -> Vec<String> {
    ids(&Policy::default().offer(person, day(TODAY)))
}

#[test]
fn the_shipped_registry_offers_what_its_sources_bear() {
    assert_eq!(offered_to(&person(Some("CA"), Language::Fr)), ["ca-988", "ca-kids-help-phone"]);
    assert_eq!(offered_to(&person(Some("CA-QC"), Language::Mix)), ["ca-988", "ca-kids-help-phone"]);
    assert_eq!(offered_to(&person(Some("US"), Language::En)), ["us-988"]);
    let mut french = person(Some("FR"), Language::Fr);
    assert_eq!(offered_to(&french), ["fr-3114", "fr-fil-sante-jeunes", "fr-samu"]);
    french.age = Some(40);
    assert_eq!(offered_to(&french), ["fr-3114", "fr-samu"]);
    french.age = Some(15);
    assert_eq!(offered_to(&french), ["fr-fil-sante-jeunes", "fr-3114", "fr-samu"]);
    french.topics.insert(CrisisType::ChildAbuse);
    assert_eq!(offered_to(&french), ["fr-119", "fr-fil-sante-jeunes", "fr-samu"]);
}

#[test]
fn an_unknown_country_and_one_without_entries_get_general_words_only() {
    for at in [None, Some("GB"), Some("BR")] {
        let offer = Policy::default().offer(&person(at, Language::En), day(TODAY));
        assert_eq!((offer.words.len(), offer.helplines.len()), (1, 0), "{at:?}");
    }
}

#[test]
fn a_line_in_another_language_is_better_than_none() {
    assert_eq!(offered_to(&person(Some("FR"), Language::En)), ["fr-3114", "fr-fil-sante-jeunes", "fr-samu"]);
}

fn with_own(lines: &str) -> Policy {
    let text = format!("{}\n{lines}", crate::policy::DEFAULT_TOML);
    Policy::from_toml("policy.toml", &text).expect("a policy")
}

const OWN: &str = "[[resources.helplines]]\nlanguage = \"fr\"\nname = \"n\"\ncontact = \"c\"\n\
                   region = \"r\"\nverified_at = \"2026-01-31\"\n";

#[test]
fn the_operator_s_own_services_come_first_and_need_no_country() {
    let policy = with_own(OWN);
    let offer = |at, language| ids(&policy.offer(&person(at, language), day(TODAY)));
    for language in Language::ALL {
        assert_eq!(offer(None, language), ["own"]);
    }
    assert_eq!(offer(Some("CA"), Language::Fr), ["own", "ca-988", "ca-kids-help-phone"]);
    assert_eq!(offer(Some("CA"), Language::En), ["ca-988", "ca-kids-help-phone"]);
}

#[test]
fn an_own_service_with_a_place_or_an_end_keeps_to_them() {
    let policy = with_own(&format!("{OWN}place = \"CA-QC\"\nexpires_at = \"2026-12-01\"\n"));
    let offer = |at, today: &str| ids(&policy.offer(&person(at, Language::Fr), day(today)));
    assert_eq!(offer(Some("CA-QC"), TODAY)[0], "own");
    assert_eq!(offer(Some("CA-QC"), "2026-12-02")[0], "ca-988");
    for elsewhere in [None, Some("FR"), Some("CA"), Some("CA-ON")] {
        assert_ne!(offer(elsewhere, TODAY).first().map(String::as_str), Some("own"), "{elsewhere:?}");
    }
}

#[test]
fn what_a_person_reads_holds_words_and_short_lines() {
    let policy = Policy::default();
    let offer = policy.offer(&person(Some("FR"), Language::Fr), day(TODAY));
    let read = policy.words.render(Occasion::Escalate, Language::Fr, Some(&offer));
    insta::assert_snapshot!(read, @r"
    Merci d'avoir écrit ça. Ça a l'air très lourd à porter, et tu n'as pas à le porter sans aide. Je suis une IA, et ce que tu vis mérite aussi une vraie personne à tes côtés. Tu peux continuer à m'écrire ici.

    Tu mérites d'en parler à quelqu'un maintenant. Si tu es en danger, appelle le numéro d'urgence de ta région. Une ligne d'écoute près de chez toi, ou un adulte de confiance, peut t'écouter aujourd'hui.

    - Ligne d'écoute 3114: appelle le 3114 (24/7)
    - Fil Santé Jeunes: appelle le 0 800 235 236 (12–25 ans)
    - SAMU: appelle le 15
    ");
    let both = policy.offer(&person(Some("CA"), Language::Mix), day(TODAY));
    insta::assert_snapshot!(policy.words.render(Occasion::ReplacedReply, Language::Mix, Some(&both)), @r"
    I do not have a good enough answer to that right now, and I do not want to answer carelessly. What you wrote matters. You can tell me more, or say it in another way.

    You deserve to talk with someone about this now. If you are in danger, call your local emergency number. A crisis line near you, or an adult you trust, can listen today.

    Je n'ai pas de réponse assez bonne en ce moment, et je ne veux pas te répondre n'importe comment. Ce que tu as écrit compte. Tu peux m'en dire plus, ou le dire autrement.

    Tu mérites d'en parler à quelqu'un maintenant. Si tu es en danger, appelle le numéro d'urgence de ta région. Une ligne d'écoute près de chez toi, ou un adulte de confiance, peut t'écouter aujourd'hui.

    - 9-8-8 helpline / Ligne d'écoute 9-8-8: call 9-8-8 or text 9-8-8 / appelle le 9-8-8 ou texte le 9-8-8 (24/7)
    - Kids Help Phone / Jeunesse, J'écoute: call 1-800-668-6868 / appelle le 1-800-668-6868
    ");
}

#[test]
fn the_shape_on_the_wire_tells_what_was_verified_from_what_was_read_of() {
    let offer = with_own(OWN).offer(&person(Some("CA"), Language::Fr), day(TODAY));
    let json = serde_json::to_string_pretty(&offer.helplines[..2]).expect("serialises");
    insta::assert_snapshot!(json, @r#"
    [
      {
        "language": "fr",
        "name": "n",
        "contact": "c",
        "region": "r",
        "verified_at": "2026-01-31"
      },
      {
        "language": "mix",
        "name": "Ligne d'écoute 9-8-8",
        "contact": "appelle le 9-8-8 ou texte le 9-8-8",
        "region": "CA",
        "documented_at": "2026-11-30",
        "id": "ca-988",
        "kind": "helpline",
        "channels": [
          {
            "kind": "call",
            "number": "9-8-8"
          },
          {
            "kind": "text",
            "number": "9-8-8"
          }
        ],
        "hours": "24/7"
      }
    ]
    "#);
}

/// An entry of a registry drawn at random.
#[derive(Debug, Clone)]
struct Drawn {
    place: &'static str,
    languages: &'static str,
    ages: (Option<u8>, Option<u8>),
    topics: &'static str,
    kind: &'static str,
    standing: &'static str,
}

const STANDINGS: [&str; 5] = [
    "status = \"verified\", verified_at = \"2026-06-01\", expires_at = \"2027-06-01\"",
    "status = \"verified\", verified_at = \"2025-06-01\", expires_at = \"2026-11-30\"",
    "status = \"documented\", documented_at = \"2026-06-01\", expires_at = \"2026-12-01\"",
    "status = \"unverified\", reason = \"r\"",
    "status = \"contradicted\", reason = \"r\"",
];

fn any_drawn() -> impl Strategy<Value = Drawn> {
    let ages = select(vec![(None, None), (Some(12), Some(25)), (None, Some(17)), (Some(18), None)]);
    let parts = (
        select(vec!["CA", "CA-QC", "FR"]),
        select(vec!["[\"en\"]", "[\"fr\"]", "[\"en\", \"fr\"]"]),
        ages,
        select(vec!["[\"any\"]", "[\"any\"]", "[\"SH\"]", "[\"DV\", \"RA\"]"]),
        select(vec!["helpline", "helpline", "helpline", "emergency"]),
        select(STANDINGS.to_vec()),
    );
    parts.prop_map(|(place, languages, ages, topics, kind, standing)| Drawn {
        place,
        languages,
        ages,
        topics,
        kind,
        standing,
    })
}

fn any_registry() -> impl Strategy<Value = Vec<Drawn>> {
    proptest::collection::vec(any_drawn(), 0..10)
}

fn any_person() -> impl Strategy<Value = Person> {
    let topics = proptest::collection::btree_set(select(CrisisType::ALL.to_vec()), 0..3);
    let place = select(vec![None, Some("CA"), Some("CA-QC"), Some("CA-ON"), Some("FR"), Some("US")]);
    (place, select(Language::ALL.to_vec()), proptest::option::of(5_u8..60), topics).prop_map(
        |(place, language, age, topics)| Person {
            place: place.map(|code| code.parse().expect("a place")),
            language,
            age,
            topics,
        },
    )
}

/// The registry file of some entries, in the order of `places`.
fn file(drawn: &[Drawn], places: impl Iterator<Item = usize>) -> String {
    let mut text = String::new();
    for i in places {
        let Drawn { place, languages, ages, topics, kind, standing } = &drawn[i];
        let age = |name: &str, value: Option<u8>| value.map(|value| format!("{name} = {value}"));
        let ages: Vec<String> = [age("min", ages.0), age("max", ages.1)].into_iter().flatten().collect();
        let _ = write!(
            text,
            "[[helpline]]\nid = \"e{i}\"\nname = \"n\"\nplace = \"{place}\"\nlanguages = {languages}\n\
             ages = {{ {} }}\ntopics = {topics}\nkind = \"{kind}\"\n\
             channels = [{{ kind = \"call\", number = \"1\" }}]\nstanding = {{ {standing} }}\n\
             sources = [{{ name = \"s\", grade = \"operator\" }}]\n",
            ages.join(", ")
        );
    }
    text
}

fn policy_of(file: &str, at_most: u8) -> Policy {
    let registry = Registry::from_toml("drawn.toml", file).expect("a registry");
    let mut policy = Policy { registry, ..Policy::default() };
    policy.helplines.at_most = AtMost::try_from(at_most).expect("a number");
    policy
}

/// Whether a person may be offered an entry at all, read off the rules in their order.
fn may_be_offered(line: &Helpline, person: &Person) -> bool {
    let today = day(TODAY);
    let stands = match &line.standing {
        Standing::Verified { expires_at, .. } | Standing::Documented { expires_at, .. } => {
            *expires_at >= today
        }
        Standing::Unverified { .. } | Standing::Contradicted { .. } => false,
    };
    let here = person.place.as_ref().is_some_and(|at| {
        line.place.country() == at.country()
            && (line.place.region().is_none() || line.place.region() == at.region())
    });
    let age = person
        .age
        .is_none_or(|age| age >= line.ages.min.unwrap_or(0) && age <= line.ages.max.unwrap_or(u8::MAX));
    let topic = match &line.topics {
        Topics::Any => true,
        Topics::Of(topics) => person.topics.iter().any(|topic| topics.contains(topic)),
    };
    stands && here && age && topic
}

/// What makes an entry more specific to a person, each on its own.
fn specific(line: &Helpline, person: &Person) -> [bool; 4] {
    [
        matches!(line.topics, Topics::Of(_)),
        line.place.region().is_some(),
        !line.ages.are_limited() || person.age.is_some(),
        matches!(line.standing, Standing::Verified { .. }),
    ]
}

/// Whether `a` is more specific than `b` in something, and in nothing less.
fn beats(a: [bool; 4], b: [bool; 4]) -> bool {
    a != b && a.iter().zip(b).all(|(a, b)| *a >= b)
}

fn speaks(line: &Helpline, person: &Person) -> bool {
    let answers = line.languages.language();
    person.language == Language::Mix || answers == Language::Mix || answers == person.language
}

proptest! {
    #[test]
    fn only_what_stands_and_fits_is_offered_and_no_more_than_the_policy_says(
        drawn in any_registry(),
        person in any_person(),
        at_most in 1_u8..=5,
    ) {
        let policy = policy_of(&file(&drawn, 0..drawn.len()), at_most);
        let offered = ids(&policy.offer(&person, day(TODAY)));
        prop_assert!(offered.len() <= usize::from(at_most));
        let fitting: Vec<&Helpline> =
            policy.registry.entries().filter(|line| may_be_offered(line, &person)).collect();
        for id in &offered {
            prop_assert!(fitting.iter().any(|line| line.id == *id), "{} does not fit", id);
        }
        // Nothing that fits is forgotten while there is room, but for lines in another
        // language.
        let (listening, emergency): (Vec<&Helpline>, Vec<&Helpline>) =
            fitting.into_iter().partition(|line| line.kind == HelplineKind::Helpline);
        let spoken = listening.iter().filter(|line| speaks(line, &person)).count();
        let wanted = if spoken == 0 { listening.len() } else { spoken };
        prop_assert_eq!(offered.len(), (wanted + emergency.len()).min(usize::from(at_most)));
    }

    #[test]
    fn a_more_specific_line_comes_before_a_less_specific_one(
        drawn in any_registry(),
        person in any_person(),
        at_most in 1_u8..=5,
    ) {
        let policy = policy_of(&file(&drawn, 0..drawn.len()), at_most);
        let offer = policy.offer(&person, day(TODAY));
        let entry = |id: &String| policy.registry.entries().find(|line| line.id == *id).expect("listed");
        let offered = ids(&offer);
        let lines: Vec<&Helpline> = offered.iter().map(entry).collect();
        let left_out = policy.registry.entries().filter(|line| {
            may_be_offered(line, &person) && speaks(line, &person) && !offered.contains(&line.id)
        });
        let behind: Vec<&Helpline> = lines.iter().copied().chain(left_out).collect();
        for (rank, line) in lines.iter().enumerate() {
            for other in behind.iter().skip(rank + 1).filter(|other| other.kind == line.kind) {
                let (before, after) = (specific(line, &person), specific(other, &person));
                prop_assert!(!beats(after, before), "{} before {}", line.id, other.id);
            }
        }
        let first_emergency = lines.iter().position(|line| line.kind == HelplineKind::Emergency);
        let listens_after = lines.iter().rposition(|line| line.kind == HelplineKind::Helpline);
        prop_assert!(first_emergency.is_none() || listens_after < first_emergency);
    }

    #[test]
    fn the_order_of_the_file_does_not_matter(
        drawn in any_registry(),
        person in any_person(),
        turned in 0_usize..10,
    ) {
        let n = drawn.len();
        let one = policy_of(&file(&drawn, 0..n), 5);
        let other = policy_of(&file(&drawn, (0..n).rev().map(|i| (i + turned) % n)), 5);
        prop_assert_eq!(one.offer(&person, day(TODAY)), other.offer(&person, day(TODAY)));
        prop_assert_eq!(one.sha256(), other.sha256());
    }

    #[test]
    fn verified_only_means_verified_only(drawn in any_registry(), person in any_person()) {
        let mut policy = policy_of(&file(&drawn, 0..drawn.len()), 5);
        policy.helplines.show = Show::Verified;
        for line in policy.offer(&person, day(TODAY)).helplines {
            prop_assert!(matches!(line.checked, Checked::VerifiedAt(_)));
        }
        policy.helplines.show = Show::Off;
        prop_assert!(policy.offer(&person, day(TODAY)).helplines.is_empty());
    }
}

#[test]
fn only_explicit_crises_are_topics() {
    let calibration = crate::policy::tests::calibration();
    let mut tracker = Policy::default().new_tracker();
    assert!(confirmed(&tracker).is_empty());
    tracker.observe(0, &crate::policy::tests::with_crisis(CrisisLabel::AlertOngoing), &calibration);
    assert!(confirmed(&tracker).is_empty());
    tracker.observe(2, &crate::policy::tests::with_crisis(CrisisLabel::ConfirmShPast), &calibration);
    assert_eq!(confirmed(&tracker), BTreeSet::from([CrisisType::SelfHarm]));
}
