//! The owner comes first: what a machine lends, when it stops, and how its peers are told. The machine's sensors see a root of
//! the test's own.

use crate::jobs::{given, job};
use crate::sessions::{listed, open, said, turn};
use potluck_tests::{Finished, Home, Node, Running, busy_processes_of, guest, join, pair, processes_of, until};
use serde_json::Value;
use std::fs::{File, FileTimes};
use std::time::{Duration, SystemTime};

/// Ann's machine, and Bob who is a member.
fn homes() -> (Home, Home) {
    (Home::new().named("ann"), Home::new().named("bob"))
}

/// A job of Bob's on Ann's machine that ends only when it is ended, and runs.
fn spin(bob: &Home) -> Running {
    let job = bob.run(["--on", "ann", "--timeout", "10m"]).arg(guest("hog")).arg("fuel").start();
    job.wait_for_stdout("taking fuel");
    job
}

/// A job of Bob's on Ann's machine that takes no time.
fn quick(bob: &Home) -> Finished {
    bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").finish()
}

/// What `potluck share` says after these options.
#[track_caller]
fn share(home: &Home, options: &[&str]) -> Value {
    home.potluck(["share", "--json"]).args(options).finish().expect(0).json()
}

/// Waits until Ann lends nothing for this reason, or lends if there is none.
#[track_caller]
fn until_closed(ann: &Home, reason: Option<&str>) -> Value {
    until("it is lent or not", || {
        let now = share(ann, &[])["now"].take();
        (now["closed"].as_str() == reason).then_some(now)
    })
}

/// Waits until a home knows that a peer lends it nothing.
#[track_caller]
fn until_place_is_closed(home: &Home, peer: &str) {
    until("it is known", || {
        let peers = home.potluck(["peers"]).finish();
        peers.out().lines().any(|line| line.contains(peer) && line.contains("paused")).then_some(())
    });
}

/// The scheduling policies of the guests that run in a home: the 39th word after the name.
fn policies(home: &Home) -> Vec<String> {
    let workers = busy_processes_of(home.root()).into_iter().filter(|process| process.command.contains(" --worker "));
    let stats = workers.filter_map(|worker| std::fs::read_to_string(format!("/proc/{}/stat", worker.id)).ok());
    stats.filter_map(|stat| stat.rsplit_once(')')?.1.split_whitespace().nth(38).map(str::to_owned)).collect()
}

/// Somebody typed at the console so long ago.
fn typed(home: &Home, ago: Duration) {
    let console = home.write_system("dev/tty1", "");
    let times = FileTimes::new().set_accessed(SystemTime::now() - ago);
    File::options().write(true).open(console).and_then(|file| file.set_times(times)).expect("times can be set");
}

#[test]
fn pausing_ends_what_runs_sends_away_what_waits_and_saves_sessions_also_over_a_restart() {
    let (ann, bob) = (Home::with_python().named("ann"), Home::with_python().named("bob"));
    let node = Node::start(&ann);
    join(&node, &bob);
    open(&bob, &["--on", "ann", "--name", "work"]);
    assert_eq!(said(&bob, "work", "x = 41; x"), "41\n");
    ann.potluck(["quota", "bob", "--jobs", "1"]).finish().expect(0);
    let running = spin(&bob);
    let waiting = bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").start();
    until("one waits", || {
        let quotas = ann.potluck(["quota", "--json"]).finish().expect(0).json();
        (quotas["peers"][0]["queue"]["used"] == 1).then_some(())
    });
    let paused = ann.potluck(["pause", "--for", "1h", "--json"]).finish().expect(0).json();
    let done = (&paused["done"]["jobs_ended"], &paused["done"]["jobs_sent_away"], &paused["done"]["sessions_saved"]);
    assert_eq!(done, (&1.into(), &1.into(), &1.into()), "{paused}");
    assert_eq!((&paused["now"]["closed"], &paused["now"]["places"]), (&"paused".into(), &0.into()), "{paused}");
    // When the command returns the guests are gone.
    assert_eq!(policies(&ann), Vec::<String>::new());
    running.finish_with_stdin_open().expect(125).says(&["ann", "paused", "ask again in", "run it again"]);
    waiting.finish_with_stdin_open().expect(125).says(&["ann", "paused", "ask again in", "potluck resume"]);
    quick(&bob).expect(125).says(&["ann", "paused", "potluck resume"]);
    turn(&bob, "work", "x").expect(125).says(&["paused"]);
    let saving = bob.potluck(["session", "save", "work", "work.session"]).finish();
    saving.expect(125).says(&["paused"]);
    assert_eq!(listed(&ann)[0]["state"], "parked");
    // The owner's own jobs are the owner's.
    ann.run([guest("weave")]).arg("1").finish().expect(0);
    node.down();
    let node = Node::start(&ann);
    quick(&bob).expect(125).says(&["paused"]);
    let status = ann.potluck(["status"]).finish();
    let lends = status.expect(0).out().lines().find(|line| line.starts_with("lends ")).map(str::to_owned);
    assert!(lends.is_some_and(|lends| lends.contains("nothing until") && lends.contains("paused")), "{status}");
    ann.potluck(["resume"]).finish().expect(0).says(&["ann lends"]);
    quick(&bob).expect(0);
    assert_eq!(said(&bob, "work", "x + 1"), "42\n");
    bob.potluck(["session", "stop", "work"]).finish().expect(0);
    node.down();
}

