//! Keys that sign, and what they sign: JWS (RFC 7515), JWK (RFC 7517), JWA (RFC 7518, RFC 8037), JWT (RFC 7519).

use kernel::Problem;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longer than any token that is given out or taken.
pub const LONGEST: usize = 8 * 1024;
const RSA_BITS: usize = 2048;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256: small and quick, and every library of today knows it.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA with SHA-256, for clients that know nothing else.
    #[serde(rename = "RS256")]
    Rs256,
}

fn url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// A public key. Members that are not part of the key itself are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kty")]
pub enum Jwk {
    /// A point on P-256.
    #[serde(rename = "EC")]
    Ec {
        /// `P-256`.
        crv: String,
        /// One coordinate.
        x: String,
        /// The other.
        y: String,
    },
    /// A point on Ed25519.
    #[serde(rename = "OKP")]
    Okp {
        /// `Ed25519`.
        crv: String,
        /// The point.
        x: String,
    },
    /// Modulus and exponent.
    #[serde(rename = "RSA")]
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
}

impl Jwk {
    /// The algorithm that it is used with, if it is a key that is taken at all.
    pub fn algorithm(&self) -> Option<Algorithm> {
        let long = |text: &str, expected: usize| bytes(text).is_some_and(|bytes| bytes.len() == expected);
        match self {
            Self::Ec { crv, x, y } => (crv == "P-256" && long(x, 32) && long(y, 32)).then_some(Algorithm::Es256),
            Self::Okp { crv, x } => (crv == "Ed25519" && long(x, 32)).then_some(Algorithm::EdDsa),
            Self::Rsa { n, e } => {
                let fits = bytes(n).is_some_and(|n| (256..=512).contains(&n.len()) && n.first() != Some(&0))
                    && bytes(e).is_some_and(|e| (1..=4).contains(&e.len()));
                fits.then_some(Algorithm::Rs256)
            }
        }
    }

    /// Its name: the thumbprint (RFC 7638).
    pub fn thumbprint(&self) -> String {
        // Only base64url and names of curves are in these: nothing that JSON would escape.
        let canonical = match self {
            Self::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        url(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref())
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let checked = match self {
            Self::Ec { x, y, .. } => bytes(x).zip(bytes(y)).map(|(x, y)| {
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }),
            Self::Okp { x, .. } => bytes(x).map(|x| UnparsedPublicKey::new(&ED25519, x).verify(signed, signature)),
            Self::Rsa { n, e } => bytes(n)
                .zip(bytes(e))
                .map(|(n, e)| RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)),
        };
        checked.is_some_and(|checked| checked.is_ok())
    }
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A key pair, parsed once and used for many signatures.
pub(crate) struct Signer {
    pair: Pair,
    algorithm: Algorithm,
    kid: String,
}

fn broken() -> Problem {
    Problem::internal("the signing key is broken")
}

/// A new private key (PKCS #8). An RSA key takes its time: call it where nothing waits.
pub(crate) fn generate(algorithm: Algorithm) -> Result<Vec<u8>, Problem> {
    use rsa::pkcs8::EncodePrivateKey;
    let random = SystemRandom::new();
    let none = |_| Problem::internal("no signing key could be made");
    Ok(match algorithm {
        Algorithm::Es256 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(none)?.as_ref().to_vec()
        }
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random).map_err(none)?.as_ref().to_vec(),
        Algorithm::Rs256 => {
            let key = rsa::PrivateKey::new(&mut System(random), RSA_BITS).map_err(Problem::internal)?;
            key.to_pkcs8_der().map_err(Problem::internal)?.as_bytes().to_vec()
        }
    })
}

/// The operating system's generator, in the form that `rsa` takes.
struct System(SystemRandom);

impl rsa::rand_core::TryRng for System {
    type Error = std::io::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut drawn = [0; 4];
        self.try_fill_bytes(&mut drawn)?;
        Ok(u32::from_ne_bytes(drawn))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut drawn = [0; 8];
        self.try_fill_bytes(&mut drawn)?;
        Ok(u64::from_ne_bytes(drawn))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(to).map_err(|_| std::io::Error::other("no random bytes"))
    }
}

impl rsa::rand_core::TryCryptoRng for System {}

