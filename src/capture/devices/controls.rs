//! What can be turned on a device, asked one by one. Reading turns nothing.

use std::mem;

use v4l::control::Type;
use v4l::v4l_sys::{
    V4L2_CTRL_FLAG_DISABLED, V4L2_CTRL_FLAG_GRABBED, V4L2_CTRL_FLAG_INACTIVE, V4L2_CTRL_FLAG_NEXT_COMPOUND,
    V4L2_CTRL_FLAG_NEXT_CTRL, V4L2_CTRL_FLAG_READ_ONLY, V4L2_CTRL_FLAG_WRITE_ONLY, v4l2_ext_control, v4l2_ext_controls,
    v4l2_query_ext_ctrl, v4l2_querymenu,
};

use super::super::catalogue::{Control, Kind, Value};
use super::{Asked, MOST, Question, text};

/// Bytes of a text that are read at most.
const LONGEST_TEXT: usize = 4096;
/// What a person should know of a control.
const REMARKS: [(u32, &str); 3] = [
    (V4L2_CTRL_FLAG_READ_ONLY, "read only"),
    (V4L2_CTRL_FLAG_GRABBED, "locked while the device streams"),
    (V4L2_CTRL_FLAG_INACTIVE, "without effect at this moment"),
];

impl Asked {
    /// All of them, in the driver's order.
    pub(super) fn controls(&self) -> Vec<Control> {
        let mut controls = Vec::new();
        let mut last = 0;
        for _ in 0..MOST {
            let next = last | V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
            let mut told = v4l2_query_ext_ctrl { id: next, ..v4l2_query_ext_ctrl::blank() };
            if self.ask(&mut told).is_err() || told.id <= last {
                break;
            }
            last = told.id;
            controls.extend(self.control(&told));
        }
        controls
    }

    /// `None` for headings, and for what the device does not have.
    fn control(&self, told: &v4l2_query_ext_ctrl) -> Option<Control> {
        if told.flags & V4L2_CTRL_FLAG_DISABLED != 0 {
            return None;
        }
        let kind = self.kind(told)?;
        let value = match kind {
            Kind::Button | Kind::Table => Value::Untold,
            _ if told.flags & V4L2_CTRL_FLAG_WRITE_ONLY != 0 => Value::Untold,
            Kind::Text { longest } => self.words(told.id, longest),
            Kind::Number { .. } | Kind::Switch { .. } | Kind::Choice { .. } | Kind::Bits { .. } => {
                self.number(told.id, Type::try_from(told.type_) == Ok(Type::Integer64))
            }
        };
        let remarks = REMARKS.iter().filter(|(flag, _)| told.flags & flag != 0).map(|(_, words)| *words).collect();
        Some(Control { name: name(told), kind, value, remarks })
    }

    fn kind(&self, told: &v4l2_query_ext_ctrl) -> Option<Kind> {
        let (from, to, step, usual) = (told.minimum, told.maximum, told.step, told.default_value);
        if told.nr_of_dims > 0 {
            return Some(Kind::Table);
        }
        Some(match Type::try_from(told.type_) {
            Ok(Type::Integer | Type::Integer64) => Kind::Number { from, to, step, usual },
            Ok(Type::Boolean) => Kind::Switch { usual },
            Ok(Type::Menu) => Kind::Choice { items: self.menu(told, |name, _| text(name)), usual },
            Ok(Type::IntegerMenu) => Kind::Choice { items: self.menu(told, |_, value| value.to_string()), usual },
            Ok(Type::Button) => Kind::Button,
            Ok(Type::String) => Kind::Text { longest: to },
            Ok(Type::Bitmask) => Kind::Bits { of: to },
            Ok(Type::CtrlClass) => return None,
            // Those that came later are tables and records too.
            Ok(Type::U8 | Type::U16 | Type::U32 | Type::Area) | Err(()) => Kind::Table,
        })
    }

    /// The items of a menu; drivers leave out numbers.
    fn menu(&self, told: &v4l2_query_ext_ctrl, words: impl Fn(&[u8], i64) -> String) -> Vec<(u32, String)> {
        let first = u32::try_from(told.minimum).unwrap_or(0);
        let last = u32::try_from(told.maximum).unwrap_or(0).min(first.saturating_add(MOST));
        let item = |index| {
            let mut item = v4l2_querymenu { id: told.id, index, ..v4l2_querymenu::blank() };
            self.ask(&mut item).ok()?;
            let told = item.__bindgen_anon_1;
            // SAFETY: the union was zeroes before, and any bytes are a name and a number.
            let (name, value) = unsafe { (told.name, told.value) };
            Some((index, words(&name, value)))
        };
        (first..=last).filter_map(item).collect()
    }

    fn number(&self, id: u32, is_wide: bool) -> Value {
        // SAFETY: numbers and null pointers may be zero.
        let mut control = v4l2_ext_control { id, ..unsafe { mem::zeroed() } };
        let mut asked = v4l2_ext_controls { count: 1, controls: &raw mut control, ..v4l2_ext_controls::blank() };
        if self.ask(&mut asked).is_err() {
            return Value::Untold;
        }
        let told = control.__bindgen_anon_1;
        // SAFETY: the union was zeroes before, and the kernel wrote a number of this width.
        Value::Number(unsafe { if is_wide { told.value64 } else { i64::from(told.value) } })
    }

    fn words(&self, id: u32, longest: i64) -> Value {
        // With the zero behind it.
        let bytes = usize::try_from(longest).unwrap_or(usize::MAX).saturating_add(1);
        if bytes > LONGEST_TEXT {
            return Value::Untold;
        }
        let mut buffer = vec![0_u8; bytes];
        // SAFETY: numbers and null pointers may be zero.
        let mut control = v4l2_ext_control { id, ..unsafe { mem::zeroed() } };
        control.size = u32::try_from(bytes).unwrap_or(0);
        control.__bindgen_anon_1.string = buffer.as_mut_ptr().cast();
        let mut asked = v4l2_ext_controls { count: 1, controls: &raw mut control, ..v4l2_ext_controls::blank() };
        // The kernel writes `size` bytes at most to where `string` points, which is how long the buffer is.
        if self.ask(&mut asked).is_ok() { Value::Text(text(&buffer)) } else { Value::Untold }
    }
}

fn name(told: &v4l2_query_ext_ctrl) -> String {
    // C's characters have a sign on some machines.
    text(&told.name.map(|c| c.to_ne_bytes()[0]))
}
