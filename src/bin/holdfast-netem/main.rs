//! holdfast-netem: bad networks on demand, for trying things out by hand and from scripts.
//!
//! Lays cables between UDP or TCP ports, obeys orders on its standard input (`main loss 5`, `main hole forward`, `* heal`,
//! `mark`, `report`), answers each on its standard output, and ends with its input, or with the plan if that takes longer.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use holdfast::clock;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};
use holdfast::netem::{Conditions, Plan};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

#[derive(Debug, Parser)]
#[command(version, about = "Bad networks on demand: UDP and TCP proxies with delay, loss, a rate, holes")]
struct Arguments {
    /// A cable for datagrams: NAME=LISTEN/TARGET, as in main=127.0.0.1:9001/127.0.0.1:9101
    #[arg(long)]
    udp: Vec<Ends>,
    /// A cable for connections, likewise
    #[arg(long)]
    tcp: Vec<Ends>,
    /// What a cable is like at the start, and again when it is healed: "main delay 20ms", "main rate 8M queue 100ms"
    #[arg(long)]
    with: Vec<String>,
    /// Orders at times, one a line: "2s main hole forward"
    #[arg(long)]
    plan: Option<PathBuf>,
    /// The same seed loses the same packets
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Debug)]
struct Ends {
    name: String,
    listen: SocketAddr,
    target: SocketAddr,
}

impl FromStr for Ends {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(name, ends)| Some((name, ends.split_once('/')?)));
        let (name, (listen, target)) = parts.ok_or("not NAME=LISTEN/TARGET")?;
        let address = |text: &str| text.parse().map_err(|_| format!("{text}: not an address with a port"));
        Ok(Self { name: name.to_owned(), listen: address(listen)?, target: address(target)? })
    }
}

fn main() {
    if let Err(why) = run(&Arguments::parse()) {
        eprintln!("holdfast-netem: {why}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let mut plan = match &arguments.plan {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
            text.parse::<Plan>().map_err(|why| format!("{}, {why}", path.display()))?
        }
        None => Plan::default(),
    };
    let mut emulator = Emulator::start(cables(arguments)?, arguments.seed).map_err(|why| why.to_string())?;
    for ends in arguments.udp.iter().chain(&arguments.tcp) {
        let address = emulator.address(&ends.name).unwrap_or(ends.listen);
        println!("{} listens on {address}", ends.name);
    }
    obey(&mut emulator, &mut plan).map_err(|why| why.to_string())
}

fn cables(arguments: &Arguments) -> Result<Vec<Cable>, String> {
    let udp = arguments.udp.iter().map(|ends| {
        let wiring = Wiring::Udp { listen: ends.listen, target: ends.target, from: None };
        Cable::new(&ends.name, Conditions::default(), wiring)
    });
    let tcp = arguments.tcp.iter().map(|ends| {
        let wiring = Wiring::Tcp { listen: ends.listen, target: ends.target };
        Cable::new(&ends.name, Conditions::default(), wiring)
    });
    let mut cables: Vec<Cable> = udp.chain(tcp).collect();
    for with in &arguments.with {
        let (name, change) = with.split_once(' ').ok_or_else(|| format!("{with}: not CABLE CHANGE"))?;
        let change = change.parse().map_err(|why| format!("{with}: {why}"))?;
        let mut known = false;
        for cable in cables.iter_mut().filter(|cable| name == "*" || cable.name == name) {
            cable.start_with(change);
            known = true;
        }
        if !known {
            return Err(format!("{name}: there is no such cable"));
        }
    }
    Ok(cables)
}

/// Orders from standard input and from the plan, until both have ended.
fn obey(emulator: &mut Emulator, plan: &mut Plan) -> io::Result<()> {
    let (begin, mut input) = (clock::now(), io::stdin().lock());
    let (standard_input, mut open) = (io::stdin(), true);
    while open || plan.poll_timeout().is_some() {
        while let Some(step) = plan.poll(clock::now() - begin) {
            let order = format!("{} {}", step.link, step.change);
            tell(&format!("{order}: "), emulator.order(&order));
        }
        let left = plan.poll_timeout().map(|at| (begin + at).saturating_duration_since(clock::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            // Rounded up, since a wait of nothing would spin.
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let watch = open.then(|| PollFd::new(standard_input.as_fd(), PollFlags::POLLIN));
        let mut watched: Vec<PollFd<'_>> = watch.into_iter().collect();
        if poll(&mut watched, timeout)? == 0 {
            continue;
        }
        let mut line = String::new();
        open = input.read_line(&mut line)? > 0;
        if !line.trim().is_empty() {
            tell("", emulator.order(line.trim()));
        }
    }
    Ok(())
}

fn tell(what: &str, answer: io::Result<String>) {
    match answer {
        Ok(said) => println!("{what}ok {said}"),
        Err(why) => println!("{what}error {why}"),
    }
    // Whoever reads this waits for it; if nobody does any more, the orders still count.
    let _ = io::stdout().flush();
}
