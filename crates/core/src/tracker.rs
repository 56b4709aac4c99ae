//! When a crisis began. The tracker is a pure state machine over the crisis
//! probabilities of user turns: it turns them into *onsets* (Alert, then
//! Confirm), and keeps what a later verdict must be able to point at. It sees
//! each user turn once, in order, and its state is bounded whatever the length
//! of the conversation.
//!
//! The rules:
//!
//! - A Confirm begins at the first user turn where its probability reaches its
//!   threshold, and never again. Nothing clears it: people deny, minimise and
//!   change the subject, and none of this makes them safe.
//! - One turn mostly makes one event explicit, told by several related labels.
//!   Of the Confirms that first reach their thresholds on one turn, the most
//!   probable begins; another begins beside it only if it is itself
//!   [sure](TrackerConfig::sure) and not the other tense of a more probable one.
//!   The others are read as the same event and are used up. On different turns,
//!   types and tenses are events of their own.
//! - An Alert begins at the first turn where it reaches its threshold, unless a
//!   Confirm of the same tense first reaches its own on that turn. After that it
//!   waits: for a Confirm of the same tense, which resolves it, and then for its
//!   own probability to fall below `threshold * release` on a later turn. Only
//!   then may a second Alert begin. A Confirm without an Alert before it makes
//!   the Alert wait in the same way.
//!
//! A verdict does not rest on onsets but on *crossings* ([`Tracker::crossing`]), the
//! first turn on which a label reached its threshold, whether or not an onset was
//! made of it, and on *peaks* ([`EvidenceLedger`]), its highest probability so far.
//! Both are each label's own, so a raised probability can never take one away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assessment::UserScores;
use crate::calibration::Calibration;
use crate::probability::Probability;
use crate::taxonomy::{CrisisLabel, Signal, Stage, Taxonomy, Tense};

/// The tracker's settings, from the policy file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackerConfig {
    /// The hysteresis of Alerts, a fraction from 0 to 1: after a Confirm, a new
    /// Alert is possible only once the Alert's probability has fallen below
    /// this fraction of its threshold. Lower means fewer repeated Alerts.
    pub release: Probability,
    /// From this probability on, a Confirm begins beside a more probable one of
    /// the same turn.
    pub sure: Probability,
}

/// Whom an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The person who writes: one of the signals about oneself is active on the
    /// turn, whatever else is.
    Person,
    /// Somebody else: `third_party_concern` is active on the turn and no signal
    /// about oneself is.
    ThirdParty,
    /// Neither is active, so the signals do not say.
    Unknown,
}

impl Subject {
    /// Whom a turn with these scores is about. Information for the reader: no
    /// verdict is milder for it, since a friend's story is often one's own.
    pub fn of(scores: &UserScores, calibration: &Calibration) -> Self {
        let active = |signal: Signal| scores.signals[signal] >= calibration.signals[signal];
        if Signal::ALL.iter().any(|&s| is_about_self(s) && active(s)) {
            Self::Person
        } else if active(Signal::ThirdPartyConcern) {
            Self::ThirdParty
        } else {
            Self::Unknown
        }
    }
}

/// Whether the signal speaks of the writer. Testing speaks of the listener.
const fn is_about_self(signal: Signal) -> bool {
    !matches!(signal, Signal::ThirdPartyConcern | Signal::Testing)
}

/// The turn at which a label reached its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Onset {
    /// Which label.
    pub label: CrisisLabel,
    /// The turn's place, from 0, counting all turns.
    pub turn: usize,
    /// The label's probability on that turn.
    pub probability: Probability,
    /// The threshold that it reached.
    pub threshold: Probability,
    /// Whom the event concerns, where the turn's signals say so.
    pub subject: Subject,
}

/// How far a conversation has gone. It only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No sign of a crisis so far.
    Quiet,
    /// An ambiguous sign was seen.
    Alerted,
    /// A crisis of a known type was disclosed.
    Confirmed,
}

