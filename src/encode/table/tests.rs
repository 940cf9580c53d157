//! Every claim of the table against what the releases' sources declare.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::families::{MPP_FORK, V1_22, V1_24, V1_26};
use super::*;

/// A property and the words it takes, if it takes words.
type Declared = (&'static str, Vec<&'static str>);

/// What the releases' sources declare: release, element, properties.
fn declared() -> Vec<(&'static str, &'static str, Vec<Declared>)> {
    let lines = include_str!("properties.txt").lines().filter(|l| !l.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let (release, element) = (words.next().unwrap(), words.next().unwrap());
            let properties = words.map(|w| match w.split_once('=') {
                Some((name, nicks)) => (name, nicks.split('|').collect()),
                None => (w, Vec::new()),
            });
            (release, element, properties.collect())
        })
        .collect()
}

/// The releases whose sources were read.
const READ: [Version; 4] = [V1_22, V1_24, V1_26, Version(1, 28)];

fn rockchip(family: &Family) -> bool {
    family.name == "rkmpp"
}

#[test]
fn every_property_is_declared_by_every_release_it_is_claimed_for() {
    let declared = declared();
    let mut checked = 0;
    for family in FAMILIES {
        for element in family.elements {
            // The fork's sources are not among those read.
            if std::ptr::eq(element.properties, MPP_FORK) {
                continue;
            }
            for version in READ.into_iter().filter(|&v| element.exists_in(v)) {
                let release =
                    if rockchip(family) { "rockchip".to_owned() } else { format!("{}.{}", version.0, version.1) };
                let name = element.factory;
                let Some((.., known)) = declared.iter().find(|(r, e, _)| *r == release && *e == name) else {
                    panic!("GStreamer {release} has no {name}");
                };
                for property in element.properties {
                    let Some((_, words)) = known.iter().find(|(n, _)| *n == property.name) else {
                        panic!("{name} of GStreamer {release} has no property {}", property.name);
                    };
                    if let Value::Is(text) = property.value {
                        assert!(
                            words.is_empty() || words.contains(&text),
                            "{name}.{} of GStreamer {release} takes {words:?}, not {text:?}",
                            property.name
                        );
                    }
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 500, "only {checked} properties were checked");
}

#[test]
fn every_release_that_declares_an_element_has_an_entry_for_it() {
    for (release, name, _) in declared().into_iter().filter(|(r, ..)| *r != "rockchip") {
        let (major, minor) = release.split_once('.').unwrap();
        let version = Version(major.parse().unwrap(), minor.parse().unwrap());
        let claimed = FAMILIES.iter().flat_map(|f| f.elements).any(|e| e.factory == name && e.exists_in(version));
        assert!(claimed, "GStreamer {release} has {name}, the table has not");
    }
}

#[test]
fn what_a_change_of_bit_rate_sets_is_what_depends_on_the_bit_rate() {
    let job = |bitrate| VideoJob {
        codec: Codec::H264,
        width: 1280,
        height: 720,
        rate: FrameRate::whole(30),
        bitrate,
        keyframe_interval: Duration::from_secs(2),
    };
    for element in FAMILIES.iter().flat_map(|f| f.elements) {
        let moves = |p: &&Property| p.value.render(&job(1_000_000), 4) != p.value.render(&job(2_000_000), 4);
        let mut moving: Vec<_> = element.properties.iter().filter(moves).map(|p| p.name).collect();
        if element.bitrate.change == Change::Anew {
            assert!(element.bitrate.properties.is_empty(), "{} takes none", element.factory);
            continue;
        }
        let mut set: Vec<_> = element.bitrate.properties.to_vec();
        moving.sort_unstable();
        set.sort_unstable();
        assert_eq!(moving, set, "{}", element.factory);
    }
}

#[test]
fn a_change_that_costs_a_keyframe_is_made_seldom_and_what_is_seen_at_once_no_faster_than_it_is_looked_at() {
    for (family, element) in FAMILIES.iter().flat_map(|f| f.elements.iter().map(move |e| (f, e))) {
        let Bitrate { change, pace, .. } = element.bitrate;
        let name = element.factory;
        assert!(pace.urgent <= pace.every, "{name}");
        // The loop looks twice a second, and steps up by an eighth at a time.
        assert!(pace.urgent >= Duration::from_millis(500) && pace.every <= Duration::from_secs(4), "{name}");
        assert!((20..=100).contains(&pace.step_permille), "{name}");
        if change == Change::Keyframe {
            assert!(pace.every >= Duration::from_secs(2) && pace.step_permille >= 50, "{name}");
            assert!(
                family.label.is_some_and(|label| label.contains("costs a keyframe")),
                "{name}: an operator is told"
            );
        }
        let (_, first) = super::element(name).unwrap();
        assert_eq!((first.bitrate.change, first.bitrate.pace), (change, pace), "{name} of all releases");
    }
    assert!(element("svt265enc").is_none());
}

#[test]
fn hardware_is_tried_first_and_every_picture_codec_has_a_software_encoder() {
    for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
        let kinds: Vec<_> = candidates(codec).map(|f| f.kind).collect();
        assert!(kinds.is_sorted(), "{codec:?}: {kinds:?}");
        assert_eq!(kinds.last(), Some(&Kind::Software));
    }
}

#[test]
fn rates_are_counted_in_the_unit_of_each_element() {
    assert_eq!(Unit::Bit.of(3_072_000), 3_072_000);
    assert_eq!(Unit::Kilobit.of(3_072_000), 3072);
    assert_eq!(Unit::Kibibit.of(3_072_000), 3000);
    assert_eq!(Unit::Kilobit.of(0), 1);
}
