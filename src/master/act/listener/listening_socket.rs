//! Opens sockets that listen at an address of the settings: TCP, a unix socket with a file,
//! an abstract name. A socket knows its address. Called by `listener.rs`.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::path::{Path, PathBuf};

use monoceros_config::{Bind, Settings};
use monoceros_sys::socket;
use monoceros_sys::user::Credentials;
use monoceros_wire::listener::ListenerAddress;
use socket2::{Domain, SockAddr, Socket, Type};

use super::socket_file::{lock_directory, remove_stale};
use crate::master::act::owner_rights::reach;

/// A listening socket, and the address that it is bound to.
#[derive(Debug)]
pub(super) struct ListeningSocket {
    fd: OwnedFd,
    /// Its address (`getsockname(2)`), with the port that the kernel has chosen.
    pub(super) address: ListenerAddress,
}

impl ListeningSocket {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let address = ListenerAddress::of_socket(fd.as_fd())?;
        Ok(Self { fd, address })
    }

    /// The one that this process has inherited under this number.
    pub(super) fn take_inherited(number: i32) -> io::Result<Self> {
        socket::take_inherited(number).and_then(Self::new)
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The rights to a file of all users.
const ALL_RIGHTS: u32 = 0o777;

/// The rights to a file of its owner.
const OWNERS_RIGHTS: u32 = 0o700;

/// The length of the name of an interface, at most: `IFNAMSIZ` without its NUL
/// (`netdevice(7)`). The kernel cuts a longer one, and could find another interface.
const INTERFACE_NAME_MAX: usize = 15;

/// The options of sockets.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    /// The length of the queue of connections that wait to be accepted.
    pub(super) backlog: u32,
    /// The mask for the mode of the file of a unix socket.
    pub(super) umask: u32,
    /// The user that the file of a unix socket is given to.
    pub(super) owner: Option<Credentials>,
    /// The mode of the file of a unix socket, in place of that of the mask.
    pub(super) mode: Option<u32>,
    /// The group that the file of a unix socket is given to.
    pub(super) group: Option<u32>,
    /// The kernel holds back TCP connections on which nothing has arrived. Not for
    /// protocols in which the server sends first.
    pub(super) defer: bool,
    /// Where relative paths start.
    pub(super) directory: PathBuf,
}

impl SocketOptions {
    /// The options that the settings ask for.
    pub(crate) fn new(
        settings: &Settings,
        defer: bool,
        owner: Option<Credentials>,
        group: Option<u32>,
        directory: &Path,
    ) -> Self {
        Self {
            backlog: settings.backlog,
            umask: settings.umask.0,
            owner,
            mode: settings.unix_mode.map(|mode| mode.0),
            group,
            defer,
            directory: directory.to_owned(),
        }
    }

    /// The mode that the file of a unix socket gets in the end.
    fn file_mode(&self) -> u32 {
        self.mode.unwrap_or(ALL_RIGHTS & !self.umask)
    }

    /// The mode that is set when the file is made; `None` if the mask has set it.
    pub(super) fn new_file_mode(&self) -> Option<u32> {
        (self.mode.is_some() || self.group.is_some()).then(|| self.file_mode())
    }

    /// The mask with which it is made: while it has not got its group, it is its owner's alone.
    fn first_mask(&self) -> u32 {
        let first = if self.group.is_some() { OWNERS_RIGHTS } else { ALL_RIGHTS };
        ALL_RIGHTS & !(self.file_mode() & first)
    }

    /// How long the kernel holds them back; 0 disables that (`tcp(7)`).
    pub(super) fn defer_seconds(&self) -> i32 {
        if self.defer { socket::DEFER_SECONDS } else { 0 }
    }

    /// The length of the queue, as `listen(2)` takes it.
    pub(super) fn queue_length(&self) -> i32 {
        i32::try_from(self.backlog).unwrap_or(i32::MAX)
    }
}

/// The clients of an IPv6 socket (`IPV6_V6ONLY` in `ipv6(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpFamilies {
    /// Those of IPv6.
    V6,
    /// Those of IPv4 too.
    Both,
}

