//! How a password and a code are checked: one course for people and operators.

use std::time::Duration;

use kernel::{Aggregate, Claim, Cx, Problem, Timestamp, text::EmailAddress};
use secrecy::SecretString;
use store::Loaded;

use crate::{Identity, operator::Operator, proofs::Proofs, user::User};

/// For how long the second step waits.
const STEP: Duration = Duration::from_mins(5);

/// Someone who can sign in with an e-mail address.
pub(crate) trait SignsIn: Aggregate {
    fn proofs(&self) -> &Proofs;
    fn proofs_mut(&mut self) -> &mut Proofs;
    fn can_sign_in(&self, now: Timestamp) -> bool;
}

impl SignsIn for User {
    fn proofs(&self) -> &Proofs {
        &self.proofs
    }
    fn proofs_mut(&mut self) -> &mut Proofs {
        &mut self.proofs
    }
    fn can_sign_in(&self, now: Timestamp) -> bool {
        User::can_sign_in(self, now)
    }
}

impl SignsIn for Operator {
    fn proofs(&self) -> &Proofs {
        &self.proofs
    }
    fn proofs_mut(&mut self) -> &mut Proofs {
        &mut self.proofs
    }
    fn can_sign_in(&self, now: Timestamp) -> bool {
        Operator::can_sign_in(self, now)
    }
}

/// What came of a password.
pub(crate) enum Shown<A> {
    /// It is not right, or there is a pause: which of them is not told.
    Nobody,
    /// It is right, and a code is asked for; with what the second step brings along.
    NeedsCode(String),
    /// It is right, and that is enough.
    Known(A),
}

/// What came of a code.
pub(crate) enum SecondStep<A> {
    /// The password was shown too long ago.
    TooLate,
    /// The code is not right, was used before, or there is a pause.
    Refused,
    /// It is right.
    Known(A),
}

impl Identity {
    pub(crate) async fn by_email<A: SignsIn>(&self, email: &str, cx: &Cx) -> Result<Option<Loaded<A>>, Problem> {
        let Ok(email) = email.trim().parse::<EmailAddress>() else { return Ok(None) };
        self.store.at(cx).find::<A>(&Claim::new("email", email.as_str())).await
    }

    /// Checks a password; a wrong one is counted.
    pub(crate) async fn shows_password<A: SignsIn>(
        &self,
        who: Option<&A>,
        password: &str,
        cx: &Cx,
    ) -> Result<bool, Problem> {
        let now = cx.real_now();
        let hash = who.filter(|it| it.can_sign_in(now)).and_then(|it| it.proofs().password.clone());
        let right = self.passwords.verify(SecretString::from(password), hash).await?;
        if let Some(who) = who.filter(|_| !right) {
            let failed = |it: &mut A| {
                it.proofs_mut().failed(now);
                Ok(())
            };
            self.store.at(cx).change(&who.id(), failed).await?;
        }
        // Of many guesses at once, those that were wrong may have begun a pause meanwhile: it holds for the right one too.
        match who.filter(|_| right) {
            Some(who) => {
                let now_stored = self.store.at(cx).try_load::<A>(&who.id()).await?;
                Ok(now_stored.is_some_and(|it| it.can_sign_in(cx.real_now())))
            }
            None => Ok(false),
        }
    }

    /// Checks a code and takes it, in one commit; a wrong one is counted.
    pub(crate) async fn shows_code<A: SignsIn>(&self, id: &A::Id, code: &str, cx: &Cx) -> Result<bool, Problem> {
        let (now, mut taken) = (cx.real_now(), false);
        let take = |it: &mut A| {
            taken = it.can_sign_in(now) && it.proofs().totp.needed() && it.proofs_mut().try_code(code, now).is_some();
            Ok(())
        };
        self.store.at(cx).change(id, take).await?;
        Ok(taken)
    }

    async fn step<A: SignsIn>(&self, who: &A, ends: i64, cx: &Cx) -> Result<String, Problem> {
        let (key, id) = (self.store.keys().scope(cx.scope()).await?, who.id());
        Ok(format!("{id}.{ends}.{}", key.blind("identity/step", &format!("{id}|{ends}|{}", who.proofs().stamp))))
    }

    /// The first step: address and password.
    pub(crate) async fn first_step<A: SignsIn>(
        &self,
        email: &str,
        password: &str,
        cx: &Cx,
    ) -> Result<Shown<A>, Problem> {
        let found = self.by_email::<A>(email, cx).await?.map(Loaded::into_inner);
        let right = self.shows_password(found.as_ref(), password, cx).await?;
        match found.filter(|_| right) {
            None => Ok(Shown::Nobody),
            Some(who) if who.proofs().totp.needed() => {
                Ok(Shown::NeedsCode(self.step(&who, (cx.real_now() + STEP).as_second(), cx).await?))
            }
            Some(who) => Ok(Shown::Known(who)),
        }
    }

    /// The second step: a code, from whoever has shown the password a moment ago.
    pub(crate) async fn second_step<A: SignsIn>(
        &self,
        step: &str,
        code: &str,
        cx: &Cx,
    ) -> Result<SecondStep<A>, Problem> {
        let mut parts = step.split('.');
        let (Some(Ok(id)), Some(Ok(ends))) =
            (parts.next().map(str::parse::<A::Id>), parts.next().map(str::parse::<i64>))
        else {
            return Ok(SecondStep::TooLate);
        };
        let Some(who) = self.store.at(cx).try_load::<A>(&id).await? else { return Ok(SecondStep::TooLate) };
        let expected = self.step(&*who, ends, cx).await?;
        let same: bool = subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), step.as_bytes()).into();
        if !same || ends <= cx.real_now().as_second() {
            return Ok(SecondStep::TooLate);
        }
        let taken = self.shows_code::<A>(&id, code, cx).await?;
        Ok(if taken { SecondStep::Known(who.into_inner()) } else { SecondStep::Refused })
    }
}
