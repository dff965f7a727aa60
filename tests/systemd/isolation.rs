//! The isolation of instances from each other.

use crate::machine::Machine;
use crate::shop::Shop;

#[test]
fn an_instance_reads_nothing_of_another() {
    Machine::each(|machine| {
        let victim = Shop::install(machine);
        let runtime = format!("/run/monoceros/{}", victim.name);
        victim.configure("env: {SECRET: very-secret}\n");
        victim.systemctl("start");
        let third = Shop::install(machine);
        let unit = format!("monoceros@{}.socket", third.name);
        machine.said(&["systemctl", "start", &unit]);
        let own = |kind: &str| format!("/{kind}/monoceros/{}", victim.name);
        let directories = [own("var/lib"), own("var/cache"), own("var/log"), own("run")];
        for directory in &directories {
            let python = format!("open('{directory}/file', 'w').write('secret')");
            assert_eq!(victim.evaluate(&python), "6", "{machine}");
        }
        let bind = "(s := socket.socket(socket.AF_UNIX), s.bind(PATH), os.chmod(PATH, 0o777), \
             globals().update(s=s), s.listen())[4]";
        let socket = format!("'{runtime}/sock'");
        assert_eq!(victim.evaluate(&bind.replace("PATH", &socket)), "None", "{machine}");

        let other = Shop::install(machine);
        // Also if every user can read the file.
        machine.said(&["chmod", "644", &victim.configuration()]);
        other.systemctl("start");
        assert_ne!(other.evaluate("os.getuid()"), victim.evaluate("os.getuid()"));
        let (master, worker) = (victim.main_pid(), victim.evaluate("os.getpid()"));
        let mut files: Vec<_> = directories.iter().map(|it| format!("{it}/file")).collect();
        files.push(victim.configuration());
        files.push(format!("/proc/1/root{}", victim.configuration()));
        let name = &victim.name;
        files.push(format!("/run/monoceros-configuration/{name}/{name}.yaml"));
        files.push(format!("/var/lib/private/monoceros/{name}/file"));
        for pid in [&master, &worker] {
            for file in ["environ", "maps", "mem", "root/etc/hostname", "fd/0"] {
                files.push(format!("/proc/{pid}/{file}"));
            }
        }
        for file in &files {
            let answer = other.evaluate(&format!("open('{file}', 'rb').read(1)"));
            let refused = ["FileNotFoundError", "PermissionError", "ProcessLookupError"];
            assert!(refused.contains(&&*answer), "{file}: {answer}");
        }
        for path in [format!("{runtime}/sock"), format!("/run/monoceros/{}.sock", third.name)] {
            let answer =
                other.evaluate(&format!("socket.socket(socket.AF_UNIX).connect('{path}')"));
            assert_eq!(answer, "FileNotFoundError", "{path}");
        }
        for pid in [&master, &worker] {
            assert_eq!(other.evaluate(&format!("os.kill({pid}, 0)")), "PermissionError");
        }
        let status = "__import__('subprocess').run(['monoceros', 'status', 'PID'], \
             capture_output=True, text=True).stderr";
        let answer = other.evaluate(&status.replace("PID", &master));
        assert!(answer.contains("permission denied"), "{answer}");
        // It is all there for its owner.
        assert!(victim.evaluate("os.environ['SECRET']").contains("very-secret"));
        machine.said(&["systemctl", "stop", &unit]);
        victim.stop();
        other.stop();
    });
}

#[test]
fn a_name_has_limits() {
    Machine::each(|machine| {
        // Of the name of a user, `monoceros-NAME`: at most 31 letters.
        let verify = |name: &str| {
            let unit = format!("monoceros@{name}.service");
            let shop = Shop::install(machine);
            let text = std::fs::read_to_string(machine.path(&shop.configuration())).unwrap();
            machine.write(&format!("/etc/monoceros/{name}.yaml"), &text);
            let started = machine.run(&["systemctl", "start", &unit]).status.success();
            machine.run(&["systemctl", "stop", &unit]);
            started
        };
        assert!(verify("Shop_2-abcdefghijklmn"), "{machine}");
        assert!(!verify("abcdefghijklmnopqrstuv"), "{machine}");
        assert!(!verify("shop.example"), "{machine}");
    });
}
