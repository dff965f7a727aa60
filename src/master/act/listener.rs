//! A listener: the listening sockets of one address, and where they come from. It is opened,
//! adopted or inherited, refuses connections before its last worker drains, and is given up.
//! The master accepts no connection on it. Owned by the generations of the event loop.

mod listening_socket;
mod socket_file;

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use monoceros_config::Bind;
use monoceros_sys::{descriptor, reason, refuse, socket};
use monoceros_wire::listener::{ListenerAddress, ListenerDescription, ListenerOptions, Scheme};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use self::listening_socket::{
    IpFamilies, ListeningSocket, open_abstract, open_address, open_tcp, open_unix,
};
use self::socket_file::SocketFile;
use crate::master::act::bind_format::optional_bind;
use crate::master::decide::event::BindError;

pub(crate) use self::listening_socket::SocketOptions;

/// The protocols that clients of TLS may choose from (ALPN, RFC 7301).
const ALPN: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

/// One address of the settings, or a socket that was passed in.
#[derive(Debug)]
pub(crate) struct OwnedListener {
    source: ListenerSource,
    backlog: u32,
    /// One for each address of a host name.
    sockets: Vec<ListeningSocket>,
    /// The file of a unix socket that this process has made.
    file: Option<SocketFile>,
    /// It still belongs to the predecessor.
    borrowed: Cell<bool>,
    /// Its sockets replace older ones, of which processes may still have copies.
    is_anew: bool,
}

/// A listener without its sockets, as a message from one master to the next.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListenerRecord {
    /// The address in the settings; `None` for a listener that was passed in.
    #[serde(rename = "said", default, with = "optional_bind")]
    configured: Option<Bind>,
    /// Its name in `LISTEN_FDNAMES`.
    name: String,
    backlog: u32,
    sockets: usize,
    /// The address of each socket. A message of an older release has none.
    #[serde(default)]
    addresses: Vec<ListenerAddress>,
    file: Option<SocketFile>,
}

/// The origin of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ListenerSource {
    /// The settings.
    Configured(Bind),
    /// `LISTEN_FDS`, with its name in `LISTEN_FDNAMES`.
    Activated(String),
}

/// Opens every address that is not among `open` yet, and adds it there. Returns the
/// listeners of all addresses. After a failure those that could be opened stay among `open`
/// for the next time.
pub(crate) fn open_all(
    binds: &[Bind],
    options: &SocketOptions,
    open: &mut Vec<Rc<OwnedListener>>,
) -> Result<Vec<Rc<OwnedListener>>, BindError> {
    let mut asked = Vec::new();
    for bind in binds {
        let source = ListenerSource::Configured(bind.clone());
        let (lost, known): (Vec<_>, Vec<_>) =
            open.iter().filter(|it| it.source == source).partition(|it| it.is_lost());
        if known.is_empty() && !lost.is_empty() {
            log::warn!("the file of {bind} was removed; it is made again");
        }
        let listener = match known.first() {
            Some(known) => {
                known.adjust(options).map_err(|error| failure(bind, &error))?;
                Rc::clone(known)
            }
            None => {
                let listener = Rc::new(OwnedListener::open(bind, binds, options)?);
                open.push(Rc::clone(&listener));
                listener
            }
        };
        asked.push(listener);
    }
    Ok(asked)
}

