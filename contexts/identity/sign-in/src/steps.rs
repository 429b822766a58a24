//! How a password and a code are checked: one course for people and operators.

use std::time::Duration;

use accounts::{operator::Operator, user::User};
use kernel::{Aggregate, Claim, Cx, Problem, text::EmailAddress};
use proofs::{Proofs, factor::code_refused};
use risk::{By, Came, Trial};
use secrecy::SecretString;
use store::Loaded;

use crate::{SignIn, device::Place};

/// For how long the second step waits.
const STEP: Duration = Duration::from_mins(5);

/// Someone who can sign in with an e-mail address.
pub trait SignsIn: Aggregate {
    /// With what they sign in.
    fn email(&self) -> &EmailAddress;
    /// What they show.
    fn proofs(&self) -> &Proofs;
    /// What they show, to be changed.
    fn proofs_mut(&mut self) -> &mut Proofs;
    /// Whether they can sign in at all.
    fn can_sign_in(&self) -> bool;
}

impl SignsIn for User {
    fn email(&self) -> &EmailAddress {
        &self.email
    }
    fn proofs(&self) -> &Proofs {
        &self.proofs
    }
    fn proofs_mut(&mut self) -> &mut Proofs {
        &mut self.proofs
    }
    fn can_sign_in(&self) -> bool {
        User::can_sign_in(self)
    }
}

impl SignsIn for Operator {
    fn email(&self) -> &EmailAddress {
        &self.email
    }
    fn proofs(&self) -> &Proofs {
        &self.proofs
    }
    fn proofs_mut(&mut self) -> &mut Proofs {
        &mut self.proofs
    }
    fn can_sign_in(&self) -> bool {
        self.came_in()
    }
}

/// What somebody shows who is signed in.
pub enum Shows<'a> {
    /// Their password.
    Password(&'a str),
    /// A code of their app, or a recovery code.
    Code(&'a str),
}

/// What came of a password.
pub enum Shown<A> {
    /// It is not right, or nobody has the address: which of them is not told.
    Nobody,
    /// It is right, and a code is asked for; with what the second step brings along.
    NeedsCode(String),
    /// It is right, and that is enough.
    Known(A),
}

/// What came of a code.
pub enum SecondStep<A> {
    /// The password was shown too long ago.
    TooLate,
    /// The code is not right, or was used before.
    Refused,
    /// It is right.
    Known(A),
}

impl SignIn {
    /// Whoever has an address, if anybody has.
    pub async fn by_email<A: SignsIn>(&self, email: &str, cx: &Cx) -> Result<Option<Loaded<A>>, Problem> {
        let Ok(email) = email.trim().parse::<EmailAddress>() else { return Ok(None) };
        self.store.at(cx).find::<A>(&Claim::new("email", email.as_str())).await
    }

    /// Checks a password, as an attempt on whoever has the address.
    async fn shows_password<A: SignsIn>(
        &self,
        (who, trial): (Option<&A>, &Trial),
        password: &str,
        source: &str,
        cx: &Cx,
    ) -> Result<bool, Problem> {
        self.risk.attempt(trial, cx).await?;
        let hash = who.filter(|it| it.can_sign_in()).and_then(|it| it.proofs().password.clone());
        let verified = self.passwords.verify(SecretString::from(password), hash, (cx.scope(), source)).await;
        match &verified {
            Ok(true) => {}
            Ok(false) => self.risk.was_wrong(trial).await?,
            // It was not looked at.
            Err(_) => self.risk.settle(trial, Came::NoGuess, cx).await?,
        }
        verified
    }

    /// Checks a code and takes it, in one commit.
    async fn shows_code<A: SignsIn>(&self, id: &A::Id, trial: &Trial, code: &str, cx: &Cx) -> Result<bool, Problem> {
        self.risk.attempt(trial, cx).await?;
        let now = cx.real_now();
        let take = |it: &mut A| {
            let asked_for = it.can_sign_in() && it.proofs().totp.needed();
            if asked_for { it.proofs_mut().totp.use_code(code, now).map(drop) } else { Err(code_refused()) }
        };
        match self.store.at(cx).change(id, take).await {
            Ok(_) => {
                self.risk.settle(trial, Came::Right, cx).await?;
                Ok(true)
            }
            Err(refused) if refused.code() == code_refused().code() => {
                self.risk.was_wrong(trial).await?;
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// Whether somebody who is signed in shows once more who they are. `session` is what they are signed in by: whoever
    /// has found it open has an allowance of its own, and takes none from its owner.
    pub async fn proves<A: SignsIn>(&self, who: &A, session: &str, proof: Shows<'_>, cx: &Cx) -> Result<bool, Problem> {
        let trial = self.risk.trial(who.email().as_str(), By::Known(format!("session|{session}")), cx).await?;
        match proof {
            Shows::Code(code) => self.shows_code::<A>(&who.id(), &trial, code, cx).await,
            Shows::Password(password) => {
                let right = self.shows_password((Some(who), &trial), password, session, cx).await?;
                if right {
                    self.risk.settle(&trial, Came::Right, cx).await?;
                }
                Ok(right)
            }
        }
    }

    async fn step<A: SignsIn>(&self, who: &A, ends: i64, cx: &Cx) -> Result<String, Problem> {
        let (key, id) = (self.store.keys().scope(cx.scope()).await?, who.id());
        Ok(format!("{id}.{ends}.{}", key.blind("identity/step", &format!("{id}|{ends}|{}", who.proofs().stamp))))
    }

    /// The first step: address and password.
    pub async fn first_step<A: SignsIn>(
        &self,
        email: &str,
        password: &str,
        from: &Place,
        cx: &Cx,
    ) -> Result<Shown<A>, Problem> {
        let found = self.by_email::<A>(email, cx).await?.map(Loaded::into_inner);
        let trial = self.risk.trial(email, self.who_tries(found.as_ref(), from, cx).await?, cx).await?;
        let right = self.shows_password((found.as_ref(), &trial), password, &from.source, cx).await?;
        match found.filter(|_| right) {
            None => Ok(Shown::Nobody),
            Some(who) if who.proofs().totp.needed() => {
                self.risk.settle(&trial, Came::NoGuess, cx).await?;
                Ok(Shown::NeedsCode(self.step(&who, (cx.real_now() + STEP).as_second(), cx).await?))
            }
            Some(who) => {
                self.risk.settle(&trial, Came::Right, cx).await?;
                Ok(Shown::Known(who))
            }
        }
    }

    /// The second step: a code, from whoever has shown the password a moment ago.
    pub async fn second_step<A: SignsIn>(
        &self,
        step: &str,
        code: &str,
        from: &Place,
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
        let trial = self.risk.trial(who.email().as_str(), self.who_tries(Some(&*who), from, cx).await?, cx).await?;
        let taken = self.shows_code::<A>(&id, &trial, code, cx).await?;
        Ok(if taken { SecondStep::Known(who.into_inner()) } else { SecondStep::Refused })
    }
}
