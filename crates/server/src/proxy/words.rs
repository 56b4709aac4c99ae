//! What a person reads from the guard itself. The words are the policy's; here only
//! stands on which occasion which are said.

use mindrail_core::language::Language;
use mindrail_core::policy::Policy;
use mindrail_core::policy::resources::Offer;

/// When the guard speaks in the place of the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A human steps in.
    Escalate,
    /// A reply may not be shown.
    ReplacedReply,
    /// There is no answer.
    Unavailable,
}

pub(super) fn text(_: &Policy, _: Occasion, _: Language, offer: Option<&Offer>) -> String {
    let offer = offer.into_iter();
    let lines = offer.flat_map(|offer| {
        let lines = offer.helplines.iter().map(|line| format!("- {}: {}", line.name, line.contact));
        offer.words.iter().cloned().chain(lines)
    });
    lines.collect::<Vec<_>>().join("\n\n")
}

pub(super) fn support_note(_: &Policy, _: Language, offer: &Offer) -> Option<String> {
    Some(offer.words.join("\n"))
}
