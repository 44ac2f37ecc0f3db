//! net.http_get: reads one page over HTTP or HTTPS. Every hop is checked like the first: its grant, and each address
//! of its host; and the connection goes to the checked address, so a name that changes meanwhile changes nothing.

use super::args::HttpGetArgs;
use super::reach::{Host, Peer, host};
use super::resolve::Resolver;
use super::types::{Fetched, Header};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::typed::bad_input;
use crate::worker::Call;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(super) const TOOL: &str = "net.http_get";
/// Longest URL, bytes.
const LONGEST: usize = 4096;
/// Most bytes of headers.
const HEADERS: usize = 64 << 10;
/// Time for one address before the next is tried.
const CONNECT: Duration = Duration::from_secs(5);

/// A URL that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    tls: bool,
    host: Host,
    port: u16,
    /// Path and query.
    rest: String,
}

impl Url {
    /// Understands a URL in one way only.
    ///
    /// # Errors
    /// [`ToolError::BadInput`].
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |problem: String| bad_input(TOOL, "url", problem);
        // Programs differ in what they make of a backslash, a blank or a letter that is not ASCII.
        if text.len() > LONGEST || !text.bytes().all(|it| it.is_ascii_graphic() && it != b'\\') {
            return Err(wrong(
                "must be at most 4096 bytes of plain ASCII without blanks and backslashes".to_owned(),
            ));
        }
        let (scheme, after) = text
            .split_once("://")
            .ok_or_else(|| wrong("must begin with http:// or https://".to_owned()))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("must begin with http:// or https://".to_owned())),
        };
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end).unwrap_or((after, ""));
        if authority.contains('@') {
            return Err(wrong("must not hold a user or password".to_owned()));
        }
        let (name, port) =
            split_port(authority).ok_or_else(|| wrong(format!("`{authority}` is no host and port")))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let url = Self {
            tls,
            host: host(TOOL, "url", name)?,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            rest: format!("{slash}{rest}"),
        };
        url.rest
            .parse::<Uri>()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(url)
    }

    fn peer(&self, private: bool) -> Peer {
        Peer {
            host: self.host.clone(),
            port: Some(self.port),
            private,
        }
    }

    fn authority(&self) -> String {
        let host = match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            host => host.to_string(),
        };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Where a redirect from here leads.
    fn join(&self, location: &str) -> Result<Self> {
        if location.contains("://") {
            return Self::parse(location);
        }
        let scheme = if self.tls { "https" } else { "http" };
        if let Some(other) = location.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{other}"));
        }
        let dir = self.rest.split('?').next().unwrap_or_default();
        let dir = dir.rsplit_once('/').map_or("", |(dir, _)| dir);
        let path = match location.chars().next() {
            Some('/') => location.to_owned(),
            Some('?') => format!("{}{location}", self.rest.split('?').next().unwrap_or_default()),
            _ => format!("{dir}/{location}"),
        };
        Self::parse(&format!("{scheme}://{}{path}", self.authority()))
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.rest)
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let number = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|port| *port > 0 && !text.starts_with('+'))
    };
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((address, Some(number(port)?))),
            None => after.is_empty().then_some((address, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(number(port)?))),
        None => Some((authority, None)),
    }
}

/// Whom a call asks first.
pub(super) fn peer(args: &HttpGetArgs) -> Result<Peer> {
    Ok(Url::parse(&args.url)?.peer(args.private))
}

/// Arguments in their one form.
pub(super) fn canonical(mut args: HttpGetArgs) -> Result<HttpGetArgs> {
    if !(1..=4_194_304).contains(&args.max_bytes) {
        return Err(bad_input(TOOL, "max_bytes", "must be 1 to 4194304"));
    }
    if args.max_redirects > 5 {
        return Err(bad_input(TOOL, "max_redirects", "must be 0 to 5"));
    }
    args.url = Url::parse(&args.url)?.to_string();
    Ok(args)
}

/// What reading a page needs besides its arguments.
#[derive(Debug, Clone)]
pub(super) struct Web {
    pub(super) resolver: Resolver,
    /// File of the authorities that are trusted, PEM.
    pub(super) authorities: PathBuf,
}

fn failed(url: &Url, why: impl std::fmt::Display) -> ToolError {
    ToolError::Network {
        what: format!("reading {url}"),
        why: why.to_string(),
    }
}

impl Web {
    /// Reads a page, on the calling thread.
    pub(super) fn get(&self, call: &Call<'_>, args: &HttpGetArgs) -> Result<Fetched> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ToolError::io("start", "a runtime for HTTP", error))?;
        runtime.block_on(self.follow(call, args))
    }

    async fn follow(&self, call: &Call<'_>, args: &HttpGetArgs) -> Result<Fetched> {
        let started = Instant::now();
        let mut url = Url::parse(&args.url)?;
        let mut redirects = Vec::new();
        loop {
            let peer = url.peer(args.private);
            peer.admit(call, "http_get")?;
            let addresses = self.resolver.addresses(&peer.host, call.budget)?;
            for address in &addresses {
                peer.check(*address)?;
            }
            let hop = async {
                let (stream, address) = connect(&url, &addresses).await?;
                let response = self.ask(&url, stream).await?;
                Ok((response, address))
            };
            let (response, address) = within(&url, call.budget, hop).await?;
            let next = redirect(&url, &response)?.filter(|_| redirects.len() < args.max_redirects as usize);
            if let Some(next) = next {
                redirects.push(url.to_string());
                url = next;
                continue;
            }
            let page = within(&url, call.budget, body(&url, response, args.max_bytes)).await?;
            return Ok(page.fetched(&url, address, redirects, started));
        }
    }

