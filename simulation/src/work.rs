//! What people do all day.

use std::{ops::Range, time::Duration};

use serde_json::{Value, json};

use crate::{
    Broken,
    arrival::{PASSWORD, invites, joins, signs_in},
    client::{Client, Told, marker},
    memory::{Company, Person},
};

/// Whether who asks has lost the right to, and does nothing more.
fn is_over(told: &Told) -> bool {
    matches!(told, Told::Refused(code) if ["sign_in_required", "credential_refused", "not_found"].contains(&code.as_str()))
}

/// Of two ways to send: again until it is sure, or once.
pub(crate) async fn sends(client: &Client, method: &str, path: &str, body: &Value) -> Result<Told, Broken> {
    if client.dice.in_a_thousand(700) {
        client.surely(method, path, body).await
    } else {
        client.perhaps(method, path, body).await
    }
}

impl Person {
    /// One act; whether there will be another.
    async fn acts(&mut self, number: u64) -> Result<bool, Broken> {
        let client = self.client.clone();
        let told = match client.dice.below(8) {
            0..3 => {
                let key = client.dice.one_of(&["count", "height"]).unwrap_or("count");
                let value = json!(number);
                let path = format!("/v1/me/preferences/{key}");
                let told = sends(&client, "PUT", &path, &json!({ "value": value })).await?;
                self.preferences.entry(key.to_owned()).or_default().wrote(value, &told);
                told
            }
            3 | 4 => {
                let title = json!(format!("{} {number}", self.words));
                let told = sends(&client, "PATCH", "/v1/me", &json!({ "title": title })).await?;
                self.title.wrote(title, &told);
                told
            }
            5 => {
                let count = 1 + client.dice.below(4);
                let event = |place| json!({ "id": format!("{number}-{place}"), "name": "sim.opened" });
                let batch = json!({ "events": (0..count).map(event).collect::<Vec<_>>() });
                let mut told = sends(&client, "POST", "/v1/events", &batch).await?;
                if client.dice.in_a_thousand(300) {
                    // What is sent again counts once. Refused, it says nothing about the first time.
                    match client.surely("POST", "/v1/events", &batch).await? {
                        Told::Refused(_) => {}
                        again => told = again,
                    }
                }
                self.tracked.sent(count, &told);
                told
            }
            6 => {
                let told = client.surely("GET", "/v1/me", &Value::Null).await?;
                if let Told::Done(me) = &told
                    && !self.title.may_be(me.get("title").unwrap_or(&Value::Null))
                {
                    return Err(Broken(format!("the title {me} is none of {:?}", self.title)));
                }
                told
            }
            _ => return self.comes_back().await,
        };
        Ok(!is_over(&told))
    }

    /// Signs out and in again.
    async fn comes_back(&mut self) -> Result<bool, Broken> {
        let stands = self.client.surely("GET", "/v1/me", &Value::Null).await?;
        if is_over(&stands) {
            return Ok(false);
        }
        self.client.form("/sign-out", &[]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let told = self.client.perhaps("GET", "/v1/me", &Value::Null).await?;
        if matches!(told, Told::Done(_)) {
            return Err(Broken(format!("{} is still let in a second after the end of the session", self.email)));
        }
        let visitor = Client::of(&self.client.site, self.client.tenant, &format!("{} again", self.email));
        let dice = self.client.dice.clone();
        // Whoever is being erased is not let in any more; in the end all others must be.
        let Some(cookie) = signs_in(&visitor, "/sign-in", &self.email).await? else { return Ok(false) };
        self.client = visitor.with_cookie(cookie);
        self.client.dice = dice;
        Ok(true)
    }

    /// Works for a while.
    pub(crate) async fn works(mut self) -> Result<Self, Broken> {
        let acts = 4 + self.client.dice.below(9);
        for number in 1..=acts {
            tokio::time::sleep(self.client.dice.millis(2_500)).await;
            if !self.acts(number).await? {
                break;
            }
        }
        Ok(self)
    }
}

impl Company {
    /// The owner's day, by chance; each act has a number.
    pub(crate) async fn is_run(&mut self, acts: Range<u64>) -> Result<(), Broken> {
        let owner = self.owner.client.clone();
        for number in acts {
            tokio::time::sleep(owner.dice.millis(2_500)).await;
            match owner.dice.below(9) {
                0 => self.switches(number).await?,
                1 => self.crowds(number).await?,
                2 => self.tells(number).await?,
                3 | 4 => Box::pin(self.races(number)).await?,
                5 => self.lets_a_program_in(number).await?,
                6 => self.uses(number).await?,
                7 => self.buys().await?,
                _ => drop(self.owner.acts(1_000 + number).await?),
            }
        }
        Ok(())
    }

    async fn switches(&mut self, number: u64) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let key = owner.dice.one_of(&["search", "export"]).unwrap_or("search");
        let told =
            sends(owner, "PUT", &format!("/v1/features/{key}"), &json!({ "enabled": true, "percentage": number }))
                .await?;
        self.features.entry(key.to_owned()).or_default().wrote(json!(number), &told);
        Ok(())
    }

