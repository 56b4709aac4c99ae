//! How long the figures of each protocol take with all their intervals, from
//! answers to report figures, on generated predictions; `scripts/bench_scoring.py`
//! runs this beside scikit-learn.
//!
//! `bench_scoring FOLDER [ITEMS DRAWS RUNS]` writes the distress and reply
//! predictions into FOLDER as CSV, for the peer to read, and prints JSON: for
//! each protocol its items, clusters and figures, and the seconds of each run
//! after one unmeasured. Every item is a cluster of its own, which costs the
//! most; the two answers of a pair share one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::metrics::PairStratum;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm as Category, ReplyClass, Scores, Severity, Taxonomy};
use mindrail_data::sets::Side;
use mindrail_lab::protocol::crisis::{Crisis, CrisisPrediction, LabelledDialogue, TurnAnswer};
use mindrail_lab::protocol::distress::{Distress, DistressPrediction, LabelledConversation};
use mindrail_lab::protocol::harm::{Harm, HarmGold, HarmInput, HarmItem, HarmPrediction, HarmSet, PairPlace};
use mindrail_lab::protocol::reply::{Reply, ReplyCall, ReplyInput, ReplyItem, ReplyPrediction, ReplySet};
use mindrail_lab::protocol::{Answer, Item, Outcome, Protocol, Unanswered, crisis, distress, judge};
use mindrail_lab::resampling::{IntervalMethod, Settings, estimates};

/// Slices of the project's corpus, with how many values each has there.
const SLICES: [(&str, usize); 5] =
    [("language", 4), ("register", 4), ("stage", 4), ("source", 3), ("category", 8)];

/// A generator that gives the same numbers on every machine (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A probability that is higher where `truth` holds.
    fn probability(&mut self, truth: bool) -> f64 {
        let centre = if truth { 1.0 } else { -1.0 };
        // The sum of three uniform numbers is near enough to a bell.
        let noise = 2.0 * (self.unit() + self.unit() + self.unit() - 1.5);
        1.0 / (1.0 + (-centre - noise).exp())
    }
}

fn probability(value: f64) -> Probability {
    Probability::new(value as f32).unwrap_or(Probability::ZERO)
}

fn slices(random: &mut Random) -> BTreeMap<String, String> {
    let value = |(key, values): (&str, usize)| (key.to_owned(), format!("{key} {}", random.below(values)));
    SLICES.map(value).into()
}

/// A conversation of so many user turns, without words.
fn conversation(user_turns: usize) -> Conversation {
    let turn = |role| Turn { role, text: String::new() };
    let turns = (0..user_turns).flat_map(|_| [turn(Role::User), turn(Role::Assistant)]).collect();
    Conversation { id: None, turns }
}

fn answer<P>(id: &str, prediction: P) -> Answer<P> {
    Answer { id: id.to_owned(), outcome: Outcome::Ok, prediction: Some(prediction) }
}

type Data<P> =
    (Vec<Item<<P as Protocol>::Input, <P as Protocol>::Gold>>, Vec<Answer<<P as Protocol>::Prediction>>);

fn distress_data(items: usize, random: &mut Random) -> Data<Distress> {
    let (mut rows, mut answers) = (Vec::new(), Vec::new());
    for number in 0..items {
        let high_risk = random.chance(0.35);
        let signals: [bool; 9] = std::array::from_fn(|_| random.chance(if high_risk { 0.3 } else { 0.05 }));
        let row = LabelledConversation {
            id: format!("c{number}"),
            family: None,
            conversation: conversation(1 + random.below(20)),
            high_risk,
            signals: Some(signals),
            slices: slices(random),
        };
        let said = Scores::from_fn(|signal| {
            let place: mindrail_core::taxonomy::Signal = signal;
            probability(random.probability(signals[place.index()]))
        });
        let risk = random.probability(high_risk);
        answers.push(answer(&row.id, DistressPrediction { risk, high_risk: None, signals: Some(said) }));
        rows.push(row);
    }
    (distress::items(rows), answers)
}

