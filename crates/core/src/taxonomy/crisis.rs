//! The sixteen Alert / Confirm labels of CRADLE-Dialogue. A label marks an
//! *onset*: the turn at which something begins to show. Later turns about the
//! same event carry none, so an empty turn does not mean a safe one.

use serde::{Deserialize, Serialize};

/// The kind of crisis that a Confirm names. In files it has the published code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CrisisType {
    /// A wish to be dead without plan or intent (C-SSRS 1 to 3).
    SuicidalIdeationPassive,
    /// Suicidal intent, method or preparation (C-SSRS 4 to 5).
    SuicidalIdeationActive,
    /// Self-injury or urges to it without suicidal intent.
    SelfHarm,
    /// Violence or coercive control between intimate partners.
    DomesticViolence,
    /// Abuse, neglect or endangerment of a minor by an adult.
    ChildAbuse,
    /// Unwanted sexual advances or contact without penetration.
    SexualHarassment,
    /// Penetration by force or without consent.
    Rape,
}

impl CrisisType {
    /// Every type.
    pub const ALL: [Self; 7] = [
        Self::SuicidalIdeationPassive,
        Self::SuicidalIdeationActive,
        Self::SelfHarm,
        Self::DomesticViolence,
        Self::ChildAbuse,
        Self::SexualHarassment,
        Self::Rape,
    ];

    /// The published code, such as `SI_active`.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::SuicidalIdeationPassive => "SI_passive",
            Self::SuicidalIdeationActive => "SI_active",
            Self::SelfHarm => "SH",
            Self::DomesticViolence => "DV",
            Self::ChildAbuse => "CA",
            Self::SexualHarassment => "SHA",
            Self::Rape => "RA",
        }
    }
}

impl TryFrom<String> for CrisisType {
    type Error = String;

    fn try_from(found: String) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|crisis| crisis.wire() == found);
        known.ok_or_else(|| {
            let codes = Self::ALL.map(Self::wire).join("`, `");
            format!("found `{found}`, expected one of `{codes}`")
        })
    }
}

impl From<CrisisType> for String {
    fn from(crisis: CrisisType) -> Self {
        crisis.wire().to_owned()
    }
}

/// Whether a crisis goes on, or could recur now, or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tense {
    /// Current, or could recur now.
    Ongoing,
    /// Over.
    Past,
}

/// How far a crisis has shown itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The earliest ambiguous sign; the type is not certain yet.
    Alert,
    /// The type has become explicit.
    Confirm(CrisisType),
}

/// One of the sixteen onset labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is documented by its taxonomy entry")]
pub enum CrisisLabel {
    AlertOngoing,
    AlertPast,
    ConfirmSiPassiveOngoing,
    ConfirmSiPassivePast,
    ConfirmSiActiveOngoing,
    ConfirmSiActivePast,
    ConfirmShOngoing,
    ConfirmShPast,
    ConfirmDvOngoing,
    ConfirmDvPast,
    ConfirmCaOngoing,
    ConfirmCaPast,
    ConfirmShaOngoing,
    ConfirmShaPast,
    ConfirmRaOngoing,
    ConfirmRaPast,
}

impl CrisisLabel {
    /// Alert, or Confirm with its type.
    pub const fn stage(self) -> Stage {
        match self {
            Self::AlertOngoing | Self::AlertPast => Stage::Alert,
            Self::ConfirmSiPassiveOngoing | Self::ConfirmSiPassivePast => {
                Stage::Confirm(CrisisType::SuicidalIdeationPassive)
            }
            Self::ConfirmSiActiveOngoing | Self::ConfirmSiActivePast => {
                Stage::Confirm(CrisisType::SuicidalIdeationActive)
            }
            Self::ConfirmShOngoing | Self::ConfirmShPast => Stage::Confirm(CrisisType::SelfHarm),
            Self::ConfirmDvOngoing | Self::ConfirmDvPast => Stage::Confirm(CrisisType::DomesticViolence),
            Self::ConfirmCaOngoing | Self::ConfirmCaPast => Stage::Confirm(CrisisType::ChildAbuse),
            Self::ConfirmShaOngoing | Self::ConfirmShaPast => Stage::Confirm(CrisisType::SexualHarassment),
            Self::ConfirmRaOngoing | Self::ConfirmRaPast => Stage::Confirm(CrisisType::Rape),
        }
    }

    /// Ongoing or past. Labels come in pairs of these two, in this order.
    pub const fn tense(self) -> Tense {
        if (self as usize).is_multiple_of(2) { Tense::Ongoing } else { Tense::Past }
    }
}

