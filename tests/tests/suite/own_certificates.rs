//! Server certificates of the operator's own: made with openssl, shown to those who ask for a name in them, and replaced
//! while the server runs.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use muster_tests::{Launch, Server, binary, openssl, output, sh, tool};

/// How often is looked whether the server has noticed a replaced file, and how many times at most.
const GLANCE: Duration = Duration::from_millis(100);
const GLANCES: usize = 1200;

const HUB: &str = "muster-hub.azure-devices.muster.localhost";

/// Makes a plant's root, an intermediate and a server certificate below it, in a folder.
fn plant(folder: &Path) {
    let made = sh(
        folder,
        "set -e
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout root.key -out root.pem -days 9 \
             -subj /CN=plant-root
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout middle.key -out middle.csr \
             -subj /CN=plant-intermediate
         printf 'basicConstraints=critical,CA:true\\nkeyUsage=keyCertSign\\n' > middle.ext
         openssl x509 -req -in middle.csr -CA root.pem -CAkey root.key -set_serial 1 -days 9 -extfile middle.ext \
             -out middle.pem",
        &[],
    );
    made.succeeded("the plant's authority");
    server_certificate(folder, "2");
}

/// Makes a server certificate of that serial number, and puts it in place of the one before.
fn server_certificate(folder: &Path, serial: &str) {
    let line = format!(
        "set -e
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key.new -out server.csr \
             -subj /CN=plant-server
         printf 'subjectAltName=DNS:*.azure-devices.muster.localhost,DNS:localhost,IP:127.0.0.1\\n' > server.ext
         openssl x509 -req -in server.csr -CA middle.pem -CAkey middle.key -set_serial {serial} -days 5 \
             -extfile server.ext -out server.pem
         cat server.pem middle.pem > chain.pem.new
         mv server.key.new server.key
         mv chain.pem.new chain.pem"
    );
    sh(folder, &line, &[]).succeeded("a server certificate");
}

fn configuration(folder: &Path, chain: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "[[tls.certificates]]\ncertificate = {:?}\nkey = {:?}\nca = {:?}\nnameless = true\n",
        path(chain),
        path("server.key"),
        path("root.pem")
    );
    let file = folder.join("muster.toml");
    fs::write(&file, text).expect("the configuration");
    file.display().to_string()
}

/// The serial number of the certificate that a client sees which names `name`, or none, and trusts only the plant's root.
fn seen(server: &Server, folder: &Path, name: Option<&str>) -> Option<String> {
    let address = server.https();
    let naming = name.map_or_else(
        || "-noservername".to_owned(),
        |name| format!("-servername {name}"),
    );
    let line = format!(
        "openssl s_client -connect {address} {naming} -CAfile root.pem -verify_return_error </dev/null 2>/dev/null \
         | openssl x509 -noout -serial"
    );
    let ended = sh(folder, &line, &[]);
    (ended.code == Some(0)).then(|| ended.stdout.trim().to_owned())
}

fn until(server: &Server, happened: impl Fn() -> bool) {
    for _ in 0..GLANCES {
        if happened() {
            return;
        }
        thread::sleep(GLANCE);
    }
    panic!("the server never noticed: {}", server.log());
}

#[test]
fn own_certificates_are_shown_by_name_and_replaced_while_the_server_runs() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    plant(folder);
    let config = configuration(folder, "chain.pem");
    let server = Launch::new().arguments(&["--config", &config]).start();
    assert!(
        server
            .log()
            .contains("chain.pem, shown for muster-hub.azure-devices.muster.localhost"),
        "{}",
        server.log()
    );

    // By a name in it, and by clients that name nobody; not for localhost, nor for names that are not in it.
    assert_eq!(seen(&server, folder, Some(HUB)).as_deref(), Some("serial=02"));
    assert_eq!(seen(&server, folder, None).as_deref(), Some("serial=02"));
    assert_eq!(seen(&server, folder, Some("localhost")), None);
    let global = "global.azure-devices-provisioning.muster.localhost";
    assert_eq!(seen(&server, folder, Some(global)), None);

    // Who trusts the file of the data directory believes both; the command line needs nothing else.
    for (host, path) in [("localhost", "/ca.pem"), (HUB, "/devices/d/messages/events")] {
        server.curl_as(host, path).send();
    }
    let handed_out = server.curl("/ca.pem").send().expect(200);
    assert_eq!(handed_out.text().matches("BEGIN CERTIFICATE").count(), 2);
    for line in ["iot hub list", "iot hub device-identity create -d d", "doctor"] {
        let words: Vec<&str> = line.split(' ').collect();
        let ended = output(&mut server.muster(&words));
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
    }

    // A file that can't be used leaves the present certificate; a good one is shown within seconds.
    fs::write(folder.join("chain.pem"), "not a certificate").expect("to spoil the file");
    until(&server, || server.log().contains("the one read before stays"));
    assert_eq!(seen(&server, folder, Some(HUB)).as_deref(), Some("serial=02"));
    server_certificate(folder, "3");
    until(&server, || {
        seen(&server, folder, Some(HUB)).as_deref() == Some("serial=03")
    });
}

#[test]
fn a_chain_that_no_client_could_follow_is_refused_at_the_start() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    plant(folder);
    let refused = |config: &str, why: &str| {
        let ended = output(tool(binary()).args(["config", "check", config]));
        assert_eq!(ended.code, Some(1), "{}", ended.stdout);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        let (status, log) = Launch::new()
            .arguments(&["--config", config])
            .try_start()
            .expect_err("a refused start");
        assert_eq!(status.and_then(|status| status.code()), Some(1));
        assert!(log.contains(why), "{log}");
    };
    // Without the intermediate.
    refused(
        &configuration(folder, "server.pem"),
        "no path leads from the first certificate",
    );
    // With another key.
    openssl(
        folder,
        &[
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            "server.key",
        ],
    );
    refused(
        &configuration(folder, "chain.pem"),
        "not the key of the first certificate",
    );
}

#[test]
fn a_certificate_that_has_ended_is_still_shown_and_named() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    plant(folder);
    // It lives for two seconds: its issuers, made a moment ago, must have lived with it.
    let line = "set -e
         printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=.\\ndefault_md=sha256\\n\
             policy=p\\n[p]\\ncommonName=supplied\\n' > ca.cnf
         : > index
         echo 07 > serial
         openssl ca -batch -config ca.cnf -cert middle.pem -keyfile middle.key -in server.csr -extfile server.ext \
             -startdate $(date -u +%Y%m%d%H%M%SZ) -enddate $(date -u -d '+2 seconds' +%Y%m%d%H%M%SZ) -notext \
             -out server.pem
         cat server.pem middle.pem > chain.pem
         sleep 3";
    sh(folder, line, &[]).succeeded("a certificate that has ended");
    let config = configuration(folder, "chain.pem");
    let ended = output(tool(binary()).args(["config", "check", &config]));
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("plant-server is valid from"),
        "{}",
        ended.stderr
    );
    let server = Launch::new().arguments(&["--config", &config]).start();
    assert!(server.log().contains("NOT VALID NOW"), "{}", server.log());
    let failure = server.curl_as(HUB, "/devices/d/messages/events").try_send();
    assert!(
        failure
            .expect_err("an expired certificate")
            .message
            .contains("expired")
    );
}
