//! Signed notes (C2SP signed-note): a text, and signatures of those who say so, each with the name of a key. Ed25519 as a log
//! signs its checkpoints, and as witnesses cosign them (C2SP tlog-cosignature, `cosignature/v1`).

use data_encoding::{BASE64, HEXLOWER};
use ring::{
    digest::{Context, SHA256},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};

/// The longest note that is read.
const LONGEST: usize = 1 << 16;
/// The most signatures that are read.
const MOST: usize = 64;

/// Why a text is no note, key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It has another form.
    #[error("not in the form that the specification gives it")]
    Malformed,
    /// Nobody whose key is known has signed it.
    #[error("no signature of this key")]
    Unsigned,
    /// A signature under the name of the key is not by the key.
    #[error("the signature is not by this key")]
    Forged,
}

/// What a key signs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over the text: a log's own.
    Log,
    /// Ed25519 over time and text: a witness's.
    Cosignature,
}

impl Algorithm {
    const fn byte(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Cosignature => 4,
        }
    }
}

fn key_id(name: &str, algorithm: Algorithm, key: &[u8]) -> [u8; 4] {
    let mut context = Context::new(&SHA256);
    for part in [name.as_bytes(), b"\n", &[algorithm.byte()], key] {
        context.update(part);
    }
    let mut id = [0; 4];
    id.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, of)| *byte = *of);
    id
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 256 && !text.contains(|letter: char| letter.is_whitespace() || letter == '+')
}

/// One line of signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// Its id.
    pub key_id: [u8; 4],
    /// What the algorithm makes.
    pub bytes: Vec<u8>,
}

impl Signature {
    fn line(&self) -> String {
        format!("\u{2014} {} {}\n", self.name, BASE64.encode(&[&self.key_id, self.bytes.as_slice()].concat()))
    }

    /// From a line, without the end of it.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, bytes) =
            line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Malformed)?;
        let bytes = BASE64.decode(bytes.as_bytes()).map_err(|_| NoteError::Malformed)?;
        let (key_id, bytes) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
        if !is_name(name) || bytes.is_empty() {
            return Err(NoteError::Malformed);
        }
        Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

/// A text with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The text; it ends with a line feed.
    pub text: String,
    /// Who signed it.
    pub signatures: Vec<Signature>,
}

impl Note {
    /// From what it is written as.
    pub fn parse(written: &str) -> Result<Self, NoteError> {
        let controls = |letter: char| letter.is_control() && letter != '\n';
        if written.len() > LONGEST || written.contains(controls) {
            return Err(NoteError::Malformed);
        }
        let at = written.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, signatures) = written.split_at_checked(at + 1).ok_or(NoteError::Malformed)?;
        let signatures = signatures.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
        let signatures: Vec<_> =
            signatures.ok_or(NoteError::Malformed)?.split('\n').map(Signature::parse).collect::<Result<_, _>>()?;
        if signatures.is_empty() || signatures.len() > MOST {
            return Err(NoteError::Malformed);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// As it is written.
    pub fn written(&self) -> String {
        let lines: String = self.signatures.iter().map(Signature::line).collect();
        format!("{}\n{lines}", self.text)
    }
}

/// A private key with its name.
pub struct Signer {
    name: String,
    key: Ed25519KeyPair,
}

impl Signer {
    /// The key of a seed under a name; `None` where the name cannot be one.
    pub fn new(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).ok().filter(|_| is_name(name))?;
        Some(Self { name: name.to_owned(), key })
    }

    /// What verifies it, as a log's key.
    pub fn verifier(&self, algorithm: Algorithm) -> Verifier {
        let mut key = [0; 32];
        key.copy_from_slice(self.key.public_key().as_ref());
        Verifier { name: self.name.clone(), algorithm, key }
    }

    /// Signs a text as a log does.
    pub fn sign(&self, text: &str) -> Signature {
        let bytes = self.key.sign(text.as_bytes()).as_ref().to_vec();
        self.signature(Algorithm::Log, bytes)
    }

    /// Signs a checkpoint as a witness does that saw it at a time (POSIX seconds).
    pub fn cosign(&self, text: &str, time: u64) -> Signature {
        let signed = self.key.sign(cosigned(text, time).as_bytes());
        self.signature(Algorithm::Cosignature, [&time.to_be_bytes(), signed.as_ref()].concat())
    }

    fn signature(&self, algorithm: Algorithm, bytes: Vec<u8>) -> Signature {
        let key_id = key_id(&self.name, algorithm, self.key.public_key().as_ref());
        Signature { name: self.name.clone(), key_id, bytes }
    }
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A public key with its name: written `name+id+key`, it is what people pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    algorithm: Algorithm,
    key: [u8; 32],
}

