#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A child in virtual time: the processes are numbers, and what they do is the test's to say.
struct World {
    now: Instant,
    child: Lifecycle,
    next_pid: Pid,
    spawns: u32,
    killed: Vec<Pid>,
    told: Vec<Told>,
    asked: u32,
}

impl World {
    fn new(child: Lifecycle) -> Self {
        let told = Vec::new();
        Self { now: crate::clock::now(), child, next_pid: 100, spawns: 0, killed: Vec::new(), told, asked: 0 }
    }

    fn say(&mut self, input: Input) {
        self.child.handle(input, self.now);
        while let Some(output) = self.child.poll_output() {
            match output {
                Output::Spawn { .. } => {
                    self.spawns += 1;
                    self.next_pid += 1;
                    self.child.handle(Input::Spawned(self.next_pid), self.now);
                }
                Output::Kill(pid) => self.killed.push(pid),
                Output::Told(told) => self.told.push(told),
                Output::AskHolder => self.asked += 1,
                Output::AskToEnd(_) => {}
            }
        }
    }

    /// Lets time pass in ticks of 50 ms; `beats` says whether the child works.
    fn pass(&mut self, time: Duration, beats: bool) {
        let end = self.now + time;
        while self.now < end {
            self.now += 50 * MS;
            self.say(if beats { Input::Beat } else { Input::Tick });
        }
    }

    fn up(&mut self) -> Pid {
        self.say(Input::Hello { pid: self.next_pid, speaks: true });
        assert_eq!(self.child.state(), ChildState::Running);
        self.next_pid
    }

    fn die(&mut self, pid: Pid) {
        self.say(Input::Exited { pid, how: "killed by SIGKILL".into() });
    }
}

fn running() -> (World, Pid) {
    let mut world = World::new(Lifecycle::new(Limits::WORKER));
    world.say(Input::Want);
    let pid = world.up();
    (world, pid)
}

#[test]
fn a_killed_worker_is_replaced_at_once() {
    let (mut world, pid) = running();
    world.pass(1000 * MS, true);
    world.die(pid);
    assert_eq!((world.spawns, world.child.starts()), (2, 2));
    assert_eq!(world.child.last_end(), Some("killed by SIGKILL"));
}

#[test]
fn a_hung_worker_is_killed_and_replaced_when_it_is_gone() {
    let (mut world, pid) = running();
    world.pass(900 * MS, false);
    assert!(world.killed.is_empty(), "too early");
    world.pass(200 * MS, false);
    assert_eq!(world.killed, [pid]);
    assert_eq!(world.spawns, 1, "never beside one that still lives");
    world.die(pid);
    assert_eq!(world.spawns, 2);
}

#[test]
fn a_worker_that_cannot_be_killed_is_left_alone_and_replaced_by_a_software_one() {
    let (mut world, pid) = running();
    world.pass(1100 * MS, false);
    assert_eq!(world.killed, [pid]);
    let mut software = None;
    for _ in 0..80 {
        world.now += 50 * MS;
        world.child.handle(Input::Tick, world.now);
        while let Some(output) = world.child.poll_output() {
            if let Output::Spawn { software_only } = output {
                software = Some(software_only);
            }
        }
    }
    assert_eq!(software, Some(true));
    assert_eq!(world.child.abandoned(), [pid]);
    // When the driver lets go at last, the replacement is not disturbed.
    world.child.handle(Input::Spawned(7), world.now);
    world.die(pid);
    assert_eq!((world.child.pid(), world.child.abandoned()), (Some(7), &[][..]));
}

#[test]
fn a_machine_that_stood_still_kills_nobody() {
    let (mut world, _) = running();
    world.pass(500 * MS, true);
    world.now += Duration::from_secs(20);
    world.say(Input::Tick);
    world.pass(400 * MS, false);
    assert!(world.killed.is_empty(), "holdfastd slept, not the worker: {:?}", world.told);
    world.pass(1000 * MS, false);
    assert_eq!(world.killed.len(), 1, "one that is really hung is found all the same");
}

