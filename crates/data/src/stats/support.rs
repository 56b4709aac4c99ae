//! Counts of the sets of conversations: KHP, CRADLE, ESConv, the corpus.

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{CrisisLabel, ReplyClass, Signal, Stage};

use super::harm::names;
use super::table::{Sizes, Table, Tally};
use super::{Accumulator, row};
use crate::sets::{
    CradleDialogue, Emotion, EscalationStage, HardnessTrack, Language, Origin, PostLabel, PrimarySignal,
    Problem, Register, Row, Sample, SignalFlags, Term, Topic, Vocabulary,
};
use crate::table::DataError;

/// The label of risk, as tables name it.
const fn risk(high: bool) -> &'static str {
    if high { "high" } else { "low" }
}

/// Turns of conversations by who speaks.
#[derive(Default)]
struct Turns {
    all: Sizes,
    user: Sizes,
    total: u64,
    total_user: u64,
}

impl Turns {
    /// Counts a conversation by the roles of its turns.
    fn add(&mut self, roles: impl Iterator<Item = Role>) {
        let (mut all, mut user) = (0, 0);
        for role in roles {
            all += 1;
            user += usize::from(role == Role::User);
        }
        self.all.add(all);
        self.user.add(user);
        self.total += all as u64;
        self.total_user += user as u64;
    }

    fn tables(&self) -> [Table; 2] {
        let counts =
            [("all", self.total), ("user", self.total_user), ("other", self.total - self.total_user)];
        let rows = vec![self.all.row("all"), self.user.row("user")];
        let lengths = Table { title: "turns per conversation", columns: Sizes::columns(), rows };
        [Table::of_counts("turns", counts), lengths]
    }
}

/// Flags of signals.
fn add_signals(tally: &mut Tally, flags: SignalFlags) {
    Signal::ALL.iter().filter(|signal| flags.has(**signal)).for_each(|signal| tally.add(signal.wire()));
}

/// KHP: every column of a closed list.
#[derive(Default)]
pub(super) struct Khp {
    label: Tally,
    signals: Tally,
    held: Sizes,
    primary: Tally,
    stage: Tally,
    register: Tally,
    language: Tally,
    track: Tally,
    topic: Tally,
    source: Tally,
    problem: Tally,
    emotion: Tally,
    turns: Turns,
}

/// Counts a name, if the row has one.
fn add_term<T: Vocabulary>(tally: &mut Tally, term: Option<&Term<T>>) {
    tally.add(term.map_or("(empty)", Term::shown));
}

impl Accumulator for Khp {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        let Some(Row::Khp(row)) = row(sample) else { return Ok(()) };
        self.label.add(risk(row.high_risk));
        if let Some(flags) = row.signals {
            add_signals(&mut self.signals, flags);
            self.held.add(flags.count());
        }
        add_term(&mut self.primary, row.primary_signal.as_ref());
        add_term(&mut self.stage, row.escalation_stage.as_ref());
        add_term(&mut self.register, row.register.as_ref());
        add_term(&mut self.language, row.language.as_ref());
        add_term(&mut self.track, row.hardness_track.as_ref());
        add_term(&mut self.topic, row.category.as_ref());
        add_term(&mut self.source, row.source.as_ref());
        add_term(&mut self.problem, row.problem_type.as_ref());
        add_term(&mut self.emotion, row.emotion_type.as_ref());
        self.turns.add(row.conversation().turns.iter().map(|turn| turn.role));
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.label.table("risk", &["high", "low"])];
        tables.extend(self.turns.tables());
        if !self.signals.is_empty() {
            tables.push(self.signals.table("signals", &names::<Signal>()));
            tables.push(self.held.table("signals per conversation"));
        }
        let columns = [
            (&self.primary, "primary signal", names::<PrimarySignal>()),
            (&self.stage, "escalation stage", names::<EscalationStage>()),
            (&self.register, "register", names::<Register>()),
            (&self.language, "language", names::<Language>()),
            (&self.track, "hardness track", names::<HardnessTrack>()),
            (&self.topic, "category", names::<Topic>()),
            (&self.source, "source", names::<Origin>()),
            (&self.problem, "problem type", names::<Problem>()),
            (&self.emotion, "emotion type", names::<Emotion>()),
        ];
        // A column that no row has is no table.
        let all: u64 = self.label.get("high") + self.label.get("low");
        let given = columns.iter().filter(|(tally, ..)| tally.get("(empty)") < all);
        tables.extend(given.map(|(tally, title, order)| tally.table(title, order)));
        tables
    }
}

/// CRADLE-Dialogue.
#[derive(Default)]
pub(super) struct Cradle {
    turns: Turns,
    totals: Tally,
    on_user: Tally,
    off_user: Tally,
    stages: Tally,
}

