//! Tests of the packs: of the shipped data, of the merge against a naive reading, and
//! of the times of disclosure against a conversation that is lived through.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::provenance::Grade;

fn day(text: &str) -> Date {
    text.parse().expect("a day")
}

fn audience(minors: Minors) -> Audience {
    Audience { minors, service: Service::Other }
}

fn named(codes: &[&str]) -> Jurisdiction {
    let codes = codes.iter().map(|code| code.parse().expect("a place")).collect::<Vec<Place>>();
    let codes = Codes::try_from(codes).expect("shipped");
    Jurisdiction { codes, minors: Minors::Unknown, service: Service::Other }
}

#[test]
fn every_shipped_pack_is_consistent() {
    let mut ids = BTreeSet::new();
    for pack in shipped() {
        assert!(ids.insert(&pack.id), "{} comes twice", pack.id);
        assert!(!pack.sources.is_empty(), "{}", pack.id);
        assert!(pack.read_by <= day("2026-11-30"), "{}: nobody has read in the future", pack.id);
        if pack.status == Status::InForce {
            let read = pack.sources.iter().any(|source| source.grade != Grade::GeneralKnowledge);
            assert!(read, "{}: that a law is in force must have been read", pack.id);
        }
        let (all, minors) = (pack.every_hours, pack.every_hours_minors);
        assert!(all.is_none() || minors.is_none() || minors < all, "{}: minors are told more often", pack.id);
    }
}

#[test]
fn the_shipped_packs_ask_what_the_report_says() {
    let hours = |codes: &[&str], age: u8, today: &str| {
        let found = named(codes).obligations(Some(age), day(today));
        (found.disclose_at_start, found.disclose_every_hours.map(NonZeroU8::get))
    };
    assert_eq!(hours(&["US-CA"], 30, "2026-12-01"), (Duty::Required, None));
    assert_eq!(hours(&["US-CA"], 15, "2026-12-01"), (Duty::Required, Some(3)));
    assert_eq!(hours(&["US-NY"], 30, "2026-12-01"), (Duty::Required, Some(3)));
    assert_eq!(hours(&["US-WA"], 30, "2026-12-31"), (Duty::NotStated, None));
    assert_eq!(hours(&["US-WA"], 30, "2027-01-01"), (Duty::Required, Some(3)));
    assert_eq!(hours(&["US-WA", "US-CA"], 17, "2027-01-01"), (Duty::Required, Some(1)));
    assert_eq!(hours(&["US-UT"], 17, "2027-01-01"), (Duty::NotStated, None));
    assert_eq!(hours(&["EU"], 30, "2026-12-01"), (Duty::Required, None));
    assert_eq!(hours(&["CA-QC", "CA-ON"], 17, "2026-12-01"), (Duty::NotStated, None));
}

#[test]
fn a_bill_is_kept_and_never_applied() {
    let bill = shipped().iter().find(|pack| pack.id == "us-ca-ab-1988").expect("kept");
    assert_eq!((bill.status, bill.interrupt), (Status::Pending, Duty::Required));
    let found = named(&["US-CA"]).obligations(None, day("2099-01-01"));
    assert_eq!(found.packs, BTreeSet::from(["us-ca-sb-243".to_owned()]));
    assert_eq!(found.interrupt_in_crisis, Duty::NotStated);
}

#[test]
fn oregon_interrupts_and_counts_from_its_day_on() {
    let before = named(&["US-OR"]).obligations(None, day("2026-12-31"));
    assert_eq!(before, Obligations::default());
    let after = named(&["US-OR"]).obligations(None, day("2027-01-01"));
    assert_eq!(after.interrupt_in_crisis, Duty::Required);
    assert_eq!(after.reports, BTreeSet::from([ReportRule::ReferralIncidents]));
}

#[test]
fn illinois_disables_scoring_in_therapy_only() {
    let mut illinois = named(&["US-IL"]);
    assert_eq!(illinois.obligations(None, day("2026-12-01")).scoring, Scoring::Full);
    illinois.service = Service::Therapeutic;
    assert_eq!(illinois.obligations(None, day("2026-12-01")).scoring, Scoring::Disabled);
}

#[test]
fn whoever_may_be_a_minor_is_treated_as_one() {
    let california = named(&["US-CA"]);
    let today = day("2026-12-01");
    assert_eq!(california.obligations(None, today), california.obligations(Some(17), today));
    assert_ne!(california.obligations(None, today), california.obligations(Some(18), today));
    assert_eq!(california.obligations(None, today).break_reminder, Duty::Required);
}

fn any_duty() -> impl Strategy<Value = Duty> {
    select(vec![Duty::NotStated, Duty::Required])
}

fn any_hours() -> impl Strategy<Value = Option<NonZeroU8>> {
    proptest::option::of(1_u8..6).prop_map(|hours| hours.and_then(NonZeroU8::new))
}

/// Packs that need not make sense: the promise holds for all.
fn any_pack() -> impl Strategy<Value = Pack> {
    let status = select(vec![Status::InForce, Status::InForce, Status::Pending, Status::Unverified]);
    let from = select(vec![None, Some("2026-01-01"), Some("2027-01-01")]);
    let reports =
        select(vec![ReportRule::None, ReportRule::ReferralsPublished, ReportRule::ReferralIncidents]);
    let scoring = select(vec![ScoringRule::Full, ScoringRule::DisabledInTherapy]);
    let duties = (any_duty(), any_duty(), any_duty());
    (0..1000_u32, status, from, (any_hours(), any_hours()), duties, scoring, reports).prop_map(
        |(id, status, from, hours, duties, scoring, report)| Pack {
            id: format!("p{id}"),
            status,
            from: from.map(day),
            every_hours: hours.0,
            every_hours_minors: hours.1,
            at_start: duties.0,
            break_for_minors: duties.1,
            interrupt: duties.2,
            scoring,
            report,
            ..shipped()[0].clone()
        },
    )
}

