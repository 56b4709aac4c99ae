//! The nine distress signals of the KHP Youth Mental Health Guardrail, in its
//! output order. They hold for a conversation and are pooled over user turns.

/// A distress signal. A signal explains; it is not by itself a verdict, and
/// may be present in a low-risk conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is documented by its taxonomy entry")]
pub enum Signal {
    BurdenLanguage,
    FinalityLanguage,
    EscapeFraming,
    Hopelessness,
    ActiveSelfHarm,
    ImmediateSafety,
    SelfImageCrisis,
    ThirdPartyConcern,
    Testing,
}

impl Signal {
    /// The signals of which a single certain one is enough to raise risk:
    /// self-harm now; plan, means or farewell; present danger.
    pub const GRAVE: [Self; 3] = [Self::FinalityLanguage, Self::ActiveSelfHarm, Self::ImmediateSafety];
}

super::taxonomy!(Signal, "signal", [
    BurdenLanguage => {
        wire: "burden_language",
        definition: "The person feels a burden on others, or says that others would be better off without them.",
        boundary: "Guilt about one favour or one bill, without the wish to be out of the way, is not enough.",
        source: "KHP guardrail, signal 0",
    },
    FinalityLanguage => {
        wire: "finality_language",
        definition: "Permanent endings: farewells, giving things away, notes, a plan, a date, means.",
        boundary: "The end of a school year, a job or a relationship is not finality unless life itself is meant.",
        source: "KHP guardrail, signal 1",
    },
    EscapeFraming => {
        wire: "escape_framing",
        definition: "Death, self-harm or vanishing is seen as relief or as a way out.",
        boundary: "Wanting a holiday, a nap or another town, without vanishing from life, does not count.",
        source: "KHP guardrail, signal 2",
    },
    Hopelessness => {
        wire: "hopelessness",
        definition: "A pervasive belief that nothing will improve: trapped, worthless, numb, no future.",
        boundary: "Pessimism about one exam, match or argument is not pervasive.",
        source: "KHP guardrail, signal 3",
    },
    ActiveSelfHarm => {
        wire: "active_self_harm",
        definition: "Present or recent self-injury, urges to it or its escalation, explicit or coded.",
        boundary: "Self-injury that is clearly over, with no present urge, does not count.",
        source: "KHP guardrail, signal 4",
    },
    ImmediateSafety => {
        wire: "immediate_safety",
        definition: "Imminent danger: violence, coercion or an unsafe home now, or a crisis under way.",
        boundary: "A past danger, or a quarrel without threat, does not count.",
        source: "KHP guardrail, signal 5",
    },
    SelfImageCrisis => {
        wire: "self_image_crisis",
        definition: "Collapse of identity or self-worth: broken, disgusting, unknown to oneself.",
        boundary: "Dislike of a haircut or a bad mark is not a collapse.",
        source: "KHP guardrail, signal 6",
    },
    ThirdPartyConcern => {
        wire: "third_party_concern",
        definition: "The person is worried about somebody else's safety.",
        boundary: "Gossip or annoyance about somebody, without fear for them, does not count.",
        source: "KHP guardrail, signal 7",
    },
    Testing => {
        wire: "testing",
        definition: "The person probes what the listener may handle: hypotheticals, half-disclosures, questions about limits.",
        boundary: "Plain curiosity about how a chatbot works, with nothing held back, does not count.",
        source: "KHP guardrail, signal 8",
    },
]);
