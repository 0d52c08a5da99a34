//! Addresses: what one client is, which networks are trusted, and whom a trusted proxy speaks for.
//!
//! Invariant: what a client says of itself counts nothing. A forwarding header is read only when the peer is a
//! trusted proxy, and from the right: everything left of the first untrusted entry was written by strangers.

use super::settings::{ForwardedHeader, Networks};
use axum::http::{HeaderMap, HeaderName, header};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, the least that anybody is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey(IpAddr);

impl AddressKey {
    /// The key of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network such as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                same_prefix(ours.to_bits().into(), theirs.to_bits().into(), self.prefix, 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                same_prefix(ours.to_bits(), theirs.to_bits(), self.prefix, 128)
            }
            _ => false,
        }
    }
}

fn same_prefix(ours: u128, theirs: u128, prefix: u8, width: u8) -> bool {
    // Shifting by the whole width is no shift; a prefix of 0 matches everything.
    (ours ^ theirs).checked_shr(u32::from(width - prefix)).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is neither an address nor a network such as 10.0.0.0/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let address = address.to_canonical();
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= width).ok_or_else(bad)?,
        };
        Ok(Self { address, prefix })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The proxies in front of this server, and the header in which they tell whom they speak for.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Networks,
    header: ForwardedHeader,
}

impl Proxies {
    /// These proxies.
    #[must_use]
    pub fn new(trusted: Networks, header: ForwardedHeader) -> Self {
        Self { trusted, header }
    }

    /// Whether a peer is one of them.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        self.trusted.0.iter().any(|network| network.contains(peer))
    }

    /// The address that a request comes from: the peer's own, or what trusted proxies say. An entry that cannot be
    /// read ends the search at the last proxy that could be believed.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contains(peer) {
            return peer;
        }
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => header::FORWARDED,
        };
        let mut nearest = peer;
        // Several headers of one name are one list, in their order.
        for value in headers.get_all(name).iter().rev() {
            let Ok(value) = value.to_str() else { return nearest };
            for entry in value.rsplit(',') {
                let address = match self.header {
                    ForwardedHeader::XForwardedFor => address(entry.trim()),
                    ForwardedHeader::Forwarded => forwarded_for(entry),
                };
                let Some(address) = address else { return nearest };
                nearest = address;
                if !self.contains(address) {
                    return nearest;
                }
            }
        }
        nearest
    }
}

/// `for=192.0.2.60;proto=http;by=…`: the address after `for`, which may be quoted.
fn forwarded_for(entry: &str) -> Option<IpAddr> {
    let (_, node) = entry
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

/// An address, in brackets or not, with a port or not.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_is_an_address_or_a_64() {
        assert_eq!(AddressKey::of(ip("2001:db8::1")), AddressKey::of(ip("2001:db8::ffff:2")));
        assert_ne!(AddressKey::of(ip("2001:db8::1")), AddressKey::of(ip("2001:db8:0:1::1")));
        assert_ne!(AddressKey::of(ip("192.0.2.1")), AddressKey::of(ip("192.0.2.2")));
        assert_eq!(AddressKey::of(ip("::ffff:192.0.2.1")), AddressKey::of(ip("192.0.2.1")));
    }

    #[test]
    fn a_network_knows_its_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(ip(inside)), "{network:?} {inside}");
            assert!(!network.contains(ip(outside)), "{network:?} {outside}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0/8", "localhost", "10.0.0.0/"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    fn client(header: ForwardedHeader, peer: &str, values: &[&str]) -> IpAddr {
        let proxies = Proxies::new("10.0.0.0/8, 2001:db8::/32".parse().unwrap(), header);
        let name = if header == ForwardedHeader::Forwarded { header::FORWARDED } else { X_FORWARDED_FOR };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies.client(ip(peer), &headers)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let of = |peer, values: &[&str]| client(ForwardedHeader::XForwardedFor, peer, values);
        assert_eq!(of("203.0.113.5", &["198.51.100.1"]), ip("203.0.113.5"), "a stranger says nothing");
        assert_eq!(of("127.0.0.1", &["198.51.100.1"]), ip("127.0.0.1"), "this machine is no proxy by itself");
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), ip("198.51.100.1"));
        assert_eq!(of("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), ip("198.51.100.1"));
        assert_eq!(
            of("10.0.0.1", &["1.1.1.1", "198.51.100.1"]),
            ip("198.51.100.1"),
            "two headers are one list"
        );
        assert_eq!(of("10.0.0.1", &["10.9.9.9, 10.0.0.2"]), ip("10.9.9.9"), "proxies all the way");
        assert_eq!(of("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(
            of("10.0.0.1", &["198.51.100.1, unknown"]),
            ip("10.0.0.1"),
            "nothing is read past nonsense"
        );
        assert_eq!(of("10.0.0.1", &["198.51.100.1, \u{fc}"]), ip("10.0.0.1"));
        assert_eq!(of("10.0.0.1", &["198.51.100.1:1234"]), ip("198.51.100.1"));
        assert_eq!(of("2001:db8::7", &["[2001:470::1]:80"]), ip("2001:470::1"));
    }

    #[test]
    fn forwarded_is_read_by_its_rules() {
        let of = |values: &[&str]| client(ForwardedHeader::Forwarded, "10.0.0.1", values);
        assert_eq!(of(&["for=1.1.1.1, For=\"198.51.100.1:99\";proto=https"]), ip("198.51.100.1"));
        assert_eq!(of(&["proto=http;for=\"[2001:470::1]\""]), ip("2001:470::1"));
        assert_eq!(of(&["for=198.51.100.1, for=_hidden"]), ip("10.0.0.1"));
        assert_eq!(of(&["for=198.51.100.1, by=10.0.0.1"]), ip("10.0.0.1"));
    }
}
