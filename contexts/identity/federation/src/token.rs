//! What is given out for a grant: a code, access tokens, refresh tokens. Each is a text with a keyed hash of itself, so that
//! nothing of them is stored, a forged one costs no look into the store, and one of long ago is known again.

use std::{future::Future, sync::Arc};

use kernel::{Cx, Problem};
use keys::DataKey;
use subtle::ConstantTimeEq;

use crate::{Federation, grant::GrantId};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Exchanged for tokens, once.
    Code,
    /// Shown with each request.
    Access,
    /// Exchanged for new tokens, once.
    Refresh,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Code, Self::Access, Self::Refresh];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Code => "fhc_",
            Self::Access => "fha_",
            Self::Refresh => "fhr_",
        }
    }
}

/// A token that its keyed hash has shown to be one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) grant: GrantId,
    /// The generation of the grant that it belongs to.
    pub(crate) generation: u64,
}

/// Makes the keyed hashes of one tenant.
pub(crate) struct Mint(Arc<DataKey>);

impl Mint {
    fn seal(&self, body: &str) -> String {
        self.0.blind("identity/token", body).to_lowercase()
    }

    /// The text that is given out.
    pub(crate) fn text(&self, token: Token) -> String {
        let body = format!("{}{}.{}", token.kind.prefix(), token.grant, token.generation);
        let seal = self.seal(&body);
        format!("{body}.{seal}")
    }

    /// The token of a text, if we gave it out.
    pub(crate) fn read(&self, text: &str) -> Option<Token> {
        let (body, seal) = text.rsplit_once('.')?;
        let kind = Kind::ALL.into_iter().find(|kind| body.starts_with(kind.prefix()))?;
        let (grant, generation) = body.strip_prefix(kind.prefix())?.split_once('.')?;
        let token = Token { kind, grant: grant.parse().ok()?, generation: generation.parse().ok()? };
        bool::from(self.seal(body).as_bytes().ct_eq(seal.as_bytes())).then_some(token)
    }
}

/// Whether a text has the form of an access token of a grant.
pub(crate) fn is_access(text: &str) -> bool {
    text.starts_with(Kind::Access.prefix())
}

impl Federation {
    pub(crate) fn mint(&self, cx: &Cx) -> impl Future<Output = Result<Mint, Problem>> + Send {
        let (keys, scope) = (self.store.keys().clone(), cx.scope());
        async move { Ok(Mint(keys.scope(scope).await?)) }
    }
}
