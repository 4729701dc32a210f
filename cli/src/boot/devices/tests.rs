use std::collections::BTreeSet;

use freestone_inspect::wants::Port;

use super::*;
use crate::boot::boot_args::BootArgs;
use crate::verbs::run;

fn given(words: &str) -> DeviceArgs {
    let words = ["run"].into_iter().chain(words.split_whitespace());
    BootArgs::from(&run::command().try_get_matches_from(words).expect("good words")).devices
}

/// An image that asks for a network, and serves TCP ports.
fn serving(ports: &[u16]) -> Wants {
    let ports = ports.iter().map(|&number| Port { number, is_udp: false });
    Wants { network: true, ports: ports.collect(), disk: false, console_end: false }
}

fn words(given_words: &str, wants: &Wants, extra: &[&str]) -> Result<String, String> {
    let extra: Vec<OsString> = extra.iter().map(OsString::from).collect();
    let devices = Devices::new(&given(given_words), wants, &extra).map_err(|f| f.message)?;
    let words = devices.words();
    // What they say is what they were made of.
    let again = given(&words.join(" ".as_ref()).to_string_lossy());
    assert_eq!(Devices::new(&again, &Wants::default(), &[]).expect("good"), devices);
    Ok(words.join(" ".as_ref()).to_string_lossy().into_owned())
}

#[test]
fn what_is_given_counts_and_then_what_the_image_asks_for() {
    let nothing = Wants::default();
    let udp = Port { number: 80, is_udp: true };
    let both =
        Wants { ports: BTreeSet::from([udp, Port { number: 80, is_udp: false }]), ..serving(&[]) };
    for (given, wants, extra, says) in [
        ("", &nothing, &[][..], "--net none"),
        ("", &serving(&[]), &[], "--net user"),
        (
            "",
            &serving(&[80, 8080]),
            &[],
            "--net user --forward tcp:8080:80 --forward tcp:8080:8080",
        ),
        ("--net none", &serving(&[80]), &[], "--net none"),
        ("--net user", &nothing, &[], "--net user"),
        ("--net tap=t", &serving(&[80]), &[], "--net tap=t"),
        ("--forward 1:2", &nothing, &[], "--net user --forward tcp:1:2"),
        ("--forward 1:80", &serving(&[80]), &[], "--net user --forward tcp:1:80"),
        ("--forward 1:80", &both, &[], "--net user --forward tcp:1:80 --forward udp:8080:80"),
        ("", &serving(&[80]), &["-netdev", "user,id=x"], "--net none"),
        ("", &serving(&[80]), &["--nic", "user"], "--net none"),
        ("", &serving(&[80]), &["-name", "x"], "--net user --forward tcp:8080:80"),
        ("--net user", &nothing, &["-nic", "user"], "--net user"),
        ("--pcap p", &serving(&[]), &["-nic", "user"], "--net user --pcap p"),
        (
            "--mac 02:00:00:00:00:01 --disk d,ro",
            &serving(&[]),
            &[],
            "--net user --mac 02:00:00:00:00:01 --disk d,ro",
        ),
    ] {
        assert_eq!(words(given, wants, extra).as_deref(), Ok(says), "{given} {wants:?} {extra:?}");
    }
    let why = words("--pcap p", &nothing, &[]).unwrap_err();
    assert!(why.contains("--pcap needs a network"), "{why}");
    let why = words("--mac 02:00:00:00:00:01", &nothing, &["-nic", "user"]).unwrap_err();
    assert!(why.contains("--mac needs a network"), "{why}");
}

#[test]
fn an_image_cannot_ask_for_any_number_of_forwards() {
    let all: Vec<_> = (1..=u16::MAX).collect();
    let devices = Devices::new(&DeviceArgs::default(), &serving(&all), &[]).expect("good");
    assert_eq!(devices.network.expect("asked for").forwards.len(), MOST_FORWARDS);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (words, says) in [
        ("--net none --forward 1:2", "--forward needs the user network, and there is --net none"),
        ("--net tap=t --forward 1:2", "--forward needs the user network, and there is --net tap=t"),
        ("--net none --pcap p", "--pcap needs a network, and there is --net none"),
        ("--net none --mac 02:00:00:00:00:01", "--mac needs a network, and there is --net none"),
        ("--forward 1:2 --forward 1:3", "port 1 of the host's is given twice"),
        ("--pcap /", "this is a directory"),
        ("--pcap /nowhere/p", "there is no such folder"),
        ("--disk /nowhere/d", "there is no such file"),
        ("--net tap=nosuchtap", "no network device has this name"),
    ] {
        let why = given(words).check().expect_err(words).message;
        assert!(why.contains(says), "{words}: {why}");
    }
    given("--net none").check().expect("good");
    given("--forward 0:1 --forward 0:2 --pcap p").check().expect("good");
}

#[test]
fn what_tests_are_given_reaches_the_runner() {
    let runner = |values: &[(&'static str, Option<OsString>)]| {
        let value = |name| values.iter().find(|(one, _)| *one == name)?.1.clone();
        DeviceArgs::from_values(value).map_err(|failure| failure.message)
    };
    let disk = std::env::temp_dir().join(format!("freestone-disk-{}", std::process::id()));
    std::fs::write(&disk, [0; 512]).expect("a file");
    let file = disk.display();
    let some = given(&format!("--net none --disk {file},ro --module {file}"));
    assert_eq!(runner(&some.environment().expect("good")), Ok(some));
    std::fs::remove_file(disk).expect("it was there");
    assert_eq!(
        runner(&DeviceArgs::default().environment().expect("good")),
        Ok(DeviceArgs::default())
    );
    // Cargo runs tests in another folder.
    let all = given("--disk d --module m").environment();
    let [_, (_, disks), (_, module)] = all.expect("good");
    let here = std::env::current_dir().expect("a folder");
    assert_eq!(disks, Some(format!("[{:?}]", here.join("d,rw").display().to_string()).into()));
    assert_eq!(module, Some(here.join("m").into()));
    for (name, value, says) in [
        (NET_VARIABLE, "usr", "FREESTONE_TEST_NET: it may be none, user, tap=NAME"),
        (DISKS_VARIABLE, "d", "FREESTONE_TEST_DISKS: it wants a list of texts in JSON"),
        (DISKS_VARIABLE, "[\"/nowhere/d\"]", "there is no such file"),
        (MODULE_VARIABLE, "/nowhere/m", "--module /nowhere/m: there is no such file"),
    ] {
        let why = runner(&[(name, Some(value.into()))]).expect_err(value);
        assert!(why.contains(says), "{value}: {why}");
    }
}
