//! What a fitted calibration means, in sentences: what it guarantees, what it cannot,
//! and what its reader has to know before using it.

use mindrail_core::calibration::{
    AbstainBand, BandEnd, BandRate, LanguageThreshold, SignalCalibration, ThresholdSource,
};
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;

use super::disjoint::{Compared, SelectionFile};
use super::fitting::FitReport;

pub(super) fn findings(
    calibration: &SignalCalibration,
    report: &FitReport,
    selected: &[SelectionFile],
) -> Vec<String> {
    let mut sentences = vec![scored(calibration, report)];
    sentences.extend(negative_weights(report));
    sentences.extend(floor(calibration));
    sentences.extend(alone(calibration, report));
    sentences.extend(
        calibration.thresholds.languages.iter().filter_map(|(language, own)| fallback(*language, own)),
    );
    if let Some(band) = &calibration.abstain {
        sentences.extend([low_end(band, report), high_end(band, report), guarantee(band)]);
        sentences.extend(dependent(report));
    }
    sentences.extend(selection(selected));
    sentences
}

/// How the figures were come to.
fn scored(calibration: &SignalCalibration, report: &FitReport) -> String {
    if report.head.is_none() {
        return format!(
            "The score fits nothing; map and thresholds are chosen on all {} rows, so expect a little less on new ones.",
            report.rows
        );
    }
    let (own, same) = (report.out_of_fold, report.same_rows);
    format!(
        "Map and thresholds are chosen on scores of heads that had not seen the row ({} folds of {} families, seed {}); \
         the head that ships is fitted on all rows. On the rows that fitted it the pooled threshold would show recall \
         {:.3} and false-positive rate {:.3}, out of fold it shows {:.3} and {:.3}.",
        report.folds.len(),
        report.families,
        calibration.options.seed,
        same.recall(),
        same.false_positive_rate(),
        own.recall(),
        own.false_positive_rate()
    )
}

fn negative_weights(report: &FitReport) -> Option<String> {
    let head = report.head.as_ref()?;
    let negative: Vec<&str> =
        head.weights.iter().filter(|own| own.weight < 0.0).map(|own| own.output).collect();
    (!negative.is_empty()).then(|| {
        format!(
            "The weight of {} is negative: more of it lowers the score. A monotone head cannot do that.",
            negative.join(", ")
        )
    })
}

/// Which outputs are enough by themselves.
fn alone(calibration: &SignalCalibration, report: &FitReport) -> Option<String> {
    let pooled = calibration.thresholds.pooled.value;
    let weights = &report.head.as_ref()?.weights;
    let enough: Vec<&str> =
        weights.iter().filter(|own| own.alone_with_floor >= pooled).map(|own| own.output).collect();
    let names = if enough.is_empty() { "none".to_owned() } else { enough.join(", ") };
    Some(format!(
        "Certain and alone, {} of {} outputs reach the pooled threshold {:.3}: {names}.",
        enough.len(),
        weights.len(),
        pooled.get()
    ))
}

/// Whether one certain grave signal is enough.
fn floor(calibration: &SignalCalibration) -> Option<String> {
    let certain = calibration.floor?.certain;
    let languages = calibration.thresholds.languages.values().map(|own| own.threshold.value);
    let highest = languages.fold(calibration.thresholds.pooled.value, Probability::max);
    let least = match &calibration.abstain {
        None => Some(highest),
        Some(band) => band.high.map(|high| high.value),
    };
    let verdict = match least {
        Some(least) if certain >= least => "is called high in every language".to_owned(),
        Some(least) => format!("is not called high in every language below {:.3}", least.get()),
        None => "is left to a human, since nobody is called high".to_owned(),
    };
    Some(format!(
        "One grave signal at {:.2} or more raises the probability to its own, and {verdict}.",
        certain.get()
    ))
}

fn fallback(language: Language, own: &LanguageThreshold) -> Option<String> {
    let why = match own.source {
        ThresholdSource::Own => return None,
        ThresholdSource::PooledTooFewRows => "too few to choose one for it",
        ThresholdSource::PooledTargetNotReached => "on which no threshold reaches the target",
    };
    Some(format!(
        "Rows in {} use the pooled threshold: {} high-risk and {} low-risk rows, {why}.",
        language.wire(),
        own.positives,
        own.negatives
    ))
}