#[test]
fn a_paused_machine_runs_nothing_of_its_own_queue_and_what_it_ran_goes_elsewhere() {
    let (ann, bob) = homes();
    let (node, lender) = (Node::start(&ann), Node::start(&bob));
    pair(&node, &lender);
    bob.potluck(["pause"]).finish().expect(0);
    until_place_is_closed(&ann, "bob");
    let kept = given(&ann, [guest("hog").as_os_str(), "sleep".as_ref()]);
    until("it runs here", || (job(&ann, &kept)["state"] == "running").then_some(()));
    let foreground = ann.run(["--timeout", "10m"]).arg(guest("hog")).arg("sleep").start();
    foreground.wait_for_stdout("taking sleep");
    let paused = ann.potluck(["pause", "--json"]).finish().expect(0).json();
    let done = (&paused["done"]["own_jobs_ended"], &paused["done"]["jobs_ended"]);
    assert_eq!(done, (&1.into(), &0.into()), "{paused}");
    until("it waits", || (job(&ann, &kept)["state"] == "waiting").then_some(()));
    let later = given(&ann, [guest("weave").as_os_str(), "1".as_ref()]);
    let why = ann.potluck(["why", &later]).finish().expect(0).out();
    assert!(why.contains("ann: its owner has paused it") && why.contains("bob: does not lend"), "{why}");
    assert_eq!(policies(&ann).len(), 1, "only what its owner waits for goes on");
    // Another machine takes them as soon as it lends itself.
    bob.potluck(["resume"]).finish().expect(0);
    ann.potluck(["wait", &later]).finish().expect(0);
    until("it runs there", || {
        let job = job(&ann, &kept);
        (job["state"] == "running" && job["place"] == "bob").then_some(())
    });
    ann.potluck(["cancel", &kept]).finish().expect(0);
    foreground.signal(rustix::process::Signal::INT);
    foreground.finish_with_stdin_open().expect(130);
}

#[test]
fn a_pause_holds_for_the_own_queue_over_a_restart_and_whatever_is_lent() {
    let home = Home::new().named("ann");
    let node = Node::start(&home);
    share(&home, &["--when", "never"]);
    home.potluck(["pause"]).finish().expect(0);
    let id = given(&home, [guest("weave").as_os_str(), "1".as_ref()]);
    node.down();
    let _node = Node::start(&home);
    let why = home.potluck(["why", &id]).finish().expect(0).out();
    assert!(why.contains("ann: its owner has paused it (`potluck resume`"), "{why}");
    assert_eq!(job(&home, &id)["state"], "waiting");
    home.potluck(["resume"]).finish().expect(0);
    home.potluck(["wait", &id]).finish().expect(0);
}

#[test]
fn a_pause_ends_by_itself_and_can_be_said_before_a_node_runs() {
    let (ann, bob) = homes();
    ann.potluck(["pause"]).finish().expect(0).says(&["paused", "no node runs"]);
    let node = Node::start(&ann);
    join(&node, &bob);
    quick(&bob).expect(125).says(&["paused"]);
    ann.potluck(["pause", "--for", "3s"]).finish().expect(0);
    quick(&bob).expect(125).says(&["ask again in"]);
    until("the pause is over", || (quick(&bob).code() == 0).then_some(()));
    ann.potluck(["pause", "--for", "soon"]).finish().expect(2).says(&["90s"]);
}

#[test]
fn peers_see_that_a_machine_lends_nothing_and_why() {
    let (ann, bob) = homes();
    let (first, second) = (Node::start(&ann), Node::start(&bob));
    pair(&first, &second);
    let lends = |wanted: &str| {
        until("Bob's node has heard", || {
            let peers = bob.potluck(["peers", "--json"]).finish().expect(0).json();
            let lends = peers.pointer("/peers/0/info/lends").cloned()?;
            (lends["closed"] == wanted || lends["closed"].is_null() && wanted.is_empty()).then_some(lends)
        })
    };
    assert_eq!(lends("")["places"], 4);
    ann.potluck(["pause"]).finish().expect(0);
    assert!(lends("paused")["text"].as_str().unwrap().contains("its owner has paused it"));
    let table = bob.potluck(["peers"]).finish();
    assert!(table.expect(0).out().contains("LENDS") && table.out().contains("paused"), "{table}");
    // A job for any machine stays away from it, however much there is to do here.
    let busy: Vec<Running> = (0..2).map(|_| bob.run(["--on", "local"]).arg(guest("hog")).arg("fuel").start()).collect();
    busy.iter().for_each(|job| job.wait_for_stdout("taking fuel"));
    bob.run([guest("weave")]).arg("1").finish().expect(0);
    drop(busy);
}

