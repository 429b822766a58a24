//! What operators do about themselves and each other. Each has all rights, so what changes who they are takes a proof in the
//! same request: the password, or a code.

use accounts::{
    Done, link,
    operator::{INVITED, Operator},
    permissions as may,
    roster::{Claimed, last_operator},
    session::OperatorSession,
};
use kernel::{
    Caller, Cx, Granted, Handle, List, OperatorId, Problem, ProblemKind, Timestamp,
    text::{DisplayName, EmailAddress},
    use_case,
};
use proofs::secret;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sign_in::steps::Shows;
use store::Page;

use crate::Operators;

pub(crate) fn caller(cx: &Cx) -> Result<OperatorId, Problem> {
    match cx.caller() {
        Caller::Operator { id, .. } => Ok(id),
        _ => Err(cx.refusal(may::OPERATE.name())),
    }
}

/// Six digits, or four groups of four: a code and never a password, which are of other lengths or forms.
fn looks_like_code(proof: &str) -> bool {
    let digits = proof.len() == 6 && proof.bytes().all(|byte| byte.is_ascii_digit());
    let groups: Vec<&str> = proof.split('-').collect();
    digits
        || (groups.len() == 4 && groups.iter().all(|it| it.len() == 4 && it.bytes().all(|b| b.is_ascii_alphanumeric())))
}

impl Operators {
    pub(crate) async fn operator_proves(&self, proof: &str, cx: &Cx) -> Result<Operator, Problem> {
        let operator = self.store.at(cx).load::<Operator>(&caller(cx)?).await?.into_inner();
        let code = operator.proofs.totp.needed() && looks_like_code(proof);
        let shows = if code { Shows::Code(proof) } else { Shows::Password(proof) };
        if self.sign_in.proves(&operator, "operator", shows, cx).await? {
            return Ok(operator);
        }
        Err(Problem::new(ProblemKind::Refused, "identity.proof_refused", "this is not your password nor a good code")
            .hint("try once more")
            .field("/proof", "not right"))
    }

    async fn end_operator_sessions(&self, operator: OperatorId, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        loop {
            let listed = store.list::<OperatorSession>("operator", &operator.to_string(), &Page::default()).await?;
            if listed.items.is_empty() {
                return Ok(());
            }
            for session in listed.items {
                store.delete(session, ()).await?;
            }
        }
    }

    pub(crate) async fn hash_for_operator(&self, it: &Operator, password: &str, cx: &Cx) -> Result<String, Problem> {
        let about = [it.email.as_str(), it.name.as_str()];
        self.passwords.hash(SecretString::from(password), &about, cx).await
    }
}

/// An operator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OperatorView {
    /// Who.
    pub(crate) operator: OperatorId,
    /// With what they sign in.
    pub(crate) email: EmailAddress,
    /// What they are called.
    pub(crate) name: DisplayName,
    /// Whether they have come in.
    pub(crate) active: bool,
    /// Whether a second factor is asked for.
    pub(crate) second_factor: bool,
}

/// Those who run the installation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListOperators {}

use_case!(ListOperators => List<OperatorView>, "identity.operators.list", Platform, may::OPERATORS, Tell);

impl Handle<ListOperators> for Operators {
    async fn handle(&self, _: ListOperators, cx: Granted<ListOperators>) -> Result<List<OperatorView>, Problem> {
        let mut items = Vec::new();
        // Few, and known by id.
        for id in self.accounts.installation(&cx).await?.ids() {
            if let Some(it) = self.store.at(&cx).try_load::<Operator>(&id).await? {
                let (active, second_factor) = (it.came_in(), it.proofs.totp.needed());
                let it = it.into_inner();
                items.push(OperatorView { operator: id, email: it.email, name: it.name, active, second_factor });
            }
        }
        Ok(List { items, next: None })
    }
}

/// Invites another operator. The answer has the link by which they choose a password: hand it over by a way that you trust.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteOperator {
    /// With what they will sign in.
    pub(crate) email: EmailAddress,
    /// What they are called.
    pub(crate) name: DisplayName,
    /// Your own password, or a code.
    pub(crate) proof: String,
}

/// A link for a new operator.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OperatorInvited {
    /// Who.
    operator: OperatorId,
    /// The link, good once: it cannot be shown again.
    pub(crate) link: String,
    /// Until when it is good.
    #[schemars(with = "String")]
    ends: Timestamp,
}

