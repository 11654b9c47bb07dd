use super::rules::{Pause, PeerRules};
use super::*;

const ANN: NodeId = NodeId::from_bytes([1; 32]);
const BOB: NodeId = NodeId::from_bytes([2; 32]);
const POLICY: Policy = Policy { lend: true, jobs_max: 4, job_memory_bytes_max: None };
/// Tuesday, 20:00.
const EVENING: LocalTime = LocalTime { weekday: 1, minute: 20 * 60 };

fn facts(now_s: u64) -> Facts {
    Facts {
        now_s,
        unix_s: 1_800_000_000 + now_s,
        local: Some(EVENING),
        owner: Owner::AwayFor(3600),
        on_battery: false,
        others_milli: Some(100),
        temperature: Some(50),
    }
}

fn once(rules: &Rules, change: impl FnOnce(&mut Facts)) -> Decision {
    let mut facts = facts(0);
    change(&mut facts);
    Sharing::default().decide(rules, POLICY, facts)
}

fn jobs(jobs: u32) -> Amounts {
    Amounts { jobs: Some(jobs), ..Amounts::default() }
}

#[test]
fn without_rules_all_that_is_settled_is_lent_whatever_happens_but_on_battery() {
    let rules = Rules::default();
    let busy = |facts: &mut Facts| {
        (facts.owner, facts.others_milli, facts.temperature, facts.local) =
            (Owner::Unknown, Some(9000), Some(99), None);
    };
    let decision = once(&rules, busy);
    assert_eq!((decision.places, decision.keeps, decision.closed), (4, 4, None));
    assert_eq!(once(&rules, |facts| facts.on_battery = true).closed, Some(Closed::Battery));
}

#[test]
fn each_rule_closes_for_its_reason_and_says_when_to_ask_again() {
    let idle = Rules { when: When::Idle, ..Rules::default() };
    let pause = |until_unix| Rules { pause: Some(Pause { since_unix: 0, until_unix }), ..Rules::default() };
    let hours = Rules { hours: "22:00-07:00".parse().unwrap(), ..Rules::default() };
    let hot = Rules { temperature_max: Some(80), ..Rules::default() };
    let loaded = Rules { load_max_milli: Some(1500), ..Rules::default() };
    let active = |facts: &mut Facts| facts.owner = Owner::AwayFor(100);
    let no_change = |_: &mut Facts| {};
    type Case<'a> = (Rules, &'a dyn Fn(&mut Facts), Closed, Option<u64>, &'a str);
    let cases: [Case<'_>; 10] = [
        (Rules { when: When::Never, ..Rules::default() }, &no_change, Closed::Never, None, "--when always"),
        (pause(None), &no_change, Closed::Paused, None, "potluck resume"),
        (pause(Some(1_800_000_090)), &no_change, Closed::Paused, Some(90), "in 2 min"),
        (hours, &no_change, Closed::Hours, Some(7200), "22:00-07:00"),
        (idle.clone(), &active, Closed::Owner, Some(200), "owner is active"),
        (idle, &|facts| facts.owner = Owner::Unknown, Closed::OwnerUnseen, Some(600), "counts as active"),
        (Rules { active: jobs(0), ..Rules::default() }, &active, Closed::Owner, Some(200), "owner is active"),
        (Rules::default(), &|facts| facts.on_battery = true, Closed::Battery, Some(600), "battery"),
        (hot, &|facts| facts.temperature = Some(81), Closed::Heat, Some(30), "81 °C and its owner allows 80"),
        (loaded, &|facts| facts.others_milli = Some(1600), Closed::Load, Some(60), "1.6 of its cores"),
    ];
    for (rules, change, closed, again, says) in cases {
        let decision = once(&rules, change);
        assert_eq!((decision.closed, decision.ask_again_s(closed)), (Some(closed), again), "{rules:?}");
        let text = decision.refusal("attic", closed);
        assert!(text.contains("attic") && text.contains(says) && text.contains("potluck"), "{text}");
        assert!(decision.sentence(4).contains("lends nothing"), "{}", decision.sentence(4));
        assert_eq!(Closed::from_word(closed.word()), closed);
    }
    assert_eq!(once(&pause(Some(1_800_000_000)), no_change).closed, None, "a pause ends");
    assert_eq!(Closed::from_word("a later word"), Closed::Unsaid);
}

#[test]
fn what_is_lent_is_the_least_of_what_holds() {
    let at_most = Amounts { jobs: None, cores: Some(3), memory_bytes: Some(100) };
    let active = Amounts { jobs: Some(2), cores: None, memory_bytes: Some(200) };
    let battery = Amounts { jobs: Some(9), cores: Some(1), memory_bytes: None };
    let rules = Rules { at_most, active, battery, ..Rules::default() };
    let lent = |seconds, on_battery| {
        let decision = once(&rules, |facts| (facts.owner, facts.on_battery) = (Owner::AwayFor(seconds), on_battery));
        (decision.places, decision.cores, decision.memory_bytes, decision.situation)
    };
    assert_eq!(lent(3600, false), (4, Some(3), Some(100), None));
    assert_eq!(lent(0, false), (2, Some(3), Some(100), Some(Situation::Active)));
    assert_eq!(lent(3600, true), (4, Some(1), Some(100), Some(Situation::Battery)));
    assert_eq!(lent(0, true), (2, Some(1), Some(100), Some(Situation::Active)));
    let text = once(&rules, |facts| facts.owner = Owner::AwayFor(0)).sentence(4);
    assert_eq!(text, "lends 3 of 4 cores to 2 jobs at once, because its owner is active");
    let hours = Rules { hours: "07:00-22:00".parse().unwrap(), ..Rules::default() };
    let text = once(&hours, |_| {}).sentence(4);
    assert_eq!(text, "lends 4 of 4 cores to 4 jobs at once until 22:00, because its hours are 07:00-22:00");
}