impl Phase {
    const fn of(label: CrisisLabel) -> Self {
        match label.stage() {
            Stage::Alert => Self::Alerted,
            Stage::Confirm(_) => Self::Confirmed,
        }
    }
}

/// The highest probability so far and the first turn that had it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// The turn's place, from 0, counting all turns.
    pub turn: usize,
    /// The probability on that turn.
    pub probability: Probability,
}

impl Peak {
    /// The higher of the two; the earlier of equals.
    fn or_later(self, later: Self) -> Self {
        if later.probability > self.probability { later } else { self }
    }
}

/// Which turns show risk, signals and crises best, so that a verdict can point at
/// them long after the turns themselves are gone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvidenceLedger {
    risk: Option<Peak>,
    signals: BTreeMap<Signal, Peak>,
    crises: BTreeMap<CrisisLabel, Peak>,
}

impl EvidenceLedger {
    /// The user turn with the highest turn risk; `None` before the first.
    pub const fn risk(&self) -> Option<Peak> {
        self.risk
    }

    /// The user turn with the highest probability of `signal`.
    pub fn signal(&self, signal: Signal) -> Option<Peak> {
        self.signals.get(&signal).copied()
    }

    /// The user turn with the highest probability of `label`.
    pub fn crisis(&self, label: CrisisLabel) -> Option<Peak> {
        self.crises.get(&label).copied()
    }

    fn record(&mut self, turn: usize, scores: &UserScores) {
        let peak = |probability| Peak { turn, probability };
        let risk = peak(scores.risk);
        self.risk = Some(self.risk.map_or(risk, |earlier| earlier.or_later(risk)));
        keep_highest(&mut self.signals, scores.signals.iter().map(|(signal, p)| (signal, peak(p))));
        keep_highest(&mut self.crises, scores.crisis.iter().map(|(label, p)| (label, peak(p))));
    }
}

fn keep_highest<L: Ord>(peaks: &mut BTreeMap<L, Peak>, now: impl Iterator<Item = (L, Peak)>) {
    for (label, now) in now {
        peaks.entry(label).and_modify(|earlier| *earlier = earlier.or_later(now)).or_insert(now);
    }
}

/// Whether an Alert of one tense may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AlertState {
    /// It may begin.
    Armed,
    /// It has begun and waits for the Confirm that resolves it.
    Open,
    /// A Confirm came; it waits for its own probability to fall.
    Resolved,
}

/// What one turn means to an Alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AlertReading {
    /// A Confirm of the same tense reaches its threshold for the first time.
    ConfirmBegins,
    /// The Alert's probability is at or above its threshold.
    High,
    /// Between release and threshold: changes nothing.
    Between,
    /// Below release.
    Released,
}

impl AlertState {
    const fn after(self, reading: AlertReading) -> Self {
        match (self, reading) {
            (_, AlertReading::ConfirmBegins) => Self::Resolved,
            (Self::Armed, AlertReading::High) => Self::Open,
            (Self::Resolved, AlertReading::Released) => Self::Armed,
            (unchanged, _) => unchanged,
        }
    }
}

/// The state of one conversation's crises. At most 16 crossings and 30 onsets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    config: TrackerConfig,
    ledger: EvidenceLedger,
    crossings: BTreeMap<CrisisLabel, Onset>,
    onsets: Vec<Onset>,
    alert_ongoing: AlertState,
    alert_past: AlertState,
}

impl Tracker {
    /// The state before the first turn. The settings stay with the conversation
    /// that began under them.
    pub const fn new(config: TrackerConfig) -> Self {
        Self {
            config,
            ledger: EvidenceLedger { risk: None, signals: BTreeMap::new(), crises: BTreeMap::new() },
            crossings: BTreeMap::new(),
            onsets: Vec::new(),
            alert_ongoing: AlertState::Armed,
            alert_past: AlertState::Armed,
        }
    }

