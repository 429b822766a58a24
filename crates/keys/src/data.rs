//! One unwrapped key and what it does. Every place gets a subkey of its own, so that no nonce is ever used twice under
//! one key in practice, and what is moved to another place does not open.

use kernel::entropy::Entropy;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac,
};
use zeroize::Zeroizing;

use crate::KeyError;

/// The format of sealed bytes: this byte, the nonce, the ciphertext with its tag.
const FORMAT: u8 = 1;

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// A key in use. Its bytes are not kept: only the pseudo-random key of HKDF (RFC 5869) is.
pub struct DataKey {
    root: Prk,
    index: hmac::Key,
}

impl DataKey {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != 32 {
            return Err(KeyError::Forged);
        }
        let root = Salt::new(HKDF_SHA256, b"freehold/v1").extract(bytes);
        let index = hmac::Key::new(hmac::HMAC_SHA256, &*expand(&root, "index"));
        Ok(Self { root, index })
    }

    /// A secret derived for a purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        *expand(&self.root, &format!("derive/{purpose}"))
    }

    fn cipher(&self, place: &str) -> LessSafeKey {
        let subkey = expand(&self.root, &format!("seal/{place}"));
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*subkey).expect("the subkey has the cipher's length"))
    }

    /// Seals for a place (which aggregate, which field); `bound` is checked on opening and not stored.
    pub fn seal(&self, place: &str, bound: &str, plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend(nonce);
        let start = sealed.len();
        sealed.extend(plain);
        let text = sealed.get_mut(start..).unwrap_or_default();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.cipher(place).seal_in_place_separate_tag(nonce, Aad::from(bound), text);
        sealed.extend(tag.map_err(|_| KeyError::Forged)?.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed for the same place and bound.
    pub fn open(&self, place: &str, bound: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (format, rest) = sealed.split_first().ok_or(KeyError::Forged)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(KeyError::Forged)?;
        if *format != FORMAT {
            return Err(KeyError::Forged);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Forged)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.cipher(place).open_in_place(nonce, Aad::from(bound), &mut text);
        let length = length.map_err(|_| KeyError::Forged)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// The keyed hash of a value: equal values can be found, and nothing can be read.
    pub fn blind(&self, index: &str, value: &str) -> String {
        let mut context = hmac::Context::with_key(&self.index);
        context.update(index.as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        let tag = context.sign();
        data_encoding::BASE32HEX_NOPAD.encode(tag.as_ref().get(..20).unwrap_or_default())
    }
}

fn expand(root: &Prk, info: &str) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    let info = [info.as_bytes()];
    let expanded = root.expand(&info, Bytes32).and_then(|okm| okm.fill(bytes.as_mut()));
    expanded.expect("HKDF gives 32 bytes for any info");
    bytes
}
