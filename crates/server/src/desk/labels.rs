//! The names of rules, labels and actions in words, in both languages. What this
//! version does not know is shown by its name on the wire.

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{CrisisLabel, CrisisType, ReplyClass, Signal, Stage, Taxonomy as _, Tense};

use super::words::Tongue;

impl Tongue {
    /// A rule's reason.
    pub(super) fn rule(self, wire: &str) -> String {
        self.known(match wire {
            "risk" => [
                "The risk of the whole conversation is high enough.",
                "Le risque de l’ensemble de la conversation est assez élevé.",
            ],
            "grave_signal" => ["One grave sign is certain.", "Un signe grave est certain."],
            "confirmed_crisis" => ["A crisis has become explicit.", "Une crise est devenue explicite."],
            "alert" => ["An ambiguous sign of a crisis.", "Un signe ambigu d’une crise."],
            "past_event" => ["A crisis that is over was disclosed.", "Une crise passée a été révélée."],
            "third_party" => {
                ["The person worries about somebody else.", "La personne s’inquiète pour quelqu’un d’autre."]
            }
            "unsafe_reply" => {
                ["The reply is not safe for this person.", "La réponse n’est pas sûre pour cette personne."]
            }
            "harmful_reply" => ["The reply does harm.", "La réponse est nuisible."],
            "not_evaluated" => [
                "Something could not be read, and is not taken for safe.",
                "Quelque chose n’a pas pu être lu, et n’est pas tenu pour sûr.",
            ],
            "open_review" => [
                "A human was called while the conversation could not be kept.",
                "Une personne a été appelée pendant que la conversation ne pouvait pas être conservée.",
            ],
            _ => return wire.to_owned(),
        })
    }

    /// An action.
    pub(super) fn action(self, wire: &str) -> String {
        self.known(match wire {
            "allow" => ["Allow", "Laisser"],
            "support" => ["Support", "Soutenir"],
            "escalate" => ["Call a human", "Appeler un humain"],
            "revise" => ["Revise", "Réécrire"],
            "block" => ["Block", "Bloquer"],
            _ => return wire.to_owned(),
        })
    }

    /// How a decision came about.
    pub(super) fn status(self, wire: &str) -> String {
        self.known(match wire {
            "ok" => ["complete", "complète"],
            "not_evaluated" => ["something not evaluated", "une partie non évaluée"],
            "degraded" => ["degraded: nothing scored", "dégradée : rien d’évalué"],
            "error" => ["not carried out", "non exécutée"],
            _ => return wire.to_owned(),
        })
    }

    /// A role in a conversation.
    pub(super) fn role(self, role: Role) -> &'static str {
        self.of(match role {
            Role::User => ["Person", "Personne"],
            Role::Assistant => ["Assistant", "Assistant"],
            Role::System => ["System", "Système"],
        })
    }

    /// A label of whichever taxonomy has it.
    pub(super) fn label(self, wire: &str) -> String {
        if let Ok(signal) = Signal::from_wire(wire) {
            return self.signal(signal).to_owned();
        }
        if let Ok(label) = CrisisLabel::from_wire(wire) {
            return self.crisis(label);
        }
        ReplyClass::from_wire(wire).map_or_else(|_| wire.to_owned(), |class| self.class(class).to_owned())
    }

    fn signal(self, signal: Signal) -> &'static str {
        self.of(match signal {
            Signal::BurdenLanguage => ["feels a burden to others", "se sent un fardeau"],
            Signal::FinalityLanguage => ["plan, means or farewell", "plan, moyens ou adieux"],
            Signal::EscapeFraming => ["wants it all to stop", "veut que tout s’arrête"],
            Signal::Hopelessness => ["sees no way out", "ne voit pas d’issue"],
            Signal::ActiveSelfHarm => ["self-harm now", "automutilation en cours"],
            Signal::ImmediateSafety => ["present danger", "danger immédiat"],
            Signal::SelfImageCrisis => ["crisis of self-worth", "crise de l’estime de soi"],
            Signal::ThirdPartyConcern => ["concern for somebody else", "inquiétude pour autrui"],
            Signal::Testing => ["tests the listener", "met l’écoute à l’épreuve"],
        })
    }

    /// An onset.
    pub(super) fn crisis(self, label: CrisisLabel) -> String {
        let what = self.of(match label.stage() {
            Stage::Alert => ["first sign", "premier signe"],
            Stage::Confirm(CrisisType::SuicidalIdeationPassive) => ["wish to be dead", "désir de mort"],
            Stage::Confirm(CrisisType::SuicidalIdeationActive) => ["suicidal intent", "intention suicidaire"],
            Stage::Confirm(CrisisType::SelfHarm) => ["self-harm", "automutilation"],
            Stage::Confirm(CrisisType::DomesticViolence) => ["partner violence", "violence conjugale"],
            Stage::Confirm(CrisisType::ChildAbuse) => ["abuse of a minor", "maltraitance d’un mineur"],
            Stage::Confirm(CrisisType::SexualHarassment) => ["sexual harassment", "harcèlement sexuel"],
            Stage::Confirm(CrisisType::Rape) => ["rape", "viol"],
        });
        let when = self.of(match label.tense() {
            Tense::Ongoing => ["now", "actuel"],
            Tense::Past => ["past", "passé"],
        });
        format!("{what}, {when}")
    }

    /// A reply's class.
    pub(super) fn class(self, class: ReplyClass) -> &'static str {
        self.of(match class {
            ReplyClass::Nonsense => ["nonsense", "propos incohérents"],
            ReplyClass::HumanoidMimicry => ["pretends to be human", "se fait passer pour un humain"],
            ReplyClass::LinguisticNeglect => ["passes over what was said", "passe à côté de ce qui est dit"],
            ReplyClass::UnamiableJudgment => ["judges the person", "juge la personne"],
            ReplyClass::ToxicLanguage => ["hurtful words", "propos blessants"],
            ReplyClass::UnauthorizedPreachment => ["preaches", "fait la leçon"],
            ReplyClass::NonfactualStatement => ["untrue statement", "affirmation fausse"],
            ReplyClass::SafeResponse => ["safe reply", "réponse sûre"],
        })
    }

    fn known(self, both: [&'static str; 2]) -> String {
        self.of(both).to_owned()
    }
}
