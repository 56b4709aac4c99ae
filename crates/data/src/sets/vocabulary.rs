//! Closed lists of names. A name of a list becomes a variant at the edge; another
//! name is kept as it is, so that it can be counted and reported, never dropped.

use std::fmt;

use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Severity, Signal, Taxonomy};

/// A closed list of names.
pub trait Vocabulary: Copy + Eq + Ord + fmt::Debug + 'static {
    /// All of them, in their published order.
    const ALL: &'static [Self];

    /// The name in files.
    fn wire(self) -> &'static str;

    /// The variant of a name, if the list has it.
    fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|item| item.wire() == name)
    }
}

/// A name of a list, or another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term<T> {
    /// A name of the list.
    Known(T),
    /// A name that the list does not have. It may be anybody's words: it is written
    /// back to data, but stands in no message and no table.
    Unknown(String),
}

impl<T: Vocabulary> Term<T> {
    /// Reads a name.
    pub fn of(name: &str) -> Self {
        T::from_wire(name).map_or_else(|| Self::Unknown(name.to_owned()), Self::Known)
    }

    /// The name in files.
    pub fn wire(&self) -> &str {
        match self {
            Self::Known(item) => item.wire(),
            Self::Unknown(name) => name,
        }
    }

    /// The name in tables, where unknown names are one.
    pub fn shown(&self) -> &'static str {
        self.known().map_or("(other)", Vocabulary::wire)
    }

    /// The item of the list, if it is one.
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(item) => Some(*item),
            Self::Unknown(_) => None,
        }
    }
}

/// The taxonomies of the core are vocabularies too.
macro_rules! taxonomies {
    ($($type:ty),+) => {$(
        impl Vocabulary for $type {
            const ALL: &'static [Self] = <Self as Taxonomy>::ALL;

            fn wire(self) -> &'static str {
                Taxonomy::wire(self)
            }
        }
    )+};
}
taxonomies!(CrisisLabel, Harm, ReplyClass, Severity, Signal);

/// A fieldless enum with the names of its variants in files.
macro_rules! vocabulary {
    ($(#[$meta:meta])* $type:ident { $($variant:ident = $wire:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the name in files says it")]
        pub enum $type { $($variant),+ }

        impl Vocabulary for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn wire(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }
        }
    };
}

vocabulary! {
    /// How far the distress of a generated KHP conversation goes.
    EscalationStage { Early = "early", Mid = "mid", Full = "full", None = "none" }
}

vocabulary! {
    /// How the person of a generated KHP conversation writes.
    Register {
        CasualTexting = "casual_texting",
        ForumPost = "forum_post",
        VoiceMemo = "voice_memo_transcription",
        Journalling = "journalling",
        AiChat = "ai_chat_direct",
    }
}

vocabulary! {
    /// The signal that a KHP conversation was written for, or none.
    PrimarySignal {
        BurdenLanguage = "burden_language",
        FinalityLanguage = "finality_language",
        EscapeFraming = "escape_framing",
        Hopelessness = "hopelessness",
        ActiveSelfHarm = "active_self_harm",
        ImmediateSafety = "immediate_safety",
        SelfImageCrisis = "self_image_crisis",
        ThirdPartyConcern = "third_party_concern",
        Testing = "testing",
        None = "none",
    }
}

vocabulary! {
    /// The risk of a conversation of KHP's seed.
    RiskName { High = "high", Low = "low" }
}

vocabulary! {
    /// Who speaks in an ESConv dialogue, in its three spellings.
    Speaker {
        Seeker = "seeker", Supporter = "supporter",
        FailedSeeker = "speaker", FailedSupporter = "listener",
        HubSeeker = "usr", HubSupporter = "sys",
    }
}

vocabulary! {
    /// The language of a conversation; mix is code switching between both.
    Language { English = "en", French = "fr", Mix = "mix" }
}

vocabulary! {
    /// What makes a KHP conversation hard.
    HardnessTrack { Subtle = "subtle", Escalating = "escalating", AdversarialNegative = "adversarial_negative" }
}

vocabulary! {
    /// The 23 topics of KHP, then the spellings of the seed set.
    Topic {
        Isolation = "Isolation",
        Prank = "Prank/Joke",
        Suicide = "Suicide",
        School = "School & Studies",
        Grief = "Grief/Loss",
        Bullying = "Bullying/Harassment",
        SocialRelationships = "Social Relationships",
        SubstanceUse = "Substance Use",
        MentalHealth = "Mental Health & Emotions",
        Identity = "Identity & Belonging",
        SelfHarm = "Self-Harm",
        BodyImage = "Body Image",
        PhysicalViolence = "Physical Violence",
        HomeLife = "Home Life & Family",
        RomanticRelationships = "Romantic Relationships",
        Safety = "Safety & Abuse",
        HateSpeech = "Hate Speech",
        SexualHealth = "Sexual Health",
        Puberty = "Puberty/Life Changes",
        Personality = "Personality",
        ThirdParty = "Third Party",
        SeekingSupport = "Seeking Support",
        Testing = "Testing",
        SeedIsolation = "Isolation (incl. Digital Loneliness)",
        SeedSocialRelationships = "Social Relationships & Friendships",
        SeedBullying = "Bullying / Harassment",
        SeedGrief = "Grief / Loss",
        SeedPuberty = "Puberty & Life changes",
        SeedHateSpeech = "Hate-Speech",
        SeedRomantic = "Romantic / Sexual Relationships",
    }
}

