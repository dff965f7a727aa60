//! Addresses of every kind, and addresses that cannot be bound.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Gid, getegid, geteuid, getgroups};

use crate::support::client::Connection;
use crate::support::directory::Directory;
use crate::support::server::Server;
use crate::support::setup::{Setup, own_ip, own_name};
use crate::support::{need, until, user};

fn bound(address: &str) -> Setup {
    Setup::bare().apps().flags(&["--bind", address, "environ"])
}

#[test]
fn ipv4_with_a_free_port() {
    let server = bound("127.0.0.1:0").start();
    let environ = server.get("/").json();
    assert_eq!(environ["SERVER_NAME"], "127.0.0.1");
    assert_eq!(environ["SERVER_PORT"], server.address().port().to_string());
    assert!(server.ready_line().contains(&server.pid().to_string()), "{}", server.ready_line());
}

#[test]
fn ipv6_in_brackets() {
    let server = bound("[::1]:0").start();
    assert!(server.address().is_ipv6());
    let environ = server.get("/").json();
    assert_eq!((&environ["SERVER_NAME"], &environ["REMOTE_ADDR"]), (&"::1".into(), &"::1".into()));
}

#[test]
fn every_ipv6_address_takes_ipv4_too() {
    let server = bound("[::]:0").start();
    let mut address = server.address();
    for (ip, client) in [("127.0.0.1", "127.0.0.1"), ("::1", "::1")] {
        address.set_ip(ip.parse().unwrap());
        let environ = Connection::tcp(address).unwrap().get("/").json();
        assert_eq!(environ["REMOTE_ADDR"], client);
    }
}

#[test]
fn a_port_alone_is_every_address() {
    let server = bound(":0").start();
    let mut address = server.address();
    address.set_ip([127, 0, 0, 1].into());
    assert_eq!(Connection::tcp(address).unwrap().get("/").status, 200);
}

#[test]
fn the_variable_port_moves_the_default() {
    let setup = Setup::bare().apps().flag("environ").variable("PORT", "0");
    let server = setup.start();
    assert!(server.ready_line().contains("0.0.0.0"), "{}", server.ready_line());
}

#[test]
fn a_unix_socket() {
    let server = bound("unix:here.sock").start();
    let path = server.directory.join("here.sock");
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let environ = Connection::unix(&path).unwrap().get("/").json();
    assert_eq!(environ["REMOTE_ADDR"], "");
    assert!(server.ready_line().contains("here.sock"), "{}", server.ready_line());
}

#[test]
fn a_server_on_a_unix_socket_has_a_name_and_a_port() {
    let server = bound("unix:here.sock").start();
    let path = server.directory.join("here.sock");
    let own = path.to_str().unwrap();
    for (head, name, port) in [
        ("HTTP/1.0\r\n", own, "80"),
        ("HTTP/1.1\r\nHost:\r\n", own, "80"),
        ("HTTP/1.1\r\nHost: a.example\r\n", "a.example", "80"),
        ("HTTP/1.1\r\nHost: a.example:\r\n", "a.example", "80"),
        ("HTTP/1.1\r\nHost: a.example:8000\r\n", "a.example", "8000"),
        ("HTTP/1.1\r\nHost: [::1]\r\n", "[::1]", "80"),
        ("HTTP/1.1\r\nHost: [::1]:81\r\n", "[::1]", "81"),
    ] {
        let mut connection = Connection::unix(&path).unwrap();
        connection.send(format!("GET / {head}\r\n"));
        let environ = connection.response().json();
        assert_eq!(
            (&environ["SERVER_NAME"], &environ["SERVER_PORT"]),
            (&name.into(), &port.into())
        );
    }
}

/// A directory whose name is not UTF-8.
const STRANGE: &str = "d=$(printf 'caf\\351'); mkdir $d; cd $d; exec \"$0\" \"$@\" 0</dev/null";

#[test]
fn a_unix_socket_keeps_the_bytes_of_its_name() {
    let server = bound("unix:here.sock").script(STRANGE).start();
    let path = server.directory.path().join(OsStr::from_bytes(b"caf\xe9/here.sock"));
    let mut connection = Connection::unix(&path).unwrap();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    let environ = connection.response().json();
    let expected: String = path.as_os_str().as_bytes().iter().map(|it| char::from(*it)).collect();
    assert_eq!(environ["SERVER_NAME"], expected);
}

#[test]
fn an_abstract_unix_socket() {
    let name = own_name();
    let server = bound(&format!("unix:@{name}")).start();
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let stream = UnixStream::connect_addr(&address).unwrap();
    assert_eq!(Connection::over_unix(stream).unwrap().get("/").status, 200);
    drop(server);
}

#[test]
fn a_socket_that_was_passed_in_is_taken_by_number() {
    let server = Setup::of("environ").start();
    let environ = server.get("/").json();
    assert_eq!(environ["SERVER_PORT"], server.address().port().to_string());
}

#[test]
fn an_announced_socket_takes_the_place_of_every_address() {
    let setup = Setup::of("environ:variables").announced().flags(&["--bind", "127.0.0.1:0"]);
    let server = setup.start();
    let variables = server.get("/").json();
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert_eq!(
            variables.get(name),
            None,
            "a process of the application would take it for its own"
        );
    }
}

