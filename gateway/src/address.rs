//! Whose address a request comes from. Behind proxies that are trusted, what they wrote; else the connection's own.

use std::{fmt, net::IpAddr, str::FromStr};

use http::HeaderMap;
use serde::{Deserialize, Deserializer, de};

/// A block of addresses, such as `10.0.0.0/8`; a single address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    bits: u32,
}

/// One number line for both families (RFC 4291, section 2.5.5.2), so that `::ffff:10.0.0.1` is `10.0.0.1`.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
        IpAddr::V6(six) => six.to_bits(),
    }
}

impl Network {
    /// Whether the address lies within.
    pub fn holds(self, address: IpAddr) -> bool {
        let shift = 128 - self.bits;
        shift == 128 || number(address) >> shift == self.base >> shift
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const REFUSED: &str = "expected an address or a block of them, such as 10.0.0.0/8";
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| REFUSED)?;
        let (longest, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = bits.map_or(Ok(longest), |bits| bits.parse::<u32>().map_err(|_| REFUSED))?;
        if bits > longest {
            return Err(REFUSED);
        }
        Ok(Self { base: number(address), bits: bits + offset })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The header in which the trusted proxies say for whom they ask. One, since a proxy that writes the one lets whatever
/// a client sends in the other pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

impl fmt::Display for ForwardedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ForwardedHeader {
    const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The proxies that are believed, and where they write.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Their addresses.
    pub trusted: Vec<Network>,
    /// The header that they write.
    pub header: ForwardedHeader,
}

/// As many hops as anybody has; what a client wrote to the left of them is never looked at.
const HOPS: usize = 16;

impl Proxies {
    /// Whether this is one of them.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.holds(address))
    }

    /// The visitor's address: from right to left, the first that no trusted proxy has. A hop that cannot be read ends the
    /// search at the proxy that wrote it.
    pub fn visitor(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut found = canonical(peer);
        if !self.trusts(found) {
            return found;
        }
        let lines: Vec<&str> =
            headers.get_all(self.header.name()).iter().filter_map(|line| line.to_str().ok()).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops.take(HOPS) {
            let hop = match self.header {
                ForwardedHeader::XForwardedFor => node(hop.trim()),
                ForwardedHeader::Forwarded => forwarded_for(hop).and_then(node),
            };
            let Some(address) = hop else { return found };
            found = canonical(address);
            if !self.trusts(found) {
                return found;
            }
        }
        found
    }
}

fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The `for` parameter of one element (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value);
    let (value, None) = (named.next()?, named.next()) else { return None };
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address, with or without a port (RFC 7239, section 6).
fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    text.parse().ok().or_else(|| text.parse::<std::net::SocketAddrV4>().ok().map(|it| IpAddr::V4(*it.ip())))
}

/// What an address counts as: an IPv6 network of 64 bits is one customer's.
pub(crate) fn counted(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(_) => number(address),
        IpAddr::V6(six) => six.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (http::HeaderName::from_static(name), line.parse().unwrap())).collect()
    }

    fn proxies(header: ForwardedHeader) -> Proxies {
        Proxies { trusted: ["10.0.0.0/8", "fd00::/8", "::1"].map(|it| it.parse().unwrap()).to_vec(), header }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let it = proxies(ForwardedHeader::XForwardedFor);
        let visitor = |peer: &str, lines: &[&str]| it.visitor(ip(peer), &headers("x-forwarded-for", lines));
        assert_eq!(visitor("203.0.113.9", &["198.51.100.1"]), ip("203.0.113.9"), "a stranger's word");
        assert_eq!(visitor("10.1.1.1", &["1.2.3.4, 198.51.100.1, 10.0.0.7"]), ip("198.51.100.1"), "forged to the left");
        assert_eq!(
            visitor("10.1.1.1", &["1.2.3.4", "198.51.100.1"]),
            ip("198.51.100.1"),
            "the last line is the last hop"
        );
        assert_eq!(visitor("10.1.1.1", &["198.51.100.1, nonsense"]), ip("10.1.1.1"), "unreadable");
        assert_eq!(visitor("::ffff:10.1.1.1", &["198.51.100.1:4711"]), ip("198.51.100.1"), "mapped, with a port");
        assert_eq!(visitor("10.1.1.1", &[]), ip("10.1.1.1"), "a proxy that asks for itself");
        assert_eq!(visitor("10.1.1.1", &["10.2.2.2"]), ip("10.2.2.2"), "all are trusted");
    }

    #[test]
    fn the_standard_header() {
        let it = proxies(ForwardedHeader::Forwarded);
        let visitor = |lines: &[&str]| it.visitor(ip("::1"), &headers("forwarded", lines));
        assert_eq!(visitor(&["for=192.0.2.60;proto=http;by=203.0.113.43"]), ip("192.0.2.60"));
        assert_eq!(visitor(&["for=1.1.1.1, For=\"[2001:db8:cafe::17]:4711\""]), ip("2001:db8:cafe::17"));
        assert_eq!(visitor(&["for=192.0.2.60, for=10.0.0.3;proto=https"]), ip("192.0.2.60"));
        for hidden in ["for=_hidden", "for=unknown", "proto=http", "for=1.1.1.1;for=2.2.2.2"] {
            assert_eq!(visitor(&[hidden]), ip("::1"), "{hidden}");
        }
        let other = headers("x-forwarded-for", &["198.51.100.1"]);
        assert_eq!(it.visitor(ip("::1"), &other), ip("::1"), "the header that the proxies do not write");
    }

    #[test]
    fn a_customers_network_is_one() {
        assert_eq!(counted(ip("2001:db8:1:2::1")), counted(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(counted(ip("2001:db8:1:2::1")), counted(ip("2001:db8:1:3::1")));
        assert_ne!(counted(ip("192.0.2.1")), counted(ip("192.0.2.2")));
    }

    proptest! {
        #[test]
        fn no_header_of_a_client_makes_an_untrusted_hop_trusted(lines in prop::collection::vec("[ -~]{0,60}", 0..4), last: u32) {
            let it = proxies(ForwardedHeader::XForwardedFor);
            let client = IpAddr::V4(std::net::Ipv4Addr::from_bits(last | 0xc000_0000));
            let mut lines = lines;
            lines.push(client.to_string());
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(it.visitor(ip("10.0.0.1"), &headers("x-forwarded-for", &lines)), client);
        }

        #[test]
        fn a_block_holds_what_shares_its_bits(base: u32, bits in 0_u32..=32, other: u32) {
            let four = |bits: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(bits));
            let network: Network = format!("{}/{bits}", four(base)).parse().unwrap();
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            prop_assert_eq!(network.holds(four(other)), base & mask == other & mask);
        }
    }
}
