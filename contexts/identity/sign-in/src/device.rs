//! Where somebody tries from: their address, and the device that they have signed in with before (OWASP, device cookies).
//! The cookie lets nobody in: it gives an allowance of attempts that strangers cannot use up.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use kernel::{Cx, Problem, Timestamp};
use risk::By;

use crate::{SignIn, steps::SignsIn};

/// The name of the cookie.
pub const COOKIE: &str = "freehold_device";
/// For how long a device is known.
pub const LASTS: Duration = Duration::from_hours(180 * 24);

/// The value of a cookie of this name.
pub fn cookie<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let lines = request.headers().get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(sent, _)| *sent == name).map(|(_, value)| value)
}

/// The place that a request comes from.
pub struct Place {
    /// An address, or the network of an IPv6 one.
    pub(crate) source: String,
    device: Option<String>,
}

impl Place {
    /// Where a request comes from.
    pub fn of(request: &Request<Bytes>) -> Self {
        let source = match request.extensions().get::<SocketAddr>().map(SocketAddr::ip) {
            Some(std::net::IpAddr::V6(it)) => format!("{:x?}", it.segments().get(..4).unwrap_or_default()),
            Some(it) => it.to_string(),
            None => String::new(),
        };
        Self { source, device: cookie(request, COOKIE).map(str::to_owned) }
    }
}

impl SignIn {
    /// `number.ends.seal`: of this person, for as long as their password is the one of now.
    async fn device<A: SignsIn>(&self, who: &A, number: &str, ends: i64, cx: &Cx) -> Result<String, Problem> {
        let key = self.store.keys().scope(cx.scope()).await?;
        let sealed = format!("{}|{}|{number}|{ends}", who.id(), who.proofs().epoch);
        Ok(format!("{number}.{ends}.{}", key.blind("identity/device", &sealed)))
    }

    /// What makes a device known, once somebody has signed in with it.
    pub(crate) async fn new_device<A: SignsIn>(&self, who: &A, cx: &Cx) -> Result<String, Problem> {
        let number = data_encoding::BASE64URL_NOPAD.encode(&cx.random::<12>());
        self.device(who, &number, (cx.real_now() + LASTS).as_second(), cx).await
    }

    /// Who tries to sign in as `who`: a device of theirs, or a stranger.
    pub(crate) async fn who_tries<A: SignsIn>(&self, who: Option<&A>, from: &Place, cx: &Cx) -> Result<By, Problem> {
        let stranger = By::Stranger(from.source.clone());
        let (Some(who), Some(sent)) = (who, &from.device) else { return Ok(stranger) };
        let mut parts = sent.split('.');
        let (Some(number), Some(Ok(ends))) = (parts.next(), parts.next().map(str::parse::<i64>)) else {
            return Ok(stranger);
        };
        let expected = self.device(who, number, ends, cx).await?;
        let same = bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), sent.as_bytes()));
        let lasts = Timestamp::from_second(ends).is_ok_and(|ends| ends > cx.real_now());
        Ok(if same && lasts { By::Known(number.to_owned()) } else { stranger })
    }
}
