//! Looks whether a tenant controls a domain: asks for the proof over HTTP, and for a TXT record. Over HTTP it goes to
//! addresses that strangers name, so it goes to public ones only, follows nobody elsewhere, and reads little.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RData,
};
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
    /// Asks the name servers of this machine; none where none is known.
    names: Option<TokioResolver>,
}

/// The name servers of this machine (resolv.conf(5)).
fn name_servers() -> Vec<NameServerConfig> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let addresses = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    addresses.map(NameServerConfig::udp_and_tcp).collect()
}

/// Asks anew each time: whoever has just set a record wants it seen.
fn resolver(servers: Vec<NameServerConfig>) -> Option<TokioResolver> {
    if servers.is_empty() {
        return None;
    }
    let config = ResolverConfig::from_name_servers(servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    (options.cache_size, options.attempts, options.timeout) = (0, 1, PATIENCE / 3);
    builder.build().ok()
}

impl Challenger {
    pub(crate) fn new(settings: &OfTenants) -> Self {
        Self { private: settings.private_domains, port: settings.domain_port, names: resolver(name_servers()) }
    }

    /// The addresses of a name, all of them public: a name that leads to one of ours as well is none for strangers.
    async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, &'static str> {
        // RFC 6761, section 6.3: names below `localhost` are this machine, whoever is asked.
        let found: Vec<SocketAddr> = if name.ends_with(".localhost") {
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))]
        } else {
            let looked_up = tokio::net::lookup_host((name, self.port)).await;
            looked_up
                .map(Iterator::collect)
                .map_err(|_| "no TXT record has the proof, and the domain has no address")?
        };
        if found.is_empty() {
            return Err("no TXT record has the proof, and the domain has no address");
        }
        if !self.private && !found.iter().all(|address| is_public(address.ip())) {
            return Err("no TXT record has the proof, and the domain leads to an address that is not public");
        }
        Ok(found)
    }

    async fn answer(&self, challenge: &Challenge) -> Result<Vec<u8>, &'static str> {
        let unanswered = "no TXT record has the proof, and nothing answered the challenge there";
        let Challenge { name, token, .. } = challenge;
        let addresses = self.addresses(name).await?;
        // The addresses that were looked at, and no second look-up that could say otherwise.
        let client = reqwest::Client::builder()
            .resolve_to_addrs(name, &addresses)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE / 2)
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
                return Err("no TXT record has the proof, and the answer there is not the proof");
            }
        }
        Ok(body)
    }
}

impl Challenger {
    async fn served(&self, challenge: &Challenge) -> Result<(), &'static str> {
        let answer = self.answer(challenge).await?;
        let proven = answer.trim_ascii() == challenge.proof.as_bytes();
        proven.then_some(()).ok_or("no TXT record has the proof, and the answer there is not the proof")
    }

    async fn recorded(&self, challenge: &Challenge) -> bool {
        let Some(names) = &self.names else { return false };
        // With its dot: no search list is tried.
        let Ok(found) = names.txt_lookup(format!("_freehold.{}.", challenge.name)).await else { return false };
        let mut texts = found.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
        texts.any(|text| text == challenge.proof.as_bytes())
    }
}

#[async_trait]
impl tenants::Control for Challenger {
    async fn shown(&self, challenge: &Challenge) -> Result<(), &'static str> {
        let looked = async { tokio::join!(self.recorded(challenge), self.served(challenge)) };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok((true, _)) => Ok(()),
            Ok((false, served)) => served,
            Err(_) => Err("nothing answered the challenge in time"),
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

    /// A name server that says the same text for every name.
    async fn says(text: &'static str) -> u16 {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let labels = query[12..length].iter().position(|byte| *byte == 0).unwrap();
                let mut answer = query[..12 + labels + 5].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                let long = u8::try_from(text.len()).unwrap();
                answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, long + 1, long]);
                answer.extend(text.as_bytes());
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn a_record_proves_what_it_says() {
        let mut server = NameServerConfig::udp("127.0.0.1".parse().unwrap());
        server.connections[0].port = says("the proof").await;
        let looks = Challenger { private: false, port: 80, names: resolver(vec![server]) };
        let challenge =
            |proof: &str| Challenge { name: "app.test".to_owned(), token: "token".to_owned(), proof: proof.to_owned() };
        assert_eq!(tenants::Control::shown(&looks, &challenge("the proof")).await, Ok(()));
        let refused = tenants::Control::shown(&looks, &challenge("another")).await;
        assert_eq!(
            refused,
            Err("no TXT record has the proof, and the domain has no address"),
            "RFC 6761, section 6.2: nobody has one"
        );
    }
}
