//! What all pages share: head, navigation, foot, and the small parts that several of
//! them are made of.

use axum::http::StatusCode;
use axum::response::Response;
use maud::{DOCTYPE, Markup, html};

use super::assets::address;
use super::visit::Visit;
use super::words::{Phrase, Tongue};
use crate::calendar::{instant, minute};
use crate::store::accounts::DeskRole;

/// A part of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Console,
    Queue,
    Dashboard,
    Reports,
    Trail,
    People,
}

impl Tab {
    const ALL: [Self; 6] =
        [Self::Console, Self::Queue, Self::Dashboard, Self::Reports, Self::Trail, Self::People];

    /// Whether a role may see it. Who manages people reads no conversations, and who
    /// reads conversations manages no people.
    pub(super) const fn opens_to(self, role: DeskRole) -> bool {
        match self {
            Self::Console => matches!(role, DeskRole::Admin | DeskRole::Counsellor),
            Self::Queue => matches!(role, DeskRole::Counsellor),
            Self::Dashboard => true,
            Self::Reports => matches!(role, DeskRole::Admin | DeskRole::Auditor),
            Self::Trail => matches!(role, DeskRole::Auditor),
            Self::People => matches!(role, DeskRole::Admin),
        }
    }

    /// The page that somebody sees first.
    pub(super) const fn first_of(role: DeskRole) -> &'static str {
        match role {
            DeskRole::Admin | DeskRole::Auditor => "/desk/dashboard",
            DeskRole::Counsellor => "/desk/queue",
        }
    }

    const fn address(self) -> &'static str {
        match self {
            Self::Console => "/desk",
            Self::Queue => "/desk/queue",
            Self::Dashboard => "/desk/dashboard",
            Self::Reports => "/desk/reports",
            Self::Trail => "/desk/trail",
            Self::People => "/desk/people",
        }
    }

    pub(super) const fn title(self) -> Phrase {
        match self {
            Self::Console => Phrase::Console,
            Self::Queue => Phrase::Queue,
            Self::Dashboard => Phrase::Dashboard,
            Self::Reports => Phrase::Reports,
            Self::Trail => Phrase::Trail,
            Self::People => Phrase::People,
        }
    }
}

/// A page of the desk.
pub(super) struct Page<'a> {
    pub(super) visit: &'a Visit,
    /// The part that it belongs to; none for what belongs to no part.
    pub(super) tab: Option<Tab>,
    pub(super) title: &'a str,
    pub(super) main: Markup,
}

impl Page<'_> {
    pub(super) fn answer(self) -> Response {
        self.answer_as(StatusCode::OK)
    }

    pub(super) fn answer_as(self, status: StatusCode) -> Response {
        let Self { visit, tab, title, main } = self;
        let page = html! {
            (DOCTYPE)
            html lang=(visit.tongue.0.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (title) " · Mindrail" }
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href=(address("desk.css"));
                    script src=(address("desk.js")) defer {}
                    @if tab == Some(Tab::Console) { script src=(address("console.js")) defer {} }
                }
                body {
                    a.skip href="#main" { (visit.say(Phrase::SkipToContent)) }
                    (header(visit, tab))
                    main #main tabindex="-1" { (main) }
                    (footer(visit))
                }
            }
        };
        visit.html(status, page)
    }
}

fn header(visit: &Visit, current: Option<Tab>) -> Markup {
    let shown = |tab: &Tab| match &visit.user {
        Some(user) => tab.opens_to(user.role),
        // Whoever tries it out sees what there is, and what it takes to see it.
        None => visit.open && matches!(tab, Tab::Console | Tab::Queue | Tab::Dashboard | Tab::Reports),
    };
    html! {
        header.top {
            a.brand href="/desk" aria-label="Mindrail" {
                svg.mark width="22" height="22" viewBox="0 0 22 22" aria-hidden="true" focusable="false" {
                    path d="M3 6.5h16M3 15.5h16" {}
                    circle cx="11" cy="11" r="2.6" {}
                }
                span { "Mindrail" }
            }
            nav aria-label=(visit.say(Phrase::Navigation)) {
                ul {
                    @for tab in Tab::ALL.iter().filter(|tab| shown(tab)) {
                        li {
                            a href=(tab.address()) aria-current=[(current == Some(*tab)).then_some("page")] {
                                (visit.say(tab.title()))
                            }
                        }
                    }
                }
            }
            div.who {
                (language_form(visit))
                @match &visit.user {
                    Some(user) => {
                        span.name title=(user.tenant) { (user.name) }
                        form method="post" action="/desk/logout" {
                            (token(visit))
                            button.quiet type="submit" { (visit.say(Phrase::LogOut)) }
                        }
                    }
                    None => { a.quiet href="/desk/login" { (visit.say(Phrase::LogIn)) } }
                }
            }
        }
    }
}

