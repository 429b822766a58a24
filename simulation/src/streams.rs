//! The log, the facts and the mail as the platform sees them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use events::{DeadLetter, Entry, Log, LogError, Logged};
use facts::{Fact, Facts, FactsError, Funnel, Query, Reached, Row};
use kernel::{Scope, Timestamp};
use notifications::{Carrier, DeliveryError, Message, Outcome, Target};
use tenants::{Challenge, Control};

use crate::{
    faults::{Fate, Sabotage},
    ports::Shaky,
};

fn silent<T>() -> Result<T, LogError> {
    Err(LogError("simulated".to_owned()))
}

#[async_trait]
impl Log for Shaky {
    async fn append(&self, mut entries: Vec<Entry>) -> Result<(), LogError> {
        self.0.faults.takes().await;
        let fate = self.0.faults.fate();
        if matches!(fate, Fate::Refused | Fate::Adrift) {
            return silent();
        }
        if self.0.faults.breaks(Sabotage::LosesEvents) {
            entries.pop();
        }
        let head = self.0.log.head().await?;
        self.0.log.append(entries).await?;
        for logged in self.0.log.read(head, usize::MAX).await? {
            self.0.ledger.logged(&logged.envelope);
        }
        if fate == Fate::Torn { silent() } else { Ok(()) }
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let mut read = self.0.log.read(after, limit).await?;
        if read.is_empty() {
            return Ok(read);
        }
        if !self.reads().await {
            return silent();
        }
        if read.len() > 1 && self.0.faults.breaks(Sabotage::HidesEvents) {
            read.remove(0);
        }
        Ok(read)
    }

    async fn read_of(&self, scope: Scope, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        if self.reads().await { self.0.log.read_of(scope, after, limit).await } else { silent() }
    }

    async fn position(&self, reader: &str) -> Result<u64, LogError> {
        if self.0.faults.strikes() { silent() } else { self.0.log.position(reader).await }
    }

    /// Where this fails, what was digested is delivered once more.
    async fn advance(&self, reader: &str, position: u64) -> Result<(), LogError> {
        self.0.faults.takes().await;
        match self.0.faults.fate() {
            Fate::Good => self.0.log.advance(reader, position).await,
            Fate::Torn => {
                self.0.log.advance(reader, position).await?;
                silent()
            }
            Fate::Refused | Fate::Adrift => silent(),
        }
    }

    async fn readers(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError> {
        if self.reads().await { self.0.log.readers(prefix).await } else { silent() }
    }

    async fn dismiss(&self, reader: &str) -> Result<(), LogError> {
        if self.reads().await { self.0.log.dismiss(reader).await } else { silent() }
    }

    async fn head(&self) -> Result<u64, LogError> {
        if self.reads().await { self.0.log.head().await } else { silent() }
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LogError> {
        self.0.trace.tell(format_args!("put aside {letter:?}"));
        if self.reads().await { self.0.log.bury(letter).await } else { silent() }
    }

    async fn buried(&self, limit: usize) -> Result<Vec<DeadLetter>, LogError> {
        if self.reads().await { self.0.log.buried(limit).await } else { silent() }
    }

    async fn exhume(&self, reader: &str, position: u64) -> Result<(), LogError> {
        if self.reads().await { self.0.log.exhume(reader, position).await } else { silent() }
    }

    /// Nothing in a run is old enough.
    async fn trim(&self, _before: Timestamp) -> Result<u64, LogError> {
        Ok(0)
    }

    async fn erase(&self, scope: Scope) -> Result<(), LogError> {
        self.0.faults.takes().await;
        let fate = self.0.faults.fate();
        if matches!(fate, Fate::Refused | Fate::Adrift) {
            return silent();
        }
        self.0.log.erase(scope).await?;
        if fate == Fate::Torn { silent() } else { Ok(()) }
    }
}

fn lost<T>() -> Result<T, FactsError> {
    Err(FactsError::Unavailable("simulated".to_owned()))
}

impl Shaky {
    /// An act on the facts: `Some` where it is done, with whether that is told.
    async fn acts(&self) -> Option<bool> {
        self.0.faults.takes().await;
        match self.0.faults.fate() {
            Fate::Good => Some(true),
            Fate::Torn => Some(false),
            Fate::Refused | Fate::Adrift => None,
        }
    }
}

#[async_trait]
impl Facts for Shaky {
    async fn append(&self, mut facts: Vec<Fact>) -> Result<(), FactsError> {
        let Some(told) = self.acts().await else { return lost() };
        if self.0.faults.sabotage == Some(Sabotage::DoublesFacts) {
            let more = self.0.trace.next();
            for fact in &mut facts {
                fact.id = format!("{more} {}", fact.id);
            }
        }
        self.0.facts.append(facts).await?;
        if told { Ok(()) } else { lost() }
    }

    async fn answer(&self, scope: Scope, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, FactsError> {
        if self.reads().await { self.0.facts.answer(scope, queries).await } else { lost() }
    }

    async fn funnel(&self, scope: Scope, funnel: Funnel) -> Result<Vec<Reached>, FactsError> {
        if self.reads().await { self.0.facts.funnel(scope, funnel).await } else { lost() }
    }

    async fn prune(&self, scope: Scope, before: Timestamp) -> Result<(), FactsError> {
        let Some(told) = self.acts().await else { return lost() };
        self.0.facts.prune(scope, before).await?;
        if told { Ok(()) } else { lost() }
    }

    async fn erase(&self, scope: Scope) -> Result<(), FactsError> {
        let Some(told) = self.acts().await else { return lost() };
        self.0.facts.erase(scope).await?;
        if told { Ok(()) } else { lost() }
    }

    async fn forget(&self, scope: Scope, person: &str) -> Result<(), FactsError> {
        let Some(told) = self.acts().await else { return lost() };
        self.0.facts.forget(scope, person).await?;
        if told { Ok(()) } else { lost() }
    }
}

/// What came by mail.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<BTreeMap<String, Vec<(String, String)>>>);

impl Mailbox {
    fn keep(&self, address: String, mail: (String, String)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default().push(mail);
    }

    /// The mails of an address: the id of each, and what it says.
    pub(crate) fn of(&self, address: &str) -> Vec<(String, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned().unwrap_or_default()
    }

    /// The link in the newest mail to an address.
    pub(crate) fn link(&self, address: &str) -> Option<String> {
        let (_, text) = self.of(address).pop()?;
        text.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
    }
}

#[async_trait]
impl Carrier for Shaky {
    async fn deliver(&self, message: &Message) -> Outcome {
        let not_now = || Outcome::from(Err(DeliveryError::Transient("simulated".to_owned())));
        self.0.faults.takes().await;
        let fate = self.0.faults.fate();
        if fate == Fate::Refused {
            return not_now();
        }
        if fate == Fate::Adrift {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        if let Target::Mail(address) = &message.to {
            self.0.trace.tell(format_args!("mail {} {}", message.id, message.content.subject));
            let mail = (message.id.to_string(), message.content.text.clone());
            self.0.mailbox.keep(address.to_string(), mail);
        }
        if fate == Fate::Torn { not_now() } else { Ok(()).into() }
    }
}

#[async_trait]
impl Control for Shaky {
    async fn shown(&self, _challenge: &Challenge) -> Result<(), &'static str> {
        Err("nothing answers there")
    }
}
