//! The gateways of this installation, and which of them a tenant is offered.

use std::{collections::BTreeMap, sync::Arc};

use billing_books::tax::Country;
use billing_gateways::{Failure, Gateway};
use kernel::{Problem, ProblemKind};
use money::Currency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which gateway is offered to whom: the first rule that fits decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// The gateway.
    pub gateway: String,
    /// Only where invoices are in one of these currencies; in all, where none is named.
    #[serde(default)]
    pub currencies: Vec<Currency>,
    /// Only to buyers in one of these countries; in all, where none is named.
    #[serde(default)]
    pub countries: Vec<Country>,
}

impl Routing {
    fn fits(&self, currency: Currency, country: Option<Country>) -> bool {
        let country = self.countries.is_empty() || country.is_some_and(|it| self.countries.contains(&it));
        country && (self.currencies.is_empty() || self.currencies.contains(&currency))
    }
}

/// See the module.
#[derive(Clone, Default)]
pub struct Gateways {
    known: BTreeMap<&'static str, Arc<dyn Gateway>>,
    routing: Vec<Routing>,
}

impl Gateways {
    /// These, offered by these rules; where none fits, by the order of their names.
    pub fn new(all: Vec<Arc<dyn Gateway>>, routing: Vec<Routing>) -> Self {
        Self { known: all.into_iter().map(|it| (it.name(), it)).collect(), routing }
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.known.keys().copied()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn Gateway>> {
        self.known.get(name)
    }

    /// One of these, by its name.
    pub(crate) fn named(&self, name: &str) -> Result<&Arc<dyn Gateway>, Problem> {
        self.get(name).ok_or_else(|| {
            Problem::not_found("payment gateway").hint("ask whoever runs the installation which gateways are connected")
        })
    }

    /// The one that is offered.
    pub(crate) fn offered(&self, currency: Currency, country: Option<Country>) -> Result<&Arc<dyn Gateway>, Problem> {
        let mut fitting = self.routing.iter().filter(|rule| rule.fits(currency, country));
        let ruled = fitting.find_map(|rule| self.get(&rule.gateway));
        ruled.or_else(|| self.known.values().next()).ok_or_else(|| {
            Problem::new(ProblemKind::Refused, "billing.no_gateway", "no payment gateway is connected")
                .hint("pay by bank transfer, or ask whoever runs the installation to set `payments.stripe`")
        })
    }
}

/// What a gateway's failure is to whoever asked for something that it alone can do.
pub(crate) fn problem(failure: Failure) -> Problem {
    match failure {
        Failure::Refused { code, detail } => Problem::new(
            ProblemKind::Refused,
            "billing.gateway_refused",
            format!("the payment gateway refused: {code}"),
        )
        .hint("use another way to pay")
        .cause(detail),
        Failure::Later(what) | Failure::Unknown(what) => {
            Problem::new(ProblemKind::Unavailable, "billing.gateway_away", "the payment gateway does not answer")
                .hint("try again in a minute")
                .cause(what)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rule = |gateway: &str, currencies: &[&str], countries: &[&str]| Routing {
            gateway: gateway.to_owned(),
            currencies: currencies.iter().map(|it| it.parse().unwrap()).collect(),
            countries: countries.iter().map(|it| it.parse().unwrap()).collect(),
        };
        let all: Vec<Arc<dyn Gateway>> = vec![Arc::new(billing_gateways::model::Model::default())];
        let rules = vec![rule("away", &["EUR"], &[]), rule("model", &["EUR"], &["NL"])];
        let offered = |it: &Gateways, currency: &str, country: Option<&str>| {
            it.offered(currency.parse().unwrap(), country.map(|it| it.parse().unwrap())).map(|it| it.name()).ok()
        };
        let it = Gateways::new(all, rules.clone());
        assert_eq!(offered(&it, "EUR", Some("NL")), Some("model"), "one that is not connected is passed over");
        assert_eq!(offered(&it, "USD", None), Some("model"), "where no rule fits");
        assert_eq!(offered(&Gateways::new(Vec::new(), rules), "EUR", None), None);
        assert!(!rule("x", &[], &["NL"]).fits("EUR".parse().unwrap(), None));
    }
}
