use std::time::Duration;

use super::*;

const PLAN: &str = "\
0s main delay 20ms
0s main jitter 1500us reorder back
500ms main loss 7
1s spare burst 2 8 forward
1s spare duplicate 0.5
2s main rate 2000k queue 100ms
2s main rate 64k queue 65536B back
3s main hole forward
4s main hole off
5s spare cut
6s spare heal
90s spare rebind
100s main loss off
100s main rate off
";

#[test]
fn a_plan_reads_what_it_writes() {
    let plan: Plan = PLAN.parse().unwrap();
    assert_eq!(plan.to_string(), PLAN);
    assert_eq!(plan.to_string().parse::<Plan>().unwrap(), plan);
}

#[test]
fn steps_come_in_the_order_of_their_times_and_once() {
    let mut plan: Plan = "2s a cut # first\n\n1s b hole\n2s a heal\n".parse().unwrap();
    assert_eq!(plan.poll(Duration::from_millis(999)), None);
    assert_eq!(plan.poll_timeout(), Some(Duration::from_secs(1)));
    assert_eq!(plan.poll(Duration::from_secs(1)).unwrap().link, "b");
    assert_eq!(plan.poll(Duration::from_secs(9)).unwrap().change, Change::Cut);
    assert_eq!(plan.poll(Duration::from_secs(9)).unwrap().change, Change::Heal);
    assert_eq!((plan.poll(Duration::from_secs(9)), plan.poll_timeout()), (None, None));
}

#[test]
fn what_is_no_step_is_refused_with_its_line() {
    for (text, why) in [
        ("1s main loss 5\nnow main cut", "line 2: now: not a time"),
        ("1s main", "line 1: not TIME LINK CHANGE"),
        ("1s main loss 101", "line 1: 101: not from 0 to 100"),
        ("1s main loss -1", "not from 0 to 100"),
        ("1s main rate 0", "not a rate"),
        ("1s main rate 2M queue 5", "not a queue"),
        ("1s main cut forward", "not a change"),
        ("1s main delay 25h", "not a time"),
        ("1s main delay 90000s", "not a time"),
        ("1s main delay .s", "not a time"),
        ("1s main explode", "1s main explode".trim_start_matches("1s main ")),
    ] {
        let error = text.parse::<Plan>().unwrap_err().to_string();
        assert!(error.contains(why), "{text:?} was refused as {error:?}");
    }
}
