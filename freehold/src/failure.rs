//! Why the program ends, as an exit code that scripts can tell apart.

use std::process::ExitCode;

/// A reason to end that has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Something else listens on the address.
    #[error("the address is in use")]
    Address,
    /// Another process runs on the same data.
    #[error("the data is in use")]
    InUse,
    /// The keyring or the wrapped keys cannot be read.
    #[error("the keys cannot be read")]
    Keys,
    /// The database that the configuration names cannot be reached.
    #[error("the store cannot be reached")]
    Store,
    /// A file of the installation is damaged, or of another release.
    #[error("the data cannot be used as it is: run `freehold doctor`")]
    Data,
}

impl Failure {
    /// 1 is any other failure, 2 a wrong command line.
    const fn code(self) -> u8 {
        match self {
            Self::Address => 3,
            Self::InUse => 4,
            Self::Keys => 5,
            Self::Data => 6,
            Self::Store => 7,
        }
    }

    /// The exit code of an error.
    pub(crate) fn of(error: &anyhow::Error) -> ExitCode {
        error.downcast_ref::<Self>().map_or(ExitCode::FAILURE, |failure| ExitCode::from(failure.code()))
    }
}
