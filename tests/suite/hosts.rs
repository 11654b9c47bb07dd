//! Several hosts on real networks of network namespaces: discovery, several interfaces, a laptop that moves.

use potluck_tests::{Home, Lab, Node, guest, in_lab, join, online_peers, until, write_script};
use std::time::{Duration, Instant};

/// "Three hosts in network namespaces find each other in under 2 s of starting."
const FOUND_WITHIN: Duration = Duration::from_secs(2);

/// Three hosts on one LAN. `two` has a second LAN and a bridge of Docker's, whose address `one` has as well.
fn three_hosts(lab: &mut Lab) -> [Home; 3] {
    lab.switch("lan");
    lab.switch("back");
    let names = ["one", "two", "three"].map(|host| lab.host(host));
    lab.plug("one", "lan", "eth0", &["10.77.0.1/24", "fd77::1/64"]);
    lab.docker_bridge("one");
    lab.plug("two", "back", "eth1", &["192.168.9.2/24"]);
    lab.docker_bridge("two");
    lab.plug("two", "lan", "eth0", &["10.77.0.2/24", "fd77::2/64"]);
    lab.plug("three", "lan", "eth0", &["10.77.0.3/24", "fd77::3/64"]);
    let [one, two, three] = names;
    [("one", one), ("two", two), ("three", three)].map(|(name, host)| Home::with_python().on_host(&host).named(name))
}

/// All become one group through the first.
fn found_group(homes: &[Home]) {
    let nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
    for newcomer in &homes[1..] {
        join(&nodes[0], newcomer);
    }
    for home in homes {
        until("all see all", || (online_peers(home).len() == homes.len() - 1).then_some(()));
    }
    nodes.into_iter().for_each(Node::down);
}

#[track_caller]
fn runs_on(from: &Home, to: &str) {
    let script = write_script(from, "where.py", &["import sys", "print('sum', sum(range(10)))"]);
    let finished = from.run(["--json", "--on", to, &script]).finish();
    let object = finished.expect(0).json();
    assert_eq!(object["stdout"], "sum 45\n");
    assert!(object["peer"].to_string().contains(to), "{object}");
}

#[test]
fn three_hosts_find_each_other_and_run_on_each_by_name() {
    in_lab("hosts::three_hosts_find_each_other_and_run_on_each_by_name", |lab| {
        let homes = three_hosts(lab);
        found_group(&homes);
        let started = Instant::now();
        let mut nodes: Vec<Node<'_>> = homes.iter().map(Node::launch).collect();
        nodes.iter_mut().for_each(Node::wait_until_it_answers);
        let mut found = [None; 3];
        until("all three see the two others", || {
            for (home, found) in homes.iter().zip(&mut found) {
                if found.is_none() && online_peers(home).len() == 2 {
                    *found = Some(started.elapsed());
                }
            }
            found.iter().all(Option::is_some).then_some(())
        });
        assert!(found.iter().flatten().all(|took| *took < FOUND_WITHIN), "each saw both others only after {found:?}");
        for (from, to) in [(0, "two"), (0, "three"), (1, "one"), (1, "three"), (2, "one"), (2, "two")] {
            runs_on(&homes[from], to);
        }
    });
}

#[test]
fn a_laptop_that_changes_network_is_found_again() {
    in_lab("hosts::a_laptop_that_changes_network_is_found_again", |lab| {
        let homes = three_hosts(lab);
        found_group(&homes);
        let _nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
        until("all see all", || homes.iter().all(|home| online_peers(home).len() == 2).then_some(()));
        // The laptop leaves the LAN for the network behind `two`, where it has never been; `one` cannot follow.
        lab.unplug("three", "eth0");
        lab.plug("three", "back", "wlan0", &["192.168.9.3/24"]);
        until("two sees the laptop again and one does not", || {
            (online_peers(&homes[1]).len() == 2 && online_peers(&homes[0]).len() == 1).then_some(())
        });
        runs_on(&homes[1], "three");
        runs_on(&homes[2], "two");
        // And comes home under another address.
        lab.unplug("three", "wlan0");
        lab.plug("three", "lan", "eth0", &["10.77.0.33/24"]);
        until("all see all again", || homes.iter().all(|home| online_peers(home).len() == 2).then_some(()));
        runs_on(&homes[0], "three");
        // However many addresses a machine has had, nobody takes it for two.
        for home in &homes {
            let listing = home.potluck(["peers", "--json"]).finish().expect(0).out();
            assert!(!listing.contains("copied_identity"), "{listing}");
        }
    });
}

#[test]
fn hosts_without_ipv4_find_each_other() {
    in_lab("hosts::hosts_without_ipv4_find_each_other", |lab| {
        lab.switch("lan");
        let homes = ["one", "two"].map(|name| {
            let host = lab.host(name);
            lab.plug(name, "lan", "eth0", &[if name == "one" { "fd77::1/64" } else { "fd77::2/64" }]);
            Home::new().on_host(&host).named(name)
        });
        found_group(&homes);
        let _nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
        until("both see each other", || homes.iter().all(|home| online_peers(home).len() == 1).then_some(()));
        let finished = homes[0].run(["--on", "two"]).arg(guest("weave")).arg("1").finish();
        assert_eq!(finished.expect(0).out(), "0\n");
    });
}

#[test]
fn ten_hosts_on_one_lan_are_one_group() {
    in_lab("hosts::ten_hosts_on_one_lan_are_one_group", |lab| {
        lab.switch("lan");
        let homes: Vec<Home> = (1..=10)
            .map(|number| {
                let name = format!("host{number}");
                let host = lab.host(&name);
                lab.plug(&name, "lan", "eth0", &[&format!("10.77.0.{number}/24")]);
                Home::new().on_host(&host).named(&name)
            })
            .collect();
        found_group(&homes);
        let _nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
        until("all see all", || homes.iter().all(|home| online_peers(home).len() == 9).then_some(()));
        let finished = homes[9].run(["--on", "host1"]).arg(guest("weave")).arg("1").finish();
        assert_eq!(finished.expect(0).out(), "0\n");
    });
}

#[test]
fn a_cable_that_is_pulled_in_the_middle_is_125_within_ten_seconds() {
    in_lab("hosts::a_cable_that_is_pulled_in_the_middle_is_125_within_ten_seconds", |lab| {
        let homes = three_hosts(lab);
        found_group(&homes);
        let _nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
        until("all see all", || homes.iter().all(|home| online_peers(home).len() == 2).then_some(()));
        let job =
            homes[0].run(["--on", "three"]).arg(guest("hog")).arg("sleep").deadline(Duration::from_secs(30)).start();
        job.wait_for_stdout("taking sleep\n");
        lab.unplug("three", "eth0");
        let pulled = Instant::now();
        let finished = job.finish_with_stdin_open();
        assert!(pulled.elapsed() < Duration::from_secs(10), "noticed after {:?}", pulled.elapsed());
        finished.expect(125).says(&["three"]);
        // The lender noticed as well and gave the run up.
        crate::sight::until_no_run_is_left(&homes[2], 1);
    });
}
