//! The socket unit: it outlives the service, and its first request starts it.

use crate::machine::Machine;
use crate::shop::Shop;
use crate::support::client::Connection;
use crate::support::load::Load;
use crate::support::until;

/// Connects to a unix socket; for the shell, `$1` is the user.
const CONNECT: &str = "exec setpriv --reuid=$1 --regid=$1 --clear-groups python3 -c \
    'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' $2";

fn unit(shop: &Shop) -> String {
    format!("monoceros@{}.socket", shop.name)
}

#[test]
fn the_first_request_starts_the_instance() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        machine.said(&["systemctl", "enable", "--now", &unit(&shop)]);
        assert_eq!(shop.property("ActiveState"), "inactive");
        let path = shop.socket();
        let get = || Connection::unix(&path).unwrap().get("/");
        assert_eq!(get().text(), "one");
        shop.wait_for("ActiveState", "active");
        // The socket stays, and brings it back.
        shop.systemctl("stop");
        assert_eq!(get().text(), "one");
        shop.wait_for("ActiveState", "active");
        // `bind` is not used; if it is set, the log has a line about it.
        assert!(shop.journal("warning").contains("bind is ignored"), "{machine}");
        machine.said(&["systemctl", "stop", &unit(&shop), &shop.unit]);
        shop.assert_stopped_well();
    });
}

#[test]
fn the_proxys_user_can_connect_and_others_cannot() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        machine.said(&["systemctl", "start", &unit(&shop)]);
        let path = format!("/run/monoceros/{}.sock", shop.name);
        let connect = |user| machine.run(&["sh", "-c", CONNECT, "connect", user, &path]).status;
        assert!(connect("www-data").success(), "{machine}");
        assert!(!connect("nobody").success(), "{machine}");
        shop.wait_for("ActiveState", "active");
        machine.said(&["systemctl", "stop", &unit(&shop), &shop.unit]);
        shop.assert_stopped_well();
    });
}

#[test]
fn no_request_is_lost_over_restarts() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        let path = format!("/etc/systemd/system/{}.d/port.conf", unit(&shop));
        let lines = format!("[Socket]\nListenStream=\nListenStream={}\n", shop.address);
        machine.write(&path, &lines);
        machine.said(&["systemctl", "daemon-reload"]);
        machine.said(&["systemctl", "start", &unit(&shop)]);
        assert_eq!(shop.get("/").text(), "one");
        shop.wait_for("ActiveState", "active");
        let load = Load::start(shop.address, 4);
        load.proceed(50);
        for verb in ["restart", "reload", "restart"] {
            shop.systemctl(verb);
            load.proceed(50);
        }
        machine.said(&["monoceros", "upgrade", &shop.main_pid()]);
        load.proceed(50);
        load.finish();
        machine.said(&["systemctl", "stop", &unit(&shop), &shop.unit]);
        shop.assert_stopped_well();
    });
}

#[test]
fn an_instance_listens_on_a_unix_socket_of_its_own() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        let path = format!("/run/monoceros/{}/http.sock", shop.name);
        shop.configure_with("app: wsgi\n", &format!("access-logfile: '-'\n# {path}\n"));
        let text = std::fs::read_to_string(machine.path(&shop.configuration())).unwrap();
        let bind = format!("bind: {}", shop.address);
        machine.write(&shop.configuration(), &text.replace(&bind, &format!("bind: unix:{path}")));
        shop.systemctl("start");
        let get = || Connection::unix(&machine.path(&path)).unwrap().get("/");
        assert_eq!(get().text(), "one");
        machine.said(&["monoceros", "upgrade", &shop.main_pid()]);
        assert_eq!(get().text(), "one");
        until::holds("the request's line", || shop.journal("info").contains("GET / HTTP/1.1"));
        shop.stop();
    });
}
