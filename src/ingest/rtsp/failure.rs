//! Pure. Why a session ended, in words that an operator can act on.

use crate::config::{RtspLogin, RtspTransport};

/// The most that is passed on of what others say, characters.
const LONGEST: usize = 160;

/// Why a session ended, or never began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The address in the settings is none.
    Address(String),
    /// No connection.
    Unreachable(String),
    /// It answered with this status (RFC 2326 §7.1.1).
    Refused(u16),
    /// It did not answer a request.
    NoAnswer,
    /// It offers no picture that we speak, but these things.
    NoPicture(Vec<String>),
    /// Nothing came after PLAY.
    NeverStarted,
    /// Nothing came any more.
    Silent,
    /// It said goodbye (RTCP BYE).
    Goodbye,
    /// It closed the connection.
    Closed,
    /// What came cannot be read.
    Unreadable(String),
    /// What the client says of anything else.
    Broken(String),
}

/// Whose failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    /// Host and port.
    pub(super) host: &'a str,
    pub(super) login: Option<&'a RtspLogin>,
    pub(super) transport: RtspTransport,
}

impl Failure {
    /// For people. What others say is left out if the password is in it.
    pub(super) fn words(&self, Whose { host, login, transport }: Whose<'_>) -> String {
        let quoted = |text: &str| match login {
            Some(login) if !login.password.reveal().is_empty() && text.contains(login.password.reveal()) => {
                "(the password is in it)".to_owned()
            }
            Some(_) | None => first_line(text),
        };
        match self {
            Self::Address(error) => format!("the address cannot be read: {}", quoted(error)),
            Self::Unreachable(error) => format!("cannot connect to {host}: {}", quoted(error)),
            Self::Refused(401) if login.is_some() => format!("{host} does not accept the user name and password"),
            Self::Refused(401) => format!("{host} wants a user name and a password"),
            Self::Refused(403) => format!("{host} does not let us watch (403)"),
            Self::Refused(404) => format!("{host} has nothing at this path (404)"),
            Self::Refused(461) => {
                let (refused, other) = match transport {
                    RtspTransport::Tcp => ("TCP", "UDP"),
                    RtspTransport::Udp => ("UDP", "TCP"),
                };
                format!("{host} does not send over {refused} (461); {other} may do")
            }
            Self::Refused(status @ (453 | 503)) => format!("{host} has too much to do ({status}), or too many viewers"),
            Self::Refused(status) => format!("{host} refuses ({status})"),
            Self::NoAnswer => format!("{host} takes the connection and does not answer"),
            Self::NoPicture(offered) if offered.is_empty() => format!("{host} offers no picture"),
            Self::NoPicture(offered) => {
                format!("{host} offers no picture in H.264 or HEVC, but {}", quoted(&offered.join(", ")))
            }
            Self::NeverStarted => match transport {
                RtspTransport::Tcp => format!("{host} says that it plays, and sends nothing"),
                RtspTransport::Udp => format!("{host} says that it plays, and nothing arrives; TCP may get through"),
            },
            Self::Silent => format!("nothing came from {host} for 3 s"),
            Self::Goodbye => format!("{host} ended the stream"),
            Self::Closed => format!("{host} closed the connection"),
            Self::Unreadable(error) => format!("what {host} sends cannot be read: {}", quoted(error)),
            Self::Broken(error) => format!("the session with {host} broke: {}", quoted(error)),
        }
    }
}

/// The first line of what others say, without control characters, cut to a length.
pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn whose(login: Option<&RtspLogin>) -> Whose<'_> {
        Whose { host: "cam:554", login, transport: RtspTransport::Udp }
    }

    fn login(password: &str) -> RtspLogin {
        RtspLogin { user: "admin".to_owned(), password: Secret::new(password) }
    }

    #[test]
    fn each_failure_says_what_to_do_about_it() {
        let login = login("s3cret");
        let said = |failure: Failure| failure.words(whose(Some(&login)));
        assert_eq!(said(Failure::Refused(401)), "cam:554 does not accept the user name and password");
        assert_eq!(Failure::Refused(401).words(whose(None)), "cam:554 wants a user name and a password");
        assert_eq!(said(Failure::Refused(404)), "cam:554 has nothing at this path (404)");
        assert_eq!(said(Failure::Refused(461)), "cam:554 does not send over UDP (461); TCP may do");
        assert_eq!(said(Failure::Refused(503)), "cam:554 has too much to do (503), or too many viewers");
        assert_eq!(
            said(Failure::NoPicture(vec!["JPEG".to_owned(), "PCMU".to_owned()])),
            "cam:554 offers no picture in H.264 or HEVC, but JPEG, PCMU"
        );
        let refused = "Connection refused (os error 111)\n\nconn: …".to_owned();
        assert_eq!(said(Failure::Unreachable(refused)), "cannot connect to cam:554: Connection refused (os error 111)");
    }

    #[test]
    fn the_password_is_not_in_it_whoever_says_it() {
        let login = login("s3cret");
        for failure in [
            Failure::Address("s3cret?".to_owned()),
            Failure::Unreachable("no s3cret".to_owned()),
            Failure::NoPicture(vec!["s3cret".to_owned()]),
            Failure::Unreadable("s3cret".to_owned()),
            Failure::Broken("bad header: Basic s3cret".to_owned()),
        ] {
            let said = failure.words(whose(Some(&login)));
            assert!(!said.contains("s3cret") && said.contains("(the password is in it)"), "{said}");
        }
        assert!(Failure::Broken("x".to_owned()).words(whose(Some(&self::login("")))).ends_with(": x"));
    }

    #[test]
    fn what_others_say_is_one_line_of_bounded_length() {
        let said = Failure::Broken(format!("a\u{7}{}\nsecond", "x".repeat(1000))).words(whose(None));
        assert!(said.len() < 250 && said.contains("ax") && !said.contains("second"), "{said}");
    }
}