fn crisis_data(items: usize, random: &mut Random) -> Data<Crisis> {
    let (mut rows, mut answers) = (Vec::new(), Vec::new());
    for number in 0..items {
        let turns = 3 + random.below(10);
        let label = |random: &mut Random| CrisisLabel::ALL[random.below(16)].wire().to_owned();
        let (mut gold, mut said) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            let own: Vec<String> = random.chance(0.16).then(|| label(random)).into_iter().collect();
            let right = random.chance(0.6);
            let wrong: Vec<String> = random.chance(0.08).then(|| label(random)).into_iter().collect();
            let names = if right && !own.is_empty() { &own } else { &wrong };
            said.push(TurnAnswer::of(names.iter().map(String::as_str)));
            gold.extend([own, Vec::new()]);
        }
        let row = LabelledDialogue {
            id: format!("d{number}"),
            family: None,
            conversation: conversation(turns),
            labels: gold,
            slices: slices(random),
        };
        answers.push(answer(&row.id, CrisisPrediction { turns: said, probabilities: None }));
        rows.push(row);
    }
    (crisis::items(rows), answers)
}

fn reply_data(items: usize, random: &mut Random) -> Data<Reply> {
    let (mut rows, mut answers) = (Vec::new(), Vec::new());
    for number in 0..items {
        let gold =
            if random.chance(0.4) { ReplyClass::SafeResponse } else { ReplyClass::ALL[random.below(8)] };
        let weights: [f64; 8] = std::array::from_fn(|place| random.probability(place == gold.index()));
        let whole: f64 = weights.iter().sum();
        let said = Scores::from_fn(|class: ReplyClass| probability(weights[class.index()] / whole));
        let id = format!("r{number}");
        let class = ReplyCall::Class(said.top().0);
        answers.push(answer(&id, ReplyPrediction { class, probabilities: Some(said) }));
        let input = ReplyInput { context: Vec::new(), response: String::new() };
        rows.push(ReplyItem { cluster: id.clone(), id, slices: slices(random), input, gold });
    }
    (rows, answers)
}

fn harm_data(items: usize, random: &mut Random) -> Data<Harm> {
    let (mut rows, mut answers) = (Vec::new(), Vec::new());
    for number in 0..items {
        let (pair, side) =
            (format!("p{}", number / 2), if number % 2 == 0 { Side::First } else { Side::Second });
        let is_safe = random.chance(0.5);
        let categories: Vec<Category> =
            Category::ALL.iter().copied().filter(|_| !is_safe && random.chance(0.08)).collect();
        let severity = if is_safe { Severity::None } else { Severity::ALL[1 + random.below(3)] };
        let place = PairPlace {
            pair: pair.clone(),
            side,
            better: Some(Side::First),
            safer: Some(Side::Second),
            stratum: Some(PairStratum::ALL[number / 2 % 4]),
        };
        let said = HarmPrediction {
            unsafe_: Some(probability(random.probability(!is_safe))),
            categories: Some(Scores::from_fn(|own| {
                probability(0.7 * random.probability(categories.contains(&own)))
            })),
            severity: Some(if random.chance(0.7) { severity } else { Severity::ALL[random.below(4)] }),
            reward: Some(random.unit()),
            cost: Some(random.unit() - if is_safe { 0.7 } else { 0.3 }),
        };
        let id = format!("{pair}:{}", side.index());
        answers.push(answer(&id, said));
        rows.push(HarmItem {
            id,
            cluster: pair,
            slices: slices(random),
            input: HarmInput { prompt: String::new(), response: String::new() },
            gold: HarmGold {
                is_safe: Some(is_safe),
                categories: Some(categories),
                severity: Some(severity),
                pair: Some(place),
            },
        });
    }
    (rows, answers)
}

