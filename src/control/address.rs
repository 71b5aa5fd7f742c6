//! Where the control API may listen.
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address that only this machine reaches: of the loopback, or a Unix socket, `unix:/run/tollgate/control.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlAddress {
    /// `127.0.0.1:9090`, `[::1]:9090`; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The absolute path of a socket.
    Unix(PathBuf),
}

/// Why an address is refused: whoever reaches the control API is asked for no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address for the control API, which asks for no key: write one of the loopback with a port, such as \
     127.0.0.1:9090, or `unix:/path/of/a/socket`"
)]
pub struct NotLocal(String);

impl FromStr for ControlAddress {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let refused = || NotLocal(text.to_owned());
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(refused()),
            None => {
                let address: SocketAddr = text.parse().map_err(|_| refused())?;
                address.ip().to_canonical().is_loopback().then_some(Self::Tcp(address)).ok_or_else(refused)
            }
        }
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_the_machine_is_taken() {
        for good in ["127.0.0.1:9090", "127.8.8.8:0", "[::1]:9090", "[::ffff:127.0.0.1]:1", "unix:/run/t.sock"] {
            assert_eq!(good.parse::<ControlAddress>().unwrap().to_string(), good);
        }
        for bad in ["0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090", "127.0.0.1", "localhost:9090", "unix:t.sock", ""] {
            let error = bad.parse::<ControlAddress>().unwrap_err();
            assert!(error.to_string().contains("loopback"), "{bad}: {error}");
        }
    }
}
