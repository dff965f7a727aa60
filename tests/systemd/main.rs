//! The packaged units under a real systemd, of Debian 12 and of Debian 13.
//! `make test-systemd` makes the systems, and runs these tests.

// All of this is a test, also what is not marked as one.
#![allow(clippy::unwrap_used)]

mod https;
mod isolation;
mod journal;
mod machine;
mod package;
mod shop;
mod sockets;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "most of it is for the other tests")]
mod support;

use machine::{APPS, Machine, PACKAGES};
use shop::Shop;
use support::client::get;
use support::crowd::Crowd;
use support::load::Load;
use support::until;

#[test]
fn an_instance_starts_reloads_and_stops() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        assert_eq!(shop.get("/").text(), "one");
        let main = shop.main_pid();
        shop.deploy("two");
        shop.systemctl("reload");
        assert_eq!(shop.get("/").text(), "two");
        shop.break_code();
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        assert_eq!(shop.get("/").text(), "two");
        let status = machine.said(&["systemctl", "status", "--no-pager", &shop.unit]);
        assert!(status.contains("No module named 'no_such_module'"), "{status}");
        assert_eq!((shop.property("ActiveState"), shop.main_pid()), ("active".into(), main));
        shop.deploy("one");
        shop.systemctl("reload");
        assert_eq!(shop.get("/").text(), "one");
        shop.stop();
    });
}

#[test]
fn a_configuration_that_was_replaced_takes_effect_at_reload() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.configure("env: {WHO: first}\n");
        shop.systemctl("start");
        assert_eq!(shop.evaluate("os.environ['WHO']"), "'first'");
        // Written beside the file and renamed.
        shop.configure("env: {WHO: second}\n");
        shop.systemctl("reload");
        assert_eq!(shop.evaluate("os.environ['WHO']"), "'second'");
        shop.configure("nonsense: 1\n");
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        let said = shop.property("StatusText");
        let place = shop.configuration();
        assert!(said.contains(&place) && said.contains("nonsense: unknown setting"), "{said}");
        machine.said(&["rm", &shop.configuration()]);
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        assert!(shop.journal("info").contains("No such file"), "{machine}");
        assert_eq!(shop.evaluate("os.environ['WHO']"), "'second'");
        shop.stop();
        assert_eq!(shop.attempt("start").status.code(), Some(1), "{machine}");
        shop.attempt("stop");
    });
}

#[test]
fn a_start_with_code_that_does_not_import_is_tried_until_it_does() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.break_code();
        assert_eq!(shop.attempt("start").status.code(), Some(1), "{machine}");
        assert_eq!(shop.property("ExecMainStatus"), "3");
        assert!(shop.journal("err").contains("No module named 'no_such_module'"), "{machine}");
        assert_eq!(shop.property("StartLimitIntervalUSec"), "0");
        until::holds("two restarts", || shop.property("NRestarts") == "2");
        if machine.systemd() >= 254 {
            // It grows with each start that fails.
            assert_ne!(shop.property("RestartUSecNext"), "1s", "{machine}");
        }
        shop.deploy("two");
        shop.wait_for("ActiveState", "active");
        assert_eq!(shop.get("/").text(), "two");
        // The next one is started at once again.
        assert_eq!(shop.property("NRestarts"), "0", "{machine}");
        shop.stop();
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
        assert!(all.contains("[INFO] master: serving wsgi:application at "), "{all}");
        shop.stop();
    });
}

#[test]
fn a_master_that_stands_still_is_replaced() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.drop_in("WatchdogSec=2\nTimeoutAbortSec=1\n");
        shop.systemctl("start");
        let main = shop.main_pid();
        machine.said(&["systemctl", "kill", "--kill-who=main", "--signal=STOP", &shop.unit]);
        shop.wait_for_another(&main);
        assert_eq!(shop.get("/").text(), "one");
        let unit = format!("UNIT={}", shop.unit);
        let said = machine.said(&["journalctl", "--no-pager", "--output=cat", &unit]);
        assert!(said.contains("Watchdog timeout (limit 2s)"), "{said}");
        shop.stop();
    });
}

#[test]
fn what_has_crashed_is_replaced() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        let main = shop.main_pid();
        shop.crash_worker();
        assert_eq!(shop.main_pid(), main);
        machine.said(&["sh", "-c", &format!("kill -KILL {main}")]);
        shop.wait_for_another(&main);
        assert_eq!(shop.get("/").text(), "one");
        shop.stop();
    });
}

