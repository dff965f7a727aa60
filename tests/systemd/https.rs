//! An instance with a certificate that certbot renews, as docs/systemd.md has it.

use std::fs;
use std::path::Path;

use crate::machine::Machine;
use crate::shop::Shop;
use crate::support::certificate::{Authority, Certificate};
use crate::support::client::get;
use crate::support::tls::TlsClient;
use crate::support::until;

/// The name of the site.
const SITE: &str = "shop.example";

/// Reads the code block in this language below the heading `HTTPS` of docs/systemd.md, and
/// gives it the names of this instance.
fn example(shop: &Shop, language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd.md");
    let page = fs::read_to_string(path).unwrap();
    let section = page.split("\n## HTTPS\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let block = section.split(&format!("\n```{language}\n")).nth(1).expect(language);
    let block = block.split("\n```").next().unwrap();
    block.replace("shop-tls", &group(shop)).replace("/etc/ssl/shop", &directory(shop)) + "\n"
}

fn group(shop: &Shop) -> String {
    format!("{}-tls", shop.name)
}

fn directory(shop: &Shop) -> String {
    format!("/etc/ssl/{}", shop.name)
}

/// Writes what certbot would write, and runs the hook.
fn renew(shop: &Shop, certificate: &Certificate) {
    let live = format!("/etc/letsencrypt/live/{SITE}");
    shop.machine.said(&["install", "-d", "-m", "0700", "/etc/letsencrypt/live", &live]);
    shop.machine.write(&format!("{live}/fullchain.pem"), &certificate.pem);
    shop.machine.write(&format!("{live}/privkey.pem"), &certificate.key_pem);
    shop.machine.said(&["chmod", "600", &format!("{live}/privkey.pem")]);
    let lineage = format!("RENEWED_LINEAGE={live}");
    shop.machine.said(&["env", &lineage, "sh", &hook(shop)]);
}

fn hook(shop: &Shop) -> String {
    format!("/etc/hook-of-{}", shop.name)
}

#[test]
fn an_instance_serves_https_and_takes_a_renewed_certificate() {
    Machine::each_alone(|machine| {
        let shop = Shop::install_at(machine, 443);
        let authority = Authority::new("tests");
        let first = authority.server(&[SITE]).issue();
        machine.said(&["groupadd", "--system", &group(&shop)]);
        machine.said(&["install", "-d", "-m", "0750", "-g", &group(&shop), &directory(&shop)]);
        machine.write(&hook(&shop), &example(&shop, "sh"));
        renew(&shop, &first);
        let files = example(&shop, "yaml");
        let files: String = files
            .lines()
            .filter(|it| it.contains("file:"))
            .fold(String::new(), |lines, line| lines + line + "\n");
        shop.configure(&files);
        let lines = example(&shop, "ini");
        shop.drop_in(lines.strip_prefix("[Service]\n").unwrap());
        shop.systemctl("start");
        let client = TlsClient::new(&authority).named(SITE);
        let mut connection = client.connect(shop.address).unwrap();
        connection.send(get("/"));
        assert_eq!(connection.response().text(), "one", "{machine}");
        assert!(*connection.tls().certificate() == first.der);
        // Without a reload, and on a connection that has begun before.
        let second = authority.server(&[SITE]).issue();
        renew(&shop, &second);
        until::holds("the renewed certificate", || {
            let mut connection = client.connect(shop.address).unwrap();
            *connection.tls().certificate() == second.der
        });
        assert_eq!(connection.get("/").text(), "one", "{machine}");
        shop.deploy("two");
        shop.systemctl("reload");
        let mut connection = client.connect(shop.address).unwrap();
        assert_eq!(connection.get("/").text(), "two", "{machine}");
        assert!(*connection.tls().certificate() == second.der);
        assert_eq!(evaluate(&client, &shop, "open('/etc/letsencrypt/live')"), "PermissionError");
        shop.stop();
    });
}

/// Has the application evaluate Python; returns the result, or the error's name.
fn evaluate(client: &TlsClient, shop: &Shop, python: &str) -> String {
    let mut connection = client.connect(shop.address).unwrap();
    let length = python.len();
    let head = format!("POST /eval HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
    connection.send(head + python);
    connection.response().text()
}