/// Times a protocol: items and answers in, every figure with its interval out.
fn time<P: Protocol>(protocol: &P, (items, answers): &Data<P>, settings: Settings, runs: usize) -> String {
    let mut out = String::new();
    let mut seconds = Vec::new();
    for run in 0..=runs {
        let began = Instant::now();
        let (judged, _) = judge(protocol, items, answers, Unanswered::Negative);
        let evaluator = protocol.evaluator(&judged);
        let found = estimates(&*evaluator, settings);
        let passed = began.elapsed().as_secs_f64();
        if run == 0 {
            let (clusters, figures) = (evaluator.clusters(), found.len());
            let sizes =
                format!("\"items\": {}, \"clusters\": {clusters}, \"figures\": {figures}", items.len());
            let _ = write!(out, "{{\"protocol\": \"{}\", {sizes}", P::NAME);
        } else {
            seconds.push(format!("{passed:.4}"));
        }
    }
    let _ = write!(out, ", \"seconds\": [{}]}}", seconds.join(", "));
    out
}

/// The distress predictions as the peer reads them.
fn write_distress(folder: &Path, (items, answers): &Data<Distress>) -> std::io::Result<()> {
    let keys: Vec<&String> = items[0].slices.keys().collect();
    let mut text = String::from("high_risk,risk");
    for place in 0..9 {
        let _ = write!(text, ",gold_{place},p_{place}");
    }
    for key in keys {
        let _ = write!(text, ",slice_{key}");
    }
    for (item, answer) in items.iter().zip(answers) {
        let Some(said) = &answer.prediction else { continue };
        let _ = write!(text, "\n{},{}", u8::from(item.gold.high_risk), said.risk);
        let pairs = item.gold.signals.iter().flatten().zip(said.signals.iter().flat_map(Scores::iter));
        for (gold, (_, p)) in pairs {
            let _ = write!(text, ",{},{}", u8::from(*gold), p.get());
        }
        for value in item.slices.values() {
            let _ = write!(text, ",{value}");
        }
    }
    std::fs::write(folder.join("distress.csv"), text + "\n")
}

/// The reply predictions as the peer reads them.
fn write_reply(folder: &Path, (items, answers): &Data<Reply>) -> std::io::Result<()> {
    let keys: Vec<&String> = items[0].slices.keys().collect();
    let mut text = String::from("gold,called,unsafe");
    for key in keys {
        let _ = write!(text, ",slice_{key}");
    }
    for (item, answer) in items.iter().zip(answers) {
        let Some(ReplyPrediction { class: ReplyCall::Class(called), .. }) = &answer.prediction else {
            continue;
        };
        let unsafe_probability = answer.prediction.as_ref().and_then(ReplyPrediction::unsafe_probability);
        let (gold, p) = (item.gold.index(), unsafe_probability.unwrap_or(0.0));
        let _ = write!(text, "\n{gold},{},{p}", called.index());
        for value in item.slices.values() {
            let _ = write!(text, ",{value}");
        }
    }
    std::fs::write(folder.join("reply.csv"), text + "\n")
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or_else(|| std::io::Error::other("expected a folder"))?;
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (items, draws, runs) = (number(24_000), number(10_000), number(3));
    let settings = Settings { draws: draws as u64, seed: 17, method: IntervalMethod::Percentile };
    let mut random = Random(7);
    let (distress, reply) = (distress_data(items, &mut random), reply_data(items, &mut random));
    let (crisis, harm) = (crisis_data(items, &mut random), harm_data(items, &mut random));
    write_distress(Path::new(&folder), &distress)?;
    write_reply(Path::new(&folder), &reply)?;
    let timed = [
        time(&Distress::default(), &distress, settings, runs),
        time(&Crisis::default(), &crisis, settings, runs),
        time(&Reply::on(ReplySet::Other), &reply, settings, runs),
        time(&Harm::on(HarmSet::PkuSafeRlhf), &harm, settings, runs),
    ];
    writeln!(std::io::stdout(), "[{}]", timed.join(",\n "))
}
