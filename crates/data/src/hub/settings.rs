//! Where the hub is, where its cache lies and who we are, told from the same
//! variables that Python's `huggingface_hub` reads, so that both share one cache
//! and one login. An empty variable counts as not set.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{AtPath as _, HubError};

/// A secret of the user. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from its text; `None` where the text is blank.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// A token from a file that was named on purpose, so it must be there.
    ///
    /// # Errors
    /// When the file cannot be read or is blank.
    pub fn from_file(path: &Path) -> Result<Self, HubError> {
        let text = std::fs::read_to_string(path).at(path)?;
        let blank =
            || std::io::Error::new(std::io::ErrorKind::InvalidData, "expected a token, found nothing");
        Self::new(&text).ok_or_else(blank).at(path)
    }

    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Ask the hub.
    Online,
    /// Answer from the cache alone.
    Offline,
}

/// How to reach the hub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme and host, without a slash at the end.
    pub endpoint: String,
    /// The folder that holds `datasets--owner--name`.
    pub cache: PathBuf,
    /// Sent to the endpoint and to no other host.
    pub token: Option<Token>,
    /// Whether the network may be used.
    pub network: Network,
    /// Pause before the first retry; each further one is twice as long.
    pub first_pause: Duration,
}

/// Variables by name.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`,
    /// `HF_HUB_OFFLINE`, `HF_HUB_DISABLE_IMPLICIT_TOKEN` and their older names.
    ///
    /// # Errors
    /// [`HubError::NoHome`] when no variable tells where the cache may lie.
    pub fn from_environment(variable: Variables<'_>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let home = hub_home(&set)?;
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let cache = set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE"));
        Ok(Self {
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            cache: cache.map_or_else(|| home.join("hub"), |path| expand(&path, &set)),
            token: implicit_token(&home, &set),
            network: if is_on(&set, "HF_HUB_OFFLINE") { Network::Offline } else { Network::Online },
            first_pause: Duration::from_millis(100),
        })
    }
}

fn hub_home(set: Variables<'_>) -> Result<PathBuf, HubError> {
    if let Some(home) = set("HF_HOME") {
        return Ok(expand(&home, set));
    }
    let cache = set("XDG_CACHE_HOME").map(|path| expand(&path, set));
    let cache = cache.or_else(|| Some(user_home(set)?.join(".cache")));
    Ok(cache.ok_or(HubError::NoHome)?.join("huggingface"))
}

fn user_home(set: Variables<'_>) -> Option<PathBuf> {
    set("HOME").or_else(|| set("USERPROFILE")).map(PathBuf::from)
}

/// Python expands a leading `~`; a shell does not inside of quotes.
fn expand(path: &str, set: Variables<'_>) -> PathBuf {
    match (path.strip_prefix("~/"), user_home(set)) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// The token of a login, where the user has not forbidden to use it unasked.
fn implicit_token(home: &Path, set: Variables<'_>) -> Option<Token> {
    if is_on(set, "HF_HUB_DISABLE_IMPLICIT_TOKEN") {
        return None;
    }
    let given = set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN"));
    given.and_then(|text| Token::new(&text)).or_else(|| {
        let path = set("HF_TOKEN_PATH").map_or_else(|| home.join("token"), |path| expand(&path, set));
        Token::new(&std::fs::read_to_string(path).ok()?)
    })
}

/// As `huggingface_hub` reads a switch.
fn is_on(set: Variables<'_>, name: &str) -> bool {
    set(name).is_some_and(|value| matches!(value.trim().to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let find =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Settings::from_environment(&find).unwrap()
    }

    #[test]
    fn nothing_but_a_home_gives_pythons_defaults() {
        let found = settings(&[("HOME", "/home/ada"), ("HF_TOKEN", ""), ("HF_ENDPOINT", " ")]);
        assert_eq!(found.endpoint, "https://huggingface.co");
        assert_eq!(found.cache, Path::new("/home/ada/.cache/huggingface/hub"));
        assert_eq!((found.token, found.network), (None, Network::Online));
    }

    #[test]
    fn nearer_variables_win_over_wider_ones() {
        let variables =
            [("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf"), ("HF_HUB_CACHE", "/c")];
        assert_eq!(settings(&variables[..2]).cache, Path::new("/x/huggingface/hub"));
        assert_eq!(settings(&variables[..3]).cache, Path::new("/h/hf/hub"));
        assert_eq!(settings(&variables).cache, Path::new("/c"));
    }

    #[test]
    fn a_token_comes_from_variable_then_path_then_login() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let path = folder.path().join("elsewhere").display().to_string();
        std::fs::write(folder.path().join("token"), "of-login\n").unwrap();
        std::fs::write(&path, "of-path\n").unwrap();
        let token = |variables: &[(&str, &str)]| settings(variables).token;
        assert_eq!(token(&[("HF_HOME", &home), ("HF_TOKEN", "")]), Token::new("of-login"));
        assert_eq!(token(&[("HF_HOME", &home), ("HF_TOKEN_PATH", &path)]), Token::new("of-path"));
        let all = [("HF_HOME", home.as_str()), ("HF_TOKEN_PATH", &path), ("HF_TOKEN", "of-variable")];
        assert_eq!(token(&all), Token::new("of-variable"));
        assert_eq!(token(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
    }

    #[test]
    fn a_token_is_never_shown() {
        let found = settings(&[("HF_HOME", "/h"), ("HF_TOKEN", "hf_secret"), ("HF_HUB_OFFLINE", "yes")]);
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(found.network, Network::Offline);
    }
}