#[test]
fn rules_count_at_once_and_refusals_name_them() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    quick(&bob).expect(0);
    share(&ann, &["--when", "never"]);
    quick(&bob).expect(125).says(&["ann", "does not run jobs of others", "potluck share --when always"]);
    // The setting is the same fact, and counts without a restart as well.
    ann.potluck(["config", "set", "lend", "true"]).finish().expect(0);
    until("it is lent again", || (quick(&bob).code() == 0).then_some(()));
    share(&ann, &["--job-memory", "64M"]);
    quick(&bob).expect(125).says(&["a job at most 64 MiB", "--memory 64M", "share --job-memory"]);
    share(&ann, &["--job-memory", "any", "--memory", "128M"]);
    quick(&bob).expect(125).says(&["all jobs together at most 128 MiB", "share --memory"]);
    share(&ann, &["--memory", "any", "--disk", "1K"]);
    let big = bob.write("big", vec![7; 4096]);
    let with_big = || bob.run(["--on", "ann", "-f"]).arg(&big).arg(guest("weave")).arg("1").finish();
    with_big().expect(125).says(&["disk that is lent", "potluck share --disk"]);
    share(&ann, &["--disk", "any"]);
    with_big().expect(0);
    // An hour that is not now, whatever the time is.
    let minutes = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 60 % 1440;
    let hour = |minutes: u64| format!("{:02}:{:02}", minutes % 1440 / 60, minutes % 60);
    let hours = format!("{}-{}", hour(minutes + 120), hour(minutes + 180));
    let now = share(&ann, &["--hours", &hours])["now"].take();
    assert_eq!(now["closed"], "hours", "{now}");
    assert!((6000..=7200).contains(&now["again_s"].as_u64().unwrap()), "{now}");
    quick(&bob).expect(125).says(&["its hours are", &hours, "ask again in"]);
    // Bob may come at any hour.
    share(&ann, &["--peer", "bob", "--hours", "any"]);
    quick(&bob).expect(0);
    share(&ann, &["--peer", "bob", "--when", "never"]);
    quick(&bob).expect(125).says(&["does not run jobs of others"]);
    let peers = share(&ann, &["--peer", "bob", "--reset"])["peers"].take();
    assert_eq!(peers.as_array().map(Vec::len), Some(0));
    share(&ann, &["--reset"]);
    quick(&bob).expect(0);
}

#[test]
fn a_rule_that_does_not_belong_there_is_refused_with_the_way_there() {
    let (ann, _bob) = homes();
    let refused = |options: &[&str], code, words: &[&str]| {
        ann.potluck(["share"]).args(options).finish().expect(code).says(words);
    };
    refused(&["--jobs", "0"], 125, &["--when never"]);
    refused(&["--cores", "0"], 125, &["--cores"]);
    refused(&["--peer", "nobody", "--when", "never"], 125, &["nobody"]);
    refused(&["--peer", "bob", "--jobs", "1"], 125, &["potluck quota"]);
    refused(&["--while", "active", "--when", "never"], 125, &["--while"]);
    refused(&["--hours", "night"], 2, &["22:00-07:00"]);
    refused(&["--memory", "much"], 2, &["64M", "any"]);
    let would = ann.potluck(["share", "--when", "idle", "--temperature", "80"]).finish();
    would.expect(0).says(&["no node runs"]);
    for words in ["ann would lend", "counts as active", "while the owner is away", "80 °C", "nothing here measures it"]
    {
        assert!(would.out().contains(words), "{words}: {would}");
    }
}

#[test]
fn when_less_is_lent_the_youngest_jobs_end_and_the_others_go_on() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    let (mut oldest, youngest) = (spin(&bob), spin(&bob));
    share(&ann, &["--grace", "0s", "--jobs", "1"]);
    youngest.finish_with_stdin_open().expect(125).says(&["ann lends less now", "run it again"]);
    assert!(oldest.is_running());
    let third = bob.run(["--on", "ann"]).arg(guest("weave")).arg("1").start();
    until("the third waits", || {
        let quotas = ann.potluck(["quota", "--json"]).finish().expect(0).json();
        (quotas["peers"][0]["queue"]["used"] == 1).then_some(())
    });
    // The memory of one job is too much for all from now on.
    share(&ann, &["--memory", "512M"]);
    oldest.finish_with_stdin_open().expect(125).says(&["lends less now"]);
    share(&ann, &["--memory", "any"]);
    third.finish_with_stdin_open().expect(0);
}