    /// Takes in the next user turn and returns what begins at it, in taxonomy
    /// order. `turn` counts all turns from 0 and rises from call to call.
    pub fn observe(
        &mut self,
        turn: usize,
        user_scores: &UserScores,
        calibration: &Calibration,
    ) -> Vec<Onset> {
        self.ledger.record(turn, user_scores);
        let readings = readings(turn, user_scores, calibration);
        let fresh = self.first_crossings(&readings);
        let mut begun = self.begin_alerts(&readings, &fresh);
        begun.extend(fresh.iter().filter(|onset| begins_event(onset, &fresh, self.config.sure)));
        for onset in fresh {
            self.crossings.insert(onset.label, onset);
        }
        self.onsets.extend(&begun);
        begun
    }

    /// How far the conversation has gone.
    pub fn phase(&self) -> Phase {
        self.phase_where(|_| true)
    }

    /// How far the conversation has gone with regard to one tense. A past
    /// Confirm that was read as part of an ongoing one counts for both.
    pub fn phase_of(&self, tense: Tense) -> Phase {
        self.phase_where(|label| label.tense() == tense)
    }

    /// Everything that has begun, oldest first, in taxonomy order within a turn.
    pub fn onsets(&self) -> &[Onset] {
        &self.onsets
    }

    /// The first turn on which `label` reached its threshold, also where no
    /// onset was made of it because a graver or resolved event covered it.
    pub fn crossing(&self, label: CrisisLabel) -> Option<&Onset> {
        self.crossings.get(&label)
    }

    /// The events that are open: every Confirm, since nothing clears one, and
    /// each Alert that no Confirm of its tense has resolved yet.
    pub fn open_events(&self) -> impl Iterator<Item = &Onset> {
        self.onsets.iter().enumerate().filter_map(|(place, onset)| {
            let open = match onset.label.stage() {
                Stage::Confirm(_) => true,
                Stage::Alert => self.is_open_alert(place, onset),
            };
            open.then_some(onset)
        })
    }

    /// The turns that show risk, each signal and each crisis best.
    pub const fn ledger(&self) -> &EvidenceLedger {
        &self.ledger
    }

    fn phase_where(&self, counts: impl Fn(CrisisLabel) -> bool) -> Phase {
        self.crossings
            .keys()
            .filter(|&&label| counts(label))
            .map(|&label| Phase::of(label))
            .max()
            .unwrap_or(Phase::Quiet)
    }

    fn is_open_alert(&self, place: usize, onset: &Onset) -> bool {
        let latest = self.onsets.iter().rposition(|o| o.label == onset.label);
        latest == Some(place) && self.alert(onset.label.tense()) == AlertState::Open
    }

    /// The readings that reach their threshold for the first time.
    fn first_crossings(&self, readings: &[Onset]) -> Vec<Onset> {
        readings
            .iter()
            .filter(|r| r.probability >= r.threshold && !self.crossings.contains_key(&r.label))
            .copied()
            .collect()
    }

    /// Moves both Alerts one turn on and returns those that begin.
    fn begin_alerts(&mut self, readings: &[Onset], fresh: &[Onset]) -> Vec<Onset> {
        let mut begun = Vec::new();
        for reading in readings.iter().filter(|r| r.label.stage() == Stage::Alert) {
            let tense = reading.label.tense();
            let before = self.alert(tense);
            let after = before.after(self.read_alert(reading, fresh));
            if before == AlertState::Armed && after == AlertState::Open {
                begun.push(*reading);
            }
            *self.alert_mut(tense) = after;
        }
        begun
    }

    fn read_alert(&self, alert: &Onset, fresh: &[Onset]) -> AlertReading {
        let release = alert.threshold.get() * self.config.release.get();
        if fresh.iter().any(|o| is_confirm_of(o, alert.label.tense())) {
            AlertReading::ConfirmBegins
        } else if alert.probability >= alert.threshold {
            AlertReading::High
        } else if alert.probability.get() < release {
            AlertReading::Released
        } else {
            AlertReading::Between
        }
    }

