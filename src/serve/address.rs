//! Where to listen.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::{claim, listen};

/// Opens the first listener on an address. It fails if somebody else already listens there, which
/// sharing the port would hide; where there is no IPv6 at all, `[::]` still stands for IPv4.
///
/// # Errors
/// When the system refuses.
pub fn open(address: SocketAddr) -> io::Result<TcpListener> {
    match begin(address) {
        Err(error) => match without_ipv6(address, &error) {
            Some(ipv4) => begin(ipv4).map_err(|_| error),
            None => Err(error),
        },
        Ok(listener) => Ok(listener),
    }
}

fn begin(address: SocketAddr) -> io::Result<TcpListener> {
    claim(address)?;
    listen(address)
}

/// The address to try instead, where the failure may be for want of IPv6.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let of_port =
        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    let any = address.is_ipv6() && address.ip().is_unspecified();
    (any && !of_port).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_ipv6_is_listened_on_all_the_same_and_a_taken_port_is_not_taken_elsewhere() {
        let instead = |address: &str, kind: io::ErrorKind| {
            without_ipv6(address.parse().unwrap(), &kind.into())
        };
        let ipv4 = "0.0.0.0:4471".parse().ok();
        assert_eq!(instead("[::]:4471", io::ErrorKind::Unsupported), ipv4);
        assert_eq!(instead("[::]:4471", io::ErrorKind::AddrNotAvailable), ipv4);
        assert_eq!(instead("[::]:4471", io::ErrorKind::AddrInUse), None);
        assert_eq!(instead("[::1]:4471", io::ErrorKind::AddrNotAvailable), None);
        assert_eq!(instead("127.0.0.1:4471", io::ErrorKind::AddrNotAvailable), None);
    }
}
