//! What the pages say, in English and in French. Every phrase has both: the table does
//! not compile without. `{}` stands for what is filled in, in order.

use crate::store::accounts::DeskLanguage;

/// Speaks one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tongue(pub(super) DeskLanguage);

impl Tongue {
    /// The language of conversations that it is.
    pub(super) const fn spoken(self) -> mindrail_core::language::Language {
        match self.0 {
            DeskLanguage::English => mindrail_core::language::Language::En,
            DeskLanguage::French => mindrail_core::language::Language::Fr,
        }
    }
}

impl Tongue {
    /// A phrase.
    pub(super) const fn say(self, phrase: Phrase) -> &'static str {
        self.of(phrase.both())
    }

    /// A phrase with its gaps filled.
    pub(super) fn fill(self, phrase: Phrase, values: &[&str]) -> String {
        let mut parts = self.say(phrase).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (value, part) in values.iter().zip(parts) {
            text += value;
            text += part;
        }
        text
    }

    pub(super) const fn of(self, [english, french]: [&'static str; 2]) -> &'static str {
        match self.0 {
            DeskLanguage::English => english,
            DeskLanguage::French => french,
        }
    }

    /// A number as it is written in the language.
    pub(super) fn number(self, plain: &str) -> String {
        match self.0 {
            DeskLanguage::English => plain.to_owned(),
            DeskLanguage::French => plain.replace('.', ","),
        }
    }

    /// A risk; a dash where there is none.
    pub(super) fn risk(self, risk: Option<f32>) -> String {
        risk.map_or_else(|| "–".to_owned(), |risk| self.number(&format!("{risk:.2}")))
    }
}

macro_rules! phrases {
    ($($name:ident: $english:literal, $french:literal;)*) => {
        /// Something that a page says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Phrase { $($name),* }

        impl Phrase {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),*];

            /// In English and in French.
            const fn both(self) -> [&'static str; 2] {
                match self { $(Self::$name => [$english, $french]),* }
            }
        }
    };
}

