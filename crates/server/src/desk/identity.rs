//! An identity provider that says who somebody is: `OpenID` Connect Core 1.0, the code flow
//! with PKCE (RFC 7636). Nothing is kept between the two halves of a log-in but a random
//! secret in a cookie, from which state, nonce and verifier are derived; so either half may
//! come to any replica.
//!
//! The provider says who somebody is and nothing else: what they may do is decided here,
//! by the name under which they were added.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};
use mindrail_core::digest::sha256;
use ring::signature as ring_signature;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// How long the provider may take for an answer.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// Bytes of an answer of the provider.
const LARGEST_ANSWER: usize = 1 << 20;

/// The algorithms of signatures that are believed: those of public keys.
const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
];

/// Whether passwords open the desk beside the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Passwords {
    /// They do.
    #[default]
    On,
    /// They do not.
    Off,
}

/// A provider, as a configuration names it.
#[derive(Clone)]
pub struct Provider {
    /// Who the provider is; its settings are found below this address.
    pub issuer: String,
    /// As whom Mindrail is known there.
    pub client_id: String,
    /// What shows that it is Mindrail.
    pub client_secret: String,
    /// Where the provider sends people back to: `https://HOST/desk/login/back`.
    pub redirect: String,
    /// The claim that holds somebody's name at the desk.
    pub name_claim: String,
    /// Whether passwords open the desk as well.
    pub passwords: Passwords,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why nobody is logged in. No message holds a token or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("the provider did not answer as expected: {0}")]
    Provider(String),
    #[error("the token does not hold: {0}")]
    Token(String),
}

/// Words by which a provider says that there is no code or token (RFC 6749, 4.1.2.1 and
/// 5.2; `OpenID` Connect Core 1.0, 3.1.2.6). Others may hold anything and are not repeated.
const ERRORS: [&str; 14] = [
    "access_denied",
    "consent_required",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "account_selection_required",
];

impl IdentityError {
    /// The provider sent somebody back without a code.
    pub(super) fn sent_back(error: Option<&str>) -> Self {
        let known = error.and_then(|error| ERRORS.into_iter().find(|known| *known == error));
        Self::Provider(format!("it sent no code, and says {}", known.unwrap_or("nothing of why")))
    }
}

/// What a log-in that is under way is known by.
pub(super) struct UnderWay<'a> {
    /// The cookie's secret.
    secret: &'a str,
    tenant: &'a str,
}

impl<'a> UnderWay<'a> {
    pub(super) fn new(secret: &'a str, tenant: &'a str) -> Self {
        Self { secret, tenant }
    }

    fn derived(&self, what: &str) -> String {
        sha256(format!("{what}:{}:{}", self.tenant, self.secret).as_bytes())
    }

    /// What comes back unchanged: the tenant, and that it is this browser's log-in.
    pub(super) fn state(&self) -> String {
        format!("{}.{}", self.tenant, self.derived("state"))
    }

    fn nonce(&self) -> String {
        self.derived("nonce")
    }

    fn verifier(&self) -> String {
        self.derived("verifier")
    }
}

/// The tenant that a state names.
pub(super) fn tenant_of(state: &str) -> Option<&str> {
    state.rsplit_once('.').map(|(tenant, _)| tenant)
}

