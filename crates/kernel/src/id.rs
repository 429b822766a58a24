//! Prefixed, sortable identifiers: `usr_` followed by a UUIDv7 (RFC 9562, section 5.7) in lower-case Crockford base32.

use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five, rounded up.
const DIGITS: usize = 26;

/// What an id names; the prefix keeps ids of different kinds from being mistaken for one another.
pub trait IdKind: Send + Sync + 'static {
    /// Three lower-case letters before the underscore.
    const PREFIX: &'static str;
    /// The name in JSON Schema.
    const NAME: &'static str;
}

/// An identifier of a `K`. Its order is the order of creation (to the millisecond).
pub struct Id<K: IdKind>(Uuid, PhantomData<fn() -> K>);

impl<K: IdKind> Id<K> {
    /// Wraps a UUID; new ids come from [`crate::Cx::new_id`].
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// An id that is the same for the same words, however often they are told.
    pub fn from_words(words: &[&str]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, words.join("|").as_bytes());
        let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The 128 bits without the prefix.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl<K: IdKind> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: IdKind> Copy for Id<K> {}
impl<K: IdKind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K: IdKind> Eq for Id<K> {}
impl<K: IdKind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K: IdKind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K: IdKind> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::PREFIX)?;
        f.write_str("_")?;
        let bits = self.0.as_u128();
        let mut text = [0_u8; DIGITS];
        for (place, digit) in (0..DIGITS).rev().zip(text.iter_mut()) {
            let five = usize::try_from((bits >> (place * 5)) & 31).expect("five bits fit in usize");
            *digit = *ALPHABET.get(five).expect("five bits are less than 32");
        }
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that begins with \"{prefix}_\" and has 26 base32 digits after it")]
pub struct IdError {
    prefix: &'static str,
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = IdError { prefix: K::PREFIX };
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(refused)?;
        if digits.len() != DIGITS || digits.as_bytes().first().is_none_or(|first| *first > b'7') {
            return Err(refused);
        }
        let bits = digits.bytes().try_fold(0_u128, |bits, byte| {
            let five = ALPHABET.iter().position(|digit| *digit == byte)?;
            Some((bits << 5) | five as u128)
        });
        bits.map(|bits| Self::from_uuid(Uuid::from_u128(bits))).ok_or(refused)
    }
}

impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
impl<K: IdKind> JsonSchema for Id<K> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        K::NAME.into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^{}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", K::PREFIX),
            "description": format!("Identifier with the prefix `{}_`; sorts by time of creation.", K::PREFIX),
            "examples": [format!("{}_01jd8q6z5m7v3t2rk9xw4hn0ce", K::PREFIX)],
        })
    }
}

/// Names an id kind: the marker type, its alias, prefix.
#[macro_export]
macro_rules! id_kind {
    ($(#[$doc:meta])* $alias:ident, $marker:ident, $prefix:literal) => {
        #[doc = concat!("Marks ids with the prefix `", $prefix, "_`.")]
        #[derive(Debug, Clone, Copy)]
        pub enum $marker {}
        impl $crate::IdKind for $marker {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = stringify!($alias);
        }
        $(#[$doc])*
        pub type $alias = $crate::Id<$marker>;
    };
}

id_kind!(
    /// A customer company of the operator.
    TenantId, TenantKind, "ten"
);
id_kind!(
    /// A person within one tenant.
    UserId, UserKind, "usr"
);
id_kind!(
    /// A signed-in browser or device.
    SessionId, SessionKind, "ses"
);
id_kind!(
    /// A credential for programs.
    ApiKeyId, ApiKeyKind, "key"
);
id_kind!(
    /// An OAuth client.
    ClientId, ClientKind, "cli"
);
id_kind!(
    /// A person who runs the installation.
    OperatorId, OperatorKind, "opr"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back(bits: u128) {
            let id = UserId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
        }

        #[test]
        fn the_text_sorts_as_the_id(a: u128, b: u128) {
            let (a, b) = (UserId::from_uuid(Uuid::from_u128(a)), UserId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn nothing_else_is_an_id(text in ".{0,40}") {
            if let Ok(id) = text.parse::<UserId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn another_kind_is_refused() {
        let user = UserId::from_uuid(Uuid::from_u128(7)).to_string();
        assert!(user.parse::<TenantId>().is_err());
    }
}