phrases! {
    // Frame.
    SkipToContent: "Skip to content", "Aller au contenu";
    Navigation: "Parts of the desk", "Rubriques";
    LogIn: "Log in", "Se connecter";
    LogOut: "Log out", "Se déconnecter";
    NotADiagnosis: "Scores are not a diagnosis. A low score does not mean safe.", "Les scores ne sont pas un diagnostic. Un score bas ne veut pas dire hors de danger.";
    ModelLine: "Model {} {}", "Modèle {} {}";
    Keys: "Keys", "Raccourcis";
    KeyNext: "next in the queue", "suivant dans la file";
    KeyPrevious: "previous in the queue", "précédent dans la file";
    KeyOpen: "open", "ouvrir";
    KeyClaim: "claim", "prendre en charge";
    KeyAcknowledge: "acknowledge", "accuser réception";
    KeyQueue: "to the queue", "vers la file";
    KeyDashboard: "to the dashboard", "vers le tableau de bord";
    KeyHelp: "these keys", "ces raccourcis";
    BackToDesk: "Back to the desk", "Retour à l’accueil";
    DayShort: "d", "j";
    Yes: "yes", "oui";
    No: "no", "non";
    AsTable: "As a table", "Sous forme de tableau";
    Name: "Name", "Nom";
    Language: "Language", "Langue";
    Action: "Action", "Action";
    When: "When", "Quand";

    // What is said where something is not possible.
    NotFound: "Not found", "Introuvable";
    NoSuchReview: "There is nothing of this number here.", "Il n’y a rien de ce numéro ici.";
    NotTaken: "Not done", "Non effectué";
    FormTooLarge: "The form is too large.", "Le formulaire est trop volumineux.";
    FormNotOurs: "The form was too old, or did not come from this desk. Go back, reload the page and try again.", "Le formulaire était trop ancien ou ne venait pas d’ici. Revenez en arrière, rechargez la page et réessayez.";
    NotYours: "Not open to you", "Accès non ouvert";
    RoleDoesNotOpen: "Your role does not open this page.", "Votre rôle ne donne pas accès à cette page.";
    TenantNotConfigured: "Your organisation is not set up on this server.", "Votre organisation n’est pas configurée sur ce serveur.";
    Unavailable: "Not available", "Indisponible";
    StoreDoesNotAnswer: "The store does not answer. Nothing was done. Try again in a moment.", "La base ne répond pas. Rien n’a été fait. Réessayez dans un instant.";
    NothingYet: "Nothing yet.", "Rien pour l’instant.";

    // Logging in.
    Organisation: "Organisation", "Organisation";
    Password: "Password", "Mot de passe";
    WrongLogIn: "Name or password is not right.", "Le nom ou le mot de passe n’est pas correct.";
    SignOnAt: "Single sign-on", "Authentification unique";
    SignOnNotBegun: "This login was not begun here, or too long ago. Go back and begin anew.", "Cette connexion n’a pas été commencée ici, ou l’a été il y a trop longtemps. Revenez en arrière et recommencez.";
    SignOnFailed: "The identity provider could not confirm who you are. Whoever runs the server finds the reason in its log.", "Le fournisseur d’identité n’a pas pu confirmer qui vous êtes. La personne qui gère le serveur en trouve la raison dans son journal.";
    SignOnNotHere: "{} is not known at this desk. An administrator adds people, under exactly this name.", "{} n’est pas connu ici. Une personne de l’administration ajoute les gens, exactement sous ce nom.";
    SignOnOnly: "Passwords do not open this desk. Use single sign-on.", "Les mots de passe n’ouvrent pas cet accès. Utilisez l’authentification unique.";
    TooManyTries: "Too many tries. Wait a minute and try again.", "Trop de tentatives. Patientez une minute et réessayez.";
    NobodyYet: "Nobody works at this desk yet", "Personne ne travaille encore ici";
    NobodyYetWhy: "The console is open on this machine. Queue, dashboard and reports need a login. Whoever runs the server adds the first person:", "La console est ouverte sur cette machine. La file, le tableau de bord et les rapports demandent une connexion. La personne qui gère le serveur ajoute la première :";
    NobodyYetRoles: "Roles: counsellor (queue and reviews), admin (people, dashboard, reports), auditor (trail, access log, reports). The password is shown once.", "Rôles : counsellor (file et prises en charge), admin (personnes, tableau de bord, rapports), auditor (registre, journal des accès, rapports). Le mot de passe n’est affiché qu’une fois.";
    NobodyYetStore: "Run it in the folder of the server, or name its store with --store.", "À lancer dans le dossier du serveur, ou en indiquant sa base avec --store.";

    // Console.
    Console: "Console", "Console";
    ConsoleLead: "Type a conversation turn by turn, or paste one, and see what the guard sees.", "Saisissez une conversation tour par tour, ou collez-en une, et voyez ce que voit le garde-fou.";
    ConsoleNeedsScript: "The console needs scripts. The other pages work without.", "La console a besoin de scripts. Les autres pages fonctionnent sans.";
    ConsoleFailed: "That did not work:", "Cela n’a pas fonctionné :";
    ConsoleEmpty: "No turns yet.", "Aucun tour pour l’instant.";
    ConsoleText: "What is said", "Ce qui est dit";
    ConsoleTextHint: "Enter sends, Shift+Enter begins a line. A whole conversation (a transcript with names before the lines, or OpenAI messages) is read with the second button.", "Entrée envoie, Maj+Entrée commence une ligne. Une conversation entière (une transcription avec les noms en tête de ligne, ou des messages OpenAI) se lit avec le deuxième bouton.";
    Conversation: "Conversation", "Conversation";
    Person: "Person", "Personne";
    Assistant: "Assistant", "Assistant";
    UnknownSpeaker: "speaker unknown, read as shown", "locuteur inconnu, lu tel qu’affiché";
    OnlyTheFirst: "The text holds several conversations; this is the first.", "Le texte contient plusieurs conversations ; voici la première.";
    Send: "Send", "Envoyer";
    ReadAsConversation: "Read as conversation", "Lire comme conversation";
    TryTheExample: "Try the example", "Essayer l’exemple";
    StartAnew: "Start anew", "Recommencer";
    WhatTheGuardSees: "What the guard sees", "Ce que voit le garde-fou";
    PanelEmpty: "The timeline begins with the first turn.", "La chronologie commence au premier tour.";
    Announce: "Turn {}: risk {}, {}.", "Tour {} : risque {}, {}.";
    ExerciseNote: "Exercises stand in the audit trail and in the queue, marked as such; reports do not count them.", "Les exercices figurent au registre et dans la file, signalés comme tels ; les rapports ne les comptent pas.";

    // Timeline.
    Turn: "Turn", "Tour";
    Who: "Who", "Qui";
    WhatWasSaid: "What was said", "Ce qui a été dit";
    TurnRisk: "Risk of the turn", "Risque du tour";
    WhatBegins: "What shows itself", "Ce qui apparaît";
    DecisionThen: "Decision", "Décision";
    Evidence: "evidence", "indice";
    TextNotKept: "not kept", "non conservé";
    TextDoesNotOpen: "does not open: sealed under another key, or changed", "ne s’ouvre pas : scellé sous une autre clé, ou modifié";
    TurnByTurn: "Turn by turn", "Tour par tour";
    TimelinePicture: "Timeline", "Chronologie";
    TimelineSummary: "Risk over {} turns; the highest is {} at turn {}. The table below says the same.", "Risque sur {} tours ; le plus haut est {} au tour {}. Le tableau ci-dessous dit la même chose.";
    TimelineWithoutRisk: "{} turns, none with a score.", "{} tours, aucun avec un score.";
    LegendTurn: "risk of a turn", "risque d’un tour";
    LegendConversation: "risk of the conversation", "risque de la conversation";
    LegendEvidence: "evidence for the decision", "indice de la décision";
    LegendAlert: "Alert: first sign", "Alerte : premier signe";
    LegendConfirm: "Confirm: explicit", "Confirmation : explicite";
    LevelSupport: "support", "soutien";
    LevelHigh: "high risk", "risque élevé";
    Why: "Why", "Pourquoi";
    NoReasons: "No rule found anything. That does not mean safe.", "Aucune règle n’a rien trouvé. Cela ne veut pas dire hors de danger.";
    AtTurn: "turn {}", "tour {}";
    Reaches: "{} reaches {}", "{} atteint {}";
    Resources: "Resources", "Ressources";
    NoHelplines: "No services are set up: the operator adds those that were checked to the policy.", "Aucun service n’est configuré : l’exploitant ajoute à la politique ceux qui ont été vérifiés.";
    ConversationRisk: "Risk of the conversation", "Risque de la conversation";
    Decision: "Decision", "Décision";
    Risk: "Risk", "Risque";

    // Queue.
    Queue: "Queue", "File";
    QueueCount: "{} open, {} overdue", "{} en attente, {} en retard";
    QueueEmpty: "Nobody waits. New ones appear here by themselves.", "Personne n’attend. Les nouveaux apparaissent ici d’eux-mêmes.";
    ReviewNumber: "Review {}", "Dossier {}";
    Opened: "Opened", "Ouvert";
    Exercise: "exercise", "exercice";
    GoOn: "Go on", "Continuer";
    Claim: "Claim", "Prendre en charge";
    HeldBy: "Held by {}", "Pris en charge par {}";
    DueIn: "due in {}", "à voir dans {}";
    OverdueBy: "overdue by {}", "en retard de {}";
    LookedAfter: "looked at after {}", "vu après {}";
    StateOpen: "open", "en attente";
    StateAcknowledged: "acknowledged", "reçu";
    StateOverridden: "overridden: false alarm", "annulé : fausse alerte";
    StateResolved: "resolved", "résolu";
    SaidTaken: "Somebody else holds it, or it is closed.", "Quelqu’un d’autre s’en occupe, ou le dossier est clos.";
    SaidClaimed: "It is yours. The lock stays while this page is open.", "Il est à vous. Le verrou tient tant que cette page reste ouverte.";
    SaidReleased: "Given back to the queue.", "Remis dans la file.";
    SaidClosed: "Closed.", "Dossier clos.";
    SaidAcknowledged: "Acknowledged: the clock has stopped.", "Réception notée : le délai est arrêté.";
    SaidLost: "You do not hold this review any more. Claim it again before you go on.", "Vous n’avez plus ce dossier en charge. Reprenez-le avant de continuer.";
    SaidReason: "Nothing was closed: choose how it ends and give a reason.", "Rien n’a été clos : choisissez une issue et donnez une raison.";

    // Review.
    ExerciseReview: "An exercise from the console: nobody is in danger here.", "Un exercice de la console : personne n’est en danger ici.";
    NewestDecision: "Newest decision", "Dernière décision";
    HowDecided: "Evaluation", "Évaluation";
    ShowText: "Show what was said", "Afficher ce qui a été dit";
    ShowTextLogged: "Each look is recorded.", "Chaque consultation est consignée.";
    ClaimToRead: "Claim it to see what was said.", "Prenez-le en charge pour voir ce qui a été dit.";
    ClaimFirst: "Only whoever holds a review may read what was said.", "Seule la personne qui a le dossier en charge peut lire ce qui a été dit.";
    NoTextKept: "What was said is not kept here: numbers only.", "Ce qui a été dit n’est pas conservé ici : chiffres seulement.";
    ResourcesGiven: "Resources were given with the newest answer. What the policy offers now:", "Des ressources ont été fournies avec la dernière réponse. Ce que la politique propose :";
    ResourcesNotGiven: "No resources were given with the newest answer. What the policy offers now:", "Aucune ressource n’a été fournie avec la dernière réponse. Ce que la politique propose :";
    WhatToDo: "What to do", "Que faire";
    StateIs: "State:", "État :";
    ClaimWhy: "Claim it to work on it. Nobody else can take it meanwhile; the lock runs out after 10 minutes without you.", "Prenez-le en charge pour y travailler. Personne d’autre ne peut le prendre entre-temps ; le verrou s’éteint après 10 minutes sans vous.";
    YouHoldIt: "You hold it until", "Vous l’avez en charge jusqu’à";
    Acknowledge: "Acknowledge", "Accuser réception";
    GiveBack: "Give back", "Remettre dans la file";
    HowItEnds: "How it ends", "Issue";
    Resolve: "Resolve.", "Résoudre.";
    ResolveWhat: "The alarm was right and somebody has seen to it.", "L’alerte était justifiée et quelqu’un s’en est occupé.";
    Override: "Override.", "Annuler.";
    OverrideWhat: "It was a false alarm.", "C’était une fausse alerte.";
    Reason: "Reason", "Raison";
    ReasonHint: "In your words, without names. It goes when the conversation is erased.", "Dans vos mots, sans noms. Elle disparaît si la conversation est effacée.";
    Consent: "There is consent to use scores and outcome (not the text) for calibration.", "Il y a consentement à l’usage des scores et de l’issue (pas du texte) pour l’étalonnage.";
    CloseReview: "Close review", "Clore le dossier";
    ClosedBy: "Closed by", "Clos par";
    ClosedAt: "Closed", "Clos";
    ForCalibration: "For calibration", "Pour l’étalonnage";

    // Dashboard.
    Dashboard: "Dashboard", "Tableau de bord";
    Period: "Period", "Période";
    Days: "{} d", "{} j";
    Decisions: "Decisions", "Décisions";
    ExercisesApart: "{} exercises are not counted", "{} exercices ne sont pas comptés";
    Escalations: "Calls for a human", "Appels à un humain";
    StillOpen: "{} reviews are open now", "{} dossiers sont en attente";
    LeadTime: "Lead time", "Avance";
    LeadFigure: "{} turns, {}", "{} tours, {}";
    LeadNote: "median from first sign to call; {} of {} conversations with a call had shown one before", "médiane du premier signe à l’appel ; {} conversations sur {} avec appel en avaient montré un";
    FalseAlarms: "False alarms", "Fausses alertes";
    FalseAlarmNote: "{} of {} closed reviews were overridden; 95% interval {} to {}.", "{} dossiers clos sur {} ont été annulés ; intervalle à 95 % de {} à {}.";
    NothingClosed: "no review was closed in this period", "aucun dossier clos dans la période";
    Few: "Few cases: read it with care.", "Peu de cas : à lire avec prudence.";
    Latency: "Time to decide", "Temps de décision";
    LatencyNote: "median; 99 of 100 took at most {}", "médiane ; 99 sur 100 ont pris au plus {}";
    TimeToLook: "Time to a look", "Temps avant consultation";
    LookedNote: "median of closed reviews; {} of {} were late", "médiane des dossiers clos ; {} sur {} en retard";
    ByAction: "By action", "Par action";
    ByStatus: "By evaluation", "Par évaluation";
    Subject: "About", "Sujet";
    Reply: "Reply", "Réponse";
    ShareOf: "Share", "Part";
    SeveralModels: "Several models decided in this period:", "Plusieurs modèles ont décidé dans cette période :";
    DriftTitle: "Have scores moved?", "Les scores ont-ils bougé ?";
    DriftWhat: "Risk of decisions about persons by tenths, against a period that an admin has frozen as the reference. PSI is the population stability index.", "Risque des décisions sur les personnes par dixièmes, face à une période qu’un admin a figée comme référence. PSI est l’indice de stabilité de population.";
    NoReference: "No reference yet: an admin freezes a period once it has 100 decisions.", "Pas encore de référence : un admin fige une période dès qu’elle compte 100 décisions.";
    ReferenceOfOtherModel: "The reference was made with another model, and says nothing about this one.", "La référence vient d’un autre modèle et ne dit rien de celui-ci.";
    DriftFew: "Too few decisions to say: both periods need {}.", "Trop peu de décisions pour conclure : il en faut {} dans chaque période.";
    DriftByChance: "By chance alone it stays below {} in 95 of 100 periods of independent decisions.", "Par le seul hasard il reste sous {} dans 95 périodes sur 100 de décisions indépendantes.";
    DriftNone: "No more than chance.", "Pas plus que le hasard.";
    DriftSmall: "More than chance, but small.", "Plus que le hasard, mais faible.";
    DriftSome: "Some shift: look at what has changed.", "Un certain déplacement : voyez ce qui a changé.";
    DriftLarge: "A large shift: thresholds may not hold any more.", "Un fort déplacement : les seuils ne tiennent peut-être plus.";
    DriftFromBundle: "PSI against the synthetic conversations that the model was tested on: {}. What people write to you may well be different from these, and that is no fault; a change over the months is what matters.", "PSI face aux conversations synthétiques sur lesquelles le modèle a été testé : {}. Ce qu’on vous écrit peut très bien en différer, sans qu’il y ait de défaut ; c’est le changement au fil des mois qui compte.";
    ReferenceIsOf: "The reference is of", "La référence est de";
    Freeze: "Freeze this period as the reference", "Figer cette période comme référence";
    DistributionPicture: "Shares of decisions by tenths of risk; the table below says the same.", "Parts des décisions par dixièmes de risque ; le tableau ci-dessous dit la même chose.";
    ThisPeriod: "this period", "cette période";
    ReferencePeriod: "reference", "référence";

    // Reports.
    Reports: "Reports", "Rapports";
    ReportsLead: "Annual counts of referrals without identifiers, with the protocol behind them. Check with counsel what your law asks.", "Nombres annuels d’orientations sans identifiants, avec le protocole. Vérifiez auprès d’un juriste ce que demande votre loi.";
    Jurisdiction: "Jurisdiction", "Juridiction";
    Year: "Year", "Année";
    MakeReport: "Make report", "Établir";
    BadReportAsked:
        "Give a code of ISO 3166, such as US-CA or FR, and a year.",
        "Donnez un code ISO 3166, comme US-CA ou FR, et une année.";
    AnnualTitle: "Referrals in {}, {}", "Orientations pour {}, {}";
    YearNotOver: "the year is not over", "l’année n’est pas terminée";
    ReferralNotifications: "referral notifications: conversations in which resources were given", "notifications d’orientation : conversations où des ressources ont été fournies";
    ByQuarter: "By quarter", "Par trimestre";
    Withheld: "Withheld: a part is from 1 to 4.", "Non communiqué : une part est de 1 à 4.";
    Protocol: "Protocol", "Protocole";
    ProtocolInEnglish: "The protocol statement is in English.", "L’énoncé du protocole est en anglais.";
    Thresholds: "Thresholds", "Seuils";
    ThresholdValue: "Value", "Valeur";
    ChosenFor: "Chosen for", "Choisi pour";
    Recall: "Recall (95%)", "Rappel (95 %)";
    FalsePositives: "False-positive rate", "Taux de faux positifs";
    Conversations: "Conversations", "Conversations";
    PolicySettings: "Settings of the policy", "Réglages de la politique";
    Model: "Model", "Modèle";
    Policy: "Policy", "Politique";
    Notes: "Notes", "Remarques";
    CalibrationWhat: "Scores and outcomes of closed reviews for which consent was given; no text and no names.", "Scores et issues des dossiers clos avec consentement ; ni texte ni noms.";
    DownloadJsonLines: "Download JSON lines", "Télécharger (JSON lines)";

    // Trail.
    Trail: "Trail", "Registre";
    Chain: "Audit trail", "Registre d’audit";
    ChainWhat: "Each entry holds the hash of the one before. Note count and hash somewhere else: nothing inside a trail can tell that its end was cut off.", "Chaque entrée contient l’empreinte de la précédente. Notez ailleurs le nombre et l’empreinte : rien dans un registre ne peut dire que sa fin a été coupée.";
    ChainHolds: "The trail holds: {} entries.", "Le registre est intact : {} entrées.";
    ChainBroken: "The trail does not hold.", "Le registre n’est pas intact.";
    VerifyNow: "Verify now", "Vérifier maintenant";
    DownloadEntries: "Download our entries", "Télécharger nos entrées";
    AccessLog: "Access log", "Journal des accès";
    AccessLogWhat: "Who looked at what, and did what. It cannot be changed.", "Qui a consulté quoi, et fait quoi. Il ne peut pas être modifié.";
    DownloadAccessLog: "Download the access log", "Télécharger le journal";
    Deed: "Deed", "Acte";
    Review: "Review", "Dossier";

    // People.
    People: "People", "Personnes";
    Role: "Role", "Rôle";
    RoleAdmin: "admin", "admin";
    RoleCounsellor: "counsellor", "intervenant";
    RoleAuditor: "auditor", "auditeur";
    RolesWhat: "Counsellors work on the queue. Admins manage people and read figures; they see no conversation. Auditors read the trail, the access log and reports.", "Les intervenants travaillent sur la file. Les admins gèrent les personnes et lisent les chiffres ; ils ne voient aucune conversation. Les auditeurs lisent le registre, le journal et les rapports.";
    Since: "Since", "Depuis";
    AddSomebody: "Add somebody", "Ajouter quelqu’un";
    Add: "Add", "Ajouter";
    Disable: "Disable", "Désactiver";
    DisableName: "Disable {}", "Désactiver {}";
    DisabledSince: "disabled since", "désactivé depuis";
    ThisIsYou: "you", "vous";
    PasswordOnce: "The password of {}, shown once:", "Le mot de passe de {}, affiché une seule fois :";
    NameTaken: "Somebody has the name {} already.", "Quelqu’un porte déjà le nom {}.";
    BadName: "Give a name of 1 to 100 characters, a role and a language.", "Donnez un nom de 1 à 100 caractères, un rôle et une langue.";
    NotYourself: "You cannot disable yourself.", "Vous ne pouvez pas vous désactiver vous-même.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_gaps() {
        for phrase in Phrase::ALL {
            let [english, french] = phrase.both();
            assert_eq!(english.matches("{}").count(), french.matches("{}").count(), "{phrase:?}");
            assert!(!english.trim().is_empty() && !french.trim().is_empty(), "{phrase:?}");
        }
    }

    #[test]
    fn gaps_are_filled_in_order_and_numbers_are_written_as_the_language_does() {
        let french = Tongue(DeskLanguage::French);
        assert_eq!(french.fill(Phrase::Reaches, &["{}", "b"]), "{} atteint b");
        assert_eq!(french.risk(Some(0.5)), "0,50");
        assert_eq!(Tongue(DeskLanguage::English).risk(None), "–");
    }
}
