//! `json.dumps` of Python, as chat templates call it (`x|tojson`): key order
//! kept, no HTML escaping, floats as Python's `repr`, bounded depth and work.

use std::fmt::Write;

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

const DEPTH_LIMIT: usize = 128;

struct Style {
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
}

struct Writer<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    style: &'a Style,
    out: String,
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Python's `repr` of a float: shortest digits that read back, with an
/// exponent below 1e-4 and from 1e16.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

impl Writer<'_, '_, '_> {
    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.state.consume_fuel(1 + text.len() as u64 / 32)?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20
                    || (self.style.ensure_ascii
                        && !(' '..='~').contains(&c)) =>
                {
                    // Python escapes DEL only where it escapes all of non-ASCII.
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        if let Some(indent) = &self.style.indent {
            self.state
                .consume_fuel((indent.len() * depth) as u64 / 64)?;
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
        Ok(())
    }

    fn number(&mut self, value: &Value) -> Result<(), Error> {
        if value.is_integer() {
            let _ = write!(self.out, "{value}");
        } else {
            let float = f64::try_from(value.clone())?;
            self.out.push_str(&float_repr(float));
        }
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<(), Error> {
        match key.kind() {
            ValueKind::String => self.string(key.as_str().unwrap_or_default()),
            ValueKind::Number | ValueKind::Bool | ValueKind::None => {
                self.out.push('"');
                self.value(key, DEPTH_LIMIT)?;
                self.out.push('"');
                Ok(())
            }
            kind => Err(invalid(format!("tojson: keys must not be {kind}"))),
        }
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        self.state.consume_fuel(keys.len() as u64)?;
        if self.style.sort_keys {
            keys.sort();
        }
        self.out.push('{');
        for (i, key) in keys.iter().enumerate() {
            if i > 0 {
                self.out.push_str(&self.style.item_separator);
            }
            self.line(depth + 1)?;
            self.key(key)?;
            self.out.push_str(&self.style.key_separator);
            self.value(&value.get_item(key)?, depth + 1)?;
        }
        if !keys.is_empty() {
            self.line(depth)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn sequence(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.out.push('[');
        let mut empty = true;
        for item in value.try_iter()? {
            if !empty {
                self.out.push_str(&self.style.item_separator);
            }
            empty = false;
            self.line(depth + 1)?;
            self.value(&item, depth + 1)?;
        }
        if !empty {
            self.line(depth)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.state.consume_fuel(1)?;
        if depth > DEPTH_LIMIT {
            return Err(invalid(format!(
                "tojson: nested deeper than {DEPTH_LIMIT}"
            )));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() {
                "true"
            } else {
                "false"
            }),
            ValueKind::Number => self.number(value)?,
            ValueKind::String => {
                self.string(value.as_str().unwrap_or_default())?
            }
            ValueKind::Map => self.map(value, depth)?,
            ValueKind::Seq | ValueKind::Iterable => {
                self.sequence(value, depth)?
            }
            kind => {
                return Err(invalid(format!(
                    "tojson: {kind} is not JSON serializable"
                )))
            }
        }
        Ok(())
    }
}

fn indent_of(value: Option<Value>) -> Result<Option<String>, Error> {
    let Some(value) = value.filter(|v| !v.is_none()) else {
        return Ok(None);
    };
    if let Some(text) = value.as_str().filter(|t| t.len() <= 64) {
        return Ok(Some(text.into()));
    }
    match value.as_i64() {
        Some(n) if n <= 64 => Ok(Some(" ".repeat(n.max(0) as usize))),
        _ => Err(invalid("tojson: indent must be at most 64 spaces")),
    }
}

/// The filter, with the signature that transformers gives it:
/// `tojson(x, ensure_ascii=False, indent=None, separators=None,
/// sort_keys=False)`.
pub fn tojson(
    state: &State,
    value: &Value,
    positional: Rest<Value>,
    named: Kwargs,
) -> Result<String, Error> {
    if positional.len() > 4 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let argument = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        let named = named.get::<Option<Value>>(name)?;
        Ok(positional.get(index).cloned().or(named))
    };
    let truth = |value: Option<Value>| value.is_some_and(|v| v.is_true());
    let indent = indent_of(argument(1, "indent")?)?;
    let (item_separator, key_separator) = match argument(2, "separators")? {
        Some(pair) if !pair.is_none() => {
            let parts: Vec<Value> = pair.try_iter()?.take(3).collect();
            match parts.as_slice() {
                [a, b] if a.as_str().is_some() && b.as_str().is_some() => {
                    (a.to_string(), b.to_string())
                }
                _ => {
                    return Err(invalid(
                        "tojson: separators must be two strings",
                    ))
                }
            }
        }
        _ if indent.is_some() => (",".into(), ": ".into()),
        _ => (", ".into(), ": ".into()),
    };
    let style = Style {
        ensure_ascii: truth(argument(0, "ensure_ascii")?),
        sort_keys: truth(argument(3, "sort_keys")?),
        indent,
        item_separator,
        key_separator,
    };
    named.assert_all_used()?;
    let mut writer = Writer {
        state,
        style: &style,
        out: String::new(),
    };
    writer.value(value, 0)?;
    Ok(writer.out)
}

#[cfg(test)]
mod tests {
    use super::float_repr;

    #[test]
    fn floats_read_as_in_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
        ] {
            assert_eq!(float_repr(value), text);
        }
    }
}
