//! What a caller asks for: free text, or libsrt's access-control syntax `#!::r=name,m=publish,u=somebody`.

use std::fmt;

use crate::srt::wire::MAX_TEXT;

/// A stream id, at most 512 bytes (libsrt's MAX_SID_LENGTH). It may be as secret as a stream key, so it is not printed.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(String);

impl StreamId {
    /// None if it is too long or has a zero in it.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= MAX_TEXT && !text.contains('\0')).then(|| Self(text.to_owned()))
    }

    /// As sent; empty if none was.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it asks for.
    pub fn access(&self) -> Result<Access<'_>, AccessError> {
        Access::parse(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({} bytes)", self.0.len())
    }
}

/// Which way the stream goes: the key `m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The caller wants to receive. What libsrt takes for meant when nothing is said.
    #[default]
    Request,
    /// The caller wants to send.
    Publish,
    /// Both.
    Bidirectional,
}

/// What the connection is for: the key `t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// A live stream.
    #[default]
    Stream,
    /// A file.
    File,
    /// Exchanging secrets.
    Auth,
    /// Something of the application's own.
    Other(&'a str),
}

/// A stream id taken apart (libsrt's `access-control.md`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access<'a> {
    /// `r`: which stream; of a plain stream id all of it.
    pub resource: Option<&'a str>,
    /// `m`; None if nothing was said, which a listener that only takes publishers may take for [`Mode::Publish`].
    pub mode: Option<Mode>,
    /// `u`: on whose behalf.
    pub user: Option<&'a str>,
    /// `h`: at which host, where one server is several.
    pub host: Option<&'a str>,
    /// `s`: a session agreed on elsewhere.
    pub session: Option<&'a str>,
    /// `t`.
    pub purpose: Purpose<'a>,
    /// Whatever else was said.
    pub other: Vec<(&'a str, &'a str)>,
}

/// Why a stream id that begins as access control does cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// After `#!` comes another syntax than `:`, or another form than `:` and `{`.
    #[error("unknown syntax")]
    Syntax,
    /// Something between commas has no `=`, or nothing before it.
    #[error("a part without key or value")]
    NoValue,
    /// A key is there twice.
    #[error("a key is given twice")]
    Repeated,
    /// `m` is none of the modes.
    #[error("unknown mode")]
    Mode,
    /// Blocks within blocks, which no standard key has.
    #[error("nested blocks")]
    Nested,
}

impl<'a> Access<'a> {
    fn parse(text: &'a str) -> Result<Self, AccessError> {
        let Some(rest) = text.strip_prefix("#!") else {
            let resource = (!text.is_empty()).then_some(text);
            return Ok(Self { resource, ..Self::default() });
        };
        let pairs = match rest.strip_prefix(':') {
            Some(flat) if flat.starts_with(':') => &flat[1..],
            Some(block) if block.starts_with('{') => {
                let inner = block[1..].strip_suffix('}').ok_or(AccessError::Syntax)?;
                if inner.contains(['{', '}']) {
                    return Err(AccessError::Nested);
                }
                inner
            }
            Some(_) | None => return Err(AccessError::Syntax),
        };
        let mut access = Self::default();
        let mut purpose = None;
        for pair in pairs.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or(AccessError::NoValue)?;
            match key {
                "" => return Err(AccessError::NoValue),
                "r" => once(&mut access.resource, value)?,
                "u" => once(&mut access.user, value)?,
                "h" => once(&mut access.host, value)?,
                "s" => once(&mut access.session, value)?,
                "m" => once(&mut access.mode, Mode::parse(value)?)?,
                "t" => once(&mut purpose, Purpose::parse(value))?,
                _ if access.other.iter().any(|(known, _)| *known == key) => return Err(AccessError::Repeated),
                _ => access.other.push((key, value)),
            }
        }
        access.purpose = purpose.unwrap_or_default();
        Ok(access)
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), AccessError> {
    place.replace(value).map_or(Ok(()), |_| Err(AccessError::Repeated))
}

impl Mode {
    fn parse(text: &str) -> Result<Self, AccessError> {
        match text {
            "request" => Ok(Self::Request),
            "publish" => Ok(Self::Publish),
            "bidirectional" => Ok(Self::Bidirectional),
            _ => Err(AccessError::Mode),
        }
    }
}

impl<'a> Purpose<'a> {
    fn parse(text: &'a str) -> Self {
        match text {
            "stream" => Self::Stream,
            "file" => Self::File,
            "auth" => Self::Auth,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_documentation() {
        let id = StreamId::new("#!::u=admin,r=bluesbrothers1_hi").unwrap();
        let access = id.access().unwrap();
        assert_eq!((access.user, access.resource, access.mode), (Some("admin"), Some("bluesbrothers1_hi"), None));

        let id = StreamId::new("#!::u=johnny,t=file,m=publish,r=results.csv").unwrap();
        let access = id.access().unwrap();
        assert_eq!((access.mode, access.purpose), (Some(Mode::Publish), Purpose::File));
    }

    #[test]
    fn plain_text_is_the_resource() {
        for text in ["live/stage1", "a=b,c", "#not"] {
            let id = StreamId::new(text).unwrap();
            assert_eq!(id.access(), Ok(Access { resource: Some(text), ..Access::default() }));
        }
        assert_eq!(StreamId::default().access(), Ok(Access::default()));
    }

    #[test]
    fn every_key_and_keys_of_somebodys_own() {
        let id = StreamId::new("#!:{h=a.example,s=77,t=auth,r=x=y,m=bidirectional,acme_gain=-3,acme_x=}").unwrap();
        let access = id.access().unwrap();
        assert_eq!((access.host, access.session), (Some("a.example"), Some("77")));
        assert_eq!((access.purpose, access.resource), (Purpose::Auth, Some("x=y")));
        assert_eq!((access.mode, access.user), (Some(Mode::Bidirectional), None));
        assert_eq!(access.other, [("acme_gain", "-3"), ("acme_x", "")]);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, error) in [
            ("#!", AccessError::Syntax),
            ("#!r=x", AccessError::Syntax),
            ("#!:r=x", AccessError::Syntax),
            ("#!:{r=x", AccessError::Syntax),
            ("#!:{r={a=b}}", AccessError::Nested),
            ("#!::r", AccessError::NoValue),
            ("#!::=x", AccessError::NoValue),
            ("#!::r=x,r=y", AccessError::Repeated),
            ("#!::a=x,a=y", AccessError::Repeated),
            ("#!::m=steal", AccessError::Mode),
        ] {
            assert_eq!(StreamId::new(text).unwrap().access(), Err(error), "{text}");
        }
        assert_eq!(StreamId::new(&"x".repeat(513)), None);
        assert_eq!(StreamId::new("a\0b"), None);
        assert_eq!(format!("{:?}", StreamId::new("s3cr3t").unwrap()), "StreamId(6 bytes)");
    }
}
