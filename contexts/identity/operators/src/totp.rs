//! An operator's second factor.

use accounts::{Done, operator::Operator, permissions as may};
use kernel::{Granted, Handle, Problem, use_case};
use proofs::factor::{otpauth, recovery_codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sign_in::{RecoveryCodes, TotpSecret};

use crate::{Operators, operator_commands::caller};

/// Begins to set up an operator's second factor by an authenticator app.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginOperatorTotp {
    /// The password.
    pub(crate) proof: String,
}

use_case!(BeginOperatorTotp => TotpSecret, "identity.operator.totp.begin", Platform, may::OPERATE, Reveal);

impl Handle<BeginOperatorTotp> for Operators {
    async fn handle(&self, it: BeginOperatorTotp, cx: Granted<BeginOperatorTotp>) -> Result<TotpSecret, Problem> {
        // A code of a factor is a proof: whoever has only found a session open must not bring one of their own.
        self.operator_proves(&it.proof, &cx).await?;
        let secret = data_encoding::BASE32_NOPAD.encode(&cx.random::<20>());
        let set = |it: &mut Operator| it.proofs.totp.begin(secret.clone());
        let operator = self.store.at(&cx).change(&caller(&cx)?, set).await?;
        let uri = otpauth(&self.settings.host, operator.email.as_str(), &secret);
        Ok(TotpSecret { secret, uri })
    }
}

/// Shows that an operator's app works: from now on its codes are asked for.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmOperatorTotp {
    /// The code that the app shows now.
    #[schemars(regex(pattern = r"^[0-9]{6}$"))]
    pub(crate) code: String,
}

use_case!(ConfirmOperatorTotp => RecoveryCodes, "identity.operator.totp.confirm", Platform, may::OPERATE, Reveal);

impl Handle<ConfirmOperatorTotp> for Operators {
    async fn handle(
        &self,
        it: ConfirmOperatorTotp,
        cx: Granted<ConfirmOperatorTotp>,
    ) -> Result<RecoveryCodes, Problem> {
        let (id, now, codes) = (caller(&cx)?, cx.real_now(), recovery_codes(&cx));
        let confirm = |operator: &mut Operator| operator.confirm_totp(&it.code, &codes, now);
        self.store.at(&cx).change(&id, confirm).await?;
        Ok(RecoveryCodes { recovery_codes: codes })
    }
}

/// Makes new recovery codes for an operator; those of before are void.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewOperatorCodes {
    /// The password, or a code.
    pub(crate) proof: String,
}

use_case!(RenewOperatorCodes => RecoveryCodes, "identity.operator.totp.renew_recovery_codes", Platform, may::OPERATE, Reveal);

impl Handle<RenewOperatorCodes> for Operators {
    async fn handle(&self, it: RenewOperatorCodes, cx: Granted<RenewOperatorCodes>) -> Result<RecoveryCodes, Problem> {
        let operator = self.operator_proves(&it.proof, &cx).await?;
        let codes = recovery_codes(&cx);
        self.store.at(&cx).change(&operator.id, |it: &mut Operator| it.proofs.totp.renew(&codes)).await?;
        Ok(RecoveryCodes { recovery_codes: codes })
    }
}

/// Switches an operator's second factor off.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropOperatorTotp {
    /// The password, or a code.
    pub(crate) proof: String,
}

use_case!(DropOperatorTotp => Done, "identity.operator.totp.drop", Platform, may::OPERATE);

impl Handle<DropOperatorTotp> for Operators {
    async fn handle(&self, it: DropOperatorTotp, cx: Granted<DropOperatorTotp>) -> Result<Done, Problem> {
        let operator = self.operator_proves(&it.proof, &cx).await?;
        let drop_it = |it: &mut Operator| {
            it.proofs.totp.drop_it();
            Ok(())
        };
        self.store.at(&cx).change(&operator.id, drop_it).await?;
        Ok(Done {})
    }
}
