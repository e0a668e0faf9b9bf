//! What is typed parses: the tutorials' lines, and the commands that explanations print.

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::Cli;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace().map(|word| word.trim_matches('\'')))
}

#[test]
fn every_line_of_the_tutorials_parses() {
    for line in [
        "muster iot dps enrollment create -g rg --dps-name dps --enrollment-id my-x509-device --attestation-type x509 --certificate-path device-cert.pem",
        "muster iot dps enrollment-group create -g rg --dps-name dps --enrollment-id factory --certificate-path ca.pem",
        "muster iot dps enrollment-group create -g rg --dps-name dps --enrollment-id factory --attestation-type x509 --certificate-path ca.pem",
        "muster iot dps enrollment-group create -g rg --dps-name dps --enrollment-id factory --ca-name azure-iot-test-only-root",
        "muster iot dps certificate create -g rg --dps-name dps --certificate-name azure-iot-test-only-root --path ca.pem --verified true",
        "muster iot hub create -n my-hub -g rg -l westus",
        "muster iot hub create --name my-hub --resource-group rg --sku S1 --partition-count 4",
        "muster iot dps create --name dps --resource-group rg",
        "muster iot dps linked-hub create --dps-name dps -g rg --hub-name my-hub",
        "muster iot hub certificate create --hub-name my-hub -n root -p ca.pem",
        "muster iot hub certificate create --hub-name my-hub -n root -p ca.pem -v True",
        "muster iot hub certificate list --hub-name my-hub",
        "muster iot hub certificate show --hub-name my-hub --name root",
        "muster iot hub certificate generate-verification-code --hub-name my-hub --name root --etag AAAAAAExpNs=",
        "muster iot hub certificate verify --hub-name my-hub -n root --path pop.crt -e AAAAAAExpNs=",
        "muster iot hub certificate update --hub-name my-hub -n root --path ca.pem --etag AAAAAAExpNs=",
        "muster iot hub certificate delete --hub-name my-hub -n root --etag AAAAAAExpNs=",
        "muster iot dps certificate verify -g rg --dps-name dps -n root --path pop.crt -e AAAAAAExpNs=",
        "muster iot dps enrollment update --dps-name dps --enrollment-id d --provisioning-status disabled",
        "muster iot dps enrollment registration show --dps-name dps --enrollment-id d",
        "muster iot hub device-identity create --hub-name my-hub --device-id d --auth-method x509_ca",
        "muster iot hub device-identity create -n my-hub -d d --am shared_private_key --ee",
        "muster iot hub device-identity create -n my-hub -d d --am x509_thumbprint --ptp AA --stp BB",
        "muster iot hub connection-string show -n my-hub --default-eventhub -o tsv",
        "muster iot hub monitor-events -n my-hub --device-id d --properties anno sys --timeout 0",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn every_form_of_command_that_explanations_print_parses() {
    for line in [
        "muster explain 7e1f0b52-1c0e-4bb5-9a52-6c1f0d4e2a11 --chain-out R.pem --from 1",
        "muster iot hub create --name my-hub",
        "muster iot dps list",
        "muster iot dps connection-string show --dps-name muster-dps",
        "muster iot hub connection-string show --hub-name muster-hub",
        "muster iot hub device-identity create --hub-name muster-hub --device-id d --auth-method x509_ca",
        "muster iot hub device-identity create --hub-name muster-hub --device-id d",
        "muster iot hub device-identity update --hub-name muster-hub --device-id d --status enabled",
        "muster iot hub device-identity update --hub-name muster-hub --device-id d --primary-thumbprint AA",
        "muster iot hub device-identity update --hub-name muster-hub --device-id d --auth-method x509_thumbprint --primary-thumbprint AA",
        "muster iot hub device-identity connection-string show --hub-name muster-hub --device-id d",
        "muster iot hub certificate update --hub-name muster-hub --name root --etag '*' --path root.pem --verified true",
        "muster iot hub certificate generate-verification-code --hub-name muster-hub --name root --etag '*'",
        "muster iot dps certificate update --dps-name muster-dps --certificate-name root --etag '*' --verified true",
        "muster iot dps certificate generate-verification-code --dps-name muster-dps --certificate-name root --etag '*'",
        "muster iot dps certificate create --dps-name muster-dps --certificate-name R --path R.pem --verified true",
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id d --attestation-type x509 --certificate-path d.pem",
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id n --attestation-type symmetrickey",
        "muster iot dps enrollment update --dps-name muster-dps --enrollment-id d --certificate-path d.pem",
        "muster iot dps enrollment show --dps-name muster-dps --enrollment-id d --show-keys",
        "muster iot dps enrollment delete --dps-name muster-dps --enrollment-id holder",
        "muster iot dps enrollment-group create --dps-name muster-dps --enrollment-id root --ca-name root",
        "muster iot dps enrollment-group update --dps-name muster-dps --enrollment-id g --provisioning-status enabled",
        "muster iot dps enrollment-group update --dps-name muster-dps --enrollment-id g --allocation-policy hashed",
        "muster iot dps enrollment-group compute-device-key --dps-name muster-dps --enrollment-id keys --registration-id n",
        "muster iot device registration create --dps-name muster-dps --registration-id d",
        "muster iot dps linked-hub create --dps-name muster-dps --hub-name hub-1",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn flags_of_devices_and_servers_parse() {
    for line in [
        "muster iot device registration create --registration-id d --certificate-file c.pem --key-file k.pem --pass 1234",
        "muster iot device registration create --rid d --cp c.pem --kp k.pem --id-scope 0ne00000012 --host global.azure-devices-provisioning.muster.localhost",
        "muster iot device registration create --rid d --key AAAA --compute-key --scope 0ne00000012",
        "muster iot device send-d2c-message -n my-hub -d d --data {\"temperature\":30} --props a=b;$.ct=application/json",
        "muster iot device send-d2c-message -d d --data x --data-dir /var/lib/muster",
        "muster iot device simulate -d sensor-{i} --devices 10 --mc 5 --mi 0.5 --create",
        "muster iot hub list --data /var/lib/muster -o table",
        "muster iot hub list --data-dir /var/lib/muster --output TSV",
        "muster iot hub list --endpoint https://localhost:8443 --ca ca.pem --token-file operator.token",
        "muster iot hub device-identity list -l HostName=h.example;SharedAccessKeyName=iothubowner;SharedAccessKey=AAAA",
        "muster iot dps enrollment list --login HostName=d.example;SharedAccessKeyName=p;SharedAccessKey=AAAA --top -1",
        "muster iot dps enrollment update --eid d --rc 1 --scp next.pem --rp never --ap geoLatency --edge-enabled False",
        "muster iot dps enrollment-group create --eid g --root-ca-name root --iot-hubs a.example b.example",
        "muster iot dps enrollment-group registration list --enrollment-id g",
        "muster iot hub consumer-group create --hub-name h -n analytics",
        "muster iot dps linked-hub update --linked-hub h --allocation-weight 5 --apply-allocation-policy false",
        "muster iot device simulate -d d --proto MQTT-WS --mc 2 --mi 0.5 --da x --props a=b --dtmi dtmi:x;1",
        "muster iot device send-d2c-message -d d --pfx d.pfx --pass-phrase 1234 --protocol mqtt",
        "muster explain --last 5",
        "muster explain --device d -o json",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn what_is_typed_wrongly_is_told() {
    for (line, kind) in [
        (
            "muster iot hub certificate create -n root",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "muster iot hub certificate create -n root -p c.pem -v perhaps",
            ErrorKind::ValueValidation,
        ),
        (
            "muster iot hub device-identity create -d d --am password",
            ErrorKind::InvalidValue,
        ),
        (
            "muster iot hub device-identity list --login nonsense",
            ErrorKind::ValueValidation,
        ),
        (
            "muster iot hub device-identity list --login HostName=h;DeviceId=d;SharedAccessKey=AAAA",
            ErrorKind::ValueValidation,
        ),
        (
            "muster iot device simulate -d d --protocol amqp",
            ErrorKind::ValueValidation,
        ),
        (
            "muster iot dps enrollment-group create --eid g --ca-name a --cp c.pem",
            ErrorKind::ArgumentConflict,
        ),
        ("muster explain some-id --last 5", ErrorKind::ArgumentConflict),
    ] {
        match parse(line) {
            Ok(_) => panic!("{line} parsed"),
            Err(error) => assert_eq!(error.kind(), kind, "{line}: {error}"),
        }
    }
}

#[test]
fn every_command_has_help_with_examples() {
    fn walk(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            for one in command.get_subcommands() {
                walk(one, &path);
            }
        } else {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("Examples:"), "{path} has no examples");
            assert!(command.get_about().is_some(), "{path} says nothing about itself");
        }
    }
    let cli = <Cli as clap::CommandFactory>::command();
    cli.clone().debug_assert();
    for name in ["iot", "explain"] {
        walk(cli.find_subcommand(name).unwrap(), "muster");
    }
}