/// The other language, for those who are logged in; a browser's setting decides for the
/// others.
fn language_form(visit: &Visit) -> Markup {
    use crate::store::accounts::DeskLanguage;
    let (tag, name) = match visit.tongue.0 {
        DeskLanguage::English => ("fr", "Français"),
        DeskLanguage::French => ("en", "English"),
    };
    html! {
        @if visit.user.is_some() {
            form method="post" action="/desk/language" {
                (token(visit))
                input type="hidden" name="back" value=(visit.uri.path());
                button.quiet type="submit" name="language" value=(tag) lang=(tag) { (name) }
            }
        }
    }
}

fn footer(visit: &Visit) -> Markup {
    let model = visit.shared.service.judge_of().model();
    html! {
        footer {
            p { (visit.say(Phrase::NotADiagnosis)) }
            p {
                (visit.tongue.fill(Phrase::ModelLine, &[&model.name, &model.version]))
                " · "
                code { (&model.sha256[..12]) }
            }
            details.keys {
                summary { (visit.say(Phrase::Keys)) }
                dl {
                    @for (key, meaning) in KEYS { dt { kbd { (key) } } dd { (visit.say(meaning)) } }
                }
            }
        }
    }
}

/// Keys that the script knows.
const KEYS: [(&str, Phrase); 8] = [
    ("j", Phrase::KeyNext),
    ("k", Phrase::KeyPrevious),
    ("Enter", Phrase::KeyOpen),
    ("c", Phrase::KeyClaim),
    ("a", Phrase::KeyAcknowledge),
    ("g q", Phrase::KeyQueue),
    ("g d", Phrase::KeyDashboard),
    ("?", Phrase::KeyHelp),
];

/// The hidden field that every form holds.
pub(super) fn token(visit: &Visit) -> Markup {
    html! { input type="hidden" name="form" value=(visit.form_token()); }
}

/// A page that says one thing.
pub(super) fn notice(visit: &Visit, status: StatusCode, title: Phrase, words: Phrase) -> Response {
    let main = html! {
        section.card.narrow {
            h1 { (visit.say(title)) }
            p { (visit.say(words)) }
            p { a href="/desk" { (visit.say(Phrase::BackToDesk)) } }
        }
    };
    Page { visit, tab: None, title: visit.say(title), main }.answer_as(status)
}

/// A time, which the script puts into the reader's own time zone.
pub(super) fn time(ms: u64) -> Markup {
    html! { time datetime=(instant(ms)) { (minute(ms)) } }
}

/// An action as a chip: its word, with a shape that does not rest on colour.
pub(super) fn action(tongue: Tongue, wire: &str) -> Markup {
    let (class, shape) = match wire {
        "escalate" | "block" => ("chip grave", "▲"),
        "support" | "revise" => ("chip watch", "◆"),
        _ => ("chip calm", "●"),
    };
    html! { span class=(class) { span aria-hidden="true" { (shape) } " " (tongue.action(wire)) } }
}

/// A length of time in its two largest units: `3 min`, `1 h 5 min`, `2 d 4 h`.
pub(super) fn length(tongue: Tongue, ms: u64) -> String {
    let minutes = ms / 60_000;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let day = tongue.say(Phrase::DayShort);
    match (days, hours) {
        (0, 0) if minutes == 0 => format!("{} s", ms / 1000),
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} {day} {hours} h"),
    }
}

/// A share as a percentage.
pub(super) fn percent(tongue: Tongue, share: f64) -> String {
    let sign = tongue.of(["%", "\u{a0}%"]);
    tongue.number(&format!("{:.1}", share * 100.0)) + sign
}
