//! Machines that have a job and are not heard from, or get nowhere with it: another runs it, what comes first counts, and the
//! first machine is left with nothing of it.

use crate::jobs::{given, job};
use crate::sight::{module, until_no_run_is_left};
use crate::storm::weather::{hosts_of_a_group, plug, unplug, until_all_see_all};
use potluck_tests::{Home, Node, Process, busy_processes_of, guest, in_lab, online_peers, pair, until};
use serde_json::Value;

/// A program that takes three seconds, long enough to be stopped meanwhile, and no processor.
fn long(home: &Home) -> String {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (i32.store (i32.const 16) (i32.const 1))
            (i64.store (i32.const 24) (i64.const 3000000000))
            (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)) (then unreachable))))"#;
    module(home, "long.wasm", text)
}

/// Stops whatever runs jobs there, where it is, as a machine does that hangs.
#[track_caller]
fn hang(home: &Home) {
    let busy: Vec<Process> =
        busy_processes_of(home.root()).into_iter().filter(|process| process.command.contains(" --worker ")).collect();
    assert!(!busy.is_empty(), "nothing runs there");
    busy.iter().for_each(Process::pause);
    until("it stands still", || busy.iter().all(Process::stands_still).then_some(()));
}

#[test]
fn a_job_whose_machine_is_cut_off_runs_elsewhere_and_is_done_once() {
    in_lab("leases::a_job_whose_machine_is_cut_off_runs_elsewhere_and_is_done_once", |lab| {
        let homes = hosts_of_a_group(lab, 2);
        let nodes: Vec<Node<'_>> = homes.iter().map(Node::start).collect();
        until_all_see_all(&homes);
        let long = long(&homes[0]);
        let id = given(&homes[0], ["--prefer", "host1", &long]);
        until("it runs on the other machine", || {
            let job = job(&homes[0], &id);
            (job["state"] == "running" && job["place"] == "host1").then_some(())
        });
        // It would end there, and what it came to would be kept until the cable is back; so there is something left to end.
        hang(&homes[1]);
        unplug(lab, 1);
        homes[0].potluck(["wait", &id]).finish().expect(0).says(&["done"]);
        let done = job(&homes[0], &id);
        assert_eq!((&done["place"], &done["attempt"]), (&Value::Null, &2.into()), "here, by its second run: {done:#}");
        plug(lab, 1);
        until_no_run_is_left(&homes[1], 1);
        assert_eq!(job(&homes[0], &id), done, "nothing has changed by that");
        nodes.into_iter().for_each(Node::down);
    });
}

#[test]
fn the_last_task_of_a_map_that_hangs_on_one_machine_is_raced_on_another() {
    let (lender_home, home) = (Home::new().named("attic"), Home::new().named("desk"));
    let (lender, node) = (Node::start(&lender_home), Node::start(&home));
    pair(&lender, &node);
    until("desk has heard what attic is", || online_peers(&home).first()?["info"]["cores"].as_u64());
    let long = long(&home);
    let names: Vec<String> = (0..4).map(|number| format!("in/{number}")).collect();
    names.iter().for_each(|name| drop(home.write(name, name)));
    let map =
        home.potluck(["map", "--json", "-o", "out", "--jobs", "1", "--prefer", "attic", &long]).args(&names).start();
    let last = until("the last task runs alone, on the other machine", || {
        let jobs = home.potluck(["jobs", "--json", "--unended"]).finish().expect(0).json();
        let [last] = jobs.as_array().map(Vec::as_slice).unwrap_or_default() else { return None };
        (last["state"] == "running" && last["place"] == "attic").then(|| last["id"].as_str().map(str::to_owned))?
    });
    hang(&lender_home);
    let object = map.finish().expect(0).json();
    assert_eq!((&object["done"], &object["machines"]["desk"]), (&4.into(), &1.into()), "{object:#}");
    assert_eq!(job(&home, &last)["attempt"], 2);
    until_no_run_is_left(&lender_home, 1);
    // The machine works as before.
    assert_eq!(home.run(["--on", "attic"]).arg(guest("weave")).arg("1").finish().expect(0).out(), "0\n");
}