impl Cradle {
    fn add_dialogue(&mut self, dialogue: &CradleDialogue) {
        self.turns.add(dialogue.turns.iter().map(|turn| turn.role));
        let (mut alert, mut confirm) = (false, false);
        for turn in &dialogue.turns {
            let tally = if turn.role == Role::User { &mut self.on_user } else { &mut self.off_user };
            for label in &turn.labels {
                tally.add(label.shown());
                self.totals.add("labels");
                match label.known().map(CrisisLabel::stage) {
                    Some(Stage::Alert) => alert = true,
                    Some(Stage::Confirm(_)) => confirm = true,
                    None => {}
                }
            }
            if turn.role == Role::User {
                self.totals.add("user turns");
                if !turn.labels.is_empty() {
                    self.totals.add("labelled user turns");
                }
            }
        }
        self.totals.add("dialogues");
        self.stages.add(match (alert, confirm) {
            (true, true) => "alert and confirm",
            (true, false) => "alert only",
            (false, true) => "confirm only",
            (false, false) => "neither",
        });
    }
}

impl Accumulator for Cradle {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Sample::Dialogue(dialogue) = sample {
            self.add_dialogue(dialogue);
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let stages = |name| self.stages.get(name);
        let with = [
            ("alert", stages("alert and confirm") + stages("alert only")),
            ("confirm", stages("alert and confirm") + stages("confirm only")),
            ("alert and confirm", stages("alert and confirm")),
            ("neither", stages("neither")),
        ];
        let totals = ["dialogues", "user turns", "labelled user turns", "labels"];
        let support = |label: &CrisisLabel| (label.wire(), self.on_user.get(label.wire()));
        let mut tables = vec![Table::of_counts("totals", totals.map(|name| (name, self.totals.get(name))))];
        tables.extend(self.turns.tables());
        tables.push(Table::of_counts("dialogues with", with));
        tables.push(Table::of_counts("labels of user turns", CrisisLabel::ALL.iter().map(support)));
        let other = self.on_user.get("(other)");
        if other > 0 {
            tables.push(Table::of_counts("unknown labels of user turns", [("(other)", other)]));
        }
        if !self.off_user.is_empty() {
            tables.push(self.off_user.table("labels of other turns", &names::<CrisisLabel>()));
        }
        tables
    }
}

/// CRADLE-Bench.
#[derive(Default)]
pub(super) struct Posts {
    labels: Tally,
    held: Sizes,
}

impl Accumulator for Posts {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Some(Row::CradlePost(row)) = row(sample) {
            row.labels.iter().for_each(|label| self.labels.add(label.shown()));
            self.held.add(row.labels.len());
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.labels.table("labels", &names::<PostLabel>()), self.held.table("labels per post")]
    }
}

/// ESConv.
#[derive(Default)]
pub(super) struct Esconv {
    turns: Turns,
    problem: Tally,
    emotion: Tally,
}

impl Accumulator for Esconv {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Some(Row::Esconv(row)) = row(sample) {
            self.turns.add(row.turns.iter().map(|turn| turn.speaker.role()));
            add_term(&mut self.problem, row.problem_type.as_ref());
            add_term(&mut self.emotion, row.emotion_type.as_ref());
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::from(self.turns.tables());
        tables.push(self.problem.table("problem type", &names::<Problem>()));
        tables.push(self.emotion.table("emotion type", &names::<Emotion>()));
        tables
    }
}

/// The corpus.
#[derive(Default)]
pub(super) struct Corpus {
    turns: Turns,
    risk: Tally,
    language: Tally,
    signals: Tally,
    crisis: Tally,
    classes: Tally,
    replies: Tally,
}

impl Accumulator for Corpus {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        let Some(Row::Corpus(row)) = row(sample) else { return Ok(()) };
        self.turns.add(row.turns.iter().map(|turn| turn.role));
        self.risk.add(risk(row.high_risk));
        add_term(&mut self.language, row.language.as_ref());
        add_signals(&mut self.signals, row.signals);
        for turn in &row.turns {
            turn.crisis.iter().for_each(|label| self.crisis.add(label.shown()));
            turn.response.iter().for_each(|class| self.classes.add(class.shown()));
        }
        row.replies.iter().for_each(|reply| self.replies.add(reply.response.shown()));
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.risk.table("risk", &["high", "low"])];
        tables.extend(self.turns.tables());
        tables.extend([
            self.language.table("language", &names::<Language>()),
            self.signals.table("signals", &names::<Signal>()),
            self.crisis.table("onsets", &names::<CrisisLabel>()),
            self.classes.table("classes of assistant turns", &names::<ReplyClass>()),
            self.replies.table("classes of other replies", &names::<ReplyClass>()),
        ]);
        tables
    }
}
