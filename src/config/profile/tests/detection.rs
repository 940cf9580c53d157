use std::collections::BTreeSet;

use super::*;

fn pc(vendor: &str, product: &str) -> Machine {
    Machine {
        architecture: "x86_64".to_owned(),
        vendor: Some(vendor.to_owned()),
        product: Some(product.to_owned()),
        ..Machine::default()
    }
}

fn board(compatible: &[&str]) -> Machine {
    let compatible = compatible.iter().map(|name| (*name).to_owned()).collect();
    Machine { architecture: "aarch64".to_owned(), compatible, ..Machine::default() }
}

fn with_card(machine: Machine, modalias: &str) -> Machine {
    Machine { modaliases: BTreeSet::from([modalias.to_owned()]), ..machine }
}

fn virtual_one(machine: Machine) -> Machine {
    Machine { virtuality: Virtuality::Virtual, ..machine }
}

const RTX: &str = "pci:v000010DEd00002684sv00001043sd000088E2bc03sc00i00";
const N100: &str = "pci:v00008086d000046D1sv00008086sd00002212bc03sc00i00";

#[track_caller]
fn assert_chosen(machine: &Machine, name: &str, reason: &str) {
    let profiles = embedded();
    let choice = choose(machine, &profiles).unwrap();
    assert_eq!((choice.profile.name.as_str(), choice.reason.to_string().as_str()), (name, reason));
}

#[test]
fn each_machine_gets_what_says_most_of_it() {
    let n100 = with_card(pc("AZW", "EQ12"), N100);
    assert_chosen(&n100, "generic-x86-64", "the processor is of the kind x86_64");
    let tower = with_card(pc("ASUS", "System Product Name"), RTX);
    assert_chosen(&tower, "nvidia", &format!("on its PCI bus is {RTX}"));
    let rock = board(&["radxa,rock-5b", "rockchip,rk3588"]);
    assert_chosen(&rock, "rk3588", "its device tree says \"rockchip,rk3588\"");
    let pi4 = board(&["raspberrypi,4-model-b", "brcm,bcm2711"]);
    assert_chosen(&pi4, "raspberry-pi-4", "its device tree says \"raspberrypi,4-model-b\"");
    let pi5 = board(&["raspberrypi,5-model-b", "brcm,bcm2712"]);
    assert_chosen(&pi5, "raspberry-pi-5", "its device tree says \"raspberrypi,5-model-b\"");
    let qemu = pc("QEMU", "Standard PC (Q35 + ICH9, 2009)");
    assert_chosen(&qemu, "virtual", "DMI names \"QEMU\" as its maker");
    let firecracker = virtual_one(Machine { architecture: "x86_64".to_owned(), ..Machine::default() });
    assert_chosen(&firecracker, "virtual", "the processor says that it is a virtual one");
    assert_chosen(&board(&["linux,dummy-virt"]), "virtual", "its device tree says \"linux,dummy-virt\"");
}

#[test]
fn a_card_that_is_passed_through_counts_for_more_than_the_hypervisor() {
    let guest = virtual_one(with_card(pc("QEMU", "Standard PC (Q35 + ICH9, 2009)"), RTX));
    assert_chosen(&guest, "nvidia", &format!("on its PCI bus is {RTX}"));
    let sound = with_card(pc("ASUS", "X"), "pci:v000010DEd000022BAsv00001043sd000088E2bc04sc03i00");
    assert_chosen(&sound, "generic-x86-64", "the processor is of the kind x86_64");
}

#[test]
fn an_unknown_machine_gets_the_generic_one_and_is_told_why() {
    let unknown = board(&["acme,toaster", "acme,soc"]);
    let reason = "nothing that this machine says of itself is known to any other profile; what it really has is found out \
                  by trial";
    assert_chosen(&unknown, "generic", reason);
    assert_eq!(choose(&unknown, &[profile("rk3588")]), None);
}

/// A profile of somebody's own for one board, whose signs are `signs`.
fn own(name: &str, signs: &str) -> HardwareProfile {
    let text =
        format!("name = \"{name}\"\ntitle = \"T\"\nverified = false\n[match]\n{signs}\n[standby]\nmode = \"warm\"\n");
    parse_profile("own.toml", &text, &families()).unwrap()
}

#[test]
fn the_board_counts_for_more_than_its_chip_and_the_product_for_more_than_its_maker() {
    let mut profiles = embedded();
    profiles.push(own("rock", "compatible = [\"radxa,rock-5b\"]"));
    profiles.push(own("azw", "dmi = [{ vendor = \"AZW\" }]"));
    profiles.push(own("eq", "dmi = [{ vendor = \"AZW\", product = \"EQ*\" }]"));
    profiles.push(own("eq12", "dmi = [{ vendor = \"AZW\", product = \"EQ12\" }]"));
    let chosen = |machine: &Machine| choose(machine, &profiles).unwrap().profile.name.to_string();
    assert_eq!(chosen(&board(&["radxa,rock-5b", "rockchip,rk3588"])), "rock");
    assert_eq!(chosen(&board(&["xunlong,orangepi-5-plus", "rockchip,rk3588"])), "rk3588");
    assert_eq!(chosen(&pc("AZW", "SER5")), "azw");
    assert_eq!(chosen(&pc("AZW", "EQ13")), "eq");
    assert_eq!(chosen(&pc("AZW", "EQ12")), "eq12");
    assert_eq!(
        chosen(&with_card(pc("AZW", "GTR"), RTX)),
        "nvidia",
        "what encodes counts for more than who made the case"
    );
}

#[test]
fn a_tie_is_told_with_the_way_out() {
    let profiles = [own("zeta", "compatible = [\"a,b\"]"), own("alpha", "compatible = [\"a,b\"]")];
    let machine = board(&["a,b"]);
    let choice = choose(&machine, &profiles).unwrap();
    assert_eq!(choice.profile.name.as_str(), "alpha", "by name, whatever the order of the files");
    assert_eq!(
        choice.reason.to_string(),
        "its device tree says \"a,b\"; zeta would fit as well: name the right one as profile below [box]"
    );
}

#[test]
fn one_that_is_named_is_taken_or_the_names_are_told() {
    let profiles = embedded();
    let choice = named("rk3588", &profiles).unwrap();
    assert_eq!((choice.profile.name.as_str(), choice.reason), ("rk3588", Reason::Named));
    let near = named("rk3568", &profiles).unwrap_err().to_string();
    assert_eq!(near, "there is no hardware profile \"rk3568\"; did you mean \"rk3588\"?");
    let far = named("toaster", &profiles).unwrap_err().to_string();
    assert!(far.contains("choose from generic, generic-x86-64, nvidia, raspberry-pi-4"), "{far}");
}