use_case!(InviteOperator => OperatorInvited, "identity.operators.invite", Platform, may::OPERATORS, Reveal);

/// The most operators, so that all can be read one by one.
const MOST: usize = 50;

impl Handle<InviteOperator> for Operators {
    async fn handle(&self, it: InviteOperator, cx: Granted<InviteOperator>) -> Result<OperatorInvited, Problem> {
        self.operator_proves(&it.proof, &cx).await?;
        let store = self.store.at(&cx);
        if self.accounts.installation(&cx).await?.ids().len() >= MOST {
            let most = format!("an installation has at most {MOST} operators");
            return Err(Problem::new(ProblemKind::Refused, "identity.too_many_operators", most).hint("remove one"));
        }
        let operator = Operator::invite(cx.new_id(), it.email, it.name, secret::fresh(&cx));
        let (id, ends) = (operator.id, cx.real_now() + INVITED);
        let origin = self.settings.platform_origin();
        let link = link::make_operator(&self.store, &cx, &origin, (&operator, ends)).await?;
        // First who it is, then that they belong here: without the second the link leads nowhere.
        store.create(operator, ()).await?;
        let add = |it: &mut Claimed| {
            it.operators().add(id, false);
            Ok(())
        };
        store.change(&Claimed::ID.to_owned(), add).await?;
        Ok(OperatorInvited { operator: id, link, ends })
    }
}

/// Removes an operator, never the last who can sign in: all that they have ends at once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveOperator {
    /// Who.
    pub(crate) operator: OperatorId,
    /// Your own password, or a code.
    pub(crate) proof: String,
}

use_case!(RemoveOperator => Done, "identity.operators.remove", Platform, may::OPERATORS, |it| kernel::Resource::one("operator", it.operator));

impl Handle<RemoveOperator> for Operators {
    async fn handle(&self, it: RemoveOperator, cx: Granted<RemoveOperator>) -> Result<Done, Problem> {
        self.operator_proves(&it.proof, &cx).await?;
        let (store, id) = (self.store.at(&cx), it.operator);
        let remove = |it: &mut Claimed| {
            if !it.has(id) {
                return Err(Problem::not_found("operator"));
            }
            it.operators().remove(id).map_err(last_operator)
        };
        store.change(&Claimed::ID.to_owned(), remove).await?;
        // From here on they are refused everywhere; the rest clears away.
        self.end_operator_sessions(id, &cx).await?;
        if let Some(operator) = store.try_load::<Operator>(&id).await? {
            store.delete(operator, ()).await?;
        }
        Ok(Done {})
    }
}

/// Chooses a new password as an operator: all sessions end, this one too.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeOperatorPassword {
    /// The password of now, or a code.
    pub(crate) proof: String,
    /// The new password.
    #[schemars(length(min = 15, max = 256))]
    pub(crate) password: String,
}

use_case!(ChangeOperatorPassword => Done, "identity.operator.password.change", Platform, may::OPERATE);

impl Handle<ChangeOperatorPassword> for Operators {
    async fn handle(&self, it: ChangeOperatorPassword, cx: Granted<ChangeOperatorPassword>) -> Result<Done, Problem> {
        let operator = self.operator_proves(&it.proof, &cx).await?;
        let (hash, stamp) = (self.hash_for_operator(&operator, &it.password, &cx).await?, secret::fresh(&cx));
        let change = |it: &mut Operator| {
            it.proofs.change_password(hash.clone(), stamp.clone());
            Ok(())
        };
        self.store.at(&cx).change(&operator.id, change).await?;
        self.risk.forget_guesses(operator.email.as_str(), &cx).await?;
        self.end_operator_sessions(operator.id, &cx).await?;
        Ok(Done {})
    }
}

/// Signs an operator out everywhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndOperatorSessions {}

use_case!(EndOperatorSessions => Done, "identity.operator.sessions.end_all", Platform, may::OPERATE);

impl Handle<EndOperatorSessions> for Operators {
    async fn handle(&self, _: EndOperatorSessions, cx: Granted<EndOperatorSessions>) -> Result<Done, Problem> {
        let id = caller(&cx)?;
        let end = |it: &mut Operator| {
            it.proofs.end_sessions();
            Ok(())
        };
        self.store.at(&cx).change(&id, end).await?;
        self.end_operator_sessions(id, &cx).await?;
        Ok(Done {})
    }
}
