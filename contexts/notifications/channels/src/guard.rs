//! Where a tenant may make us connect to: the public internet, and nothing else. The addresses that were checked are the
//! ones that are connected to, so a name that resolves to something else the next moment gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How far the servers of tenants may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On the public internet only.
    Public,
    /// Anywhere, this machine included, and without TLS: for development and tests.
    Anywhere,
}

/// Why a server is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such name.
    #[error("the host name does not resolve")]
    Unknown,
    /// In a network of the installation's own.
    #[error("the address is not one of the public internet")]
    Private,
}

fn public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Global unicast is 2000::/3; within it, what tunnels to IPv4 or is reserved by the IANA is left out.
fn public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let special = matches!((a, b), (0x2001, 0..=0x01ff | 0x0db8) | (0x2002 | 0x3ffe, _) | (0x3fff, 0..=0x0fff));
    (0x2000..=0x3fff).contains(&a) && !special
}

impl Reach {
    /// Whether an address may be connected to.
    pub(crate) fn allows(self, ip: IpAddr) -> bool {
        self == Self::Anywhere
            || match ip {
                IpAddr::V4(ip) => public_v4(ip),
                // An IPv4 address in an IPv6 one (::ffff:0:0/96 and others) is not within 2000::/3.
                IpAddr::V6(ip) => public_v6(ip),
            }
    }

    /// The addresses of a host that may be connected to.
    pub async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        let found = tokio::net::lookup_host((host, port)).await.map_err(|_| Refused::Unknown)?;
        let mut found = found.peekable();
        if found.peek().is_none() {
            return Err(Refused::Unknown);
        }
        let allowed: Vec<_> = found.filter(|it| self.allows(it.ip())).collect();
        if allowed.is_empty() { Err(Refused::Private) } else { Ok(allowed) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_public_internet_is_reached() {
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"] {
            assert!(Reach::Public.allows(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!Reach::Public.allows(private.parse().unwrap()), "{private}");
            assert!(Reach::Anywhere.allows(private.parse().unwrap()));
        }
    }

    proptest! {
        #[test]
        fn what_the_standard_library_knows_to_be_private_is_refused(bits: u32) {
            let ip = Ipv4Addr::from(bits);
            let known = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast()
                || ip.is_broadcast() || ip.is_unspecified() || ip.is_documentation();
            prop_assert!(!known || !Reach::Public.allows(ip.into()));
            prop_assert!(!Reach::Public.allows(ip.to_ipv6_mapped().into()));
            prop_assert!(!Reach::Public.allows(ip.to_ipv6_compatible().into()));
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused() {
        assert_eq!(Reach::Public.resolve("localhost", 80).await, Err(Refused::Private));
        assert!(Reach::Anywhere.resolve("localhost", 80).await.is_ok());
    }
}
