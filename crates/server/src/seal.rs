//! What was said, sealed: AES-256-GCM (NIST SP 800-38D) under a key from the
//! environment, with a random nonce for each turn, bound to tenant, conversation and
//! place, so that a sealed turn that is moved elsewhere does not open.

use mindrail_core::conversation::Turn;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::store::random;

/// The key of a tenant's texts. `Debug` does not show it.
pub struct TextKey(LessSafeKey);

impl std::fmt::Debug for TextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TextKey")
    }
}

/// A text that cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key is none.
    #[error("found a key of another shape, expected 64 hexadecimal digits (32 bytes)")]
    NoKey,
    /// It was sealed under another key, or changed or moved.
    #[error("a kept text does not open: it was sealed under another key, or changed")]
    DoesNotOpen,
}

/// Where a turn belongs.
#[derive(Debug, Clone, Copy)]
pub struct PlaceOf<'a> {
    /// Whose conversation.
    pub tenant: &'a str,
    /// Which.
    pub conversation: &'a str,
    /// Which turn of it, from 0.
    pub turn: usize,
}

impl PlaceOf<'_> {
    fn bytes(self) -> Vec<u8> {
        serde_json::to_vec(&(self.tenant, self.conversation, self.turn)).unwrap_or_default()
    }
}

impl TextKey {
    /// Reads a key: 64 hexadecimal digits, as `openssl rand -hex 32` makes them.
    ///
    /// # Errors
    /// [`SealError::NoKey`].
    pub fn from_hex(text: &str) -> Result<Self, SealError> {
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return Err(SealError::NoKey);
        }
        let byte =
            |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| SealError::NoKey);
        let bytes = (0..32).map(byte).collect::<Result<Vec<u8>, _>>()?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| SealError::NoKey)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals a turn: the nonce, then the ciphertext with its tag.
    ///
    /// # Panics
    /// Never for texts below 64 GiB, which is where the cipher ends.
    pub fn seal(&self, turn: &Turn, place: PlaceOf<'_>) -> Vec<u8> {
        let nonce = random::<NONCE_LEN>();
        let mut text = serde_json::to_vec(turn).unwrap_or_default();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.bytes()),
                &mut text,
            )
            .expect("the text is short");
        [nonce.as_slice(), &text].concat()
    }

    /// Opens a sealed turn.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, sealed: &[u8], place: PlaceOf<'_>) -> Result<Turn, SealError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::DoesNotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::DoesNotOpen)?;
        let mut text = text.to_vec();
        let open = self.0.open_in_place(nonce, Aad::from(place.bytes()), &mut text);
        let open = open.map_err(|_| SealError::DoesNotOpen)?;
        serde_json::from_slice(open).map_err(|_| SealError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::conversation::Role;

    use super::*;

    #[test]
    fn a_sealed_turn_opens_under_its_key_and_in_its_place_only() {
        let key = TextKey::from_hex(&"0f".repeat(32)).unwrap();
        let turn = Turn { role: Role::User, text: "hello".to_owned() };
        let place = PlaceOf { tenant: "t", conversation: "c", turn: 3 };
        let sealed = key.seal(&turn, place);
        assert!(!sealed.windows(5).any(|window| window == b"hello"));
        assert_ne!(sealed, key.seal(&turn, place), "each nonce is new");
        assert_eq!(key.open(&sealed, place), Ok(turn));
        assert_eq!(key.open(&sealed, PlaceOf { turn: 4, ..place }), Err(SealError::DoesNotOpen));
        assert_eq!(key.open(&sealed, PlaceOf { tenant: "u", ..place }), Err(SealError::DoesNotOpen));
        let other = TextKey::from_hex(&"1f".repeat(32)).unwrap();
        assert_eq!(other.open(&sealed, place), Err(SealError::DoesNotOpen));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&changed, place), Err(SealError::DoesNotOpen));
            assert_eq!(key.open(&sealed[..at], place), Err(SealError::DoesNotOpen));
        }
    }

    #[test]
    fn a_key_of_another_shape_is_refused() {
        for text in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(TextKey::from_hex(text).unwrap_err(), SealError::NoKey);
        }
    }
}
