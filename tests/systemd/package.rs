//! Operations on the Debian package while instances run: clients notice none of them until
//! the package is removed.

use std::fs;

use crate::machine::{Machine, PACKAGE, has_package};
use crate::shop::Shop;
use crate::support::client::get;
use crate::support::load::Load;
use crate::support::{need, until};

/// Requests of which upgrades may lose none, on each machine.
const REQUESTS: usize = 100_000;

/// Makes another version of the package; `$1` is where it comes from, `$2` the version,
/// `$3` what else is changed.
const REPACK: &str = "set -e; rm -rf /tmp/tree; dpkg-deb --raw-extract $1/*.deb /tmp/tree
    sed -i \"s/^Version: .*/Version: $2/\" /tmp/tree/DEBIAN/control
    cd /tmp/tree; eval \"$3\"; dpkg-deb -Znone --build /tmp/tree /tmp/monoceros_$2.deb";

/// Runs a test on machines of its own, if there is a package.
fn each(test: impl Fn(&Machine) + Sync) {
    if need::met(has_package(), "the Debian package (make deb)") {
        Machine::each_alone(test);
    }
}

/// The path of another version of the package.
fn repack(machine: &Machine, version: &str, change: &str) -> String {
    machine.said(&["sh", "-c", REPACK, "repack", PACKAGE, version, change]);
    format!("/tmp/monoceros_{version}.deb")
}

/// The path of the package as it was built.
fn built(machine: &Machine) -> String {
    machine.said(&["sh", "-c", &format!("ls {PACKAGE}/*.deb")]).trim().to_owned()
}

/// Runs a package operation, which must succeed, and returns both of its outputs.
fn dpkg(machine: &Machine, words: &[&str]) -> String {
    let command = format!("dpkg {} 2>&1", words.join(" "));
    let said = machine.said(&["sh", "-c", &command]);
    assert_eq!(machine.said(&["dpkg", "--audit"]), "", "{said}");
    said
}

#[test]
fn upgrades_lose_no_request() {
    each(|machine| {
        let (old, new) = (built(machine), repack(machine, "9.0", ""));
        let (shop, other) = (Shop::install(machine), Shop::install_at(machine, 8001));
        shop.systemctl("start");
        other.systemctl("start");
        let load = Load::start(shop.address, 4);
        load.proceed(1);
        let mut package = [&new, &old, &old].into_iter().cycle();
        loop {
            let (before, beside) = (shop.main_pid(), other.main_pid());
            let said = dpkg(machine, &["--install", package.next().unwrap()]);
            for unit in [&shop.unit, &other.unit] {
                let upgraded = format!("{unit}: upgraded: ");
                assert!(said.contains(&upgraded), "{said}{machine}");
            }
            assert_ne!((shop.main_pid(), other.main_pid()), (before, beside), "{said}");
            if load.answered() > REQUESTS {
                break;
            }
            load.proceed(100);
        }
        load.finish();
        shop.stop();
        other.stop();
    });
}

#[test]
fn one_that_cannot_be_taken_over_serves_on() {
    each(|machine| {
        let (old, new) = (built(machine), repack(machine, "9.0", ""));
        let (shop, other) = (Shop::install(machine), Shop::install_at(machine, 8001));
        shop.systemctl("start");
        other.systemctl("start");
        shop.break_code();
        let (main, beside) = (shop.main_pid(), other.main_pid());
        let said = dpkg(machine, &["--install", &new]);
        let retry = format!("/usr/lib/monoceros/upgrade-instances {}", shop.name);
        for part in [&shop.unit, "upgrade failed: ", "No module named 'no_such_module'", &retry] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert_eq!((shop.main_pid(), shop.get("/").text()), (main.clone(), "one".to_owned()));
        assert_ne!(other.main_pid(), beside, "{said}");
        // Again, when it can be.
        assert!(!machine.run(&["sh", "-c", &retry]).status.success());
        let beside = other.main_pid();
        shop.deploy("two");
        machine.said(&["/usr/lib/monoceros/upgrade-instances"]);
        assert_ne!(shop.main_pid(), main);
        assert_eq!(shop.get("/").text(), "two");
        assert_eq!(other.main_pid(), beside, "it had the new program already");
        // Where packages may not restart services, nothing is done.
        machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
        machine.said(&["chmod", "755", "/usr/sbin/policy-rc.d"]);
        let main = shop.main_pid();
        let said = dpkg(machine, &["--install", &old]);
        assert!(said.contains("upgrade-instances"), "{said}");
        assert_eq!(shop.main_pid(), main);
        machine.said(&["rm", "/usr/sbin/policy-rc.d"]);
        shop.stop();
        other.stop();
    });
}