impl Verifier {
    /// From what it is written as.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.split_once('+').ok_or(NoteError::Malformed)?;
        let (id, key) = rest.split_once('+').ok_or(NoteError::Malformed)?;
        let key = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::Malformed)?;
        let (algorithm, key) = match key.split_first() {
            Some((1, key)) => (Algorithm::Log, key),
            Some((4, key)) => (Algorithm::Cosignature, key),
            _ => return Err(NoteError::Malformed),
        };
        let key = <[u8; 32]>::try_from(key).map_err(|_| NoteError::Malformed)?;
        let it = Self { name: name.to_owned(), algorithm, key };
        if !is_name(name) || HEXLOWER.encode(&it.id()) != id {
            return Err(NoteError::Malformed);
        }
        Ok(it)
    }

    /// As it is written.
    pub fn written(&self) -> String {
        let key = BASE64.encode(&[&[self.algorithm.byte()], self.key.as_slice()].concat());
        format!("{}+{}+{key}", self.name, HEXLOWER.encode(&self.id()))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The id by which signatures name it.
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, self.algorithm, &self.key)
    }

    /// Checks that this key has signed a note; a witness's signature tells when (POSIX seconds).
    pub fn verify(&self, note: &Note) -> Result<Option<u64>, NoteError> {
        let id = self.id();
        let of = note.signatures.iter().find(|it| it.name == self.name && it.key_id == id);
        let bytes = &of.ok_or(NoteError::Unsigned)?.bytes;
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        let (time, text, signature) = match self.algorithm {
            Algorithm::Log => (None, note.text.clone(), bytes.as_slice()),
            Algorithm::Cosignature => {
                let (time, signature) = bytes.split_first_chunk::<8>().ok_or(NoteError::Malformed)?;
                let time = u64::from_be_bytes(*time);
                (Some(time), cosigned(&note.text, time), signature)
            }
        };
        key.verify(text.as_bytes(), signature).map_err(|_| NoteError::Forged)?;
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of golang.org/x/mod/sumdb/note.
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const WRITTEN: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn a_published_note_is_verified() {
        let (verifier, note) = (Verifier::parse(VERIFIER).unwrap(), Note::parse(WRITTEN).unwrap());
        assert_eq!(verifier.verify(&note), Ok(None));
        assert_eq!((verifier.written().as_str(), note.written().as_str()), (VERIFIER, WRITTEN));
        let forged = Note::parse(&WRITTEN.replace("cryptography", "Cryptography")).unwrap();
        assert_eq!(verifier.verify(&forged), Err(NoteError::Forged));
    }

    #[test]
    fn what_is_signed_is_verified_by_its_key_alone() {
        let signer = Signer::new("log.example/1", &[7; 32]).unwrap();
        let (text, verifier) = ("log.example/1\n1\nAAAA\n".to_owned(), signer.verifier(Algorithm::Log));
        let mut note = Note { signatures: vec![signer.sign(&text)], text };
        assert_eq!(verifier.verify(&note), Ok(None));
        assert_eq!(Note::parse(&note.written()), Ok(note.clone()));
        assert_eq!(Verifier::parse(&verifier.written()), Ok(verifier.clone()));
        let other = Signer::new("log.example/1", &[8; 32]).unwrap().verifier(Algorithm::Log);
        assert_eq!(other.verify(&note), Err(NoteError::Unsigned));
        let witness = Signer::new("witness.example", &[9; 32]).unwrap();
        let watched = witness.verifier(Algorithm::Cosignature);
        assert_eq!(watched.verify(&note), Err(NoteError::Unsigned));
        note.signatures.push(witness.cosign(&note.text, 1_700_000_000));
        assert_eq!(watched.verify(&note), Ok(Some(1_700_000_000)));
        if let Some(last) = note.signatures.last_mut() {
            last.bytes[7] ^= 1;
        }
        assert_eq!(watched.verify(&note), Err(NoteError::Forged), "the time is signed too");
    }

    #[test]
    fn what_has_another_form_is_none() {
        for wrong in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n\u{2014} name\n",
            "text\n\n\u{2014} na+me x08go/ZJ\n",
            "a\tb\n\n\u{2014} n x08go/ZJ\n",
        ] {
            assert_eq!(Note::parse(wrong), Err(NoteError::Malformed), "{wrong:?}");
        }
        for wrong in
            ["name", "name+00000000+AQ==", &VERIFIER.replace("c74f", "c74e"), &VERIFIER.replace("Peter", "Pe ter")]
        {
            assert_eq!(Verifier::parse(wrong), Err(NoteError::Malformed), "{wrong:?}");
        }
    }
}
