//! A second factor of one's own: an authenticator app, and recovery codes for when it is lost.

use accounts::{Done, permissions as may, user::User};
use kernel::{Granted, Handle, Problem, use_case};
use proofs::factor::{otpauth, recovery_codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SignIn;

/// Begins to set up a second factor by an authenticator app.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginTotp {}

/// What an authenticator app needs.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct TotpSecret {
    /// The secret in base32, to type in.
    pub secret: String,
    /// The same as an address, to scan.
    pub uri: String,
}

use_case!(BeginTotp => TotpSecret, "identity.totp.begin", Tenant, may::OWN, Reveal);

impl Handle<BeginTotp> for SignIn {
    async fn handle(&self, _: BeginTotp, cx: Granted<BeginTotp>) -> Result<TotpSecret, Problem> {
        // A code of a factor is a proof: whoever has only found a session open must not bring one of their own.
        self.accounts.freshly_proven(&cx).await?;
        let secret = data_encoding::BASE32_NOPAD.encode(&cx.random::<20>());
        let set = |user: &mut User| user.proofs.totp.begin(secret.clone());
        let user = self.store.at(&cx).change(&cx.user()?, set).await?;
        let uri = otpauth(self.accounts.realm(&cx).await?.name.as_str(), user.email.as_str(), &secret);
        Ok(TotpSecret { secret, uri })
    }
}

/// Shows that the app works: from now on its codes are asked for.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmTotp {
    /// The code that the app shows now.
    #[schemars(regex(pattern = r"^[0-9]{6}$"))]
    pub(crate) code: String,
}

/// Codes for when the app is lost, each good once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryCodes {
    /// The codes: keep them now, they cannot be shown again.
    pub recovery_codes: Vec<String>,
}

use_case!(ConfirmTotp => RecoveryCodes, "identity.totp.confirm", Tenant, may::OWN, Reveal);

impl Handle<ConfirmTotp> for SignIn {
    async fn handle(&self, it: ConfirmTotp, cx: Granted<ConfirmTotp>) -> Result<RecoveryCodes, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        let (id, now, codes) = (cx.user()?, cx.real_now(), recovery_codes(&cx));
        let confirm = |user: &mut User| user.confirm_totp(&it.code, &codes, now);
        self.store.at(&cx).change(&id, confirm).await?;
        Ok(RecoveryCodes { recovery_codes: codes })
    }
}

/// Makes new recovery codes; those of before are void. Takes a proof of the last 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewRecoveryCodes {}

use_case!(RenewRecoveryCodes => RecoveryCodes, "identity.totp.renew_recovery_codes", Tenant, may::OWN, Reveal);

impl Handle<RenewRecoveryCodes> for SignIn {
    async fn handle(&self, _: RenewRecoveryCodes, cx: Granted<RenewRecoveryCodes>) -> Result<RecoveryCodes, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        let codes = recovery_codes(&cx);
        self.store.at(&cx).change(&cx.user()?, |user: &mut User| user.proofs.totp.renew(&codes)).await?;
        Ok(RecoveryCodes { recovery_codes: codes })
    }
}

/// Switches the second factor off, with its recovery codes. Takes a proof of the last 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropTotp {}

use_case!(DropTotp => Done, "identity.totp.drop", Tenant, may::OWN);

impl Handle<DropTotp> for SignIn {
    async fn handle(&self, _: DropTotp, cx: Granted<DropTotp>) -> Result<Done, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        self.store.at(&cx).change(&cx.user()?, |user: &mut User| Ok(user.drop_totp())).await?;
        Ok(Done {})
    }
}
