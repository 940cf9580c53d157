//! What operators ask for.

use super::Daemon;
use crate::events::{ChildCommand, Command, ControlReply, EventKind, Role, Severity};
use crate::model::{Manual, OutputId, RenditionId};
use crate::supervisor::control::Asked;

/// The lowest bit rate that can be asked for, bit/s: the configuration's own lower limit.
const LEAST_BITRATE: u32 = 50_000;

impl Daemon {
    pub(super) fn answer(&mut self, question: Asked) {
        // Whoever asked may have left.
        match question {
            Asked::Events(last, reply) => {
                let skip = self.history.len().saturating_sub(last);
                let _ = reply.send(self.history.iter().skip(skip).cloned().collect());
            }
            Asked::Do(command, reply) => {
                self.say(EventKind::CommandTaken, Severity::Info, "", words(&command));
                let answer = match self.obey(command) {
                    Ok(text) => ControlReply::Done { text },
                    Err(text) => ControlReply::Refused { text },
                };
                self.publish();
                let _ = reply.send(answer);
            }
        }
    }

    /// Does it, and says what was done or why not.
    fn obey(&mut self, command: Command) -> Result<String, String> {
        match command {
            Command::Start => self.set_on_air(true),
            Command::Stop => self.set_on_air(false),
            Command::Retry { output } => self.retry(output),
            Command::Reload => match self.reload() {
                Ok(text) => Ok(text),
                Err(why) => Err(format!("{why}\nThe last good configuration stays in force.")),
            },
            Command::Keyframe => {
                self.children.command(&Role::Transmit, ChildCommand::ForceKeyframe { rendition: None });
                Ok("asked for keyframes".to_owned())
            }
            Command::Bitrate { rendition, bitrate } => self.set_bitrate(rendition, bitrate),
            Command::Choose { choice } => self.choose(choice),
            Command::Shutdown => {
                self.end_all();
                Ok("ending the programme cleanly, then everything else".to_owned())
            }
        }
    }

    fn set_on_air(&mut self, on: bool) -> Result<String, String> {
        let was = self.wish.since().is_some();
        self.wish.set(on)?;
        self.children.command(&Role::Transmit, ChildCommand::SetOnAir { on });
        let text = match (was, on) {
            (false, true) => "going on air; holdfast status --watch shows how",
            (true, true) => "on air already",
            (true, false) => {
                "going off air; destinations and recordings are ended cleanly. Holdfast goes on, ready for the next start; \
                 holdfast shutdown ends it too"
            }
            (false, false) => "off air already",
        };
        Ok(text.to_owned())
    }

    fn retry(&self, output: Option<OutputId>) -> Result<String, String> {
        if let Some(id) = &output {
            let rtmp = self.settings.destinations.iter().map(|d| &d.id);
            let mut names = rtmp.chain(self.settings.srt_destinations.iter().map(|d| &d.id));
            let mut recordings = self.settings.recordings.iter().map(|r| &r.id);
            if !names.any(|name| name == id) && !recordings.any(|name| name == id) {
                return Err(format!("there is no destination or recording {id}; holdfast status lists them"));
            }
        }
        if self.wish.since().is_none() {
            return Err("the box is off air, so nothing is tried; holdfast start puts it on air".to_owned());
        }
        self.children.command(&Role::Transmit, ChildCommand::RetryNow { output });
        Ok("trying now".to_owned())
    }

    fn choose(&mut self, choice: Manual) -> Result<String, String> {
        let text = match &choice {
            Manual::Input(input) if !self.settings.inputs.iter().any(|i| &i.id == input) => {
                return Err(format!("there is no input {input}; holdfast inputs lists them"));
            }
            Manual::Input(input) => format!("{input} it is, until holdfast choose auto"),
            Manual::Slate => "the slate it is, until holdfast choose auto".to_owned(),
            Manual::Auto => "the rules choose".to_owned(),
        };
        self.choice = Some(choice.clone());
        self.children.command(&Role::Transmit, ChildCommand::Choose { choice });
        Ok(text)
    }

    fn set_bitrate(&self, rendition: RenditionId, bitrate: u32) -> Result<String, String> {
        let Some(settings) = self.settings.rendition(&rendition) else {
            return Err(format!("there is no rendition {rendition}; holdfast status lists them"));
        };
        if !(LEAST_BITRATE..=settings.bitrate).contains(&bitrate) {
            let (least, most) = (LEAST_BITRATE / 1000, settings.bitrate / 1000);
            return Err(format!(
                "{rendition} may have {least}k to {most}k; its bitrate in the configuration is the limit"
            ));
        }
        self.children.command(&Role::Transmit, ChildCommand::SetBitrate { rendition, bitrate });
        Ok("asked the encoder".to_owned())
    }
}

fn words(command: &Command) -> String {
    match command {
        Command::Start => "an operator says: go on air".to_owned(),
        Command::Stop => "an operator says: go off air".to_owned(),
        Command::Retry { output: Some(output) } => format!("an operator says: try {output} now"),
        Command::Retry { output: None } => "an operator says: try all waiting destinations now".to_owned(),
        Command::Reload => "an operator says: read the configuration".to_owned(),
        Command::Keyframe => "an operator asks for keyframes".to_owned(),
        Command::Bitrate { rendition, bitrate } => {
            format!("an operator says: {rendition} at {} kbit/s", bitrate / 1000)
        }
        Command::Choose { choice: Manual::Auto } => "an operator says: let the rules choose the input".to_owned(),
        Command::Choose { choice } => format!("an operator says: {choice} on air"),
        Command::Shutdown => "an operator says: end everything".to_owned(),
    }
}
