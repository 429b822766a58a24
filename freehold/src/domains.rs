//! Looks whether a tenant controls a domain: asks for the proof over HTTP. It goes to addresses that strangers name, so it
//! goes to public ones only, follows nobody elsewhere, and reads little.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use reqwest::redirect::Policy;
use tenants::Challenge;

use crate::config::OfTenants;

/// The longest that looking may take, and the most that is read.
const PATIENCE: Duration = Duration::from_secs(8);
const MOST: usize = 1024;

/// Asks at domains.
pub(crate) struct Challenger {
    private: bool,
    port: u16,
}

impl Challenger {
    pub(crate) fn new(settings: &OfTenants) -> Self {
        Self { private: settings.private_domains, port: settings.domain_port }
    }

    /// The addresses of a name, all of them public: a name that leads to one of ours as well is none for strangers.
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, &'static str> {
        // RFC 6761, section 6.3: names below `localhost` are this machine, whoever is asked.
        let found: Vec<SocketAddr> = if name.ends_with(".localhost") {
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))]
        } else {
            let looked_up = tokio::net::lookup_host((name, self.port)).await;
            looked_up.map(Iterator::collect).map_err(|_| "the domain has no address")?
        };
        if found.is_empty() {
            return Err("the domain has no address");
        }
        if !self.private && !found.iter().all(|address| is_public(address.ip())) {
            return Err("the domain leads to an address that is not public");
        }
        Ok(found)
    }

    async fn answer(&self, challenge: &Challenge) -> Result<Vec<u8>, &'static str> {
        let unanswered = "nothing answered the challenge there";
        let Challenge { name, token, .. } = challenge;
        let addresses = self.addresses(name).await?;
        // The addresses that were looked at, and no second look-up that could say otherwise.
        let client = reqwest::Client::builder()
            .resolve_to_addrs(name, &addresses)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|_| unanswered)?;
        let url = format!("http://{name}:{}/.well-known/freehold-domain/{token}", self.port);
        let answer = client.get(url).send().await.map_err(|_| unanswered)?;
        if !answer.status().is_success() {
            return Err(unanswered);
        }
        let (mut body, mut pieces) = (Vec::new(), answer.bytes_stream());
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|_| unanswered)?);
            if body.len() > MOST {
                return Err("the answer there is not the proof");
            }
        }
        Ok(body)
    }
}

#[async_trait]
impl tenants::Control for Challenger {
    async fn shown(&self, challenge: &Challenge) -> Result<(), &'static str> {
        let answer = tokio::time::timeout(PATIENCE, self.answer(challenge)).await;
        let answer = answer.unwrap_or(Err("nothing answered the challenge in time"))?;
        if answer.trim_ascii() == challenge.proof.as_bytes() {
            Ok(())
        } else {
            Err("the answer there is not the proof")
        }
    }
}

/// Whether an address is one of the whole internet (the registries of special-purpose addresses, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_public_v4(it),
        IpAddr::V6(it) => it.to_ipv4_mapped().map_or_else(|| is_public_v6(it), is_public_v4),
    }
}

fn is_public_v4(it: Ipv4Addr) -> bool {
    let [first, second, third, _] = it.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let protocols = first == 192 && second == 0 && third == 0;
    let relay = first == 192 && second == 88 && third == 99;
    let benchmarks = first == 198 && (18..20).contains(&second);
    !(it.is_private()
        || it.is_loopback()
        || it.is_link_local()
        || it.is_documentation()
        || it.is_multicast()
        || first == 0
        || first >= 240
        || shared
        || protocols
        || relay
        || benchmarks)
}

/// Global unicast alone (2000::/3), without what carries an IPv4 address inside or is set apart.
fn is_public_v6(it: Ipv6Addr) -> bool {
    let [first, second, ..] = it.segments();
    let documentation = first == 0x2001 && second == 0xdb8 || first == 0x3fff && second < 0x1000;
    let special = first == 0x2001 && second < 0x200;
    let six_to_four = first == 0x2002;
    first & 0xe000 == 0x2000 && !documentation && !special && !six_to_four
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_lead_to_public_addresses_only() {
        for public in ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for refused in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "203.0.113.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001::1",
        ] {
            assert!(!is_public(refused.parse().unwrap()), "{refused}");
        }
    }
}