#[test]
fn jobs_of_peers_give_way_and_keep_to_the_cores_that_are_lent() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    let owned = ann.run(["--on", "local"]).arg(guest("hog")).arg("fuel").start();
    owned.wait_for_stdout("taking fuel");
    assert_eq!(policies(&ann), ["0"], "the owner's own");
    drop(owned);
    until("it has ended", || policies(&ann).is_empty().then_some(()));
    let lent = spin(&bob);
    assert_eq!(policies(&ann), ["5"], "SCHED_IDLE");
    let cores = || {
        let workers =
            busy_processes_of(ann.root()).into_iter().filter(|process| process.command.contains(" --worker "));
        let status = workers.filter_map(|worker| std::fs::read_to_string(format!("/proc/{}/status", worker.id)).ok());
        let lists = status.filter_map(|text| {
            text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|list| list.trim().to_owned())
        });
        lists.collect::<Vec<_>>()
    };
    let all = cores();
    share(&ann, &["--cores", "1"]);
    // One core is a number without a range or a list.
    until("it keeps to one core", || cores().iter().all(|list| !list.contains(['-', ','])).then_some(()));
    share(&ann, &["--cores", "any"]);
    until("it may use all again", || (cores() == all).then_some(()));
    drop(lent);
}

#[test]
fn the_owner_comes_back_and_jobs_go_and_they_come_back_when_the_owner_is_away() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    share(&ann, &["--when", "idle", "--idle-after", "1m", "--grace", "0s"]);
    until_closed(&ann, Some("owner_unseen"));
    quick(&bob).expect(125).says(&["cannot see whether its owner is active"]);
    typed(&ann, Duration::from_secs(3));
    until_closed(&ann, Some("owner_active"));
    quick(&bob).expect(125).says(&["its owner is active", "ask again in"]);
    typed(&ann, Duration::from_secs(7200));
    let now = until_closed(&ann, None);
    assert_eq!(now["owner_seen_by"], Value::from(vec!["terminals"]));
    let job = spin(&bob);
    typed(&ann, Duration::ZERO);
    job.finish_with_stdin_open().expect(125).says(&["its owner is active", "run it again"]);
    // Less instead of nothing.
    share(&ann, &["--when", "always"]);
    let now = share(&ann, &["--while", "active", "--jobs", "1"])["now"].take();
    assert_eq!((&now["places"], &now["closed"]), (&1.into(), &Value::Null), "{now}");
    quick(&bob).expect(0);
}

#[test]
fn on_battery_too_hot_or_used_by_others_nothing_is_lent() {
    let (ann, bob) = homes();
    let node = Node::start(&ann);
    join(&node, &bob);
    let job = spin(&bob);
    share(&ann, &["--grace", "0s"]);
    ann.write_system("sys/class/power_supply/BAT0/type", "Battery\n");
    ann.write_system("sys/class/power_supply/BAT0/status", "Discharging\n");
    job.finish_with_stdin_open().expect(125).says(&["runs on battery"]);
    quick(&bob).expect(125).says(&["potluck share --while battery"]);
    share(&ann, &["--while", "battery", "--jobs", "1"]);
    quick(&bob).expect(0);
    assert_eq!(share(&ann, &[])["now"]["places"], 1);
    ann.write_system("sys/class/power_supply/BAT0/status", "Charging\n");
    until("it is on mains for a while", || (share(&ann, &[])["now"]["places"] == 4).then_some(()));
    ann.write_system("sys/class/thermal/thermal_zone0/temp", "60000\n");
    assert_eq!(share(&ann, &["--temperature", "80"])["now"]["temperature"], 60);
    ann.write_system("sys/class/thermal/thermal_zone0/temp", "81000\n");
    until_closed(&ann, Some("temperature"));
    quick(&bob).expect(125).says(&["81 °C and its owner allows 80"]);
    share(&ann, &["--temperature", "any", "--load", "0.5"]);
    // Both cores of this machine do nothing but others' work.
    let mut ticks = 0;
    until("others use it", || {
        ticks += 100;
        ann.write_system("proc/stat", &format!("cpu  {ticks} 0 0 0 0 0 0 0 0 0\ncpu0 0\ncpu1 0\n"));
        (share(&ann, &[])["now"]["closed"] == "load").then_some(())
    });
    quick(&bob).expect(125).says(&["others use", "its owner allows 0.5"]);
    assert!(processes_of(ann.root()).len() > 1, "the node is there");
}
