//! Section `[console]` of the configuration.

use std::net::{SocketAddr, ToSocketAddrs};

use serde::Deserialize;

use crate::error::ConsoleError;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on; loopback only.
    pub listen: String,
    /// Host names, besides the loopback ones, under which a browser may ask for the page.
    pub allowed_hosts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9090".to_owned(),
            allowed_hosts: Vec::new(),
        }
    }
}

impl Settings {
    /// The address to listen on.
    ///
    /// # Errors
    /// [`ConsoleError::Address`] when it is none, [`ConsoleError::NotLoopback`] when others could
    /// reach it: that needs TLS, which this version does not have.
    pub fn address(&self) -> Result<SocketAddr, ConsoleError> {
        let found = self
            .listen
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next());
        let address = found.ok_or_else(|| ConsoleError::Address {
            listen: self.listen.clone(),
        })?;
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err(ConsoleError::NotLoopback { address })
        }
    }

    /// Whether a browser may ask under this host name (without port). Only names can be bound to
    /// this address by somebody else's DNS; loopback literals cannot.
    pub fn allows_host(&self, host: &str) -> bool {
        let loopback = ["127.0.0.1", "localhost", "[::1]"];
        loopback.contains(&host)
            || self
                .allowed_hosts
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(listen: &str) -> Result<SocketAddr, ConsoleError> {
        Settings {
            listen: listen.to_owned(),
            ..Settings::default()
        }
        .address()
    }

    #[test]
    fn only_loopback_addresses_are_used() {
        assert!(listening("127.0.0.1:9090").is_ok());
        assert!(listening("[::1]:9090").is_ok());
        assert!(matches!(
            listening("0.0.0.0:9090"),
            Err(ConsoleError::NotLoopback { .. })
        ));
        assert!(matches!(
            listening("192.0.2.1:9090"),
            Err(ConsoleError::NotLoopback { .. })
        ));
        assert!(matches!(listening("nonsense"), Err(ConsoleError::Address { .. })));
        assert!(matches!(
            listening("127.0.0.1:99999"),
            Err(ConsoleError::Address { .. })
        ));
    }

    #[test]
    fn a_name_that_others_can_point_here_is_not_allowed() {
        let settings = Settings {
            allowed_hosts: vec!["box.lan".to_owned()],
            ..Settings::default()
        };
        for (host, allowed) in [
            ("localhost", true),
            ("BOX.lan", true),
            ("evil.example", false),
            ("127.0.0.1.evil", false),
            ("", false),
        ] {
            assert_eq!(settings.allows_host(host), allowed, "{host}");
        }
    }
}