/// Adopts the sockets that were passed in (`sd_listen_fds(3)`); none if they are meant for
/// another process.
pub(crate) fn adopt_activated(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Rc<OwnedListener>>, BindError> {
    let number = |name| variable(name)?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = number("LISTEN_FDS").and_then(|count| i32::try_from(count).ok()).unwrap_or(0);
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let numbers = descriptor::FIRST..descriptor::FIRST.saturating_add(count);
    numbers
        .map(|number| {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
            let socket = ListeningSocket::take_inherited(number)
                .map_err(|error| failure(&Bind::Fd(number), &error))?;
            let source = ListenerSource::Activated(name);
            Ok(Rc::new(OwnedListener {
                source,
                backlog: 0,
                sockets: vec![socket],
                file: None,
                borrowed: Cell::new(false),
                is_anew: false,
            }))
        })
        .collect()
}

impl OwnedListener {
    /// Opens one of these addresses.
    fn open(bind: &Bind, binds: &[Bind], options: &SocketOptions) -> Result<Self, BindError> {
        let (sockets, file) = match bind {
            Bind::Tcp { host, port, interface } => {
                let families = IpFamilies::of(host, *port, binds);
                (open_tcp(host, *port, interface.as_deref(), families, options), None)
            }
            Bind::Unix(path) => {
                let path = options.directory.join(path);
                let opened = open_unix(&path, options).map(|it| vec![it]);
                (opened, SocketFile::find(&path, options.owner.as_ref()))
            }
            Bind::Abstract(name) => (open_abstract(name, options).map(|it| vec![it]), None),
            Bind::Fd(number) => (ListeningSocket::take_inherited(*number).map(|it| vec![it]), None),
        };
        let sockets = sockets.map_err(|error| failure(bind, &error))?;
        if let Some(file) = &file
            && let Err(error) = file.set_rights(options.group, options.new_file_mode())
        {
            file.remove();
            return Err(failure(bind, &error));
        }
        let source = ListenerSource::Configured(bind.clone());
        let borrowed = Cell::new(false);
        Ok(Self { source, backlog: options.backlog, sockets, file, borrowed, is_anew: false })
    }

    /// The message about it to the successor.
    pub(crate) fn record(&self) -> ListenerRecord {
        let name = match &self.source {
            ListenerSource::Configured(_) => String::new(),
            ListenerSource::Activated(name) => name.clone(),
        };
        let configured = self.configured().cloned();
        let (backlog, sockets, file) = (self.backlog, self.sockets.len(), self.file.clone());
        let addresses = self.sockets.iter().map(|it| it.address.clone()).collect();
        ListenerRecord { configured, name, backlog, sockets, addresses, file }
    }

    /// Takes a listener over from the predecessor. Its sockets are the descriptors from
    /// `next` on; moves `next` behind them.
    pub(crate) fn inherit(record: ListenerRecord, next: &mut i32) -> Result<Self, BindError> {
        let ListenerRecord { configured, name, backlog, sockets, addresses, file } = record;
        let source = match configured {
            Some(configured) => ListenerSource::Configured(configured),
            None => ListenerSource::Activated(name),
        };
        let numbers = *next..next.saturating_add(i32::try_from(sockets).unwrap_or(i32::MAX));
        *next = numbers.end;
        let mut addresses = addresses.into_iter();
        let mut adopt = |number| {
            let adopted = ListeningSocket::take_inherited(number)
                .map_err(|error| failure(&Bind::Fd(number), &error))?;
            match addresses.next() {
                Some(address) if address != adopted.address => Err(BindError {
                    text: format!(
                        "descriptor {number} is bound to {}, and not to {address}",
                        adopted.address
                    ),
                    in_use: false,
                }),
                Some(_) | None => Ok(adopted),
            }
        };
        let sockets = numbers.map(&mut adopt).collect::<Result<_, _>>()?;
        let borrowed = Cell::new(true);
        Ok(Self { source, backlog, sockets, file, borrowed, is_anew: false })
    }

    /// It still belongs to the predecessor: it is not closed, and its file is not removed.
    pub(crate) fn is_borrowed(&self) -> bool {
        self.borrowed.get()
    }

    /// The predecessor has passed it on.
    pub(crate) fn own(&self) {
        self.borrowed.set(false);
    }

    /// It was passed in by `LISTEN_FDS`.
    pub(crate) fn is_activated(&self) -> bool {
        matches!(self.source, ListenerSource::Activated(_))
    }

    /// Its address in the settings.
    pub(crate) fn configured(&self) -> Option<&Bind> {
        match &self.source {
            ListenerSource::Configured(bind) => Some(bind),
            ListenerSource::Activated(_) => None,
        }
    }

    /// The interface that its sockets are bound to.
    fn interface(&self) -> Option<&str> {
        match self.configured()? {
            Bind::Tcp { interface, .. } => interface.as_deref(),
            Bind::Unix(_) | Bind::Abstract(_) | Bind::Fd(_) => None,
        }
    }

    /// The sockets, for a worker.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }

    /// The address of each socket.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &ListenerAddress> {
        self.sockets.iter().map(|socket| &socket.address)
    }

    /// The description of each socket, for a worker that serves this scheme there, with the
    /// listener's own access rules.
    pub(crate) fn descriptions(
        &self,
        scheme: Scheme,
        options: ListenerOptions,
        access: Option<Vec<String>>,
    ) -> impl Iterator<Item = ListenerDescription> {
        let alpn = match scheme {
            Scheme::Http => &[][..],
            Scheme::Https => &ALPN,
        };
        self.sockets.iter().map(move |socket| ListenerDescription {
            name: self.name(),
            address: socket.address.clone(),
            scheme,
            alpn: alpn.iter().map(|name| name.to_vec()).collect(),
            options,
            access: access.clone(),
        })
    }

    /// The name of each socket in `LISTEN_FDNAMES`, where no colon may be.
    pub(crate) fn name(&self) -> String {
        match &self.source {
            ListenerSource::Configured(bind) => bind.to_string().replace(':', "-"),
            ListenerSource::Activated(name) => name.clone(),
        }
    }

    /// Refuses new connections, so that every client that has connected can be served. A
    /// socket that was passed in does not refuse: its queue belongs to the process that has
    /// passed it, and other processes may serve it. Sockets that are not TCP do not refuse
    /// either, since their name goes with their file; nor do those that still belong to the
    /// predecessor.
    pub(crate) fn refuse_new(&self) {
        if self.is_borrowed() {
            return;
        }
        if let ListenerSource::Configured(Bind::Tcp { .. }) = self.source {
            for socket in &self.sockets {
                if let Err(error) = refuse::refuse_new(socket.as_fd()) {
                    let address = &socket.address;
                    log::warn!(
                        "cannot refuse new connections at {address}, clients that connect in \
                         the last moment may be reset: {}",
                        reason(&error)
                    );
                }
            }
        }
    }

    /// Lets clients connect again. Where this process lacks the right for that, the same
    /// addresses are opened anew: the result replaces this listener, and the processes with
    /// a copy of the old sockets serve what waits in them.
    pub(crate) fn admit_new(&self, options: &SocketOptions) -> io::Result<Option<Self>> {
        if !self.sockets().any(refuse::refuses_new) {
            return Ok(None);
        }
        match self.sockets().try_for_each(refuse::admit_new) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.open_anew(options).map(Some)
            }
            admitted => admitted.map(|()| None),
        }
    }

    fn open_anew(&self, options: &SocketOptions) -> io::Result<Self> {
        let open = |old: &ListeningSocket| {
            let ListenerAddress::Internet(address) = old.address else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            // Both sockets need `SO_REUSEPORT` to listen on one address (`socket(7)`).
            socket::share_address(old.as_fd(), true)?;
            let interface = self.interface();
            let is_v6 = address.is_ipv4() || SockRef::from(&old.as_fd()).only_v6()?;
            let families = if is_v6 { IpFamilies::V6 } else { IpFamilies::Both };
            let socket = open_address(address, interface, families, options, true)?;
            // Taken back, so that no other socket can be bound to the address.
            socket::share_address(socket.as_fd(), false)?;
            Ok(socket)
        };
        let sockets = self.sockets.iter().map(open).collect::<io::Result<_>>()?;
        let (source, backlog) = (self.source.clone(), options.backlog);
        let borrowed = Cell::new(false);
        Ok(Self { source, backlog, sockets, file: None, borrowed, is_anew: true })
    }

    /// Its sockets are newer than those that a mold of the same generation may
    /// have been given.
    pub(crate) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// Removes the file of a unix socket that this process has made, unless another server
    /// has put its own there.
    pub(crate) fn remove_file(&self) {
        if let Some(file) = &self.file {
            file.remove();
        }
    }

    /// The file of its unix socket was removed or replaced: no client can connect to it.
    fn is_lost(&self) -> bool {
        self.file.as_ref().is_some_and(SocketFile::is_lost)
    }

    /// Sets the options of open sockets to those that they would be opened with now.
    fn adjust(&self, options: &SocketOptions) -> io::Result<()> {
        if let ListenerSource::Configured(Bind::Tcp { .. }) = self.source {
            let defer = |fd: BorrowedFd| socket::defer_accept(fd, options.defer_seconds());
            self.sockets().try_for_each(defer)?;
        }
        if let Some(file) = &self.file {
            file.set_rights(options.group, options.mode)?;
        }
        self.set_backlog(options)
    }

    /// `listen(2)` again changes the length of the queue.
    fn set_backlog(&self, options: &SocketOptions) -> io::Result<()> {
        if self.backlog == options.backlog || self.backlog == 0 {
            return Ok(());
        }
        let again = |fd: BorrowedFd| SockRef::from(&fd).listen(options.queue_length());
        self.sockets().try_for_each(again)
    }
}