vocabulary! {
    /// Where a KHP row comes from.
    Origin {
        Scratch = "generate_scratch",
        Camel = "generate_camel",
        CamelHardSubtle = "camel_hard_subtle",
        CamelHardEscalating = "camel_hard_escalating",
        PairPositive = "pair_hard_positive",
        PairNegative = "pair_adversarial_negative",
        PairHardSubtle = "pair_hard_subtle",
        PairHardEscalating = "pair_hard_escalating",
        PairHardNegative = "pair_hard_adversarial_negative",
        Esconv = "esconv",
        LangRewrite = "lang_rewrite",
        PersonaSwap = "persona_swap",
        EsconvSwapped = "esconv_swapped",
        SignalInjectKhp = "signal_inject_khp",
        SignalInjectEsconv = "signal_inject_esconv",
        SignalSoften = "signal_soften",
    }
}

vocabulary! {
    /// The 14 harm categories of `BeaverTails` in id order. Names contain commas.
    BeaverHarm {
        AnimalAbuse = "animal_abuse",
        ChildAbuse = "child_abuse",
        ControversialTopics = "controversial_topics,politics",
        Discrimination = "discrimination,stereotype,injustice",
        DrugAbuse = "drug_abuse,weapons,banned_substance",
        FinancialCrime = "financial_crime,property_crime,theft",
        HateSpeech = "hate_speech,offensive_language",
        Misinformation = "misinformation_regarding_ethics,laws_and_safety",
        NonViolentUnethical = "non_violent_unethical_behavior",
        PrivacyViolation = "privacy_violation",
        SelfHarm = "self_harm",
        SexuallyExplicit = "sexually_explicit,adult_content",
        Terrorism = "terrorism,organized_crime",
        Violence = "violence,aiding_and_abetting,incitement",
    }
}

vocabulary! {
    /// The 15 labels of CRADLE-Bench in their canonical spelling.
    PostLabel {
        SiPassiveOngoing = "suicideideation_passive_ongoing",
        SiPassivePast = "suicideideation_passive_past",
        SiActiveOngoing = "suicideideation_active_ongoing",
        SiActivePast = "suicideideation_active_past",
        SelfHarmOngoing = "selfharm_ongoing",
        SelfHarmPast = "selfharm_past",
        DomesticViolenceOngoing = "domesticviolence_ongoing",
        DomesticViolencePast = "domesticviolence_past",
        ChildAbuseOngoing = "childabuse_endangerment_ongoing",
        ChildAbusePast = "childabuse_endangerment_past",
        SexualHarassmentOngoing = "sexualharassment_ongoing",
        SexualHarassmentPast = "sexualharassment_past",
        RapeOngoing = "rape_ongoing",
        RapePast = "rape_past",
        NoCrisis = "no_crisis",
    }
}

vocabulary! {
    /// The problems of ESConv dialogues.
    Problem {
        Depression = "ongoing depression",
        Breakup = "breakup with partner",
        Job = "job crisis",
        Friends = "problems with friends",
        Academic = "academic pressure",
        Procrastination = "procrastination",
        Alcohol = "alcohol abuse",
        Parents = "conflict with parents",
        ParentIssues = "issues with parents",
        Sleep = "sleep problems",
        Appearance = "appearance anxiety",
        SchoolBullying = "school bullying",
        Children = "issues with children",
    }
}

vocabulary! {
    /// The emotions of ESConv dialogues.
    Emotion {
        Anger = "anger", Anxiety = "anxiety", Depression = "depression", Disgust = "disgust", Fear = "fear",
        Guilt = "guilt", Jealousy = "jealousy", Nervousness = "nervousness", Pain = "pain",
        Sadness = "sadness", Shame = "shame",
    }
}

vocabulary! {
    /// Where the prompts of PKU-SafeRLHF come from.
    PromptSource { Alpaca3 = "Alpaca3-70B", BeaverTails = "Beavertails", Wizard = "WizardLM-30B-Uncensored" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trips<T: Vocabulary>(size: usize) {
        assert_eq!(T::ALL.len(), size);
        for &item in T::ALL {
            assert_eq!(T::from_wire(item.wire()), Some(item), "a name stands twice");
        }
    }

    #[test]
    fn names_round_trip_and_lists_have_their_published_sizes() {
        round_trips::<Topic>(23 + 7);
        round_trips::<BeaverHarm>(14);
        round_trips::<PostLabel>(15);
        round_trips::<CrisisLabel>(16);
        round_trips::<Harm>(19);
        round_trips::<Register>(5);
        round_trips::<Origin>(16);
    }

    #[test]
    fn an_unknown_name_is_kept_but_not_shown() {
        let term = Term::<Language>::of("xx");
        assert_eq!((term.wire(), term.shown(), term.known()), ("xx", "(other)", None));
    }
}
