//! What gateways tell by themselves. A notice is a hint: once its signature is checked, the gateway is asked.

use std::sync::Arc;

use billing_books::Attempt;
use billing_gateways::{Gateway, Notice, NoticeError, Payment, Standing};
use bytes::Bytes;
use contracts::{billing::CreditSource, tenants::ResolveTenant};
use http::{Request, Response};
use kernel::{Aggregate, Cx, Problem, ProblemKind, Scope, TenantId, context::Body};

use store::Loaded;

use crate::{Payments, gateways::problem};

/// What came of what a gateway told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    /// It was known, or is nobody's here.
    Nothing,
    /// It was not known.
    Something,
    /// Money came in for an attempt that is not known here.
    Stray,
}

fn refused(error: NoticeError) -> Problem {
    // Not which: whoever sends what is no notice learns nothing.
    Problem::new(
        ProblemKind::Denied,
        "billing.notice_refused",
        "this is no notice of the gateway's, or not of this time",
    )
    .hint("set the secret that signs the gateway's notices (`signing` of the gateway, below `payments`)")
    .cause(error)
}

impl Payments {
    /// Answers once all that follows from it is stored: a gateway that gets no answer tells again.
    pub(crate) async fn notice(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default();
        let gateway = self.gateways.named(name)?;
        let notice = gateway.notice(request.headers(), request.body(), cx.real_now()).map_err(refused)?;
        match notice {
            Notice::Other => {}
            Notice::Payment(reference) => {
                let payment = gateway.look(&reference).await.map_err(problem)?;
                self.learn_of(gateway, &payment).await?;
            }
            Notice::Dispute(reference, dispute) => {
                let payment = gateway.look(&reference).await.map_err(problem)?;
                self.learn_of(gateway, &payment).await?;
                if let Some((inside, attempt)) = self.whose(gateway, &payment).await? {
                    let rule = |it: &mut Attempt| Ok(it.disputed(&dispute));
                    self.store.at(&inside).change(&attempt.id(), rule).await?;
                }
            }
            Notice::Setup { reference, tenant } => {
                if let Some(inside) = self.there(tenant).await? {
                    let session = reference.try_into().map_err(Problem::internal)?;
                    self.take(gateway.name(), &session, &inside).await?;
                }
            }
        }
        Ok(Response::new(Body::from(Bytes::new())))
    }

    /// The service inside a tenant, if there is such a tenant: others may use the same account at the gateway.
    async fn there(&self, tenant: TenantId) -> Result<Option<Cx>, Problem> {
        let platform = self.services.cx("billing", Scope::Platform);
        match self.calls.call(ResolveTenant { name: tenant.to_string() }, &platform).await {
            Ok(_) => Ok(Some(self.services.cx("billing", Scope::Tenant(tenant)))),
            Err(gone) if matches!(gone.kind(), ProblemKind::NotFound | ProblemKind::Gone) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The attempt of a payment, where it is one of ours.
    async fn whose(&self, gateway: &Arc<dyn Gateway>, it: &Payment) -> Result<Option<(Cx, Loaded<Attempt>)>, Problem> {
        let Some((tenant, attempt)) = it.attempt else { return Ok(None) };
        let Some(inside) = self.there(tenant).await? else { return Ok(None) };
        let known = self.store.at(&inside).try_load::<Attempt>(&attempt).await?;
        Ok(known.filter(|known| known.by().gateway == gateway.name()).map(|known| (inside, known)))
    }

    /// Takes down what the gateway tells of a payment.
    pub(crate) async fn learn_of(&self, gateway: &Arc<dyn Gateway>, it: &Payment) -> Result<Learned, Problem> {
        if let Some((inside, known)) = self.whose(gateway, it).await? {
            let (now, mut news) = (inside.real_now(), false);
            // Most are known: nothing is written for them.
            if known.knows(it) {
                return Ok(Learned::Nothing);
            }
            let rule = |known: &mut Attempt| {
                let told = known.noticed(it, now);
                news = !told.is_empty();
                Ok(told)
            };
            self.store.at(&inside).change(&known.id(), rule).await?;
            return Ok(if news { Learned::Something } else { Learned::Nothing });
        }
        // An attempt that is not known here, such as after a backup was restored: the money is the tenant's all the same.
        let Some((tenant, attempt)) = it.attempt.filter(|_| it.standing == Standing::Succeeded) else {
            return Ok(Learned::Nothing);
        };
        let Some(inside) = self.there(tenant).await? else { return Ok(Learned::Nothing) };
        tracing::warn!(%tenant, %attempt, gateway = gateway.name(), "money came in for an attempt that is not known here");
        let name = format!("paid/{}/{}", gateway.name(), it.reference);
        self.credit(name, it.amount, CreditSource::Paid, &inside).await?;
        Ok(Learned::Stray)
    }
}