    async fn ask(&self, url: &Url, stream: TcpStream) -> Result<Response<Incoming>> {
        if !url.tls {
            return exchange(url, stream).await;
        }
        let name = match &url.host {
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| failed(url, error))?,
            Host::Address(address) => ServerName::from(*address),
        };
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| failed(url, format!("TLS: {error}")))?;
        exchange(url, stream).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>> {
        let file = self.authorities.to_string_lossy();
        let unreadable = |error: rustls::pki_types::pem::Error| {
            ToolError::io("read", file.clone(), std::io::Error::other(error))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.authorities).map_err(unreadable)? {
            // Of some hundred authorities one may be of a kind that this library does not know.
            roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ToolError::Defect(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// Ends the work when the call's time is up or somebody cancels it.
async fn within<T>(url: &Url, budget: &Budget, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::pin!(work);
    loop {
        budget.check()?;
        let slice = budget.left().min(Duration::from_millis(50));
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(slice) => {
                if budget.left().is_zero() {
                    budget.check()?;
                    return Err(failed(url, "no answer in time"));
                }
            }
        }
    }
}

async fn connect(url: &Url, addresses: &[IpAddr]) -> Result<(TcpStream, SocketAddr)> {
    let mut why = String::new();
    for address in addresses {
        let address = SocketAddr::new(*address, url.port);
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no answer in {} s", CONNECT.as_secs()),
        }
    }
    Err(failed(url, why))
}

async fn exchange(
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Response<Incoming>> {
    let refused = |error: hyper::Error| failed(url, error);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(refused)?;
    // It belongs to this call's own runtime and ends with it.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    tasks.detach_all();
    let request = Request::get(url.rest.as_str())
        .header(HOST, url.authority())
        .header(USER_AGENT, "aios")
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(url, error))?;
    sender.send_request(request).await.map_err(refused)
}

fn redirect(from: &Url, response: &Response<Incoming>) -> Result<Option<Url>> {
    let leads_on = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let Some(location) = response.headers().get(LOCATION).filter(|_| leads_on) else {
        return Ok(None);
    };
    let location = location.to_str().map_err(|error| failed(from, error))?;
    from.join(location).map(Some)
}

struct Page {
    status: u16,
    headers: Vec<Header>,
    body: Vec<u8>,
    truncated: bool,
}

async fn body(url: &Url, response: Response<Incoming>, max_bytes: u64) -> Result<Page> {
    let most = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect();
    let mut incoming = response.into_body();
    let (mut body, mut truncated) = (Vec::new(), false);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| failed(url, error))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = most - body.len();
        body.extend(data.iter().take(room));
        if data.len() > room {
            truncated = true;
            break;
        }
    }
    Ok(Page {
        status,
        headers,
        body,
        truncated,
    })
}

impl Page {
    fn fetched(self, url: &Url, address: SocketAddr, redirects: Vec<String>, started: Instant) -> Fetched {
        let bytes = self.body.len() as u64;
        let (content, content_base64) = match String::from_utf8(self.body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Fetched {
            url: url.to_string(),
            address: address.to_string(),
            redirects,
            status: self.status,
            headers: self.headers,
            content,
            content_base64,
            size_bytes: bytes,
            truncated: self.truncated,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_understood_in_one_way_only() {
        for text in [
            "",
            "-http://a.example/",
            "ftp://a.example/",
            "file:///etc/passwd",
            "http:/a.example",
            "http://",
            "http:///x",
            "http://u:p@a.example/",
            "http://a.example@127.0.0.1/",
            "http://a.example:0/",
            "http://a.example:99999/",
            "http://a.example:+80/",
            "http://a.example:/",
            "http://a b/",
            "http://a.example/\n",
            "http://a.example\\@b/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://[::1/",
            "http://[a.example]/",
            "http://::1/",
            "http://a.example/\0",
            "http://[fe80::1%25eth0]/",
            "http://\u{ff11}27.0.0.1/",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
        for (text, shown) in [
            ("HTTP://A.Example", "http://a.example/"),
            ("https://a.example:443?q=1#x", "https://a.example/?q=1"),
            ("http://[2001:DB8::1]:8080/a", "http://[2001:db8::1]:8080/a"),
            ("https://a.example./a@b", "https://a.example/a@b"),
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_redirect_leads_where_a_browser_would_go() {
        let from = Url::parse("https://a.example:8443/x/y?z=1").unwrap();
        for (location, to) in [
            ("http://b.example/", "http://b.example/"),
            ("//b.example/p", "https://b.example/p"),
            ("/p", "https://a.example:8443/p"),
            ("p?q", "https://a.example:8443/x/p?q"),
            ("?q", "https://a.example:8443/x/y?q"),
            ("#top", "https://a.example:8443/x/"),
        ] {
            assert_eq!(from.join(location).unwrap().to_string(), to, "{location}");
        }
        for location in ["file:///etc/passwd", "gopher://b.example/", "http://u@b.example/"] {
            assert!(from.join(location).is_err(), "{location}");
        }
    }
}
