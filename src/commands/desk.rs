//! `mindrail desk`: who works at the desk that `mindrail serve` shows.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use mindrail_server::calendar::date;
use mindrail_server::desk::password;
use mindrail_server::http::now_ms;
use mindrail_server::store::accounts::{DeskLanguage, DeskRole, DeskUser, LONGEST_USER_NAME, is_user_name};
use mindrail_server::tenant::DEFAULT;

use super::serve::StoreOf;
use super::{Exit, complain, print};

/// People at the desk of `mindrail serve`.
///
/// Counsellors work on the queue, admins manage people and read figures, auditors read
/// the trail, the access log and reports. Nobody has two roles.
#[derive(Debug, Subcommand)]
pub(crate) enum Desk {
    /// Add somebody, and print their password, once.
    AddUser(AddUser),
    /// List who works at the desk.
    List(List),
    /// Shut somebody out from now on.
    Disable(Named),
    /// Give somebody another password, print it once, and end their sessions.
    SetPassword(SetPassword),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Of one tenant only.
    #[arg(long)]
    tenant: Option<String>,

    #[command(flatten)]
    of: StoreOf,
}

/// Whom.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Their name.
    #[arg(value_name = "NAME")]
    name: String,

    /// Whose conversations they see.
    #[arg(long, default_value = DEFAULT)]
    tenant: String,

    #[command(flatten)]
    of: StoreOf,
}

#[derive(Debug, Args)]
pub(crate) struct AddUser {
    #[command(flatten)]
    named: Named,

    /// What they may do: admin, counsellor or auditor.
    #[arg(long)]
    role: DeskRole,

    /// The language in which the desk speaks to them: en or fr.
    #[arg(long, default_value = "en")]
    language: DeskLanguage,

    #[command(flatten)]
    chosen: Chosen,
}

#[derive(Debug, Args)]
pub(crate) struct SetPassword {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    chosen: Chosen,
}

/// Where the password comes from.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// Read the password from standard input instead of making one.
    #[arg(long)]
    password_stdin: bool,
}

impl Desk {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::AddUser(add) => add.run(),
            Self::List(list) => list.run(),
            Self::Disable(named) => disable(&named),
            Self::SetPassword(set) => set.run(),
        }
    }
}

impl Chosen {
    fn password(&self) -> anyhow::Result<String> {
        if !self.password_stdin {
            return Ok(password::generate());
        }
        if std::io::stdin().is_terminal() {
            complain("type the password, then Enter and Ctrl-D; it is shown as you type");
        }
        let mut text = String::new();
        let most = 4 * password::LONGEST as u64;
        std::io::stdin().take(most).read_to_string(&mut text).context("standard input")?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Prints a password that was made here, once.
    fn tell(&self, password: &str) -> anyhow::Result<()> {
        if !self.password_stdin {
            print(&format!("password: {password}\n"))?;
            complain("this is shown once; hand it over in private");
        }
        Ok(())
    }
}

impl AddUser {
    fn run(self) -> anyhow::Result<Exit> {
        let Named { name, tenant, of } = &self.named;
        if !is_user_name(name) {
            bail!(
                "NAME: expected 1 to {LONGEST_USER_NAME} characters, none of them a control character or a space at an end"
            );
        }
        of.check_tenant(tenant)?;
        let chosen = self.chosen.password()?;
        let user = DeskUser {
            tenant: tenant.clone(),
            name: name.clone(),
            role: self.role,
            language: self.language,
            created_ms: now_ms(),
            disabled_ms: None,
        };
        if !of.open_or_make()?.add_user(&user, &password::hash(&chosen)?)? {
            bail!("{tenant}: somebody has the name {name:?} already");
        }
        self.chosen.tell(&chosen)?;
        Ok(Exit::Done)
    }
}

impl SetPassword {
    fn run(self) -> anyhow::Result<Exit> {
        let Named { name, tenant, of } = &self.named;
        let chosen = self.chosen.password()?;
        if !of.open()?.set_password(tenant, name, &password::hash(&chosen)?)? {
            bail!("{tenant}: there is nobody of the name {name:?}");
        }
        self.chosen.tell(&chosen)?;
        Ok(Exit::Done)
    }
}

fn disable(Named { name, tenant, of }: &Named) -> anyhow::Result<Exit> {
    if !of.open()?.disable_user(tenant, name, now_ms())? {
        bail!("{tenant}: nobody of the name {name:?} could log in");
    }
    Ok(Exit::Done)
}

impl List {
    fn run(self) -> anyhow::Result<Exit> {
        let row = |user: &DeskUser| {
            let state =
                user.disabled_ms.map_or_else(|| "active".to_owned(), |ms| format!("disabled {}", date(ms)));
            let since = date(user.created_ms);
            format!(
                "{}\t{}\t{}\t{}\t{since}\t{state}\n",
                user.tenant,
                user.name,
                user.role,
                user.language.tag()
            )
        };
        let rows: Vec<String> = self.of.open()?.users(self.tenant.as_deref())?.iter().map(row).collect();
        print(&format!("tenant\tname\trole\tlanguage\tsince\tstate\n{}", rows.concat()))?;
        Ok(Exit::Done)
    }
}
