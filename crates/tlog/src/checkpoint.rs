//! Checkpoints: what a log commits to (C2SP tlog-checkpoint).

use data_encoding::BASE64;

use crate::{note::NoteError, tree::Hash};

/// The state of a log: its origin, how many entries it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log, and nothing else is called so.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))
    }

    /// From the text of a note. Lines of extensions are allowed, and not read.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Malformed)?.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty()).ok_or(NoteError::Malformed);
        let (origin, size, root) = (next()?, next()?, next()?);
        let number: u64 = size.parse().map_err(|_| NoteError::Malformed)?;
        let root = BASE64.decode(root.as_bytes()).map_err(|_| NoteError::Malformed)?;
        let root = Hash::try_from(root.as_slice()).map_err(|_| NoteError::Malformed)?;
        if number.to_string() != size || lines.any(str::is_empty) {
            return Err(NoteError::Malformed);
        }
        Ok(Self { origin: origin.to_owned(), size: number, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let it = Checkpoint::parse(text).unwrap();
        assert_eq!((it.size, it.text().as_str()), (20_852_163, text));
        assert!(Checkpoint::parse(&format!("{text}extension\n")).is_ok());
        for wrong in ["", "a\n1\n", "a\n01\nAAAA\n", "\n1\nAAAA\n", &text.replace("2085", "+2085"), text.trim_end()] {
            assert_eq!(Checkpoint::parse(wrong), Err(NoteError::Malformed), "{wrong:?}");
        }
    }
}