/// What is used of a provider's own settings (`OpenID` Connect Discovery 1.0).
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    /// Where somebody goes to show who they are.
    pub(super) async fn begin(&self, under_way: &UnderWay<'_>) -> Result<String, IdentityError> {
        let found = self.discover().await?;
        let digest = ring::digest::digest(&ring::digest::SHA256, under_way.verifier().as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(digest);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("scope", "openid profile email")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("state", &under_way.state())
            .append_pair("nonce", &under_way.nonce())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let separator = if found.authorization_endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{}{separator}{query}", found.authorization_endpoint))
    }

    /// The name of whoever comes back with a code.
    pub(super) async fn end(&self, code: &str, under_way: &UnderWay<'_>) -> Result<String, IdentityError> {
        let found = self.discover().await?;
        let verifier = under_way.verifier();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect)
            .append_pair("code_verifier", &verifier)
            .finish();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let asked = CLIENT
            .post(&found.token_endpoint)
            .basic_auth(encoded(&self.client_id), Some(encoded(&self.client_secret)))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form);
        let tokens: Tokens = answer("token_endpoint", asked).await?;
        let keys: JwkSet = answer("jwks_uri", CLIENT.get(&found.jwks_uri)).await?;
        self.name_in(&tokens.id_token, &keys, &under_way.nonce())
    }

    async fn discover(&self) -> Result<Discovered, IdentityError> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let found: Discovered = answer("openid-configuration", CLIENT.get(address)).await?;
        if found.issuer != self.issuer {
            let problem = "openid-configuration: found another issuer than the configuration names, \
                perhaps by a slash at the end";
            return Err(IdentityError::Provider(problem.to_owned()));
        }
        Ok(found)
    }

    /// The name that a token holds, if it is the provider's, for this client, for this
    /// log-in and for now (`OpenID` Connect Core 1.0, 3.1.3.7).
    fn name_in(&self, token: &str, keys: &JwkSet, nonce: &str) -> Result<String, IdentityError> {
        // The words of a reader of JSON would repeat what it read.
        let wrong = |error: jsonwebtoken::errors::Error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => {
                IdentityError::Token("it cannot be read".to_owned())
            }
            _ => IdentityError::Token(error.to_string()),
        };
        let _ = PROVIDER.install_default();
        let header = jsonwebtoken::decode_header(token).map_err(wrong)?;
        let key = key_of(keys, header.kid.as_deref())
            .ok_or_else(|| IdentityError::Token("none of the provider's keys is its key".to_owned()))?;
        let mut validation = Validation::new(header.alg);
        validation.algorithms = ALGORITHMS.into_iter().filter(|algorithm| *algorithm == header.alg).collect();
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.client_id]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        let key = DecodingKey::from_jwk(key).map_err(wrong)?;
        let claims =
            jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).map_err(wrong)?.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("nonce") != Some(nonce) {
            return Err(IdentityError::Token("it was made for another log-in".to_owned()));
        }
        // A token for several clients says which of them asked for it.
        if text("azp").is_some_and(|party| party != self.client_id) {
            return Err(IdentityError::Token("another client asked for it".to_owned()));
        }
        let is_verified = matches!(claims.get("email_verified"), None | Some(Value::Bool(true)));
        if self.name_claim == "email" && !is_verified {
            return Err(IdentityError::Token("the provider has not verified the email".to_owned()));
        }
        text(&self.name_claim)
            .map(str::to_owned)
            .ok_or_else(|| IdentityError::Token(format!("it has no claim {}", self.name_claim)))
    }
}

/// The key that a token names, or the only one where it names none.
fn key_of<'a>(keys: &'a JwkSet, id: Option<&str>) -> Option<&'a Jwk> {
    match id {
        Some(id) => keys.find(id),
        None => keys.keys.first().filter(|_| keys.keys.len() == 1),
    }
}

/// Asks all providers; it keeps no connection open, since hardly anybody logs in.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = crate::tls::client().timeout(LONGEST_CALL).pool_max_idle_per_host(0).build();
    client.expect("the settings are fixed, and the root certificates are in the program")
});