proptest! {
    #[test]
    fn of_several_laws_the_strictest_counts_in_each_thing(
        packs in proptest::collection::vec(any_pack(), 0..6),
        minors in select(vec![Minors::Yes, Minors::No, Minors::Unknown]),
        service in select(vec![Service::Therapeutic, Service::Other]),
    ) {
        let today = day("2026-12-01");
        let found = Obligations::from_packs(&packs, Audience { minors, service }, today);
        // Read off the packs again, one question after the other.
        let holding: Vec<&Pack> = packs
            .iter()
            .filter(|pack| pack.status != Status::Pending && pack.from != Some(day("2027-01-01")))
            .collect();
        let young = minors != Minors::No;
        let required = |asks: &dyn Fn(&Pack) -> bool| {
            if holding.iter().any(|pack| asks(pack)) { Duty::Required } else { Duty::NotStated }
        };
        prop_assert_eq!(found.disclose_at_start, required(&|pack| pack.at_start == Duty::Required));
        prop_assert_eq!(found.interrupt_in_crisis, required(&|pack| pack.interrupt == Duty::Required));
        let breaks = required(&|pack| young && pack.break_for_minors == Duty::Required);
        prop_assert_eq!(found.break_reminder, breaks);
        let mut hours: Vec<NonZeroU8> = holding.iter().filter_map(|pack| pack.every_hours).collect();
        if young {
            hours.extend(holding.iter().filter_map(|pack| pack.every_hours_minors));
        }
        hours.sort();
        prop_assert_eq!(found.disclose_every_hours, hours.first().copied());
        let disabled = service == Service::Therapeutic
            && holding.iter().any(|pack| pack.scoring == ScoringRule::DisabledInTherapy);
        prop_assert_eq!(found.scoring == Scoring::Disabled, disabled);
        for report in [ReportRule::ReferralsPublished, ReportRule::ReferralIncidents] {
            let asked = holding.iter().any(|pack| pack.report == report);
            prop_assert_eq!(found.reports.contains(&report), asked);
        }
        let mut reversed = packs.clone();
        reversed.reverse();
        prop_assert_eq!(Obligations::from_packs(&reversed, Audience { minors, service }, today), found.clone());
        prop_assert_eq!(found.clone().and(found.clone()), found);
    }

    #[test]
    fn another_law_never_makes_obligations_laxer(a in any_pack(), b in any_pack()) {
        let today = day("2026-12-01");
        let one = Obligations::from_packs([&a], audience(Minors::Unknown), today);
        let both = Obligations::from_packs([&a, &b], audience(Minors::Unknown), today);
        prop_assert!(both.disclose_at_start >= one.disclose_at_start);
        prop_assert!(both.break_reminder >= one.break_reminder);
        prop_assert!(both.interrupt_in_crisis >= one.interrupt_in_crisis);
        prop_assert!(both.scoring >= one.scoring);
        prop_assert!(both.reports.is_superset(&one.reports));
        let hours = |found: &Obligations| found.disclose_every_hours.map_or(u8::MAX, NonZeroU8::get);
        prop_assert!(hours(&both) <= hours(&one));
    }

    #[test]
    fn nobody_writes_for_longer_than_the_law_allows_without_being_told(
        hours in any_hours(),
        at_start in any_duty(),
        earlier in proptest::option::of(0_u64..1_000),
        pauses in proptest::collection::vec(0_u64..20_000_000, 1..60),
    ) {
        let obligations = Obligations { disclose_every_hours: hours, disclose_at_start: at_start, ..Obligations::default() };
        let started = 1_000;
        let (mut now, mut last) = (started, earlier);
        let mut told: Vec<u64> = Vec::new();
        for pause in pauses {
            if let Some(due) = obligations.disclosure_due(started, last, now) {
                let expected = if told.is_empty() && at_start == Duty::Required {
                    DisclosureDue::AtStart
                } else {
                    DisclosureDue::Again
                };
                prop_assert_eq!(due, expected);
                told.push(now);
                last = Some(now);
            }
            // After every message the last telling is less than an interval ago.
            let since = now - told.last().copied().unwrap_or(started);
            prop_assert!(hours.is_none_or(|hours| since < u64::from(hours.get()) * 3_600_000));
            prop_assert!(at_start == Duty::NotStated || !told.is_empty());
            now += pause;
        }
        // Nor is anybody told more often than that.
        for pair in told.windows(2) {
            prop_assert!(hours.is_some_and(|hours| pair[1] - pair[0] >= u64::from(hours.get()) * 3_600_000));
        }
        prop_assert!(hours.is_some() || told.len() <= 1);
    }
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_due() {
    let three = Obligations { disclose_every_hours: NonZeroU8::new(3), ..Obligations::default() };
    assert_eq!(three.disclosure_due(10 * MS_PER_HOUR, None, 0), None);
    assert_eq!(three.disclosure_due(0, Some(10 * MS_PER_HOUR), MS_PER_HOUR), None);
    assert_eq!(three.disclosure_due(0, Some(u64::MAX), 0), None);
}
