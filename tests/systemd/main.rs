//! What the documented service does under a real systemd, of Debian 12 and of
//! Debian 13. `make test-systemd` sets up what this needs, and runs it.

// All of this is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod machine;
mod shop;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "most of it is for the other tests")]
mod support;

use machine::Machine;
use shop::Shop;
use support::client::get;
use support::crowd::Crowd;
use support::load::Load;
use support::until;

#[test]
fn the_documented_unit_starts_reloads_and_stops() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        assert_eq!(shop.get("/").text(), "one");
        let main = shop.property("MainPID");
        shop.deploy("two");
        shop.systemctl("reload");
        assert_eq!(shop.get("/").text(), "two");
        shop.break_code();
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        assert_eq!(shop.get("/").text(), "two");
        let status = shop.property("StatusText");
        assert!(status.contains("No module named 'no_such_module'"), "{status}");
        assert_eq!(
            (shop.property("ActiveState"), shop.property("MainPID")),
            ("active".into(), main)
        );
        shop.deploy("one");
        shop.systemctl("reload");
        assert_eq!(shop.get("/").text(), "one");
        shop.systemctl("stop");
        shop.assert_stopped_well();
    });
}

#[test]
fn a_start_with_code_that_does_not_import_fails() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.break_code();
        assert_eq!(shop.attempt("start").status.code(), Some(1), "{machine}");
        assert_eq!(shop.property("ExecMainStatus"), "3");
        assert!(shop.journal("err").contains("No module named 'no_such_module'"), "{machine}");
        // It is tried again until the code is there.
        shop.deploy("two");
        shop.wait_for("ActiveState", "active");
        assert_eq!(shop.get("/").text(), "two");
        shop.systemctl("stop");
        shop.assert_stopped_well();
    });
}

#[test]
fn the_journal_has_priorities() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        assert_eq!(shop.get("/fail").status, 500);
        let errors = until::some("an error in the journal", || {
            Some(shop.journal("err")).filter(|it| it.contains("ValueError"))
        });
        assert!(errors.starts_with("[ERROR] worker="), "{errors}");
        assert!(errors.contains("Traceback") && !errors.contains("[INFO]"), "{errors}");
        let all = shop.journal("info");
        assert!(all.contains("[INFO] master: serving shop.wsgi:application at "), "{all}");
        shop.systemctl("stop");
        shop.assert_stopped_well();
    });
}

#[test]
fn a_master_that_stands_still_is_replaced() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.drop_in("WatchdogSec=2\nTimeoutAbortSec=1\n");
        shop.systemctl("start");
        let main = shop.property("MainPID");
        machine.said(&["systemctl", "kill", "--kill-whom=main", "--signal=STOP", "shop"]);
        until::holds("another master", || shop.property("NRestarts") == "1");
        shop.wait_for("ActiveState", "active");
        assert_ne!(shop.property("MainPID"), main);
        assert_eq!(shop.get("/").text(), "one");
        shop.systemctl("stop");
        shop.assert_stopped_well();
    });
}

#[test]
fn a_stop_after_an_upgrade_waits_for_requests() {
    stop_after_upgrade(true);
}

#[test]
fn a_stop_after_an_upgrade_needs_no_command() {
    stop_after_upgrade(false);
}

/// systemd follows an upgrade, and waits for a master that it has not started.
fn stop_after_upgrade(has_stop: bool) {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        if !has_stop {
            shop.drop_in("ExecStop=\n");
        }
        shop.systemctl("start");
        let old = shop.property("MainPID");
        machine.said(&["monoceros", "upgrade", &old]);
        shop.wait_for("ActiveState", "active");
        let new = shop.property("MainPID");
        assert_ne!(new, old);
        let mut waiting: Vec<_> = (0..3).map(|_| shop.connect()).collect();
        waiting.iter_mut().for_each(|connection| connection.send(get("/wait")));
        until::holds("running requests", || {
            machine.said(&["monoceros", "status", &new]).contains("3 requests running")
        });
        machine.said(&["systemctl", "stop", "--no-block", "shop"]);
        until::holds("a drain", || shop.journal("info").contains("master: draining"));
        assert_eq!(shop.property("ActiveState"), "deactivating", "{machine}");
        shop.open();
        for connection in &mut waiting {
            assert_eq!(connection.response().status, 200);
        }
        shop.assert_stopped_well();
    });
}

#[test]
fn sockets_of_a_socket_unit_outlive_restarts_under_load() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        let listen = shop.address;
        let unit = format!("[Socket]\nListenStream={listen}\n");
        machine.write("/etc/systemd/system/shop.socket", &unit);
        shop.drop_in("UnsetEnvironment=MONOCEROS_BIND\n");
        machine.said(&["systemctl", "start", "shop.socket"]);
        // The first client starts it.
        assert_eq!(shop.get("/").text(), "one");
        shop.wait_for("ActiveState", "active");
        let load = Load::start(shop.address, 4);
        load.proceed(50);
        for verb in ["restart", "reload", "restart"] {
            shop.systemctl(verb);
            load.proceed(50);
        }
        load.finish();
        machine.said(&["systemctl", "stop", "shop.socket", "shop.service"]);
        shop.assert_stopped_well();
    });
}

#[test]
fn the_documented_restrictions_leave_everything_working() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.harden();
        shop.systemctl("start");
        let load = Load::start(shop.address, 2);
        load.proceed(20);
        shop.deploy("two");
        shop.systemctl("reload");
        shop.break_code();
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        shop.deploy("six");
        machine.said(&["monoceros", "upgrade", &shop.property("MainPID")]);
        load.proceed(20);
        load.finish();
        assert_eq!(shop.get("/").text(), "six");
        shop.systemctl("stop");
        shop.assert_stopped_well();
    });
}

#[test]
fn a_stop_by_a_user_without_privileges_loses_nothing() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        assert_eq!(shop.get("/").text(), "one");
        let crowd = Crowd::gather(shop.address, 32);
        crowd.wait_for(200);
        shop.systemctl("stop");
        crowd.disperse();
        shop.assert_stopped_well();
    });
}