#[test]
fn a_worker_that_the_kernel_kills_for_memory_is_replaced() {
    Machine::each(|machine| {
        let controllers = machine.run(&["cat", "/sys/fs/cgroup/cgroup.controllers"]).stdout;
        let can_limit = String::from_utf8_lossy(&controllers).contains("memory");
        let what = "control groups of version 2 that can limit memory";
        if !support::need::met(can_limit, what) {
            return;
        }
        let shop = Shop::install(machine);
        shop.drop_in("MemoryMax=256M\nMemorySwapMax=0\n");
        shop.systemctl("start");
        let (main, worker) = (shop.main_pid(), shop.evaluate("os.getpid()"));
        let python = "len(b'x' * (1 << 30))";
        let mut greedy = shop.connect();
        greedy.send(format!(
            "POST /eval HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{python}",
            python.len()
        ));
        greedy.try_response("POST").unwrap_err();
        until::holds("another worker", || shop.evaluate("os.getpid()") != worker);
        // systemd knows, and leaves the service as it is.
        let unit = format!("UNIT={}", shop.unit);
        let told = "killed by the OOM killer";
        let words = ["journalctl", "--no-pager", "--output=cat", &unit];
        until::holds("a message of systemd", || machine.said(&words).contains(told));
        assert!(shop.journal("err").contains("SIGKILL, by the kernel: out of memory"), "{machine}");
        assert_eq!((shop.property("ActiveState"), shop.main_pid()), ("active".into(), main));
        assert_eq!(shop.get("/").text(), "one");
        shop.stop();
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
        let old = shop.main_pid();
        machine.said(&["monoceros", "upgrade", &old]);
        shop.wait_for_another(&old);
        let new = shop.main_pid();
        let mut waiting: Vec<_> = (0..3).map(|_| shop.connect()).collect();
        waiting.iter_mut().for_each(|connection| connection.send(get("/wait")));
        until::holds("running requests", || {
            machine.said(&["monoceros", "status", &new]).contains("3 requests running")
        });
        machine.said(&["systemctl", "stop", "--no-block", &shop.unit]);
        until::holds("a drain", || shop.journal("info").matches("master: draining").count() == 1);
        assert_eq!(shop.property("ActiveState"), "deactivating", "{machine}");
        shop.open();
        for connection in &mut waiting {
            assert_eq!(connection.response().status, 200);
        }
        shop.assert_stopped_well();
    });
}

#[test]
fn the_restrictions_leave_everything_working() {
    Machine::each(|machine| {
        let shop = Shop::install_at(machine, 80);
        shop.configure("timeout: 1\nworkers: 2\n");
        shop.systemctl("start");
        let load = Load::start(shop.address, 2);
        load.proceed(20);
        shop.deploy("two");
        shop.systemctl("reload");
        shop.break_code();
        assert_eq!(shop.attempt("reload").status.code(), Some(1), "{machine}");
        shop.deploy("six");
        machine.said(&["monoceros", "upgrade", &shop.main_pid()]);
        machine.said(&["monoceros", "reload", &shop.main_pid()]);
        machine.said(&["monoceros", "status", &shop.main_pid()]);
        load.proceed(20);
        load.finish();
        assert_eq!(shop.get("/").text(), "six");
        // More than is kept in memory.
        assert_eq!(shop.post("/length", &vec![b'a'; 1 << 20]), (1 << 20).to_string());
        assert_eq!(shop.get("/wait").status, 504, "{machine}");
        let stacks = until::some("stacks", || {
            Some(shop.journal("err")).filter(|it| it.contains("in application"))
        });
        assert!(stacks.contains("wsgi.py"), "{stacks}");
        // They are in force.
        let status = shop.evaluate("open('/proc/self/status').read()");
        for line in ["NoNewPrivs:\\t1", "Seccomp:\\t2", "CapBnd:\\t0000000000000400"] {
            assert!(status.contains(line), "{status}");
        }
        assert_eq!(shop.evaluate("open('/usr/file', 'w')"), "OSError");
        shop.stop();
    });
}

/// What an application may need, the error that it gets, and the documented line that
/// allows it.
const LOOSENED: [(&str, &str, &str); 4] = [
    ("os.nice(1) and None", "PermissionError", "SystemCallFilter=@resources"),
    ("socket.if_nameindex() and None", "OSError", "RestrictAddressFamilies=AF_NETLINK"),
    (
        "__import__('mmap').mmap(-1, 4096, prot=7) and None",
        "PermissionError",
        "MemoryDenyWriteExecute=no",
    ),
    ("os.listdir('/home').clear()", "PermissionError", "ProtectHome=read-only"),
];

#[test]
fn restrictions_can_be_loosened() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        shop.systemctl("start");
        for (python, error, _) in LOOSENED {
            assert_eq!(shop.evaluate(python), error, "{python}");
        }
        let document = include_str!("../../docs/systemd.md");
        let lines = LOOSENED.map(|(_, _, line)| line);
        lines.iter().for_each(|line| assert!(document.contains(&format!("`{line}`")), "{line}"));
        shop.drop_in(&format!("{}\n", lines.join("\n")));
        shop.systemctl("restart");
        for (python, ..) in LOOSENED {
            assert_eq!(shop.evaluate(python), "None", "{python}\n{machine}");
        }
        shop.stop();
    });
}