#[test]
fn a_peers_own_rules_hold_instead_of_the_common_ones_and_no_rule_beats_a_firm_one() {
    let night: Hours = "22:00-07:00".parse().unwrap();
    let mut rules = Rules { when: When::Idle, hours: night, ..Rules::default() };
    rules.change_peer(ANN, |ann| {
        *ann = PeerRules { when: Some(When::Always), hours: Some(Hours::default()), job_memory_bytes: Some(7) };
    });
    let decision = once(&rules, |facts| facts.owner = Owner::AwayFor(0));
    assert_eq!(decision.of(&BOB).closed, Some(Closed::Hours));
    assert_eq!(decision.of(&ANN), Lent { closed: None, goes_on: true, job_memory_bytes: Some(7) });
    rules.change_peer(ANN, |ann| ann.when = Some(When::Never));
    assert_eq!(
        once(&rules, |_| {}).of(&ANN),
        Lent { closed: Some(Closed::Never), goes_on: false, job_memory_bytes: Some(7) }
    );
    rules.change_peer(ANN, |ann| ann.when = Some(When::Always));
    rules.pause = Some(Pause { since_unix: 0, until_unix: None });
    assert_eq!(once(&rules, |_| {}).of(&ANN).closed, Some(Closed::Paused));
}

#[test]
fn what_runs_goes_on_for_a_grace_and_for_none_when_the_owner_says_so() {
    let rules = Rules { when: When::Idle, active: jobs(1), ..Rules::default() };
    let mut sharing = Sharing::default();
    let mut at = |now_s, away| {
        let facts = Facts { owner: Owner::AwayFor(away), ..facts(now_s) };
        let decision = sharing.decide(&rules, POLICY, facts);
        (decision.of(&ANN).closed, decision.of(&ANN).goes_on, decision.keeps)
    };
    assert_eq!(at(0, 3600), (None, true, 4));
    assert_eq!(at(2, 0), (Some(Closed::Owner), true, 4));
    assert_eq!(at(11, 9), (Some(Closed::Owner), true, 4));
    assert_eq!(at(12, 10), (Some(Closed::Owner), false, 1));
    let paused = Rules { pause: Some(Pause { since_unix: 0, until_unix: None }), ..Rules::default() };
    assert!(!once(&paused, |_| {}).of(&ANN).goes_on);
    // A grace that was not used up begins anew.
    let mut sharing = Sharing::default();
    let hot = Rules { temperature_max: Some(80), ..Rules::default() };
    let mut goes_on = |now_s, temperature| {
        let facts = Facts { temperature: Some(temperature), ..facts(now_s) };
        sharing.decide(&hot, POLICY, facts).of(&ANN).goes_on
    };
    assert!(goes_on(0, 90) && goes_on(9, 90) && !goes_on(10, 70) && !goes_on(39, 70));
    assert!(goes_on(40, 70) && goes_on(41, 90));
}

/// Numbers that look like chance and are the same each time.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Whatever swings, lending that has stopped comes back only after the calm its reason asks for, so that it begins at most so
/// often; and it stops in the same second in which a bound is passed.
#[test]
fn whatever_swings_nothing_flaps_and_no_bound_is_passed() {
    let rules = Rules {
        when: When::Idle,
        idle_after_s: Some(10),
        temperature_max: Some(80),
        load_max_milli: Some(2000),
        battery: jobs(0),
        ..Rules::default()
    };
    for seed in 1..=200u64 {
        let (mut chance, mut sharing, mut was_open) =
            (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), Sharing::default(), true);
        let (mut openings, mut last_bad, mut away) = (0u64, [0u64; 4], 0u64);
        for now_s in 1..=2000u64 {
            // Each swings at a pace of its own, which the seed chooses.
            let mut swings = |pace: u64| noise(&mut chance).is_multiple_of(1 + (seed + pace) % 37);
            let (hot, loaded, battery, input) = (swings(3), swings(11), swings(17), swings(23));
            away = if input { 0 } else { away + 1 };
            let seen = Facts {
                owner: Owner::AwayFor(away),
                on_battery: battery,
                temperature: Some(if hot { 81 } else { 60 }),
                others_milli: Some(if loaded { 2001 } else { 0 }),
                ..facts(now_s)
            };
            let bad = [hot, loaded, battery, away < 10];
            for (last, _) in last_bad.iter_mut().zip(bad).filter(|(_, bad)| *bad) {
                *last = now_s;
            }
            let open = sharing.decide(&rules, POLICY, seen).closed.is_none();
            assert!(!open || !bad.contains(&true), "seed {seed}: open at {now_s} beyond a bound");
            if open && !was_open {
                openings += 1;
                let calm = [HEAT_CALM_S, LOAD_CALM_S, POWER_CALM_S, OWNER_CALM_S];
                for (last, calm) in last_bad.iter().zip(calm).filter(|(last, _)| **last > 0) {
                    assert!(
                        now_s - last >= calm,
                        "seed {seed}: opened at {now_s}, {calm} s after {last} at the earliest"
                    );
                }
            }
            was_open = open;
        }
        assert!(openings <= 2000 / POWER_CALM_S, "seed {seed}: {openings} openings");
    }
}