impl IpFamilies {
    /// The clients of a host among these addresses. `[::]` stands for the addresses of both
    /// families, as in gunicorn, unless another address has its port for IPv4.
    pub(super) fn of(host: &str, port: u16, binds: &[Bind]) -> Self {
        let has_port_for_ipv4 = |bind: &Bind| match bind {
            Bind::Tcp { host, port: other, .. } => {
                *other == port && port != 0 && host.parse::<Ipv6Addr>().is_err()
            }
            Bind::Unix(_) | Bind::Abstract(_) | Bind::Fd(_) => false,
        };
        let is_any = host.parse() == Ok(Ipv6Addr::UNSPECIFIED);
        if is_any && !binds.iter().any(has_port_for_ipv4) { Self::Both } else { Self::V6 }
    }
}

/// Listens on every address of the host. An address of a family that this machine does not
/// have is left out if there is another one.
pub(super) fn open_tcp(
    host: &str,
    port: u16,
    interface: Option<&str>,
    families: IpFamilies,
    options: &SocketOptions,
) -> io::Result<Vec<ListeningSocket>> {
    let mut addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if port == 0 {
        // Each would get another port.
        addresses.truncate(1);
    }
    let (mut sockets, mut missing) = (Vec::new(), None);
    for address in addresses {
        match open_address(address, interface, families, options, false) {
            Ok(socket) => sockets.push(socket),
            Err(error) if lacks_family(&error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

fn lacks_family(error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Listens on one address, for what arrives through this interface only; `shared` lets another
/// socket listen there too (`SO_REUSEPORT` in `socket(7)`).
pub(super) fn open_address(
    address: SocketAddr,
    interface: Option<&str>,
    families: IpFamilies,
    options: &SocketOptions,
    shared: bool,
) -> io::Result<ListeningSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket::share_address(socket.as_fd(), shared)?;
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(families == IpFamilies::V6)?;
    }
    if let Some(interface) = interface {
        bind_to_interface(&socket, interface)?;
    }
    socket.bind(&address.into())?;
    let socket = listen(socket, options)?;
    socket::defer_accept(socket.as_fd(), options.defer_seconds())?;
    Ok(socket)
}

/// What arrives through another interface does not reach the socket (`SO_BINDTODEVICE` in
/// `socket(7)`).
fn bind_to_interface(socket: &Socket, name: &str) -> io::Result<()> {
    let missing = || {
        let text = format!("there is no network interface {name}");
        io::Error::new(io::ErrorKind::NotFound, text)
    };
    if name.is_empty() || name.len() > INTERFACE_NAME_MAX {
        return Err(missing());
    }
    socket.bind_device(Some(name.as_bytes())).map_err(|error| match error.raw_os_error() {
        Some(libc::ENODEV) => missing(),
        Some(libc::EPERM) => {
            let text = format!("only root can bind to the interface {name} before Linux 5.7");
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        }
        _ => error,
    })
}

/// The file is made as the workers' user, or by root and then given to that user.
pub(super) fn open_unix(path: &Path, options: &SocketOptions) -> io::Result<ListeningSocket> {
    let owner = options.owner.as_ref();
    let own = |path: &Path| bind_unix(path, options, None);
    reach(path, owner, own, |path| bind_unix(path, options, owner))
}

fn bind_unix(
    path: &Path,
    options: &SocketOptions,
    owner: Option<&Credentials>,
) -> io::Result<ListeningSocket> {
    // Held until the socket listens: before that, other servers would take it for stale.
    let _alone = lock_directory(path)?;
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let bound = with_umask(options.first_mask(), || socket.bind(&SockAddr::unix(path)?));
    bound?;
    if let Some(Credentials { uid, gid, .. }) = owner {
        std::os::unix::fs::lchown(path, Some(*uid), Some(*gid))?;
    }
    listen(socket, options)
}

/// Listens on an abstract name (`unix(7)`).
pub(super) fn open_abstract(name: &str, options: &SocketOptions) -> io::Result<ListeningSocket> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
    listener.set_nonblocking(true)?;
    listen(Socket::from(OwnedFd::from(listener)), options)
}

fn listen(socket: Socket, options: &SocketOptions) -> io::Result<ListeningSocket> {
    socket.listen(options.queue_length())?;
    ListeningSocket::new(socket.into())
}

/// The mask belongs to the whole process, which has one thread (`umask(2)`).
fn with_umask<T>(umask: u32, make: impl FnOnce() -> T) -> T {
    let before = monoceros_sys::umask::set(umask);
    let made = make();
    monoceros_sys::umask::set(before);
    made
}

/// For the tests of listeners.
#[cfg(test)]
pub(super) fn test_options() -> SocketOptions {
    let directory = std::env::temp_dir();
    SocketOptions {
        backlog: 16,
        umask: 0o77,
        owner: None,
        mode: None,
        group: None,
        defer: true,
        directory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_its_group_is_its_owners_alone() {
        for (umask, mode, group, first, last) in [
            (0o27, None, None, 0o27, 0o750),
            (0o27, None, Some(1), 0o77, 0o750),
            (0, Some(0o660), None, 0o117, 0o660),
            (0o77, Some(0o660), Some(1), 0o177, 0o660),
            (0o77, Some(0o777), None, 0, 0o777),
        ] {
            let options = SocketOptions { umask, mode, group, ..test_options() };
            assert_eq!((options.first_mask(), options.file_mode()), (first, last), "{options:?}");
        }
    }

    #[test]
    fn a_name_that_the_kernel_would_cut_is_no_interface() {
        for name in ["", "no-such0", "lo-and-much-more"] {
            let error =
                open_tcp("127.0.0.1", 0, Some(name), IpFamilies::V6, &test_options()).unwrap_err();
            assert_eq!(error.to_string(), format!("there is no network interface {name}"));
        }
    }

    #[test]
    fn every_address_has_both_families_unless_another_one_has_ipv4() {
        let binds = |texts: &[&str]| -> Vec<Bind> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        for (others, families) in [
            (&["[::]:80"][..], IpFamilies::Both),
            (&["[::]:80", "0.0.0.0:81", "unix:/a"], IpFamilies::Both),
            (&["[::]:80", "[::1]:80"], IpFamilies::Both),
            (&["[::]:80", "0.0.0.0:80"], IpFamilies::V6),
            (&["example.org:80", "[::]:80"], IpFamilies::V6),
        ] {
            assert_eq!(IpFamilies::of("::", 80, &binds(others)), families, "{others:?}");
        }
        assert_eq!(IpFamilies::of("::", 0, &binds(&["[::]:0", ":0"])), IpFamilies::Both);
        assert_eq!(IpFamilies::of("::1", 80, &binds(&["[::1]:80"])), IpFamilies::V6);
        assert_eq!(IpFamilies::of("localhost", 80, &binds(&["localhost:80"])), IpFamilies::V6);
    }

    #[test]
    fn a_host_without_a_port_has_one_address() {
        let sockets = open_tcp("localhost", 0, None, IpFamilies::V6, &test_options()).unwrap();
        assert_eq!(sockets.len(), 1);
        assert!(socket::is_deferred(sockets[0].as_fd()));
    }

    #[test]
    fn a_missing_family_is_distinguished_from_an_address_in_use() {
        let missing = |number| lacks_family(&io::Error::from_raw_os_error(number));
        assert!(missing(libc::EAFNOSUPPORT) && missing(libc::EADDRNOTAVAIL));
        assert!(!missing(libc::EADDRINUSE));
    }

    #[test]
    fn an_abstract_name_is_free_again_when_its_socket_is_closed() {
        let name = format!("monoceros-abstract-{}", std::process::id());
        let first = open_abstract(&name, &test_options()).unwrap();
        let error = open_abstract(&name, &test_options()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        open_abstract(&name, &test_options()).unwrap();
    }
}