#[test]
fn the_restrictions_are_rated_below_one_and_a_half() {
    Machine::each(|machine| {
        let shop = Shop::install(machine);
        let said = machine.said(&["systemd-analyze", "security", "--no-pager", &shop.unit]);
        let level = said.rsplit_once(".service: ").unwrap().1.split(' ').next().unwrap();
        assert!(level.parse::<f32>().unwrap() <= 1.5, "{}: {level}", machine.release);
        let verified = machine.run(&["systemd-analyze", "verify", "--man=no", &shop.unit]);
        let said = String::from_utf8(verified.stderr).unwrap();
        // Those two are of systemd 254.
        let unknown =
            |it: &&str| !it.contains("'RestartSteps'") && !it.contains("'RestartMaxDelaySec'");
        let said: Vec<_> =
            said.lines().filter(|it| it.contains("monoceros")).filter(unknown).collect();
        assert!(verified.status.success() && said.is_empty(), "{}: {said:?}", machine.release);
    });
}

#[test]
fn django_serves_with_its_database_and_its_admin() {
    Machine::each(|machine| {
        let packages = machine.path(PACKAGES);
        if !support::need::met(packages.join("django").exists(), "Django") {
            return;
        }
        let shop = Shop::install(machine);
        let data = format!("/var/lib/monoceros/{}", shop.name);
        let variables = format!("env: {{SHOP_DATA: {data}, SHOP_HOSTS: '*'}}\npreload: true\n");
        let application = format!("app: config.wsgi\npythonpath: {APPS}/shop,{PACKAGES}\n");
        shop.configure_with(&application, &variables);
        // As documented: with the user and the directories of the instance.
        let user = format!("--property=User=monoceros-{}", shop.name);
        let state = format!("--property=StateDirectory=monoceros/{}", shop.name);
        let path = format!("--setenv=PYTHONPATH={PACKAGES}");
        let data = format!("--setenv=SHOP_DATA={data}");
        let directory = format!("--working-directory={APPS}/shop");
        let manage = |command: &str| {
            let run = ["systemd-run", "--quiet", "--pipe", "--wait", "--property=DynamicUser=yes"];
            let how = [&*user, &state, &path, &data, &directory];
            machine.said(&[&run[..], &how, &["/usr/bin/python3", "manage.py", command]].concat())
        };
        manage("migrate");
        shop.systemctl("start");
        // While it serves.
        manage("demo");
        assert!(shop.get("/").text().contains("Bottle of ink"), "{machine}");
        assert!(shop.get("/admin/login/").text().contains("csrfmiddlewaretoken"), "{machine}");
        shop.systemctl("reload");
        assert!(shop.get("/products.json").text().contains("bottle-of-ink"), "{machine}");
        shop.stop();
    });
}

#[test]
fn logs_are_rotated() {
    Machine::each(|machine| {
        let rules = "/etc/logrotate.d/monoceros";
        if !machine.path(rules).exists() {
            // The package is not installed.
            machine.write(rules, include_str!("../../packaging/debian/monoceros.logrotate"));
        }
        let shop = Shop::install(machine);
        let log = format!("/var/log/monoceros/{}/access.log", shop.name);
        shop.configure(&format!("access-logfile: {log}\n"));
        shop.systemctl("start");
        let read = |path: &str| machine.run(&["cat", path]).stdout;
        let has = |path: &str, line: &str| String::from_utf8_lossy(&read(path)).contains(line);
        shop.get("/before");
        until::holds("a line", || has(&log, "GET /before"));
        machine.said(&["logrotate", "--force", rules]);
        until::holds("a new file", || machine.run(&["test", "-e", &log]).status.success());
        shop.get("/after");
        until::holds("a line", || has(&log, "GET /after"));
        assert!(has(&format!("{log}.1"), "GET /before") && !has(&log, "GET /before"), "{machine}");
        shop.stop();
    });
}

#[test]
fn what_is_enabled_serves_after_a_reboot() {
    Machine::each_alone(|machine| {
        let shop = Shop::install(machine);
        machine.said(&["systemctl", "enable", "--now", &shop.unit]);
        let state = format!("/var/lib/monoceros/{}/file", shop.name);
        assert_eq!(shop.evaluate(&format!("open('{state}', 'w').write('kept')")), "4");
        machine.reboot();
        shop.wait_for("ActiveState", "active");
        assert_eq!(shop.evaluate(&format!("open('{state}').read()")), "'kept'");
        shop.stop();
    });
}

#[test]
fn a_stop_loses_nothing() {
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