/// From the installation to the purge.
#[test]
fn nothing_runs_before_it_is_enabled_and_nothing_is_left_after_a_purge() {
    each(|machine| {
        let list = ["systemctl", "list-units", "--all", "--no-legend", "monoceros@*"];
        let active = [&list[..], &["--state=active,activating,failed"]].concat();
        assert_eq!(machine.said(&list), "");
        let shop = Shop::install(machine);
        let idle = Shop::install_at(machine, 8001);
        let socket = format!("monoceros@{}.socket", idle.name);
        machine.said(&["systemctl", "enable", "--now", &shop.unit, &socket]);
        shop.drop_in("Nice=1\n");
        for place in ["var/lib", "var/cache", "var/log"] {
            let python =
                format!("open('/{place}/monoceros/{}/file', 'w').write('data')", shop.name);
            assert_eq!(shop.evaluate(&python), "4", "{machine}");
        }

        conffiles(machine);
        assert_eq!(shop.get("/").text(), "one");

        // A removal lets requests finish, and keeps what the instances have.
        let mut waiting = shop.connect();
        waiting.send(get("/wait"));
        until::holds("a running request", || {
            machine.said(&["monoceros", "status", &shop.main_pid()]).contains("1 requests running")
        });
        std::thread::scope(|scope| {
            let removal = scope.spawn(|| dpkg(machine, &["--remove", "monoceros"]));
            until::holds("a drain", || shop.journal("info").contains("master: draining"));
            shop.open();
            assert_eq!(waiting.response().status, 200);
            removal.join().unwrap();
        });
        assert_eq!(machine.said(&active), "");
        let kept = format!("/var/log/monoceros/{}/file", shop.name);
        assert!(machine.path(&shop.configuration()).exists());
        machine.said(&["test", "-e", &kept]);
        // What is left of the package does not trouble the rotation of logs.
        machine.said(&["logrotate", "--force", "/etc/logrotate.d/monoceros"]);

        dpkg(machine, &["--install", &built(machine)]);
        shop.systemctl("start");
        assert_eq!(shop.get("/").text(), "one");
        dpkg(machine, &["--purge", "monoceros"]);
        let find = "find /etc /usr /var /run /tmp -xdev '(' -path /run/systemd -o \
             -path /var/log/journal -o -path /tmp/tree -o -path '/tmp/monoceros_*' ')' -prune -o -name '*monoceros*' -print";
        assert_eq!(machine.said(&["sh", "-c", find]), "");
        assert!(
            !machine
                .run(&["getent", "passwd", &format!("monoceros-{}", shop.name)])
                .status
                .success()
        );
        assert_eq!(machine.said(&list), "");
    });
}

/// A file that an operator has changed stays; another one is replaced.
fn conffiles(machine: &Machine) {
    let (example, hook) = ("/etc/monoceros/example.yaml", "/etc/needrestart/conf.d/monoceros.conf");
    machine.write(example, "# changed by an operator\n");
    let change = format!("for file in {example} {hook}; do echo '# of 9.0' >>.$file; done");
    let new = repack(machine, "9.0", &change);
    let read = |path: &str| fs::read_to_string(machine.path(path)).unwrap();
    dpkg(machine, &["--force-confold", "--install", &new]);
    assert_eq!(read(example), "# changed by an operator\n");
    assert!(read(&format!("{example}.dpkg-dist")).ends_with("# of 9.0\n"));
    assert!(read(hook).ends_with("# of 9.0\n"));
    dpkg(machine, &["--force-confold", "--install", &built(machine)]);
    assert_eq!(read(example), "# changed by an operator\n");
    assert!(!read(hook).contains("# of 9.0"));
}