    const fn alert(&self, tense: Tense) -> AlertState {
        match tense {
            Tense::Ongoing => self.alert_ongoing,
            Tense::Past => self.alert_past,
        }
    }

    const fn alert_mut(&mut self, tense: Tense) -> &mut AlertState {
        match tense {
            Tense::Ongoing => &mut self.alert_ongoing,
            Tense::Past => &mut self.alert_past,
        }
    }
}

/// Every label's probability on a turn beside its threshold.
fn readings(turn: usize, scores: &UserScores, calibration: &Calibration) -> Vec<Onset> {
    let subject = Subject::of(scores, calibration);
    let reading = |(label, probability)| Onset {
        label,
        turn,
        probability,
        threshold: calibration.crisis[label],
        subject,
    };
    scores.crisis.iter().map(reading).collect()
}

fn is_confirm_of(onset: &Onset, tense: Tense) -> bool {
    matches!(onset.label.stage(), Stage::Confirm(_)) && onset.label.tense() == tense
}

/// Whether a fresh crossing begins an event as a Confirm: the most probable one
/// of its turn does, the first of equals; another only if it is sure and no more
/// probable one is its other tense.
fn begins_event(onset: &Onset, fresh: &[Onset], sure: Probability) -> bool {
    if onset.label.stage() == Stage::Alert {
        return false;
    }
    let precedes = |other: &&Onset| {
        let earlier = other.probability == onset.probability && other.label < onset.label;
        other.label.stage() != Stage::Alert && (other.probability > onset.probability || earlier)
    };
    let mut rivals = fresh.iter().filter(precedes).peekable();
    let is_first = rivals.peek().is_none();
    is_first || (onset.probability >= sure && rivals.all(|rival| rival.label.stage() != onset.label.stage()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::calibration::{Platt, RiskThreshold, SignalFloor};
    use crate::taxonomy::Scores;

    use CrisisLabel::{
        AlertOngoing, AlertPast, ConfirmDvOngoing, ConfirmDvPast, ConfirmShOngoing, ConfirmShPast,
    };

    const RELEASE: f32 = 0.5;
    const SURE: f32 = 0.7;

    fn p(value: f32) -> Probability {
        Probability::new(value).expect("a probability")
    }

    fn calibration() -> Calibration {
        Calibration {
            risk: Platt::IDENTITY,
            floor: SignalFloor { certain: p(0.9) },
            certain_confirm: RiskThreshold::without_provenance(p(0.7)),
            thresholds: BTreeMap::new(),
            signals: Scores::uniform(p(0.5)),
            crisis: Scores::uniform(p(0.5)),
            unsafe_reply: p(0.5),
            replies: Scores::uniform(p(0.5)),
            harms: Scores::uniform(p(0.5)),
            risk_tenths: None,
        }
    }

    fn tracker() -> Tracker {
        Tracker::new(TrackerConfig { release: p(RELEASE), sure: p(SURE) })
    }

    /// A turn with these crisis probabilities and nothing else.
    fn turn(raised: &[(CrisisLabel, f32)]) -> UserScores {
        let mut crisis = Scores::uniform(Probability::ZERO);
        for &(label, value) in raised {
            crisis.set(label, p(value));
        }
        UserScores { risk: Probability::ZERO, signals: Scores::uniform(Probability::ZERO), crisis }
    }

    fn run(tracker: &mut Tracker, history: &[UserScores]) -> Vec<(usize, CrisisLabel)> {
        let calibration = calibration();
        let turns = history.iter().enumerate();
        turns
            .flat_map(|(t, scores)| tracker.observe(t, scores, &calibration))
            .map(|onset| (onset.turn, onset.label))
            .collect()
    }

    fn onsets(history: &[UserScores]) -> Vec<(usize, CrisisLabel)> {
        run(&mut tracker(), history)
    }

    #[test]
    fn an_alert_comes_before_its_confirm() {
        let history = [
            turn(&[]),
            turn(&[(AlertOngoing, 0.7)]),
            turn(&[(AlertOngoing, 0.8)]),
            turn(&[(ConfirmShOngoing, 0.9), (AlertOngoing, 0.6)]),
        ];
        assert_eq!(onsets(&history), [(1, AlertOngoing), (3, ConfirmShOngoing)]);
    }

    #[test]
    fn a_denial_does_not_clear_a_confirmed_crisis() {
        let history = [turn(&[(ConfirmDvOngoing, 0.9)]), turn(&[]), turn(&[])];
        let mut tracker = tracker();
        run(&mut tracker, &history);
        assert_eq!(tracker.phase(), Phase::Confirmed);
        let open: Vec<_> = tracker.open_events().map(|onset| onset.label).collect();
        assert_eq!(open, [ConfirmDvOngoing]);
    }

    #[test]
    fn a_confirm_begins_only_once() {
        let high = turn(&[(ConfirmShOngoing, 0.9)]);
        let history = [high.clone(), turn(&[]), high];
        assert_eq!(onsets(&history), [(0, ConfirmShOngoing)]);
    }

    #[test]
    fn of_both_tenses_on_one_turn_the_more_probable_begins() {
        let both = turn(&[(ConfirmDvOngoing, 0.8), (ConfirmDvPast, 0.9)]);
        let mut tracker = tracker();
        let begun = run(&mut tracker, &[both.clone(), both]);
        assert_eq!(begun, [(0, ConfirmDvPast)]);
        assert!(tracker.crossing(ConfirmDvOngoing).is_some(), "the verdict still sees the ongoing one");
        assert_eq!(tracker.phase_of(Tense::Ongoing), Phase::Confirmed);
    }

    #[test]
    fn beside_the_most_probable_confirm_only_a_sure_one_begins() {
        let unsure = [turn(&[(ConfirmDvOngoing, 0.9), (ConfirmShOngoing, 0.6)])];
        assert_eq!(onsets(&unsure), [(0, ConfirmDvOngoing)]);
        let sure = [turn(&[(ConfirmDvOngoing, 0.9), (ConfirmShOngoing, 0.7)])];
        assert_eq!(onsets(&sure), [(0, ConfirmShOngoing), (0, ConfirmDvOngoing)]);
    }

    #[test]
    fn tenses_of_different_turns_or_types_are_kept_apart() {
        let history = [
            turn(&[(ConfirmDvPast, 0.7), (ConfirmShOngoing, 0.8)]),
            turn(&[(ConfirmDvOngoing, 0.6)]),
            turn(&[(ConfirmShPast, 0.6)]),
        ];
        assert_eq!(
            onsets(&history),
            [(0, ConfirmShOngoing), (0, ConfirmDvPast), (1, ConfirmDvOngoing), (2, ConfirmShPast),]
        );
    }

    #[test]
    fn a_second_alert_needs_a_confirm_and_then_a_fall() {
        let alert = |value| turn(&[(AlertOngoing, value)]);
        let confirm = turn(&[(ConfirmShOngoing, 0.9)]);
        let unresolved = [alert(0.9), alert(0.0), alert(0.9)];
        assert_eq!(onsets(&unresolved), [(0, AlertOngoing)]);
        let never_fell = [alert(0.9), confirm.clone(), alert(0.3), alert(0.9)];
        assert_eq!(onsets(&never_fell), [(0, AlertOngoing), (1, ConfirmShOngoing)]);
        let fell = [alert(0.9), confirm, alert(0.2), alert(0.9)];
        assert_eq!(onsets(&fell), [(0, AlertOngoing), (1, ConfirmShOngoing), (3, AlertOngoing)]);
    }

    #[test]
    fn a_confirm_resolves_only_the_alert_of_its_tense() {
        let history = [turn(&[(AlertOngoing, 0.9), (AlertPast, 0.9)]), turn(&[(ConfirmDvPast, 0.9)])];
        let mut tracker = tracker();
        run(&mut tracker, &history);
        let open: Vec<_> = tracker.open_events().map(|onset| onset.label).collect();
        assert_eq!(open, [AlertOngoing, ConfirmDvPast]);
        assert_eq!(tracker.phase_of(Tense::Ongoing), Phase::Alerted);
        assert_eq!(tracker.phase_of(Tense::Past), Phase::Confirmed);
    }

    #[test]
    fn the_subject_is_a_third_party_only_without_a_sign_of_oneself() {
        let calibration = calibration();
        let mut scores = turn(&[]);
        assert_eq!(Subject::of(&scores, &calibration), Subject::Unknown);
        scores.signals.set(Signal::ThirdPartyConcern, p(0.9));
        scores.signals.set(Signal::Testing, p(0.9));
        assert_eq!(Subject::of(&scores, &calibration), Subject::ThirdParty);
        scores.signals.set(Signal::Hopelessness, p(0.9));
        assert_eq!(Subject::of(&scores, &calibration), Subject::Person);
    }

    #[test]
    fn the_ledger_names_the_first_of_the_highest_turns() {
        let mut tracker = tracker();
        for (t, risk) in [0.2, 0.8, 0.8, 0.1].into_iter().enumerate() {
            let mut scores = turn(&[]);
            scores.risk = p(risk);
            scores.signals.set(Signal::Testing, p(1.0 - risk));
            tracker.observe(t, &scores, &calibration());
        }
        assert_eq!(tracker.ledger().risk().map(|peak| peak.turn), Some(1));
        let testing = tracker.ledger().signal(Signal::Testing);
        assert_eq!(testing.map(|peak| peak.turn), Some(3));
    }

    /// Onsets by the words of the module documentation, from the whole history.
    fn naive(history: &[UserScores]) -> Vec<(usize, CrisisLabel)> {
        let mut all = Vec::new();
        for &label in CrisisLabel::ALL {
            let begins: Vec<usize> = match label.stage() {
                Stage::Alert => naive_alerts(history, label),
                Stage::Confirm(_) => naive_confirm(history, label).into_iter().collect(),
            };
            all.extend(begins.into_iter().map(|t| (t, label)));
        }
        all.sort_unstable();
        all
    }

    fn at(history: &[UserScores], t: usize, label: CrisisLabel) -> f32 {
        history[t].crisis[label].get()
    }

    fn first(history: &[UserScores], label: CrisisLabel) -> Option<usize> {
        (0..history.len()).find(|&t| at(history, t, label) >= 0.5)
    }

    fn naive_confirm(history: &[UserScores], label: CrisisLabel) -> Option<usize> {
        let begins = first(history, label)?;
        let own = at(history, begins, label);
        let rivals: Vec<CrisisLabel> = CrisisLabel::ALL[2..]
            .iter()
            .copied()
            .filter(|&l| l != label && first(history, l) == Some(begins))
            .filter(|&l| match at(history, begins, l).total_cmp(&own) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal => l < label,
                std::cmp::Ordering::Less => false,
            })
            .collect();
        let twin = CrisisLabel::ALL[label.index() ^ 1];
        (rivals.is_empty() || (own >= SURE && !rivals.contains(&twin))).then_some(begins)
    }

    fn naive_alerts(history: &[UserScores], label: CrisisLabel) -> Vec<usize> {
        let confirms: BTreeSet<usize> = CrisisLabel::ALL
            .iter()
            .filter(|l| l.stage() != Stage::Alert && l.tense() == label.tense())
            .filter_map(|&l| first(history, l))
            .collect();
        let mut begun: Vec<usize> = Vec::new();
        for t in 0..history.len() {
            if at(history, t, label) < 0.5 || confirms.contains(&t) {
                continue;
            }
            let since = begun.last().copied();
            let confirm = confirms.range(..t).next_back().copied();
            let may = match (since, confirm) {
                (None, None) => true,
                (Some(_), None) => false,
                (since, Some(c)) => {
                    let fell = (c + 1..t).any(|u| at(history, u, label) < 0.5 * RELEASE);
                    since.is_none_or(|s| s < c) && fell
                }
            };
            if may {
                begun.push(t);
            }
        }
        begun
    }

    fn any_turn() -> impl Strategy<Value = UserScores> {
        // Few distinct values make crossings of several labels on one turn,
        // equalities with thresholds and releases frequent.
        let value =
            prop_oneof![6 => Just(0.0_f32), 1 => Just(0.25), 1 => Just(0.4), 1 => Just(0.5), 1 => Just(0.9)];
        proptest::collection::vec(value, CrisisLabel::ALL.len()).prop_map(|values| {
            let mut scores = turn(&[]);
            scores.crisis = Scores::from_fn(|label: CrisisLabel| p(values[label.index()]));
            scores
        })
    }

    fn any_history() -> impl Strategy<Value = Vec<UserScores>> {
        proptest::collection::vec(any_turn(), 0..10)
    }

    proptest! {
        #[test]
        fn onsets_agree_with_a_naive_reading_of_the_whole_history(history in any_history()) {
            prop_assert_eq!(onsets(&history), naive(&history));
        }

        #[test]
        fn each_confirm_begins_at_most_once_and_the_state_is_bounded(history in any_history()) {
            let mut tracker = tracker();
            let begun = run(&mut tracker, &history);
            let confirms: Vec<_> =
                begun.iter().filter(|(_, l)| l.stage() != Stage::Alert).map(|(_, l)| *l).collect();
            let distinct: BTreeSet<_> = confirms.iter().copied().collect();
            prop_assert_eq!(distinct.len(), confirms.len());
            prop_assert!(tracker.onsets().len() <= 30);
        }

        #[test]
        fn the_phase_never_falls_as_turns_arrive(history in any_history()) {
            let mut tracker = tracker();
            let mut before = [Phase::Quiet; 3];
            for (t, scores) in history.iter().enumerate() {
                tracker.observe(t, scores, &calibration());
                let now = phases(&tracker);
                prop_assert!(now.iter().zip(before).all(|(n, b)| *n >= b));
                before = now;
            }
        }

        #[test]
        fn raising_a_probability_never_lowers_a_phase(
            history in proptest::collection::vec(any_turn(), 1..10),
            place in any::<prop::sample::Index>(),
            label in any::<prop::sample::Index>(),
            by in 0.0_f32..1.0,
        ) {
            let mut raised = history.clone();
            let label = CrisisLabel::ALL[label.index(CrisisLabel::ALL.len())];
            let scores = &mut raised[place.index(history.len())].crisis;
            scores.set(label, p((scores[label].get() + by).min(1.0)));
            let (mut plain, mut higher) = (tracker(), tracker());
            run(&mut plain, &history);
            run(&mut higher, &raised);
            prop_assert!(phases(&higher).iter().zip(phases(&plain)).all(|(h, l)| *h >= l));
        }

        #[test]
        fn a_stored_tracker_goes_on_as_if_it_had_never_been_stored(history in any_history()) {
            let mut whole = tracker();
            let mut stored = tracker();
            for (t, scores) in history.iter().enumerate() {
                let expected = whole.observe(t, scores, &calibration());
                let json = serde_json::to_string(&stored).expect("serialises");
                stored = serde_json::from_str(&json).expect("reads");
                prop_assert_eq!(stored.observe(t, scores, &calibration()), expected);
            }
            prop_assert_eq!(stored, whole);
        }
    }

    fn phases(tracker: &Tracker) -> [Phase; 3] {
        [tracker.phase(), tracker.phase_of(Tense::Ongoing), tracker.phase_of(Tense::Past)]
    }
}
