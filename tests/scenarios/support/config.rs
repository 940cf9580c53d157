//! A box's configuration and secrets, as the operator would write them.

use std::fmt::Write;
use std::path::Path;

/// The text of the two files.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    head: String,
    parts: String,
    secrets: String,
}

impl Configuration {
    /// A box on a grid of `fps`.
    pub fn new(fps: u32) -> Self {
        Self { head: format!("[box]\nname = \"Scenario\"\n\n[programme]\nframe_rate = {fps}\n"), ..Self::default() }
    }

    /// On a machine of this hardware profile, from this directory.
    pub fn profile(mut self, name: &str, directory: &Path) -> Self {
        let lines = format!("[box]\nprofile = \"{name}\"\nprofiles = \"{}\"\n", directory.display());
        self.head = self.head.replacen("[box]\n", &lines, 1);
        self
    }

    pub fn add(mut self, kind: &str, name: &str, lines: &str) -> Self {
        write!(self.parts, "\n[[{kind}]]\nname = \"{name}\"\n{lines}\n").expect("a string takes text");
        self
    }

    /// A section of its own, whole.
    pub fn section(mut self, text: &str) -> Self {
        write!(self.parts, "\n{text}\n").expect("a string takes text");
        self
    }

    pub fn pattern(self, name: &str) -> Self {
        self.add("input", name, "kind = \"pattern\"")
    }

    pub fn file(self, name: &str, path: &Path) -> Self {
        self.add("input", name, &format!("kind = \"file\"\npath = \"{}\"", path.display()))
    }

    /// `sound` is `aac` or `opus`.
    pub fn rendition(self, name: &str, codec: &str, size: &str, bitrate: &str, sound: &str) -> Self {
        self.rendition_with(name, codec, size, bitrate, sound, "")
    }

    /// With further lines of its section.
    pub fn rendition_with(self, name: &str, codec: &str, size: &str, bitrate: &str, sound: &str, more: &str) -> Self {
        let audio = format!("{{ codec = \"{sound}\", bitrate = \"96k\" }}");
        self.add(
            "rendition",
            name,
            &format!(
                "codec = \"{codec}\"\nsize = \"{size}\"\nbitrate = \"{bitrate}\"\nkeyframe_interval = \"2s\"\naudio = {audio}\n{more}"
            ),
        )
    }

    pub fn destination(self, name: &str, rendition: &str, url: &str) -> Self {
        self.destination_with(name, rendition, url, "key", "")
    }

    /// With its stream key, and further lines of its section.
    pub fn destination_with(mut self, name: &str, rendition: &str, url: &str, key: &str, more: &str) -> Self {
        write!(self.secrets, "[destination.{name}]\nkey = \"{key}\"\n\n").expect("a string takes text");
        self.add("destination", name, &format!("rendition = \"{rendition}\"\nurl = \"{url}\"\n{more}"))
    }

    /// Over SRT, encrypted.
    pub fn srt_destination(mut self, name: &str, rendition: &str, url: &str, passphrase: &str, more: &str) -> Self {
        write!(self.secrets, "[destination.{name}]\npassphrase = \"{passphrase}\"\n\n").expect("a string takes text");
        self.add("destination", name, &format!("rendition = \"{rendition}\"\nurl = \"{url}\"\n{more}"))
    }

    /// A section of the secrets file, whole.
    pub fn secret(mut self, text: &str) -> Self {
        writeln!(self.secrets, "{text}").expect("a string takes text");
        self
    }

    /// Into `directory`, which is made: the recorder takes an absent one for an absent disk.
    pub fn recording(self, name: &str, rendition: &str, directory: &Path, more: &str) -> Self {
        std::fs::create_dir_all(directory).expect("the run's directory is writable");
        let directory = directory.display();
        self.add("recording", name, &format!("rendition = \"{rendition}\"\ndirectory = \"{directory}\"\n{more}"))
    }

    /// The configuration file.
    pub fn text(&self) -> String {
        format!("{}{}", self.head, self.parts)
    }

    /// The secrets file.
    pub fn secrets(&self) -> &str {
        &self.secrets
    }
}