#[test]
fn a_unix_socket_that_was_passed_in_is_not_removed() {
    let outside = Directory::new();
    let path = outside.join("mine.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server =
        Setup::bare().apps().socket(listener).flags(&["--bind", "fd://3", "environ"]).start();
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
    server.stop();
    assert!(path.exists(), "whoever made the socket removes it");
}

#[test]
fn several_addresses_at_once() {
    let server = bound("127.0.0.1:0").flags(&["--bind", "unix:here.sock"]).start();
    let line = server.ready_line();
    assert!(line.contains("127.0.0.1") && line.contains("here.sock"), "{line}");
    assert_eq!(server.get("/").status, 200);
    let path = server.directory.join("here.sock");
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
}

#[test]
fn a_stale_unix_socket_is_replaced() {
    let setup = bound("unix:here.sock");
    drop(UnixListener::bind(setup.directory.join("here.sock")).unwrap());
    let server = setup.start();
    let path = server.directory.join("here.sock");
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
}

#[test]
fn of_two_servers_that_start_at_once_one_has_the_unix_socket() {
    for stale in [false, true] {
        let directory = Directory::new();
        let path = directory.join("shared.sock");
        if stale {
            drop(UnixListener::bind(&path).unwrap());
        }
        let address = format!("unix:{}", path.display());
        let pair = [bound(&address).spawn(), bound(&address).spawn()];
        until::holds("an end of one", || pair.iter().any(Server::has_ended));
        let [mut one, mut other] = pair;
        if other.has_ended() {
            std::mem::swap(&mut one, &mut other);
        }
        other.wait_until_ready();
        let end = one.wait_for_end();
        assert_eq!(end.code, Some(1), "{}", end.stderr);
        assert!(end.stderr.contains("address already in use"), "{}", end.stderr);
        assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
        other.stop();
        assert!(!path.exists());
    }
}

#[test]
fn a_unix_socket_with_a_live_owner_is_left_alone() {
    let setup = bound("unix:here.sock");
    let path = setup.directory.join("here.sock");
    let owner = UnixListener::bind(&path).unwrap();
    let end = setup.run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("here.sock"), "{}", end.stderr);
    UnixStream::connect(&path).expect("the owner still listens");
    drop(owner);
}

#[test]
fn a_regular_file_is_not_mistaken_for_a_socket() {
    let end = bound("unix:precious").file("precious", "data").run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert_eq!(end.directory.read("precious"), "data");
    assert!(end.stderr.contains("precious"), "{}", end.stderr);
}

#[test]
fn the_umask_decides_which_users_may_connect() {
    let server = bound("unix:here.sock").flags(&["--umask", "0o117"]).start();
    let mode = fs::metadata(server.directory.join("here.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn an_address_in_use_is_tried_again_and_then_given_up() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = bound(&address).flags(&["--pid", "master.pid"]).run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let said = format!("cannot bind {address}: address already in use");
    assert!(end.stderr.to_lowercase().contains(&said), "{}", end.stderr);
    assert!(!end.directory.join("master.pid").exists());
}

#[test]
fn an_address_that_becomes_free_is_taken() {
    let taken = TcpListener::bind((own_ip(), 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let server = bound(&address.to_string()).spawn();
    server.allow("in use");
    server.wait_for_log("in use");
    drop(taken);
    server.wait_until_ready();
    assert_eq!(Connection::tcp(address).unwrap().get("/").status, 200);
}

#[test]
fn an_address_of_another_machine_is_refused_at_once() {
    let end = bound("192.0.2.1:80").run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("cannot bind 192.0.2.1:80"), "{}", end.stderr);
}

/// The mode of a file, and its group.
fn rights(path: &Path) -> (u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.permissions().mode() & 0o7777, metadata.gid())
}

/// A group that this process can give its files to: root any, other users one of their own.
fn other_group() -> Option<u32> {
    let own = getegid().as_raw();
    if geteuid().is_root() {
        return Some(54_321);
    }
    let found = getgroups().unwrap().into_iter().map(Gid::as_raw).find(|gid| *gid != own);
    need::met(found.is_some(), "a second group of the user");
    found
}

#[test]
fn the_mode_of_a_socket_file_is_a_setting() {
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let flags = ["--unix-mode", &format!("0{mode:o}"), "--umask", "0o77"];
        let server = bound("unix:here.sock").flags(&flags).start();
        assert_eq!(rights(&server.directory.join("here.sock")).0, mode);
    }
}

#[test]
fn the_group_of_a_socket_file_is_a_setting() {
    let Some(group) = other_group() else { return };
    let flags = ["--unix-mode", "0660", "--unix-group", &group.to_string()];
    let server = bound("unix:here.sock").flags(&flags).start();
    let path = server.directory.join("here.sock");
    assert_eq!(rights(&path), (0o660, group));
    // Without a mode that of the umask stays.
    let flags = ["--umask", "0o27", "--unix-group", &group.to_string()];
    let server = bound("unix:here.sock").flags(&flags).start();
    assert_eq!(rights(&server.directory.join("here.sock")), (0o750, group));
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
}

#[test]
fn a_reload_and_an_upgrade_keep_and_change_the_rights_of_a_socket_file() {
    let text = |mode: &str| format!("bind: unix:here.sock\nunix-mode: '{mode}'\n");
    let setup = Setup::bare().apps().flag("environ").file("monoceros.yaml", &text("0600"));
    let server = setup.start();
    let path = server.directory.join("here.sock");
    let inode = fs::metadata(&path).unwrap().ino();
    server.directory.write("monoceros.yaml", &text("0660"));
    let workers = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_replacement(&workers);
    assert_eq!(rights(&path).0, 0o660);
    server.upgrade();
    assert_eq!(rights(&path).0, 0o660);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode, "the file is not made again");
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
}