fn low_end(band: &AbstainBand, report: &FitReport) -> String {
    match band.low {
        Some(end) => format!(
            "Below {:.4} a conversation is called low: {} of {} rows, {} of the {} high-risk ones among them ({}).",
            end.value.get(),
            end.called,
            band.rows,
            end.errors,
            end.class,
            shares(&end)
        ),
        None => format!(
            "Nobody is called low, so that everybody gets support at least: {} cannot be shown on these rows. {}",
            percent(band.target.miss),
            needed(band, band.target.miss, report.high_risk, "high-risk")
        ),
    }
}

fn high_end(band: &AbstainBand, report: &FitReport) -> String {
    match band.high {
        Some(end) => format!(
            "From {:.4} on a conversation is called high: {} of {} rows, {} of the {} low-risk ones among them ({}). \
             In between, {} rows are for a human.",
            end.value.get(),
            end.called,
            band.rows,
            end.errors,
            end.class,
            shares(&end),
            band.abstained
        ),
        None => format!(
            "Nobody is called high: {} cannot be shown on these rows. {}",
            percent(band.target.false_alarm),
            needed(band, band.target.false_alarm, report.rows - report.high_risk, "low-risk")
        ),
    }
}

/// Both shares of an end, whichever is controlled.
fn shares(end: &BandEnd) -> String {
    let share = |of: usize| 100.0 * end.errors as f64 / of.max(1) as f64;
    format!("{:.1} % of these, {:.1} % of those called", share(end.class), share(end.called))
}

/// How many rows without any error would do.
fn needed(band: &AbstainBand, limit: f64, class: usize, word: &str) -> String {
    let least = ((band.target.delta / 2.0).ln() / (1.0 - limit).ln()).ceil();
    match band.target.rate {
        BandRate::OfClass => {
            format!("It takes {least:.0} {word} rows at least; there are {class}.")
        }
        BandRate::OfCalls => format!(
            "It takes {least:.0} rows without an error at least below {} or from {} on, and only a well calibrated \
             score puts them there.",
            percent(band.target.miss),
            percent(1.0 - band.target.false_alarm)
        ),
    }
}

/// A share in percent, as it was given.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

fn guarantee(band: &AbstainBand) -> String {
    let target = band.target;
    let confidence = percent(1.0 - target.delta);
    let (miss, false_alarm) = (percent(target.miss), percent(target.false_alarm));
    match target.rate {
        BandRate::OfClass => format!(
            "With {confidence} confidence, of new high-risk conversations at most {miss} are called low, and of new \
             low-risk ones at most {false_alarm} are called high."
        ),
        BandRate::OfCalls => format!(
            "With {confidence} confidence, of new conversations called low at most {miss} are high-risk, and of those \
             called high at most {false_alarm} are low-risk, as long as high risk is as frequent as in these rows; where it is \
             rarer, more of those called high are low-risk."
        ),
    }
}

/// What the guarantee assumes and these rows do not have.
fn dependent(report: &FitReport) -> Vec<String> {
    let mut sentences = Vec::new();
    if report.families < report.rows {
        sentences.push(format!(
            "The confidence is that of {} independent rows; these are {} families, and rows of one family are not \
             independent.",
            report.rows, report.families
        ));
    }
    if report.head.is_some() {
        sentences.push(
            "It is exact for a fixed score; out-of-fold scores stand for those of the head that ships."
                .to_owned(),
        );
    }
    sentences
}

fn selection(selected: &[SelectionFile]) -> Vec<String> {
    if selected.is_empty() {
        return vec![
            "No file that selected the checkpoint was named, so whether these rows did is not known."
                .to_owned(),
        ];
    }
    let by_model = selected.iter().any(|file| file.compared == Compared::ByModel).then(|| {
        "Each row was compared with the inputs that trained the model or chose its checkpoint; none was among them."
            .to_owned()
    });
    let unread = selected.iter().filter(|file| file.compared == Compared::ByRow && !file.has_rows());
    let unread = unread.map(|file| {
        format!(
            "Of {} only the content as a whole was compared: its rows have no ids or texts to read.",
            file.file
        )
    });
    unread.chain(by_model).collect()
}