impl Signer {
    pub(crate) fn parse(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, Problem> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                let parsed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
                Pair::Ec(parsed.map_err(|_| broken())?)
            }
            Algorithm::EdDsa => Pair::Ed(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| broken())?),
            Algorithm::Rs256 => Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| broken())?)),
        };
        let mut it = Self { pair, algorithm, kid: String::new() };
        it.kid = it.public()?.thumbprint();
        Ok(it)
    }

    /// The public half.
    pub(crate) fn public(&self) -> Result<Jwk, Problem> {
        Ok(match &self.pair {
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(32).ok_or_else(broken)?;
                Jwk::Ec { crv: "P-256".to_owned(), x: url(x), y: url(y) }
            }
            Pair::Ed(pair) => Jwk::Okp { crv: "Ed25519".to_owned(), x: url(pair.public_key().as_ref()) },
            Pair::Rsa(pair) => {
                let parts: RsaPublicKeyComponents<Vec<u8>> = pair.public().into();
                Jwk::Rsa { n: url(&parts.n), e: url(&parts.e) }
            }
        })
    }

    /// A signed token of a type (RFC 7515, section 4.1.9).
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, Problem> {
        let header = Header { alg: self.algorithm, typ: Some(typ.to_owned()), kid: Some(self.kid.clone()) };
        let encode = |part: Result<Vec<u8>, serde_json::Error>| part.map(|part| url(&part)).map_err(Problem::internal);
        let signed = format!("{}.{}", encode(serde_json::to_vec(&header))?, encode(serde_json::to_vec(claims))?);
        let random = SystemRandom::new();
        let refused = |_| Problem::internal("the key did not sign");
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, signed.as_bytes()).map_err(refused)?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).map_err(refused)?;
                signature
            }
        };
        Ok(format!("{signed}.{}", url(&signature)))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: Algorithm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) typ: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kid: Option<String>,
}

/// A token as it came: nothing of it is to be believed before [`Self::verified`].
pub struct Unverified<'a> {
    /// What its header says.
    pub(crate) header: Header,
    claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Whether a text has the form of one.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("eyJ")
    }

    /// The parts of a text that has the form of a token.
    pub fn read(text: &'a str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = serde_json::from_slice(&bytes(header)?).ok()?;
        let claims: Value = serde_json::from_slice(&bytes(claims)?).ok()?;
        Some(Self { header, claims, signed, signature: bytes(signature)? })
    }

    /// A claim that says whom to ask, before anything is checked.
    pub fn hint(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// The claims, if the key signed them by its own algorithm.
    pub fn verified(self, key: &Jwk) -> Option<Value> {
        let right = key.algorithm() == Some(self.header.alg) && key.verifies(self.signed.as_bytes(), &self.signature);
        right.then_some(self.claims)
    }

    /// The claims, if one of the keys signed them.
    pub fn verified_by_any(self, keys: &[Jwk]) -> Option<(Value, String)> {
        let right = |key: &&Jwk| {
            key.algorithm() == Some(self.header.alg) && key.verifies(self.signed.as_bytes(), &self.signature)
        };
        let kid = keys.iter().find(right)?.thumbprint();
        Some((self.claims, kid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_one_key_signs_no_other_verifies() {
        let claims = json!({ "sub": "usr_1" });
        let keys: Vec<_> = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Es256]
            .map(|algorithm| Signer::parse(algorithm, &generate(algorithm).unwrap()).unwrap())
            .into();
        for (place, signer) in keys.iter().enumerate() {
            let text = signer.sign("JWT", &claims).unwrap();
            for (other, key) in keys.iter().enumerate() {
                let claimed = Unverified::read(&text).unwrap().verified(&key.public().unwrap());
                assert_eq!(claimed.is_some(), place == other, "{place} {other}");
            }
            let mut forged = text.clone();
            forged.replace_range(40..41, if text.as_bytes()[40] == b'A' { "B" } else { "A" });
            let forged = Unverified::read(&forged).and_then(|it| it.verified(&signer.public().unwrap()));
            assert!(forged.is_none(), "a changed letter");
        }
    }

    #[test]
    fn a_token_without_a_signature_is_none() {
        let unsigned = format!("{}.{}.", url(br#"{"alg":"none"}"#), url(b"{}"));
        assert!(Unverified::read(&unsigned).is_none());
        let symmetric = format!("{}.{}.AAAA", url(br#"{"alg":"HS256"}"#), url(b"{}"));
        assert!(Unverified::read(&symmetric).is_none());
    }

    #[test]
    fn thumbprints_are_those_of_the_standard() {
        // RFC 7638, section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZ\
                 CiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJ\
                 ZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn\
                 iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = Jwk::Rsa { n: n.to_owned(), e: "AQAB".to_owned() };
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(key.algorithm(), Some(Algorithm::Rs256));
    }
}