#[test]
fn a_group_that_does_not_exist_is_an_error() {
    let end = bound("unix:here.sock").flags(&["--unix-group", "no-such-group"]).run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("there is no group \"no-such-group\""), "{}", end.stderr);
    assert!(!end.directory.join("here.sock").exists());
}

#[test]
fn the_socket_file_of_another_user_gets_the_group() {
    let Some(python) = user::python() else { return };
    let directory = Directory::new();
    std::os::unix::fs::chown(directory.path(), Some(user::NOBODY), Some(user::NOBODY)).unwrap();
    let path = directory.join("here.sock");
    let address = format!("unix:{}", path.display());
    let setup = Setup::bare().flags(&["--python", python, "--bind", &address]);
    let pythonpath = crate::support::setup::apps("wsgi").display().to_string();
    let flags = ["--user", "65534", "--unix-group", "54321", "--unix-mode", "0660"];
    let server = setup.flags(&["--pythonpath", &pythonpath, "environ"]).flags(&flags).start();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), rights(&path)), (user::NOBODY, (0o660, 54_321)));
    server.stop();
    assert!(!path.exists());
}

/// The interface of each socket of a server that listens at a TCP port, and the port.
fn listening_interfaces(port: u16) -> Vec<String> {
    let output = Command::new("ss").args(["-Hltn", &format!("sport = :{port}")]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let local = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
    let interface = |local: String| {
        let (address, _) = local.rsplit_once(':')?;
        Some(address.split_once('%').map_or("", |(_, name)| name).to_owned())
    };
    text.lines().filter_map(local).filter_map(interface).collect()
}

/// An interface that works and is not the loopback.
fn other_interface() -> Option<String> {
    let names = fs::read_dir("/sys/class/net").unwrap().map(|it| it.unwrap().file_name());
    let is_up = |name: &String| {
        let path = format!("/sys/class/net/{name}/operstate");
        fs::read_to_string(path).is_ok_and(|state| state.trim() == "up")
    };
    let found = names.filter_map(|name| name.into_string().ok()).find(is_up);
    need::met(found.is_some(), "a network interface beside the loopback");
    found
}

#[test]
fn a_listener_serves_one_interface_only() {
    let Some(name) = other_interface() else { return };
    let server = bound(&format!("http://0.0.0.0:0%{name}")).flags(&["--bind", "unix:here.sock"]);
    let server = server.start();
    let port = server.address().port();
    let refused = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "the loopback is another interface");
    let path = server.directory.join("here.sock");
    assert_eq!(Connection::unix(&path).unwrap().get("/").status, 200);
}

#[test]
fn a_listener_stays_bound_to_its_interface() {
    let server = bound("http://127.0.0.1:0%lo").start();
    let address = server.address();
    let served = || Connection::tcp(address).unwrap().get("/").status == 200;
    assert!(served());
    let has_ss = Command::new("ss").arg("-V").output().is_ok();
    let check = || {
        assert!(served());
        if need::met(has_ss, "ss: apt install iproute2") {
            assert_eq!(listening_interfaces(address.port()), ["lo"]);
        }
    };
    check();
    let workers = server.workers();
    server.signal(Signal::SIGHUP);
    server.wait_for_replacement(&workers);
    check();
    server.upgrade();
    check();
}

#[test]
fn one_port_can_have_a_listener_on_each_interface() {
    let Some(name) = other_interface() else { return };
    let server = bound("http://0.0.0.0:0%lo").start();
    let port = server.address().port();
    let other = bound(&format!("http://0.0.0.0:{port}%{name}")).start();
    let mut connection = Connection::tcp((Ipv4Addr::LOCALHOST, port).into()).unwrap();
    assert_eq!(connection.get("/").status, 200);
    assert_eq!(other.address().port(), port);
}

#[test]
fn an_interface_that_is_missing_is_an_error() {
    let end = bound("127.0.0.1:0%no-such0").run();
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    assert!(end.stderr.contains("there is no network interface no-such0"), "{}", end.stderr);
    let end = bound("127.0.0.1:0%a-name-too-long0").run();
    assert_eq!(end.code, Some(2), "{}", end.stderr);
    assert!(end.stderr.contains("\"a-name-too-long0\" is no name"), "{}", end.stderr);
}