super::taxonomy!(CrisisLabel, "crisis", [
    AlertOngoing => {
        wire: "alert_ongoing",
        definition: "The earliest ambiguous sign of a possible crisis that goes on now.",
        boundary: "Once the type is explicit, the turn is a Confirm; ordinary sadness is neither.",
        source: "CRADLE-Dialogue",
    },
    AlertPast => {
        wire: "alert_past",
        definition: "The earliest ambiguous sign of a possible crisis that is over.",
        boundary: "If it could recur now, it is ongoing.",
        source: "CRADLE-Dialogue",
    },
    ConfirmSiPassiveOngoing => {
        wire: "confirm_SI_passive_ongoing",
        definition: "A present wish to be dead becomes explicit, without plan or intent.",
        boundary: "Method, intent or preparation makes it active; exaggeration in jest is none.",
        source: "CRADLE-Dialogue; C-SSRS 1-3",
    },
    ConfirmSiPassivePast => {
        wire: "confirm_SI_passive_past",
        definition: "An earlier wish to be dead becomes explicit, without plan or intent.",
        boundary: "A wish that still comes back is ongoing.",
        source: "CRADLE-Dialogue; C-SSRS 1-3",
    },
    ConfirmSiActiveOngoing => {
        wire: "confirm_SI_active_ongoing",
        definition: "Present suicidal intent, method or preparation becomes explicit.",
        boundary: "A wish to be dead alone is passive.",
        source: "CRADLE-Dialogue; C-SSRS 4-5",
    },
    ConfirmSiActivePast => {
        wire: "confirm_SI_active_past",
        definition: "Earlier suicidal intent, preparation or an attempt becomes explicit.",
        boundary: "A plan that was never given up is ongoing.",
        source: "CRADLE-Dialogue; C-SSRS 4-5",
    },
    ConfirmShOngoing => {
        wire: "confirm_SH_ongoing",
        definition: "Present self-injury, or urges to it, without suicidal intent becomes explicit.",
        boundary: "With intent to die it is active suicidal ideation.",
        source: "CRADLE-Dialogue",
    },
    ConfirmShPast => {
        wire: "confirm_SH_past",
        definition: "Earlier self-injury without suicidal intent becomes explicit.",
        boundary: "Urges that remain make it ongoing.",
        source: "CRADLE-Dialogue",
    },
    ConfirmDvOngoing => {
        wire: "confirm_DV_ongoing",
        definition: "Present violence or coercive control by an intimate partner becomes explicit.",
        boundary: "A quarrel between equals without fear is none; a parent's violence is child abuse.",
        source: "CRADLE-Dialogue",
    },
    ConfirmDvPast => {
        wire: "confirm_DV_past",
        definition: "Earlier violence or coercive control by an intimate partner becomes explicit.",
        boundary: "If the partner can still reach the person, it is ongoing.",
        source: "CRADLE-Dialogue",
    },
    ConfirmCaOngoing => {
        wire: "confirm_CA_ongoing",
        definition: "Present abuse, neglect or endangerment of a minor by an adult becomes explicit.",
        boundary: "Strictness without harm or danger is none.",
        source: "CRADLE-Dialogue",
    },
    ConfirmCaPast => {
        wire: "confirm_CA_past",
        definition: "Abuse, neglect or endangerment in an earlier childhood becomes explicit.",
        boundary: "If the person is a minor and the adult still has access, it is ongoing.",
        source: "CRADLE-Dialogue",
    },
    ConfirmShaOngoing => {
        wire: "confirm_SHA_ongoing",
        definition: "Present unwanted sexual advances or contact without penetration become explicit.",
        boundary: "With penetration it is rape; a compliment that stops when asked is none.",
        source: "CRADLE-Dialogue",
    },
    ConfirmShaPast => {
        wire: "confirm_SHA_past",
        definition: "Earlier unwanted sexual advances or contact without penetration become explicit.",
        boundary: "If it could happen again in the same place, it is ongoing.",
        source: "CRADLE-Dialogue",
    },
    ConfirmRaOngoing => {
        wire: "confirm_RA_ongoing",
        definition: "Penetration by force or without consent that goes on or could recur becomes explicit.",
        boundary: "A single event that is over, with no further access, is past.",
        source: "CRADLE-Dialogue",
    },
    ConfirmRaPast => {
        wire: "confirm_RA_past",
        definition: "An earlier penetration by force or without consent becomes explicit.",
        boundary: "Contact without penetration is sexual harassment.",
        source: "CRADLE-Dialogue",
    },
]);