fn failure(bind: &Bind, error: &io::Error) -> BindError {
    let in_use = error.kind() == io::ErrorKind::AddrInUse;
    BindError { text: format!("cannot bind {bind}: {}", reason(error)), in_use }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::act::listener::listening_socket::test_options as options;
    use std::net::TcpListener;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;

    fn addresses(listener: &OwnedListener) -> Vec<&ListenerAddress> {
        listener.sockets.iter().map(|it| &it.address).collect()
    }

    fn tcp(port: u16) -> Bind {
        Bind::Tcp { host: "127.0.0.1".to_owned(), port, interface: None }
    }

    #[test]
    fn what_is_open_already_is_not_opened_again() {
        let (mut open, binds) = (Vec::new(), [tcp(0)]);
        let first = open_all(&binds, &options(), &mut open).unwrap();
        let second = open_all(&binds, &options(), &mut open).unwrap();
        assert!(Rc::ptr_eq(&first[0], &second[0]));
        assert_eq!(open.len(), 1);
        let deferring = ListenerOptions { defer_accept: true, ..ListenerOptions::default() };
        let description = first[0].descriptions(Scheme::Http, deferring, None).next().unwrap();
        assert!(description.to_string().starts_with("http://127.0.0.1:"));
        assert!(description.alpn.is_empty());
        let encrypted = first[0].descriptions(Scheme::Https, deferring, None).next().unwrap();
        assert_eq!(encrypted.to_string(), description.to_string().replacen("http", "https", 1));
        assert_eq!(encrypted.alpn, [b"http/1.1", b"http/1.0"]);
        assert_eq!((description.name.as_str(), description.options), ("127.0.0.1-0", deferring));
        assert!(socket::is_deferred(first[0].sockets().next().unwrap()));
        let others = SocketOptions { defer: false, ..options() };
        open_all(&binds, &others, &mut open).unwrap();
        assert!(!socket::is_deferred(first[0].sockets().next().unwrap()));
    }

    #[test]
    fn an_address_in_use_is_an_error_that_names_it() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let failure = open_all(&[tcp(port)], &options(), &mut Vec::new()).unwrap_err();
        assert_eq!(failure.text, format!("cannot bind 127.0.0.1:{port}: address already in use"));
        assert!(failure.in_use);
    }

    #[test]
    fn an_address_can_be_opened_anew_while_the_old_socket_refuses() {
        for host in ["127.0.0.1", "::1"] {
            let bind = Bind::Tcp { host: host.to_owned(), port: 0, interface: None };
            let Ok(old) = OwnedListener::open(&bind, std::slice::from_ref(&bind), &options())
            else {
                continue;
            };
            assert!(old.admit_new(&options()).unwrap().is_none(), "no connection was refused");
            old.refuse_new();
            // A privileged process takes the refusal back: nothing is opened anew.
            let Some(new) = old.admit_new(&options()).unwrap() else { continue };
            assert_eq!(addresses(&new), addresses(&old));
            assert!(new.is_anew() && !old.is_anew());
            let ListenerAddress::Internet(address) = new.sockets[0].address else {
                panic!("{:?}", new.sockets[0]);
            };
            std::net::TcpStream::connect(address).unwrap();
            let waiting = |it: &OwnedListener| socket::queue_length(it.sockets().next().unwrap());
            // The kernel holds the connection back until data arrives.
            assert_eq!(waiting(&old), Some(0));
        }
    }

    #[test]
    fn only_a_stale_socket_is_removed() {
        let name = format!("monoceros-listener-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let options = SocketOptions { directory: directory.clone(), ..options() };
        let path = directory.join("a.sock");
        let binds = [Bind::Unix(PathBuf::from("a.sock"))];
        let other = UnixListener::bind(&path).unwrap();
        assert!(open_all(&binds, &options, &mut Vec::new()).unwrap_err().in_use);
        drop(other);
        let open = open_all(&binds, &options, &mut Vec::new()).unwrap();
        UnixStream::connect(&path).unwrap();
        open[0].remove_file();
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        let failure = open_all(&binds, &options, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.text, "cannot bind unix:a.sock: the file is not a socket");
        open[0].remove_file();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn sockets_announced_to_another_process_are_left_alone() {
        let variable = |name: &str| match name {
            "LISTEN_PID" => Some("1".to_owned()),
            "LISTEN_FDS" => Some("1".to_owned()),
            _ => None,
        };
        assert!(adopt_activated(variable).unwrap().is_empty());
    }
}
