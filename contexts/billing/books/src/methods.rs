//! The ways to pay that a tenant saved. Cards and accounts are known to the gateways alone; here are the gateways' names
//! of them.

use std::collections::BTreeMap;

use billing_gateways::Method;
use billing_rules::Refusal;
use contracts::payments::{MethodId, PaymentMethodAdded, PaymentMethodPreferred, PaymentMethodRemoved};
use kernel::{Aggregate, AnyEvent, ScopeKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::attempt::By;

/// The most methods of a tenant.
const MOST: usize = 20;

/// A way to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Its id.
    pub id: MethodId,
    /// At which gateway.
    pub gateway: String,
    /// What the gateway tells of it.
    pub method: Method,
    /// When it was saved.
    pub at: Timestamp,
}

/// See the module. The one that is preferred is the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Methods {
    /// Gateway to its name of the tenant.
    customers: BTreeMap<String, String>,
    saved: Vec<Saved>,
}

impl Methods {
    /// Those of a tenant.
    pub const ID: &'static str = "payment_methods";

    /// The gateway's name of the tenant.
    pub fn customer(&self, gateway: &str) -> Option<&str> {
        self.customers.get(gateway).map(String::as_str)
    }

    /// A gateway knows the tenant by this name; the first stays.
    pub fn known_as(&mut self, gateway: &str, customer: &str) {
        self.customers.entry(gateway.to_owned()).or_insert_with(|| customer.to_owned());
    }

    /// Saves a method, and prefers it. The same one again changes nothing.
    pub fn add(&mut self, it: Saved) -> Result<Vec<AnyEvent>, Refusal> {
        let same = |known: &Saved| known.gateway == it.gateway && known.method.token == it.method.token;
        if self.saved.iter().any(same) {
            return Ok(Vec::new());
        }
        if self.saved.len() >= MOST {
            return Err(Refusal::Methods);
        }
        let told = PaymentMethodAdded { method: it.id, gateway: it.gateway.clone() };
        self.saved.insert(0, it);
        Ok(vec![told.into()])
    }

    /// Prefers a method.
    pub fn prefer(&mut self, id: MethodId) -> Result<Vec<AnyEvent>, Refusal> {
        match self.saved.iter().position(|it| it.id == id) {
            Some(0) => Ok(Vec::new()),
            Some(place) => {
                let it = self.saved.remove(place);
                self.saved.insert(0, it);
                Ok(vec![PaymentMethodPreferred { method: id }.into()])
            }
            None => Err(Refusal::UnknownMethod),
        }
    }

    /// Forgets a method.
    pub fn remove(&mut self, id: MethodId) -> Result<PaymentMethodRemoved, Refusal> {
        let place = self.saved.iter().position(|it| it.id == id).ok_or(Refusal::UnknownMethod)?;
        let it = self.saved.remove(place);
        Ok(PaymentMethodRemoved { method: id, gateway: it.gateway })
    }

    /// All, the preferred one first.
    pub fn all(&self) -> &[Saved] {
        &self.saved
    }

    /// One of them, as what pays.
    pub fn by(&self, id: MethodId) -> Option<By> {
        let it = self.saved.iter().find(|it| it.id == id)?;
        Some(By {
            gateway: it.gateway.clone(),
            customer: self.customer(&it.gateway)?.to_owned(),
            method: it.id,
            token: it.method.token.clone(),
            kind: it.method.kind.clone(),
        })
    }
}

impl Aggregate for Methods {
    type Id = String;
    const KIND: &'static str = "billing.payment_methods";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::id;

    fn saved(number: u128) -> Saved {
        let (token, kind, label) = (format!("t{number}"), "card".to_owned(), "visa •••• 4242".to_owned());
        let method = Method { token, kind, label, expires: None };
        Saved { id: id(number), gateway: "model".to_owned(), method, at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn the_latest_is_preferred_until_another_is_chosen() {
        let mut it = Methods::default();
        it.known_as("model", "c1");
        it.known_as("model", "c2");
        assert_eq!(it.customer("model"), Some("c1"));
        assert_eq!((it.add(saved(1)).unwrap().len(), it.add(saved(2)).unwrap().len()), (1, 1));
        assert!(it.add(Saved { id: id(7), ..saved(1) }).unwrap().is_empty(), "the same one");
        assert_eq!(it.all().first().map(|it| it.id), Some(id(2)));
        assert_eq!((it.prefer(id(1)).unwrap().len(), it.prefer(id(1)).unwrap().len()), (1, 0));
        assert_eq!(
            (it.prefer(id(9)), it.by(id(1)).map(|by| by.token)),
            (Err(Refusal::UnknownMethod), Some("t1".to_owned()))
        );
        assert_eq!(
            (it.remove(id(1)).is_ok(), it.remove(id(1)), it.by(id(1))),
            (true, Err(Refusal::UnknownMethod), None)
        );
        for number in 10..29 {
            it.add(saved(number)).unwrap();
        }
        assert_eq!(it.add(saved(99)), Err(Refusal::Methods));
    }
}