/// An error with what caused it: whether a name, a connection or a certificate was wrong.
fn causes(error: &dyn std::error::Error) -> String {
    let caused = std::iter::successors(Some(error), |error| error.source());
    caused.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// An answer of the provider of a bearable size. What it sent is in no message.
async fn answer<T: DeserializeOwned>(what: &str, asked: reqwest::RequestBuilder) -> Result<T, IdentityError> {
    let failed = |problem: String| IdentityError::Provider(format!("{what}: {problem}"));
    let mut answer = asked.send().await.map_err(|error| failed(causes(&error.without_url())))?;
    if !answer.status().is_success() {
        return Err(failed(format!("found status {}", answer.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| failed(causes(&error.without_url())))? {
        if body.len() + piece.len() > LARGEST_ANSWER {
            return Err(failed(format!("found more than {LARGEST_ANSWER} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|_| failed("found no JSON of the expected shape".to_owned()))
}

/// The signatures of tokens by ring, which speaks TLS here as well.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(ByRing { algorithm: *algorithm, key: key.clone() })),
    key_utils: KeyUtils::new_unimplemented(),
};

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl ByRing {
    fn is_right(&self, message: &[u8], signed: &[u8]) -> bool {
        use ring_signature::{
            ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
            RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
            RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
        };
        let by_curve = |algorithm: &'static dyn ring_signature::VerificationAlgorithm| {
            let key = self.key.try_get_as_bytes().ok();
            key.is_some_and(|key| UnparsedPublicKey::new(algorithm, key).verify(message, signed).is_ok())
        };
        let by_rsa = |parameters| match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signed).is_ok()
            }
            DecodingKeyKind::SecretOrDer(_) => false,
        };
        match self.algorithm {
            Algorithm::RS256 => by_rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => by_rsa(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => by_rsa(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => by_rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => by_rsa(&RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => by_rsa(&RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => by_curve(&ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => by_curve(&ECDSA_P384_SHA384_FIXED),
            // Those of a shared secret prove nothing that the client could not have made.
            _ => false,
        }
    }
}

impl signature::Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        if self.is_right(message, signed) { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    fn provider() -> Provider {
        Provider {
            issuer: "https://id.example".to_owned(),
            client_id: "desk".to_owned(),
            client_secret: "s".to_owned(),
            redirect: "https://guard.example/desk/login/back".to_owned(),
            name_claim: "email".to_owned(),
            passwords: Passwords::On,
        }
    }

    struct Signer(EcdsaKeyPair, SystemRandom);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            Self(EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap(), random)
        }

        fn keys(&self) -> JwkSet {
            let point = self.0.public_key().as_ref();
            let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
            let key = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": x, "y": y});
            serde_json::from_value(json!({"keys": [key]})).unwrap()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", part(header), part(claims));
            let signed = self.0.sign(&self.1, message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed))
        }
    }

    fn claims() -> Value {
        let now = crate::http::now_ms() / 1000;
        json!({"iss": "https://id.example", "aud": "desk", "sub": "1", "exp": now + 300, "iat": now,
            "nonce": "n", "email": "ada@example.org", "email_verified": true})
    }

    #[test]
    fn a_token_that_holds_names_somebody_and_any_other_nobody() {
        let (signer, other) = (Signer::new(), Signer::new());
        let header = json!({"alg": "ES256", "kid": "k"});
        let name = |token: &str| provider().name_in(token, &signer.keys(), "n");
        let good = signer.token(&header, &claims());
        assert_eq!(name(&good), Ok("ada@example.org".to_owned()));
        let now = crate::http::now_ms() / 1000;
        for (claim, value) in [
            ("iss", json!("https://other.example")),
            ("aud", json!("another")),
            ("aud", json!(["another"])),
            ("exp", json!(now - 300)),
            ("nbf", json!(now + 300)),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
            ("azp", json!("another")),
            ("email_verified", json!(false)),
            ("email_verified", json!("false")),
            ("email", Value::Null),
            ("sub", Value::Null),
        ] {
            let mut changed = claims();
            if value.is_null() {
                changed.as_object_mut().unwrap().remove(claim);
            } else {
                changed[claim] = value.clone();
            }
            let found = name(&signer.token(&header, &changed));
            assert!(matches!(found, Err(IdentityError::Token(_))), "{claim} {value}: {found:?}");
        }
        // Signed by somebody else, not signed, of another algorithm, of another key.
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        let none = good.replacen(
            good.split('.').next().unwrap(),
            &URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "k"}).to_string()),
            1,
        );
        for token in [
            other.token(&header, &claims()),
            unsigned,
            none,
            signer.token(&json!({"alg": "HS256", "kid": "k"}), &claims()),
            signer.token(&json!({"alg": "RS256", "kid": "k"}), &claims()),
            signer.token(&json!({"alg": "ES256", "kid": "l"}), &claims()),
            "x".to_owned(),
        ] {
            assert!(matches!(name(&token), Err(IdentityError::Token(_))), "{token}");
        }
    }

    #[test]
    fn a_signature_of_rsa_is_checked_as_the_standard_s_example_says() {
        // RFC 7515, appendix A.2.
        let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signed = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let signed = URL_SAFE_NO_PAD.decode(signed).unwrap();
        let key = DecodingKey::from_rsa_components(n, "AQAB").unwrap();
        let by_ring = |algorithm| ByRing { algorithm, key: key.clone() };
        assert!(by_ring(Algorithm::RS256).is_right(message.as_bytes(), &signed));
        assert!(!by_ring(Algorithm::RS256).is_right(b"another", &signed));
        assert!(!by_ring(Algorithm::PS256).is_right(message.as_bytes(), &signed));
        assert!(!by_ring(Algorithm::ES256).is_right(message.as_bytes(), &signed));
    }

    #[test]
    fn a_log_in_is_its_browser_s_and_its_tenant_s() {
        let state = UnderWay::new("s", "a.b").state();
        assert_eq!(tenant_of(&state), Some("a.b"));
        assert_ne!(state, UnderWay::new("t", "a.b").state());
        let under_way = UnderWay::new("s", "a");
        let mut derived = vec![under_way.state(), under_way.nonce(), under_way.verifier()];
        derived.dedup();
        assert_eq!(derived.len(), 3);
        assert!((43..=128).contains(&under_way.verifier().len()), "RFC 7636, 4.1");
    }
}
