//! Passwords: argon2id with the parameters that OWASP's password storage cheat sheet
//! asks for (19 MiB, two passes, one lane), each with a salt of its own.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};

use crate::store::{hex, random};

/// Characters that a password has at least (NIST SP 800-63B).
pub const SHORTEST: usize = 12;

/// Characters that a password has at most, so that nobody keeps the machine busy.
pub const LONGEST: usize = 256;

/// A password that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password has {found} characters, expected {SHORTEST} to {LONGEST}")]
pub struct BadLength {
    /// How many it has.
    pub found: usize,
}

/// What is kept of a password.
///
/// # Errors
/// [`BadLength`].
///
/// # Panics
/// Never: the parameters are argon2's own, and the salt is of the right length.
pub fn hash(password: &str) -> Result<String, BadLength> {
    let found = password.chars().count();
    if !(SHORTEST..=LONGEST).contains(&found) {
        return Err(BadLength { found });
    }
    let salt = SaltString::encode_b64(&random::<16>()).expect("16 bytes are a salt");
    let hashed = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hashed.expect("the parameters are argon2's own").to_string())
}

/// Whether a password is the one that was kept. Where nothing was kept (there is nobody
/// of the name) it takes as long, and is not.
pub fn matches(password: &str, kept: Option<&str>) -> bool {
    use std::sync::LazyLock;
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash(&generate()).expect("it is long"));
    let stored = PasswordHash::new(kept.unwrap_or(&NOBODY));
    let is_right = password.chars().count() <= LONGEST
        && stored.is_ok_and(|stored| Argon2::default().verify_password(password.as_bytes(), &stored).is_ok());
    is_right && kept.is_some()
}

/// A password of 120 random bits.
pub fn generate() -> String {
    let digits = hex(&random::<15>());
    let groups: Vec<&str> = (0..6).map(|group| &digits[5 * group..5 * group + 5]).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_password_matches_itself_only_and_nobody_has_one() {
        let password = generate();
        let kept = hash(&password).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(matches(&password, Some(&kept)));
        assert!(!matches(&generate(), Some(&kept)));
        assert!(!matches(&password, Some("what is no hash")));
        assert!(!matches(&password, None));
        assert_ne!(kept, hash(&password).unwrap(), "each salt is new");
    }

    #[test]
    fn short_and_endless_passwords_are_not_taken() {
        assert_eq!(hash("short"), Err(BadLength { found: 5 }));
        assert_eq!(hash(&"x".repeat(257)), Err(BadLength { found: 257 }));
        assert!(hash(&"é".repeat(12)).is_ok());
    }
}