    /// More are invited at once than there are seats.
    async fn crowds(&mut self, number: u64) -> Result<(), Broken> {
        let (owner, place) = (&self.owner.client, self.place);
        let names = [1, 2, 3].map(|one| format!("crowd{place}n{number}n{one}"));
        let [one, two, three] = &names;
        let asked = tokio::join!(
            biased;
            invites(owner, place, one),
            invites(owner, place, two),
            invites(owner, place, three)
        );
        for invited in [asked.0?, asked.1?, asked.2?] {
            self.invited += u64::from(invited.is_some());
        }
        Ok(())
    }

    async fn tells(&mut self, number: u64) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let at = usize::try_from(owner.dice.below(self.people.len() as u64)).unwrap_or(0);
        let Some(person) = self.people.get(at) else { return Ok(()) };
        let words = format!("{} told {number}", marker(self.place));
        let asked = json!({
            "id": format!("told-{number}"), "to": { "user": person.id }, "template": "sim.note",
            "variables": { "words": words },
        });
        match sends(owner, "POST", "/v1/notifications", &asked).await? {
            Told::Done(_) => self.told.push((at, words, true)),
            Told::Unknown => self.told.push((at, words, false)),
            Told::Refused(_) => {}
        }
        Ok(())
    }

    /// Several take of what there is not enough of.
    async fn races(&mut self, number: u64) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let (tickets, credits) = ("/v1/quotas/tickets/reservations", "/v1/quotas/credits/spend");
        let reserve = |one: u64| json!({ "id": format!("{number}-{one}"), "amount": 1 + one % 3, "seconds": 86_400 });
        let asks = [reserve(1), reserve(2), reserve(3)];
        let spend = json!({ "amount": 2 });
        let [one, two, three] = &asks;
        let taken = tokio::join!(
            biased;
            owner.surely("POST", tickets, one),
            owner.surely("POST", tickets, two),
            owner.surely("POST", tickets, three),
            owner.surely("POST", credits, &spend),
            owner.surely("POST", credits, &spend)
        );
        for (told, ask) in [taken.0?, taken.1?, taken.2?].iter().zip(&asks) {
            let id = ask.get("id").and_then(Value::as_str).unwrap_or_default();
            let amount = ask.get("amount").and_then(Value::as_u64).unwrap_or(0);
            match told {
                Told::Done(_) if owner.dice.in_a_thousand(400) => {
                    owner.does("DELETE", &format!("{tickets}/{id}"), &Value::Null).await?;
                }
                Told::Done(_) => {
                    owner.does("POST", &format!("{tickets}/{id}/confirm"), &json!({})).await?;
                    self.held += amount;
                }
                Told::Refused(code) if code == "tenants.quota_exhausted" => {}
                other => return Err(Broken(format!("a reservation: {other:?}"))),
            }
        }
        self.spent += [taken.3?, taken.4?].iter().filter(|told| matches!(told, Told::Done(_))).count() as u64 * 2;
        Ok(())
    }

    /// A program gets a key, uses it, and has none any more a second after it was taken back.
    async fn lets_a_program_in(&mut self, number: u64) -> Result<(), Broken> {
        let owner = &self.owner.client;
        let asked = json!({ "name": format!("CI {number}"), "permissions": ["users.profile.read"], "days": 30 });
        // A password stands for ten minutes, which a run may outlast.
        owner.does("POST", "/v1/me/prove", &json!({ "password": PASSWORD })).await?;
        let made = match owner.surely("POST", "/v1/api-keys", &asked).await? {
            Told::Done(made) => made,
            // It was made, and its secret is shown to nobody once more.
            Told::Refused(code) if code == "answer_not_kept" => return Ok(()),
            other => return Err(Broken(format!("no key is made: {other:?}"))),
        };
        let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
        let program = Client::of(&owner.site, Some(self.place), &format!("program{}n{number}", self.place));
        let program = program.with_token(text("key"));
        program.reads("/v1/users").await?;
        owner.does("DELETE", &format!("/v1/api-keys/{}", text("id")), &Value::Null).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        match program.perhaps("GET", "/v1/users", &Value::Null).await? {
            Told::Done(_) => Err(Broken("a key is still good a second after it was taken back".to_owned())),
            Told::Refused(_) | Told::Unknown => Ok(()),
        }
    }

    /// Publishes what people are told by.
    pub(crate) async fn has_a_template(&self) -> Result<(), Broken> {
        let wording = json!({
            "category": "product",
            "variables": { "words": { "type": "text", "example": "words" } },
            "locales": { "en": { "subject": "{{ words }}", "text": "Dear {{ recipient }}, {{ words }}." } },
        });
        let owner = &self.owner.client;
        owner.does("PUT", "/v1/templates/sim.note", &json!({ "wording": wording })).await?;
        owner.does("POST", "/v1/templates/sim.note/publish", &json!({})).await.map(drop)
    }

    /// Colleagues come, as far as there are seats.
    pub(crate) async fn grows(&mut self, colleagues: u64) -> Result<(), Broken> {
        for number in 0..colleagues {
            let name = format!("colleague{}n{number}", self.place);
            self.people.extend(joins(&self.owner.client, self.place, &name).await?);
        }
        Ok(())
    }

    /// One colleague is erased for good.
    pub(crate) async fn loses_one(&mut self, id: &str) -> Result<(), Broken> {
        let Some(person) = self.people.iter_mut().find(|person| person.id == id) else { return Ok(()) };
        let path = format!("/v1/users/{id}/erase");
        self.owner.client.does("POST", &path, &json!({ "confirm": person.email })).await?;
        person.erased = true;
        Ok(())
    }
}
