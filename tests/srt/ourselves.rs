//! Our engine at both ends.

use std::time::Duration;

use crate::endpoint::peer::{Peer, words};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn one_path_carries_everything() {
    for security in ["", "--passphrase correct-horse --key-bytes 32 --refresh 400"] {
        let mut to = Peer::holdfast(&words(&format!("listen receive --type none {security} 127.0.0.1:0")));
        let port = to.line("READY", SOON)[6..].to_owned();
        let mut from = Peer::holdfast(&words(&format!("call send --type none --seconds 2 {security} {port}")));
        let (sent, received) = (from.report(SOON), to.report(SOON));
        assert_eq!(received["missing"], 0, "{received}");
        assert_eq!(received["corrupt"], 0, "{received}");
        assert_eq!(sent["sent"], received["received"], "{sent} {received}");
    }
}