#[test]
fn starts_back_off_to_their_limit_and_health_resets_them() {
    let (mut world, _) = running();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let pid = world.child.pid().unwrap();
        let (before, spawns) = (world.now, world.spawns);
        world.die(pid);
        while world.spawns == spawns {
            world.pass(50 * MS, false);
        }
        waits.push(u64::try_from((world.now - before).as_millis()).unwrap());
        world.up();
    }
    assert_eq!(waits, [0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    world.pass(Duration::from_secs(31), true);
    let spawns = world.spawns;
    world.die(world.next_pid);
    assert_eq!(world.spawns, spawns + 1, "after half a minute of health the next start is immediate");
}

#[test]
fn one_that_hangs_after_a_long_time_of_health_is_replaced_at_once_each_time() {
    let (mut world, _) = running();
    for _ in 0..8 {
        world.pass(Duration::from_secs(31), true);
        let (pid, spawns) = (world.child.pid().unwrap(), world.spawns);
        world.pass(1100 * MS, false);
        assert_eq!(world.killed.last(), Some(&pid));
        world.die(pid);
        assert_eq!(world.spawns, spawns + 1, "{:?}", world.told.last());
        world.up();
    }
}

#[test]
fn one_that_runs_already_is_adopted_and_not_started_twice() {
    let mut world = World::new(Lifecycle::awaited(Limits::TRANSMIT, crate::clock::now()));
    world.pass(500 * MS, false);
    world.say(Input::Hello { pid: 42, speaks: true });
    world.pass(5000 * MS, true);
    assert_eq!((world.spawns, world.child.pid()), (0, Some(42)));
    assert_eq!(world.told, [Told::Adopted(42)]);
    world.die(42);
    assert_eq!(world.spawns, 1);
}

#[test]
fn one_that_holds_the_role_but_does_not_answer_is_killed_first() {
    let mut world = World::new(Lifecycle::awaited(Limits::TRANSMIT, crate::clock::now()));
    while world.asked == 0 {
        world.pass(50 * MS, false);
    }
    world.say(Input::Holds(42));
    assert_eq!((world.killed.as_slice(), world.spawns), (&[42][..], 0));
    world.die(42);
    assert_eq!(world.spawns, 1);
}

#[test]
fn nobody_there_means_start() {
    let mut world = World::new(Lifecycle::awaited(Limits::TRANSMIT, crate::clock::now()));
    world.pass(1200 * MS, false);
    assert_eq!((world.asked, world.spawns), (1, 1));
}

#[test]
fn whoever_holds_the_role_is_the_child_and_the_one_started_in_vain_is_killed() {
    let mut world = World::new(Lifecycle::new(Limits::WORKER));
    world.say(Input::Want);
    let started = world.next_pid;
    world.say(Input::Hello { pid: 42, speaks: true });
    assert_eq!((world.killed.as_slice(), world.child.pid()), (&[started][..], Some(42)));
    world.die(started);
    world.pass(5000 * MS, true);
    assert_eq!((world.spawns, world.child.pid()), (1, Some(42)));
}

#[test]
fn one_that_systemd_started_again_is_taken_over_before_the_end_of_the_first_is_told() {
    let (mut world, first) = running();
    world.say(Input::Hello { pid: 42, speaks: true });
    assert_eq!(world.child.pid(), Some(42));
    world.die(first);
    world.pass(5000 * MS, true);
    assert_eq!((world.spawns, world.child.pid()), (1, Some(42)));
    assert!(world.killed.is_empty());
}

#[test]
fn another_protocol_is_replaced() {
    let mut world = World::new(Lifecycle::awaited(Limits::TRANSMIT, crate::clock::now()));
    world.say(Input::Hello { pid: 42, speaks: false });
    assert_eq!(world.killed, [42]);
    world.die(42);
    assert_eq!(world.spawns, 1);
}

#[test]
fn an_unwanted_child_ends_and_stays_ended() {
    let (mut world, pid) = running();
    world.say(Input::Unwant);
    world.pass(1000 * MS, true);
    assert!(world.killed.is_empty());
    world.die(pid);
    world.pass(20_000 * MS, false);
    assert!(world.child.is_over());
    assert_eq!(world.spawns, 1);
}

#[test]
fn one_that_does_not_end_when_asked_is_killed() {
    let (mut world, pid) = running();
    world.say(Input::Unwant);
    world.pass(2100 * MS, true);
    assert_eq!(world.killed, [pid]);
}

#[test]
fn a_renewed_child_is_replaced_without_penalty() {
    let (mut world, pid) = running();
    world.say(Input::Renew { because: "its configuration changed".into() });
    world.die(pid);
    assert_eq!(world.spawns, 2);
    assert!(matches!(&world.told[2], Told::Ended { expected: true, .. }), "{:?}", world.told);
}

#[test]
fn whatever_happens_there_is_never_a_second_process_beside_a_living_one() {
    for seed in 0..2000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(Lifecycle::new(Limits::WORKER));
        let mut alive: Vec<Pid> = Vec::new();
        world.say(Input::Want);
        for _ in 0..400 {
            let before = world.spawns;
            world.now += Duration::from_millis(rng.u64(1..200));
            let pid = world.child.pid().unwrap_or(1);
            match rng.u8(..10) {
                0 => world.say(Input::Want),
                1 if rng.u8(..4) == 0 => world.say(Input::Unwant),
                2 | 3 => world.say(Input::Hello { pid, speaks: rng.u8(..8) != 0 }),
                4 => {
                    if let Some(at) = (!alive.is_empty()).then(|| rng.usize(..alive.len())) {
                        let pid = alive.remove(at);
                        world.die(pid);
                    }
                }
                5 => world.say(Input::Renew { because: String::new() }),
                6 | 7 => world.say(Input::Beat),
                _ => world.say(Input::Tick),
            }
            if world.spawns > before {
                let abandoned: Vec<_> = world
                    .told
                    .iter()
                    .filter_map(|t| if let Told::Abandoned(p) = t { Some(*p) } else { None })
                    .collect();
                alive.retain(|p| !abandoned.contains(p));
                assert!(alive.is_empty(), "seed {seed}: started beside {alive:?}");
                assert_eq!(world.spawns, before + 1, "seed {seed}");
                alive.push(world.next_pid);
            }
        }
    }
    println!("2000 seeds, 400 steps each");
}
